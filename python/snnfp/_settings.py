"""Settings of a training in words that a file can hold, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from snnfp.augment import Compose, Drop, Jitter, MergePairs, ShiftPixels, Stretch, TimeShift
from snnfp.heuristics import RateBounds
from snnfp.optim import SGD, Adam
from snnfp.parameter_groups import Group
from snnfp.remedies import LabelBump, WeightBump
from snnfp.schedules import Constant, Cosine, ExponentialDecay, Linear, StepDecay, Warmup
from snnfp.transforms import Exp, Sigmoid, Softplus

__all__ = ["describe", "differences", "revive"]

_CLASSES: dict[str, Any] = {
    c.__name__: c
    for c in (
        *(Adam, SGD, Group, Exp, Sigmoid, Softplus, LabelBump, WeightBump, RateBounds),
        *(Constant, Cosine, ExponentialDecay, Linear, StepDecay, Warmup),
        *(Compose, Drop, Jitter, MergePairs, ShiftPixels, Stretch, TimeShift),
    )
}


def describe(value: Any) -> Any:
    """A setting as JSON can hold it: numbers and texts as they are, objects by their fields."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return value.item()
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
        return {"other": f"an array of shape {list(value.shape)}, {digest}"}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [describe(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: describe(getattr(value, f.name)) for f in fields(value)}
        return {"class": type(value).__name__, **parts}
    named = value if hasattr(value, "__qualname__") else type(value)
    return {"other": f"{named.__module__}.{named.__qualname__}"}


def revive(described: Any) -> Any:
    """The setting that was described.

    Raises:
        LookupError: something of it is no object of this library; says what.
        TypeError, ValueError: its fields are not those of its class.
    """
    if isinstance(described, list):
        return tuple(revive(v) for v in described)
    if not isinstance(described, dict):
        return described
    if "other" in described:
        raise LookupError(str(described["other"]))
    if "class" not in described:
        return {k: revive(v) for k, v in described.items()}
    name = described["class"]
    if name not in _CLASSES:
        raise LookupError(str(name))
    return _CLASSES[name](**{k: revive(v) for k, v in described.items() if k != "class"})


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What is another in ``new`` than in ``old``, a line each; both described."""
    lines = []
    for key, now in new.items():
        if key not in old or old[key] == now:
            continue
        was = old[key]
        same_kind = (
            isinstance(was, dict)
            and isinstance(now, dict)
            and was.get("class") == now.get("class")
            and "other" not in was
            and ("class" in was or was.keys() == now.keys())  # of classes, fields may be new
        )
        if same_kind:
            lines += differences(was, now, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key}: {_short(was)} -> {_short(now)}")
    return lines


def _short(described: Any) -> str:
    if isinstance(described, list):
        return f"[{', '.join(map(_short, described))}]"
    if not isinstance(described, dict):
        return repr(described)
    if "other" in described:
        return str(described["other"])
    if "class" in described:
        parts = ", ".join(f"{k}={_short(v)}" for k, v in described.items() if k != "class")
        return f"{described['class']}({parts})"
    return f"{{{', '.join(f'{k!r}: {_short(v)}' for k, v in described.items())}}}"
