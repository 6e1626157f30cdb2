"""Checks and conversions of arrays at the door: what is accepted, and what an error says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["freeze", "real_array"]


def real_array(values: Any, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A C-contiguous copy of real numbers in ``dtype``, or a TypeError that names the argument."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers (float or int)")
    return np.array(array, dtype=dtype, order="C", copy=True)


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Makes an array read-only: records keep it, so it must never change."""
    array.flags.writeable = False
    return array
