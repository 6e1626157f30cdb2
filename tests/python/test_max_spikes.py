"""At most n spikes a neuron: against the plain equations, every simulator, exact gradients."""

import dataclasses
import pickle
import re

import numpy as np
import pytest
import snnfp
from mpmath import mp, mpf
from networks import distance, quiet, same_bits
from reference.sensitivities import NEURON, jacobian
from reference.simulation import simulate as plain_simulate
from snnfp import Dense, Sparse, Spikes
from test_reference import build

UNTIL = 6.0


def limited(net, most):
    """The same network whose neurons fire at most so many spikes."""
    other = pickle.loads(pickle.dumps(net))
    new = snnfp.Network(net.dtype)
    for group in other.inputs.values():
        new.input(group.size, name=group.name)
    for p in other.populations.values():
        values = {k: other.parameters[f"{p.name}.{k}"] for k in snnfp.neurons.NEURON_PARAMETERS}
        new.population(p.size, snnfp.LIF(**values), name=p.name, max_spikes=most)
    for q in other.projections.values():
        given = {k: other.parameters[f"{q.name}.{k}"] for k in ("weight", "delay")}
        ends = {"sources": q.sources, "targets": q.targets} if q.sparse else {}
        new.connect(q.source, q.target, (Sparse if q.sparse else Dense)(**ends, **given))
    return new


def test_against_the_plain_equations():
    """Spikes, and every derivative in both modes; the limit cuts in."""
    cut = checked = 0
    for seed, most in ((s, m) for s in range(8) for m in (1, 2, 3)):
        with mp.workdps(40):
            neurons, synapses, inputs, free, spikes = build(seed)
            result = plain_simulate(neurons, synapses, inputs, mpf(6), max_spikes=most)
            rows, columns = jacobian(neurons, synapses, inputs, result)
            expected = np.array([[float(x) for x in row] for row in rows])
        net = limited(free, most)
        record = quiet(net, spikes, until=UNTIL)
        assert record.neurons.tolist() == [j for _, j, _ in result.spikes]
        if not record.n_spikes:
            continue
        cut += quiet(free, spikes, until=UNTIL).counts("h").max() > record.counts("h").max() == most
        condition = max(1.0, 1 / record.min_slope)
        times = [float(t) for t, _, _ in result.spikes]
        np.testing.assert_allclose(record.times, times, rtol=4e-15 * condition)
        got = record.jacobian(of=np.arange(record.n_spikes), wrt="*")
        wanted = {
            "input_to_h.weight": expected[:, columns.weight[:4]],
            "h_to_h.weight": expected[:, columns.weight[4:]],
            "h_to_h.delay": expected[:, columns.delay[4:]],
            "input.times": expected[:, columns.input],
        } | {f"h.{k}": expected[:, columns.neuron[k]] for k in NEURON if k != "tau_mem"}
        for name, value in wanted.items():
            scale = max(1.0, np.max(np.abs(value)))
            np.testing.assert_allclose(
                got[name], value, atol=1e-12 * condition * scale, err_msg=name
            )
            checked += value.size
        ones = np.linspace(-1.0, 1.0, record.n_spikes)
        both = [record.vjp(ones, wrt="*", mode=m) for m in ("forward", "reverse")]
        assert distance(*both) < 1e-12 * condition
    assert cut > 8 and checked > 2000


def network(kind, most, dtype=np.float64, t_refractory=None):
    """Two populations, each simulated in a way of its own; neurons that like to fire."""
    rng = np.random.default_rng(3)
    net = snnfp.Network(dtype)
    x = net.input(6, name="x")
    refractory = t_refractory if t_refractory is not None else rng.choice([0.0, 0.2], 20)
    lif = snnfp.LIF(tau_mem=2.0, tau_syn=1.0, t_refractory=refractory, bias=0.1)
    h = net.population(20, lif, name="h", max_spikes=most)
    y = net.population(
        4, snnfp.LIF(tau_mem=3.0, tau_syn=0.5), name="y", max_spikes=most and most + 1
    )
    net.connect(x, h, Dense(weight=rng.normal(0.9, 0.5, (6, 20))))
    net.connect(h, y, Dense(weight=rng.normal(0.4, 0.3, (20, 4)), delay=0.3))
    around = rng.normal(0.1, 0.3, (20, 20))
    if kind == "loop":
        net.connect(h, h, Dense(weight=around, delay=0.0))
    elif kind == "windows":
        net.connect(h, h, Dense(weight=around, delay=0.5))
    elif kind == "queue":
        i, j = np.nonzero(rng.random((20, 20)) < 0.2)
        net.connect(h, h, Sparse(sources=i, targets=j, weight=around[i, j], delay=0.0))
    return net


def batch(samples=3, each=40):
    rng = np.random.default_rng(4)
    pairs = [(rng.uniform(0, 5, each), rng.integers(0, 6, each)) for _ in range(samples)]
    return Spikes.from_pairs(pairs, size=6)


# Where rows reach a layer whose neurons come out of refractory times they run in windows.
KINDS = {
    "layer": ("layer", {"t_refractory": 0.0}, {}),
    "layer with refractory times": ("layer", {}, {}),
    "windows of a layer": ("windows", {}, {"each": 400}),
    "loop": ("loop", {}, {}),
    "windows": ("windows", {}, {}),
    "queue": ("queue", {}, {}),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("most", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_simulator(kind, most, dtype):
    solver, options, input_options = KINDS[kind]
    net, spikes = network(kind, most, dtype, **options), batch(**input_options)
    free = network(kind, None, dtype, **options)
    record = snnfp.simulate(net, spikes, until=UNTIL)
    if not (solver == "windows" and most == 1 and "layer" in kind):
        assert record.components[0].solver == solver
    whole = snnfp.simulate(free, spikes, until=UNTIL)
    for name, limit in (("h", most), ("y", most + 1)):
        assert record.counts(name).max() == limit < whole.counts(name).max()
    queue = snnfp.simulate(net, spikes, until=UNTIL, engine="queue")
    assert np.array_equal(record.neurons, queue.neurons)
    np.testing.assert_allclose(record.times, queue.times, rtol=100 * np.finfo(dtype).eps)
    for threads in (1, 2):
        assert same_bits(record, snnfp.simulate(net, spikes, until=UNTIL, n_threads=threads))
    if kind not in ("loop", "windows", "queue"):  # nothing feeds back: the first ones of all
        at = [k for s in range(3) for j in range(20) for k in _of(whole, s, j)[:most]]
        mine = [k for s in range(3) for j in range(20) for k in _of(record, s, j)]
        assert np.array_equal(whole.times[at], record.times[mine])


def _of(record, sample, neuron):
    return np.flatnonzero((record.samples == sample) & (record.neurons == neuron))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    _, options, input_options = KINDS[kind]
    net, spikes = network(kind, 2, **options), batch(**input_options)
    record = snnfp.simulate(net, spikes, until=UNTIL)
    ones = np.linspace(-1.0, 1.0, record.n_spikes)
    both = [record.vjp(ones, wrt="*", mode=m) for m in ("forward", "reverse")]
    assert distance(*both) < 1e-12 * max(1.0, 1 / record.min_slope)

    def loss(r, _):
        return float(np.sum(np.sin(r.times))), np.cos(r.times)

    found = snnfp.testing.check_gradient(
        net, spikes, None, loss, until=UNTIL, max_elements=10, tolerance=1e-7
    )
    assert found.ok and found.checked > 40, found


def test_the_record_knows():
    """Voltages, copies, other recordings, samples that end early and files keep the limit."""
    net, spikes = network("queue", 2), batch()
    record = snnfp.simulate(net, spikes, until=UNTIL)
    last = {j: record.times[_of(record, 0, j)] for j in range(20)}
    held = [j for j, t in last.items() if t.size == 2]
    assert len(held) > 10
    times = np.array([5.5, 6.0])
    seen = record.probe("h", times, units=held)
    after = np.array([last[j][-1] for j in held])[:, None] < times
    assert after.any() and np.all(seen.voltage[0][after] == 0.0)
    twin = pickle.loads(pickle.dumps(record))
    assert same_bits(twin, record)
    assert np.array_equal(twin.probe("h", times, units=held).voltage, seen.voltage)
    # Spikes as recorded elsewhere: the third of a neuron is one that cannot be.
    own = {name: record.spikes(name) for name in ("h", "y")}
    again = snnfp.record_from_spikes(net, spikes, own, until=UNTIL, tolerance=1e-9)
    assert not len(again.missing.time) and not len(again.impossible.time)
    ones = np.ones(record.n_spikes)
    assert distance(record.vjp(ones, wrt="*"), again.vjp(ones, wrt="*")) < 1e-9
    whole = snnfp.simulate(network("queue", None), spikes, until=UNTIL)
    counts = whole.counts("h")
    most = counts[0].max()
    assert most > 2
    said = r"neuron (\d+) of population h, sample 0, time .*: the population has max_spikes = 2, but (\d+) of the neuron are recorded in this sample, expected at most 2"
    with pytest.raises(snnfp.errors.RecordedSpikeError, match=said) as e:
        snnfp.record_from_spikes(
            net, spikes, {n: whole.spikes(n) for n in own}, until=UNTIL, tolerance=np.inf
        )
    for neuron, count in re.findall(said, str(e.value)):
        assert counts[0, int(neuron)] == int(count) > 2
    late = e.value.impossible
    assert np.all(late.value[late.reason == "refractory"] == np.inf)
    ended = snnfp.simulate(net, spikes, until=UNTIL, stop_after=["y"])
    assert np.array_equal(ended.first_spikes("y"), record.first_spikes("y"))
    first = snnfp.simulate(net, spikes, until=UNTIL, first_spikes_of=["y"])
    assert first.counts("y").max() == 1 and first.counts("h").max() == 2


def test_structure_and_errors(tmp_path):
    net = network("loop", 2)
    assert net.populations["h"].max_spikes == 2 and net.populations["y"].max_spikes == 3
    assert net.structure()["max_spikes"] == {"h": 2, "y": 3}
    assert "max_spikes" not in network("loop", None).structure()
    assert pickle.loads(pickle.dumps(net)).fingerprint() == net.fingerprint()
    pytest.importorskip("safetensors")
    net.save(tmp_path / "net")
    network("loop", 2).load(tmp_path / "net")
    with pytest.raises(snnfp.errors.FormatError, match="of another network: max_spikes"):
        network("loop", 3).load(tmp_path / "net")
    with pytest.raises(
        snnfp.errors.FormatError, match=r"max_spikes there: {'h': 2, 'y': 3}, here: none"
    ):
        network("loop", None).load(tmp_path / "net")
    network("loop", None).save(tmp_path / "free")
    with pytest.raises(
        snnfp.errors.FormatError, match=r"max_spikes there: none, here: {'h': 2, 'y': 3}"
    ):
        network("loop", 2).load(tmp_path / "free")
    for bad, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match=f"max_spikes of population h is {bad}"):
            snnfp.Network().population(
                2, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h", max_spikes=bad
            )
    # A neuron that would run away does not.
    wild = snnfp.Network()
    wild.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0, bias=1e6), name="h", max_spikes=5)
    assert snnfp.simulate(wild, None, until=1e3, spike_limit=10).n_spikes == 5


def driven(limit, tau_mem, tau_syn, kind, dtype):
    """Neurons that fire for ever but for a limit, and what they join."""
    rng = np.random.default_rng(7)
    n = 6
    held = np.inf if limit == "t_refractory" else rng.choice([0.0, 0.4], n)
    lif = snnfp.LIF(tau_mem=tau_mem, tau_syn=tau_syn, bias=rng.uniform(0.8, 2.0, n))
    lif = dataclasses.replace(lif, t_refractory=held)
    net = snnfp.Network(dtype)
    x = net.input(3, name="x")
    h = net.population(n, lif, name="h", max_spikes=3 if limit == "max_spikes" else None)
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    net.connect(x, h, Dense(weight=rng.normal(0.4, 0.4, (3, n)), delay=rng.uniform(0, 1, (3, n))))
    net.connect(h, y, Dense(weight=rng.normal(0.6, 0.3, (n, 2)), delay=0.3))
    if kind == "loop":
        net.connect(h, h, Dense(weight=rng.normal(0.0, 0.2, (n, n)), delay=0.2))
    elif kind == "sparse loop":
        i, j = np.nonzero(rng.random((n, n)) < 0.5)
        net.connect(h, h, Sparse(sources=i, targets=j, weight=rng.normal(0, 0.2, i.size)))
    return net


ENDLESS = {"bias": (2.0, 1.0), "no leak": (np.inf, 1.0), "current": (2.0, np.inf)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["layer", "loop", "sparse loop"])
@pytest.mark.parametrize("limit", ["max_spikes", "t_refractory", "first_spikes_of"])
@pytest.mark.parametrize("drive", ENDLESS)
def test_a_limit_ends_what_would_fire_for_ever(drive, limit, kind, dtype):
    """Without ``until`` there are the spikes of a late one; so also where that is 10^308."""
    net = driven(limit, *ENDLESS[drive], kind, dtype)
    spikes = Spikes.from_latencies(np.random.default_rng(8).uniform(0, 4, (5, 3)))
    options = {"first_spikes_of": ["h"]} if limit == "first_spikes_of" else {}
    late = snnfp.simulate(net, spikes, until=1e4, **options)
    assert late.counts("h").max() == (3 if limit == "max_spikes" else 1)
    assert late.fires("h").all()
    last = float(np.finfo(dtype).max) / 2
    for end in ({}, {"until": last}):
        for engine in ("automatic", "queue"):
            record = snnfp.simulate(net, spikes, engine=engine, **end, **options)
            assert same_bits(record, late)
            ones = np.ones(record.n_spikes)
            by = record.vjp(ones, wrt="*"), late.vjp(ones, wrt="*")
            assert all(np.array_equal(by[0][name], by[1][name]) for name in by[0])
    times = np.linspace(0.0, 40.0, 9)
    for got, wanted in zip(record.probe("h", times)[:2], late.probe("h", times)[:2], strict=True):
        np.testing.assert_array_equal(got, wanted)
    if limit != "first_spikes_of":
        given = {name: late.spikes(name) for name in net.populations}
        told = snnfp.record_from_spikes(net, spikes, given, tolerance=1e-3)
        assert not told.missing.sample.size and not told.impossible.sample.size


def test_others_still_need_an_end():
    """A limit of one population does not stop another."""
    net = driven("max_spikes", 2.0, 1.0, "layer", np.float64)
    empty = Spikes([], [], [0, 0], size=3)
    assert snnfp.simulate(net, empty).counts("h").max() == 3
    net.parameters["y.bias"] = 1.0
    for options in ({}, {"first_spikes_of": ["h"]}):
        with pytest.raises(
            ValueError, match=r"population y fires for ever: .*max_spikes would end"
        ):
            snnfp.simulate(net, empty, **options)
    assert snnfp.simulate(net, empty, first_spikes_of=["y"]).counts("y").max() == 1
    net.parameters["y.bias"] = 0.0
    net.parameters["y.tau_syn"] = np.inf
    with pytest.raises(ValueError, match="neuron 0 of population y has tau_syn = inf"):
        snnfp.simulate(net, empty)


def test_recorded_spikes_of_a_neuron_that_fires_once():
    """By its refractory time, not by max_spikes, which allows more."""
    net = snnfp.Network()
    x = net.input(1, name="x")
    lif = snnfp.LIF(tau_mem=1.0, tau_syn=1.0, t_refractory=np.inf)
    net.connect(x, net.population(1, lif, name="h", max_spikes=3), Dense(weight=9.0))
    recorded = {"h": Spikes.from_lists([[[0.3, 0.6]]])}
    with pytest.raises(
        snnfp.errors.RecordedSpikeError, match="refractory for ever after a spike, expected no"
    ) as e:
        snnfp.record_from_spikes(
            net, Spikes.from_lists([[[0.0]]]), recorded, until=UNTIL, tolerance=np.inf
        )
    assert e.value.impossible.value.tolist() == [np.inf]
