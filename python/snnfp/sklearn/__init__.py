"""Spiking networks as scikit-learn estimators: a table or spikes in, classes or numbers out.

Needs scikit-learn: ``pip install 'snnfp[sklearn]'``.
"""

from snnfp.errors import require

require("sklearn", extra="sklearn")

from snnfp.sklearn.estimators import SNNClassifier, SNNRegressor  # noqa: E402

__all__ = ["SNNClassifier", "SNNRegressor"]
