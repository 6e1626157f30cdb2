"""What an estimator is given, as it is trained on: checked, weighted, equal samples merged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, check_consistent_length

from snnfp._arrays import spot
from snnfp.spikes import Spikes

__all__ = ["as_spikes", "as_weights", "merge_equal"]


def as_spikes(X: Any) -> Spikes | None:
    """The batch if X is spikes, else None: it is a table.

    A list of batches is what scikit-learn's splitters make of one, sample by sample.
    """
    if isinstance(X, Spikes):
        return X
    if isinstance(X, (list, tuple)) and X and all(isinstance(part, Spikes) for part in X):
        return Spikes.concatenate(X)
    return None


def as_weights(sample_weight: Any, X: Any) -> NDArray[np.float64]:
    """One weight a sample, ones if there is none.

    Raises:
        ValueError: a weight below 0 or not finite, no weight above 0, a wrong number of them.
    """
    n = len(X)
    if sample_weight is None:
        return np.ones(n)
    weights: NDArray[np.float64] = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weights.ndim != 1:
        raise ValueError(f"sample_weight has shape {weights.shape}, expected ({n},), one a sample")
    check_consistent_length(X, weights)
    bad = np.flatnonzero(weights < 0)
    if bad.size:
        at = spot("sample_weight", (bad[0],))
        raise ValueError(f"{at} is {weights[bad[0]]}, expected a weight >= 0")
    if not weights.any():
        raise ValueError("sample_weight is zero for every sample, expected a weight > 0")
    return weights


def merge_equal(
    features: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Equal samples become one that has the sum of their weights.

    To weight a sample by 3 is then to give it three times, to the bit: in either case it is one
    sample, at a place that depends on what it holds and not on where it stood.

    Args:
        features: ``[samples, d]``.
        target: ``[samples, k]``.
        weight: ``[samples]``, > 0.

    Returns:
        Features, targets and weights of the samples that differ.
    """
    rows, targets = _numbered(features), _numbered(target)
    key = rows * (targets.max() + 1) + targets
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    total = np.bincount(which, weights=weight).astype(np.float64)
    return features[first], target[first], total


def _numbered(table: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of each row among those that differ, in the order of their bytes."""
    rows = np.ascontiguousarray(table)
    width = rows.shape[1] * rows.itemsize
    _, which = np.unique(rows.view(np.dtype((np.void, width))).reshape(-1), return_inverse=True)
    numbers: NDArray[np.int64] = which.astype(np.int64)
    return numbers
