"""Batches of spikes: ragged, one entry a spike, and conversions from what others use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import freeze

__all__ = ["Spikes"]


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spikes of a batch of samples on ``size`` channels.

    Args:
        times: ``[n_spikes]``, finite, >= 0, not decreasing within a sample; the user's unit.
        units: channel of each spike, ``[n_spikes]``.
        offsets: the spikes of sample s are ``offsets[s]:offsets[s + 1]``; ``[samples + 1]``.
        size: number of channels.

    The arrays are kept as float64, int32 and int64 and are read-only.

    Raises:
        ValueError: names the sample, the spike and the value.
        TypeError: a dtype that does not hold what is meant without loss.
    """

    times: NDArray[np.float64]
    units: NDArray[np.int32]
    offsets: NDArray[np.int64]
    size: int

    def __init__(
        self, times: ArrayLike, units: ArrayLike, offsets: ArrayLike, *, size: int
    ) -> None:
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"size is {size!r}, expected an integer")
        if size < 1:
            raise ValueError(f"size is {size}, expected at least 1")
        t = _vector(times, "times", "fiu", np.dtype(np.float64))
        u = _vector(units, "units", "iu", np.dtype(np.int64))
        o = _vector(offsets, "offsets", "iu", np.dtype(np.int64))
        _check(t, u, o, int(size))
        object.__setattr__(self, "times", freeze(t))
        object.__setattr__(self, "units", freeze(u.astype(np.int32)))
        object.__setattr__(self, "offsets", freeze(o))
        object.__setattr__(self, "size", int(size))

    # -- a sequence of samples -------------------------------------------------------------------

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, sample: int) -> Spikes:
        """One sample, as a batch of one."""
        index = range(len(self))[sample]
        return self.take([index])

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
        return f"Spikes({len(self)} samples, {self.times.size} spikes, size={self.size})"

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, freeze(value) if isinstance(value, np.ndarray) else value)

    def take(self, samples: ArrayLike) -> Spikes:
        """The chosen samples, in the order given, as a new batch."""
        chosen = _vector(samples, "samples", "iu", np.dtype(np.int64))
        bad = np.flatnonzero((chosen < 0) | (chosen >= len(self)))
        if bad.size:
            raise ValueError(
                f"samples[{bad[0]}] is {chosen[bad[0]]}, expected 0 <= sample < {len(self)}"
            )
        if chosen.size == 0:
            raise ValueError("samples is empty, expected at least one")
        counts = np.diff(self.offsets)[chosen]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        at = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        return _trusted(self.times[at], self.units[at], offsets, self.size)

    @classmethod
    def concatenate(cls, batches: Sequence[Spikes]) -> Spikes:
        """The samples of several batches, one batch after the other."""
        if not batches:
            raise ValueError("batches is empty, expected at least one")
        for i, batch in enumerate(batches):
            if batch.size != batches[0].size:
                raise ValueError(
                    f"batch {i} has size {batch.size}, expected {batches[0].size} as in batch 0"
                )
        counts = np.concatenate([np.diff(b.offsets) for b in batches])
        return _trusted(
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
        samples: Sequence[Any] = batch
        if isinstance(batch, tuple) and len(batch) == 2 and np.ndim(batch[0]) == 1:  # type: ignore[arg-type]
            samples = [batch]
        times, units, counts = [], [], []
        for s, pair in enumerate(samples):
            if len(pair) != 2:
                raise ValueError(f"sample {s} has {len(pair)} arrays, expected (times, units)")
            t = _vector(pair[0], f"times of sample {s}", "fiu", np.dtype(np.float64))
            u = _vector(pair[1], f"units of sample {s}", "iu", np.dtype(np.int64))
            if t.size != u.size:
                raise ValueError(
                    f"sample {s} has {t.size} times and {u.size} units, expected the same number"
                )
            order = np.argsort(t, kind="stable")
            times.append(t[order])
            units.append(u[order])
            counts.append(t.size)
        return cls._of_parts(times, units, counts, size)

    @classmethod
    def from_lists(cls, batch: Sequence[Sequence[ArrayLike]], *, size: int | None = None) -> Spikes:
        """From a list a sample of a list a channel of spike times.

        Args:
            batch: ``batch[sample][unit]`` are that channel's times, in any order.
            size: number of channels; None: that of the first sample.
        """
        if not len(batch):
            raise ValueError("batch is empty, expected at least one sample")
        n = len(batch[0]) if size is None else size
        pairs = []
        for s, channels in enumerate(batch):
            if len(channels) != n:
                raise ValueError(f"sample {s} has {len(channels)} channels, expected {n}")
            parts = [
                _vector(c, f"times of sample {s}, unit {u}", "fiu", np.dtype(np.float64))
                for u, c in enumerate(channels)
            ]
            units = np.repeat(np.arange(n), [p.size for p in parts])
            pairs.append((np.concatenate([*parts, np.empty(0)]), units))
        return cls.from_pairs(pairs, size=n)

    @classmethod
    def from_dense(cls, array: ArrayLike, *, dt: float, t0: float = 0.0) -> Spikes:
        """From a grid ``[T, B, N]``, time first: a 1 at step k is a spike at ``t0 + k dt``.

        Raises:
            ValueError: an entry other than 0 and 1, or a wrong shape.
        """
        grid = np.asarray(array)
        if grid.dtype.kind not in "biuf":
            raise TypeError(f"array has dtype {grid.dtype}, expected numbers or booleans")
        if grid.ndim != 3:
            raise ValueError(f"array has shape {grid.shape}, expected [T, B, N]")
        if not (dt > 0 and np.isfinite(dt)):
            raise ValueError(f"dt is {dt}, expected a finite time > 0")
        bad = np.argwhere((grid != 0) & (grid != 1))
        if bad.size:
            where = tuple(int(i) for i in bad[0])
            raise ValueError(f"array{list(where)} is {grid[where]}, expected 0 or 1")
        sample, step, unit = np.nonzero(np.swapaxes(grid, 0, 1))
        counts = np.bincount(sample, minlength=grid.shape[1])
        offsets = np.concatenate(([0], np.cumsum(counts)))
        return cls(t0 + dt * step, unit, offsets, size=grid.shape[2])

    @classmethod
    def from_latencies(cls, latencies: ArrayLike) -> Spikes:
        """From one time a channel, ``[samples, size]``; inf: no spike."""
        array = np.asarray(latencies)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"latencies has dtype {array.dtype}, expected real numbers")
        if array.ndim != 2:
            raise ValueError(f"latencies has shape {array.shape}, expected [samples, size]")
        array = array.astype(np.float64)
        bad = np.argwhere(np.isnan(array) | (array < 0))
        if bad.size:
            s, u = bad[0]
            raise ValueError(
                f"latencies[{s}, {u}] is {array[s, u]}, expected a time >= 0, or inf for no spike"
            )
        order = np.argsort(array, axis=1, kind="stable")
        times = np.take_along_axis(array, order, axis=1)
        fires = np.isfinite(times)
        offsets = np.concatenate(([0], np.cumsum(fires.sum(axis=1))))
        return cls(times[fires], order[fires], offsets, size=array.shape[1])

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
        height, width = shape
        if polarities not in (1, 2):
            raise ValueError(f"polarities is {polarities}, expected 1 or 2")
        pairs = []
        for s, events in enumerate([batch] if isinstance(batch, np.ndarray) else batch):
            names = events.dtype.names or ()
            missing = [f for f in ("x", "y", "t", "p") if f not in names]
            if missing:
                raise TypeError(f"sample {s} lacks the fields {missing}, expected x, y, t, p")
            limits = {"x": width, "y": height, "p": 2}
            field = {f: events[f].astype(np.int64) for f in limits}
            for f, limit in limits.items():
                bad = np.flatnonzero((field[f] < 0) | (field[f] >= limit))
                if bad.size:
                    raise ValueError(
                        f"sample {s}, event {bad[0]}: {f} is {field[f][bad[0]]}, "
                        f"expected 0 <= {f} < {limit}"
                    )
            polarity = field["p"] if polarities == 2 else 0
            unit = (polarity * height + field["y"]) * width + field["x"]
            pairs.append((events["t"].astype(np.float64) * time_scale, unit))
        return cls.from_pairs(pairs, size=height * width * polarities)

    def to_lists(self) -> list[list[NDArray[np.float64]]]:
        """``[sample][unit]`` arrays of times."""
        out = []
        for s in range(len(self)):
            part = slice(self.offsets[s], self.offsets[s + 1])
            order = np.argsort(self.units[part], kind="stable")
            counts = np.bincount(self.units[part], minlength=self.size)
            out.append(np.split(self.times[part][order], np.cumsum(counts)[:-1]))
        return out

    def to_dense(self, *, dt: float, steps: int, t0: float = 0.0) -> NDArray[np.uint8]:
        """A grid ``[T, B, N]`` of 0 and 1; a spike falls into the nearest step.

        Raises:
            ValueError: a spike outside the grid, or two in one cell: a finer dt keeps them apart.
        """
        step = np.rint((self.times - t0) / dt).astype(np.int64)
        sample = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        bad = np.flatnonzero((step < 0) | (step >= steps))
        if bad.size:
            k = bad[0]
            raise ValueError(
                f"sample {sample[k]}: the spike at {self.times[k]} falls into step {step[k]}, "
                f"expected 0 <= step < {steps}"
            )
        grid = np.zeros((steps, len(self), self.size), dtype=np.uint8)
        flat = (step * len(self) + sample) * self.size + self.units
        values, counts = np.unique(flat, return_counts=True)
        if np.any(counts > 1):
            k = int(np.flatnonzero(flat == values[np.argmax(counts > 1)])[1])
            raise ValueError(
                f"sample {sample[k]}, unit {self.units[k]}: the spike at {self.times[k]} shares "
                f"step {step[k]} with another, expected one a step: choose a smaller dt"
            )
        grid.reshape(-1)[flat] = 1
        return grid

    @classmethod
    def _of_parts(cls, times: list[Any], units: list[Any], counts: list[int], size: int) -> Spikes:
        if not counts:
            raise ValueError("the batch is empty, expected at least one sample")
        return cls(
            np.concatenate(times),
            np.concatenate(units),
            np.concatenate(([0], np.cumsum(counts))),
            size=size,
        )


def _trusted(times: Any, units: Any, offsets: Any, size: int) -> Spikes:
    """A batch made of parts of checked ones."""
    spikes = object.__new__(Spikes)
    spikes.__setstate__({"times": times, "units": units, "offsets": offsets, "size": size})
    return spikes


def _vector(values: Any, name: str, kinds: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    array = np.asarray(values)
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(dtype)
    if array.dtype.kind not in kinds:
        expected = "real numbers" if "f" in kinds else "integers"
        raise TypeError(f"{name} has dtype {array.dtype}, expected {expected}")
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, expected one dimension")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} holds {array.max()}, expected at most {np.iinfo(np.int64).max}")
    if dtype.kind == "f" and array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}, expected at most float64")
    return np.array(array, dtype=dtype, order="C")


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
