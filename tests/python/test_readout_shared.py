"""Readouts that listen through weights which synapses share, and through masks."""

import numpy as np
import pytest
import snnfp
from readout_networks import UNTIL, record_of

READINGS = [
    snnfp.Reading("out", "weighted_integral", time_scale=3.0),
    snnfp.Reading("out", "max"),
    snnfp.Reading("out", "at", (2.0, UNTIL)),
]


def network(connectivity, size, outputs):
    """Of 3 x 4 inputs; a readout hears a population of as many."""
    rng = np.random.default_rng(5)
    net = snnfp.Network()
    x = net.input(12)
    h = net.population(12, snnfp.LIF(tau_mem=3.0, tau_syn=1.0), name="hidden")
    net.connect(x, h, snnfp.OneToOne(weight=rng.uniform(2.0, 4.0, 12)))
    net.readout(outputs, snnfp.LI(tau_mem=3.0, tau_syn=2.0, bias=0.1), name="out")
    net.connect(h, "out", connectivity(rng))
    times = np.sort(rng.uniform(0, 5, (2, 30)), axis=1).reshape(-1)
    spikes = snnfp.Spikes(times, rng.integers(0, 12, 60).astype(np.int32), [0, 30, 60], size=12)
    return net, spikes


def convolution(rng):
    weight, delay = rng.normal(0.3, 0.5, (2, 1, 2, 2)), rng.uniform(0.1, 0.6, (2, 1, 2, 2))
    return snnfp.Conv2D(shape_in=(1, 3, 4), weight=weight, delay=delay)


def masked(rng):
    mask = rng.random((12, 5)) < 0.5
    return snnfp.Dense(weight=np.where(mask, rng.normal(size=(12, 5)), 0), mask=mask, delay=0.2)


KINDS = [(convolution, 12), (masked, 5)]


@pytest.mark.parametrize(("connectivity", "outputs"), KINDS, ids=["convolution", "mask"])
def test_the_gradient(connectivity, outputs):
    """By forward propagation and by differences."""
    net, spikes = network(connectivity, 12, outputs)
    record = record_of(net, spikes)
    assert record.n_spikes > 20
    p = net.readout_projections["hidden_to_out"]
    rng = np.random.default_rng(1)
    for reading in READINGS:
        c = rng.normal(size=record.readout(reading).shape)
        gradient = record.vjp({reading: c}, wrt="*")
        tangents = {n: rng.normal(size=g.shape) for n, g in gradient.items()}
        along = np.sum(c * record.readout_jvp(reading, tangents=tangents))
        total = sum(np.sum(g * tangents[n]) for n, g in gradient.items())
        size = sum(np.sum(np.abs(g * tangents[n])) for n, g in gradient.items())
        assert abs(total - along) <= 1e-12 * size

        def loss(record, labels, reading=reading, c=c):
            return float(np.sum(c * record.readout(reading))), {reading: c}

        found = snnfp.testing.check_gradient(
            net, spikes, None, loss, until=UNTIL, max_elements=8, tolerance=1e-6
        )
        assert found.ok and found.checked > 30
        by = gradient["hidden_to_out.weight"]
        if connectivity is masked:
            assert not np.any(by[~p.mask]) and np.any(by[p.mask])
            tangents["hidden_to_out.weight"][p.mask] = 0
            only = {"hidden_to_out.weight": tangents["hidden_to_out.weight"]}
            assert not np.any(record.readout_jvp(reading, tangents=only))
