"""
Delays that are learnt
======================

Two neurons hear the same eight channels, through weights that never change. Each is to fire first
for a rhythm of its own. What is trained is when spikes arrive: one delay a synapse.
"""

import matplotlib.pyplot as plt
import numpy as np
import snnfp

# %%
# A rhythm is a spike time for each channel; samples of it are jittered by a millisecond.

rng = np.random.default_rng(1)
rhythms = rng.uniform(0.0, 20.0, (2, 8))
labels = np.repeat([0, 1], 60)
spikes = snnfp.Spikes.from_latencies(np.maximum(rhythms[labels] + rng.normal(0, 1.0, (120, 8)), 0))

net = snnfp.Network()
x = net.input(8, name="x")
y = net.population(2, snnfp.LIF(tau_mem=6.0, tau_syn=2.0, t_refractory=np.inf), name="y")
net.connect(x, y, snnfp.Dense(weight=0.35, delay=snnfp.init.Uniform(5.0, 15.0)))
net.initialise(seed=2)
before = net.parameters["x_to_y.delay"]

# %%
# Derivatives by delays are exact like those by weights, and delays are times: their learning rate
# is some tenths of a millisecond. They stay at 0 or above by themselves.

loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=60.0)
history = snnfp.fit(
    net,
    (spikes, labels),
    loss=loss,
    optimiser=snnfp.Adam(lr=0.3),
    wrt="*.delay",
    epochs=40,
    batch_size=20,
    until=60.0,
    progress=False,
)
after = net.parameters["x_to_y.delay"]
print(f"accuracy {history['accuracy'][0]:.2f} -> {history['accuracy'][-1]:.2f}")

# %%
# Where the spikes of a rhythm arrive at the neuron that should know it, and its voltage. Those that
# decide now come together.

figure, axes = plt.subplots(2, 2, figsize=(10, 5), sharex=True, layout="constrained")
for row, (delays, when) in zip(axes, ((before, "before"), (after, "after")), strict=True):
    net.parameters["x_to_y.delay"] = delays
    for k, panel in enumerate(row):
        record = snnfp.simulate(net, snnfp.Spikes.from_latencies(rhythms[[k]]), until=60.0)
        time = np.linspace(0.0, 45.0, 500)
        panel.plot(time, record.probe("y", time, units=[k]).voltage[0, 0], color="#0072B2")
        arrivals = rhythms[k] + delays[:, k]
        panel.vlines(arrivals, -0.25, -0.05, color="#D55E00")
        panel.axhline(1.0, color="0.5", ls="--", lw=1)
        panel.set(title=f"neuron {k}, its own rhythm, {when}", ylim=(-0.3, 1.2))
axes[1, 0].set(xlabel="time (ms)", ylabel="V, and arrivals below")
axes[1, 1].set(xlabel="time (ms)")
