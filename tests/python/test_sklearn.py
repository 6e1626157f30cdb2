"""Estimators for scikit-learn beyond its own checks: data, weights, searches, copies, refusals."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import snnfp

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'snnfp[sklearn]'")

from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer
from snnfp.losses import FirstSpikeCrossEntropy, ReadoutCrossEntropy, ReadoutSquaredError
from snnfp.sklearn import SNNClassifier, SNNRegressor
from snnfp.sklearn.samples import merge_equal
from snnfp.sklearn.weighted import Weighted
from snnfp.testing import check_gradient


def small(kind=SNNClassifier, **options):
    return kind(**{"hidden": (20,), "epochs": 10, "random_state": 0, "n_threads": 1, **options})


def blobs(n=90, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.normal(0, 0.4, (n, 4)) + np.eye(4)[y], np.array(["a", "b", "c"])[y]


def latencies(n=90, seed=0):
    """Spikes whose class is the channel of the first one."""
    times = np.random.default_rng(seed).uniform(0.0, 1.0, (n, 3))
    return snnfp.Spikes.from_latencies(times), np.argmin(times, axis=1)


# -- how well it learns --------------------------------------------------------------------------


def test_iris():
    X, y = load_iris(return_X_y=True)
    assert cross_val_score(SNNClassifier(random_state=0), X, y, cv=5).mean() > 0.93


def test_digits():
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y, train_size=1200, random_state=0)
    model = SNNClassifier(
        limits="table", bias_time=None, invert=True, silent_at_zero=True, epochs=15, random_state=0
    )
    assert model.fit(parts[0], parts[2]).score(parts[1], parts[3]) > 0.95


@pytest.mark.parametrize("readout", ["weighted_integral", "integral", "max", "first_spikes"])
def test_readouts(readout):
    X, y = blobs()
    model = small(readout=readout, epochs=20).fit(X, y)
    assert model.score(*blobs(seed=1)) > 0.75
    chances = model.predict_proba(X)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert np.array_equal(model.classes_[chances.argmax(axis=1)], model.predict(X))


def test_regression():
    X, y = make_regression(400, 5, noise=5.0, random_state=0)
    model = SNNRegressor(random_state=0).fit(X[:300], 1e4 + 100 * y[:300])
    assert model.score(X[300:], 1e4 + 100 * y[300:]) > 0.8


def test_regression_of_several_targets():
    X, y = make_regression(200, 5, n_targets=3, random_state=0)
    model = small(SNNRegressor, epochs=30).fit(X, y)
    assert model.predict(X).shape == (200, 3) and model.score(X, y) > 0.5
    one = small(SNNRegressor, epochs=2).fit(X, y[:, :1])
    assert one.predict(X).shape == (200, 1)
    with pytest.raises(ValueError, match="y has 2 targets a sample, expected 3"):
        model.partial_fit(X, y[:, :2])


# -- spikes --------------------------------------------------------------------------------------


def test_spikes_and_their_splits():
    spikes, y = latencies()
    model = small(epochs=20)
    assert cross_val_score(model, spikes, y, cv=3).mean() > 0.6
    model.fit(spikes, y)
    assert model.n_features_in_ == 3
    assert np.array_equal(model.predict(list(spikes)), model.predict(spikes))
    with pytest.raises(TypeError, match=r"X is a table, expected snnfp\.Spikes"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="X has 4 features, but SNNClassifier is expecting 3"):
        model.predict(snnfp.Spikes.from_latencies(np.zeros((2, 4))))
    with pytest.raises(TypeError, match=r"X is snnfp\.Spikes, expected a table"):
        small().fit(*blobs()).predict(spikes)
    with pytest.raises(ValueError, match="requires y to be passed"):
        model.fit(spikes, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(spikes, y[:-1])


def test_a_table_is_what_the_encoder_makes_of_it():
    X, y = blobs()
    model = small(bias_time=0.25, t_max=0.75, invert=True).fit(X, y)
    low, high = X.min(axis=0), X.max(axis=0)
    assert np.array_equal(model.low_, low) and np.array_equal(model.high_, high)
    scaled = snnfp.encoding.scale_min_max(X, low, high)
    spikes = snnfp.encoding.latency(scaled, t_min=0, t_max=0.75, bias_time=0.25, invert=True)
    loss = ReadoutCrossEntropy(time_scale=1.0)
    wanted = snnfp.predict(model.net_, spikes, loss, until=2.0).probabilities
    assert np.array_equal(model.predict_proba(X), wanted)


@pytest.mark.parametrize(
    "limits, low, high",
    [("table", -2.0, 5.0), ((-4.0, 8.0), -4.0, 8.0), (([0.0, 1.0], [2.0, 3.0]), [0, 1], [2, 3])],
)
def test_limits(limits, low, high):
    X = np.array([[-2.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    model = small(limits=limits, epochs=1).fit(X, [0, 1, 0])
    assert np.array_equal(model.low_, low) and np.array_equal(model.high_, high)


# -- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SNNClassifier, SNNRegressor])
@pytest.mark.parametrize("batch_size", [4, 100])
def test_a_weight_is_a_number_of_copies(kind, batch_size):
    """To the bit, in batches of any size."""
    rng = np.random.default_rng(0)
    X, y, weight = rng.random((20, 3)), rng.integers(0, 3, 20), rng.integers(0, 4, 20)
    again = rng.permutation(np.repeat(np.arange(20), weight))
    weighted = small(kind, epochs=5, batch_size=batch_size).fit(X, y, sample_weight=weight)
    repeated = small(kind, epochs=5, batch_size=batch_size).fit(X[again], y[again])
    assert np.array_equal(weighted.predict(X), repeated.predict(X))
    assert weighted.history_["loss"] == repeated.history_["loss"]
    plain = small(kind, epochs=5, batch_size=batch_size).fit(X, y)
    assert weighted.history_["loss"] != plain.history_["loss"]


def test_a_common_factor_of_weights_is_none():
    X, y = blobs()
    a = small().fit(X, y).predict_proba(X)
    assert np.array_equal(a, small().fit(X, y, sample_weight=np.full(90, 4.0)).predict_proba(X))


def test_weights_of_spikes():
    spikes, y = latencies()
    none = y == 2
    model = small().fit(spikes, y, sample_weight=np.where(none, 0.0, 1.0))
    assert np.array_equal(model.classes_, [0, 1])
    heavy = small().fit(spikes, y, sample_weight=np.where(none, 50.0, 1.0))
    assert np.mean(heavy.predict(spikes) == 2) > 0.6


def test_merged_samples():
    X = np.array([[1.0, 2.0], [0.0, 3.0], [1.0, 2.0], [1.0, 2.0]])
    y = np.array([[0.0], [1.0], [0.0], [1.0]])
    features, target, weight = merge_equal(X, y, np.array([1.0, 2.0, 4.0, 8.0]))
    found = {(*f, *t): w for f, t, w in zip(features, target, weight)}
    assert found == {(1, 2, 0): 5, (0, 3, 1): 2, (1, 2, 1): 8}


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.zeros(90), "sample_weight is zero for every sample"),
        (np.r_[np.ones(89), -1.0], r"sample_weight\[89\] is -1.0, expected a weight >= 0"),
        (np.r_[np.ones(89), np.nan], "sample_weight contains NaN"),
        (np.ones((90, 2)), r"sample_weight has shape \(90, 2\)"),
        (np.ones(89), "inconsistent numbers of samples"),
    ],
)
def test_bad_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        small().fit(*blobs(), sample_weight=weight)


def losses():
    return {
        "integral": ReadoutCrossEntropy(value="integral"),
        "first": FirstSpikeCrossEntropy(tau0=0.3, horizon=4.0),
        "squares": ReadoutSquaredError(value="integral"),
    }


@pytest.mark.parametrize("name", losses())
def test_weighted_loss(name):
    """Its gradient by differences; of equal weights it is the loss, and linear in the weights."""
    rng = np.random.default_rng(3)
    net = snnfp.Network()
    x = net.input(3)
    h = net.population(6, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    neuron = snnfp.LIF if name == "first" else snnfp.LI
    y = (net.population if name == "first" else net.readout)(
        2, neuron(tau_mem=2.0, tau_syn=1.0), name="y"
    )
    net.connect(x, h, snnfp.Dense(weight=rng.uniform(1, 2, (3, 6))))
    net.connect(h, y, snnfp.Dense(weight=rng.uniform(0.2, 1, (6, 2))))
    spikes = snnfp.Spikes.from_latencies(rng.uniform(0, 1, (4, 3)))
    loss = losses()[name]
    target = rng.normal(size=(4, 2)) if name == "squares" else rng.integers(0, 2, (4, 1))
    plain = target if name == "squares" else target[:, 0]

    def value(weight):
        labels = np.column_stack([weight, target]).astype(np.float64)
        return snnfp.value_and_grad(net, spikes, labels, Weighted(loss), wrt="*.weight", until=4.0)

    own, gradient = snnfp.value_and_grad(net, spikes, plain, loss, wrt="*.weight", until=4.0)
    one, weighted = value(np.ones(4))
    assert one == pytest.approx(own, rel=1e-12)
    for key, g in gradient.items():
        np.testing.assert_allclose(weighted[key], g, rtol=1e-12, atol=1e-15)
    each = [value(w)[0] for w in np.eye(4)]
    assert value([1.0, 2.0, 0.0, 5.0])[0] == pytest.approx(np.dot(each, [1, 2, 0, 5]), rel=1e-12)
    labels = np.column_stack([[1.0, 2.0, 0.5, 3.0], target])
    assert check_gradient(net, spikes, labels, Weighted(loss), wrt="*.weight", until=4.0).ok


# -- more than one call --------------------------------------------------------------------------


def test_partial_fit_learns_batch_by_batch():
    X, y = blobs(300)
    model = small()
    with pytest.raises(ValueError, match="classes is None, expected all classes in the first call"):
        model.partial_fit(X, y)
    for _ in range(12):
        for begin in range(0, 300, 50):
            part = slice(begin, begin + 50)
            model.partial_fit(X[part], y[part], classes=["a", "b", "c"])
    assert model.score(*blobs(seed=1)) > 0.75
    with pytest.raises(ValueError, match="classes is"):
        model.partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"y has .*'d'.*, expected one of"):
        model.partial_fit(X[:1], ["d"])
    net = model.fit(X, y).net_
    assert model.partial_fit(X, y).net_ is net  # goes on with that of fit


def test_outputs_are_scaled_by_samples_from_all_over():
    """Those of a table are in the order of their values, and the first of them may say nothing."""
    rng = np.random.default_rng(0)
    late = np.zeros((250, 4))
    late[:, 3] = np.linspace(0.99, 1.0, 250)
    X = np.concatenate([late, rng.uniform(0.1, 0.5, (250, 4))])
    options = {"limits": (0.0, 1.0), "t_max": 2.0, "bias_time": None, "silent_at_zero": True}
    model = small(epochs=3, **options).fit(X, np.repeat([0, 1], 250))
    assert model.score(X, np.repeat([0, 1], 250)) > 0.9


@pytest.mark.parametrize("value", [0.1, 1e6 / 3, 0.0])
def test_equal_targets_have_no_spread(value):
    X, _ = blobs()
    model = small(SNNRegressor, epochs=1).fit(X, np.full(len(X), value))
    assert model.scale_ == 1.0 and model.mean_ == pytest.approx(value, rel=1e-14)


def test_targets_too_far_apart():
    X, _ = blobs(4)
    with pytest.raises(
        ValueError, match="target 1 of y has the mean 0 and the standard deviation "
    ):
        small(SNNRegressor).fit(X, np.outer([1.0, -1.0, 1.0, -1.0], [1.0, 1e200]))


def test_after_a_fit_that_failed():
    """What was learnt before is gone where data were at fault, and stays where a parameter was."""
    X, y = blobs()
    model = small(epochs=1).fit(X, y)
    for options in ({"lr": -1.0}, {"epochs": 0}, {"patience": 0}):
        before = model.predict(X)
        with pytest.raises(ValueError, match=next(iter(options))):
            clone(model).set_params(**options).fit(X, y)
        with pytest.raises(ValueError, match=next(iter(options))):
            model.set_params(**options).fit(X[:, :2], np.where(y == "a", "d", y))
        assert np.array_equal(model.predict(X), before)
        model.set_params(lr=0.01, epochs=1, patience=None)
    with pytest.raises(ValueError, match="expected low <= high"):
        model.set_params(limits=(2.0, 1.0)).fit(X, np.where(y == "a", "d", y))
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_steps_go_on_where_they_were():
    """Two calls of one step each are the two steps of Adam, not its first one twice."""
    X, y = blobs(32)
    model = small(SNNRegressor)
    target = (y == "a").astype(float)
    model.partial_fit(X, target).partial_fit(X, target)
    assert model._state["step"] == 2
    other = pickle.loads(pickle.dumps(model))
    assert np.array_equal(
        other.partial_fit(X, target).predict(X), model.partial_fit(X, target).predict(X)
    )


def test_early_stopping_keeps_the_best():
    X, y = blobs(200)
    model = small(epochs=60, patience=3, lr=0.05).fit(X, y)
    history = model.history_
    assert model.n_iter_ == len(history) and "validation_loss" in history
    assert history.best("validation_loss") == min(history["validation_loss"])
    with pytest.raises(ValueError, match="expected two with patience"):
        small(patience=3).fit(X[:1], y[:1])


# -- in scikit-learn's company -------------------------------------------------------------------


def test_grid_search_in_processes():
    """Forked or spawned: workers train, and give what one process gives."""
    X, y = blobs(60)
    pipeline = make_pipeline(QuantileTransformer(n_quantiles=20), small(epochs=3))
    grid = {"snnclassifier__lr": [0.003, 0.03], "snnclassifier__hidden": [(5,), (5, 5)]}
    alone = GridSearchCV(pipeline, grid, cv=2, n_jobs=1).fit(X, y)
    together = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
    assert len(alone.cv_results_["mean_test_score"]) == 4
    key = "mean_test_score"
    assert np.array_equal(alone.cv_results_[key], together.cv_results_[key])
    assert together.best_estimator_.predict(X).shape == (60,)


@pytest.mark.parametrize("kind", [SNNClassifier, SNNRegressor])
def test_copies(kind):
    X, y = blobs()
    y = (y == "a").astype(int)
    model = small(kind, epochs=3).fit(X, y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(X), model.predict(X))
    fresh = clone(model)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert np.array_equal(fresh.fit(X, y).predict(X), model.predict(X))
    assert np.array_equal(model.fit(X, y).predict(X), fresh.predict(X))


def test_seeds_and_threads():
    X, y = blobs()
    a = small().fit(X, y).predict_proba(X)
    assert np.array_equal(a, small(n_threads=2).fit(X, y).predict_proba(X))
    assert not np.array_equal(a, small(random_state=1).fit(X, y).predict_proba(X))
    state = np.random.RandomState(0)
    assert np.array_equal(a, small(random_state=state).fit(X, y).predict_proba(X))


def test_single_precision():
    X, y = blobs()
    model = small(SNNRegressor, dtype="float32").fit(X, (y == "a").astype(float))
    assert model.net_.dtype == np.float32 and model.predict(X).dtype == np.float64


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hidden": ()}, r"hidden is \(\), expected numbers of neurons"),
        ({"hidden": {3: 4}}, r"hidden is \{3: 4\}, expected numbers of neurons"),
        ({"hidden": np.array(5)}, r"hidden is array\(5\), expected numbers of neurons"),
        ({"hidden": "5"}, "hidden is '5', expected numbers of neurons"),
        ({"hidden": (5, 0)}, r"hidden\[1\] is 0, expected at least 1"),
        ({"readout": "at"}, "readout is 'at', expected one of weighted_integral, integral"),
        ({"readout": "end", "time_scale": 1.0}, "time_scale is 1.0, expected None"),
        ({"tau_mem": 0.0}, "tau_mem is 0.0, expected a finite time > 0"),
        ({"until": np.inf}, "until is inf, expected a finite time > 0"),
        ({"t_max": 3.0}, "t_max is 3.0, expected 0 <= t_max <= until = 2"),
        ({"bias_time": -1.0}, "bias_time is -1.0, expected 0 <= bias_time"),
        ({"limits": "rows"}, "limits is 'rows', expected 'columns', 'table' or"),
        ({"limits": (2.0, 1.0)}, "expected low <= high"),
        ({"lr": 0.0}, "lr is 0.0, expected a finite number > 0"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0, expected a number > 0"),
        ({"patience": 0}, "patience is 0, expected at least 1"),
        ({"validation_fraction": 1.0}, "validation_fraction is 1.0, expected a number between"),
        ({"dtype": "float16"}, "dtype is float16, expected float64 or float32"),
        ({"t_refractory": -1.0}, "t_refractory"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        small(**options).fit(*blobs())


def test_first_spikes_are_for_classes():
    with pytest.raises(ValueError, match="readout is 'first_spikes', expected one of"):
        small(SNNRegressor, readout="first_spikes").fit(*latencies())


def test_without_scikit_learn():
    """The message says what to install; snnfp itself does without."""
    text = """
import sys
sys.modules["sklearn"] = None
import snnfp
try:
    import snnfp.sklearn
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == (
        "MissingDependencyError sklearn is not installed; it comes with: pip install 'snnfp[sklearn]'"
    )


def test_spikes_that_come_too_late_are_told():
    times = np.random.default_rng(0).uniform(0, 20, (30, 3))
    spikes, labels = snnfp.Spikes.from_latencies(times), np.argmin(times, axis=1)
    model = SNNClassifier(epochs=1, random_state=0)
    said = r"\d+ of 90 spikes of X come after until = 2 and are not heard \(the last at 19\.\d+\)"
    with pytest.warns(snnfp.errors.UnusedInputWarning, match=said):
        model.fit(spikes, labels)
