"""From features to spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import real_array, spot
from snnfp._numbers import real_number
from snnfp.conversions import check_some
from snnfp.spikes import Spikes

__all__ = ["latency", "scale_min_max"]


def scale_min_max(
    features: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Features scaled to [0, 1] column by column; a constant column becomes 0.

    Args:
        features: ``[samples, d]``.
        low: what becomes 0, ``[d]``; None: the smallest value of each column.
        high: what becomes 1, ``[d]``; None: the largest. Values beyond are clipped.

    Raises:
        TypeError: features that are not real numbers.
        ValueError: a value that is missing or not finite, a wrong shape, or a column's ``low``
            above its ``high``.
    """
    x = _features(features)
    ends = []
    for name, given, smallest in (("low", low, True), ("high", high, False)):
        if given is None:
            if not len(x):
                raise ValueError(
                    f"features have shape {x.shape}: without samples give low and high"
                )
            ends.append(x.min(axis=0) if smallest else x.max(axis=0))
            continue
        end = real_array(given, name, x.dtype)
        if end.shape not in ((), x.shape[1:]):
            raise ValueError(f"{name} has shape {end.shape}, expected () or {x.shape[1:]}")
        ends.append(end)
    a, b = ends
    bad = np.argwhere(~np.isfinite(x))
    if bad.size:
        at = tuple(bad[0])
        raise ValueError(f"{spot('features', at)} is {x[at]}, expected a finite number")
    bad = np.argwhere(np.atleast_1d(a > b))
    if bad.size:
        k = int(bad[0, 0])
        ends = [np.broadcast_to(v, np.shape(a > b)).reshape(-1)[k] for v in (a, b)]
        raise ValueError(f"low[{k}] is {ends[0]} and high[{k}] is {ends[1]}, expected low <= high")
    span = np.where(b > a, b - a, 1.0)
    scaled: NDArray[np.float64] = np.clip((x - a) / span, 0.0, 1.0)
    return scaled


def latency(
    features: ArrayLike,
    *,
    t_min: float,
    t_max: float,
    bias_time: float | None = None,
    invert: bool = False,
    silent_at_zero: bool = False,
) -> Spikes:
    """One spike a feature, at ``t_min + (t_max - t_min) x``.

    Args:
        features: ``[samples, d]`` in [0, 1].
        t_min: time of the value 0.
        t_max: time of the value 1.
        bias_time: time of a spike on an extra last channel in every sample; None: no such channel.
        invert: larger values earlier, at ``t_min + (t_max - t_min) (1 - x)``.
        silent_at_zero: a feature of exactly 0 gives no spike (dark pixels).

    Raises:
        ValueError: names the sample, the feature and the value.
    """
    x = _features(features)
    check_some("features have", x.shape, sample=0)
    if bias_time is None:
        check_some("features have", x.shape, feature=1)
    for name, value in (("t_min", t_min), ("t_max", t_max), ("bias_time", bias_time)):
        if value is None and name == "bias_time":
            continue
        if not (np.isfinite(real_number(value, name)) and real_number(value, name) >= 0):
            raise ValueError(f"{name} is {value}, expected a finite time >= 0")
    if t_min > t_max:
        raise ValueError(
            f"t_min is {t_min:g} and t_max {t_max:g}, expected t_min <= t_max (invert=True gives "
            "larger values earlier)"
        )
    bad = np.argwhere(~((x >= 0) & (x <= 1)))
    if bad.size:
        s, d = bad[0]
        raise ValueError(f"features[{s}, {d}] is {x[s, d]}, expected 0 ... 1 (see scale_min_max)")
    times = t_min + (t_max - t_min) * ((1.0 - x) if invert else x)
    if silent_at_zero:
        times = np.where(x == 0, np.inf, times)
    if bias_time is not None:
        times = np.concatenate([times, np.full((x.shape[0], 1), float(bias_time))], axis=1)
    return Spikes.from_latencies(times)


def _features(values: ArrayLike) -> NDArray[np.float64]:
    x = real_array(values, "features", np.dtype(np.float64))
    if x.ndim != 2:
        hint = ": features.reshape(len(features), -1) makes it so" if x.ndim > 2 else ""
        raise ValueError(f"features have shape {x.shape}, expected [samples, d]{hint}")
    return x
