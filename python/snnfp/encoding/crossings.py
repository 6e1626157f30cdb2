"""Signals to spikes where they cross levels, upwards and downwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._memory import need_memory
from snnfp._numbers import count, real_number
from snnfp.encoding._signals import as_levels, as_signals, as_spikes, check_grid
from snnfp.spikes import Spikes

__all__ = ["from_level_crossings", "level_crossings"]


def level_crossings(
    signals: Any,
    *,
    levels: ArrayLike,
    dt: float,
    t0: float = 0.0,
    onset: bool = True,
    bias_time: float | None = None,
) -> Spikes:
    """A spike where a signal, straight from step to step, crosses a level.

    Upwards where it goes from below the level to the level or above, downwards where it goes from
    there to below. Up and down have channels of their own: that of level l and channel c is
    ``l * channels + c`` upwards and ``(levels + l) * channels + c`` downwards, a grid
    ``(2, levels, channels)``.

    Args:
        signals: ``[samples, steps, channels]``, or a list of ``[steps, channels]``, one a sample.
        levels: in rising order, in the unit of the signals.
        dt: time from step to step.
        t0: time of the first step.
        onset: a signal counts as below all levels before it begins: levels that it is above at its
            first step have a spike there. Without, how it begins is not told.
        bias_time: time of a spike on an extra last channel in every sample; None: no such channel.

    Raises:
        ValueError: bad signals or levels; names the sample, the step, the channel and the value.
    """
    values, lengths = as_signals(signals)
    heights = as_levels(levels)
    check_grid(dt, t0)
    channels = values.shape[1]
    ends = np.cumsum(lengths)
    sample = np.repeat(np.arange(lengths.size), lengths)
    step = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    begins = np.flatnonzero(step == 0)
    times, units, samples = [], [], []

    def note(at: NDArray[Any], when: NDArray[Any], channel: NDArray[Any]) -> None:
        times.append(t0 + dt * when)
        units.append(channel)
        samples.append(sample[at])

    for direction in (0, 1):
        for k, level in enumerate(heights):
            first = (direction * heights.size + k) * channels
            above = values >= level
            crosses = (above[1:] != above[:-1]) & (above[1:] == (direction == 0))
            crosses[begins[1:] - 1] = False  # from one sample to the next
            at, c = np.nonzero(crosses)
            before, after = values[at, c], values[at + 1, c]
            note(at, step[at] + (level - before) / (after - before), first + c)
            if onset and direction == 0:
                at, c = np.nonzero(above[begins])
                note(begins[at], np.zeros(at.size), first + c)
    size = 2 * heights.size * channels
    return as_spikes(
        np.concatenate(times),
        np.concatenate(units),
        np.concatenate(samples),
        lengths.size,
        size,
        bias_time,
    )


def from_level_crossings(
    spikes: Spikes,
    *,
    levels: ArrayLike,
    dt: float,
    steps: int,
    low: float,
    high: float,
    t0: float = 0.0,
) -> NDArray[np.float64]:
    """What :func:`level_crossings` keeps of a signal: at each step the middle of its band.

    Bands lie between neighbouring levels, below the first one from ``low`` on and above the last
    one up to ``high``. A signal between these is met to half a band. After its last crossing it
    stays.

    Args:
        spikes: of signals with ``onset=True``, with or without a channel for ``bias_time``.
        levels: as given to :func:`level_crossings`; ``dt`` and ``t0`` too.
        dt: likewise.
        steps: how many.
        low: the smallest value of the signal, at most the first level.
        high: its largest value, at least the last level.
        t0: likewise.

    Returns:
        ``[samples, steps, channels]``.

    Raises:
        ValueError: a number of channels that these levels do not give, or spikes that no signal
            has: up twice, or down first; names the sample and the channel.
    """
    if not isinstance(spikes, Spikes):
        raise TypeError(f"spikes is a {type(spikes).__name__}, expected snnfp.Spikes")
    heights = as_levels(levels)
    check_grid(dt, t0)
    steps = count(steps, "steps", most=2**62)
    if not real_number(low, "low") <= heights[0] or not real_number(high, "high") >= heights[-1]:
        raise ValueError(
            f"low is {low} and high {high}, expected low <= {heights[0]} and high >= {heights[-1]}"
        )
    n, channels = heights.size, spikes.size // (2 * heights.size)
    size = 2 * n * channels
    if not channels or spikes.size - size > 1:
        raise ValueError(
            f"the spikes have {spikes.size} channels, expected 2 x {n} levels x some, or one more"
        )
    shape = (len(spikes), steps, channels)
    need_memory(16 * int(np.prod(shape)), f"the {shape} steps", "take fewer samples or steps")
    kept = spikes.units < size
    unit, sample = spikes.units[kept].astype(np.int64), spikes.samples[kept]
    channel, up = unit % channels, np.where(unit < n * channels, 1, -1)
    # Upwards it counts from the first step at or after it; downwards, where the signal may have
    # been at the level to the last, from the first one after. Times are rounded, steps are not.
    at_step = (spikes.times[kept] - t0) / dt
    step = np.where(up > 0, np.ceil(at_step - 1e-6), np.floor(at_step + 1e-6) + 1).astype(np.int64)
    inside = np.flatnonzero(step < steps)
    band = np.zeros(shape, dtype=np.int64)
    at = (sample[inside], np.maximum(step[inside], 0), channel[inside])
    np.add.at(band, at, up[inside])
    np.cumsum(band, axis=1, out=band)
    bad = np.argwhere((band < 0) | (band > n))
    if len(bad):
        s, k, c = bad[0]
        raise ValueError(
            f"sample {s}, channel {c}: {band[s, k, c]} levels are below the signal at step {k}, "
            f"expected 0 ... {n}: these are no crossings of a signal that begins with onset=True"
        )
    edges = np.concatenate(([low], heights, [high]))
    middles: NDArray[np.float64] = 0.5 * (edges[1:] + edges[:-1])
    return middles[band]
