"""
The derivative of a spike time
==============================

A neuron fires where its voltage meets the threshold. Where that is depends on the weight of the
synapse that drives it, and the implicit function theorem says how: exactly, with no surrogate and
no grid of time.
"""

import matplotlib.pyplot as plt
import numpy as np
import snnfp

net = snnfp.Network()
x = net.input(1, name="x")
y = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
net.connect(x, y, snnfp.Dense(weight=3.0))
spike = snnfp.Spikes.from_lists([[[0.0]]])

# %%
# One neuron hears one spike at time 0. Its first own spike, and the derivative of that by the
# weight:


def first_spike(weight):
    net.parameters["x_to_y.weight"] = [[weight]]
    record = snnfp.simulate(net, spike, until=10.0)
    derivative = record.vjp({"y": [[1.0]]}, wrt="x_to_y.weight")["x_to_y.weight"]
    return record.first_spikes("y")[0, 0], derivative[0, 0]


weights = np.linspace(2.02, 5.0, 120)
times, derivatives = np.array([first_spike(w) for w in weights]).T
differences = np.gradient(times, weights)
print(
    f"at weight {weights[60]:.3f}: exact {derivatives[60]:.5f}, differences {differences[60]:.5f}"
)

# %%
# The derivative is the slope of the curve at every point. Towards a weight of 2, below which the
# voltage no longer reaches the threshold, the spike vanishes and the derivative grows without
# bound; for weights smaller still there is no spike, and so no derivative.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.plot(weights, times, color="#0072B2")
for k in (5, 25, 70):
    run = np.array([-0.35, 0.35])
    left.plot(weights[k] + run, times[k] + derivatives[k] * run, color="#D55E00", lw=1.2)
    left.plot(weights[k], times[k], "o", color="#D55E00")
left.set(xlabel="weight", ylabel="time of the spike", ylim=(0, 1.6), title="tangents are exact")
right.plot(weights, derivatives, color="#D55E00", label="exact")
right.plot(weights[1:-1:4], differences[1:-1:4], "k.", ms=4, label="differences")
right.axvline(2.0, color="0.6", ls=":")
right.set(xlabel="weight", ylabel="derivative of the time", ylim=(-4, 0))
right.legend(frameon=False)
