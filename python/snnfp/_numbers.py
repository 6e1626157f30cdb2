"""Checks of single numbers: an error that names the setting and what was typed."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["count_of", "real_number"]


def real_number(value: Any, name: str) -> Any:
    """``value`` as it is if it is one real number, or a TypeError that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} is {value!r}, expected a number")
    return value


def count_of(value: Any, name: str) -> int:
    """``value`` as an integer of at least 1, or a ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} is {value!r}, expected an integer of at least 1")
    return int(value)
