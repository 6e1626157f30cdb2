"""Any array of numbers that fits is taken for what it holds; others are refused by name."""

import re
from fractions import Fraction

import numpy as np
import pytest
import snnfp
from hypothesis import given, settings
from hypothesis import strategies as st
from snnfp._arrays import real_array

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
LAYOUTS = [
    "C",
    "F",
    "strided",
    "reversed",
    "unaligned",
    "read-only",
    "broadcast",
    "subclass",
    "unmasked",
    "list",
]


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
    if layout == "unmasked":
        return np.ma.array(values)
    if layout == "subclass":
        return values.view(type("Tagged", (np.ndarray,), {}))
    return values


def integers(dtype):
    return st.lists(st.integers(0, 100), min_size=6, max_size=6).map(lambda v: np.array(v, dtype))


def as_given(values, layout):
    """What the user has in hand."""
    return laid_out(values, layout).tolist() if layout == "list" else laid_out(values, layout)


def numbers(dtype):
    """Six numbers of a dtype, from its whole range."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        one = st.floats(allow_nan=False, allow_infinity=False, width=min(64, 8 * dtype.itemsize))
    else:
        info = np.iinfo(dtype)
        near = st.integers(-3, 3).map(lambda k: min(max(2**53 + k, info.min), info.max))
        one = st.integers(int(info.min), int(info.max)) | near
    return st.lists(one, min_size=6, max_size=6).map(lambda v: np.array(v, dtype))


def exact(value):
    return Fraction(value.item() if isinstance(value, np.generic) else value)


@settings(max_examples=2000, deadline=None)
@given(
    st.sampled_from([*REAL, "g", ">i8", ">u8"]).flatmap(numbers),
    st.sampled_from(LAYOUTS),
    st.sampled_from(["f8", "f4"]),
    st.booleans(),
)
def test_the_door(values, layout, wanted, mask):
    """Never a wrong number: what is taken is what was given, what is not is named."""
    given_ = laid_out(values.reshape(2, 3), layout)
    kept = np.array(given_, copy=True)
    if mask:
        given_ = np.ma.array(given_)
        given_[1, 2] = np.ma.masked
    dtype = np.dtype(wanted)
    try:
        taken = real_array(given_.tolist() if layout == "list" and not mask else given_, "w", dtype)
    except TypeError as error:
        assert kept.dtype.itemsize > 8 and not mask
        assert str(error).startswith(f"w has dtype {kept.dtype}, expected at most float64")
        return
    except ValueError as error:
        at = re.match(r"w\[([01]), ([012])\] is (\S+?),? ", str(error))
        at, value = (int(at[1]), int(at[2])), at[3]
        if mask:
            assert at == (1, 2) and value == "masked"
            return
        assert value == str(kept[at])
        assert dtype == np.float32 or exact(np.float64(kept[at])) != exact(kept[at])
        with np.errstate(over="ignore"):
            single = np.float32(kept[at])
        assert dtype == np.float64 or np.isinf(single) or (single == 0 and kept[at] != 0)
        return
    assert not mask
    assert type(taken) is np.ndarray and taken.dtype == dtype and taken.flags.c_contiguous
    assert not np.shares_memory(taken, given_) and np.array_equal(kept, given_)
    if dtype == np.float64:
        assert [exact(v) for v in taken.flat] == [exact(v) for v in kept.flat]
    else:
        assert np.array_equal(taken, kept.astype(np.float32))


@settings(max_examples=2000, deadline=None)
@given(st.sampled_from(REAL).flatmap(integers), st.sampled_from(LAYOUTS[:-1]), st.data())
def test_spikes(values, layout, data):
    times = laid_out(np.sort(values), layout)
    kept = times.copy()
    units = laid_out(
        np.array(
            data.draw(st.lists(st.integers(0, 4), min_size=6, max_size=6)),
            data.draw(st.sampled_from(REAL[5:])),
        ),
        data.draw(st.sampled_from(LAYOUTS[:-1])),
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
@given(st.sampled_from(REAL).flatmap(integers), st.sampled_from(LAYOUTS[:-1]), st.booleans())
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
    u = as_given(values, layout)
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


def everywhere():
    """Calls of every place where an array enters, given that array: ``[2]``, or ``[2, 2]``."""
    net = snnfp.Network()
    x = net.input(2)
    once = snnfp.LIF(tau_mem=2.0, tau_syn=1.0, t_refractory=np.inf, bias=[0.0, 0.0])
    h = net.population(2, once, name="h")
    net.connect(x, h, snnfp.Dense(weight=4.0), name="w")
    spikes = snnfp.Spikes([0.0, 0.5], [0, 1], [0, 2], size=2)
    record = snnfp.simulate(net, spikes, until=1.0)
    assert record.n_spikes == 2

    def value_of_class(labels):
        loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=1.0)
        two = snnfp.Spikes.concatenate([spikes, spikes])
        return snnfp.value_and_grad(net, two, labels, loss, until=1.0)

    def trained(labels=(0, 1), **options):
        net.parameters["w.weight"] = np.full((2, 2), 4.0)
        loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=1.0)
        data = (snnfp.Spikes.concatenate([spikes, spikes]), labels)
        options = {"loss": loss, "epochs": 1, "until": 1.0, "progress": False, **options}
        return snnfp.fit(net, data, optimiser=snnfp.SGD(lr=1e-3), **options)

    def structured(field, values):
        dtype = [("x", "i4"), ("y", "i4"), ("t", "f8"), ("p", "i4")]
        events = np.ma.zeros(2, dtype) if np.ma.isMaskedArray(values) else np.zeros(2, dtype)
        events[field] = values
        return snnfp.Spikes.from_structured([events], shape=(2, 2))

    def connect(connectivity, **options):
        other = snnfp.Network()
        other.input(2)
        other.population(2, once, name="h")
        return other.connect("input", "h", connectivity, **options)

    def sparse(**ids):
        ids = {"sources": [0, 1], "targets": [0, 1], **ids}
        return connect(snnfp.Sparse(**ids, weight=1.0), name="sparse")

    def neuron(**parameters):
        lif = snnfp.LIF(**{"tau_mem": 2.0, "tau_syn": 1.0, **parameters})
        return net.population(2, lif, name="g")

    one = {
        "times": lambda v: snnfp.Spikes(v, [0, 0], [0, 2], size=1),
        "units": lambda v: snnfp.Spikes([0.0, 1.0], v, [0, 2], size=2),
        "offsets": lambda v: snnfp.Spikes([], [], v, size=1),
        "samples": lambda v: snnfp.Spikes.concatenate([spikes, spikes]).take(v),
        "times of sample 0": lambda v: snnfp.Spikes.from_pairs([(v, [0, 1])], size=2),
        "units of sample 0": lambda v: snnfp.Spikes.from_pairs([([0.0, 1.0], v)], size=2),
        "times of sample 0, unit 1": lambda v: snnfp.Spikes.from_lists([[[0.5], v]]),
        "g.tau_mem": lambda v: neuron(tau_mem=v),
        "g.v_reset": lambda v: neuron(v_reset=v),
        "h.bias": lambda v: net.parameters.update({"h.bias": v}),
        "sparse: sources": lambda v: sparse(sources=v),
        "sparse: targets": lambda v: sparse(targets=v),
        "indices": lambda v: snnfp.Sparse.from_csr([0, 1, 2], v, weight=1.0),
        "initial voltage of h": lambda v: snnfp.simulate(
            net, spikes, until=1.0, initial={"h": (v, 0)}
        ),
        "initial current of h": lambda v: snnfp.simulate(
            net, spikes, until=1.0, initial={"h": (0, v)}
        ),
        "units ": lambda v: record.probe("h", [0.5], units=v),
        "times ": lambda v: record.probe("h", v),
        "cotangents": lambda v: record.vjp(v),
        "cotangents of h": lambda v: record.vjp({"h": v}),
        "tangent of h.bias": lambda v: record.jvp({"h.bias": v}),
        "of": lambda v: record.jacobian(of=v),
        "labels": value_of_class,
        "train: labels": trained,
        "low": lambda v: snnfp.encoding.scale_min_max(np.ones((3, 2)), low=v),
        "high": lambda v: snnfp.encoding.scale_min_max(-np.ones((3, 2)), high=v),
        **{f"sample 0: {f}": lambda v, f=f: structured(f, v) for f in "xytp"},
    }
    two = {
        "input_to_h.weight": lambda v: connect(snnfp.Dense(weight=v)),
        "input_to_h.delay": lambda v: connect(snnfp.Dense(weight=1.0, delay=v)),
        "w.weight": lambda v: net.parameters.update({"w.weight": v}),
        "latencies": snnfp.Spikes.from_latencies,
        "targets": lambda v: snnfp.losses.SpikeTimeSquaredError(horizon=2.0).check(net, v, 2),
        "bounds: high of '*.weight'": lambda v: trained(bounds={"*.weight": (-9.0, v)}),
        "features": lambda v: snnfp.encoding.latency(v, t_min=0, t_max=1),
        "features ": snnfp.encoding.scale_min_max,
    }
    return one, two


def test_masked_entries_are_refused_everywhere():
    one, two = everywhere()
    for argument, call in one.items():
        with pytest.raises(
            ValueError, match=rf"^{re.escape(argument.strip())}\[1\] is masked, expected"
        ):
            call(np.ma.array([0, 1], mask=[False, True]))
    rows = np.ma.array([[0, 1], [0, 1]], mask=[[False, False], [True, False]])
    for argument, call in two.items():
        for given_ in (rows, [rows[0], rows[1]], list(rows.data[:1]) + [rows[1]]):
            with pytest.raises(
                ValueError, match=rf"^{re.escape(argument.strip())}\[1, 0\] is masked, expected"
            ):
                call(given_)
    with pytest.raises(ValueError, match="array\\[0, 0, 1\\] is masked"):
        snnfp.Spikes.from_dense(np.ma.array([[[0, 1]]], mask=[[[False, True]]]), dt=1.0)


def test_unmasked_arrays_are_taken_everywhere():
    _, two = everywhere()
    for call in two.values():
        call(np.ma.array([[0, 1], [0, 1]]))
    one, _ = everywhere()
    for argument, call in one.items():
        if argument not in ("offsets", "g.v_reset", "g.tau_mem", "initial voltage of h"):
            call(np.ma.array([0, 1]))


LOST = {
    "int64": np.array([1, 2**53 + 1], np.int64),
    "the largest int64": np.array([1, 2**63 - 1], np.int64),
    "a negative one": np.array([1, -(2**53) - 1], np.int64),
    "uint64": np.array([1, 2**53 + 1], np.uint64),
    "the largest uint64": np.array([1, 2**64 - 1], np.uint64),
    "Python's": [1, 2**53 + 1],
    "Python's beside floats": [0.5, 2**53 + 1],
}


@pytest.mark.parametrize("values", LOST.values(), ids=LOST)
def test_integers_that_float64_does_not_hold(values):
    one, two = everywhere()
    given_ = re.escape(str(int(values[1])))
    for argument in ("times", "h.bias", "cotangents", "tangent of h.bias", "low"):
        with pytest.raises(
            ValueError,
            match=rf"^{argument}\[1\] is {given_}, expected a number that float64 holds exactly",
        ):
            one[argument](values)
    with pytest.raises(ValueError, match=rf"^w.weight\[1, 1\] is {given_}, expected"):
        two["w.weight"]([[1, 1], list(values)] if isinstance(values, list) else [[1, 1], values])


def test_large_integers_that_float64_holds():
    held = [2**53, 2**53 + 2, 2**60, 2**62 + 2**10]
    spikes = snnfp.Spikes(np.array(held, np.int64), [0] * 4, [0, 4], size=1)
    assert [int(t) for t in spikes.times] == held
    assert snnfp.Spikes([2**63], [0], [0, 1], size=1).times[0] == 2.0**63
    assert snnfp.Spikes(np.array([-0.0, 2.0**70]), [0, 0], [0, 2], size=1).times[1] == 2.0**70


def test_integers_round_in_single_precision_like_other_numbers():
    """As documented: whoever chooses float32 chooses its seven digits."""
    net = snnfp.Network(np.float32)
    net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=[2**24 + 1, 2**60 + 1]), name="h")
    assert net.parameters["h.bias"].tolist() == [2.0**24, 2.0**60]


def test_objects_are_named():
    _, two = everywhere()
    for odd, text in (
        ("u", r"features\[1, 0\] is 'u' \(str\)"),
        (None, r"features\[1, 0\] is None \(NoneType\)"),
        (2**70, rf"features\[1, 0\] is {2**70}, an integer of more than 64 bits"),
        (1, r"convert with .astype\(float\)"),
    ):
        with pytest.raises(TypeError, match=rf"has dtype object, expected real numbers.*: {text}"):
            two["features"](np.array([[0.5, 0.5], [odd, 0.5]], dtype=object))
    with pytest.raises(ValueError, match=r"^w.weight is a list whose parts have different lengths"):
        two["w.weight"]([[1, 2], [1]])


@pytest.mark.parametrize("value", [1e39, -1e39, 1e-50])
def test_what_single_precision_does_not_hold(value):
    net = snnfp.Network(np.float32)
    x = net.input(2)
    h = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    weight = np.ones((2, 3))
    weight[1, 2] = value
    message = re.escape(f"] is {value}, which does not fit float32")
    with pytest.raises(ValueError, match=r"^input_to_h.weight\[1, 2" + message):
        net.connect(x, h, snnfp.Dense(weight=weight))
    with pytest.raises(ValueError, match=r"^h.bias\[0" + message):
        net.parameters["h.bias"] = [value, 0, 0]
    with pytest.raises(
        ValueError, match=rf"^h.bias is {re.escape(str(value))}, which does not fit"
    ):
        net.parameters["h.bias"] = value
    spikes = snnfp.Spikes([0.0], [0], [0, 1], size=2)
    with pytest.raises(ValueError, match=r"^initial current of h\[2" + message):
        snnfp.simulate(net, spikes, initial={"h": (0, [0, 0, value])})
    assert np.isinf(net.parameters["h.bias"]).sum() == 0


def test_times_that_single_precision_does_not_hold():
    net = snnfp.Network(np.float32)
    net.connect(
        net.input(1),
        net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h"),
        snnfp.Dense(weight=3.0),
    )
    late = snnfp.Spikes([0.0, 0.0, 1e39], [0, 0, 0], [0, 1, 3], size=1)
    with pytest.raises(
        ValueError, match=r"input: sample 1, spike 1: time 1e\+39, which does not fit float32"
    ):
        snnfp.simulate(net, late)
    early = snnfp.Spikes([0.0], [0], [0, 1], size=1)
    for until in (1e39, 10**40):
        with pytest.raises(ValueError, match=r"until is 1(0*|e\+39), which does not fit float32"):
            snnfp.simulate(net, early, until=until)
    with pytest.raises(ValueError, match=r"until is 10*, which does not fit float64"):
        snnfp.simulate(net, early, until=10**400)
    record = snnfp.simulate(net, early, until=np.inf)
    # Derivatives may be as small as they like.
    assert record.vjp(np.full(record.n_spikes, 1e-60))["input_to_h.weight"] == 0
    with pytest.raises(ValueError, match=r"cotangents\[0\] is 1e\+39, which does not fit float32"):
        record.vjp(np.full(record.n_spikes, 1e39))


def test_long_double_is_refused_where_it_would_lose_digits():
    if np.dtype(np.longdouble).itemsize <= 8:
        pytest.skip("long double is double on this machine")
    one, two = everywhere()
    for calls, values in ((one, np.zeros(2, "g")), (two, np.zeros((2, 2), "g"))):
        for argument in (
            "times",
            "h.bias",
            "cotangents",
            "low",
            "w.weight",
            "latencies",
            "features",
        ):
            if argument in calls:
                with pytest.raises(
                    TypeError,
                    match=rf"^{argument} has dtype (float128|longdouble), expected at most float64",
                ):
                    calls[argument](values)
