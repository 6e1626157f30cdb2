"""What the compiled module says to arrays and indices that do not fit: an error, never a crash."""

import numpy as np
import pytest
from snnfp import _core
from snnfp._core import NeuronParameter, Parameter, ParameterKind

RUN = _core.Execution(2, _core.Isa.best, False)
NONE = np.array([])
ONE = [(1.0, 0.1, 0.0, 0.0)]


def ones(n=5):
    return np.ones(n)


def slot(*moments, size=5, row=1):
    first, second = (*moments, None, None)[:2]
    return _core.SlotFloat64(size, row, first, second, None, None, None)


def adam(*slots, step=1):
    n = len(slots)
    arrays = [ones()] * n, [ones()] * n, [None] * n
    return _core.adam_step(0.9, 0.99, 1e-8, step, list(slots), *arrays, ONE * n, RUN)


def sgd(momentum, one):
    return _core.sgd_step(momentum, False, [one], [ones()], [ones()], [None], ONE, RUN)


def twice():
    one = slot(ones(), ones())
    return adam(one, one)


STEPS = {
    "no moments": (lambda: adam(slot()), r"first \(the mean, or the velocity\) is missing"),
    "no mean square": (lambda: adam(slot(ones())), r"second \(the mean square\) is missing"),
    "step 0": (lambda: adam(slot(ones(), ones()), step=0), "step is 0, expected at least 1"),
    "step -1": (lambda: adam(slot(ones(), ones()), step=-1), "step is -1, expected at least 1"),
    "no slot": (lambda: adam(None), "slot 0 is None, expected one for each parameter"),
    "a slot twice": (twice, "slot 1 is there twice, expected one for each parameter"),
    "a short moment": (lambda: adam(slot(ones(3), ones())), "first has 3 elements, expected 5"),
    "another size": (lambda: adam(slot(ones(), ones(), size=4)), "has 5 elements, expected 4"),
    "a size below 0": (lambda: slot(size=-1), "size is -1, expected at least 0"),
    "no velocity": (lambda: sgd(0.9, slot()), r"first \(the mean, or the velocity\) is missing"),
    "what is frozen": (
        lambda: _core.square_sums([ones()], [np.zeros(3, bool)], RUN),
        "frozen has 3 elements, expected 5",
    ),
    "first spikes, labels": (
        lambda: _core.cross_entropy(ones(5), np.zeros(2, np.int64), 1.0, 1.0, 0.0, 9.0),
        "5 first spikes for 2 labels, expected as many for each",
    ),
    "first spikes, outputs": (
        lambda: _core.first_to_fire(ones(5), 3),
        "5 first spikes of 3 outputs, expected whole samples",
    ),
    "first spikes of no output": (
        lambda: _core.first_to_fire(ones(5), 0),
        "5 first spikes of 0 outputs, expected whole samples",
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps_and_first_spikes(case):
    call, message = STEPS[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_plain_descent_needs_no_velocity():
    ((new, average),) = sgd(0.0, slot(row=2**62))
    assert np.array_equal(new, np.full(5, 0.9)) and average is None


@pytest.mark.parametrize(
    "offsets, sample, message",
    [
        ([0, 2, 9], 1, "offsets of sample 1 are 2 and 9, expected 0 <= .* at most 4 spikes"),
        ([0, 3, 1, 4], 1, "offsets of sample 1 are 3 and 1, expected"),
        ([-5, 2], 0, "offsets of sample 0 are -5 and 2, expected"),
        ([], 0, "sample is 0, expected 0 <= sample < 0"),
        ([0, 2, 4], 2, "sample is 2, expected 0 <= sample < 2"),
        ([0, 2, 4], -1, "sample is -1, expected 0 <= sample < 2"),
    ],
)
def test_samples_that_are_not_there(offsets, sample, message):
    times, units = np.arange(4.0), np.zeros(4, np.int32)
    with pytest.raises(ValueError, match=message):
        _core.take_samples(times, units, np.array(offsets, np.int64), np.array([sample]))
    with pytest.raises(ValueError, match="4 times and 2 units, expected as many"):
        _core.take_samples(times, units[:2], np.array([0, 4]), np.array([0]))


# -- networks and records ------------------------------------------------------------------------


def lif():
    values = {
        "tau_mem": 10.0, "tau_syn": 5.0, "threshold": 1.0, "v_reset": 0.0, "t_refractory": 4.0,
        "bias": 0.0, "capacitance": 1.0,
    }  # fmt: skip
    return {getattr(NeuronParameter, k): np.array(v) for k, v in values.items()}


def network():
    net = _core.NetworkFloat64()
    net.add_input("x", 3)
    net.add_population("h", 4, lif())
    net.add_population("y", 2, lif())
    net.connect_dense(True, 0, 0, np.full((3, 4), 0.8), np.array(0.5), "xh")
    net.connect_dense(False, 0, 1, np.full((4, 2), 0.8), np.array(0.5), "hy")
    return net


TIMES, UNITS = np.array([0.0, 1.0, 2.0, 0.5]), np.array([0, 1, 2, 0], np.int32)
OFFSETS = np.array([0, 3, 4])


def simulated(offsets=OFFSETS, units=UNITS, first=(), stop=()):
    given = [(TIMES, np.asarray(units, np.int32), np.asarray(offsets))]
    return _core.simulate(
        network(), given, 0, 50.0, 1000, _core.Engine.automatic, NONE, NONE, list(first),
        list(stop), RUN,
    )  # fmt: skip


def restored(record, **changed):
    """A record put together again, with one value of it changed: (column, index, value)."""
    columns = ("offsets", "times", "neurons", "slopes", "release_currents", "residuals")
    parts = {k: np.array(getattr(record, k)) for k in columns}
    missing = [np.zeros(1, t) for t in (np.int64, np.int32, float, float)]
    impossible = [
        np.zeros(1, t) for t in (np.int64, np.int64, np.int32, float, np.uint8, float)
    ]  # fmt: skip
    for name, (column, index, value) in changed.items():
        {"parts": parts, "missing": missing, "impossible": impossible}[name][column][index] = value
    return _core.restore(
        network(), [(TIMES, UNITS, OFFSETS)], tuple(parts.values()), tuple(missing),
        tuple(impossible), 50.0, NONE, NONE, [], [],
    )  # fmt: skip


def weight(index):
    return [Parameter(ParameterKind.weight, index, NeuronParameter.tau_mem)]


def sparse(targets, rows):
    return network().connect_sparse(
        True, 0, 0, np.array(rows), np.array(targets, np.int32), np.ones(1), np.array(0.0), "z"
    )


def listened(sender, readout=0):
    net = _core.NetworkFloat64()
    net.add_input("h", 4)
    net.add_population("r", 2, lif())
    net.connect_dense(True, 0, 0, np.ones(8), np.array(0.0), "hr")
    heard = _core.listen(simulated(), net, [sender], NONE, NONE)
    return _core.read(heard, readout, _core.ReadoutValue.voltage, np.array([1.0]), 1.0, RUN)


BAD = [-(2**31), -2, 99, 2**31 - 1]
CALLS = {
    "first_spikes": lambda r, k: r.first_spikes(k),
    "silent": lambda r, k: r.silent(k),
    "first_times": lambda r, k: _core.first_times(r, k),
    "of_first_spikes": lambda r, k: _core.of_first_spikes(r, k, np.ones(4)),
    "first_spikes_of": lambda r, k: simulated(first=[k]),
    "stop_after": lambda r, k: simulated(stop=[k]),
    "probe": lambda r, k: r.probe([k], [1.0], RUN),
    "rows": lambda r, k: r.jacobian(np.array([k]), weight(0), np.zeros((1, 12)), RUN),
    "columns from": lambda r, k: r.jacobian_columns(np.array([0]), weight(0), RUN).solve(
        k, 12, np.zeros((1, 12))
    ),
    "columns to": lambda r, k: r.jacobian_columns(np.array([0]), weight(0), RUN).solve(
        0, k, np.zeros((1, 12))
    ),
    "vjp": lambda r, k: r.vjp(np.ones(len(r.times)), weight(k), RUN),
    "jvp": lambda r, k: r.jvp(weight(k), np.ones(12), RUN),
    "set_parameter": lambda r, k: network().set_parameter(k, NeuronParameter.bias, np.array(0.0)),
    "set_weight": lambda r, k: network().set_weight(k, np.ones(12)),
    "set_delay": lambda r, k: network().set_delay(k, np.array(1.0)),
    "source": lambda r, k: network().connect_dense(True, k, 0, np.ones(12), np.array(0.0), "z"),
    "target": lambda r, k: network().connect_dense(True, 0, k, np.ones(12), np.array(0.0), "z"),
    "targets": lambda r, k: sparse([k], [0, 1, 1, 1]),
    "row_offsets": lambda r, k: sparse([0], [0, k, 1, 1]),
    "weight_of": lambda r, k: network().connect_dense(
        True, 0, 0, np.ones(2), np.array(0.0), "z", None, np.full(12, k, np.int32)
    ),
    "input offsets": lambda r, k: simulated(offsets=[0, k, 4]),
    "last of input offsets": lambda r, k: simulated(offsets=[0, 3, k]),
    "input units": lambda r, k: simulated(units=[0, 1, 2, k]),
    "offsets of a record": lambda r, k: restored(r, parts=("offsets", 1, k)),
    "neurons of a record": lambda r, k: restored(r, parts=("neurons", 0, k)),
    "sample of a missing spike": lambda r, k: restored(r, missing=(0, 0, k)),
    "neuron of a missing spike": lambda r, k: restored(r, missing=(1, 0, k)),
    "sample of an impossible spike": lambda r, k: restored(r, impossible=(1, 0, k)),
    "neuron of an impossible spike": lambda r, k: restored(r, impossible=(2, 0, k)),
    "input heard": lambda r, k: listened((True, k)),
    "population heard": lambda r, k: listened((False, k)),
    "readout": lambda r, k: listened((False, 0), readout=k),
}


@pytest.mark.parametrize("case", CALLS)
def test_indices(case):
    record = simulated()
    assert len(record.times) > 10
    for index in BAD:
        with pytest.raises(ValueError, match=r"expected|not|no "):
            CALLS[case](record, index)
