"""Signals to spikes by integrating them: a spike for each threshold's worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._memory import need_memory
from snnfp._numbers import count, real_number
from snnfp.encoding._signals import as_signals, as_spikes, check_grid, padded
from snnfp.spikes import Spikes

__all__ = ["from_integrate_and_fire", "integrate_and_fire"]


def integrate_and_fire(
    signals: Any,
    *,
    threshold: float,
    dt: float,
    t0: float = 0.0,
    signed: bool = False,
    bias_time: float | None = None,
) -> Spikes:
    """A spike each time that a signal's integral has grown by ``threshold``.

    The signal is held from each step to the next one, and the integral is 0 at the beginning of a
    sample; a spike takes the threshold off it and nothing is lost. A constant signal v spikes every
    ``threshold / v``.

    Args:
        signals: ``[samples, steps, channels]``, or a list of ``[steps, channels]``, one a sample.
        threshold: of the integral, in units of signal times time.
        dt: time from step to step.
        t0: time of the first step.
        signed: the parts above 0 and below are integrated each on its own, and those below spike
            on channels ``channels + c``, a grid ``(2, channels)``. Without, values are >= 0.
        bias_time: time of a spike on an extra last channel in every sample; None: no such channel.

    Raises:
        ValueError: bad signals; names the sample, the step, the channel and the value.
        MemoryError: more spikes than memory holds.
    """
    values, lengths = as_signals(signals, least=-np.inf if signed else 0.0)
    check_grid(dt, t0)
    _check_threshold(threshold)
    if signed:
        values = np.concatenate([np.maximum(values, 0.0), np.maximum(-values, 0.0)], axis=1)
    steps = padded(values, lengths)
    total = np.cumsum(steps * (dt / threshold), axis=1)  # in thresholds
    bad = np.argwhere(~(total < 2**52))
    if len(bad):
        s, k, c = bad[0]
        raise ValueError(
            f"signals[{s}]: {total[s, k, c]:.3g} spikes on channel {c} by step {k}, expected fewer "
            "than 2**52: a larger threshold"
        )
    fired = np.floor(total).astype(np.int64)
    before = np.concatenate([np.zeros_like(total[:, :1]), total[:, :-1]], axis=1)
    new = np.diff(fired, axis=1, prepend=0)
    need_memory(48 * int(new.sum()), f"{new.sum()} spikes", "take a larger threshold")
    sample, step, channel = np.nonzero(new)
    each = new[sample, step, channel]
    sample, step, channel = (np.repeat(a, each) for a in (sample, step, channel))
    rank = np.arange(sample.size) - np.repeat(np.cumsum(each) - each, each)
    goal = fired[sample, step, channel] - new[sample, step, channel] + 1 + rank
    start = before[sample, step, channel]
    part = (goal - start) / (total[sample, step, channel] - start)
    times = t0 + dt * (step + np.clip(part, 0.0, 1.0))
    return as_spikes(times, channel, sample, lengths.size, values.shape[1], bias_time)


def from_integrate_and_fire(
    spikes: Spikes, *, threshold: float, dt: float, steps: int, t0: float = 0.0
) -> NDArray[np.float64]:
    """What :func:`integrate_and_fire` keeps of a signal: its mean between spikes.

    The integral is known at each spike, and taken as straight from one to the next; its growth
    from step to step is returned. The integral up to any step is met to one threshold. After a
    channel's last spike nothing is known, and 0 returned.

    Args:
        spikes: on the channels of the signal; of those for ``signed``, minus the second half is
            for you to take, and ``map_channels`` leaves out that of ``bias_time``.
        threshold: as given to :func:`integrate_and_fire`; ``dt`` and ``t0`` too.
        dt: likewise.
        steps: how many.
        t0: likewise.

    Returns:
        ``[samples, steps, channels]``.
    """
    if not isinstance(spikes, Spikes):
        raise TypeError(f"spikes is a {type(spikes).__name__}, expected snnfp.Spikes")
    check_grid(dt, t0)
    _check_threshold(threshold)
    steps = count(steps, "steps", most=2**62)
    shape = (len(spikes), spikes.size, steps + 1)
    need_memory(40 * int(np.prod(shape)), f"the {shape} steps", "take fewer samples or steps")
    group = spikes.samples * spikes.size + spikes.units
    order = np.argsort(group, kind="stable")
    times = spikes.times[order]
    counts = np.bincount(group, minlength=shape[0] * shape[1])
    first = (np.cumsum(counts) - counts)[:, None]
    # Spikes of each channel up to each step; the one before a step and the one after it.
    step = np.clip(np.ceil((spikes.times - t0) / dt), 0, steps + 1).astype(np.int64)
    done = np.bincount(group * (steps + 2) + step, minlength=counts.size * (steps + 2))
    done = np.cumsum(done.reshape(-1, steps + 2)[:, :-1], axis=1)
    grid = t0 + dt * np.arange(steps + 1)
    ends = np.append(times, np.inf)
    last = np.where(done > 0, ends[np.maximum(first + done - 1, 0)], t0)
    after = done < counts[:, None]
    following = np.where(after, ends[np.minimum(first + done, times.size)], np.inf)
    gap = following - last
    part = np.divide(grid - last, gap, out=np.zeros(done.shape), where=after & (gap > 0))
    integral = threshold * (done + part)
    values: NDArray[np.float64] = np.diff(integral, axis=1) / dt
    return values.reshape(shape[0], shape[1], steps).transpose(0, 2, 1)


def _check_threshold(threshold: Any) -> None:
    if not 0 < real_number(threshold, "threshold") < np.inf:
        raise ValueError(f"threshold is {threshold}, expected a finite number > 0")
