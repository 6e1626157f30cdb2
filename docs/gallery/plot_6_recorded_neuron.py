"""
What neuron was that?
=====================

A recording has spike times and no parameters. Since spike times have exact derivatives by the time
constants, these can be fitted: here a neuron is recovered from what it fired.
"""

import matplotlib.pyplot as plt
import numpy as np
import snnfp


def neuron(tau_mem, tau_syn):
    net = snnfp.Network()
    x = net.input(12, name="x")
    y = net.population(1, snnfp.LIF(tau_mem=tau_mem, tau_syn=tau_syn, t_refractory=2.0), name="y")
    weight = np.random.default_rng(5).uniform(0.01, 0.1, (12, 1))
    net.connect(x, y, snnfp.Dense(weight=weight, delay=1.0))
    return net


# %%
# The recording: eight trials of noise and the spikes that a neuron with time constants of 12 and
# 4 ms fired.

rng = np.random.default_rng(6)
trials = [(rng.uniform(0, 120, 220), rng.integers(0, 12, 220)) for _ in range(8)]
noise = snnfp.Spikes.from_pairs(trials, size=12)
recorded = snnfp.simulate(neuron(12.0, 4.0), noise, until=120.0).spikes("y")

# %%
# The fit starts elsewhere. Time constants are positive and differ by factors, so that they are
# trained as logarithms. The loss looks at the first five spikes of each trial: of later ones a
# wrong neuron fires more or fewer, and there is no telling which belong together.

net = neuron(18.0, 2.5)
path = [(18.0, 2.5)]


def remember(history, net):
    path.append(tuple(net.parameters[f"y.{name}"].item() for name in ("tau_mem", "tau_syn")))


history = snnfp.fit(
    net,
    (noise, recorded),
    loss=snnfp.losses.SpikeTimeSquaredError(first=5, horizon=120.0),
    optimiser=snnfp.Adam(lr=0.04),
    wrt=("y.tau_mem", "y.tau_syn"),
    groups={"y.tau_*": snnfp.Group(transform=snnfp.transforms.Exp())},
    schedule=snnfp.schedules.Cosine(epochs=200),
    epochs=200,
    batch_size=8,
    until=120.0,
    clip_norm=1.0,
    callbacks=[remember],
    progress=False,
)
mem, syn = np.array(path).T
print(f"tau_mem {mem[0]:.2f} -> {mem[-1]:.4f}, tau_syn {syn[0]:.2f} -> {syn[-1]:.4f}")

# %%

figure, (plane, loss) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
plane.plot(mem, syn, ".-", ms=3, lw=1, color="#0072B2")
plane.plot(12.0, 4.0, "*", ms=14, color="#D55E00", label="recorded")
plane.plot(18.0, 2.5, "o", color="#0072B2", label="start")
plane.set(xlabel="tau_mem (ms)", ylabel="tau_syn (ms)")
plane.legend(frameon=False)
loss.semilogy(np.maximum(history["loss"], 1e-12), color="#0072B2")
loss.set(xlabel="epoch", ylabel="squared distance of the spikes")
