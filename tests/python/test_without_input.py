"""Networks without input groups, which a bias or an initial state drives."""

import warnings

import numpy as np
import pytest
import snnfp
from snnfp import LIF, Dense, Network, Spikes


def driven(dtype=np.float64):
    net = Network(dtype)
    net.population(3, LIF(tau_mem=2.0, tau_syn=1.0, bias=[0.8, 0.9, 0.2]), name="h")
    net.connect(net.populations["h"], net.populations["h"], Dense(weight=0.3, delay=0.5))
    return net


def with_silent_input(dtype=np.float64):
    net = driven(dtype)
    net.input(1)
    net.connect(net.inputs["input"], net.populations["h"], Dense(weight=1.0))
    return net


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_same_as_with_a_silent_input(dtype, engine):
    options = {"until": 8.0, "engine": engine}
    alone = snnfp.simulate(driven(dtype), None, samples=3, **options)
    silent = Spikes([], [], [0, 0, 0, 0], size=1)
    other = snnfp.simulate(with_silent_input(dtype), silent, **options)
    assert alone.n_samples == 3 and alone.n_spikes > 9
    assert alone.times.tobytes() == other.times.tobytes()
    u = np.cos(np.arange(alone.n_spikes))
    for mode in ("reverse", "forward"):
        a, b = (r.vjp(u, wrt=["h.*", "h_to_h.*"], mode=mode) for r in (alone, other))
        assert all(np.array_equal(a[k], b[k]) for k in a) and np.all(a["h.bias"] != 0)
    a, b = (r.jacobian(of="h", wrt="h.bias")["h.bias"] for r in (alone, other))
    assert np.array_equal(a, b)
    assert np.array_equal(alone.probe("h", [4.0]).voltage, other.probe("h", [4.0]).voltage)


def test_how_many_samples():
    net = driven()
    for nothing in (None, {}):
        assert snnfp.simulate(net, nothing, until=5.0).n_samples == 1
        assert snnfp.simulate(net, nothing, until=5.0, samples=np.int64(4)).n_samples == 4
    voltage = np.linspace(0, 0.9, 6).reshape(2, 3)
    record = snnfp.simulate(net, None, until=5.0, samples=2, initial={"h": (voltage, 0.0)})
    assert record.n_samples == 2
    assert record.first_spikes("h")[1, 0] < record.first_spikes("h")[0, 0]
    with pytest.raises(ValueError, match="samples is 0, expected at least 1"):
        snnfp.simulate(net, None, samples=0)
    with pytest.raises(ValueError, match="the network has no input, expected None instead of"):
        snnfp.simulate(net, Spikes([], [], [0, 0], size=1))
    with pytest.raises(ValueError, match=r"spikes are for \[\], expected \['input'\]"):
        snnfp.simulate(with_silent_input(), None)
    both = with_silent_input()
    silent = Spikes([], [], [0, 0, 0], size=1)
    assert snnfp.simulate(both, silent, until=5.0, samples=2).n_samples == 2
    with pytest.raises(ValueError, match="samples is 3, expected 2 as in the input"):
        snnfp.simulate(both, silent, until=5.0, samples=3)


def test_value_and_grad():
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=8.0)
    options = {"until": 8.0, "wrt": "h.bias"}
    value, gradient = snnfp.value_and_grad(driven(), None, [0, 1, 2], loss, samples=3, **options)
    silent = Spikes([], [], [0, 0, 0, 0], size=1)
    same, other = snnfp.value_and_grad(with_silent_input(), silent, [0, 1, 2], loss, **options)
    assert value == same and np.array_equal(gradient["h.bias"], other["h.bias"])


def test_training():
    """One parameter set for all samples, so that only the first neuron can come first."""
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=8.0)
    net = driven()
    options = {"loss": loss, "optimiser": snnfp.Adam(lr=0.02), "wrt": "h.bias", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = snnfp.fit(net, (None, [0] * 5), epochs=30, batch_size=2, until=8.0, **options)
        result = snnfp.evaluate(net, None, [0, 0, 0], loss, until=8.0)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert result.accuracy == 1.0 and result.prediction.labels.tolist() == [0, 0, 0]
    assert snnfp.predict(net, None, loss, until=8.0).labels.tolist() == [0]
