"""Batches of spikes: ragged, one entry a spike, and conversions from what others use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core, conversions
from snnfp._arrays import freeze, plain
from snnfp._numbers import MOST_UNITS, count
from snnfp._spike_operations import SpikeOperations
from snnfp.conversions import vector

__all__ = ["Spikes"]


@dataclass(frozen=True, eq=False)
class Spikes(SpikeOperations):
    """Spikes of a batch of samples on ``size`` channels.

    Args:
        times: ``[n_spikes]``, finite, >= 0, not decreasing within a sample; the user's unit.
        units: channel of each spike, ``[n_spikes]``.
        offsets: the spikes of sample s are ``offsets[s]:offsets[s + 1]``; ``[samples + 1]``.
        size: number of channels, below 2**31.

    The arrays are kept as float64, int32 and int64 and are read-only. A batch is a sequence of
    samples: ``spikes[3]``, ``spikes[:5]``, ``spikes[mask]`` and ``spikes[[2, 0]]`` are batches,
    ``len(spikes)`` is the number of samples, and a loop takes them one by one.

    Raises:
        ValueError: names the sample, the spike and the value; integers that float64 does not hold.
        TypeError: a dtype that does not hold what is meant without loss.
    """

    times: NDArray[np.float64]
    units: NDArray[np.int32]
    offsets: NDArray[np.int64]
    size: int

    def __init__(
        self, times: ArrayLike, units: ArrayLike, offsets: ArrayLike, *, size: int
    ) -> None:
        size = count(size, "size", most=MOST_UNITS)
        t = vector(times, "times", "f")
        u = vector(units, "units", "i")
        o = vector(offsets, "offsets", "i")
        _check(t, u, o, size)
        t += 0.0  # -0.0 becomes 0.0, which it equals: equal batches have equal bytes
        object.__setattr__(self, "times", freeze(t))
        object.__setattr__(self, "units", freeze(u.astype(np.int32)))
        object.__setattr__(self, "offsets", freeze(o))
        object.__setattr__(self, "size", size)

    # -- a sequence of samples -------------------------------------------------------------------

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, samples: int | slice | ArrayLike) -> Spikes:
        """Samples as a new batch: one, a slice, those of a boolean mask, or a list of them.

        Negative ones count from the end.
        """
        if isinstance(samples, (int, np.integer)) and not isinstance(samples, bool):
            if not -len(self) <= samples < len(self):
                raise IndexError(f"sample {samples} of a batch of {_many(len(self), 'sample')}")
            return self.take([int(samples) % len(self)])
        if isinstance(samples, tuple):
            raise IndexError(
                f"[{', '.join(map(repr, samples))}] has {_many(len(samples), 'part')}, expected "
                "samples only; a list of them chooses several"
            )
        if isinstance(samples, slice):
            chosen: ArrayLike = np.arange(len(self))[samples]
        else:
            chosen = plain(samples, "samples")
            if chosen.dtype == bool:
                if chosen.shape != (len(self),):
                    raise IndexError(
                        f"the mask has shape {chosen.shape}, expected ({len(self)},), one a sample"
                    )
                chosen = np.flatnonzero(chosen)
            elif chosen.dtype.kind == "i":  # from the end, as for one sample
                chosen = chosen + np.where((-len(self) <= chosen) & (chosen < 0), len(self), 0)
        if not np.size(chosen):
            raise IndexError(f"[{samples!r}] chooses none of {len(self)} samples")
        return self.take(chosen)

    def __iter__(self) -> Iterator[Spikes]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Spikes)
            and self.size == other.size
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.units, other.units)
            and np.array_equal(self.times, other.times)
        )

    def __hash__(self) -> int:
        return hash((self.size, self.times.tobytes(), self.units.tobytes(), self.offsets.tobytes()))

    def __repr__(self) -> str:
        spikes = "no spikes"
        if self.times.size:
            first, last = self.times.min(), self.times.max()
            when = f"{first:.6g}" + (f" ... {last:.6g}" if last > first else "")
            spikes = f"{_many(self.times.size, 'spike')} at {when}"
        return f"Spikes({_many(len(self), 'sample')}, {_many(self.size, 'channel')}, {spikes})"

    def __str__(self) -> str:
        rows = [repr(self)]
        for s in range(min(len(self), _ROWS)):
            begin, end = self.offsets[s], self.offsets[s + 1]
            shown = range(begin, min(end, begin + _SPIKES))
            spikes = ", ".join(f"{self.times[k]:.6g} ({self.units[k]})" for k in shown)
            more = f", and {end - begin - _SPIKES} more" if end - begin > _SPIKES else ""
            rows.append(f"  {s}: {spikes or 'no spikes'}{more}")
        if len(self) > _ROWS:
            rows.append(f"  and {_many(len(self) - _ROWS, 'sample')} more")
        return "\n".join(rows)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, freeze(value) if isinstance(value, np.ndarray) else value)

    def take(self, samples: ArrayLike) -> Spikes:
        """The samples of these indices, in the order given, as a new batch."""
        if plain(samples, "samples").dtype == bool:
            raise TypeError("samples has dtype bool, expected integers: spikes[mask] takes a mask")
        chosen = vector(samples, "samples", "i")
        beyond = chosen.view(np.uint64) >= len(self)  # so those below 0 are large
        if beyond.any():
            bad = np.flatnonzero(beyond)
            raise ValueError(
                f"samples[{bad[0]}] is {chosen[bad[0]]}, expected 0 <= sample < {len(self)}"
            )
        if chosen.size == 0:
            raise ValueError("samples is empty, expected at least one")
        return self._new(
            *_core.take_samples(self.times, self.units, self.offsets, chosen), self.size
        )

    @classmethod
    def concatenate(cls, batches: Sequence[Spikes]) -> Spikes:
        """The samples of several batches, one batch after the other."""
        if not batches:
            raise ValueError("batches is empty, expected at least one")
        for i, batch in enumerate(batches):
            if not isinstance(batch, Spikes):
                raise TypeError(f"batch {i} is a {type(batch).__name__}, expected snnfp.Spikes")
            if batch.size != batches[0].size:
                raise ValueError(
                    f"batch {i} has size {batch.size}, expected {batches[0].size} as in batch 0"
                )
        counts = np.concatenate([np.diff(b.offsets) for b in batches])
        return cls._new(
            np.concatenate([b.times for b in batches]),
            np.concatenate([b.units for b in batches]),
            np.concatenate(([0], np.cumsum(counts))),
            batches[0].size,
        )

    # -- conversions -----------------------------------------------------------------------------

    @classmethod
    def from_pairs(
        cls,
        batch: Sequence[tuple[ArrayLike, ArrayLike]] | tuple[ArrayLike, ArrayLike],
        *,
        size: int,
    ) -> Spikes:
        """From one ``(times, units)`` pair a sample, sorted here (equal times keep their order).

        Args:
            batch: one pair of arrays a sample; a single ``(times, units)`` tuple is one sample.
            size: number of channels.
        """
        return cls(*conversions.of_pairs(batch), size=size)

    @classmethod
    def from_lists(cls, batch: Sequence[Sequence[ArrayLike]], *, size: int | None = None) -> Spikes:
        """From a list a sample of a list a channel of spike times.

        Args:
            batch: ``batch[sample][unit]`` are that channel's times, in any order.
            size: number of channels; None: that of the first sample.
        """
        parts, n = conversions.of_lists(batch, size)
        return cls(*parts, size=n)

    @classmethod
    def from_dense(cls, array: ArrayLike, *, dt: float, t0: float = 0.0) -> Spikes:
        """From a grid ``[T, B, N]``, time first: a 1 at step k is a spike at ``t0 + k dt``.

        Raises:
            ValueError: an entry other than 0 and 1, or a wrong shape.
        """
        parts, n = conversions.of_dense(array, dt, t0)
        return cls(*parts, size=n)

    @classmethod
    def from_latencies(cls, latencies: ArrayLike) -> Spikes:
        """From one time a channel, ``[samples, size]``; inf: no spike."""
        parts, n = conversions.of_latencies(latencies)
        return cls(*parts, size=n)

    @classmethod
    def from_structured(
        cls,
        batch: Sequence[NDArray[Any]],
        *,
        shape: tuple[int, int],
        polarities: int = 2,
        time_scale: float = 1e-6,
    ) -> Spikes:
        """From event-camera arrays with fields x, y, t, p (one array a sample).

        Args:
            batch: structured arrays; ``t`` in integer ticks.
            shape: (height, width) of the sensor.
            polarities: 1 to merge polarities, 2 to keep them apart.
            time_scale: one tick in the user's unit (1e-6: microseconds to seconds).

        Channel ``(p * height + y) * width + x``.
        """
        parts, n = conversions.of_structured(batch, shape, polarities, time_scale)
        return cls(*parts, size=n)

    def to_lists(self) -> list[list[NDArray[np.float64]]]:
        """``[sample][unit]`` arrays of times."""
        return conversions.lists_of(self.times, self.units, self.offsets, self.size)

    def to_dense(self, *, dt: float, steps: int, t0: float = 0.0) -> NDArray[np.uint8]:
        """A grid ``[T, B, N]`` of 0 and 1; a spike falls into the nearest step.

        Raises:
            ValueError: a spike outside the grid, or two in one cell: a finer dt keeps them apart.
            MemoryError: so large a grid does not fit.
        """
        parts = (self.times, self.units, self.offsets)
        return conversions.dense_of(parts, self.size, dt, steps, t0)


_ROWS, _SPIKES = 5, 6  # printed


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _check(t: NDArray[Any], u: NDArray[Any], o: NDArray[Any], size: int) -> None:
    if o.size < 2:
        raise ValueError(f"offsets has {o.size} values, expected at least 2 (one sample)")
    if o[0] != 0:
        raise ValueError(f"offsets[0] is {o[0]}, expected 0")
    falls = np.flatnonzero(np.diff(o) < 0)
    if falls.size:
        i = falls[0] + 1
        raise ValueError(f"offsets[{i}] is {o[i]}, expected at least offsets[{i - 1}] = {o[i - 1]}")
    if t.size != u.size or o[-1] != t.size:
        raise ValueError(
            f"{t.size} times, {u.size} units and a last offset of {o[-1]}, expected the same number"
        )

    def where(k: int) -> str:
        sample = int(np.searchsorted(o, k, side="right")) - 1
        return f"sample {sample}, spike {k - o[sample]}"

    bad = np.flatnonzero(~(np.isfinite(t) & (t >= 0)))
    if bad.size:
        raise ValueError(f"{where(bad[0])}: time {t[bad[0]]}, expected a finite time >= 0")
    bad = np.flatnonzero((u < 0) | (u >= size))
    if bad.size:
        raise ValueError(f"{where(bad[0])}: unit {u[bad[0]]}, expected 0 <= unit < {size}")
    steps = np.flatnonzero(np.diff(t) < 0) + 1
    unsorted = steps[~np.isin(steps, o)]
    if unsorted.size:
        k = unsorted[0]
        raise ValueError(
            f"{where(k)}: time {t[k]} after {t[k - 1]}, expected times that do not decrease "
            "(Spikes.from_pairs sorts)"
        )
