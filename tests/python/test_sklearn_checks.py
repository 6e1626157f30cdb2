"""scikit-learn's own checks of what an estimator must do, all of them."""

from __future__ import annotations

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
