"""Training, evaluation and prediction by what is read off a readout."""

import numpy as np
import pytest
import snnfp
from snnfp.losses import ReadoutCrossEntropy, ReadoutSquaredError

UNTIL = 30.0
KINDS = (
    {"time_scale": 20.0},
    {"value": "integral"},
    {"value": "end"},
    {"value": "max"},
    {"value": "at", "times": (20.0, 25.0, 30.0)},
)
NAMES = [k.get("value", "weighted_integral") for k in KINDS]


def earliest(n, seed):
    """Which of three channels fires first."""
    times = np.random.default_rng(seed).uniform(1, 20, (n, 3))
    return snnfp.Spikes.from_latencies(times), np.argmin(times, axis=1)


def network(tau_mem=20.0, tau_syn=10.0, seed=1, hidden=20):
    net = snnfp.Network()
    x = net.input(3)
    h = net.population(hidden, snnfp.LIF(tau_mem=20.0, tau_syn=5.0), name="hidden")
    y = net.readout(3, snnfp.LI(tau_mem=tau_mem, tau_syn=tau_syn), name="said")
    net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(0.4, 0.3)))
    net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.0, 0.3)))
    return net.initialise(seed=seed)


def learn(net, loss, data, **options):
    settings = {"epochs": 6, "until": UNTIL, "progress": False} | options
    return snnfp.fit(net, data, loss=loss, optimiser=snnfp.Adam(lr=0.02), **settings)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_one_learning_rate_and_one_initialisation_fit_all_values(kind):
    """After scale_readout; the time constants of the readout are such that all values can tell."""
    loss = ReadoutCrossEntropy(**kind)
    net = network(np.inf, np.inf)
    train, held_out = earliest(300, 1), earliest(200, 2)
    snnfp.scale_readout(net, train[0].take(np.arange(32)), loss, until=UNTIL)
    history = learn(net, loss, train, validation=held_out, epochs=10)
    seen = snnfp.evaluate(net, *held_out, loss, until=UNTIL)
    assert seen.accuracy == history.last("validation_accuracy") > 0.7
    said = snnfp.predict(net, held_out[0], loss, until=UNTIL, batch_size=64)
    assert np.array_equal(said.labels, seen.prediction.labels) and len(said) == 200
    assert np.array_equal(said.labels, np.argmax(said.probabilities, axis=1))
    assert said.first_spikes is None
    times = (3,) if kind.get("value") == "at" else ()
    assert said.values.shape == (200, *times, 3)
    assert np.mean(said.labels == held_out[1]) == seen.accuracy


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@pytest.mark.parametrize("make", [ReadoutCrossEntropy, ReadoutSquaredError])
def test_losses_against_differences(make, kind):
    """By what is read: the rest is the record's."""
    net, loss = network(), make(**{"value": "weighted_integral"} | kind)
    spikes, labels = earliest(5, 3)
    found = snnfp.testing.check_gradient(
        net, spikes, labels, loss, until=UNTIL, wrt=["said.*", "hidden_to_said.*"], tolerance=1e-7
    )
    assert found.ok and found.checked > 40


def test_scale_readout_sets_the_root_mean_square():
    net, (spikes, _) = network(), earliest(40, 4)
    for kind in KINDS:
        loss = ReadoutCrossEntropy(**kind)
        before = net.parameters["said.capacitance"]
        factor = snnfp.scale_readout(net, spikes, loss.reading(net), until=UNTIL, rms=0.5)
        assert np.allclose(net.parameters["said.capacitance"], before * factor)
        said = loss.values(snnfp.simulate(net, spikes, until=UNTIL))
        assert np.isclose(np.sqrt(np.mean(said**2)), 0.5, rtol=1e-12)


def test_regression_on_a_curve():
    """A readout learns a ramp from what a reservoir fires."""
    net = network(8.0, 8.0, hidden=60)
    times = np.linspace(4.0, UNTIL, 14)
    spikes, _ = earliest(1, 5)
    curve = np.stack([np.sin(times / 5 + phase) for phase in (0, 1, 2)], axis=-1)[None]
    loss = ReadoutSquaredError(times=times)
    assert loss.times == tuple(times)
    history = snnfp.fit(
        net,
        (spikes, curve),
        loss=loss,
        optimiser=snnfp.Adam(lr=0.05),
        epochs=300,
        until=UNTIL,
        wrt="hidden_to_said.weight",
        progress=False,
    )
    assert history.last("loss") < 0.02 * history["loss"][0]
    missing = np.where(times[None, :, None] < 10, np.nan, curve)
    value, cotangents = loss(snnfp.simulate(net, spikes, until=UNTIL), missing)
    (by,) = cotangents.values()
    assert value < history.last("loss") and not np.any(by[:, times < 10]) and np.any(by)


def test_classes_are_targets_of_one():
    net, (spikes, labels) = network(), earliest(4, 6)
    record = snnfp.simulate(net, spikes, until=UNTIL)
    loss = ReadoutSquaredError(value="end")
    wanted = np.eye(3)[labels]
    said = record.readout("said", "end")
    value, cotangents = loss(record, labels)
    assert value == pytest.approx(0.5 * np.sum((said - wanted) ** 2) / 4)
    assert np.array_equal(cotangents[loss.reading(net)], (said - wanted) / 4)
    assert loss.accuracy(record, labels) == np.mean(np.argmax(said, axis=1) == labels)


def test_a_sum_with_a_loss_of_spikes():
    """Of a readout and of first spikes; the first term classifies."""
    net, (spikes, labels) = network(), earliest(20, 7)
    y = net.population(3, snnfp.LIF(tau_mem=20.0, tau_syn=5.0), name="fires")
    net.connect("hidden", y, snnfp.Dense(weight=np.full((20, 3), 0.2)))
    record = snnfp.simulate(net, spikes, until=UNTIL)
    read = ReadoutCrossEntropy(value="end")
    fires = snnfp.losses.FirstSpikeCrossEntropy(tau0=3.0, horizon=UNTIL, population="fires")
    both = 0.9 * read + 0.1 * fires
    parts = [
        snnfp.value_and_grad(net, spikes, labels, f, until=UNTIL, wrt="*") for f in (read, fires)
    ]
    value, gradient = snnfp.value_and_grad(net, spikes, labels, both, until=UNTIL, wrt="*")
    assert value == pytest.approx(0.9 * parts[0][0] + 0.1 * parts[1][0])
    for name, g in gradient.items():
        expected = 0.9 * parts[0][1][name] + 0.1 * parts[1][1][name]
        assert np.allclose(g, expected, rtol=1e-10, atol=1e-14)
    assert np.array_equal(both.predict(record), read.predict(record))
    seen = snnfp.evaluate(net, spikes, labels, both, until=UNTIL)
    assert seen.prediction.values.shape == (20, 3)
    assert seen.accuracy == read.accuracy(record, labels)


def test_checkpoint_and_resume(tmp_path):
    """Bitwise, with the parameters of the readout among those that are trained."""
    loss, train = ReadoutCrossEntropy(time_scale=20.0), earliest(64, 8)
    whole, first = network(), network()
    learn(whole, loss, train, wrt="*", epochs=4)
    learn(first, loss, train, wrt="*", epochs=2, checkpoint=tmp_path / "half.safetensors")
    rest = network(seed=9)
    learn(rest, loss, train, epochs=4, resume=tmp_path / "half.safetensors")
    for name, value in whole.parameters.items():
        assert np.array_equal(value, rest.parameters[name])
    assert np.any(whole.parameters["said.tau_mem"] != 20.0)


def test_time_constants_stay_above_zero():
    net, train = network(), earliest(32, 10)
    learn(net, ReadoutCrossEntropy(value="end"), train, wrt="said.*", epochs=40)
    for name in ("tau_mem", "tau_syn", "capacitance"):
        assert np.all(net.parameters[f"said.{name}"] > 0)


def test_hidden_neurons_that_differ_by_what_reads_them_are_not_alike(recwarn):
    net = network()
    net.parameters["input_to_hidden.weight"] = np.full((3, 20), 0.7)
    learn(net, ReadoutCrossEntropy(value="end"), earliest(32, 11), epochs=1)
    assert not [w for w in recwarn if w.category is snnfp.errors.AlikeNeuronsWarning]
    net.parameters["input_to_hidden.weight"] = np.full((3, 20), 0.7)
    net.parameters["hidden_to_said.weight"] = np.full((20, 3), 0.1)
    with pytest.warns(snnfp.errors.AlikeNeuronsWarning, match="hidden_to_said"):
        learn(net, ReadoutCrossEntropy(value="end"), earliest(32, 11), epochs=1)


def test_what_goes_wrong_is_said():
    net, (spikes, labels) = network(), earliest(8, 12)
    end = ReadoutCrossEntropy(value="end")
    with pytest.raises(ValueError, match=r"'end' of the readout is what .* until is not given"):
        learn(net, end, (spikes, labels), until=None)
    with pytest.raises(ValueError, match="until is not given or infinite: expected a finite until"):
        snnfp.evaluate(net, spikes, labels, end)
    with pytest.raises(ValueError, match=r"reads V at 40, after until = 30"):
        learn(net, ReadoutSquaredError(times=[5.0, 40.0]), (spikes, np.zeros((8, 2, 3))))
    with pytest.raises(KeyError, match="'hidden' is not a readout"):
        learn(net, ReadoutCrossEntropy(value="end", population="hidden"), (spikes, labels))
    with pytest.raises(ValueError, match=r"labels\[0\] is 7, expected 0 <= label < 3"):
        learn(net, end, (spikes, labels * 0 + 7))
    with pytest.raises(TypeError, match="expected classes"):
        learn(net, end, (spikes, spikes))
    with pytest.raises(ValueError, match=r"targets have shape \(8, 3\), expected \(8, 2, 3\)"):
        learn(net, ReadoutSquaredError(times=[5.0, 9.0]), (spikes, np.zeros((8, 3))))
    with pytest.raises(ValueError, match=r"targets\[1, 2\] is inf, expected a finite number"):
        targets = np.zeros((8, 3))
        targets[1, 2] = np.inf
        learn(net, ReadoutSquaredError(value="end"), (spikes, targets))
    with pytest.raises(TypeError, match=r"targets are snnfp\.Spikes"):
        learn(net, ReadoutSquaredError(value="end"), (spikes, spikes))
    bump = snnfp.remedies.LabelBump(amount=1.0)
    with pytest.raises(ValueError, match="which has no spikes: leave it out"):
        learn(net, end, (spikes, labels), remedies=[bump])
    with pytest.raises(ValueError, match="readout said says 0 for every sample"):
        snnfp.scale_readout(net, spikes, snnfp.Reading("said", "at", (0.0,)), until=UNTIL)
    with pytest.raises(ValueError, match="rms is 0"):
        snnfp.scale_readout(net, spikes, end, until=UNTIL, rms=0)
    with pytest.raises(TypeError, match=r"expected snnfp\.Reading"):
        snnfp.scale_readout(net, spikes, "said", until=UNTIL)


def test_one_output_has_no_classes():
    net = snnfp.Network()
    x, out = net.input(1, name="x"), net.readout(1, snnfp.LI(tau_mem=2.0, tau_syn=1.0), name="o")
    net.connect(x, out, snnfp.Dense(weight=0.0))
    spikes = snnfp.Spikes.from_lists([[[1.0]]])
    loss = snnfp.losses.ReadoutSquaredError(value="end")
    assert snnfp.value_and_grad(net, spikes, np.array([[0]]), loss, until=3.0)[0] == 0
    with pytest.raises(ValueError, match=r"targets have shape \(1,\), expected \(1, 1\)$"):
        snnfp.value_and_grad(net, spikes, np.array([0]), loss, until=3.0)
