"""Recordings that do not fit: what is reported, and what "drop" and "keep" make of them."""

import numpy as np
import pytest
import snnfp
from networks import distance, quiet, random_network, same_bits
from snnfp.errors import RecordedSpikeError

UNTIL = 60.0


def network(dtype=np.float64, *, dense=True, t_refractory=1.0, seed=1):
    """Twelve neurons that excite and inhibit each other with a delay; input for two samples."""
    rng = np.random.default_rng(seed)
    net = snnfp.Network(dtype=dtype)
    x = net.input(5)
    h = net.population(
        12, snnfp.LIF(tau_mem=10.0, tau_syn=2.0, t_refractory=t_refractory), name="h"
    )
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.25, 0.12, (5, 12)), delay=0.5), name="in")
    weight = rng.normal(0.0, 0.05, (12, 12))
    delay = 1.5 if dense else rng.uniform(0.5, 1.5, (12, 12))
    net.connect(h, h, snnfp.Dense(weight=weight, delay=delay), name="rec")
    spikes = snnfp.Spikes.from_pairs(
        [(rng.uniform(0, UNTIL, 60), rng.integers(0, 5, 60)) for _ in range(2)], size=5
    )
    return net, spikes


def changed(record, change):
    """The spikes of population h in each sample, as ``change(rng, times, neurons)`` makes them."""
    rng = np.random.default_rng(7)
    good = record.spikes("h")
    pairs = [change(rng, good[s].times, good[s].units) for s in range(len(good))]
    return snnfp.Spikes.from_pairs(pairs, size=good.size)


def jitter(size):
    return lambda rng, t, u: (np.abs(t + rng.normal(0, size, t.size)), u)


def twice(rng, t, u):
    return np.append(t, t[::3]), np.append(u, u[::3])


def bursts(rng, t, u):
    """Three of what was one, within the refractory time; no release meets an arrival."""
    return np.concatenate([t, t + 0.26, t + 0.53]), np.concatenate([u, u, u])


def jittered_twins(rng, t, u):
    return jitter(1.0)(rng, *twice(rng, t, u))


def dead(rng, t, u):
    return t[u != 4], u[u != 4]


def rounded(rng, t, u):
    return np.ceil(t), u


FAULTS = {
    "jitter of 1e-6": jitter(1e-6),
    "jitter of 1": jitter(1.0),
    "duplicates": twice,
    "bursts": bursts,
    "jittered twins": jittered_twins,
    "a dead electrode": dead,
    "rounded to 1": rounded,
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("t_refractory", [0.0, 1.0, np.inf])
@pytest.mark.parametrize("on_fault", ["drop", "keep"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_usable_with_finite_derivatives_that_agree(fault, on_fault, t_refractory, dense, dtype):
    net, spikes = network(dtype, dense=dense, t_refractory=t_refractory)
    given = changed(quiet(net, spikes, until=UNTIL), fault)
    for tolerance in (1e-3, np.inf):
        b = snnfp.record_from_spikes(
            net, spikes, {"h": given}, tolerance=tolerance, until=UNTIL, on_fault=on_fault
        )
        assert b.n_spikes + len(b.dropped) == given.times.size
        assert np.isinf(b.slopes).sum() == (
            sum(b.impossible.counts[r] for r in ("refractory", "falling"))
            if on_fault == "keep"
            else 0
        )
        u = np.cos(np.arange(b.n_spikes))
        reverse = b.vjp(u, wrt="*")
        forward = b.vjp(u, wrt="*", mode="forward")
        # Without time constants a dense network may go another way.
        some = b.vjp(u, wrt=[k for k in reverse if not k.endswith(("tau_mem", "tau_syn"))])
        for gradient in (reverse, forward, some):
            assert all(np.all(np.isfinite(g)) for g in gradient.values())
        if dtype is np.float64:
            condition = max(1.0, 1.0 / b.min_slope)
            assert distance(reverse, forward) <= 1e-9 * condition
            assert distance(some, {k: reverse[k] for k in some}) <= 1e-9 * condition
        assert np.all(np.isfinite(b.probe("h", np.linspace(0, UNTIL, 50)).voltage))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("t_refractory", [0.0, 1.0])
@pytest.mark.parametrize("fault", ["jittered twins", "bursts"])
def test_kept_spikes_move_so_that_their_residuals_stay(fault, t_refractory, dense):
    """The third witness: along jvp V keeps its distance from the threshold at every spike that has
    a derivative, and those without one do not move."""
    net, spikes = network(dense=dense, t_refractory=t_refractory)
    given = changed(quiet(net, spikes, until=UNTIL), FAULTS[fault])
    options = {"tolerance": np.inf, "until": UNTIL, "on_fault": "keep"}
    b = snnfp.record_from_spikes(net, spikes, {"h": given}, **options)
    fixed = np.isinf(b.slopes)
    assert fixed.sum() >= 5 and (~fixed).sum() >= 20
    rng = np.random.default_rng(0)
    directions = ("in.weight", "rec.weight", "rec.delay", "h.threshold", "h.v_reset", "h.tau_mem")
    directions += ("h.tau_syn", "h.t_refractory") if t_refractory else ("h.tau_syn",)
    for name in directions:
        value = net.parameters[name]
        v = rng.normal(size=value.shape)
        moves = b.jvp({name: v})
        assert np.all(moves[fixed] == 0.0)
        h = 1e-7 / max(1.0, np.abs(moves).max())
        ends = []
        for sign in (1, -1):
            net.parameters[name] = value + sign * h * v
            lists = [
                (b.times[s] + sign * h * moves[s], b.neurons[s])
                for s in (slice(*b.offsets[k : k + 2]) for k in range(2))
            ]
            moved = {"h": snnfp.Spikes.from_pairs(lists, size=12)}
            ends.append(snnfp.record_from_spikes(net, spikes, moved, **options))
        net.parameters[name] = value
        assert all(np.array_equal(e.neurons, b.neurons) for e in ends)
        change = (ends[0].residuals - ends[1].residuals) / (2 * h)
        scale = np.abs(b.slopes[~fixed] * moves[~fixed]).max() + np.abs(v).max()
        assert np.abs(change[~fixed]).max() <= 1e-5 * scale, name


def test_a_duplicate_dropped_leaves_the_same_bits():
    net, spikes = network()
    a = quiet(net, spikes, until=UNTIL)
    options = {"tolerance": 1e-9, "until": UNTIL}
    plain = snnfp.record_from_spikes(net, spikes, {"h": a.spikes("h")}, **options)
    given = changed(a, twice)
    b = snnfp.record_from_spikes(net, spikes, {"h": given}, on_fault="drop", **options)
    assert same_bits(b, plain)
    assert b.dropped is b.impossible
    assert set(b.dropped.reason) == {"refractory"}
    assert len(b.dropped) == given.times.size - a.n_spikes
    for k in range(len(b.dropped)):
        row = b.dropped.index[k]
        assert given.times[row] == b.dropped.time[k]
        assert given.units[row] == b.dropped.neuron[k]
        assert given.offsets[b.dropped.sample[k]] <= row < given.offsets[b.dropped.sample[k] + 1]
    u = np.cos(np.arange(a.n_spikes))
    for name, g in plain.vjp(u, wrt="*").items():
        assert np.array_equal(b.vjp(u, wrt="*")[name], g)


def test_dropped_spikes_reach_nobody_and_kept_ones_do():
    net = snnfp.Network()
    x = net.input(1)
    a = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="a")
    b = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="b")
    net.connect(x, a, snnfp.Dense(weight=0.1))
    net.connect(a, b, snnfp.Dense(weight=0.5, delay=1.0))
    spikes = snnfp.Spikes([0.5], [0], [0, 1], size=1)
    given = {"a": snnfp.Spikes([0.9, 6.0], [0, 0], [0, 2], size=1)}
    options = {"tolerance": 0.01, "until": 9.0}
    at = np.linspace(0, 9, 40)
    drop = snnfp.record_from_spikes(net, spikes, given, on_fault="drop", **options)
    keep = snnfp.record_from_spikes(net, spikes, given, on_fault="keep", **options)
    assert drop.impossible.reason.tolist() == keep.impossible.reason.tolist()
    assert keep.impossible.reason.tolist() == ["residual", "falling"]
    assert keep.impossible.counts == {"outside": 0, "refractory": 0, "falling": 1, "residual": 1}
    assert drop.n_spikes == 0 and keep.times.tolist() == [0.9, 6.0]
    assert np.all(drop.probe("b", at).voltage == 0.0)
    d = np.maximum(at - 1.9, 0), np.maximum(at - 7.0, 0)
    v = sum(0.5 * 2.0 * (np.exp(-x / 2) - np.exp(-x)) for x in d)
    np.testing.assert_allclose(keep.probe("b", at).voltage[0, 0], v, atol=1e-14)
    assert len(keep.dropped) == 0
    assert keep.jacobian(of=[0, 1], wrt="input_to_a.weight")["input_to_a.weight"][0, 0] != 0.0
    assert keep.jacobian(of=[0, 1], wrt="*")["input_to_a.weight"][1, 0] == 0.0


def test_spikes_outside_the_recording_are_dropped_and_named():
    net, spikes = network()
    a = quiet(net, spikes, until=UNTIL)
    early = changed(a, lambda rng, t, u: (np.append(t, [0.0, 61.0]), np.append(u, [3, 2])))
    for on_fault in ("drop", "keep"):
        b = snnfp.record_from_spikes(
            net, spikes, {"h": early}, tolerance=1e-9, until=UNTIL, on_fault=on_fault
        )
        assert np.array_equal(b.times, a.times)
        assert b.dropped.reason.tolist() == ["outside"] * 4
        assert b.dropped.time.tolist() == [0.0, 61.0, 0.0, 61.0]
        assert b.dropped.neuron.tolist() == [3, 2, 3, 2]
        assert b.dropped.sample.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nothing_recorded_at_all(dtype):
    net, spikes = network(dtype)
    a = quiet(net, spikes, until=UNTIL)
    with pytest.raises(
        RecordedSpikeError, match=r"0 impossible spikes, \d+ crossings without a sp"
    ):
        snnfp.record_from_spikes(net, spikes, {}, tolerance=1e-3, until=UNTIL)
    b = snnfp.record_from_spikes(net, spikes, {}, tolerance=1e-3, until=UNTIL, on_fault="drop")
    assert b.n_spikes == 0
    # Without the others' spikes V is another one, but the first spike of all is told.
    for s in range(2):
        k = a.offsets[s]
        here = (b.missing.sample == s) & (b.missing.neuron == a.neurons[k])
        assert np.min(np.abs(b.missing.time[here] - a.times[k])) <= 1e-5
    assert np.all(b.missing.excess > 1e-3)
    assert np.all(np.isfinite(b.vjp(np.empty(0))["rec.weight"]))


@pytest.mark.parametrize("tolerance", [1e-9, 1e-4, np.inf])
def test_every_spike_taken_out_is_told(tolerance):
    """One at a time, of a network in which nobody hears another: V is the same up to there."""
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(5)
    h = net.population(6, snnfp.LIF(tau_mem=10.0, tau_syn=2.0, t_refractory=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.3, 0.12, (5, 6))))
    spikes = snnfp.Spikes.from_pairs([(rng.uniform(0, UNTIL, 40), rng.integers(0, 5, 40))], size=5)
    a = quiet(net, spikes, until=UNTIL)
    assert a.n_spikes >= 20
    told = 0
    for k in range(a.n_spikes):
        rest = np.delete(np.arange(a.n_spikes), k)
        given = snnfp.Spikes(a.times[rest], a.neurons[rest], [0, rest.size], size=6)
        b = snnfp.record_from_spikes(
            net, spikes, {"h": given}, tolerance=tolerance, until=UNTIL, on_fault="keep"
        )
        here = (b.missing.neuron == a.neurons[k]) & (np.abs(b.missing.time - a.times[k]) < 1e-9)
        after = b.residuals[b.neurons == a.neurons[k]][
            a.times[rest][a.neurons[rest] == a.neurons[k]] > a.times[k]
        ]
        if np.isfinite(tolerance):
            assert here.sum() == 1
        else:  # or the next spike is taken to be that one, much too late
            assert here.sum() == 1 or after[0] > 0.01
        told += here.sum()
        if here.any():
            _check_excess(net, spikes, b, a, int(np.flatnonzero(here)[0]))
    assert told >= 5


def _check_excess(net, spikes, b, a, row):
    """Against V of the same neuron, looked at in steps."""
    j, since = b.missing.neuron[row], b.missing.time[row]
    later = b.times[(b.neurons == j) & (b.times > since)]
    end = np.nextafter(later[0], 0) if later.size else UNTIL
    at = np.linspace(since, end, 4001)
    above = b.probe("h", at, units=[j]).voltage[0, 0] - 1.0
    below = np.flatnonzero(above[1:] < 0)
    if below.size:
        above = above[: below[0] + 1]
    assert b.missing.excess[row] == pytest.approx(above.max(), abs=1e-4)
    assert b.missing.excess[row] >= above.max() - 1e-9


def test_the_end_of_the_recording():
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=3.0))
    spikes = snnfp.Spikes([0.5], [0], [0, 1], size=1)
    (f,) = snnfp.simulate(net, spikes).times
    options = {"tolerance": 1e-9}
    for until in (None, f + 1e-3):
        with pytest.raises(RecordedSpikeError, match=r"neuron 0 of population h, sample 0, time"):
            snnfp.record_from_spikes(net, spikes, {}, until=until, **options)
    assert len(snnfp.record_from_spikes(net, spikes, {}, until=f, **options).missing) == 0


def test_a_simulator_on_a_grid_needs_a_tolerance_and_no_more():
    """Spikes a step late: what is beyond the tolerance is the same for residuals and crossings."""
    rng = np.random.default_rng(0)
    net, spikes = network(t_refractory=0.0)
    a = quiet(net, spikes, until=UNTIL)
    for step, least in ((0.1, 1e-3), (0.01, 1e-4)):
        # As a grid would: each spike is the network's own after the ones before it were moved.
        lists = [[], []]
        for s in range(2):
            alone = spikes[s]
            done: list[tuple[float, int]] = []
            while True:
                given = snnfp.Spikes.from_pairs([_pair(done)], size=12)
                b = snnfp.record_from_spikes(
                    net, alone, {"h": given}, tolerance=np.inf, until=UNTIL, on_fault="keep"
                )
                if not len(b.missing) or b.missing.time[0] >= 20.0:
                    break
                k = int(np.argmin(b.missing.time))
                done.append((np.ceil(b.missing.time[k] / step) * step, int(b.missing.neuron[k])))
            lists[s] = _pair(done)
        given = {"h": snnfp.Spikes.from_pairs(lists, size=12)}
        b = snnfp.record_from_spikes(net, spikes, given, tolerance=np.inf, until=20.0)
        largest = np.abs(b.residuals).max()
        assert least < largest < 0.2
        fits = snnfp.record_from_spikes(net, spikes, given, tolerance=largest * 1.001, until=20.0)
        assert len(fits.missing) == len(fits.impossible) == 0
        tight = {"tolerance": largest * 0.999, "until": 20.0, "on_fault": "keep"}
        beyond = snnfp.record_from_spikes(net, spikes, given, **tight)
        assert beyond.impossible.counts["residual"] == 1
    assert a.n_spikes and rng


def _pair(done):
    return np.array([t for t, _ in done]), np.array([j for _, j in done], dtype=int)


def test_threads_give_the_same_reports():
    net, spikes = network()
    many = snnfp.Spikes.concatenate([spikes] * 4)
    a = quiet(net, many, until=UNTIL)
    given = {"h": changed(a, jittered_twins)}
    for on_fault in ("drop", "keep"):
        options = {"tolerance": 0.05, "until": UNTIL, "on_fault": on_fault}
        records = [
            snnfp.record_from_spikes(net, many, given, n_threads=n, isa=isa, **options)
            for n, isa in ((1, "best"), (3, "best"), (8, "portable"))
        ]
        assert len(records[0].missing) > 10 and len(records[0].impossible) > 10
        for b in records[1:]:
            assert same_bits(b, records[0])
            assert np.array_equal(b.residuals, records[0].residuals)
            assert repr(b.missing) == repr(records[0].missing)
            assert np.array_equal(b.missing.excess, records[0].missing.excess)
            assert np.array_equal(b.impossible.value, records[0].impossible.value)
            assert np.array_equal(b.impossible.index, records[0].impossible.index)


def test_the_error_carries_the_report():
    net, spikes = random_network(np.random.default_rng(5), samples=3)
    a = quiet(net, spikes, until=8.0)
    given = {p: a.spikes(p) for p in net.populations}
    good = given["output"]
    assert good.times.size >= 2
    late = snnfp.Spikes(good.times + 1e-3, good.units, good.offsets, size=good.size)
    options = {"tolerance": 1e-9, "until": 8.0}
    with pytest.raises(RecordedSpikeError) as caught:
        snnfp.record_from_spikes(net, spikes, given | {"output": late}, **options)
    error = caught.value
    kept = snnfp.record_from_spikes(
        net, spikes, given | {"output": late}, on_fault="keep", **options
    )
    assert set(error.impossible.population) <= {"output"}
    for name in ("population", "neuron", "sample", "time", "reason", "value", "index"):
        assert np.array_equal(getattr(error.impossible, name), getattr(kept.impossible, name))
    for name in ("population", "neuron", "sample", "time", "excess"):
        assert np.array_equal(getattr(error.missing, name), getattr(kept.missing, name))
    assert np.array_equal(late.times[error.impossible.index], error.impossible.time)
    n = len(error.impossible)
    assert error.impossible.counts["residual"] == n
    assert f": {n} impossible spikes ({n} with V away from the threshold), " in str(error)
    assert f", {len(error.missing)} crossings without a spike" in str(error)


def test_tables_print_themselves():
    net, spikes = network()
    b = snnfp.record_from_spikes(net, spikes, {}, tolerance=np.inf, until=UNTIL, on_fault="keep")
    lines = repr(b.missing).split("\n")
    assert lines[0] == f"MissingSpikes: {len(b.missing)}"
    assert lines[1].split() == ["population", "neuron", "sample", "time", "excess"]
    assert lines[2].split()[0] == "h"
    assert lines[-1] == f"... and {len(b.missing) - 10} more"
    assert repr(b.impossible) == "ImpossibleSpikes: 0"
    with pytest.raises(ValueError, match="read-only"):
        b.missing.time[0] = 0.0
    simulated = quiet(net, spikes, until=UNTIL)
    assert len(simulated.missing) == len(simulated.impossible) == len(simulated.dropped) == 0


@pytest.mark.parametrize("on_fault", ["drop", "keep"])
def test_a_recording_in_another_unit_of_time_is_warned_of(on_fault):
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(1, snnfp.LIF(tau_mem=0.02, tau_syn=0.01), name="h")
    net.connect(x, h, snnfp.Dense(weight=500.0))
    spikes = snnfp.Spikes.from_lists([[[0.001]]])
    times = snnfp.simulate(net, spikes, until=0.05).times
    milliseconds = {h: snnfp.Spikes.from_lists([[list(times * 1000)]])}
    with pytest.warns(
        snnfp.errors.UnusedInputWarning,
        match=r"all recorded spikes lie outside 0 < time <= until = 0.05 \(the first at .*same unit",
    ):
        record = snnfp.record_from_spikes(
            net, spikes, milliseconds, tolerance=np.inf, until=0.05, on_fault=on_fault
        )
    assert record.n_spikes == 0
