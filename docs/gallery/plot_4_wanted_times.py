"""
Spikes where they are wanted
============================

A loss may be any function of spike times. Here it is the distance from times that are wanted: three
outputs of a recurrent network learn to play a score.
"""

import matplotlib.pyplot as plt
import numpy as np
import snnfp

rng = np.random.default_rng(0)
net = snnfp.Network()
neuron = snnfp.LIF(tau_mem=10.0, tau_syn=5.0, t_refractory=2.0)
x = net.input(20, name="x")
h = net.population(40, neuron, name="hidden")
y = net.population(3, neuron, name="y")
net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(0.12, 0.1), delay=1.0))
net.connect(h, h, snnfp.Dense(weight=snnfp.init.Normal(0.0, 0.03), delay=1.0))
net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.05, 0.05), delay=1.0))
net.initialise(seed=1)

# %%
# One sample: twenty channels that fire now and then, always at the same times. And the score, a
# list of times for each output.

noise = snnfp.Spikes.from_pairs([(rng.uniform(0, 100, 160), rng.integers(0, 20, 160))], size=20)
score = snnfp.Spikes.from_lists([[[20.0, 60.0, 70.0], [40.0, 80.0], [30.0, 50.0, 90.0]]])

# %%
# Where an output has not yet as many spikes as are wanted, the van Rossum distance, which compares
# trains as curves, draws those that there are towards the nearest targets.

played = []


def listen(history, net):
    record = snnfp.simulate(net, noise, until=100.0)
    at = record.indices("y")
    played.append((record.times[at], record.neurons[at] - y.offset))


history = snnfp.fit(
    net,
    (noise, score),
    loss=snnfp.losses.VanRossumDistance(tau=6.0),
    optimiser=snnfp.Adam(lr=0.004),
    schedule=snnfp.schedules.Cosine(epochs=300),
    epochs=300,
    batch_size=1,
    until=100.0,
    clip_norm=1.0,
    callbacks=[listen],
    progress=False,
)
print(f"distance {history['loss'][0]:.3f} -> {history['loss'][-1]:.3f}")

# %%
# Every spike of every epoch, the first epoch on top; lines are the score.

colours = ("#0072B2", "#E69F00", "#009E73")
figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), sharey=True, layout="constrained")
for k, panel in enumerate(axes):
    for epoch, (times, outputs) in enumerate(played):
        own = times[outputs == k]
        panel.plot(own, np.full(own.size, epoch), ".", ms=2.5, color=colours[k])
    for time in score.times[score.units == k]:
        panel.axvline(time, color="black", lw=0.8, ls=":")
    panel.set(title=f"output {k}", xlabel="time (ms)", xlim=(0, 100))
axes[0].set(ylabel="epoch", ylim=(len(played), 0))
