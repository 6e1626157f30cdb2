"""Spikes as arrays of one shape, as JAX wants them."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from snnfp._memory import need_memory
from snnfp._numbers import count
from snnfp.spikes import Spikes

__all__ = ["padded"]


def padded(
    spikes: Spikes, *, width: int | None = None, dtype: DTypeLike = np.float64
) -> NDArray[np.floating]:
    """The times of each channel, ascending, ``[samples, channels, width]``; inf: no spike.

    Args:
        spikes: a batch.
        width: spikes a channel that there is room for; None: as many as the channel with most of
            them has in a sample. Batches that are to share one compiled function need the same.
        dtype: float64 or float32.

    Raises:
        ValueError: a channel with more spikes than that; names the sample and the channel.
        MemoryError: so large an array does not fit.
    """
    n = len(spikes)
    cell = spikes.samples * spikes.size + spikes.units
    counts = np.bincount(cell, minlength=n * spikes.size)
    most = int(counts.max(initial=0))
    room = max(1, most) if width is None else count(width, "width", instead="None for all")
    if most > room:
        sample, channel = divmod(int(np.argmax(counts)), spikes.size)
        raise ValueError(
            f"sample {sample}, channel {channel}: {most} spikes, expected at most width = {room}"
        )
    kind = np.dtype(dtype)
    need_memory(
        n * spikes.size * room * kind.itemsize,
        f"the times of {n} samples x {spikes.size} channels x {room} spikes",
        "take fewer samples",
    )
    # Times of a sample ascend, so a stable sort by channel leaves each channel's in order.
    order = np.argsort(cell, kind="stable")
    number = np.empty(cell.size, np.int64)
    number[order] = np.arange(cell.size) - (np.cumsum(counts) - counts)[cell[order]]
    out = np.full((n, spikes.size, room), np.inf, dtype=kind)
    out.reshape(-1)[cell * room + number] = spikes.times
    return out
