"""Rules that choose which units are connected, for :class:`snnfp.ByRule`.

``pairs(n_source, n_target)`` gives (sources, targets), sorted by source, then target; whatever has
such a method will do. The same seed gives the same pairs. A rule chooses pairs and nothing else:
weights and delays are said beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import integer_array, real_array
from snnfp._memory import need_memory
from snnfp._numbers import count, real_number

__all__ = ["Blocks", "FixedInDegree", "FixedProbability", "Rule", "Within", "grid"]

Pairs = tuple[NDArray[np.int32], NDArray[np.int32]]

_PART = 1 << 22  # numbers drawn or distances at a time


class Rule(Protocol):
    """Anything that chooses pairs."""

    def pairs(self, n_source: int, n_target: int) -> tuple[ArrayLike, ArrayLike]:
        """Source unit and target neuron of each synapse."""
        ...


@dataclass(frozen=True, kw_only=True)
class FixedProbability:
    """Each pair is connected with the same probability, independently of all others.

    Args:
        probability: from 0 to 1.
        seed: of the choice.
        loops: whether unit i may be connected to neuron i; false for a population with itself
            means no synapse from a neuron to itself.
    """

    probability: float
    seed: int = 0
    loops: bool = True

    def __post_init__(self) -> None:
        _probability(self.probability, "probability")

    def pairs(self, n_source: int, n_target: int) -> Pairs:
        """Source unit and target neuron of each synapse."""
        rng = np.random.default_rng(self.seed)
        flat = _bernoulli(rng, self.probability, n_source * n_target)
        return _without_loops(np.divmod(flat, n_target), self.loops)


@dataclass(frozen=True, kw_only=True)
class FixedInDegree:
    """Each neuron hears equally many units, chosen without repetition.

    The time to draw grows with n_source * n_target, about 20 ns a pair.

    Args:
        in_degree: how many units each neuron hears.
        seed: of the choice.
        loops: whether neuron i may hear unit i.
    """

    in_degree: int
    seed: int = 0
    loops: bool = True

    def __post_init__(self) -> None:
        count(self.in_degree, "in_degree")

    def pairs(self, n_source: int, n_target: int) -> Pairs:
        """Source unit and target neuron of each synapse.

        Raises:
            ValueError: fewer units than each neuron is to hear.
        """
        apart = not self.loops and n_target > 0
        k, n = self.in_degree, n_source - apart
        if k > n:
            others = "other " if apart else ""
            raise ValueError(
                f"in_degree is {k}, expected at most the number of {others}source units, {n}"
            )
        need_memory(16 * k * n_target, f"the {k * n_target} synapses")
        rng = np.random.default_rng(self.seed)
        sources = np.empty((n_target, k), dtype=np.int32)
        rows = max(1, _PART // n)
        for begin in range(0, n_target, rows):
            part = sources[begin : begin + rows]
            keys = rng.random((len(part), n))
            part[:] = np.argpartition(keys, k - 1, axis=1)[:, :k]
        targets = np.arange(n_target, dtype=np.int32)[:, None]
        if apart:  # the n others of neuron i are those below i and those above
            sources += sources >= targets
        return _sorted(sources.reshape(-1), np.repeat(targets.reshape(-1), k))


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Groups of units: each pair of groups has its own probability.

    Args:
        probability: from 0 to 1, ``[groups of the source, groups of the target]``; with 0 and 1 it
            says which groups are wholly connected.
        sources: sizes of the source's groups, which come one after the other; None: equal ones.
        targets: likewise of the target's.
        seed: of the choice.
        loops: whether unit i may be connected to neuron i.
    """

    probability: ArrayLike
    sources: ArrayLike | None = None
    targets: ArrayLike | None = None
    seed: int = 0
    loops: bool = True

    def pairs(self, n_source: int, n_target: int) -> Pairs:
        """Source unit and target neuron of each synapse.

        Raises:
            ValueError: sizes that do not add up to those of the groups of units.
        """
        p = real_array(self.probability, "probability", np.dtype(np.float64))
        if p.ndim != 2 or not p.size:
            raise ValueError(
                f"probability has shape {p.shape}, expected [groups of the source, groups of the "
                "target]"
            )
        for at, value in np.ndenumerate(p):
            _probability(float(value), f"probability{list(at)}")
        rows = _offsets(self.sources, "sources", n_source, p.shape[0])
        columns = _offsets(self.targets, "targets", n_target, p.shape[1])
        rng = np.random.default_rng(self.seed)
        found: list[tuple[Any, Any]] = []
        for (a, b), value in np.ndenumerate(p):
            width = columns[b + 1] - columns[b]
            flat = _bernoulli(rng, float(value), (rows[a + 1] - rows[a]) * width)
            source, target = np.divmod(flat, max(width, 1))
            found.append((source + rows[a], target + columns[b]))
        sources, targets = (np.concatenate(part) for part in zip(*found, strict=True))
        return _without_loops(_sorted(sources, targets), self.loops)


@dataclass(frozen=True, kw_only=True)
class Within:
    """Units in space: pairs within a radius, or with a probability that falls with distance.

    A pair at distance d is connected where d <= radius, with probability
    ``probability * exp(-d^2 / (2 scale^2))``. The time grows with n_source * n_target.

    Args:
        radius: the largest distance, >= 0; infinity: none.
        sources: positions of the source units, ``[n_source, dimensions]`` (see :func:`grid`).
        targets: those of the target neurons, in the same coordinates.
        scale: standard deviation of the Gaussian, > 0; infinity: the same for all distances.
        probability: at distance 0, from 0 to 1.
        seed: of the choice.
        loops: whether unit i may be connected to neuron i.
    """

    radius: float
    sources: ArrayLike = field(repr=False)
    targets: ArrayLike = field(repr=False)
    scale: float = float("inf")
    probability: float = 1.0
    seed: int = 0
    loops: bool = True

    def __post_init__(self) -> None:
        if not real_number(self.radius, "radius") >= 0:
            raise ValueError(f"radius is {self.radius}, expected a number >= 0")
        if not real_number(self.scale, "scale") > 0:
            raise ValueError(f"scale is {self.scale}, expected a number > 0")
        _probability(self.probability, "probability")

    def pairs(self, n_source: int, n_target: int) -> Pairs:
        """Source unit and target neuron of each synapse.

        Raises:
            ValueError: another number of positions, or of dimensions.
        """
        a = _positions(self.sources, "sources", n_source)
        b = _positions(self.targets, "targets", n_target)
        if a.shape[1] != b.shape[1]:
            raise ValueError(
                f"sources have {a.shape[1]} dimensions and targets {b.shape[1]}, expected the same"
            )
        rng = np.random.default_rng(self.seed)
        sources, targets = [], []
        rows = max(1, _PART // max(1, n_target))
        for begin in range(0, n_source, rows):
            squared = np.zeros((len(a[begin : begin + rows]), n_target))
            for k in range(a.shape[1]):
                squared += np.subtract.outer(a[begin : begin + rows, k], b[:, k]) ** 2
            chosen = squared <= self.radius**2
            if self.probability < 1 or np.isfinite(self.scale):
                limit = self.probability * np.exp(squared / (-2 * self.scale**2))
                chosen &= rng.random(squared.shape) < limit
            source, target = np.nonzero(chosen)
            sources.append(source + begin)
            targets.append(target)
        return _without_loops((np.concatenate(sources), np.concatenate(targets)), self.loops)


def grid(height: int, width: int, *, spacing: float = 1.0) -> NDArray[np.float64]:
    """Positions (y, x) of units on a grid, row by row, ``[height * width, 2]``.

    Args:
        height: rows.
        width: columns.
        spacing: between neighbours; the first unit is at (0, 0).
    """
    real_number(spacing, "spacing")
    places = np.indices((count(height, "height"), count(width, "width")))
    return spacing * places.reshape(2, -1).T.astype(np.float64)


def _probability(value: float, name: str) -> None:
    if not 0 <= real_number(value, name) <= 1:
        raise ValueError(f"{name} is {value}, expected a number from 0 to 1")


def _bernoulli(rng: np.random.Generator, probability: float, n: int) -> NDArray[np.int64]:
    """Which of n things are chosen, ascending: the gaps between them are drawn."""
    if probability == 0 or n == 0:
        return np.empty(0, dtype=np.int64)
    need_memory(24 * int(probability * n), f"the {int(probability * n)} synapses")
    if probability == 1:
        return np.arange(n)
    found, last = [], -1
    while last < n:
        left = (n - 1 - last) * probability
        most = max(1, min(_PART, 2**62 // (n + 1)))  # their sum is an integer
        gaps = rng.geometric(probability, min(int(left + 4 * np.sqrt(left)) + 16, most))
        places = last + np.cumsum(np.minimum(gaps, n + 1))
        found.append(places)
        last = int(places[-1])
    chosen = np.concatenate(found)
    return chosen[: np.searchsorted(chosen, n)]


def _sorted(sources: NDArray[Any], targets: NDArray[Any]) -> Pairs:
    order = np.lexsort((targets, sources))
    return sources[order].astype(np.int32), targets[order].astype(np.int32)


def _without_loops(pairs: tuple[NDArray[Any], NDArray[Any]], loops: bool) -> Pairs:
    sources, targets = (ids.astype(np.int32) for ids in pairs)
    if loops:
        return sources, targets
    apart = sources != targets
    return sources[apart], targets[apart]


def _offsets(sizes: ArrayLike | None, name: str, n: int, groups: int) -> list[int]:
    """Where each group begins, and where the last ends."""
    if sizes is None:
        if n % groups:
            raise ValueError(
                f"{name} is None, expected the sizes of {groups} groups: {n} units do not make "
                "equal ones"
            )
        return list(range(0, n + 1, n // groups))
    array = integer_array(sizes, name)
    if array.shape != (groups,) or np.any(array < 0) or array.sum() != n:
        raise ValueError(
            f"{name} is {array.tolist()}, expected the sizes of {groups} groups of {n} units in all"
        )
    return [0, *np.cumsum(array).tolist()]


def _positions(values: ArrayLike, name: str, n: int) -> NDArray[np.float64]:
    array = real_array(values, name, np.dtype(np.float64))
    if array.ndim != 2 or array.shape[0] != n or not array.shape[1]:
        raise ValueError(f"{name} has shape {array.shape}, expected ({n}, dimensions)")
    if not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"{name}[{at[0]}, {at[1]}] is {array[tuple(at)]}, expected a finite number"
        )
    return array
