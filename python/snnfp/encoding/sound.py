"""Sound to spikes: energies in bands of the mel scale, and where they cross levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import real_array
from snnfp._numbers import count, real_number
from snnfp.encoding.crossings import level_crossings
from snnfp.spikes import Spikes

__all__ = ["log_mel", "mel_filterbank", "mel_level_crossings"]

_FRAMES = 4096  # transformed at once


def mel_filterbank(
    bands: int, *, rate: float, window: int, low: float = 0.0, high: float | None = None
) -> NDArray[np.float64]:
    """Triangles that overlap by half, equally wide in mel = 2595 log10(1 + f / 700 Hz).

    Args:
        bands: how many.
        rate: numbers of sound a second.
        window: numbers of sound a Fourier transform.
        low: Hz at which the first one begins.
        high: Hz at which the last one ends; None: half the rate.

    Returns:
        Weights of the power spectrum, ``[bands, window // 2 + 1]``, 1 at the peak of each triangle.

    Raises:
        ValueError: frequencies that are not 0 <= low < high <= rate / 2, or bands so narrow that
            one lies between two frequencies of the transform.
    """
    bands, window = count(bands, "bands"), count(window, "window")
    top = 0.5 * real_number(rate, "rate") if high is None else real_number(high, "high")
    if not 0 <= real_number(low, "low") < top <= 0.5 * rate < np.inf:
        raise ValueError(
            f"low is {low} and high {top}, expected 0 <= low < high <= {0.5 * rate} (half the rate)"
        )
    first, last = (2595.0 * np.log10(1.0 + f / 700.0) for f in (low, top))
    mel = np.linspace(first, last, bands + 2)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    frequency = np.arange(window // 2 + 1) * (rate / window)
    left, peak, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequency - left) / (peak - left), (right - frequency) / (right - peak)
    weights: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(~weights.any(axis=1))
    if empty.size:
        raise ValueError(
            f"band {empty[0]} of {bands} lies between two frequencies of a window of {window}: "
            "fewer bands or a longer window"
        )
    return weights


def log_mel(
    sounds: Sequence[ArrayLike],
    *,
    rate: float,
    bands: int = 32,
    window: float = 0.032,
    hop: float = 0.01,
    low: float = 50.0,
    high: float | None = None,
    dynamic_range: float = 60.0,
) -> list[NDArray[np.float64]]:
    """Log energies of sounds in mel bands, each sound by itself scaled to 0 ... 1.

    Windows (Hann) are centred at 0, hop, 2 hop, ... seconds; before and after a sound it is silent.

    Args:
        sounds: one array a sample, each of its own length.
        rate: numbers a second.
        bands: number of bands; see :func:`mel_filterbank`.
        window: seconds.
        hop: seconds from window to window.
        low: Hz at which the first band begins.
        high: Hz at which the last one ends; None: half the rate.
        dynamic_range: decibels from 0 to 1: a sound's largest energy is 1, what is this much
            weaker or more is 0.

    Returns:
        ``[steps, bands]`` for each sound, with ``1 + size // (hop * rate)`` steps; a silent sound
        is 0 throughout.

    Raises:
        TypeError, ValueError: no sounds, or one that is empty, not finite or has two dimensions;
            names the sample.
    """
    parts = _sounds(sounds)
    for name, value in (("window", window), ("hop", hop), ("dynamic_range", dynamic_range)):
        if not 0 < real_number(value, name) < np.inf:
            raise ValueError(f"{name} is {value}, expected a finite number > 0")
    length, stride = round(window * real_number(rate, "rate")), round(hop * rate)
    if length < 4 or stride < 1:
        raise ValueError(
            f"window is {window} s and hop {hop} s, {length} and {stride} numbers, expected at "
            "least 4 and 1"
        )
    bank = mel_filterbank(bands, rate=rate, window=length, low=low, high=high)
    # All sounds in one row with silence between, and the beginning of each window in it.
    silence = np.zeros(length)
    row = np.concatenate([silence, *(piece for part in parts for piece in (part, silence))])
    sizes = np.array([part.size for part in parts])
    steps = 1 + sizes // stride
    begin = np.cumsum(sizes + length) - sizes - length // 2
    step = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps)
    first = np.repeat(begin, steps) + stride * step
    windows = np.lib.stride_tricks.sliding_window_view(row, length)
    shape = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    energy = np.empty((first.size, bands))
    for k in range(0, first.size, _FRAMES):
        spectrum = np.fft.rfft(windows[first[k : k + _FRAMES]] * shape, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        # Not a matrix product: its last bits depend on the number of BLAS's threads.
        energy[k : k + _FRAMES] = np.einsum("ij,kj->ik", power, bank)
    return _scaled(energy, steps, float(dynamic_range))


def mel_level_crossings(
    sounds: Sequence[ArrayLike],
    *,
    rate: float,
    levels: ArrayLike = (0.35, 0.5, 0.65, 0.8),
    hop: float = 0.01,
    time_scale: float = 1.0,
    bias_time: float | None = 0.0,
    **options: Any,
) -> Spikes:
    """Spikes where the log-mel energies of sounds cross levels: speech as events.

    As it is: 32 bands, 4 levels, up and down, and a channel that spikes at 0, 257 in all.

    Args:
        sounds: one array a sample, each of its own length.
        rate: numbers a second.
        levels: of energies scaled to 0 ... 1; see :func:`level_crossings`.
        hop: seconds from step to step.
        time_scale: a second in the unit of the spikes (1e3: milliseconds).
        bias_time: of the extra last channel, in the unit of the spikes; None: no such channel.
        options: more for :func:`log_mel`.
    """
    if not 0 < real_number(time_scale, "time_scale") < np.inf:
        raise ValueError(f"time_scale is {time_scale}, expected a finite number > 0")
    energies = log_mel(sounds, rate=rate, hop=hop, **options)
    step = round(hop * rate) / rate  # hop as it is, in whole numbers of sound
    return level_crossings(energies, levels=levels, dt=step * time_scale, bias_time=bias_time)


def _sounds(sounds: Any) -> list[NDArray[np.float64]]:
    if isinstance(sounds, np.ndarray) and sounds.ndim == 1 and sounds.dtype != object:
        raise TypeError("sounds is one array of numbers, expected a list of arrays, one a sample")
    parts = [real_array(s, f"sounds[{i}]", np.dtype(np.float64)) for i, s in enumerate(sounds)]
    if not parts:
        raise ValueError("sounds are empty, expected at least one")
    for i, part in enumerate(parts):
        if part.ndim != 1 or not part.size:
            raise ValueError(
                f"sounds[{i}] has shape {part.shape}, expected [numbers], at least one"
            )
        bad = np.flatnonzero(~(np.abs(part) < 1e100))
        if bad.size:
            raise ValueError(
                f"sounds[{i}][{bad[0]}] is {part[bad[0]]}, expected a finite number below 1e100"
            )
    return parts


def _scaled(
    energy: NDArray[np.float64], steps: NDArray[np.int64], dynamic_range: float
) -> list[NDArray[np.float64]]:
    """Decibels below each sound's largest, from ``-dynamic_range`` ... 0 to 0 ... 1."""
    first = np.cumsum(steps) - steps
    largest = np.repeat(np.maximum.reduceat(energy.max(axis=1), first), steps)[:, None]
    share = np.divide(energy, largest, out=np.zeros_like(energy), where=largest > 0)
    floor = 10.0 ** (-dynamic_range / 10.0)
    decibels = 10.0 * np.log10(np.maximum(share, floor))
    scaled = np.clip(1.0 + decibels / dynamic_range, 0.0, 1.0)
    return np.split(scaled, first[1:])
