"""What can be made of a batch of spikes: cut, moved, mapped, merged, thinned; see ``Spikes``."""

from __future__ import annotations

import math
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import freeze, real_array, spot
from snnfp._memory import need_memory
from snnfp._numbers import MOST_UNITS, count, real_number
from snnfp.conversions import vector

__all__ = ["SpikeOperations", "by_sample_and_time", "generator"]

_FLOAT = np.dtype(np.float64)
_FEW = 1 << 16  # numbers below are sorted by radix in NumPy, a pass over them

Seed: TypeAlias = "np.random.Generator | int"  # by name: NumPy loads its generators when asked


class SpikeOperations:
    """The part of :class:`snnfp.Spikes` that makes other batches of it.

    None of these changes the batch itself. Spikes of one time keep their order.
    """

    times: NDArray[np.float64]
    units: NDArray[np.int32]
    offsets: NDArray[np.int64]
    size: int

    @property
    def samples(self) -> NDArray[np.int64]:
        """Sample of each spike, ``[n_spikes]``."""
        return np.repeat(np.arange(self.offsets.size - 1), np.diff(self.offsets))

    def counts(self) -> NDArray[np.int64]:
        """Number of spikes of each channel, ``[samples, size]``.

        Raises:
            MemoryError: so large a table does not fit.
        """
        n = self.offsets.size - 1
        need_memory(8 * n * self.size, f"the {n} x {self.size} counts", "take fewer samples")
        flat = np.bincount(self.samples * self.size + self.units, minlength=n * self.size)
        return flat.reshape(n, self.size)

    # -- in time ---------------------------------------------------------------------------------

    def between(self, begin: ArrayLike, end: ArrayLike) -> Self:
        """The spikes with ``begin <= time < end``, at their times; all others are left out.

        Args:
            begin: one time, or one a sample; ``shift(-begin)`` afterwards makes it 0.
            end: likewise; inf: no end.

        Raises:
            ValueError: an end before its begin.
        """
        first = self._a_sample(begin, "begin", finite=False)
        last = self._a_sample(end, "end", finite=False)
        bad = np.flatnonzero(first > last)
        if bad.size:
            s = int(bad[0])
            raise ValueError(
                f"sample {s}: begin is {first[s]:g} and end {last[s]:g}, expected begin <= end"
            )
        samples = self.samples
        return self._keep((self.times >= first[samples]) & (self.times < last[samples]))

    def shift(self, dt: ArrayLike) -> Self:
        """All spikes later by ``dt``: one time, or one a sample; negative: earlier.

        Raises:
            ValueError: a spike that would come before 0; :meth:`between` leaves such out first.
        """
        by = self._a_sample(dt, "dt")[self.samples]
        times = self.times + by
        bad = np.flatnonzero(~((times >= 0) & np.isfinite(times)))
        if bad.size:
            k = int(bad[0])
            raise ValueError(
                f"{self._where(k)}: time {self.times[k]:g} later by {by[k]:g} is {times[k]:g}, "
                "expected a finite time >= 0 (between(begin, end) leaves out what is not wanted)"
            )
        return self._new(times + 0.0, self.units, self.offsets, self.size)

    def stretch(self, factor: ArrayLike) -> Self:
        """All times multiplied by a factor > 0: one number, or one a sample.

        Raises:
            ValueError: a factor that is not > 0, or a time too large for float64.
        """
        by = self._a_sample(factor, "factor")
        bad = np.flatnonzero(~(by > 0))
        if bad.size:
            at = spot("factor", (int(bad[0]),) if np.ndim(factor) else ())
            raise ValueError(f"{at} is {by[bad[0]]:g}, expected a factor > 0")
        with np.errstate(over="ignore"):
            times = self.times * by[self.samples]
        bad = np.flatnonzero(~np.isfinite(times))
        if bad.size:
            raise ValueError(
                f"{self._where(int(bad[0]))}: time {self.times[bad[0]]:g} stretched is beyond "
                "float64"
            )
        return self._new(times, self.units, self.offsets, self.size)

    def jitter(self, sigma: float, rng: Seed) -> Self:
        """Each time moved by normal noise; what would come before 0 is reflected there.

        Args:
            sigma: standard deviation, in the unit of the times.
            rng: a NumPy generator, or the seed of one.
        """
        if not 0 <= real_number(sigma, "sigma") < math.inf:
            raise ValueError(f"sigma is {sigma}, expected a finite time >= 0")
        noise = generator(rng).standard_normal(self.times.size)
        times = np.abs(self.times + sigma * noise)
        order = by_sample_and_time(times, self.samples, self.offsets.size - 1)
        return self._new(times[order], self.units[order], self.offsets, self.size)

    # -- fewer spikes ----------------------------------------------------------------------------

    def drop(self, probability: float, rng: Seed) -> Self:
        """Each spike left out with this probability.

        Args:
            probability: from 0 to 1.
            rng: a NumPy generator, or the seed of one.
        """
        if not 0 <= real_number(probability, "probability") <= 1:
            raise ValueError(f"probability is {probability}, expected 0 ... 1")
        return self._keep(generator(rng).random(self.times.size) >= probability)

    def thin(self, dead_time: ArrayLike) -> Self:
        """A dead time after each spike that is kept: a channel's spikes within it are left out.

        A channel's first spike in a sample is kept, then the first one at its time plus
        ``dead_time`` or later, and so on.

        Args:
            dead_time: one time >= 0, or one a channel; inf: only first spikes are kept.
        """
        dead = real_array(dead_time, "dead_time", _FLOAT)
        if dead.shape not in ((), (self.size,)):
            raise ValueError(
                f"dead_time has shape {dead.shape}, expected () or ({self.size},), one a channel"
            )
        bad = np.argwhere(~(dead >= 0))
        if len(bad):
            at = tuple(bad[0])
            raise ValueError(f"{spot('dead_time', at)} is {dead[at]}, expected a time >= 0")
        n = self.times.size
        if not n:
            return self
        order = _by_number(self.units, self.size)
        order = order[_by_number(self.samples[order], self.offsets.size - 1)]
        group = (self.samples * self.size + self.units)[order]
        times = self.times[order]
        first = np.ones(n, dtype=bool)
        first[1:] = group[1:] != group[:-1]
        heads = np.flatnonzero(first)
        ends = np.repeat(np.append(heads[1:], n), np.diff(np.append(heads, n)))
        free = times + np.broadcast_to(dead, (self.size,))[self.units[order]]
        kept = np.zeros(n, dtype=bool)
        kept[order] = _reached(heads, _first_at_or_after(times, free, ends), n)
        return self._keep(kept)

    # -- channels --------------------------------------------------------------------------------

    def map_channels(self, channels: ArrayLike, *, size: int | None = None) -> Self:
        """Spikes moved to other channels; several onto one merge there.

        Args:
            channels: the new channel of each channel, ``[size]``; -1: its spikes are left out.
            size: number of new channels; None: the largest + 1.

        Raises:
            ValueError: a number of channels that is not the batch's, or a channel beyond ``size``.
        """
        new = vector(channels, "channels", "i")
        if new.size != self.size:
            raise ValueError(
                f"channels has {new.size} numbers, expected {self.size}, one a channel"
            )
        n = max(1, int(new.max()) + 1) if size is None else size
        n = count(n, "size", most=MOST_UNITS)
        bad = np.flatnonzero((new < -1) | (new >= n))
        if bad.size:
            raise ValueError(
                f"channels[{bad[0]}] is {new[bad[0]]}, expected 0 <= channel < {n}, or -1 to leave "
                "its spikes out"
            )
        units = new.astype(np.int32)[self.units]
        return self._on(units, units >= 0, n)

    def pool(self, shape: tuple[int, ...], by: tuple[int, ...]) -> Self:
        """Blocks of channels merged into one each.

        Args:
            shape: of the channels as a grid, say (2, 34, 34) or (28, 28); rows first.
            by: size of a block, one number an axis, say (1, 2, 2); blocks at the end of an axis
                may be smaller.

        Returns:
            A batch on a grid of ``ceil(shape / by)``.
        """
        sizes = grid_shape(shape, "shape")
        blocks = grid_shape(by, "by")
        if len(sizes) != len(blocks):
            raise ValueError(f"by has {len(blocks)} numbers, expected {len(sizes)} as in shape")
        if math.prod(sizes) != self.size:
            raise ValueError(
                f"shape is {sizes}, which is {math.prod(sizes)} channels, expected {self.size}"
            )
        pooled = tuple(-(-n // b) for n, b in zip(sizes, blocks, strict=True))
        new = np.zeros((1,) * len(sizes), dtype=np.int64)
        for axis, (n, b) in enumerate(zip(sizes, blocks, strict=True)):
            along = (np.arange(n) // b).reshape([-1 if k == axis else 1 for k in range(len(sizes))])
            new = new * pooled[axis] + along
        return self.map_channels(new.reshape(-1), size=math.prod(pooled))

    def beside(self, *others: Self) -> Self:
        """Sample by sample, the channels of other batches after those of this one.

        At one time this batch's spikes come first, then those of the others in their order.

        Raises:
            ValueError: batches of another number of samples.
        """
        self._check_alike(others)
        first = np.cumsum([0, *(b.size for b in (self, *others))])
        size = count(int(first[-1]), "the number of channels", most=MOST_UNITS)
        return self._united((self, *others), first[:-1], size)

    def merge(self, *others: Self) -> Self:
        """Sample by sample, the spikes of all these batches on the same channels.

        At one time this batch's spikes come first, then those of the others in their order.

        Raises:
            ValueError: batches of another number of samples or channels.
        """
        self._check_alike(others)
        for i, other in enumerate(others):
            if other.size != self.size:
                raise ValueError(
                    f"batch {i + 1} has size {other.size}, expected {self.size} as in batch 0"
                )
        return self._united((self, *others), np.zeros(1 + len(others), dtype=np.int64), self.size)

    # -- what they share -------------------------------------------------------------------------

    @classmethod
    def _new(cls, times: Any, units: Any, offsets: Any, size: int) -> Self:
        """A batch made of parts that are right: float64, int32, int64, not to be changed again."""
        spikes = object.__new__(cls)
        state = {"times": times, "units": units, "offsets": offsets, "size": size}
        for key, value in state.items():
            value = freeze(value) if isinstance(value, np.ndarray) else value
            object.__setattr__(spikes, key, value)
        return spikes

    def _keep(self, kept: NDArray[np.bool_]) -> Self:
        return self._on(self.units, kept, self.size)

    def _on(self, units: NDArray[np.int32], kept: NDArray[np.bool_], size: int) -> Self:
        """The kept spikes, on other channels of ``size``."""
        offsets = np.concatenate(([0], np.cumsum(kept)))[self.offsets]
        return self._new(self.times[kept], units[kept], offsets, size)

    def _where(self, k: int) -> str:
        sample = int(np.searchsorted(self.offsets, k, side="right")) - 1
        return f"sample {sample}, spike {k - self.offsets[sample]}"

    def _a_sample(self, values: ArrayLike, name: str, *, finite: bool = True) -> NDArray[Any]:
        """One number a sample, of one for all or of so many."""
        n = self.offsets.size - 1
        array = real_array(values, name, _FLOAT)
        if array.shape not in ((), (n,)):
            raise ValueError(f"{name} has shape {array.shape}, expected () or ({n},), one a sample")
        bad = np.argwhere(~np.isfinite(array) if finite else np.isnan(array))
        if len(bad):
            at = tuple(bad[0])
            what = "a finite number" if finite else "a time"
            raise ValueError(f"{spot(name, at)} is {array[at]}, expected {what}")
        return np.broadcast_to(array, (n,))

    def _check_alike(self, others: tuple[Any, ...]) -> None:
        n = self.offsets.size - 1
        for i, other in enumerate(others):
            if not isinstance(other, SpikeOperations):
                raise TypeError(f"batch {i + 1} is a {type(other).__name__}, expected snnfp.Spikes")
            if other.offsets.size - 1 != n:
                raise ValueError(
                    f"batch {i + 1} has {other.offsets.size - 1} samples, expected {n} as in "
                    "batch 0"
                )

    def _united(self, batches: tuple[Self, ...], first: NDArray[Any], size: int) -> Self:
        times = np.concatenate([b.times for b in batches])
        units = np.concatenate([b.units + int(f) for b, f in zip(batches, first, strict=True)])
        samples = np.concatenate([b.samples for b in batches])
        order = by_sample_and_time(times, samples, self.offsets.size - 1)
        offsets = np.sum([b.offsets for b in batches], axis=0)
        return self._new(times[order], units[order].astype(np.int32), offsets, size)


def generator(rng: Any) -> np.random.Generator:
    """A generator: the one given, or a new one of a seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, (int, np.integer)) or rng < 0:
        raise TypeError(f"rng is {rng!r}, expected a numpy.random.Generator or a seed >= 0")
    return np.random.default_rng(int(rng))


def grid_shape(values: Any, name: str) -> tuple[int, ...]:
    """Sizes of the axes of a grid of channels."""
    if not isinstance(values, (tuple, list)) or not values:
        raise TypeError(f"{name} is {values!r}, expected a tuple of numbers, one an axis")
    return tuple(count(v, f"{name}[{i}]", most=MOST_UNITS) for i, v in enumerate(values))


def by_sample_and_time(
    times: NDArray[Any], samples: NDArray[np.int64], n_samples: int
) -> NDArray[np.int64]:
    """The order of spikes by sample, then time; those of one time as they are given."""
    order = np.argsort(times, kind="stable")
    return order[_by_number(samples[order], n_samples)]


def _by_number(numbers: NDArray[Any], limit: int) -> NDArray[np.int64]:
    """A stable order of whole numbers ``0 ... limit - 1``."""
    return np.argsort(numbers.astype(np.uint16) if limit <= _FEW else numbers, kind="stable")


def _first_at_or_after(
    times: NDArray[Any], wanted: NDArray[Any], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each spike k the first behind it, before ``ends[k]``, at ``wanted[k]`` or later.

    Times do not decrease from k to its end; a search by halves of all at once.
    """
    low, high = np.arange(1, times.size + 1), ends.copy()
    while True:
        open_ = np.flatnonzero(low < high)
        if not open_.size:
            return low
        middle = (low[open_] + high[open_]) // 2
        late = times[middle] >= wanted[open_]
        high[open_] = np.where(late, middle, high[open_])
        low[open_] = np.where(late, low[open_], middle + 1)


def _reached(heads: NDArray[np.int64], after: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    """Which of n things are reached from the heads, each leading to one after it.

    By doubling: what is reached within 2^k steps leads by jumps of 2^k to what is within 2^(k+1).
    ``after`` of the last of a row is the head of the next, or n: both are reached or nothing.
    """
    reached = np.zeros(n + 1, dtype=bool)
    reached[heads] = True
    jump = np.append(after, n)
    now = heads
    while now.size:
        new = jump[now]
        new = np.unique(new[~reached[new]])
        reached[new] = True
        now = np.flatnonzero(reached[:n]) if new.size else new
        jump = jump[jump]
    return reached[:n]
