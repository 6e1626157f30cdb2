"""Spikes recorded elsewhere: derivatives, residuals, and what cannot be. Faulty recordings that are
used all the same: test_faulty_recordings.py."""

import numpy as np
import pytest
import snnfp
from networks import distance, quiet, random_network
from snnfp.errors import RecordedSpikeError

UNTIL = 8.0


def recorded(record, **changed):
    return {name: record.spikes(name) for name in record._net.populations} | changed


def one_neuron(weight=3.0, dtype=np.float64, **neuron):
    net = snnfp.Network(dtype=dtype)
    x = net.input(1)
    h = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, **neuron), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[weight, 0.1]]))
    return net, snnfp.Spikes([0.5], [0], [0, 1], size=1)


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_same_derivatives_as_the_simulation(recurrent):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net, spikes = random_network(rng, recurrent=recurrent, samples=3)
        a = quiet(net, spikes, until=UNTIL)
        b = snnfp.record_from_spikes(net, spikes, recorded(a), tolerance=1e-10, until=UNTIL)
        assert np.array_equal(a.times, b.times)
        assert np.array_equal(a.neurons, b.neurons)
        assert b.residuals.shape == b.times.shape
        assert np.max(np.abs(b.residuals), initial=0.0) <= 1e-13 / min(1.0, a.min_slope)
        assert a.residuals.size == 0
        np.testing.assert_allclose(b.slopes, a.slopes, rtol=1e-11)
        u = rng.normal(size=a.n_spikes)
        wanted = a.vjp(u, wrt="*")
        condition = max(1.0, 1 / a.min_slope)
        for mode in ("reverse", "forward"):
            assert distance(b.vjp(u, wrt="*", mode=mode), wanted) <= 1e-11 * condition
        v = {k: rng.normal(size=g.shape) for k, g in wanted.items()}
        np.testing.assert_allclose(b.jvp(v), a.jvp(v), rtol=1e-9, atol=1e-9 * condition)
        first = a.first_indices("output")
        assert distance(b.jacobian(of=first), a.jacobian(of=first)) <= 1e-10 * condition


def test_float():
    net, spikes = random_network(np.random.default_rng(0), dtype=np.float32)
    a = quiet(net, spikes, until=UNTIL)
    b = snnfp.record_from_spikes(net, spikes, recorded(a), tolerance=1e-4, until=UNTIL)
    assert b.times.dtype == np.float32
    assert np.array_equal(a.times, b.times)


def test_with_an_initial_state():
    net, spikes = one_neuron()
    initial = {"h": ([0.5, 0.0], 0.25)}
    a = snnfp.simulate(net, spikes, initial=initial)
    b = snnfp.record_from_spikes(net, spikes, recorded(a), tolerance=1e-12, initial=initial)
    assert np.array_equal(a.times, b.times)
    with pytest.raises(RecordedSpikeError, match="V - threshold"):
        snnfp.record_from_spikes(net, spikes, recorded(a), tolerance=1e-12)
    with pytest.raises(
        RecordedSpikeError, match="0 impossible spikes, 2 crossings without a spike"
    ):
        snnfp.record_from_spikes(net, spikes, {}, tolerance=1e-12, initial={"h": (0.0, [0.0, 9.0])})


def test_threads_give_the_same_bits():
    net, spikes = random_network(np.random.default_rng(1), samples=9)
    a = quiet(net, spikes, until=UNTIL)
    b = [
        snnfp.record_from_spikes(
            net, spikes, recorded(a), tolerance=1e-10, until=UNTIL, n_threads=n
        )
        for n in (1, 3)
    ]
    assert np.array_equal(b[0].residuals, b[1].residuals)


def test_moved_spikes_and_their_residuals():
    """On a grid, as most simulators record them: the residual is V at that time less threshold."""
    net, spikes = one_neuron()
    a = snnfp.simulate(net, spikes)
    (f,) = a.times
    moved = np.ceil(f / 0.01) * 0.01
    given = {"h": snnfp.Spikes([moved], [0], [0, 1], size=2)}
    b = snnfp.record_from_spikes(net, spikes, given, tolerance=np.inf)
    d = moved - 0.5
    v = 3.0 * 2.0 * (np.exp(-d / 2) - np.exp(-d))
    slope = 3.0 * (2.0 * np.exp(-d) - np.exp(-d / 2))
    assert b.residuals[0] == pytest.approx(v - 1.0, rel=1e-12)
    assert b.slopes[0] == pytest.approx(slope, rel=1e-12)
    assert b.vjp([1.0])["input_to_h.weight"][0, 0] == pytest.approx(-v / 3.0 / slope, rel=1e-12)
    with pytest.raises(
        RecordedSpikeError, match=r"V - threshold = 0\.00\d+, expected at most 0\.001"
    ):
        snnfp.record_from_spikes(net, spikes, given, tolerance=1e-3)
    assert snnfp.record_from_spikes(net, spikes, given, tolerance=0.1).n_spikes == 1


def test_every_spike_moved():
    net, spikes = random_network(np.random.default_rng(2), samples=3)
    a = quiet(net, spikes, until=UNTIL)
    rng = np.random.default_rng(3)
    given = {}
    for name in net.populations:
        s = a.spikes(name)
        lists = [(s[k].times + rng.normal(0, 1e-6, s[k].times.size), s[k].units) for k in range(3)]
        given[name] = snnfp.Spikes.from_pairs(lists, size=s.size)
    b = snnfp.record_from_spikes(net, spikes, given, tolerance=np.inf, until=UNTIL)
    assert b.n_spikes == a.n_spikes
    assert 1e-8 < np.max(np.abs(b.residuals)) < 1e-3
    u = np.cos(np.arange(a.n_spikes))
    assert distance(b.vjp(u, wrt="*"), b.vjp(u, wrt="*", mode="forward")) <= 1e-11
    assert 0 < distance(b.vjp(u), a.vjp(u)) <= 0.1


def test_populations_left_out_are_silent():
    net, spikes = random_network(np.random.default_rng(4), recurrent=False)
    a = quiet(net, spikes, until=UNTIL)
    assert a.indices("output").size
    only = {"hidden": a.spikes("hidden")}
    with pytest.raises(RecordedSpikeError, match=r"of population output, .*V crosses"):
        snnfp.record_from_spikes(net, spikes, only, tolerance=1e-10, until=UNTIL)
    b = snnfp.record_from_spikes(net, spikes, only, tolerance=np.inf, until=UNTIL)
    assert set(b.missing.population) == {"output"}
    assert b.silent_fraction("output") == 1.0
    u = np.cos(np.arange(b.n_spikes))
    full = np.zeros(a.n_spikes)
    full[a.indices("hidden")] = u
    assert distance(b.vjp(u), a.vjp(full)) <= 1e-12


@pytest.mark.parametrize(
    "times, units, message",
    [
        ([0.9], [1], r"neuron 1 of population h, sample 0, time 0.9: V - threshold = -0.9"),
        ([0.4], [0], r"neuron 0 of population h, sample 0, time 0.4: .*not rising.*its cause"),
        ([0.5], [0], r"time 0.5.*not rising.*before its cause"),
        ([0.9], [0], r"V - threshold = -?\d.*expected at most 0.001"),
        ([6.0], [0], r"time 6: V is not rising there \(V' = -"),
        ([11.0], [0], r"time 11: expected 0 < time <= until = 10"),
        ([0.0], [0], r"time 0: expected 0 < time <= until = 10"),
    ],
)
def test_spikes_that_cannot_be(times, units, message):
    net, spikes = one_neuron()
    given = {"h": snnfp.Spikes(times, units, [0, len(times)], size=2)}
    with pytest.raises(RecordedSpikeError, match=message):
        snnfp.record_from_spikes(net, spikes, given, tolerance=1e-3, until=10.0)


def test_spikes_in_refractory_time():
    net, spikes = one_neuron(20.0, t_refractory=0.5)
    f = snnfp.simulate(net, spikes).times[0]
    given = {"h": snnfp.Spikes([f, f + 0.25], [0, 0], [0, 2], size=2)}
    with pytest.raises(
        RecordedSpikeError, match=r"sample 0, time .*refractory until .*expected a later"
    ):
        snnfp.record_from_spikes(net, spikes, given, tolerance=np.inf)


def test_the_sample_is_named():
    net, spikes = one_neuron()
    two = snnfp.Spikes.concatenate([spikes, spikes])
    (f,) = snnfp.simulate(net, spikes).times
    given = {"h": snnfp.Spikes([f, f + 0.1], [0, 0], [0, 1, 2], size=2)}
    with pytest.raises(RecordedSpikeError, match=r"population h, sample 1, time .*V - thr"):
        snnfp.record_from_spikes(net, two, given, tolerance=1e-6)


def test_bad_arguments():
    net, spikes = one_neuron()
    h = snnfp.Spikes([], [], [0, 0], size=2)
    with pytest.raises(ValueError, match="recorded spikes of h are for 3 neurons, expected 2"):
        wrong = {"h": snnfp.Spikes([], [], [0, 0], size=3)}
        snnfp.record_from_spikes(net, spikes, wrong, tolerance=0.0)
    with pytest.raises(ValueError, match="h have 2 samples, expected 1 as in the input"):
        wrong = {"h": snnfp.Spikes([], [], [0, 0, 0], size=2)}
        snnfp.record_from_spikes(net, spikes, wrong, tolerance=0.0)
    for tolerance in (-1.0, np.nan):
        with pytest.raises(
            ValueError, match=f"tolerance is {tolerance:g}, expected a voltage >= 0"
        ):
            snnfp.record_from_spikes(net, spikes, {"h": h}, tolerance=tolerance)
    single, _ = one_neuron(dtype=np.float32)
    for large, given, name in ((1e300, single, "float32"), (10**400, net, "float64")):
        with pytest.raises(ValueError, match=f"tolerance is 10*(e.*)?, which does not fit {name}"):
            snnfp.record_from_spikes(given, spikes, {"h": h}, tolerance=large)
    snnfp.record_from_spikes(net, spikes, {"h": h}, tolerance=1e300)
    with pytest.raises(ValueError, match="on_fault is 'ignore', expected 'raise', 'drop' or"):
        snnfp.record_from_spikes(net, spikes, {"h": h}, tolerance=0.0, on_fault="ignore")
    with pytest.raises(ValueError, match="recorded has h twice"):
        both = {"h": h, net.populations["h"]: h}
        snnfp.record_from_spikes(net, spikes, both, tolerance=0.0)
    with pytest.raises(TypeError, match="recorded is a Spikes, expected a mapping"):
        snnfp.record_from_spikes(net, spikes, h, tolerance=0.0)
    with pytest.raises(KeyError, match="'g' is not a population"):
        snnfp.record_from_spikes(net, spikes, {"g": h}, tolerance=0.0)
    with pytest.raises(TypeError, match=r"recorded\['h'\] is a list, expected snnfp.Spikes"):
        snnfp.record_from_spikes(net, spikes, {"h": [0.5]}, tolerance=0.0)
