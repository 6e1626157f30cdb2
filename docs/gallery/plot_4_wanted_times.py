"""
Spikes where they are wanted
============================

A loss may be any function of spike times. Here it is the squared distance from times that are
wanted: the first spikes of 24 neurons, read out of a recurrent network, are to form a wave.
"""

import matplotlib.pyplot as plt
import numpy as np
import snnfp

rng = np.random.default_rng(0)
net = snnfp.Network()
neuron = snnfp.LIF(tau_mem=10.0, tau_syn=5.0, t_refractory=2.0)
x = net.input(20, name="x")
h = net.population(60, neuron, name="hidden")
y = net.population(24, neuron, name="y")
net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(0.12, 0.1), delay=1.0))
net.connect(h, h, snnfp.Dense(weight=snnfp.init.Normal(0.0, 0.03), delay=1.0))
net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.05, 0.05), delay=1.0))
net.initialise(seed=1)

# %%
# One sample: twenty channels that fire now and then, always at the same times. A neuron that is
# silent has no gradient, so weights are scaled until all fire.

noise = snnfp.Spikes.from_pairs([(rng.uniform(0, 100, 160), rng.integers(0, 20, 160))], size=20)
snnfp.calibrate(net, noise, rate={"hidden": 5.0, "y": 5.0}, until=100.0)
wanted = 50.0 + 25.0 * np.sin(2 * np.pi * np.arange(24) / 24)

# %%
# What is trained are all weights, those within the recurrent layer too.

first = [snnfp.simulate(net, noise, until=100.0).first_spikes("y")[0]]


def remember(history, net):
    first.append(snnfp.simulate(net, noise, until=100.0).first_spikes("y")[0])


history = snnfp.fit(
    net,
    (noise, wanted[None, :]),
    loss=snnfp.losses.SpikeTimeSquaredError(horizon=100.0),
    optimiser=snnfp.Adam(lr=0.001),
    schedule=snnfp.schedules.Cosine(epochs=200),
    epochs=200,
    batch_size=1,
    until=100.0,
    clip_norm=1.0,
    callbacks=[remember],
    progress=False,
)
far = [np.abs(times - wanted).max() for times in (first[0], first[-1])]
print(f"largest distance {far[0]:.1f} -> {far[1]:.4f}")

# %%

figure, axes = plt.subplots(1, 4, figsize=(11, 3.6), sharey=True, layout="constrained")
for panel, epoch in zip(axes, (0, 20, 60, 200), strict=True):
    panel.plot(wanted, np.arange(24), color="0.75", lw=5, solid_capstyle="round")
    panel.plot(first[epoch], np.arange(24), "|", ms=9, mew=2, color="#0072B2")
    panel.set(title=f"after {epoch} epochs", xlim=(0, 100), xlabel="time (ms)")
axes[0].set_ylabel("neuron")
