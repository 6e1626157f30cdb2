"""What others keep spikes in, as the arrays of a batch, and back: see the methods of ``Spikes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import integer_array, plain, real_array, spot
from snnfp._memory import need_memory
from snnfp._numbers import MOST_UNITS, count, real_number

__all__ = [
    "Parts",
    "check_some",
    "dense_of",
    "lists_of",
    "of_dense",
    "of_latencies",
    "of_lists",
    "of_pairs",
    "of_structured",
    "vector",
]

Parts = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # times, units, offsets

_FLOAT = np.dtype(np.float64)
_LEVELS = "expected batch[sample][channel], the times of a channel, as in [[[0.1], [0.4, 0.7]]]"


def vector(values: Any, name: str, kind: str) -> NDArray[Any]:
    """A new array of float64 (kind ``"f"``) or int64 (``"i"``) with one dimension."""
    array = real_array(values, name, _FLOAT) if kind == "f" else integer_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, expected one dimension")
    return array


def of_pairs(batch: Any) -> Parts:
    """From one (times, units) pair a sample; a tuple of two arrays is one sample."""
    if isinstance(batch, tuple) and len(batch) == 2 and _is_vector(batch[0]):
        batch = [batch]
    times, units, counts = [], [], []
    for s, pair in enumerate(_sequence(batch, "batch", "one (times, units) pair a sample")):
        parts = _sequence(pair, f"sample {s}", "(times, units)")
        if len(parts) != 2:
            raise ValueError(f"sample {s} has {len(parts)} arrays, expected (times, units)")
        t = vector(parts[0], f"times of sample {s}", "f")
        try:
            u = vector(parts[1], f"units of sample {s}", "i")
        except TypeError as error:
            raise TypeError(f"{error} (a sample is a pair of times and units)") from None
        if t.size != u.size:
            raise ValueError(
                f"sample {s} has {t.size} times and {u.size} units, expected the same number"
            )
        order = np.argsort(t, kind="stable")
        times.append(t[order])
        units.append(u[order])
        counts.append(t.size)
    if not counts:
        raise ValueError("the batch is empty, expected at least one sample")
    return np.concatenate(times), np.concatenate(units), _offsets(counts)


def of_lists(batch: Any, size: int | None) -> tuple[Parts, int]:
    """From ``batch[sample][unit]``, times in any order; returns the number of channels too."""
    samples = _sequence(batch, "batch", _LEVELS.removeprefix("expected "))
    if not len(samples):
        raise ValueError("batch is empty, expected at least one sample")
    n = size
    pairs = []
    for s, sample in enumerate(samples):
        channels = _sequence(sample, f"batch[{s}]", _LEVELS.removeprefix("expected "))
        n = len(channels) if n is None else n
        if len(channels) != n:
            raise ValueError(f"sample {s} has {len(channels)} channels, expected {n}")
        parts = []
        for u, times in enumerate(channels):
            if np.isscalar(times) or getattr(times, "ndim", 1) == 0:
                raise TypeError(f"batch[{s}][{u}] is {times!r}, {_LEVELS}")
            parts.append(vector(times, f"times of sample {s}, unit {u}", "f"))
        units = np.repeat(np.arange(n), [p.size for p in parts])
        pairs.append((np.concatenate([*parts, np.empty(0)]), units))
    assert n is not None
    return of_pairs(pairs), n


def of_dense(array: ArrayLike, dt: float, t0: float) -> tuple[Parts, int]:
    """From a grid ``[T, B, N]`` of 0 and 1; returns N too."""
    grid = plain(array, "array")
    if grid.dtype.kind not in "biuf":
        raise TypeError(f"array has dtype {grid.dtype}, expected numbers or booleans")
    if grid.ndim != 3:
        raise ValueError(
            f"array has shape {grid.shape}, expected [T, B, N] (steps, samples, channels)"
        )
    check_some("array has", grid.shape, sample=1, channel=2)
    check_step(dt)
    real_number(t0, "t0")
    bad = np.argwhere((grid != 0) & (grid != 1))
    if bad.size:
        at = tuple(bad[0])
        raise ValueError(f"{spot('array', at)} is {grid[at]}, expected 0 or 1")
    sample, step, unit = np.nonzero(np.swapaxes(grid, 0, 1))
    counts = np.bincount(sample, minlength=grid.shape[1])
    return (t0 + dt * step, unit, _offsets(counts)), grid.shape[2]


def of_latencies(latencies: ArrayLike) -> tuple[Parts, int]:
    """From one time a channel, ``[samples, size]``, inf for no spike; returns the size too."""
    array = real_array(latencies, "latencies", _FLOAT)
    if array.ndim != 2:
        raise ValueError(f"latencies has shape {array.shape}, expected [samples, size]")
    check_some("latencies has", array.shape, sample=0, channel=1)
    bad = np.argwhere(np.isnan(array) | (array < 0))
    if bad.size:
        s, u = bad[0]
        raise ValueError(
            f"latencies[{s}, {u}] is {array[s, u]}, expected a time >= 0, or inf for no spike"
        )
    order = np.argsort(array, axis=1, kind="stable")
    times = np.take_along_axis(array, order, axis=1)
    fires = np.isfinite(times)
    return (times[fires], order[fires], _offsets(fires.sum(axis=1))), array.shape[1]


def of_structured(
    batch: Sequence[NDArray[Any]], shape: tuple[int, int], polarities: int, time_scale: float
) -> tuple[Parts, int]:
    """From event-camera arrays with fields x, y, t, p; returns the number of channels too."""
    if not isinstance(shape, Sequence) or len(shape) != 2:
        raise ValueError(f"shape is {shape!r}, expected (height, width) of the sensor")
    height, width = (count(n, f"shape[{i}]", most=MOST_UNITS) for i, n in enumerate(shape))
    if polarities not in (1, 2):
        raise ValueError(f"polarities is {polarities}, expected 1 or 2")
    pairs = []
    for s, events in enumerate([batch] if isinstance(batch, np.ndarray) else batch):
        names = (events.dtype.names or ()) if isinstance(events, np.ndarray) else ()
        missing = [f for f in ("x", "y", "t", "p") if f not in names]
        if missing:
            raise TypeError(f"sample {s} lacks the fields {missing}, expected x, y, t, p")
        polarity = events["p"].astype(np.uint8) if events["p"].dtype == bool else events["p"]
        given: Mapping[str, NDArray[Any]] = {"x": events["x"], "y": events["y"], "p": polarity}
        field = {f: vector(values, f"sample {s}: {f}", "i") for f, values in given.items()}
        for f, limit in (("x", width), ("y", height), ("p", 2)):
            bad = np.flatnonzero((field[f] < 0) | (field[f] >= limit))
            if bad.size:
                raise ValueError(
                    f"sample {s}, event {bad[0]}: {f} is {field[f][bad[0]]}, "
                    f"expected 0 <= {f} < {limit}"
                )
        merged = field["p"] if polarities == 2 else 0
        unit = (merged * height + field["y"]) * width + field["x"]
        pairs.append((vector(events["t"], f"sample {s}: t", "f") * time_scale, unit))
    return of_pairs(pairs), height * width * polarities


def lists_of(
    times: NDArray[Any], units: NDArray[Any], offsets: NDArray[Any], size: int
) -> list[list[NDArray[Any]]]:
    """``[sample][unit]`` arrays of times."""
    out = []
    for begin, end in pairwise(offsets):
        order = np.argsort(units[begin:end], kind="stable")
        counts = np.bincount(units[begin:end], minlength=size)
        out.append(np.split(times[begin:end][order], np.cumsum(counts)[:-1]))
    return out


def dense_of(parts: Parts, size: int, dt: float, steps: int, t0: float) -> NDArray[np.uint8]:
    """A grid ``[T, B, N]``; a spike falls into the nearest step."""
    times, units, offsets = parts
    samples = offsets.size - 1
    check_step(dt)
    real_number(t0, "t0")
    steps = count(steps, "steps", most=2**62)
    need_memory(
        steps * samples * size,
        f"the {steps} x {samples} x {size} cells of the grid",
        "take fewer steps of a larger dt, or keep the spikes as they are",
    )
    step = np.rint((times - t0) / dt)
    sample = np.repeat(np.arange(samples), np.diff(offsets))
    bad = np.flatnonzero((step < 0) | (step >= steps))
    if bad.size:
        k = bad[0]
        raise ValueError(
            f"sample {sample[k]}: the spike at {times[k]} falls into step {step[k]:.0f}, "
            f"expected 0 <= step < {steps}"
        )
    grid = np.zeros((steps, samples, size), dtype=np.uint8)
    flat = (step.astype(np.int64) * samples + sample) * size + units
    values, counts = np.unique(flat, return_counts=True)
    if np.any(counts > 1):
        k = int(np.flatnonzero(flat == values[np.argmax(counts > 1)])[1])
        raise ValueError(
            f"sample {sample[k]}, unit {units[k]}: the spike at {times[k]} shares "
            f"step {step[k]:.0f} with another, expected one a step: choose a smaller dt"
        )
    grid.reshape(-1)[flat] = 1
    return grid


def check_some(start: str, shape: tuple[int, ...], **axes: int) -> None:
    """Raises where there is none of what an axis holds; ``start``: say, "features have"."""
    for what, axis in axes.items():
        if not shape[axis]:
            raise ValueError(f"{start} shape {shape}, expected at least one {what}")


def check_step(dt: float) -> None:
    """Raises unless ``dt`` is a finite time > 0."""
    if not (real_number(dt, "dt") > 0 and np.isfinite(dt)):
        raise ValueError(f"dt is {dt}, expected a finite time > 0")


def _offsets(counts: ArrayLike) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def _is_vector(values: Any) -> bool:
    try:
        return np.ndim(values) == 1
    except ValueError:  # a list of lists of several lengths
        return False


def _sequence(values: Any, name: str, expected: str) -> Any:
    """Something with a length, whose parts are samples or channels."""
    if np.isscalar(values) or not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0:
        raise TypeError(f"{name} is {values!r}, expected {expected}")
    return values
