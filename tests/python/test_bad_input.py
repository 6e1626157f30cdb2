"""Bad input: each error's type, and that it names the thing, the index, the value and what was expected."""

import numpy as np
import pytest
import snnfp
from snnfp import LIF, Dense, Network, OneToOne, Sparse, Spikes

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    "times, units, offsets, size, error, message",
    [
        (
            [1, NAN],
            [0, 0],
            [0, 2],
            1,
            ValueError,
            r"sample 0, spike 1: time nan, expected a finite time >= 0",
        ),
        (
            [1, 2, INF],
            [0] * 3,
            [0, 1, 3],
            1,
            ValueError,
            r"sample 1, spike 1: time inf, expected a finite",
        ),
        (
            [-0.5],
            [0],
            [0, 0, 1],
            1,
            ValueError,
            r"sample 1, spike 0: time -0.5, expected a finite time >= 0",
        ),
        (
            [2, 1],
            [0, 0],
            [0, 2],
            1,
            ValueError,
            r"sample 0, spike 1: time 1.0 after 2.0, expected times that do not",
        ),
        ([1], [3], [0, 1], 3, ValueError, r"sample 0, spike 0: unit 3, expected 0 <= unit < 3"),
        ([1], [-1], [0, 1], 3, ValueError, r"sample 0, spike 0: unit -1, expected 0 <= unit < 3"),
        ([1], [2**40], [0, 1], 3, ValueError, r"unit 1099511627776, expected 0 <= unit < 3"),
        ([], [], [0], 1, ValueError, r"offsets has 1 values, expected at least 2"),
        ([], [], [], 1, ValueError, r"offsets has 0 values, expected at least 2"),
        ([1], [0], [1, 1], 1, ValueError, r"offsets\[0\] is 1, expected 0"),
        (
            [1, 2],
            [0, 0],
            [0, 2, 1, 2],
            1,
            ValueError,
            r"offsets\[2\] is 1, expected at least offsets\[1\] = 2",
        ),
        (
            [1, 2],
            [0],
            [0, 2],
            1,
            ValueError,
            r"2 times, 1 units and a last offset of 2, expected the same",
        ),
        ([1, 2], [0, 0], [0, 3], 1, ValueError, r"2 times, 2 units and a last offset of 3"),
        ([[1]], [0], [0, 1], 1, ValueError, r"times has shape \(1, 1\), expected one dimension"),
        ([1], [0.0], [0, 1], 1, TypeError, r"units has dtype float64, expected integers"),
        (["1"], [0], [0, 1], 1, TypeError, r"times has dtype <U1, expected real numbers"),
        ([1j], [0], [0, 1], 1, TypeError, r"times has dtype complex128, expected real numbers"),
        ([True], [0], [0, 1], 1, TypeError, r"times has dtype bool, expected real numbers"),
        ([1], [0], [0, 1.0], 1, TypeError, r"offsets has dtype float64, expected integers"),
        ([1], [0], [0, 1], 0, ValueError, r"size is 0, expected at least 1"),
        ([1], [0], [0, 1], 1.0, TypeError, r"size is 1.0, expected an integer"),
        ([1], [0], [0, 1], True, TypeError, r"size is True, expected an integer"),
        ([0], [2**32 + 1], [0, 1], 2**40, ValueError, r"size is 2\*\*40|size is 1099511627776"),
        ([1], [2**64 - 1], [0, 1], 3, ValueError, r"units\[0\] is 18446744073709551615, expected"),
    ],
)
def test_spikes(times, units, offsets, size, error, message):
    with pytest.raises(error, match=message):
        Spikes(times, units, offsets, size=size)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Spikes.from_lists([]), ValueError, "batch is empty, expected at least one sample"),
        (
            lambda: Spikes.from_lists([[[1]], [[1], [2]]]),
            ValueError,
            "sample 1 has 2 channels, expected 1",
        ),
        (
            lambda: Spikes.from_lists([0.1, 0.4]),
            TypeError,
            r"batch\[0\] is 0.1, expected batch\[sample\]\[channel\], the times of a channel",
        ),
        (
            lambda: Spikes.from_lists([[0.1], [0.4]]),
            TypeError,
            r"batch\[0\]\[0\] is 0.1, expected batch\[sample\]\[channel\], the times of a channel",
        ),
        (lambda: Spikes.from_lists(np.array([[0.1]])), TypeError, r"batch\[0\]\[0\] is .*0.1"),
        (lambda: Spikes.from_lists(0.1), TypeError, r"batch is 0.1, expected batch\[sample\]"),
        (
            lambda: Spikes.from_pairs([0.1, 0.4], size=1),
            TypeError,
            r"sample 0 is 0.1, expected \(times, units\)",
        ),
        (
            lambda: Spikes.from_lists([[["a"]]]),
            TypeError,
            "times of sample 0, unit 0 has dtype <U1",
        ),
        (lambda: Spikes.from_lists([[[1], [NAN]]]), ValueError, "sample 0, spike 1: time nan"),
        (lambda: Spikes.from_pairs([], size=2), ValueError, "the batch is empty"),
        (
            lambda: Spikes.from_latencies(np.zeros((0, 3))),
            ValueError,
            r"^latencies has shape \(0, 3\), expected at least one sample$",
        ),
        (
            lambda: Spikes.from_latencies(np.zeros((3, 0))),
            ValueError,
            r"^latencies has shape \(3, 0\), expected at least one channel$",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((5, 0, 3)), dt=1.0),
            ValueError,
            r"^array has shape \(5, 0, 3\), expected at least one sample$",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((5, 3, 0)), dt=1.0),
            ValueError,
            r"^array has shape \(5, 3, 0\), expected at least one channel$",
        ),
        (
            lambda: Spikes.from_pairs([([1, 2], [0])], size=2),
            ValueError,
            "sample 0 has 2 times and 1 units",
        ),
        (
            lambda: Spikes.from_pairs([([1], [0], [0])], size=2),
            ValueError,
            "sample 0 has 3 arrays, expected",
        ),
        (
            lambda: Spikes.from_pairs([([1], [0.5])], size=2),
            TypeError,
            "units of sample 0 has dtype float64",
        ),
        (
            lambda: Spikes.from_dense(np.full((1, 2, 3), 2), dt=1.0),
            ValueError,
            r"array\[0, 0, 0\] is 2, expected 0 or 1",
        ),
        (
            lambda: Spikes.from_dense(np.full((1, 1, 1), NAN), dt=1.0),
            ValueError,
            r"array\[0, 0, 0\] is nan",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((2, 3)), dt=1.0),
            ValueError,
            r"array has shape \(2, 3\), expected \[T, B, N\]",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((1, 1, 1), "U1"), dt=1.0),
            TypeError,
            "array has dtype <U1",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((1, 1, 1)), dt=0.0),
            ValueError,
            "dt is 0.0, expected a finite time > 0",
        ),
        (
            lambda: Spikes([1], [0], [0, 1], size=1).to_dense(dt=-1.0, steps=3),
            ValueError,
            "dt is -1.0, expected a finite time > 0",
        ),
        (
            lambda: Spikes([1], [0], [0, 1], size=1).to_dense(dt=1.0, steps=2.0),
            TypeError,
            "steps is 2.0, expected an integer",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((1, 1, 1)), dt="1"),
            TypeError,
            "dt is '1', expected a number",
        ),
        (
            lambda: Spikes.from_dense(np.zeros((1, 1, 1)), dt=1.0, t0=None),
            TypeError,
            "t0 is None, expected a number",
        ),
        (
            lambda: Spikes.from_latencies([[1, NAN]]),
            ValueError,
            r"latencies\[0, 1\] is nan, expected a time >= 0",
        ),
        (lambda: Spikes.from_latencies([[1], [-2]]), ValueError, r"latencies\[1, 0\] is -2.0"),
        (
            lambda: Spikes.from_latencies([1, 2]),
            ValueError,
            r"latencies has shape \(2,\), expected \[samples, size\]",
        ),
        (lambda: Spikes.from_latencies([["x"]]), TypeError, "latencies has dtype <U1"),
    ],
)
def test_conversions(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        (
            {"tau_mem": 0.0},
            ValueError,
            r"h.tau_mem\[0\] is 0, expected a time > 0 \(infinity allowed\)",
        ),
        ({"tau_mem": [1.0, -1.0]}, ValueError, r"h.tau_mem\[1\] is -1, expected a time > 0"),
        ({"tau_syn": NAN}, ValueError, r"h.tau_syn\[0\] is nan, expected a time > 0"),
        (
            {"threshold": 0.0},
            ValueError,
            r"h.threshold\[0\] is 0, expected a value above v_reset = 0",
        ),
        (
            {"threshold": 1, "v_reset": [0, 1.5]},
            ValueError,
            r"h.threshold\[1\] is 1, expected a value above v_reset = 1.5",
        ),
        ({"threshold": INF}, ValueError, r"h.threshold\[0\] is inf, expected a finite number"),
        ({"v_reset": -INF}, ValueError, r"h.v_reset\[0\] is -inf, expected a finite number"),
        (
            {"t_refractory": -1.0},
            ValueError,
            r"h.t_refractory\[0\] is -1, expected a time >= 0 \(infinity allowed\)",
        ),
        ({"t_refractory": NAN}, ValueError, r"h.t_refractory\[0\] is nan"),
        ({"bias": [0, NAN]}, ValueError, r"h.bias\[1\] is nan, expected a finite number"),
        ({"capacitance": 0}, ValueError, r"h.capacitance\[0\] is 0, expected a finite number > 0"),
        ({"capacitance": INF}, ValueError, r"h.capacitance\[0\] is inf"),
        (
            {"tau_mem": [1, 2, 3]},
            ValueError,
            r"h.tau_mem has shape \(3,\), expected \(\) or \(2,\)",
        ),
        ({"tau_mem": "long"}, TypeError, r"h.tau_mem has dtype <U4, expected real numbers"),
        ({"bias": 1j}, TypeError, r"h.bias has dtype complex128"),
    ],
)
def test_neurons(parameters, error, message):
    neuron = LIF(**{"tau_mem": 2.0, "tau_syn": 1.0, **parameters})
    net = Network()
    with pytest.raises(error, match=message):
        net.population(2, neuron, name="h")
    assert not net.populations
    net.population(2, LIF(tau_mem=2.0, tau_syn=1.0), name="h")  # nothing was left behind
    (name,) = [k for k in parameters][-1:]
    before = net.parameters[f"h.{name}"]
    if len(parameters) == 1:
        with pytest.raises(error, match=message):
            net.parameters[f"h.{name}"] = parameters[name]
        assert net.parameters[f"h.{name}"] is before


def layers():
    net = Network()
    return net, net.input(2), net.population(3, LIF(tau_mem=2.0, tau_syn=1.0), name="h")


@pytest.mark.parametrize(
    "connectivity, error, message",
    [
        (Dense(weight=NAN), ValueError, r"input_to_h.weight\[0, 0\] is nan, expected a finite num"),
        (Dense(weight=[[0, 0, 0], [0, INF, 0]]), ValueError, r"input_to_h.weight\[1, 1\] is inf"),
        (
            Sparse(sources=[1, 0, 0], targets=[0, 1, 2], weight=[1, 2, NAN]),
            ValueError,
            r"input_to_h.weight\[2\] is nan",
        ),
        (
            Sparse(sources=[1, 0, 0], targets=[0, 1, 2], weight=1, delay=[-1, 0, 0]),
            ValueError,
            r"input_to_h.delay\[0\] is -1",
        ),
        (
            Dense(weight=np.zeros((3, 2))),
            ValueError,
            r"input_to_h.weight has shape \(3, 2\), expected \(2, 3\)",
        ),
        (Dense(weight=np.zeros(6)), ValueError, r"weight has shape \(6,\), expected \(2, 3\)"),
        (
            Dense(weight="heavy"),
            TypeError,
            r"input_to_h.weight has dtype <U5, expected real numbers",
        ),
        (
            Dense(weight=1, delay=-1.0),
            ValueError,
            r"input_to_h.delay\[0\] is -1, expected a finite time >= 0",
        ),
        (Dense(weight=1, delay=INF), ValueError, r"input_to_h.delay\[0\] is inf"),
        (
            Dense(weight=1, delay=[[0, 0, 0], [0, 0, -2]]),
            ValueError,
            r"input_to_h.delay\[1, 2\] is -2",
        ),
        (
            Dense(weight=1, delay=[1, 2, 3, 4]),
            ValueError,
            r"input_to_h.delay has shape \(4,\), expected \(\) or \(2,\) or \(3,\) or \(2, 1\) or "
            r"\(1, 3\) or \(2, 3\): one for the projection, a source unit \(values\[:, None\]\), ",
        ),
        (OneToOne(weight=1), ValueError, r"from input \(2\) to h \(3\): expected equal sizes"),
        (
            Sparse(sources=[0, 2], targets=[0, 0], weight=1),
            ValueError,
            r"input_to_h: sources\[1\] is 2, expected 0 <= id < 2",
        ),
        (
            Sparse(sources=[0], targets=[-1], weight=1),
            ValueError,
            r"input_to_h: targets\[0\] is -1, expected 0 <= id < 3",
        ),
        (
            Sparse(sources=[0, 1], targets=[0], weight=1),
            ValueError,
            r"2 sources and 1 targets, expected the same",
        ),
        (
            Sparse(sources=[0.0], targets=[0], weight=1),
            TypeError,
            r"input_to_h: sources has dtype float64, expected integers",
        ),
        (
            Sparse(sources=[[0]], targets=[0], weight=1),
            ValueError,
            r"sources has shape \(1, 1\), expected one dimension",
        ),
        (
            Sparse(sources=[2**40], targets=[0], weight=1),
            ValueError,
            r"sources\[0\] is 1099511627776, expected an integer from -2147483648 to 2147483647",
        ),
        (
            Sparse(sources=[0], targets=[0], weight=[1, 2]),
            ValueError,
            r"weight has shape \(2,\), expected \(1,\)",
        ),
        ("dense", TypeError, r"'dense', expected snnfp.Dense\(\.\.\.\), Sparse"),
    ],
)
def test_projections(connectivity, error, message):
    net, x, h = layers()
    with pytest.raises(error, match=message):
        net.connect(x, h, connectivity)
    assert not net.projections and set(net.parameters) == {
        f"h.{k}" for k in LIF(tau_mem=1, tau_syn=1).values()
    }
    net.connect(x, h, Dense(weight=1.0))  # nothing was left behind


@pytest.mark.parametrize(
    "indptr, indices, error, message",
    [
        ([0, 2, 1], [0, 1], ValueError, "indptr does not start at 0 and ascend"),
        ([1, 2], [0], ValueError, "indptr does not start at 0 and ascend"),
        ([0, 1, 3], [0, 1], ValueError, r"indptr\[2\] is 3, expected the number of indices, 2"),
        ([0.0, 1.0], [0], TypeError, "indptr has dtype float64, expected integers"),
    ],
)
def test_csr(indptr, indices, error, message):
    with pytest.raises(error, match=message):
        Sparse.from_csr(indptr, indices, weight=1.0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda net, x, h: net.input(0, name="y"),
            ValueError,
            "size of input y is 0, expected at least 1",
        ),
        (
            lambda net, x, h: net.input(2.0, name="y"),
            TypeError,
            "size of input y is 2.0, expected an integer",
        ),
        (
            lambda net, x, h: net.input(2**31, name="y"),
            ValueError,
            "size of input y is 2147483648, expected at most 2147483647",
        ),
        (
            lambda net, x, h: [net.input(2**30, name=name) for name in "abc"],
            ValueError,
            "input b of size 1073741824 makes 2147483653 input channels and neurons in the network",
        ),
        (lambda net, x, h: net.input(2), ValueError, "the name 'input' is taken"),
        (
            lambda net, x, h: net.input(2, name="a.b"),
            ValueError,
            r"the name 'a.b' is empty or has one of",
        ),
        (lambda net, x, h: net.input(2, name=""), ValueError, r"the name '' is empty"),
        (
            lambda net, x, h: net.population(-1, None, name="y"),
            ValueError,
            "size of population y is -1",
        ),
        (
            lambda net, x, h: net.population(1, "LIF", name="y"),
            TypeError,
            r"population y is 'LIF', expected snnfp.LIF",
        ),
        (
            lambda net, x, h: net.connect(h, x, Dense(weight=1)),
            TypeError,
            "target of a projection is input input, expected a population",
        ),
        (
            lambda net, x, h: net.connect("inputs", h, Dense(weight=1)),
            KeyError,
            "'inputs' is not an input or a population of this network, expected one of: input, h",
        ),
        (
            lambda net, x, h: net.connect(x, "g", Dense(weight=1)),
            KeyError,
            "'g' is not an input or a population of this network, expected one of: input, h",
        ),
        (
            lambda net, x, h: net.connect(0, h, Dense(weight=1)),
            TypeError,
            "0 is not an input or a population of this network, nor the name of one",
        ),
        (
            lambda net, x, h: net.connect("input", "input", Dense(weight=1)),
            TypeError,
            "target of a projection is input input, expected a population",
        ),
        (
            lambda net, x, h: net.connect(Network().input(9, name="z"), h, Dense(weight=1)),
            ValueError,
            "z belongs to another network",
        ),
        (
            lambda net, x, h: Network(dtype=int),
            TypeError,
            "dtype is int64, expected float64 or float32",
        ),
        (lambda net, x, h: Network(dtype=np.float16), TypeError, "dtype is float16"),
        (
            lambda net, x, h: net.parameters["g.bias"],
            KeyError,
            "'g.bias' is not a parameter, expected one of: h.tau_mem",
        ),
        (
            lambda net, x, h: net.parameters.pop("h.bias"),
            TypeError,
            "h.bias belongs to the network's structure",
        ),
        (
            lambda net, x, h: net.select("*.wait"),
            KeyError,
            r"'\*.wait' matches no parameter, expected one of",
        ),
        (
            lambda net, x, h: net.unflatten([1.0], "h.*"),
            ValueError,
            r"vector has shape \(1,\), expected \(7,\)",
        ),
        (
            lambda net, x, h: Network("half a"),
            TypeError,
            "dtype is 'half a', expected float64 or float32",
        ),
        (
            lambda net, x, h: net.select(5),
            TypeError,
            "wrt is 5, expected a name, a pattern or a list",
        ),
        (lambda net, x, h: net.select([h]), TypeError, r"wrt is \[Population.*expected a name"),
        (lambda net, x, h: net.initialise(1.5), TypeError, "seed is 1.5, expected an integer >= 0"),
        (lambda net, x, h: snnfp.init.Constant("a"), TypeError, "value is 'a', expected a number"),
        (lambda net, x, h: snnfp.init.Normal("a", 1), TypeError, "mean is 'a', expected a number"),
        (
            lambda net, x, h: snnfp.init.Uniform((1, 2), 3),
            TypeError,
            r"low is \(1, 2\), expected a num",
        ),
        (
            lambda net, x, h: snnfp.init.Normal(0, -1),
            ValueError,
            "std is -1, expected a number >= 0",
        ),
        (
            lambda net, x, h: snnfp.init.Uniform(2, 1),
            ValueError,
            "low is 2, expected at most high = 1",
        ),
    ],
)
def test_networks(call, error, message):
    net, x, h = layers()
    with pytest.raises(error, match=message):
        call(net, x, h)


def test_elements_are_named_as_the_user_has_them():
    """When values are replaced, too: rows and columns, and the order of the given synapses."""
    net, x, h = layers()
    net.connect("input", "h", Dense(weight=1.0, delay=np.zeros((2, 3))), name="a")
    net.connect(x, h, Sparse(sources=[1, 1, 0], targets=[0, 2, 1], weight=1.0), name="b")
    wrong = {
        "a.weight": (
            [[0, 0, 0], [0, 0, NAN]],
            r"a.weight\[1, 2\] is nan, expected a finite number",
        ),
        "a.delay": ([[0, -1, 0], [0, 0, 0]], r"a.delay\[0, 1\] is -1, expected a finite time >= 0"),
        "b.weight": ([0, INF, 0], r"b.weight\[1\] is inf, expected a finite number"),
        "h.tau_syn": ([1, 0, 1], r"h.tau_syn\[1\] is 0, expected a time > 0"),
    }
    for name, (value, message) in wrong.items():
        before = net.parameters[name]
        with pytest.raises(ValueError, match="^" + message):
            net.parameters[name] = value
        assert net.parameters[name] is before
