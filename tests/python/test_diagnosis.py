"""Diagnosis, activity in the history, calibration of weights, predicted and true steps."""

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network, same_bits
from snnfp import Dense, Spikes
from snnfp.losses import FirstSpikeLoss

UNTIL = 8.0


def halved(seed, dtype=np.float64):
    """A network of which some neurons are silent."""
    net, spikes = random_network(np.random.default_rng(seed), samples=5, dtype=dtype)
    for q in net.projections:
        net.parameters[f"{q}.weight"] = 0.6 * net.parameters[f"{q}.weight"]
    return net, spikes


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_silent_neurons_and_their_highest_voltage(dtype):
    """Against the replay on a fine grid, which can only miss something of a maximum."""
    seen = 0
    for seed in range(8):
        net, spikes = halved(seed, dtype)
        before = {k: v.copy() for k, v in net.parameters.items()}
        d = snnfp.diagnose(net, spikes, until=UNTIL)
        record = quiet(net, spikes, until=UNTIL)
        for name, p in d.populations.items():
            assert np.array_equal(p.silent, np.flatnonzero(~record.fires(name)))
            np.testing.assert_allclose(p.spikes, record.counts(name).mean(axis=0))
            assert p.min_slope == record.slopes[record.indices(name)].min(initial=np.inf)
            assert np.array_equal(np.flatnonzero(~np.isnan(p.missing_voltage)), p.silent)
            if p.silent.size:
                grid = record.probe(name, np.linspace(0, UNTIL, 8001), units=p.silent)
                highest = p.threshold[p.silent] - p.missing_voltage[p.silent]
                apart = highest - np.max(grid.voltage, axis=(0, 2))
                assert -1e-6 < apart.min() and apart.max() < 1e-4
                assert (p.missing_voltage[p.silent] > 0).all()
                seen += p.silent.size
        for name, value in before.items():
            assert np.array_equal(value, net.parameters[name])
    assert seen > 10


def test_a_silent_neuron_far_from_anything():
    """V that only goes down, or nowhere: the highest is where it began."""
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, threshold=[1.0, 2.0, 3.0]), name="h")
    net.connect(x, h, Dense(weight=[[-1.0, 0.0, 1.0]]))
    d = snnfp.diagnose(net, Spikes.from_lists([[[1.0]]]))
    # tau_mem = 2 tau_syn: the maximum is w / 2 (tau_syn = 1).
    np.testing.assert_allclose(d.populations["h"].missing_voltage, [1.0, 2.0, 2.5], rtol=1e-8)
    assert d.populations["h"].deliveries == 3.0
    assert len(d.findings) == 1
    net.parameters["h.threshold"] = [1.0, 2.0, 0.4]
    few = snnfp.diagnose(net, Spikes.from_lists([[[1.0]]]))
    assert few.findings == ("2 of 3 neurons of h fire in no sample",)
    net.parameters["x_to_h.weight"] = [[-1.0, 5.0, 1.0]]
    assert snnfp.diagnose(net, Spikes.from_lists([[[1.0]]])).findings == ()
    assert "population h fires no spike: the neuron that comes closest, 0, stays 1" in str(d)


def test_runaway_firing_is_told_and_no_error():
    net = snnfp.Network()
    x = net.input(1, name="x")
    lif = snnfp.LIF(tau_mem=2.0, tau_syn=1.0)
    h = net.population(2, lif, name="h")
    y = net.population(2, lif, name="y", max_spikes=3)
    net.connect(x, h, Dense(weight=[[9.0, 0.1]]))
    net.connect(h, h, Dense(weight=np.full((2, 2), 9.0), delay=0.1))
    net.connect(h, y, Dense(weight=1.0))
    spikes = Spikes.from_lists([[[1.0]]] * 2)
    with pytest.raises(snnfp.errors.EventLimitError):
        snnfp.simulate(net, spikes, until=50.0, spike_limit=100)
    d = snnfp.diagnose(net, spikes, until=50.0, spike_limit=100)
    assert d.populations["h"].runaway.tolist() == [0, 1]
    assert d.populations["h"].spikes.tolist() == [100.0, 100.0]
    assert d.populations["y"].runaway.size == 0  # a limit of its own is no runaway
    assert "2 of 2 neurons of h run away: they were stopped at 100 spikes in a sample" in d.findings


def test_labels_and_table():
    net, spikes = halved(3)
    d = snnfp.diagnose(net, spikes, [0, 1, 1, 0, 0], until=UNTIL)
    record = quiet(net, spikes, until=UNTIL)
    silent = record.counts("output") == 0
    wanted = [silent[[0, 3, 4], 0].mean(), silent[[1, 2], 1].mean(), np.nan]
    np.testing.assert_array_equal(d.silent_labels, wanted)
    assert snnfp.diagnose(net, spikes, until=UNTIL).silent_labels is None
    lines = str(d).splitlines()
    assert lines[0] == "5 samples" and lines[1].split()[:4] == [
        *("population", "neurons", "silent", "runaway")
    ]
    assert lines[2].startswith("hidden") and lines[3].startswith("output")
    other = snnfp.diagnose(
        net, spikes, [5, 1, 1, 0, 0], until=UNTIL, loss=FirstSpikeLoss(population="hidden")
    )
    assert other.output == "hidden" and other.silent_labels.size == 6
    with pytest.raises(ValueError, match=r"labels\[0\] is 5, expected 0 <= label < 3"):
        snnfp.diagnose(net, spikes, [5, 1, 1, 0, 0], until=UNTIL)


def test_deliveries_against_a_count():
    net, spikes = random_network(np.random.default_rng(5), samples=3)
    record = quiet(net, spikes, until=UNTIL)
    d = snnfp.diagnose(net, spikes, until=UNTIL)
    for name in net.populations:
        total = 0
        for q in net.projections.values():
            if q.target != name:
                continue
            sent = record.sent(q.source).sum(axis=0)
            for unit, n in enumerate(sent):
                reached = {"dense": q.ends[1], "one_to_one": 1}.get(q.kind)
                total += n * (np.sum(q.sources == unit) if reached is None else reached)
        assert d.populations[name].deliveries == pytest.approx(total / 3, rel=1e-14)


def test_the_history_keeps_activity():
    net, spikes = random_network(np.random.default_rng(5), samples=6)
    labels = np.zeros(6, int)
    history = snnfp.fit(
        net, (spikes, labels), loss=snnfp.losses.SpikeTimeFunction(function=nothing), epochs=2,
        optimiser=snnfp.SGD(lr=0.1), until=UNTIL, batch_size=4, progress=False,
    )  # fmt: skip
    d = snnfp.diagnose(net, spikes, until=UNTIL)
    for name, p in d.populations.items():
        assert history[f"spikes/{name}"] == [pytest.approx(p.spikes.mean())] * 2
    total = sum(p.deliveries for p in d.populations.values())
    assert history["deliveries"] == [pytest.approx(total)] * 2


def nothing(record, labels):
    return 0.0, np.zeros(record.n_spikes)


def listening(**neuron):
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, Dense(weight=3.0))
    r = net.readout(2, snnfp.LI(**neuron), name="r")
    net.connect(h, r, Dense(weight=1.0))
    return net, Spikes.from_lists([[[0.5]]] * 2)


@pytest.mark.parametrize("outputs", ["readout", "population", "lateral", "readouts alone"])
def test_without_a_loss_outputs_are_what_feeds_nothing(outputs):
    """Labels are classes of that, and hidden neurons are not told to be silent in theirs."""
    net, spikes = listening(tau_mem=3.0, tau_syn=1.0)
    if outputs in ("population", "lateral"):
        net.population(4, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
        net.connect("h", "y", Dense(weight=0.1))
        if outputs == "lateral":  # onto itself, which feeds nothing
            net.connect("y", "y", Dense(weight=-0.1))
    elif outputs == "readouts alone":
        net = snnfp.Network()
        net.input(1, name="x")
        net.readout(2, snnfp.LI(tau_mem=3.0, tau_syn=1.0), name="r")
        net.connect("x", "r", Dense(weight=1.0))
    name, size = ("y", 4) if outputs in ("population", "lateral") else ("r", 2)
    d = snnfp.diagnose(net, spikes, [0, 1], until=5.0)
    assert d.output == name
    assert (d.silent_labels is None) == (name == "r")
    assert any("is silent in" in f for f in d.findings) == (name == "y")
    assert list(d.populations) == list(net.populations)
    assert str(d).startswith("2 samples")
    with pytest.raises(ValueError, match=rf"labels\[1\] is {size}, expected 0 <= label < {size}"):
        snnfp.diagnose(net, spikes, [0, size], until=5.0)


LOSSES = snnfp.losses


@pytest.mark.parametrize(
    "value, options, neuron, found",
    [
        ("end", {}, {"tau_mem": 0.3, "tau_syn": 0.1}, 0.165),  # ln 3 / (10 - 10 / 3)
        ("end", {}, {"tau_mem": 3.0, "tau_syn": 3.0}, 3.0),
        ("end", {}, {"tau_mem": 6.0, "tau_syn": 6.0}, None),
        ("end", {}, {"tau_mem": np.inf, "tau_syn": 0.1}, None),
        ("end", {}, {"tau_mem": np.inf, "tau_syn": np.inf}, None),
        ("max", {}, {"tau_mem": [9.0, 0.3], "tau_syn": [9.0, 0.1]}, 0.165),
        ("at", {"times": [0.1, 0.16]}, {"tau_mem": 0.3, "tau_syn": 0.1}, None),
        ("at", {"times": [0.1, 0.17]}, {"tau_mem": 0.3, "tau_syn": 0.1}, 0.165),
        ("integral", {}, {"tau_mem": 0.3, "tau_syn": 0.1}, None),
        ("weighted_integral", {"time_scale": 1.0}, {"tau_mem": 0.3, "tau_syn": 0.1}, None),
    ],
)
def test_a_readout_whose_spikes_lose_with_age(value, options, neuron, found):
    net, spikes = listening(**neuron)
    loss = LOSSES.ReadoutCrossEntropy(value=value, **options)
    for each in (loss, 0.5 * LOSSES.FirstSpikeLatency(horizon=5.0) + loss):
        d = snnfp.diagnose(net, spikes, [0, 1], until=5.0, loss=each)
        assert d.output == "r" and d.silent_labels is None
        told = [
            f for f in d.findings if f.startswith(f"what a spike gives to {value!r} of readout")
        ]
        assert len(told) == (found is not None)
        if told:
            assert f"falls with its age from {found:.3g} on" in told[0]
    with pytest.raises(ValueError, match=r"labels\[1\] is 2, expected 0 <= label < 2"):
        snnfp.diagnose(net, spikes, [0, 2], until=5.0, loss=loss)


def test_deliveries_of_masks_and_convolutions():
    net = snnfp.Network()
    x = net.input(4, name="x")
    h = net.population(4, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    mask = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, 1, 1, 1]], bool)
    net.connect(x, h, Dense(weight=1.0, mask=mask))
    conv = snnfp.Conv2D(shape_in=(1, 2, 2), weight=np.ones((1, 1, 2, 2)), padding=1, stride=2)
    y = net.population(conv.size_out, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    q = net.connect(x, y, conv)
    net.connect(x, y, Dense(weight=np.ones((4, conv.size_out))), name="again")
    spikes = Spikes.from_lists([[[1.0], [1.0, 2.0], [], [3.0]]])
    d = snnfp.diagnose(net, spikes, until=1.001)
    assert d.populations["h"].deliveries == 2 + 0 + 4
    sources = np.bincount(q.sources, minlength=4)
    assert d.populations["y"].deliveries == (sources + conv.size_out) @ [1, 2, 0, 1]


def test_picture():
    pytest.importorskip("matplotlib")
    net, spikes = halved(3)
    figure = snnfp.plots.activity(snnfp.diagnose(net, spikes, until=UNTIL))
    titles = [axes.get_title() for axes in figure.axes]
    assert any(t.startswith("hidden: ") and t.endswith("silent") for t in titles)
    with pytest.raises(TypeError, match="diagnosis is a Network"):
        snnfp.plots.activity(net)
    listener = snnfp.Network()
    listener.input(1, name="x")
    listener.readout(2, snnfp.LI(tau_mem=3.0, tau_syn=1.0), name="r")
    listener.connect("x", "r", Dense(weight=1.0))
    seen = snnfp.diagnose(listener, Spikes.from_lists([[[0.5]]]), until=5.0)
    with pytest.raises(ValueError, match="the diagnosis has no population, expected one whose"):
        snnfp.plots.activity(seen)


# -- calibration -------------------------------------------------------------------------------


def drawn(recurrent=True):
    net, spikes = random_network(np.random.default_rng(1), samples=40, recurrent=recurrent)
    return net, spikes


@pytest.mark.parametrize("recurrent", [False, True])
def test_calibrated_populations_fire_as_wanted(recurrent):
    net, spikes = drawn(recurrent)
    before = dict(net.parameters)
    done = snnfp.calibrate(net, spikes, rate={"hidden": 1.5, "output": 0.8}, until=UNTIL)
    record = quiet(net, spikes, until=UNTIL)
    for name, wanted in (("hidden", 1.5), ("output", 0.8)):
        fires = record.counts(name).mean()
        assert fires == pytest.approx(wanted, rel=0.05)
        assert done.spikes[name] == pytest.approx(fires, rel=1e-14)
        for q in net.projections.values():
            key = f"{q.name}.weight"
            if q.target == name:
                np.testing.assert_allclose(
                    net.parameters[key], done.factors[name] * before[key], rtol=1e-12
                )
    for name, value in before.items():
        if not name.endswith(".weight"):
            assert np.array_equal(value, net.parameters[name])


def test_calibration_is_the_same_every_time():
    a, spikes = drawn()
    b, _ = drawn()
    for net, threads in ((a, 1), (b, 2)):
        snnfp.calibrate(net, spikes, rate=1.0, until=UNTIL, tolerance=0.03, n_threads=threads)
    assert same_bits(quiet(a, spikes, until=UNTIL), quiet(b, spikes, until=UNTIL))


def test_calibration_of_what_feeds_each_other_and_of_drawn_weights():
    net = snnfp.Network()
    x = net.input(4, name="x")
    lif = snnfp.LIF(tau_mem=snnfp.init.LogUniform(1.0, 4.0), tau_syn=1.0, t_refractory=0.5)
    y = net.population(3, lif, name="y")  # added before what feeds it
    a = net.population(10, lif, name="a")
    b = net.population(10, lif, name="b")
    normal = snnfp.init.Normal(0.5, 0.5)
    for source, target in ((x, a), (a, b), (b, a), (b, y)):
        net.connect(source, target, Dense(weight=normal, delay=0.2))
    rng = np.random.default_rng(0)
    spikes = Spikes.from_pairs(
        [(rng.uniform(0, 5, 20), rng.integers(0, 4, 20)) for _ in range(50)], size=4
    )
    done = snnfp.calibrate(net, spikes, rate=1.2, until=UNTIL, seed=3)
    record = quiet(net, spikes, until=UNTIL)
    for name in ("a", "b", "y"):
        assert record.counts(name).mean() == pytest.approx(1.2, rel=0.05)
        assert done.spikes[name] == pytest.approx(record.counts(name).mean(), rel=1e-14)
    # Partly: others stay.
    kept = net.parameters["b_to_y.weight"]
    snnfp.calibrate(net, spikes, rate={"a": 2.0}, until=UNTIL)
    assert net.parameters["b_to_y.weight"] is kept


def test_what_cannot_be_reached():
    net, spikes = drawn()
    net.parameters["hidden.t_refractory"] = 3.0
    with pytest.raises(ValueError, match=r"population hidden: 4 spikes .* but .* was all"):
        snnfp.calibrate(net, spikes, rate={"hidden": 4.0}, until=UNTIL)
    before = dict(net.parameters)
    for bad, error, message in (
        (0.0, ValueError, "rate of hidden is 0.0"),
        (np.nan, ValueError, "rate of hidden is nan"),
        ("much", TypeError, "rate of hidden is 'much'"),
        ({"nobody": 1.0}, KeyError, "nobody"),
    ):
        with pytest.raises(error, match=message):
            snnfp.calibrate(net, spikes, rate=bad, until=UNTIL)
    with pytest.raises(ValueError, match="tolerance is 0, expected"):
        snnfp.calibrate(net, spikes, rate=1.0, tolerance=0, until=UNTIL)
    assert all(net.parameters[k] is v for k, v in before.items())
    driven = snnfp.Network()
    x = driven.input(1, name="x")
    lif = snnfp.LIF(tau_mem=1.0, tau_syn=1.0, bias=5.0)
    h = driven.population(1, lif, name="h", max_spikes=4)
    one = Spikes.from_lists([[[1.0]]])
    with pytest.raises(ValueError, match="population h has no projection into it"):
        snnfp.calibrate(driven, one, rate=1.0, until=5.0)
    driven.connect(x, h, Dense(weight=1.0))
    with pytest.raises(ValueError, match="fires 4 with incoming weights next to 0"):
        snnfp.calibrate(driven, one, rate=1.0, until=5.0)
    with pytest.raises(ValueError, match="expected at most its max_spikes = 4"):
        snnfp.calibrate(driven, one, rate=5.0, until=5.0)


@pytest.mark.parametrize("low, high", [(0.5, 50.0), (2.0, 2.0)])
def test_log_uniform(low, high):
    x = snnfp.init.LogUniform(low, high).draw(np.random.default_rng(0), (20_000,))
    assert x.min() >= low and x.max() <= high
    assert np.mean(np.log(x)) == pytest.approx(0.5 * np.log(low * high), abs=0.02)
    for bad in ((0.0, 1.0), (2.0, 1.0), (1.0, np.inf), (np.nan, 1.0)):
        with pytest.raises(ValueError, match="expected finite 0 < low <= high"):
            snnfp.init.LogUniform(*bad)


# -- steps -------------------------------------------------------------------------------------


def test_small_steps_do_what_the_gradient_says():
    net, spikes = random_network(np.random.default_rng(5), samples=3)
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.5, horizon=UNTIL)
    before = dict(net.parameters)
    labels = [0, 2, 1]
    apart = []
    for rate in (1e-3, 1e-4, 1e-5):
        seen = snnfp.testing.check_step(net, spikes, labels, loss, rate, until=UNTIL)
        assert seen.appeared == seen.vanished == 0 and seen.predicted < 0 > seen.true
        apart.append(abs(seen.surprise / seen.predicted))
    assert apart[0] > apart[1] > apart[2] and apart[2] < 1e-3
    _, gradient = snnfp.value_and_grad(net, spikes, labels, loss, wrt="*.delay", until=UNTIL)
    step = {k: 1e-6 * np.ones_like(g) for k, g in gradient.items()}
    seen = snnfp.testing.check_step(net, spikes, labels, loss, step, until=UNTIL)
    assert seen.predicted == pytest.approx(1e-6 * sum(g.sum() for g in gradient.values()), rel=1e-9)
    assert seen.true == pytest.approx(seen.predicted, rel=1e-3)
    assert all(np.array_equal(net.parameters[k], v) for k, v in before.items())


@pytest.mark.parametrize("drawn", [True, False])
def test_a_calibration_that_fails_has_drawn_nothing(drawn):
    """Also of a network that had no values yet."""
    net = snnfp.Network()
    x = net.input(3, name="x")
    h = net.population(
        4, snnfp.LIF(tau_mem=snnfp.init.Uniform(1.0, 2.0), tau_syn=1.0, t_refractory=1.0), name="h"
    )
    net.connect(x, h, Dense(weight=snnfp.init.Normal(1.0, 0.1)))
    spikes = Spikes.from_latencies([[0.0, 0.5, 1.0]] * 3)
    if drawn:
        net.initialise(7)
    before = dict(net._values)
    with pytest.raises(ValueError, match="was all that was reached"):
        snnfp.calibrate(net, spikes, rate=500.0, until=5.0, seed=1)
    assert all(net._values[k] is v for k, v in before.items())
    snnfp.calibrate(net, spikes, rate=1.0, until=5.0, seed=1)
    other = snnfp.Network.__new__(snnfp.Network)
    other.__setstate__({k: v for k, v in net.__getstate__().items()})
    other.initialise(1)
    assert np.array_equal(net.parameters["h.tau_mem"], other.parameters["h.tau_mem"])
    factor = net.parameters["x_to_h.weight"] / other.parameters["x_to_h.weight"]
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-12)


def test_a_step_that_makes_a_spike_vanish():
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, t_refractory=np.inf), name="h")
    net.connect(x, h, Dense(weight=2.01))  # fires from 2 on

    def late(record, labels):
        return -float(record.times.sum()), -np.ones(record.n_spikes)

    one = Spikes.from_lists([[[0.0]]])
    down = snnfp.testing.check_step(net, one, None, late, {"x_to_h.weight": [[-0.02]]})
    assert (down.appeared, down.vanished, down.n_spikes) == (0, 1, 1)
    assert down.predicted < 0 < down.true == pytest.approx(-down.loss)
    net.parameters["x_to_h.weight"] = [[1.99]]
    up = snnfp.testing.check_step(net, one, None, late, {"x_to_h.weight": [[0.02]]})
    assert (up.appeared, up.vanished, up.n_spikes, up.predicted) == (1, 0, 0, 0.0)
    net.parameters["x_to_h.weight"] = [[2.01]]
    # Input times that a pattern takes in stay: the others are moved as they are without them.
    every, weights = (
        snnfp.testing.check_step(net, one, None, late, 1e-4, wrt=wrt) for wrt in ("*", "*.*t")
    )
    assert every.predicted < weights.predicted < 0 and every.n_spikes == 1
    for bad, error, message in (
        (0.0, ValueError, "step is 0.0, expected a learning rate > 0"),
        ("x", TypeError, "step is 'x'"),
        ({"x_to_h.weight": [1.0]}, ValueError, r"shape \(1,\), expected \(1, 1\)"),
        ({"x_to_h.weight": [[np.nan]]}, ValueError, r"\[0, 0\] is nan"),
        (
            {"nothing": 1.0},
            KeyError,
            "step: 'nothing' is no parameter of the network, expected some",
        ),
        ({"*.weight": 1.0}, KeyError, "is no parameter of the network"),
        ({"x.times": [1.0]}, KeyError, "'x.times' is input times, which are no parameter of the"),
        ({}, ValueError, "step is empty, expected arrays by the names of parameters"),
        ({"h.tau_mem": -5.0}, ValueError, "tau_mem"),
    ):
        with pytest.raises(error, match=message):
            snnfp.testing.check_step(net, one, None, late, bad)
        assert net.parameters["h.tau_mem"] == 2.0
    for wrt, message in (
        ("x.times", "wrt = 'x.times' names no parameter of the network that can be trained"),
        ((), "wrt is empty, expected names or patterns"),
    ):
        with pytest.raises(ValueError, match=message):
            snnfp.testing.check_step(net, one, None, late, 0.1, wrt=wrt)
