"""A network as a pure function of arrays, on which the adapters to frameworks are built."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
import snnfp
from networks import random_network
from snnfp._functional import FirstSpikes, NetworkFunction, SpikeTimes, outputs_of, spikes_of_times

pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")

UNTIL = 8.0
READINGS = (
    snnfp.Reading("out", "end"),
    snnfp.Reading("out", "at", times=(2.0, 5.0)),
    snnfp.Reading("out", "max"),
    snnfp.Reading("out", time_scale=3.0),
)


def network(seed, dtype=np.float64, samples=3):
    """A random network with a readout, and times for it, up to three a channel."""
    rng = np.random.default_rng(seed)
    net, _ = random_network(rng, dtype=dtype, samples=1, until=UNTIL)
    out = net.readout(2, snnfp.LI(tau_mem=3.0, tau_syn=[1.0, 2.0]), name="out")
    net.connect("hidden", out, snnfp.Dense(weight=rng.normal(0, 0.5, (6, 2)), delay=0.2))
    net.connect("input", out, snnfp.Dense(weight=rng.normal(0, 0.5, (4, 2))))
    times = rng.uniform(0, 0.7 * UNTIL, (samples, 4, 3))
    times[rng.random(times.shape) < 0.4] = np.inf
    return net, times.astype(dtype), rng


def all_outputs():
    return (
        FirstSpikes("output"),
        SpikeTimes("output"),
        SpikeTimes("hidden", width=2, silent=-1.0),
        FirstSpikes("hidden", silent=9.0),
        *READINGS,
    )


def names_of(function):
    return (*function.parameters, *(f"{name}.times" for name in function.inputs))


@pytest.mark.parametrize("seed", range(6))
def test_forward_is_reverse(seed):
    """<J t, c> = <t, J' c> for all outputs together and by everything at once."""
    net, times, rng = network(seed)
    function = NetworkFunction(net, all_outputs(), until=UNTIL)
    trace = function(function.parameters, {"input": times})
    cotangents = [rng.normal(size=v.shape) for v in trace.values]
    tangents = {
        name: rng.normal(size=value.shape)
        for name, value in ({**function.parameters, "input.times": times}).items()
    }
    along = trace.pushforward(tangents)
    assert [a.shape for a in along] == [v.shape for v in trace.values]
    back = trace.pullback(cotangents, names_of(function))
    assert {n: g.shape for n, g in back.items()} == {n: t.shape for n, t in tangents.items()}
    forward = sum(float(np.sum(a * c)) for a, c in zip(along, cotangents))
    reverse = sum(float(np.sum(back[n] * t)) for n, t in tangents.items())
    size = sum(float(np.sum(np.abs(back[n] * t))) for n, t in tangents.items())
    assert abs(forward - reverse) <= 1e-11 * size


@pytest.mark.parametrize("output", all_outputs(), ids=lambda o: f"{type(o).__name__}-{o}")
def test_differences(output):
    """The derivative along a direction, against the change of the values."""
    net, times, rng = network(11)
    function = NetworkFunction(net, output, until=UNTIL)
    moved = ["input_to_hidden.weight", "hidden.tau_mem", "hidden_to_output.weight", "out.tau_syn"]
    base = function.parameters
    tangents = {n: rng.normal(size=base[n].shape) for n in moved}
    tangents["hidden.tau_mem"][np.isinf(base["hidden.tau_mem"])] = 0.0
    tangents["input.times"] = rng.normal(size=times.shape)

    def values(h):
        parameters = {n: base[n] + h * tangents[n] for n in moved}
        with np.errstate(invalid="ignore"):
            given = times + h * tangents["input.times"]
        return function(parameters, {"input": given}).values[0]

    h = 1e-6
    up, down = values(h), values(-h)
    there = np.isfinite(up)
    assert there.sum() >= 4 and np.array_equal(there, np.isfinite(down))
    difference = (up[there] - down[there]) / (2 * h)
    exact = function({}, {"input": times}).pushforward(tangents)[0]
    np.testing.assert_allclose(exact[there], difference, rtol=2e-6, atol=2e-6)
    assert not exact[~there].any()


def test_spike_times_are_those_of_the_record():
    net, times, _ = network(1)
    record = NetworkFunction(net, "spike_times", until=UNTIL)({}, {"input": times}).record
    for population in ("hidden", "output"):
        lists = record.spikes(population).to_lists()
        most = max(len(t) for sample in lists for t in sample)
        for width in (None, 1, 2, most + 3):
            output = SpikeTimes(population, width=width, silent=-2.0)
            function = NetworkFunction(net, output, until=UNTIL)
            table = function({}, {"input": times}).values[0]
            assert table.shape == (3, net.populations[population].size, width or most)
            for s, sample in enumerate(lists):
                for n, wanted in enumerate(sample):
                    kept = wanted[: table.shape[2]]
                    assert table[s, n, : kept.size].tolist() == kept.tolist()
                    assert (table[s, n, kept.size :] == -2.0).all()
    assert most >= 2


def test_silent_populations_have_a_table_too():
    net = snnfp.Network()
    x = net.input(2, name="x")
    net.connect(
        x, net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="y"), snnfp.Dense(weight=0.0)
    )
    trace = NetworkFunction(net, ("spike_times", "first_spikes"))({}, {"x": np.ones((2, 2))})
    assert trace.values[0].shape == (2, 3, 1) and np.isinf(trace.values[0]).all()
    nothing = [np.full((2, 3, 1), np.nan), np.full((2, 3), np.nan)]
    back = trace.pullback(nothing, ["x_to_y.weight", "x.times"])
    assert not back["x_to_y.weight"].any() and not back["x.times"].any()
    assert back["x.times"].shape == (2, 2)


def test_first_spikes_alone_end_samples_early():
    net, times, rng = network(2)
    alone = NetworkFunction(net, "first_spikes", until=UNTIL)({}, {"input": times})
    beside = NetworkFunction(net, ("first_spikes", READINGS[0]), until=UNTIL)({}, {"input": times})
    assert alone.record.n_spikes < beside.record.n_spikes
    assert alone.values[0].tobytes() == beside.values[0].tobytes()
    c = rng.normal(size=alone.values[0].shape)
    one = alone.pullback([c], ["*.weight", "input.times"])
    other = beside.pullback([c, None], ["*.weight", "input.times"])
    for name in ("input_to_hidden.weight", "input.times"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_times_of_a_channel_are_spikes(dtype):
    rng = np.random.default_rng(5)
    times = rng.uniform(0, 9, (4, 3, 5)).astype(dtype)
    times[rng.random(times.shape) < 0.5] = np.inf
    times[1] = np.inf
    times[0, 0, 0], times[0, 2, 1] = -0.0, 4.0
    times[0, 1, 1] = 4.0  # of one time, the lower channel comes first
    spikes, place = spikes_of_times(times, "x", 3)
    wanted = snnfp.Spikes.from_lists([[t[np.isfinite(t)] for t in sample] for sample in times])
    assert spikes == wanted and not np.signbit(spikes.times).any()
    assert times.reshape(-1)[place].tolist() == spikes.times.tolist()
    flat, place = spikes_of_times(times[..., 0], "x", 3)
    assert flat == snnfp.Spikes.from_latencies(times[..., 0])
    assert times[..., 0].reshape(-1)[place].tolist() == flat.times.tolist()


def test_a_call_depends_on_nothing_else():
    """Not on the network, on other calls, or on threads; and leaves the caller's arrays alone."""
    net, times, rng = network(3)
    function = NetworkFunction(net, all_outputs(), until=UNTIL, n_threads=1)
    base = {n: v.copy() for n, v in function.parameters.items()}
    moved = [
        {
            n: v * rng.uniform(0.9, 1.1, v.shape) if n.endswith(".weight") else v
            for n, v in base.items()
        }
        for _ in range(8)
    ]
    net.parameters["input_to_hidden.weight"] = 0.0
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="later")

    def bits(parameters):
        trace = function(parameters, {"input": times})
        back = trace.pullback([np.ones_like(v) for v in trace.values], names_of(function))
        return b"".join(v.tobytes() for v in (*trace.values, *back.values()))

    alone = [bits(p) for p in moved]
    assert len(set(alone)) == len(moved)
    found = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: bits(moved[k % 8])}))
        for k in range(24)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [found[k] for k in range(24)] == alone * 3
    for other in (copy.deepcopy(function), pickle.loads(pickle.dumps(function))):
        function = other
        assert [bits(p) for p in moved[:2]] == alone[:2]
    assert all(v.flags.writeable for p in moved for n, v in p.items() if n.endswith(".weight"))


def test_parameters_are_not_copied():
    net, times, _ = network(4)
    function = NetworkFunction(net, "first_spikes", until=UNTIL)
    weight = function.parameters["input_to_hidden.weight"] * 1.0
    record = function({"input_to_hidden.weight": weight}, {"input": times}).record
    assert np.shares_memory(record._net.parameters["input_to_hidden.weight"], weight)
    turned = np.asfortranarray(weight)
    again = function({"input_to_hidden.weight": turned}, {"input": times}).record
    assert again.times.tobytes() == record.times.tobytes()


def test_own_network():
    net, times, _ = network(4)
    function = NetworkFunction(net, "first_spikes", until=UNTIL)
    weight = function.parameters["input_to_hidden.weight"] * 1.1
    own = function.network({"input_to_hidden.weight": weight})
    spikes, _ = spikes_of_times(times, "input", 4)
    there = snnfp.simulate(own, spikes, until=UNTIL).first_spikes("output")
    here = function({"input_to_hidden.weight": weight}, {"input": spikes}).values[0]
    assert there.tobytes() == here.tobytes()
    own.readout(1, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="more")
    own.parameters["input_to_hidden.weight"] = 0.0
    assert (
        function({"input_to_hidden.weight": weight}, {"input": spikes}).values[0].tobytes()
        == here.tobytes()
    )


def test_shapes_before_a_call():
    net, times, _ = network(0)
    outputs = (FirstSpikes("hidden"), SpikeTimes("output", width=4), *READINGS)
    function = NetworkFunction(net, outputs, until=UNTIL)
    assert function.shapes(3) == tuple(v.shape for v in function({}, {"input": times}).values)
    with pytest.raises(ValueError, match="spike times of output have no width, expected one"):
        NetworkFunction(net, "spike_times").shapes(3)


def test_what_is_asked_for():
    net, _, _ = network(0)
    assert outputs_of(net, "first_spikes") == (FirstSpikes("output"),)
    assert outputs_of(net, ["spike_times", "voltage"]) == (
        SpikeTimes("output"),
        snnfp.Reading("out", "end"),
    )
    assert FirstSpikes(net.populations["hidden"]) == FirstSpikes("hidden")
    alone = snnfp.Network()
    alone.readout(1, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="v")
    cases = [
        (
            net,
            "spikes",
            ValueError,
            "output is 'spikes', expected 'first_spikes' or 'spike_times' or 'voltage'",
        ),
        (net, 3, TypeError, "output is 3, expected .* or snnfp.Reading"),
        (net, (), ValueError, "output is empty"),
        (net, FirstSpikes("out"), KeyError, "'out' is a readout"),
        (net, SpikeTimes("nobody"), KeyError, "'nobody' is not a population"),
        (net, snnfp.Reading("output", "end"), KeyError, "'output' is not a readout"),
        (alone, "first_spikes", ValueError, "the network has no population"),
    ]
    for where, output, kind, text in cases:
        with pytest.raises(kind, match=text):
            outputs_of(where, output)
    for make, kind, text in [
        (lambda: FirstSpikes(0), TypeError, "population is 0, expected the name"),
        (lambda: FirstSpikes("y", silent=float("nan")), ValueError, "silent is nan"),
        (lambda: FirstSpikes("y", silent="inf"), TypeError, "silent is 'inf', expected a number"),
        (lambda: SpikeTimes("y", width=0), ValueError, "width is 0, expected at least 1, or None"),
    ]:
        with pytest.raises(kind, match=text):
            make()
    with pytest.raises(KeyError, match="the network has no readout"):
        outputs_of(random_network(np.random.default_rng(0))[0], "voltage")


def test_what_is_refused():
    net, times, _ = network(0)
    with pytest.raises(
        TypeError, match="there is no option 'probe', expected initial, spike_limit"
    ):
        NetworkFunction(net, "first_spikes", probe={})
    with pytest.raises(ValueError, match=r"'end' of readout out .* expected a finite until"):
        NetworkFunction(net, "voltage")
    with pytest.raises(TypeError, match=r"net is 3, expected snnfp.Network"):
        NetworkFunction(3, "voltage")
    function = NetworkFunction(net, "first_spikes", until=UNTIL)
    weight = function.parameters["input_to_hidden.weight"]
    nan = times[..., 0].copy()
    nan[1, 2] = np.nan
    cases = [
        ({"w": weight}, times, KeyError, "'w' is not a parameter"),
        (
            {"input_to_hidden.weight": weight.astype(np.float32)},
            times,
            TypeError,
            "parameter input_to_hidden.weight has dtype float32, expected float64",
        ),
        (
            {"input_to_hidden.weight": weight[:2]},
            times,
            ValueError,
            r"input_to_hidden.weight has shape \(2, 6\)",
        ),
        (
            {"input_to_hidden.weight": np.where(weight == weight[1, 2], np.nan, weight)},
            times,
            ValueError,
            r"input_to_hidden.weight\[1, 2\] is nan",
        ),
        (
            {},
            np.zeros((3, 4), int),
            TypeError,
            "times of input have dtype int64, expected float64 or float32",
        ),
        ({}, times.astype(np.float16), TypeError, "times of input have dtype float16"),
        (
            {},
            times[:, :3],
            ValueError,
            r"shape \(3, 3, 3\), expected \[samples, 4\] or \[samples, 4, spikes\]",
        ),
        ({}, times[0, 0], ValueError, "expected .samples, 4"),
        ({}, times[:0], ValueError, "at least one sample"),
        ({}, times[..., :0], ValueError, "at least one spike"),
        ({}, nan, ValueError, r"times of input\[1, 2\] is nan, expected a time >= 0"),
        ({}, times - 9.0, ValueError, r"times of input\[0, .* expected a time >= 0, or inf"),
    ]
    for parameters, given, kind, text in cases:
        with pytest.raises(kind, match=text):
            function(parameters, {"input": given})
    with pytest.raises(KeyError, match="'sound' is not an input of the network, expected: input"):
        function({}, {"sound": times})
    trace = function({}, {"input": times})
    with pytest.raises(ValueError, match=r"FirstSpikes.* has shape \(3, 1\), expected \(3, 3\)"):
        trace.pullback([np.ones((3, 1))], ["*.weight"])
    with pytest.raises(ValueError, match="is nan, expected a finite number"):
        trace.pullback([np.full((3, 3), np.nan)], ["*.weight"])
    with pytest.raises(ValueError, match=r"tangent of the times of input has shape \(3, 4\)"):
        trace.pushforward({"input.times": times[..., 0]})


def test_a_weight_beside_the_mask_is_refused():
    net = snnfp.Network()
    x = net.input(2, name="x")
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    net.connect(x, y, snnfp.Dense(weight=3.0, mask=[[True, False], [True, True]]))
    function = NetworkFunction(net, "first_spikes")
    with pytest.raises(ValueError, match=r"x_to_y.weight\[0, 1\] is 3.0, expected 0: the mask"):
        function({"x_to_y.weight": np.full((2, 2), 3.0)}, {"x": np.ones((1, 2))})
    trace = function({}, {"x": np.array([[0.5, 1.0]])})
    back = trace.pullback([np.ones((1, 2))], ["x_to_y.weight"])
    assert back["x_to_y.weight"][0, 1] == 0 and np.count_nonzero(back["x_to_y.weight"]) >= 2


def test_selected_are_parameters():
    """Times are none, though a network's own selection of derivatives has them."""
    net, *_ = network(0)
    function = NetworkFunction(net, "first_spikes", until=UNTIL)
    assert set(function.select("*")) == set(function.parameters)
    assert function.select(p for p in ["*.weight"]) == function.select("*.weight") != ()
    for wrt, name in (("input.times", "input.times"), (["*.weight", "*.times"], r"\*.times")):
        with pytest.raises(KeyError, match=f"'{name}' matches no parameter but the times of an"):
            function.select(wrt)


@pytest.mark.parametrize("silent", [-np.inf, -1.0, np.inf])
def test_what_stands_where_neurons_are_silent(silent):
    net = snnfp.Network()
    net.connect(
        net.input(1, name="x"),
        net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y"),
        snnfp.Dense(weight=[[0.0, 9.0]]),
    )
    for output in (FirstSpikes("y", silent=silent), SpikeTimes("y", width=1, silent=silent)):
        (value,) = NetworkFunction(net, output, until=5.0)({}, {"x": np.array([[0.5]])}).values
        assert value.reshape(-1)[0] == silent and 0.5 < value.reshape(-1)[1] < 5.0
