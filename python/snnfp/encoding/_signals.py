"""Signals as encoders take them: samples of equal or different length, by steps and channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import real_array, spot
from snnfp._memory import need_memory
from snnfp._numbers import MOST_UNITS, count, real_number
from snnfp._spike_operations import by_sample_and_time
from snnfp.conversions import check_step
from snnfp.spikes import Spikes

__all__ = ["as_levels", "as_signals", "as_spikes", "check_grid", "padded"]

_FLOAT = np.dtype(np.float64)


def as_signals(signals: Any, *, least: float = -np.inf) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """All steps of all samples, ``[steps, channels]``, and the number of each sample's.

    Args:
        signals: ``[samples, steps, channels]``, or a list of ``[steps, channels]``, one a sample.
        least: the smallest value allowed.

    Raises:
        ValueError: another shape, no sample, step or channel, or a value that is not finite or too
            small; names the sample, the step, the channel and the value.
    """
    if isinstance(signals, (list, tuple)):
        parts = [real_array(s, f"signals[{i}]", _FLOAT) for i, s in enumerate(signals)]
    else:
        whole = real_array(signals, "signals", _FLOAT)
        if whole.ndim != 3:
            raise ValueError(
                f"signals have shape {whole.shape}, expected [samples, steps, channels], or a list "
                "of [steps, channels]"
            )
        parts = list(whole)
    if not parts:
        raise ValueError("signals are empty, expected at least one sample")
    for i, part in enumerate(parts):
        if part.ndim != 2 or 0 in part.shape or part.shape[1] != parts[0].shape[1]:
            n = parts[0].shape[1] if parts[0].ndim == 2 else "channels"
            raise ValueError(
                f"signals[{i}] has shape {part.shape}, expected [steps, {n}], at least one of each"
            )
    values = np.concatenate(parts)
    lengths = np.array([len(p) for p in parts], dtype=np.int64)
    bad = np.argwhere(~(np.isfinite(values) & (values >= least)))
    if len(bad):
        k, c = bad[0]
        i = int(np.searchsorted(np.cumsum(lengths), k, side="right"))
        at = (i, int(k - np.cumsum(lengths)[i] + lengths[i]), int(c))
        expected = "a finite number" + (f" >= {least:g}" if np.isfinite(least) else "")
        raise ValueError(f"{spot('signals', at)} is {values[k, c]}, expected {expected}")
    return values, lengths


def padded(values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """``[samples, most steps, channels]``, with 0 after the end of the shorter ones."""
    shape = (lengths.size, int(lengths.max()), values.shape[1])
    need_memory(8 * int(np.prod(shape)), f"the {shape} steps of all samples", "take fewer samples")
    out = np.zeros(shape)
    out[np.arange(shape[1]) < lengths[:, None]] = values
    return out


def check_grid(dt: Any, t0: Any) -> None:
    """Raises unless steps of ``dt`` from ``t0`` on are times of spikes."""
    check_step(dt)
    if not 0 <= real_number(t0, "t0") < np.inf:
        raise ValueError(f"t0 is {t0}, expected a finite time >= 0")


def as_levels(levels: Any) -> NDArray[np.float64]:
    """Levels that rise."""
    array = real_array(levels, "levels", _FLOAT)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"levels have shape {array.shape}, expected at least one level")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(f"levels[{bad[0]}] is {array[bad[0]]}, expected a finite number")
    falls = np.flatnonzero(np.diff(array) <= 0)
    if falls.size:
        k = falls[0] + 1
        raise ValueError(f"levels[{k}] is {array[k]}, expected more than {array[k - 1]}")
    return array


def as_spikes(
    times: NDArray[Any],
    units: NDArray[Any],
    samples: NDArray[np.int64],
    n_samples: int,
    size: int,
    bias_time: float | None,
) -> Spikes:
    """A batch of spikes in any order, and one of each sample on a last channel if asked for."""
    count(size + 1, "the number of channels", most=MOST_UNITS)
    if bias_time is not None:
        if not 0 <= real_number(bias_time, "bias_time") < np.inf:
            raise ValueError(f"bias_time is {bias_time}, expected a finite time >= 0")
        times = np.concatenate([times, np.full(n_samples, float(bias_time))])
        units = np.concatenate([units, np.full(n_samples, size)])
        samples = np.concatenate([samples, np.arange(n_samples)])
        size += 1
    order = by_sample_and_time(times, samples, n_samples)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(samples, minlength=n_samples))))
    return Spikes._new(times[order], units[order].astype(np.int32), offsets, size)
