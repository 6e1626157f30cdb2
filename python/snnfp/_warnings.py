"""Warnings that point at the user's line, however deep in the package they arise."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]

# Frameworks that call the package back: of theirs no line is the user's.
_PASSED = ("snnfp", "torch", "jax")


def warn(message: str, category: type[Warning]) -> None:
    """Warns at the nearest line outside the package and of frameworks that call it back."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED:
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
