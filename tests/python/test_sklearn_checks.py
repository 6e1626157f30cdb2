"""scikit-learn's own checks of what an estimator must do, all of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'snnfp[sklearn]'")

from sklearn.utils.estimator_checks import (
    estimator_checks_generator,
    parametrize_with_checks,
)
from snnfp.sklearn import SNNClassifier, SNNRegressor

ESTIMATORS = [SNNClassifier(), SNNRegressor()]


@parametrize_with_checks(ESTIMATORS)
def test_check(estimator, check):
    check(estimator)


def test_number_of_checks():
    """As many as scikit-learn has for such estimators: no tag leaves any out."""
    numbers = [len(list(estimator_checks_generator(e))) for e in ESTIMATORS]
    assert min(numbers) >= 50


def test_nothing_is_declared_poor_or_random():
    for estimator in ESTIMATORS:
        tags = estimator.__sklearn_tags__()
        assert not tags.non_deterministic and not tags.no_validation
        own = tags.classifier_tags or tags.regressor_tags
        assert not own.poor_score


ARRAY_API = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from snnfp.sklearn import SNNClassifier, SNNRegressor
for estimator in (SNNClassifier(epochs=2), SNNRegressor(epochs=2)):
    for e, check in estimator_checks_generator(estimator):
        if "array_api" in check.func.__name__:
            check(e)
            print("passed")
"""


def test_the_check_that_needs_another_environment():
    """Of arrays of other libraries, which SciPy must be told of before it is imported."""
    names = [check.func.__name__ for _, check in estimator_checks_generator(ESTIMATORS[0])]
    if not any("array_api" in name for name in names):
        pytest.skip("this scikit-learn has no such check")
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["passed", "passed"]
