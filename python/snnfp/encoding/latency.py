"""One spike a feature, whose time is its value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain, real_array
from snnfp._memory import need_memory
from snnfp._numbers import MOST_UNITS, count, real_number
from snnfp.conversions import check_some
from snnfp.spikes import Spikes

__all__ = ["feature_table", "from_latency", "latency"]

_BLOCK = 1 << 16  # features encoded at once: what they need stays in cache


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
    x = feature_table(features)
    check_some("features have", x.shape, sample=0)
    if bias_time is None:
        check_some("features have", x.shape, feature=1)
    _check_times(t_min, t_max, bias_time)
    samples, d = x.shape
    size = count(d + (bias_time is not None), "the number of channels", most=MOST_UNITS)
    times: list[NDArray[Any]] = []
    units: list[NDArray[Any]] = []
    counts: list[NDArray[Any]] = [np.zeros(1, dtype=np.int64)]
    step = max(1, _BLOCK // max(1, size))
    for first in range(0, samples, step):
        block = x[first : first + step].astype(np.float64, copy=False)
        bad = np.argwhere(~((block >= 0) & (block <= 1)))
        if bad.size:
            s, k = bad[0]
            raise ValueError(
                f"features[{first + s}, {k}] is {block[s, k]}, expected 0 ... 1 (see scale_min_max)"
            )
        t = t_min + (t_max - t_min) * ((1.0 - block) if invert else block)
        fires = block != 0 if silent_at_zero else np.ones(block.shape, dtype=bool)
        if bias_time is not None:
            t = np.concatenate([t, np.full((len(t), 1), float(bias_time))], axis=1)
            fires = np.concatenate([fires, np.ones((len(t), 1), dtype=bool)], axis=1)
        in_order = _in_order(t, fires)
        times.append(in_order[0])
        units.append(in_order[1])
        counts.append(in_order[2])
    offsets = np.cumsum(np.concatenate(counts))
    return Spikes._new(np.concatenate(times) + 0.0, np.concatenate(units), offsets, size)


def from_latency(
    spikes: Spikes,
    *,
    t_min: float,
    t_max: float,
    bias_time: float | None = None,
    invert: bool = False,
    silent_at_zero: bool = False,
) -> NDArray[np.float64]:
    """The features that :func:`latency` made these spikes of, ``[samples, d]``, to rounding.

    Args:
        spikes: at most one a channel.
        t_min: as given to :func:`latency`; all others too.
        t_max: likewise, above ``t_min``.
        bias_time: likewise; the last channel is left out if it is not None.
        invert: likewise.
        silent_at_zero: likewise; a channel without a spike is 0.

    Raises:
        ValueError: two spikes on a channel, none where there must be one, or a time that is not
            between ``t_min`` and ``t_max``; names the sample and the channel.
    """
    if not isinstance(spikes, Spikes):
        raise TypeError(f"spikes is a {type(spikes).__name__}, expected snnfp.Spikes")
    _check_times(t_min, t_max, bias_time)
    if t_min == t_max:
        raise ValueError(f"t_min and t_max are {t_min:g}, from which no value can be told")
    n, d = len(spikes), spikes.size - (bias_time is not None)
    need_memory(16 * n * spikes.size, f"the {n} x {d} features", "take fewer samples")
    features = spikes.units < d
    sample, unit = spikes.samples[features], spikes.units[features]
    times = spikes.times[features]
    values = (times - t_min) / (t_max - t_min)
    beyond = np.flatnonzero(~((values >= -1e-9) & (values <= 1 + 1e-9)))
    if beyond.size:
        k = beyond[0]
        raise ValueError(
            f"sample {sample[k]}, channel {unit[k]}: time {times[k]:g}, expected {t_min:g} ... "
            f"{t_max:g}"
        )
    number = np.bincount(sample * d + unit, minlength=n * d).reshape(n, d)
    bad = np.argwhere((number > 1) | ((number == 0) & (not silent_at_zero)))
    if bad.size:
        s, k = bad[0]
        raise ValueError(
            f"sample {s}, channel {k}: {number[s, k]} spikes, expected "
            f"{'at most one' if silent_at_zero else 'one'}"
        )
    out = np.full((n, d), 1.0 if invert else 0.0)
    out[sample, unit] = np.clip(values, 0.0, 1.0)
    return 1.0 - out if invert else out


def _in_order(
    times: NDArray[np.float64], fires: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int64]]:
    """Of ``[samples, channels]`` those that fire, by sample, time and channel; their numbers."""
    counts = np.count_nonzero(fires, axis=1).astype(np.int64)
    there = np.arange(counts.max(initial=0)) < counts[:, None]
    packed = np.full(there.shape, np.inf)
    packed[there] = times[fires]
    channel = np.zeros(there.shape, dtype=np.int32)
    channel[there] = np.nonzero(fires)[1]
    order = np.argsort(packed, axis=1, kind="stable")
    packed, channel = (np.take_along_axis(a, order, axis=1) for a in (packed, channel))
    return packed[there], channel[there], counts


def _check_times(t_min: Any, t_max: Any, bias_time: Any) -> None:
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


def feature_table(values: Any) -> NDArray[Any]:
    """Features ``[samples, d]`` as float64, or as they are if their numbers take no more room."""
    if isinstance(values, np.ndarray) and values.dtype in (np.float64, np.float32):
        x = plain(values, "features")
    else:
        x = real_array(values, "features", np.dtype(np.float64))
    if x.ndim != 2:
        hint = ": features.reshape(len(features), -1) makes it so" if x.ndim > 2 else ""
        raise ValueError(f"features have shape {x.shape}, expected [samples, d]{hint}")
    return x
