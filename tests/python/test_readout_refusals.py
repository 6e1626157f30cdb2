"""What derivatives of readouts refuse: by the names that the user knows, and before it costs."""

import numpy as np
import pytest
import snnfp
from snnfp import LI, LIF, Dense, Reading, Sparse, Spikes, _core

UNTIL = 20.0
END = Reading("o", "end")
SPARSE = {"sources": [1, 0], "targets": [0, 1], "delay": [0.1, 0.2]}


def net_of(connectivity, inputs=3, **neuron):
    """A readout of two neurons that hears input x; one spike a channel."""
    net = snnfp.Network()
    net.input(inputs, name="x")
    net.readout(2, LI(**{"tau_mem": 10.0, "tau_syn": 5.0, **neuron}), name="o")
    net.connect("x", "o", connectivity)
    channels = np.arange(inputs)
    spikes = Spikes(1.0 + channels, channels, [0, inputs], size=inputs)
    return snnfp.simulate(net, spikes, until=UNTIL)


def vjp(cotangents, wrt):
    return lambda r: r.vjp({END: np.asarray([cotangents], dtype=float)}, wrt=wrt)


LARGE = {"capacitance": [1.0, 1e-200]}
BOTH = {"capacitance": 1e-200}
LOSS = "derivatives of the loss, weights,"
BEYOND = {
    # Synapses as they were given: the core has those of a sparse projection by their sources.
    r"by x_to_o\.weight\[1\] is": (Sparse(weight=[1.0, 2.0], **SPARSE), LARGE, "x_to_o.weight"),
    r"by x_to_o\.delay\[1\] is": (Sparse(weight=[1.0, 2.0], **SPARSE), LARGE, "x_to_o.delay"),
    r"by x_to_o\.weight\[0, 1\] is": (Dense(weight=1.0), LARGE, "x_to_o.weight"),
    r"by x_to_o\.delay\[1, 0\] is": (
        Dense(weight=1.0, delay=[[2 * UNTIL], [0.5], [0.5]]),
        BOTH,
        "x_to_o.delay",
    ),
    r"by x_to_o\.delay is": (Dense(weight=1.0, delay=0.5), LARGE, "x_to_o.delay"),
    r"by o\.tau_mem is": (Dense(weight=1.0), LARGE, "o.tau_mem"),
    r"by o\.capacitance\[1\] is": (Dense(weight=1.0), LARGE, "o.capacitance"),
    r"by the time of spike 0 of x is": (Dense(weight=1.0), LARGE, "x.times"),
}


@pytest.mark.parametrize(
    ("name", "connectivity", "neuron", "wrt"), [(n, *case) for n, case in BEYOND.items()]
)
def test_derivatives_beyond_the_numbers_name_the_users_element(name, connectivity, neuron, wrt):
    record = net_of(connectivity, 2 if isinstance(connectivity, Sparse) else 3, **neuron)
    match = rf"read off readout o {name} -?(inf|nan), beyond .*: expected {LOSS}"
    with pytest.raises(ValueError, match=match):
        vjp([1e200, 1e200], wrt)(record)


def test_there_is_advice_only_about_what_was_given():
    record = net_of(Sparse(weight=[1.0, 2.0], **SPARSE), 2, capacitance=[1.0, 1e-200])
    along = {"x_to_o.weight": np.full(2, 1e200)}
    match = (
        r"read off neuron 1 of readout o in sample 0 along the tangents is -?(inf|nan), .*: "
        "expected tangents, weights,"
    )
    with pytest.raises(ValueError, match=match):
        record.readout_jvp(END, tangents=along)
    match = r"readout o by o\.capacitance\[1\] is -?(inf|nan), .*: expected weights, time constants"
    with pytest.raises(ValueError, match=match):
        record.jacobian(of=END, wrt="o.capacitance")


# -- memory --------------------------------------------------------------------------------------


def between(inputs=2, neurons=2):
    """x reaches h; readout a hears both, b hears x alone."""
    net = snnfp.Network()
    net.input(inputs, name="x")
    net.population(neurons, LIF(tau_mem=5.0, tau_syn=5.0), name="h")
    net.connect("x", "h", Dense(weight=3.0))
    for name, heard in (("a", ("x", "h")), ("b", ("x",))):
        net.readout(1, LI(tau_mem=10.0, tau_syn=5.0), name=name)
        for source in heard:
            net.connect(source, name, Dense(weight=0.5))
    return net


@pytest.mark.parametrize(
    ("wrt", "asked"),
    [
        ("a.tau_mem", []),
        ("x_to_a.weight", []),
        ("h.tau_mem", ["h"]),
        ("x.times", ["x", "h"]),
        ("*", ["x", "h"]),
    ],
)
def test_only_what_is_needed_is_asked_of_the_senders(wrt, asked, monkeypatch):
    net, given = between(), []
    record = snnfp.simulate(net, Spikes([1.0, 2.0], [0, 1], [0, 2], size=2), until=UNTIL)
    assert record.n_spikes > 0
    work = _core.read_jacobian

    def read_jacobian(*arguments, senders, **options):
        own, rows = work(*arguments, senders=senders, **options)
        assert [g for g, by in enumerate(rows) if by.size] == sorted(senders)
        given.extend(senders)
        return own, rows

    monkeypatch.setattr(_core, "read_jacobian", read_jacobian)
    record.jacobian(of=Reading("a", "end"), wrt=wrt)
    assert [list(net._listeners.heard)[g] for g in given] == asked


@pytest.mark.parametrize(
    ("wrt", "message"),
    [
        ("o.tau_mem", None),
        (
            "x.times",
            r"40000 values by 10000 parameters and 40000 by the times of 10000 spikes need",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_the_work(wrt, message, monkeypatch):
    """400 million derivatives by 10000 spikes, twice: kept, and on the way."""
    net = snnfp.Network()
    net.input(1, name="x")
    net.readout(1, LI(tau_mem=10.0, tau_syn=5.0), name="o")
    net.connect("x", "o", Dense(weight=1e-3))
    spikes = Spikes(np.linspace(0.0, 19.0, 10_000), np.zeros(10_000, int), [0, 10_000], size=1)
    record = snnfp.simulate(net, spikes, until=UNTIL)
    reading = Reading("o", "at", times=np.linspace(0.0, UNTIL, 40_000))
    calls = []
    monkeypatch.setattr(
        _core,
        "read_jacobian",
        lambda *_, senders, **__: calls.append(senders) or (np.zeros(40_000), [np.zeros((0,))]),
    )
    # What is kept fits, and what is needed on the way besides does not.
    monkeypatch.setattr("snnfp._memory.free_memory", lambda: 4 * 10**9)
    if message is None:
        assert record.jacobian(of=reading, wrt=wrt)[wrt].shape == (1, 40_000, 1)
        assert calls == [[]]
        return
    with pytest.raises(MemoryError, match=message):
        record.jacobian(of=reading, wrt=wrt)
    assert not calls


# -- first spikes alone --------------------------------------------------------------------------


def test_a_readout_is_refused_for_what_it_hears_itself():
    """Not for another population of which the record has first spikes alone."""
    net = snnfp.Network()
    net.input(1, name="x")
    for name, source in (("h", "x"), ("y", "h")):
        net.population(2, LIF(tau_mem=5.0, tau_syn=5.0), name=name)
        net.connect(source, name, Dense(weight=3.0))
    for name, source in (("o1", "h"), ("o2", "y")):
        net.readout(1, LI(tau_mem=10.0, tau_syn=5.0), name=name)
        net.connect(source, name, Dense(weight=1.0))
    spikes = Spikes([1.0], [0], [0, 1], size=1)
    whole, first = (
        snnfp.simulate(net, spikes, until=UNTIL, first_spikes_of=f) for f in ((), ("y",))
    )
    assert whole.counts("y").max() > 1
    o1, o2 = Reading("o1", "end"), Reading("o2", "end")
    assert np.array_equal(first.readout(o1), whole.readout(o1)) and first.readout(o1) > 0
    one = np.ones((1, 1))
    for call in (
        lambda r, reading: r.vjp({reading: one}, wrt="h.tau_mem")["h.tau_mem"],
        lambda r, reading: r.jacobian(of=reading, wrt="h.tau_mem")["h.tau_mem"],
        lambda r, reading: r.readout_jvp(reading, tangents={"h.tau_mem": 1.0}),
        lambda r, reading: r.readout(reading),
    ):
        assert np.array_equal(call(first, o1), call(whole, o1))
        with pytest.raises(ValueError, match="y_to_o2 to a readout starts at population y, of"):
            call(first, o2)
