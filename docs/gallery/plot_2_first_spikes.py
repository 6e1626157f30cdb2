"""
Classes by the first spike
==========================

Points of a plane become spike times, and the output that fires first is the answer. Yin-Yang is a
data set that no linear classifier can learn.
"""

import snnfp
import snnfp.plots

# %%
# Each coordinate is a latency, and so is one minus it; a fifth channel always fires at 20 ms.


def encode(features):
    return snnfp.encoding.latency(features, t_min=10.0, t_max=40.0, bias_time=20.0)


features, labels = snnfp.data.yin_yang(1500, seed=0)
points, classes = snnfp.data.yin_yang(400, seed=1)

neuron = snnfp.LIF(tau_mem=20.0, tau_syn=20.0, capacitance=20.0, t_refractory=20.0)
net = snnfp.Network()
x = net.input(5, name="input")
hidden = net.population(60, neuron, name="hidden")
output = net.population(3, neuron, name="output")
net.connect(x, hidden, snnfp.Dense(weight=snnfp.init.Normal(0.8, 1.5)))
net.connect(hidden, output, snnfp.Dense(weight=snnfp.init.Normal(0.2, 0.4)))
net.initialise(seed=0)

# %%
# The loss is the cross-entropy of the first spikes. An output that is silent where it should fire
# has no gradient; a remedy helps it until it fires.

loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.5, horizon=50.0)
history = snnfp.fit(
    net,
    (encode(features), labels),
    validation=(encode(points), classes),
    loss=loss,
    optimiser=snnfp.Adam(lr=0.008),
    schedule=snnfp.schedules.Cosine(epochs=20),
    epochs=20,
    batch_size=50,
    until=50.0,
    clip_norm=0.5,
    remedies=[snnfp.remedies.LabelBump(amount=1.0)],
    progress=False,
)
curves = snnfp.plots.learning_curves(history)
print(f"validation accuracy {history['validation_accuracy'][-1]:.3f}")

# %%
# The class of every point of the plane; points that the network gets wrong are crossed out.
# sphinx_gallery_thumbnail_number = 2

plane = snnfp.plots.decision_map(
    net, encode, loss.predict, points, classes, until=50.0, resolution=140
)

# %%
# What decides a sample: spikes of every group, and the exact voltages of the outputs below them.

seen = snnfp.predict(net, encode(points), loss, until=50.0)
wrong = (seen.labels != classes).argmax()
right = (seen.labels == classes).argmax()
samples = snnfp.plots.raster_and_voltage(
    net, encode(points).take([right, wrong]), classes[[right, wrong]], until=50.0, time_unit="ms"
)
