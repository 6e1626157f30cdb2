"""Checks of single numbers: an error that names the setting and what was typed."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["MOST_UNITS", "count", "real_number"]

MOST_UNITS = 2**31 - 1


def real_number(value: Any, name: str) -> Any:
    """``value`` as it is if it is one real number, or a TypeError that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} is {value!r}, expected a number")
    return value


def count(
    value: Any, name: str, *, least: int = 1, most: int = 2**63 - 1, instead: str = ""
) -> int:
    """A number of things, ``least`` to ``most``, as Python's int; ``instead``: what else goes."""
    other = f", or {instead}" if instead else ""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        or_else = f" or {instead}" if instead else ""
        raise TypeError(f"{name} is {value!r}, expected an integer{or_else}")
    if value < least:
        raise ValueError(f"{name} is {value}, expected at least {least}{other}")
    if value > most:
        raise ValueError(f"{name} is {value}, expected at most {most}{other}")
    return int(value)
