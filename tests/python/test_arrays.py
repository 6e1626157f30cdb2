"""Any array of numbers that fits is taken for what it holds; others are refused by name."""

import numpy as np
import pytest
import snnfp
from hypothesis import given, settings
from hypothesis import strategies as st

REAL = [
    "f2",
    "f4",
    "f8",
    ">f4",
    ">f8",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    ">i4",
    ">u2",
]
OTHER = ["c8", "c16", "U3", "S3", "O", "bool", "M8[s]", "m8[s]", "V8"]
LAYOUTS = ["C", "F", "strided", "reversed", "unaligned", "read-only", "broadcast", "subclass"]


def laid_out(values, layout):
    """The same numbers in memory of another kind."""
    if layout == "F":
        return np.asfortranarray(values)
    if layout == "strided":
        wide = np.zeros((*values.shape[:-1], 3 * values.shape[-1]), values.dtype)
        wide[..., ::3] = values
        return wide[..., ::3]
    if layout == "reversed":
        return values[..., ::-1].copy()[..., ::-1]
    if layout == "unaligned":
        raw = np.zeros(values.nbytes + 1, np.uint8)
        out = raw[1:].view(values.dtype).reshape(values.shape)
        out[...] = values
        return out
    if layout == "read-only":
        values = values.copy()
        values.flags.writeable = False
    if layout == "broadcast":
        return np.broadcast_to(values[..., :1], values.shape)
    if layout == "subclass":
        return values.view(type("Tagged", (np.ndarray,), {}))
    return values


def integers(dtype):
    return st.lists(st.integers(0, 100), min_size=6, max_size=6).map(lambda v: np.array(v, dtype))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REAL).flatmap(integers), st.sampled_from(LAYOUTS), st.data())
def test_spikes(values, layout, data):
    times = laid_out(np.sort(values), layout)
    kept = times.copy()
    units = laid_out(
        np.array(
            data.draw(st.lists(st.integers(0, 4), min_size=6, max_size=6)),
            data.draw(st.sampled_from(REAL[5:])),
        ),
        data.draw(st.sampled_from(LAYOUTS)),
    )
    spikes = snnfp.Spikes(
        times, units, np.array([0, 6], data.draw(st.sampled_from(REAL[5:]))), size=5
    )
    assert np.array_equal(times, kept)
    assert spikes.times.tolist() == np.ascontiguousarray(times, np.float64).tolist()
    assert spikes.units.tolist() == units.tolist()
    assert not np.shares_memory(spikes.times, times)
    assert times.flags.writeable == (layout not in ("read-only", "broadcast"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REAL).flatmap(integers), st.sampled_from(LAYOUTS), st.booleans())
def test_parameters(values, layout, single):
    given_ = laid_out(values.reshape(2, 3), layout)
    kept = given_.copy()
    net = snnfp.Network(dtype=np.float32 if single else np.float64)
    x = net.input(2)
    h = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=given_, delay=given_))
    net.parameters["input_to_h.weight"] = given_
    stored = net.parameters["input_to_h.weight"]
    assert np.array_equal(given_, kept)
    assert type(stored) is np.ndarray
    assert np.array_equal(stored, np.ascontiguousarray(given_, np.float64))
    assert not np.shares_memory(stored, given_)
    spikes = snnfp.Spikes([0.0], [0], [0, 1], size=2)
    plain = snnfp.Network(dtype=net.dtype)
    x = plain.input(2)
    h = plain.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    same = np.array(given_, np.float64)
    plain.connect(x, h, snnfp.Dense(weight=same, delay=same))
    for n in (net, plain):
        n._warned.add("h")
    a, b = (snnfp.simulate(n, spikes, until=200.0) for n in (net, plain))
    assert a.times.tobytes() == b.times.tobytes()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(REAL).flatmap(integers), st.sampled_from(LAYOUTS))
def test_cotangents(values, layout):
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(6, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=3.0))
    record = snnfp.simulate(net, snnfp.Spikes([0.0], [0], [0, 1], size=1))
    assert record.n_spikes == 6
    u = laid_out(values, layout)
    got, wanted = record.vjp(u), record.vjp(np.array(u, np.float64))
    assert all(np.array_equal(got[k], wanted[k]) for k in wanted)


@pytest.mark.parametrize("dtype", OTHER)
def test_what_is_refused(dtype):
    """No silent cast: the error names the argument and the dtype."""
    bad = np.zeros(2, dtype)
    name = str(bad.dtype).replace("|", "").replace("[", r"\[").replace("]", r"\]")
    net = snnfp.Network()
    x = net.input(2)
    h = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    record = snnfp.simulate(
        net, snnfp.Spikes([], [], [0, 0], size=2), until=1.0, initial={"h": (0, 9)}
    )
    grid = np.broadcast_to(bad, (2, 2))
    calls = {
        "times": lambda: snnfp.Spikes(bad, [0, 0], [0, 2], size=1),
        "units": lambda: snnfp.Spikes([0.0, 1.0], bad, [0, 2], size=1),
        "offsets": lambda: snnfp.Spikes([], [], bad, size=1),
        "input_to_h.weight": lambda: net.connect(x, h, snnfp.Dense(weight=grid)),
        "input_to_h.delay": lambda: net.connect(x, h, snnfp.Dense(weight=1.0, delay=grid)),
        "h.bias": lambda: net.parameters.update({"h.bias": bad}),
        "sources": lambda: net.connect(x, h, snnfp.Sparse(sources=bad, targets=[0, 0], weight=1.0)),
        "initial voltage of h": lambda: snnfp.simulate(
            net, snnfp.Spikes([], [], [0, 0], size=2), initial={"h": (bad, 0)}
        ),
        "cotangents": lambda: record.vjp(bad),
        "labels": lambda: snnfp.losses.check_labels(bad, 2, 3),
        "features": lambda: snnfp.encoding.latency(grid, t_min=0, t_max=1),
    }
    for argument, call in calls.items():
        with pytest.raises(TypeError, match=f"{argument} ha(s|ve) dtype .*{name}.*, expected"):
            call()


def test_long_double_is_refused_where_it_would_lose_digits():
    if np.dtype(np.longdouble).itemsize <= 8:
        pytest.skip("long double is double on this machine")
    with pytest.raises(
        TypeError, match=r"times has dtype float128|longdouble, expected at most float64"
    ):
        snnfp.Spikes(np.zeros(1, np.longdouble), [0], [0, 1], size=1)
