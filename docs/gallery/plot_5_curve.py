"""
A curve from spikes
===================

A readout is a population that only listens: its voltage is a sum over the spikes that it hears.
Here it learns to follow a curve.
"""

import matplotlib.pyplot as plt
import numpy as np
import snnfp

rng = np.random.default_rng(3)
net = snnfp.Network()
x = net.input(30, name="x")
h = net.population(80, snnfp.LIF(tau_mem=10.0, tau_syn=5.0, t_refractory=2.0), name="hidden")
out = net.readout(1, snnfp.LI(tau_mem=10.0, tau_syn=5.0), name="out")
net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(0.08, 0.12), delay=1.0))
net.connect(h, out, snnfp.Dense(weight=snnfp.init.Normal(0.0, 0.02)))
net.initialise(seed=4)
noise = snnfp.Spikes.from_pairs([(rng.uniform(0, 200, 500), rng.integers(0, 30, 500))], size=30)

# %%
# The curve is wanted at a hundred times; the loss is the squared distance there. The gradient goes
# through the readout and through the spike times of the hidden neurons.

times = np.linspace(2.0, 200.0, 100)
wanted = np.sin(2 * np.pi * times / 80) + 0.5 * np.sin(2 * np.pi * times / 30 + 1.0)


def said():
    fine = np.linspace(0.0, 200.0, 800)
    return fine, snnfp.simulate(net, noise, until=200.0).readout("out", "at", times=fine)[0, :, 0]


before = said()
history = snnfp.fit(
    net,
    (noise, wanted[None, :, None]),
    loss=snnfp.losses.ReadoutSquaredError(times=tuple(times)),
    optimiser=snnfp.Adam(lr=0.001),
    schedule=snnfp.schedules.Cosine(epochs=250),
    epochs=250,
    batch_size=1,
    until=200.0,
    clip_norm=1.0,
    progress=False,
)
after = said()
print(f"loss {history['loss'][0]:.2f} -> {history['loss'][-1]:.2f}")

# %%

figure, (curve, loss) = plt.subplots(
    1, 2, figsize=(11, 3.8), width_ratios=(2, 1), layout="constrained"
)
curve.plot(times, wanted, "k--", lw=1.2, label="wanted")
curve.plot(*before, color="0.7", lw=1, label="before")
curve.plot(*after, color="#0072B2", label="after")
curve.set(xlabel="time (ms)", ylabel="V of the readout")
curve.legend(frameon=False, ncols=3)
loss.semilogy(history["loss"], color="#0072B2")
loss.set(xlabel="epoch", ylabel="loss")
