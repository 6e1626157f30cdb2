"""Numbers for a page: as few, and as short, as what they are drawn with can show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["evenly", "listed", "rounded", "said", "significant"]


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Indices of n things: all of them, or ``most`` that are evenly spread, the ends included."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def rounded(values: ArrayLike, step: float) -> list[float]:
    """Finite numbers to the decimal place of a step: what is smaller cannot be seen."""
    array = np.asarray(values, dtype=np.float64)
    if not (math.isfinite(step) and 1e-12 < step < 1e12):
        return [float(f"{v:.7g}") for v in array.tolist()]
    return (np.round(array, -math.floor(math.log10(step))) + 0.0).tolist()  # type: ignore[no-any-return]


def significant(values: ArrayLike, digits: int = 5) -> list[float | None]:
    """Numbers to so many digits; None where not finite."""
    flat = np.asarray(values, dtype=np.float64).tolist()
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in flat]


def said(value: Any) -> str:
    """A number, or several, for people."""
    if isinstance(value, (tuple, list)):
        return ", ".join(map(said, value))
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return "none" if value is None else str(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return "—" if math.isnan(value) else f"{float(value):.4g}"


def listed(names: list[str], most: int = 8) -> str:
    """Names in a row, the first of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
