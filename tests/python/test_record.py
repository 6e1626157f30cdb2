"""A record keeps what it was made with, whatever becomes of the network; it is copied and pickled."""

import copy
import pickle
import threading

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network, same_bits
from snnfp import _core
from snnfp._execution import execution

ONE_DELAY = _core.DelayPer.projection
KINDS = list(_core.ParameterKind.__members__)


def parameter(kind, index):
    return _core.Parameter(_core.ParameterKind[kind], index, _core.NeuronParameter.tau_mem)


def everything(record):
    """What a record answers, as bytes."""
    u = np.cos(np.arange(record.n_spikes))
    answers = [record.near_tangent, record.silent_fraction(), record.min_slope, repr(record)]
    for wrt in ("*", "*.weight"):
        for mode in ("reverse", "forward"):
            gradient = record.vjp(u, wrt=wrt, mode=mode)
            answers += [(k, v.tobytes()) for k, v in gradient.items()]
    for name in record.silent_fraction():
        answers += [record.first_spikes(name).tobytes(), record.counts(name).tobytes()]
        answers += [record.is_silent(name), record.fires(name).tobytes()]
        answers += [record.sent(name).tobytes(), record.spikes(name).times.tobytes()]
        answers += [record.probe(name, [0.5, 2.0]).voltage.tobytes()]
    answers += [record.sent("input").tobytes(), record.ends.tobytes(), record.residuals.tobytes()]
    answers += [v.tobytes() for v in record.jacobian(of="output", wrt="*").values()]
    return answers


def test_what_is_added_or_set_later_changes_nothing():
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    before = everything(record)
    late = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="late")
    net.connect(net.populations["hidden"], late, snnfp.Dense(weight=1.0))
    net.input(2, name="more")
    for name, value in net.parameters.items():
        if not name.endswith("v_reset"):
            net.parameters[name] = value * 1.5 + 0.5
    assert everything(record) == before
    assert "late.tau_mem" in net.select("*")
    for call in (record.counts, record.first_spikes, record.is_silent, record.indices):
        with pytest.raises(KeyError, match=r"'late' is not a population.*one of: hidden, output"):
            call("late")
    with pytest.raises(KeyError, match=r"'late.weight' matches no parameter"):
        record.vjp(np.zeros(record.n_spikes), wrt="late.weight")


def test_a_name_looked_up_before_and_after_the_structure_changes():
    """Names found for patterns are kept for the next record, but not across structures."""
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    u = np.zeros(record.n_spikes)
    names = list(record.vjp(u, wrt="*"))
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="late")
    assert len(net.select("*")) == len(names) + 7
    assert list(record.vjp(u, wrt="*")) == names
    again = quiet(net, spikes, until=8.0)
    assert list(again.vjp(u, wrt="*")) == list(net.select("*"))
    assert list(record.vjp(u, wrt="*")) == names


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "copied",
    [lambda r: pickle.loads(pickle.dumps(r)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_copies_have_the_same_bits(copied, dtype):
    for seed, options in enumerate(
        (
            {},
            {"stop_after": ["output"]},
            {"first_spikes_of": ["output"]},
            {"initial": {"hidden": (0.3, np.linspace(0, 1, 6)), "output": (0.1, 0.0)}},
            {"n_threads": 1, "isa": "portable"},
        )
    ):
        net, spikes = random_network(np.random.default_rng(seed), dtype=dtype, samples=3)
        record = quiet(net, spikes, until=8.0, **options)
        twin = copied(record)
        assert same_bits(twin, record)
        assert twin.times.dtype == dtype
        if not options.get("stop_after"):
            assert everything(twin) == everything(record)
        u = np.cos(np.arange(record.n_spikes))
        for name, g in record.vjp(u, wrt="*").items():
            assert np.array_equal(twin.vjp(u, wrt="*")[name], g)
        assert np.array_equal(twin.ends, record.ends)
        again = copied(twin)
        assert same_bits(again, record)


def test_a_copy_outlives_the_network():
    net, spikes = random_network(np.random.default_rng(3))
    record = quiet(net, spikes, until=8.0)
    sent = pickle.dumps(record)
    before = everything(record)
    del record
    net.parameters["hidden.bias"] = 0.7
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="late")
    twin = pickle.loads(sent)
    assert everything(twin) == before


@pytest.mark.parametrize("on_fault", ["drop", "keep"])
def test_copies_of_recordings_keep_their_reports(on_fault):
    net, spikes = random_network(np.random.default_rng(5), samples=3)
    a = quiet(net, spikes, until=8.0)
    given = {}
    for name in net.populations:
        s = a.spikes(name)
        t, u = np.append(s.times, s.times), np.append(s.units, s.units)
        sample = np.repeat(np.arange(3), np.diff(s.offsets))
        sample = np.append(sample, sample)
        lists = [(t[sample == k] * 1.01, u[sample == k]) for k in range(3)]
        given[name] = snnfp.Spikes.from_pairs(lists, size=s.size)
    record = snnfp.record_from_spikes(
        net, spikes, given, tolerance=0.01, until=8.0, on_fault=on_fault
    )
    assert len(record.missing) and len(record.impossible)
    for twin in (pickle.loads(pickle.dumps(record)), copy.deepcopy(record)):
        assert everything(twin) == everything(record)
        for table in ("missing", "impossible", "dropped"):
            assert repr(getattr(twin, table)) == repr(getattr(record, table))
        assert np.array_equal(twin.impossible.index, record.impossible.index)


@pytest.mark.parametrize("bad", [-1, 2, 10**8])
def test_indices_of_populations_that_cross_into_the_core(bad):
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    u, run, zeros = np.zeros(record.n_spikes), execution(1), np.zeros(2)
    for method, *arguments in (
        (record._core.first_spikes, bad),
        (record._core.silent, bad),
        (record._core.vjp, u, [parameter("neuron", bad)], run),
        (net._core.set_parameter, bad, _core.NeuronParameter.tau_mem, zeros),
        (net._core.connect_dense, False, bad, 0, zeros, zeros[:1], "a", ONE_DELAY),
        (net._core.connect_dense, False, 0, bad, zeros, zeros[:1], "a", ONE_DELAY),
        (net._core.connect_one_to_one, True, bad, 0, zeros, zeros[:1], "a", ONE_DELAY),
    ):
        with pytest.raises(ValueError, match=rf"(population|input)( is| is population|) {bad}\b"):
            method(*arguments)
            pytest.fail(f"{method.__name__}{arguments}")


@pytest.mark.parametrize("bad", [-1, 9, 10**8])
def test_other_indices_that_cross_into_the_core(bad):
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    u, run, zeros = np.zeros(record.n_spikes), execution(1), np.zeros(2)
    rows = np.zeros(1, dtype=np.int64)
    for method, *arguments in (
        (net._core.set_weight, bad, zeros),
        (net._core.set_delay, bad, zeros, ONE_DELAY),
        *((record._core.vjp, u, [parameter(kind, bad)], run) for kind in KINDS[1:]),
        *((record._core.jvp, [parameter(kind, bad)], u, run) for kind in KINDS[1:]),
        *((record._core.jacobian_columns, rows, [parameter(k, bad)], run) for k in KINDS[1:]),
        (record._core.probe, [bad], [1.0], run),
    ):
        with pytest.raises(ValueError, match=rf" {bad}\b.*expected"):
            method(*arguments)
            pytest.fail(f"{method.__name__}{arguments}")


def test_other_counts_that_cross_into_the_core():
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    run, one, weight = execution(1), np.zeros(1), parameter("weight", 0)
    with pytest.raises(ValueError, match="2 parameters of h, expected 7"):
        net._core.add_population("h", 1, {p: one for p in list(_core.NeuronParameter)[:2]})
    for row in (record.n_spikes, -2):
        with pytest.raises(ValueError, match=f"of the rows is {row}, expected -1 or 0 <= spike"):
            record._core.jacobian(np.array([row]), [weight], np.empty((1, 24)), run)
    with pytest.raises(ValueError, match="n_threads is -2"):
        bad = _core.Execution(-2, _core.Isa.best, False)
        record._core.vjp(np.zeros(record.n_spikes), [weight], bad)


def test_faults_that_cross_into_the_core():
    """A record that was pickled elsewhere may hold anything."""
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    state = pickle.loads(pickle.dumps(record.__getstate__()))
    fault = [np.zeros(1, t) for t in (np.int64, np.int64, np.int32, float, np.uint8, float)]
    fault[4][:] = len(_core.ImpossibleReason)
    state["core"] = (*state["core"][:2], tuple(fault), *state["core"][3:])
    with pytest.raises(ValueError, match="reason is 4, expected 0 <= reason < 4"):
        object.__new__(snnfp.Record).__setstate__(state)


@pytest.mark.parametrize("n_threads", [1, 3, None])
def test_threads_of_a_call_are_its_own(n_threads, monkeypatch):
    """As many as asked for, or else as many as for the simulation; the same bits."""
    net, spikes = random_network(np.random.default_rng(0), samples=4)
    record = quiet(net, spikes, until=8.0, n_threads=2)
    u, seen = np.cos(np.arange(record.n_spikes)), []
    monkeypatch.setattr(
        "snnfp.spike_record.execution", lambda n, isa: seen.append((n, isa)) or execution(n, isa)
    )
    for call in (
        lambda **n: record.vjp(u, wrt="*", **n)["input.times"],
        lambda **n: record.vjp(u, wrt="*", mode="forward", **n)["input.times"],
        lambda **n: record.jvp({"input.times": np.ones(spikes.times.size)}, **n),
        lambda **n: record.jacobian(of="output", wrt="input.times", **n)["input.times"],
        lambda **n: next(record.jacobian_blocks(of="output", **n))[2],
        lambda **n: record.probe("hidden", [1.0, 2.0], **n).voltage,
    ):
        assert np.array_equal(call(n_threads=n_threads), call())
    assert seen[::2] == [(n_threads or 2, "best")] * 6 and seen[1::2] == [(2, "best")] * 6
    with pytest.raises(ValueError, match="n_threads is 0, expected at least 1, or None for all"):
        record.vjp(u, n_threads=0)


@pytest.mark.parametrize("call", ["simulate", "record_from_spikes"])
def test_what_another_thread_changes_meanwhile(monkeypatch, call):
    """A record is of the network as it was when the call began."""
    net, spikes = random_network(np.random.default_rng(3))
    first = quiet(net, spikes, until=8.0)
    given = {name: first.spikes(name) for name in net.populations}
    before = net.parameters["hidden.tau_mem"]
    work = getattr(_core, call)

    def changed_meanwhile(*arguments):
        net.parameters["hidden.tau_mem"] = 2 * before
        net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="late")
        return work(*arguments)

    monkeypatch.setattr(_core, call, changed_meanwhile)
    if call == "simulate":
        record = quiet(net, spikes, until=8.0)
    else:
        record = snnfp.record_from_spikes(net, spikes, given, tolerance=1e-9, until=8.0)
    monkeypatch.undo()
    assert "late" in net.populations
    ones = np.ones(record.n_spikes)
    for other in (record, pickle.loads(pickle.dumps(record))):
        assert np.array_equal(other.times, first.times)
        assert "late" not in other.silent_fraction()
        gradient, wanted = (r.vjp(ones, wrt="*") for r in (other, first))
        assert list(gradient) == list(wanted)
        assert all(np.array_equal(gradient[k], wanted[k]) for k in wanted)
    assert quiet(net, spikes, until=8.0).silent_fraction("late") == 1.0


class Interrupted:
    """The core of a network, with another thread's work after the n-th step of this name."""

    def __init__(self, core, step, work, n=1):
        self._core, self._thread = core, threading.Thread(target=work)
        self._step, self._left = step, n

    def __getattr__(self, name):
        method = getattr(self._core, name)

        def call(*arguments):
            out = method(*arguments)
            if name == self._step:
                self._left -= 1
                if self._left == 0:
                    self._thread.start()
                    self._thread.join(0.5)  # it may have to wait for what is under way
            return out

        return call

    def __copy__(self):
        return self.__getattr__("__copy__")()

    def join(self):
        self._thread.join()
        return self._core


@pytest.mark.parametrize("step", ["__copy__", "set_parameter"])
def test_a_record_is_of_one_moment(step):
    """What it keeps of the network is what was simulated, whenever another thread sets values."""
    net, spikes = random_network(np.random.default_rng(3))
    records = []

    def change():
        net.parameters["hidden.tau_mem"] = 1.5 * net.parameters["hidden.tau_mem"]

    def run():
        records.append(quiet(net, spikes, until=8.0))

    first, second = (run, change) if step == "__copy__" else (change, run)
    before = net.parameters["hidden.tau_mem"]
    net._core = Interrupted(net._core, step, second)
    first()
    net._core = net._core.join()
    assert np.array_equal(net.parameters["hidden.tau_mem"], 1.5 * before)
    (record,) = records
    ones = np.ones(record.n_spikes)
    assert record.n_spikes
    kept, simulated = (r.vjp(ones) for r in (pickle.loads(pickle.dumps(record)), record))
    assert all(np.array_equal(kept[k], simulated[k]) for k in simulated)


def test_a_network_copied_while_values_are_set_has_all_of_them_or_none():
    net, _ = random_network(np.random.default_rng(3))
    before = dict(net.parameters)
    names = ["hidden.tau_mem", "hidden.tau_syn"]
    copies = []
    net._core = Interrupted(
        net._core, "set_parameter", lambda: copies.append(copy.deepcopy(net)), 2
    )
    net.unflatten(2 * net.flatten(names), names)
    net._core = net._core.join()
    (made,) = copies
    assert len({tuple(made.parameters[n] / before[n]) for n in names}) == 1
    copy.deepcopy(made).parameters["hidden.tau_mem"] = 1.0  # has a lock of its own
