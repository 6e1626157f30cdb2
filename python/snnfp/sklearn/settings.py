"""The parameters of an estimator, checked when it is trained: until then they stay as given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import real_array
from snnfp._numbers import MOST_UNITS, count, real_number
from snnfp.optim import Adam, check_clip_norm
from snnfp.readings import VALUES
from snnfp.sklearn.networks import FIRST_SPIKES

__all__ = [
    "READOUTS_OF_CLASSES",
    "READOUTS_OF_NUMBERS",
    "check_encoding",
    "check_settings",
    "layers_of",
    "limits_of",
]

READOUTS_OF_NUMBERS = tuple(v for v in VALUES if v != "at")
READOUTS_OF_CLASSES = (*READOUTS_OF_NUMBERS, FIRST_SPIKES)


def check_settings(estimator: Any, readouts: tuple[str, ...]) -> None:
    """Raises unless the parameters, which nothing else checks, can be used.

    Args:
        estimator: whose parameters they are.
        readouts: what it can read.

    Raises:
        TypeError, ValueError: names the parameter, the value and what was expected.
    """
    layers_of(estimator)
    if estimator.readout not in readouts:
        raise ValueError(f"readout is {estimator.readout!r}, expected one of {', '.join(readouts)}")
    scale = estimator.time_scale
    if scale is not None and estimator.readout != "weighted_integral":
        raise ValueError(
            f"time_scale is {scale}, expected None with readout={estimator.readout!r}: it is that "
            "of the weighted integral"
        )
    for name in ("tau_mem", "tau_syn", "until"):
        value = getattr(estimator, name)
        if not 0 < real_number(value, name) < math.inf:
            raise ValueError(f"{name} is {value}, expected a finite time > 0")
    Adam(lr=estimator.lr)
    count(estimator.epochs, "epochs")
    count(estimator.batch_size, "batch_size")
    if estimator.patience is not None:
        count(estimator.patience, "patience", instead="None")
    check_clip_norm(estimator.clip_norm)
    share = estimator.validation_fraction
    if not 0 < real_number(share, "validation_fraction") < 1:
        raise ValueError(f"validation_fraction is {share}, expected a number between 0 and 1")


def check_encoding(estimator: Any) -> None:
    """Raises if spikes that a table is encoded to would come after the end of a sample.

    Raises:
        TypeError, ValueError: names the parameter.
    """
    for name in ("t_max", "bias_time"):
        time = getattr(estimator, name)
        if time is None and name == "bias_time":
            continue
        if not 0 <= real_number(time, name) <= estimator.until:
            raise ValueError(
                f"{name} is {time}, expected 0 <= {name} <= until = {estimator.until:g}: what "
                "comes later would be lost"
            )


def layers_of(estimator: Any) -> tuple[int, ...]:
    """Sizes of the hidden layers; one number is one layer.

    Raises:
        TypeError, ValueError: none, or what is no number of neurons.
    """
    given = estimator.hidden
    if isinstance(given, (int, np.integer)):
        return (count(given, "hidden", most=MOST_UNITS),)
    listed = np.ndim(given) == 1 if isinstance(given, np.ndarray) else isinstance(given, Sequence)
    if not listed or isinstance(given, str) or not len(given):
        raise ValueError(f"hidden is {given!r}, expected numbers of neurons, one a hidden layer")
    return tuple(count(n, f"hidden[{k}]", most=MOST_UNITS) for k, n in enumerate(given))


def limits_of(
    estimator: Any, features: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What becomes 0 and 1, a number or an array ``[d]`` each.

    Raises:
        TypeError, ValueError: ``limits`` says neither.
    """
    given = estimator.limits
    if isinstance(given, str):
        if given == "columns":
            return features.min(axis=0), features.max(axis=0)
        if given == "table":
            return np.asarray(features.min()), np.asarray(features.max())
    elif isinstance(given, (list, tuple)) and len(given) == 2:
        low, high = (real_array(v, f"limits[{k}]", features.dtype) for k, v in enumerate(given))
        return low, high
    raise ValueError(f"limits is {given!r}, expected 'columns', 'table' or (low, high)")
