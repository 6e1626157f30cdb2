"""Losses that are weighted and added: values, derivatives of every form, what is delegated."""

import copy
import pickle

import numpy as np
import pytest
import snnfp
from networks import distance, quiet, random_network
from snnfp._settings import describe
from snnfp.losses import (
    FirstSpikeCrossEntropy,
    FirstSpikeHinge,
    FirstSpikeLatency,
    Loss,
    SpikeTimeFunction,
    SpikeTimeSquaredError,
    WeightedSum,
)
from snnfp.losses.base import added

A = FirstSpikeCrossEntropy(tau0=0.5, horizon=8.0)
B = FirstSpikeHinge(margin=0.5, horizon=9.0)
C = FirstSpikeLatency(horizon=8.0, population="hidden")
LABELS = [0, 2, 1]


def early(record, labels):
    """A user's own: all spikes, as one array."""
    return float(np.sum(record.times**2)) / record.n_samples, 2 * record.times / record.n_samples


@pytest.fixture(scope="module")
def case():
    return random_network(np.random.default_rng(5), samples=3)


@pytest.fixture(scope="module")
def record(case):
    return quiet(*case, until=8.0)


def test_value_and_gradient_are_sums(case, record):
    net, spikes = case
    whole = 0.9 * A + 0.1 * B + C * 2 + early
    assert isinstance(whole, WeightedSum) and isinstance(whole, Loss)
    assert whole.weights == (0.9, 0.1, 2.0, 1.0) and whole.terms == (A, B, C, early)
    for mode in ("reverse", "forward"):
        value, gradient = snnfp.value_and_grad(
            net, spikes, LABELS, whole, until=8.0, wrt="*", mode=mode
        )
        parts = [
            snnfp.value_and_grad(net, spikes, LABELS, t, until=8.0, wrt="*", mode=mode)
            for t in whole.terms
        ]
        assert value == pytest.approx(
            sum(w * v for w, (v, _) in zip(whole.weights, parts)), rel=1e-14
        )
        wanted = {k: sum(w * g[k] for w, (_, g) in zip(whole.weights, parts)) for k in gradient}
        assert distance(gradient, wanted) < 1e-12


def test_each_form_with_each(record):
    """First spikes of a population, one a spike of it, one a spike of the record."""
    rng = np.random.default_rng(0)
    forms = {
        "first": {"output": rng.normal(size=(3, 3))},
        "own": {"output": rng.normal(size=record.indices("output").size)},
        "other": {record._net.populations["hidden"]: rng.normal(size=(3, 6))},
        "all": rng.normal(size=record.n_spikes),
    }
    flat = {k: record._cotangents(v) for k, v in forms.items()}
    n = 0
    for a in forms:
        for b in forms:
            both = added(record, [(2.0, forms[a]), (-0.5, forms[b])])
            np.testing.assert_allclose(
                record._cotangents(both), 2 * flat[a] - 0.5 * flat[b], rtol=1e-14, atol=1e-15
            )
            n += isinstance(both, dict)
    assert n == 15  # all but two arrays
    # What was first spikes alone stays so.
    assert added(record, [(1.0, forms["first"])] * 2)["output"].shape == (3, 3)


def test_groups_that_are_no_population(record):
    """What later kinds of outputs say is added key by key, with spikes beside it."""
    value = np.arange(6.0).reshape(3, 2)
    both = added(
        record,
        [
            (0.5, {"readout": value}),
            (2.0, {"readout": value, "output": np.ones((3, 3))}),
            (1.0, np.ones(record.n_spikes)),
        ],
    )
    assert np.array_equal(both["readout"], 2.5 * value)
    own = record._cotangents({"output": np.ones((3, 3))})[record.indices("output")]
    assert np.array_equal(both["output"], 1.0 + 2.0 * own)
    named = added(
        record, [(1.0, {"r": {"end": value}}), (1.0, {"r": {"end": value, "top": value}})]
    )
    assert np.array_equal(named["r"]["end"], 2 * value) and named["r"]["top"] is not value
    with pytest.raises(ValueError, match=r"readout have shape \(3, 2\) in one term, \(2,\) in ano"):
        added(record, [(1.0, {"readout": value}), (1.0, {"readout": np.zeros(2)})])
    with pytest.raises(ValueError, match="r are an array in one term, a mapping in another"):
        added(record, [(1.0, {"r": value}), (1.0, {"r": {"end": value}})])
    with pytest.raises(ValueError, match=r"shape \(3,\), expected"):
        added(record, [(1.0, np.zeros(3)), (1.0, np.zeros(record.n_spikes))])


def test_arithmetic():
    assert sum([A, B]) == A + B == WeightedSum(terms=(A, B), weights=(1.0, 1.0))
    assert 2 * (A + 0.5 * B) == WeightedSum(terms=(A, B), weights=(2.0, 1.0))
    assert (early + A).terms == (early, A) and np.float32(2.0) * A == 2 * A
    for bad in (lambda: A + 1.0, lambda: "x" + A, lambda: A * "x", lambda: A * B, lambda: A + Loss):
        with pytest.raises(TypeError):
            bad()
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="expected a finite number"):
            bad * A
    with pytest.raises(TypeError, match="expected a number"):
        A * True
    with pytest.raises(ValueError, match="0 terms"):
        WeightedSum(terms=(), weights=())
    with pytest.raises(TypeError, match=r"terms\[0\] is 3"):
        WeightedSum(terms=(3,), weights=(1.0,))
    with pytest.raises(NotImplementedError, match="Loss has no __call__"):
        Loss()(None, None)


def test_the_first_term_that_classifies_speaks(record):
    whole = C + 0.1 * B + 0.9 * A
    assert np.array_equal(whole.predict(record), B.predict(record))
    assert whole.accuracy(record, LABELS) == B.accuracy(record, LABELS)
    assert not hasattr(whole, "probabilities") and hasattr(A + C, "probabilities")
    assert np.array_equal((C + A).probabilities(record), A.probabilities(record))
    assert whole.population is None and (early + C).classifier is None
    for name in ("predict", "accuracy", "population", "anything"):
        assert not hasattr(early + C, name)
    for twin in (copy.copy(whole), copy.deepcopy(whole), pickle.loads(pickle.dumps(whole))):
        assert twin == whole and twin.population is None


def test_checks_are_those_of_all_terms(case):
    net, spikes = case
    whole = A + B + early
    with pytest.raises(ValueError, match=r"labels\[0\] is 7"):
        whole.check(net, [7], 1)
    with pytest.raises(ValueError, match=r"horizon = 8.0, before until = 8.5"):
        snnfp.value_and_grad(net, spikes, LABELS, whole, until=8.5)
    with pytest.raises(KeyError, match="nobody"):
        (A + FirstSpikeLatency(horizon=8.0, population="nobody")).check(net, LABELS, 3)
    bad = A + SpikeTimeFunction(function=lambda r, _: 3.0)
    with pytest.raises(TypeError, match="the loss function returned a float"):
        snnfp.value_and_grad(net, spikes, LABELS, bad, until=8.0)
    with pytest.raises(TypeError, match=r"term 1 of the loss .early. returned a float"):
        snnfp.value_and_grad(net, spikes, LABELS, A + _only_a_value, until=8.0)


def _only_a_value(record, labels):
    return 1.0


_only_a_value.__name__ = "early"


def test_samples_end_early_where_all_terms_let_them(case):
    net, spikes = case
    assert (A + B).looks_at(net) == ["output"] and (A + C).looks_at(net) == ["output", "hidden"]
    assert (A + early).looks_at(net) == [] == (A + SpikeTimeSquaredError(horizon=9.0)).looks_at(net)
    for loss in (A + C, A + early):
        value, gradient = snnfp.value_and_grad(net, spikes, LABELS, loss, until=8.0)
        whole = snnfp.value_and_grad(net, spikes, LABELS, loss, until=8.0, return_record=True)
        assert value == whole[0] and distance(gradient, whole[1]) < 1e-13
    seen = snnfp.evaluate(net, spikes, LABELS, 0.5 * A + C, until=8.0)
    told = snnfp.predict(net, spikes, 0.5 * A + C, until=8.0)
    assert np.array_equal(seen.prediction.labels, told.labels)
    assert np.array_equal(
        told.probabilities, snnfp.predict(net, spikes, A, until=8.0).probabilities
    )


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentOutputWarning")
def test_resume(tmp_path, case):
    """A checkpoint says which terms and weights; going on is bitwise the same."""
    pytest.importorskip("safetensors")
    _, spikes = case
    loss = 0.8 * A + 0.2 * C
    assert describe(loss)["terms"][0]["class"] == "FirstSpikeCrossEntropy"
    assert describe(loss) != describe(0.7 * A + 0.2 * C)
    options = {"loss": loss, "until": 8.0, "batch_size": 2, "progress": False}

    def fresh():
        return random_network(np.random.default_rng(5), samples=3)[0]

    once, twice = fresh(), fresh()
    history = snnfp.fit(once, (spikes, LABELS), optimiser=snnfp.Adam(lr=0.01), epochs=4, **options)
    assert "accuracy" in history
    for epochs in (2, 4):
        again = {"resume": tmp_path / "c"} if epochs == 4 else {}
        snnfp.fit(
            twice, (spikes, LABELS), optimiser=snnfp.Adam(lr=0.01), epochs=epochs,
            checkpoint=tmp_path / "c", **again, **options,
        )  # fmt: skip
    for name, value in once.parameters.items():
        assert value.tobytes() == twice.parameters[name].tobytes()


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentOutputWarning")
def test_resume_with_another_weight_says_so(tmp_path, case, capsys):
    pytest.importorskip("safetensors")
    _, spikes = case
    for epochs, weight in ((1, 0.2), (2, 0.3)):
        net = random_network(np.random.default_rng(5), samples=3)[0]
        again = {"resume": tmp_path / "c"} if epochs == 2 else {}
        snnfp.fit(
            net, (spikes, LABELS), loss=A + weight * C, optimiser=snnfp.Adam(lr=0.01), until=8.0,
            epochs=epochs, checkpoint=tmp_path / "c", progress=False, **again,
        )  # fmt: skip
    assert (
        "resume: loss.weights: [1.0, 0.2] -> [1.0, 0.3], changed since" in capsys.readouterr().out
    )
