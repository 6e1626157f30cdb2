"""Bad arguments of simulate, records, losses, fit and encoders: an error before anything is lost."""

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network
from snnfp import LIF, Dense, Network, Spikes
from snnfp.encoding import latency
from snnfp.losses import FirstSpikeCrossEntropy, SpikeTimeSquaredError

NAN, INF = np.nan, np.inf


def layers(**neuron):
    net = Network()
    x = net.input(2)
    h = net.population(3, LIF(**{"tau_mem": 2.0, "tau_syn": 1.0, **neuron}), name="h")
    net.connect(x, h, Dense(weight=4.0))
    return net, Spikes([0.5, 1.0], [0, 1], [0, 1, 2], size=2)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"until": -1.0}, ValueError, "until is -1, expected a time >= 0"),
        ({"until": NAN}, ValueError, "until is nan, expected a time >= 0"),
        ({"until": "8"}, TypeError, "until is '8', expected a time or None"),
        ({"until": True}, TypeError, "until is True"),
        ({"until": [8.0]}, TypeError, r"until is \[8.0\], expected a time or None"),
        ({"n_threads": 0}, ValueError, "n_threads is 0, expected at least 1, or None"),
        ({"n_threads": -2}, ValueError, "n_threads is -2"),
        ({"n_threads": 10**8}, ValueError, "n_threads is 100000000, expected at most 4096"),
        ({"n_threads": 1.5}, TypeError, "n_threads is 1.5, expected an integer or None for all"),
        (
            {"spike_limit": 2**70},
            ValueError,
            f"^spike_limit is {2**70}, expected at most {2**63 - 1}$",
        ),
        ({"samples": 3}, ValueError, "samples is 3, expected 2 as in the input"),
        ({"samples": 2.0}, TypeError, "samples is 2.0, expected an integer"),
        (
            {"initial": {"h": 0.5}},
            TypeError,
            r"initial\['h'\] is 0.5, expected \(voltage, current\)",
        ),
        ({"first_spikes_of": ["g"]}, KeyError, "'g' is not a population of the network"),
        ({"spike_limit": 0}, ValueError, "spike_limit is 0, expected at least 1"),
        ({"spike_limit": 1.0}, TypeError, "spike_limit is 1.0, expected an integer"),
        ({"engine": "fast"}, ValueError, "engine is 'fast', expected 'automatic' or 'queue'"),
        ({"isa": "sse"}, ValueError, "isa is 'sse', expected one of best, portable, avx2, avx512"),
        (
            {"initial": {"h": (0.0, [0, 0])}},
            ValueError,
            r"initial current of h has shape \(2,\), expected \(\) or \(3,\) or \(2, 3\)",
        ),
        (
            {"initial": {"h": (NAN, 0.0)}},
            ValueError,
            "initial voltage of h is nan, expected a finite number",
        ),
        (
            {"initial": {"h": ([[0, 0, 0], [0, INF, 0]], 0.0)}},
            ValueError,
            r"initial voltage of h\[1, 1\] is inf, expected a finite number",
        ),
        (
            {"initial": {"h": ([0, 1.5, 0], 0)}},
            ValueError,
            "initial voltage of neuron 1 of population h",
        ),
        ({"initial": {"h": ("0", 0)}}, TypeError, "initial voltage of h has dtype <U1"),
        (
            {"initial": {"g": (0, 0)}},
            KeyError,
            "'g' is not a population of the network, expected one of: h",
        ),
    ],
)
def test_simulate(options, error, message):
    net, spikes = layers()
    with pytest.raises(error, match=message):
        snnfp.simulate(net, spikes, **options)


@pytest.mark.parametrize(
    "spikes, error, message",
    [
        ([[0.5]], TypeError, "spikes is a list, expected snnfp.Spikes"),
        (
            Spikes([], [], [0, 0], size=3),
            ValueError,
            "spikes of input are for 3 channels, expected 2",
        ),
        (
            {"x": Spikes([], [], [0, 0], size=2)},
            ValueError,
            r"spikes are for \['x'\], expected \['input'\]",
        ),
        ({"input": [1]}, TypeError, r"spikes\['input'\] is a list, expected snnfp.Spikes"),
    ],
)
def test_input(spikes, error, message):
    with pytest.raises(error, match=message):
        snnfp.simulate(layers()[0], spikes)


@pytest.mark.parametrize("threshold", [-55.0, 0.0])
def test_voltages_that_are_not_measured_from_rest(threshold):
    net, spikes = layers(threshold=threshold, v_reset=-70.0)
    with pytest.raises(
        ValueError,
        match=rf"initial voltage of neuron 0 of population h is 0, expected a value below its "
        rf"threshold {threshold:.0f} \(V is measured from rest: subtract the resting voltage",
    ):
        snnfp.simulate(net, spikes, until=5.0)
    if threshold < 0:
        with pytest.raises(
            ValueError, match="V, which is measured from rest, goes to 0, above thr"
        ):
            snnfp.simulate(net, spikes)
    record = snnfp.simulate(net, spikes, initial={"h": (threshold - 0.01, 9.0)}, until=9.0)
    assert record.n_spikes > 0


def test_numbers_of_numpy_are_numbers():
    net, spikes = layers()
    plain = snnfp.simulate(net, spikes, until=9.0, n_threads=1, spike_limit=100)
    for kind in (np.int64, np.uint8, np.int32):
        given = snnfp.simulate(
            net, spikes, until=np.float32(9.0), n_threads=kind(1), spike_limit=kind(100)
        )
        assert given.times.tobytes() == plain.times.tobytes()


@pytest.mark.parametrize(
    "times, units, error, message",
    [
        ([[0.5]], None, ValueError, r"times has shape \(1, 1\), expected one dimension"),
        ([0.0], [3], ValueError, r"units\[0\] is 3, expected 0 <= unit < 3 \(h\)"),
        ([0.0], [0.5], TypeError, "units has dtype float64"),
        ([2.0, 1.0], None, ValueError, "probe time 1 is 1 after 2"),
        ([6.0], None, ValueError, "probe time 0 is 6, expected a finite time .* until = 5"),
        ([NAN], None, ValueError, "probe time 0 is nan"),
    ],
)
def test_probes(times, units, error, message):
    net, spikes = layers()
    record = snnfp.simulate(net, spikes, until=5.0)
    with pytest.raises(error, match=message):
        record.probe("h", times, units=units)
    with pytest.raises(KeyError, match="'g' is not a population of the network"):
        record.probe("g", [0.0])


def test_probes_of_no_neuron_and_no_time():
    net, spikes = layers()
    record = snnfp.simulate(net, spikes, until=9.0)
    assert record.probe("h", [1.0, 2.0], units=[]).voltage.shape == (2, 0, 2)
    assert record.probe("h", []).current.shape == (2, 3, 0)


def test_several_inputs():
    net, spikes = layers()
    net.input(1, name="more")
    with pytest.raises(
        ValueError, match=r"the network has 2 inputs \(input, more\), expected a mapping"
    ):
        snnfp.simulate(net, spikes)
    other = Spikes([], [], [0, 0, 0, 0], size=1)
    with pytest.raises(ValueError, match=r"3 samples.*2"):
        snnfp.simulate(net, {"input": spikes, "more": other})


def test_networks_that_cannot_run():
    empty = Spikes([], [], [0, 0], size=1)
    loss = snnfp.losses.ReadoutCrossEntropy(value="end")
    for call in (
        lambda: snnfp.simulate("net", empty),
        lambda: snnfp.value_and_grad("net", empty, [0], loss, until=1.0),
        lambda: snnfp.scale_readout("net", empty, loss, until=1.0),
        lambda: snnfp.calibrate("net", empty, rate=1.0, until=1.0),
        lambda: snnfp.testing.check_gradient("net", empty, [0], loss, until=1.0),
        lambda: snnfp.plots.raster_and_voltage("net", empty, until=1.0),
    ):
        with pytest.raises(TypeError, match=r"net is 'net', expected snnfp.Network"):
            call()
    net = Network()
    net.input(1)
    with pytest.raises(ValueError, match="the network has no population"):
        snnfp.simulate(net, empty)
    h = net.population(1, LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(h, h, Dense(weight=snnfp.init.Normal(0, 1)))
    with pytest.raises(
        snnfp.errors.SnnfpError,
        match=r"parameter h_to_h.weight has no value yet: call network.initialise",
    ):
        snnfp.simulate(net, empty)


def test_firing_for_ever_needs_an_end():
    """A bias above threshold is legal, but only with ``until``."""
    net, spikes = layers(bias=[0.0, 0.6, 0.0])
    with pytest.raises(ValueError, match="until is not given, but neuron 1 of population h"):
        snnfp.simulate(net, spikes)
    assert snnfp.simulate(net, spikes, until=9.0).counts("h")[:, 1].min() >= 2


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda r: r.vjp([1.0]),
            ValueError,
            r"cotangents have shape \(1,\), expected \(\d+,\), one a spike",
        ),
        (
            lambda r: r.vjp(np.full(r.n_spikes, NAN)),
            ValueError,
            r"cotangents\[0\] is nan, expected a finite number",
        ),
        (lambda r: r.vjp(["1"] * r.n_spikes), TypeError, "cotangents has dtype <U1"),
        (
            lambda r: r.vjp({"output": [[1.0]]}),
            ValueError,
            r"cotangents of output have shape \(1, 1\), expected \(2, 3\)",
        ),
        (lambda r: r.vjp({"top": [1.0]}), KeyError, "'top' is not a population"),
        (
            lambda r: r.vjp(np.ones(r.n_spikes), mode="both"),
            ValueError,
            "mode is 'both', expected 'reverse' or 'forward'",
        ),
        (
            lambda r: r.vjp(np.ones(r.n_spikes), wrt="x"),
            KeyError,
            "'x' matches no parameter, expected one of",
        ),
        (
            lambda r: r.jvp({"hidden.bias": [1.0]}),
            ValueError,
            r"tangent of hidden.bias has shape \(1,\), expected \(6,\)",
        ),
        (
            lambda r: r.jvp({"hidden.bias": np.zeros(6), "hidden.*": 1.0}),
            KeyError,
            r"tangents has 'hidden.\*', expected names: a tangent for each of hidden.tau_mem, hidden.t",
        ),
        (
            lambda r: r.jvp({"hidden.bias": [NAN] * 6}),
            ValueError,
            r"tangent of hidden.bias\[0\] is nan",
        ),
        (
            lambda r: r.jacobian(of=[10**6]),
            ValueError,
            "of: spike 0 is 1000000, expected -1 or 0 <= spike",
        ),
        (lambda r: r.jacobian(of=[0.5]), TypeError, "of has dtype float64"),
        (lambda r: list(r.jacobian_blocks(of=[0], columns=0)), ValueError, "columns is 0"),
        (
            lambda r: list(r.jacobian_blocks(of=[0], columns=2.5)),
            TypeError,
            "columns is 2.5, expected an integer",
        ),
        (lambda r: list(r.jacobian_blocks(of=[0], columns=True)), TypeError, "columns is True"),
        (lambda r: r.jacobian(of=[0], out=[0.0]), ValueError, "out is list, expected an array"),
        (lambda r: r.jacobian(of=[0], out=np.zeros(3)), ValueError, r"out is float64 \(3,\)"),
        (
            lambda r: r.counts("top"),
            KeyError,
            "'top' is not a population of the network, expected one of: hidden, output",
        ),
    ],
)
def test_records(call, error, message):
    net, spikes = random_network(np.random.default_rng(0))
    record = quiet(net, spikes, until=8.0)
    with pytest.raises(error, match=message):
        call(record)


@pytest.mark.parametrize(
    "labels, error, message",
    [
        ([0, 3], ValueError, r"labels\[1\] is 3, expected 0 <= label < 3"),
        ([-1, 0], ValueError, r"labels\[0\] is -1, expected 0 <= label < 3"),
        ([0], ValueError, r"labels have shape \(1,\), expected \(2,\), one a sample"),
        ([0.0, 1.0], TypeError, "labels have dtype float64, expected integers"),
        (["a", "b"], TypeError, "labels have dtype <U1"),
    ],
)
def test_labels(labels, error, message):
    net, spikes = layers()
    loss = FirstSpikeCrossEntropy(tau0=1.0, horizon=5.0)
    with pytest.raises(error, match=message):
        snnfp.value_and_grad(net, spikes, labels, loss)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: FirstSpikeCrossEntropy(tau0=0.0, horizon=5.0),
            "tau0 is 0.0, expected a finite time > 0",
        ),
        (lambda: FirstSpikeCrossEntropy(tau0=1.0, tau1=-1, horizon=5.0), "tau1 is -1"),
        (lambda: FirstSpikeCrossEntropy(tau0=1.0, horizon=INF), "horizon is inf"),
        (
            lambda: FirstSpikeCrossEntropy(tau0=1.0, gamma=-1, horizon=1.0),
            "gamma is -1, expected a finite number >= 0",
        ),
        (lambda: SpikeTimeSquaredError(horizon=0.0), "horizon is 0.0, expected a finite time > 0"),
        (lambda: snnfp.SGD(lr=0.0), "lr is 0.0, expected a finite number > 0"),
        (lambda: snnfp.SGD(lr=0.1, momentum=1.0), "momentum is 1.0, expected 0 <= momentum < 1"),
        (lambda: snnfp.Adam(lr=NAN), "lr is nan"),
        (lambda: snnfp.Adam(beta2=1.0), "beta2 is 1.0, expected 0 <= beta2 < 1"),
        (lambda: snnfp.Adam(eps=-1.0), "eps is -1.0"),
        (lambda: snnfp.Adam(weight_decay=-1.0), "weight_decay is -1.0"),
        (lambda: snnfp.EarlyStopping(patience=0), "patience is 0, expected at least 1"),
        (
            lambda: snnfp.remedies.WeightBump(amount=0.0),
            "amount is 0.0, expected a finite number > 0",
        ),
        (lambda: snnfp.remedies.LabelBump(amount=INF), "amount is inf"),
        (lambda: snnfp.schedules.StepDecay(0.5, 0), "every is 0, expected at least 1"),
        (lambda: snnfp.schedules.ExponentialDecay(0.0), "factor is 0.0, expected 0 < factor <= 1"),
        (lambda: snnfp.schedules.Cosine(0), "epochs is 0, expected at least 1"),
        (lambda: latency([[1.5]], t_min=0, t_max=1), r"features\[0, 0\] is 1.5, expected 0 ... 1"),
        (
            lambda: latency([[0], [NAN]], t_min=0, t_max=1),
            r"features\[1, 0\] is nan, expected 0 ... 1",
        ),
        (
            lambda: latency([0.5], t_min=0, t_max=1),
            r"features have shape \(1,\), expected \[samples, d\]",
        ),
        (
            lambda: latency(np.zeros((0, 4)), t_min=0, t_max=1),
            r"^features have shape \(0, 4\), expected at least one sample$",
        ),
        (
            lambda: latency(np.zeros((4, 0)), t_min=0, t_max=1),
            r"^features have shape \(4, 0\), expected at least one feature$",
        ),
        (lambda: latency([[0.5]], t_min=-1, t_max=1), "t_min is -1, expected a finite time >= 0"),
        (lambda: latency([[0.5]], t_min=0, t_max=NAN), "t_max is nan"),
        (lambda: latency([[0.5]], t_min=0, t_max=1, bias_time=INF), "bias_time is inf"),
        (lambda: snnfp.data.yin_yang(0, seed=1), "size is 0, expected at least 1"),
    ],
)
def test_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"train": ([[1]], [0])}, TypeError, r"train\[0\] is a list, expected snnfp.Spikes"),
        ({"labels": [0]}, ValueError, "1 labels for 2 samples, expected one a sample"),
        ({"epochs": 0}, ValueError, "epochs is 0, expected at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"batch_size": 2.0}, TypeError, "batch_size is 2.0"),
        ({"wrt": "*.times"}, ValueError, r"wrt = '\*.times' names no parameter"),
        ({"wrt": "nothing"}, KeyError, "'nothing' matches no parameter"),
        ({"mode": "back"}, ValueError, "mode is 'back', expected 'reverse' or 'forward'"),
        ({"clip_norm": 0.0}, ValueError, "clip_norm is 0.0, expected a number > 0"),
        (
            {"early_stopping": snnfp.EarlyStopping(metric="beauty")},
            ValueError,
            "looks at 'beauty', expected one of: loss",
        ),
        ({"labels": [0, 5]}, ValueError, r"labels\[\d\] is 5, expected 0 <= label < 3"),
        (
            {"validation": (Spikes([], [], [0, 0], size=2), [0, 1])},
            ValueError,
            "2 labels for 1 samples",
        ),
    ],
)
def test_fit(changes, error, message):
    """Nothing is trained: the parameters stay what they were."""
    net, spikes = layers()
    before = net.flatten()
    options = {
        "loss": FirstSpikeCrossEntropy(tau0=1.0, horizon=5.0),
        "optimiser": snnfp.SGD(lr=0.1),
        "epochs": 1,
        "progress": False,
        **changes,
    }
    train = options.pop("train", (spikes, options.pop("labels", [0, 1])))
    with pytest.raises(error, match=message):
        snnfp.fit(net, train, **options)
    assert np.array_equal(net.flatten(), before)


def test_times_of_an_encoding_are_numbers():
    for name in ("t_min", "t_max", "bias_time"):
        times = {"t_min": 0.0, "t_max": 1.0, name: "1"}
        with pytest.raises(TypeError, match=f"{name} is '1', expected a number"):
            latency([[0.5]], **times)
