"""evaluate and predict: the same numbers in any batches, named in the data set's own words."""

import warnings

import numpy as np
import pytest
import snnfp
from snnfp import Spikes, evaluate, predict
from snnfp.errors import SilentPopulationWarning
from snnfp.losses import (
    FirstSpikeCrossEntropy,
    FirstSpikeFunction,
    SpikeTimeFunction,
    SpikeTimeSquaredError,
)
from test_training import LOSS, problem

LOSSES = {
    "cross-entropy": LOSS,
    "squared error": SpikeTimeSquaredError(horizon=4.0),
    "first spikes": FirstSpikeFunction(function=lambda t, labels: (0.0, np.zeros_like(t))),
    "all spikes": SpikeTimeFunction(function=lambda r, labels: (0.0, np.zeros(r.n_spikes))),
}


def quiet():
    """Some samples fire no output."""
    net, data = problem()
    key = "hidden_to_output.weight"
    net.parameters[key] = net.parameters[key] - 0.82
    return net, data


@pytest.mark.parametrize("batch_size", [3, 7, 11])
def test_an_accuracy_is_a_count_over_a_count(batch_size):
    """However the batches fall: equal accuracies are equal numbers, and all right is 1."""
    net, (spikes, _) = problem()
    labels = predict(net, spikes, LOSS, until=4.0).labels
    labels[labels < 0] = 0
    right = evaluate(net, spikes, labels, LOSS, until=4.0).accuracy
    n = round(right * labels.size)
    assert n > 20 and right == n / labels.size
    seen = evaluate(net, spikes, labels, LOSS, until=4.0, batch_size=batch_size)
    assert seen.accuracy == right
    history = snnfp.fit(
        net, (spikes, labels), loss=LOSS, optimiser=snnfp.SGD(lr=1e-300), epochs=3, until=4.0,
        batch_size=batch_size, progress=False,
    )  # fmt: skip
    assert history["accuracy"] == [right] * 3


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("batch_size", [7, 60, 512])
def test_predictions_are_those_of_the_record(loss, batch_size):
    net, (spikes, labels) = quiet()
    record = snnfp.simulate(net, spikes, until=4.0)
    first = record.first_spikes("output")
    silent = np.isinf(first).all(axis=1)
    assert 0 < silent.sum() < 60
    targets = np.full((60, 3), 2.0) if isinstance(loss, SpikeTimeSquaredError) else labels
    for seen in (
        predict(net, spikes, loss, until=4.0, batch_size=batch_size),
        evaluate(net, spikes, targets, loss, until=4.0, batch_size=batch_size).prediction,
    ):
        assert np.array_equal(seen.first_spikes, first) and len(seen) == 60
        assert seen.labels.dtype == np.int64
        assert np.array_equal(seen.labels, np.where(silent, -1, np.argmin(first, axis=1)))
        assert (seen.probabilities is None) == (loss is not LOSS)


def test_probabilities_are_the_softmax_of_the_loss():
    net, (spikes, labels) = quiet()
    seen = predict(net, spikes, LOSS, until=4.0)
    t = np.where(np.isinf(seen.first_spikes), LOSS.horizon, seen.first_spikes)
    expected = np.exp(-t / LOSS.tau0) / np.exp(-t / LOSS.tau0).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(seen.probabilities, expected, rtol=1e-12)
    assert np.array_equal(
        seen.probabilities[seen.labels == -1],
        np.full((seen.labels == -1).sum() * 3, 1 / 3).reshape(-1, 3),
    )
    plain = FirstSpikeCrossEntropy(tau0=LOSS.tau0, horizon=LOSS.horizon)
    chances = seen.probabilities[np.arange(60), labels]
    assert evaluate(net, spikes, labels, plain, until=4.0).loss == pytest.approx(
        -np.log(chances).mean()
    )


def test_accuracy_loss_and_silence():
    net, (spikes, labels) = quiet()
    seen = evaluate(net, spikes, labels, LOSS, until=4.0, batch_size=13)
    record = snnfp.simulate(net, spikes, until=4.0)
    assert seen.accuracy == pytest.approx(np.mean(seen.prediction.labels == labels))
    assert seen.loss == pytest.approx(LOSS(record, labels)[0])
    assert seen.silent == record.silent_fraction()
    targets = evaluate(net, spikes, np.full((60, 3), 2.0), LOSSES["squared error"], until=4.0)
    assert np.isnan(targets.accuracy)


def test_a_loss_without_predict():
    net, (spikes, _) = problem()
    loss = lambda record, labels: (1.0, np.zeros(record.n_spikes))  # noqa: E731
    assert evaluate(net, spikes, np.zeros(60), loss, until=4.0).prediction is None
    with pytest.raises(
        TypeError, match=r"has no predict\(record\), expected a loss that classifies"
    ):
        predict(net, spikes, loss, until=4.0)


def test_a_user_s_own_predict_sees_all_spikes():
    """Samples end early only where nothing but first spikes is looked at."""

    class MostSpikes(FirstSpikeCrossEntropy):
        def predict(self, record):
            return record.counts(self.readout(record)).argmax(axis=1)

    net, (spikes, _) = problem()
    loss = MostSpikes(tau0=0.3, horizon=4.0)
    counts = snnfp.simulate(net, spikes, until=4.0).counts("output")
    assert counts.max() > 1
    assert np.array_equal(predict(net, spikes, loss, until=4.0).labels, counts.argmax(axis=1))


def test_mappings_of_inputs():
    net = snnfp.Network()
    p = net.population(2, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="p")
    for name in ("a", "b"):
        net.connect(net.input(2, name=name), p, snnfp.Dense(weight=[[2.0, 0.1], [0.1, 2.0]]))
    rng = np.random.default_rng(0)
    spikes = {k: Spikes.from_latencies(rng.uniform(0, 2, (9, 2))) for k in ("b", "a")}
    loss = FirstSpikeCrossEntropy(tau0=0.3, horizon=4.0)
    whole = predict(net, spikes, loss, until=4.0)
    parts = predict(net, spikes, loss, until=4.0, batch_size=2)
    assert np.array_equal(whole.first_spikes, parts.first_spikes)
    record = snnfp.simulate(net, spikes, until=4.0)
    assert np.array_equal(whole.first_spikes, record.first_spikes("p"))
    seen = evaluate(net, spikes, np.arange(9) % 2, loss, until=4.0, batch_size=4)
    assert np.array_equal(seen.prediction.labels, whole.labels)
    spikes["a"] = spikes["a"].take([0, 1])
    with pytest.raises(
        ValueError, match=r"spikes of b have 9 samples, expected 2|2 samples.* 9|9.*2"
    ):
        evaluate(net, spikes, np.arange(9) % 2, loss, until=4.0)


def test_evaluate_leaves_the_warning_to_a_simulation():
    net, (spikes, labels) = problem(weight=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(net, spikes, labels, LOSS, until=4.0)
        predict(net, spikes, LOSS, until=4.0)
    with pytest.warns(SilentPopulationWarning) as caught:
        snnfp.simulate(net, spikes, until=4.0)
    assert len(caught) == 2


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"labels": None}, TypeError, "labels is None, expected labels, one a sample"),
        ({"labels": [0, 1]}, ValueError, "2 labels for 60 samples, expected one a sample"),
        ({"labels": np.full(60, 3)}, ValueError, r"labels\[0\] is 3, expected 0 <= label < 3"),
        ({"labels": np.r_[np.zeros(59, int), -1]}, ValueError, r"labels\[59\] is -1"),
        ({"loss": FirstSpikeCrossEntropy}, TypeError, "loss is the class FirstSpikeCrossEntropy"),
        ({"until": 4.5}, ValueError, r"horizon = 4.0, before until = 4.5: silence would count"),
        ({"batch_size": 0}, ValueError, "batch_size is 0, expected at least 1"),
        ({"loss": FirstSpikeCrossEntropy(tau0=1.0, horizon=4.0, population="x")}, KeyError, "'x' is not a pop"),
        ({"loss": FirstSpikeFunction(function=lambda t, y: (0.0, t), population="x")}, KeyError, "'x' is not"),
        ({"loss": SpikeTimeSquaredError(horizon=3.0)}, ValueError, "horizon = 3.0, before until = 4.0"),
        ({"loss": lambda r, y: 1.0}, TypeError, r"the loss returned a float, expected \(value, dL/dt\)"),
    ],
)  # fmt: skip
def test_mistakes(changes, error, message):
    net, (spikes, labels) = problem()
    options = {"labels": labels, "loss": LOSS, "until": 4.0, **changes}
    if isinstance(options["loss"], SpikeTimeSquaredError):
        options["labels"] = np.full((60, 3), 2.0)
    with pytest.raises(error, match=message):
        evaluate(net, spikes, **options)


def test_bad_targets_are_named_by_the_sample_of_the_data_set():
    net, (spikes, _) = problem()
    targets = np.full((60, 3), 2.0)
    targets[47, 1] = 4.5
    loss = SpikeTimeSquaredError(horizon=4.0)
    with pytest.raises(ValueError, match=r"targets\[47, 1\] is 4.5, expected 0 <= time"):
        evaluate(net, spikes, targets, loss, until=4.0, batch_size=10)
    every = Spikes.from_latencies(targets)
    with pytest.raises(ValueError, match=r"targets of sample 47, spike 2: time 4.5, expected"):
        evaluate(net, spikes, every, loss, until=4.0, batch_size=10)
    with pytest.raises(TypeError, match="targets have dtype <U1, expected times"):
        evaluate(net, spikes, np.full((60, 3), "a"), loss, until=4.0)
