"""What a simulation returns: against closed forms of one neuron, and its options."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network, same_bits

NONE = snnfp.Spikes([], [], [0, 0], size=1)


def one_neuron(weight=2.0, delay=0.0, **neuron):
    """One neuron "h" behind one input."""
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(1, snnfp.LIF(**{"tau_mem": 2.0, "tau_syn": 1.0, **neuron}), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[weight]], delay=delay))
    return net


def at(*times):
    return snnfp.Spikes(times, [0] * len(times), [0, len(times)], size=1)


def kappa(d, tau_mem, tau_syn):
    a, b = 1 / tau_syn, 1 / tau_mem
    if a == b:
        return d * np.exp(-a * d)
    return (np.exp(-b * d) - np.exp(-a * d)) / (a - b)


@pytest.mark.parametrize(
    "tau_mem, tau_syn", [(2.0, 1.0), (1.0, 2.0), (1.5, 1.5), (np.inf, 1.0), (2.0, np.inf)]
)
def test_voltage_and_current(tau_mem, tau_syn):
    """Below threshold V and I are sums over the arrivals."""
    net = one_neuron(0.2, 0.25, tau_mem=tau_mem, tau_syn=tau_syn, capacitance=1.25)
    times = np.linspace(0, 6, 61)
    record = quiet(net, at(0.5, 1.0, 3.0), until=6.0)
    probed = record.probe("h", times)
    d = times[:, None] - np.array([0.5, 1.0, 3.0]) - 0.25
    here = d >= 0
    d = np.where(here, d, 0.0)
    voltage = np.sum(np.where(here, 0.2 / 1.25 * kappa(d, tau_mem, tau_syn), 0), axis=1)
    current = np.sum(np.where(here, 0.2 * np.exp(-d / tau_syn), 0), axis=1)
    np.testing.assert_allclose(probed.voltage[0, 0], voltage, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(probed.current[0, 0], current, rtol=1e-13, atol=1e-16)


def test_voltage_at_spikes_and_in_refractory_time():
    net = one_neuron(4.0, v_reset=-0.25, t_refractory=0.5, threshold=0.75)
    record = snnfp.simulate(net, at(0.5), until=9.0)
    (f,) = record.first_spikes("h")[0]
    before = np.nextafter(f, 0)
    held = [f, f + 0.25, np.nextafter(f + 0.5, 0)]
    probed = record.probe("h", [before, *held, f + 1.0])
    v, i = probed.voltage[0, 0], probed.current[0, 0]
    assert abs(v[0] - 0.75) < 1e-14
    assert v[1:4].tolist() == [-0.25] * 3
    np.testing.assert_allclose(i, 4.0 * np.exp(-(probed.times - 0.5)), rtol=1e-14)
    released = 4.0 * np.exp(-(f + 0.5 - 0.5))
    expected = -0.25 * np.exp(-0.5 / 2.0) + released * kappa(0.5, 2.0, 1.0)
    assert v[4] == pytest.approx(expected, rel=1e-13)


def test_probe_of_chosen_neurons_and_samples():
    net, spikes = random_network(np.random.default_rng(1), samples=4)
    record = quiet(net, spikes, until=6.0)
    times = np.linspace(0, 6, 13)
    every = record.probe("hidden", times)
    some = record.probe("hidden", times, units=[4, 1])
    assert every.voltage.shape == (4, 6, 13)
    assert np.array_equal(some.voltage, every.voltage[:, [4, 1]])
    assert np.array_equal(some.current, every.current[:, [4, 1]])
    again = record.probe("hidden", times, units=np.array([4, 1], dtype=np.uint8))
    assert np.array_equal(again.voltage, some.voltage) and again.units.tolist() == [4, 1]


def test_voltages_asked_for_with_the_simulation():
    """The deprecated form gives the same numbers, and says what replaces it."""
    net, spikes = random_network(np.random.default_rng(3))
    times = np.linspace(0, 6, 13)
    with pytest.warns(DeprecationWarning, match=r"call record.probe\('hidden', times, units"):
        record = quiet(net, spikes, until=6.0, probe={"hidden": ([4, 1], times)})
    probed = record.probe("hidden", times, units=[4, 1])
    for again in (record, copy.copy(record), pickle.loads(pickle.dumps(record))):
        assert np.array_equal(again.voltage("hidden"), probed.voltage)
        assert np.array_equal(again.current("hidden"), probed.current)
    with pytest.raises(KeyError, match=r"voltages of output: call record.probe\('output', times"):
        record.voltage("output")
    with pytest.raises(TypeError, match=r"probe\['hidden'\] is \[0.5, 1, 2\], expected \(units"):
        quiet(net, spikes, until=6.0, probe={"hidden": [0.5, 1, 2]})


def test_voltage_is_the_threshold_at_every_spike():
    for seed in range(10):
        net, spikes = random_network(np.random.default_rng(seed), samples=1)
        record = quiet(net, spikes, until=8.0)
        for name, p in net.populations.items():
            k = record.indices(name)
            before = np.nextafter(record.times[k], 0)
            v = record.probe(name, before).voltage[0]
            j = record.neurons[k] - p.offset
            threshold = net.parameters[f"{name}.threshold"][j]
            error = np.abs(v[j, np.arange(k.size)] - threshold)
            # Held already where two neurons of a population fire at one time: never at random.
            assert np.all(error <= 1e-13 + record.slopes[k] * np.spacing(record.times[k]) * 2)


def test_until_cuts_a_longer_run():
    for seed in range(10):
        net, spikes = random_network(np.random.default_rng(seed), samples=3)
        long = quiet(net, spikes, until=8.0)
        short = quiet(net, spikes, until=5.0)
        keep = long.times <= 5.0
        assert 0 < keep.sum() < keep.size
        assert np.array_equal(long.times[keep], short.times)
        assert np.array_equal(long.neurons[keep], short.neurons)
        none = quiet(net, spikes, until=spikes.times.min())
        assert none.n_spikes == 0
    record = snnfp.simulate(one_neuron(3.0), at(0.5))
    (f,) = record.times
    assert snnfp.simulate(one_neuron(3.0), at(0.5), until=f).n_spikes == 1
    assert quiet(one_neuron(3.0), at(0.5), until=np.nextafter(f, 0)).n_spikes == 0


def test_without_until_the_run_ends_when_nothing_can_happen():
    net, spikes = random_network(np.random.default_rng(2))
    for group in net.populations:
        net.parameters[f"{group}.bias"] = 0.0
    record, long = quiet(net, spikes), quiet(net, spikes, until=1e6)
    assert same_bits(record, long)
    assert record.until == np.inf


def test_first_spikes_counts_and_silence():
    net, spikes = random_network(np.random.default_rng(3), samples=5)
    record = quiet(net, spikes, until=8.0)
    for name, p in net.populations.items():
        lists = record.spikes(name).to_lists()
        first = [[t[0] if t.size else np.inf for t in sample] for sample in lists]
        assert np.array_equal(record.first_spikes(name), first)
        counts = np.array([[t.size for t in sample] for sample in lists])
        assert np.array_equal(record.counts(name), counts)
        assert record.silent_fraction(name) == np.mean(counts.sum(axis=0) == 0)
        assert np.array_equal(record.fires(p), counts.sum(axis=0) > 0)
    assert record.silent_fraction() == {n: record.silent_fraction(n) for n in net.populations}
    assert record.min_slope == record.slopes.min()
    assert np.array_equal(record.samples, np.repeat(np.arange(5), np.diff(record.offsets)))
    assert np.array_equal(record.sent("input").sum(axis=1), np.diff(spikes.offsets))


@pytest.mark.parametrize("excess", [1e-2, 1e-6, 1e-10, 1e-13])
def test_near_tangent_spikes_are_counted(excess):
    """tau_mem = tau_syn = 1: V = w t e^-t is highest, w / e, at t = 1."""
    net = one_neuron(np.e * (1 + excess), tau_mem=1.0, tau_syn=1.0)
    record = snnfp.simulate(net, at(0.0))
    (f,) = record.times
    slope = np.e * (1 + excess) * (1 - f) * np.exp(-f)
    assert f < 1
    assert record.min_slope == pytest.approx(slope, rel=1e-6)
    assert record.near_tangent == (slope < 1e-3)
    assert np.isfinite(record.vjp([1.0])["input_to_h.weight"]).all()
    assert quiet(one_neuron(np.e * (1 - excess), tau_mem=1.0, tau_syn=1.0), at(0.0)).n_spikes == 0


def test_infinite_time_constants():
    """Neither leak nor decay: V = w (t - s) / C."""
    net = one_neuron(0.5, 0.25, tau_mem=np.inf, tau_syn=np.inf, capacitance=0.5)
    record = snnfp.simulate(net, at(1.0), until=4.5)
    assert record.times.tolist() == [2.25, 3.25, 4.25]
    with pytest.raises(ValueError, match=r"until is not given, .*tau_syn = inf"):
        snnfp.simulate(net, at(1.0))


def test_time_constants_around_equality():
    """The spike time is smooth across tau_mem = tau_syn."""

    def spike(ratio):
        return snnfp.simulate(one_neuron(5.0, tau_mem=ratio, tau_syn=1.0), at(0.0)).times[0]

    centre = spike(1.0)
    slope = (spike(1 + 1e-4) - spike(1 - 1e-4)) / 2e-4
    for power in range(-15, -3):
        for sign in (-1, 1):
            step = sign * 10.0**power
            expected = centre + slope * ((1.0 + step) - 1.0)
            assert spike(1.0 + step) == pytest.approx(expected, rel=1e-12 + step**2)


def test_bias_above_threshold_fires_until_the_end():
    net = one_neuron(0.0, tau_mem=2.0, bias=1.0, threshold=0.5, t_refractory=0.25)
    record = snnfp.simulate(net, NONE, until=20.0)
    period = 2.0 * np.log(2.0 / (2.0 - 0.5))
    expected = period + (period + 0.25) * np.arange(record.n_spikes)
    np.testing.assert_allclose(record.times, expected, rtol=1e-13)
    assert expected[-1] <= 20.0 < expected[-1] + period + 0.25
    with pytest.raises(ValueError, match="until is not given, but neuron 0 of population h"):
        snnfp.simulate(net, NONE)


def test_initial_state_shapes():
    net, spikes = random_network(np.random.default_rng(4), samples=3)
    rows = np.broadcast_to(np.linspace(0, 0.3, 6), (3, 6))
    a = quiet(net, spikes, until=6.0, initial={"hidden": (rows, 0.1 + 0 * rows)})
    b = quiet(net, spikes, until=6.0, initial={"hidden": (rows[0], 0.1)})
    c = quiet(net, spikes, until=6.0, initial={net.populations["hidden"]: (rows, 0.1)})
    assert same_bits(a, b) and same_bits(a, c)
    assert not same_bits(a, quiet(net, spikes, until=6.0))
    probed = a.probe("hidden", [0.0])
    assert np.array_equal(probed.voltage[..., 0], rows)
    u = np.cos(np.arange(a.n_spikes))
    reverse, forward = a.vjp(u, wrt="*"), a.vjp(u, wrt="*", mode="forward")
    for k in reverse:
        np.testing.assert_allclose(forward[k], reverse[k], rtol=1e-11, atol=1e-12)


def test_initial_current_is_an_arrival_at_zero():
    net = one_neuron(3.0)
    arrival = snnfp.simulate(net, at(0.0, 2.0))
    state = snnfp.simulate(net, at(2.0), initial={"h": (0.0, 3.0)})
    assert np.array_equal(arrival.times, state.times)


@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_a_run_in_two_parts(engine):
    """The state at the end of one run starts the next; without delays that is all there is."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        net, spikes = random_network(rng, samples=1, recurrent=False)
        for name, value in net.parameters.items():
            if name.endswith((".delay", ".t_refractory")):
                net.parameters[name] = 0.0 * value
        whole = quiet(net, spikes, until=8.0, engine=engine)
        state = {p: whole.probe(p, [4.0]) for p in net.populations}
        initial = {p: (s.voltage[0, :, 0], s.current[0, :, 0]) for p, s in state.items()}
        late = spikes.times > 4.0
        rest = snnfp.Spikes(spikes.times[late] - 4.0, spikes.units[late], [0, late.sum()], size=4)
        second = quiet(net, rest, until=4.0, initial=initial, engine=engine)
        after = whole.times > 4.0
        assert np.array_equal(whole.neurons[after], second.neurons)
        np.testing.assert_allclose(second.times + 4.0, whole.times[after], rtol=1e-11)


def test_ties():
    """A crossing at the very time of an arrival counts as before it; equal neurons both fire."""
    net = snnfp.Network()
    x = net.input(2)
    h = net.population(2, snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[1.0, 1.0], [-3.0, -3.0]]))
    spikes = snnfp.Spikes([0.0, 1.0], [0, 1], [0, 2], size=2)
    for engine in ("automatic", "queue"):
        record = snnfp.simulate(net, spikes, until=5.0, engine=engine)
        assert record.times.tolist() == [1.0, 1.0]
        assert record.neurons.tolist() == [0, 1]
        assert record.slopes.tolist() == [1.0, 1.0]


def test_a_long_silence_is_forgotten():
    net = one_neuron(3.0)
    early, late = snnfp.simulate(net, at(1.0)), snnfp.simulate(net, at(1.0, 3000.0))
    assert late.times[-1] - 3000.0 == pytest.approx(early.times[0] - 1.0, abs=1e-12)


@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_runaway_firing(engine):
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="calm")
    y = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="wild")
    net.connect(x, h, snnfp.Dense(weight=0.1))
    net.connect(x, y, snnfp.Dense(weight=[[0.1, 5.0, 0.1]]))
    net.connect(y, y, snnfp.OneToOne(weight=1e6, delay=0.1))
    spikes = snnfp.Spikes.from_lists([[[]], [[1.0]], [[1.0]]])
    with pytest.raises(
        snnfp.errors.EventLimitError, match=r"neuron 1 of population wild .* spike_limit = 50"
    ) as caught:
        quiet(net, spikes, until=1e9, spike_limit=50, engine=engine)
    error = caught.value
    assert (error.sample, error.population, error.neuron, error.count) == (1, "wild", 1, 51)
    assert 1.0 < error.time < 2.0


def test_a_silent_population_warns_once():
    net = one_neuron(0.1)
    with pytest.warns(
        snnfp.errors.SilentPopulationWarning, match="population h fires no spike.*remed"
    ):
        snnfp.simulate(net, at(1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = snnfp.simulate(net, at(1.0))
    assert record.is_silent("h") and record.min_slope == np.inf
    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        snnfp.simulate(one_neuron(0.1), at(1.0))


def test_input_after_the_end_warns_once():
    net = one_neuron(4.0, bias=1.0)
    with pytest.warns(snnfp.errors.UnusedInputWarning, match=r"until = 5.0 \(the first at 7.0\)"):
        snnfp.simulate(net, at(7.0, 8.0), until=5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snnfp.simulate(net, at(7.0, 8.0), until=5.0)
        snnfp.simulate(one_neuron(4.0, bias=1.0), at(4.0, 8.0), until=5.0)


def test_a_record_keeps_its_parameters():
    net, spikes = random_network(np.random.default_rng(5))
    record = quiet(net, spikes, until=6.0)
    u = np.cos(np.arange(record.n_spikes))
    before = record.vjp(u, wrt="*")
    net.parameters["input_to_hidden.weight"] = 2 * net.parameters["input_to_hidden.weight"]
    net.parameters["hidden.tau_mem"] = 1.0
    assert all(np.array_equal(v, before[k]) for k, v in record.vjp(u, wrt="*").items())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["dense", "loop", "sparse"])
def test_a_spike_long_before_the_end(kind, dtype):
    """However long nothing more is heard, until the slope at the end is rounding or nothing at all."""
    rng = np.random.default_rng(0)
    spikes = snnfp.Spikes([0.1], [0], [0, 1], size=1)
    found = 0
    for k, until in enumerate([20.0, 60.0, 100.0, 300.0, 1000.0, 2000.0, 1e4, 1e6] * 2):
        n = 60
        tau_mem, tau_syn = rng.uniform(0.5, 4, n), rng.uniform(0.5, 4, n)
        if k >= 8:
            tau_mem, tau_syn = tau_mem[0], tau_syn[0]
        bias = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(-0.05, 0.9, n) / tau_mem)
        net = snnfp.Network(dtype=dtype)
        x = net.input(1)
        h = net.population(n, snnfp.LIF(tau_mem=tau_mem, tau_syn=tau_syn, bias=bias), name="h")
        weight = rng.uniform(0, 4, (1, n))
        if kind == "sparse":
            everywhere = snnfp.Sparse(
                sources=np.zeros(n, int), targets=np.arange(n), weight=weight[0]
            )
            net.connect(x, h, everywhere)
        else:
            net.connect(x, h, snnfp.Dense(weight=weight))
        if kind == "loop":
            net.connect(h, h, snnfp.Dense(weight=-0.01, delay=0.5))
        expected = snnfp.simulate(net, spikes, until=until, engine="queue")
        assert same_bits(snnfp.simulate(net, spikes, until=until), expected), until
        found += expected.n_spikes
    assert found > 500
