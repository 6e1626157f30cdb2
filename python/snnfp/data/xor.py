"""The XOR problem."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["xor"]


def xor() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The four patterns: features ``[4, 2]`` of 0 and 1, labels ``[4]`` (1 where they differ)."""
    features = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
    return features, np.array([0, 1, 1, 0], dtype=np.int64)
