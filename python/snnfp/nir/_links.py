"""What lies between the spikes of one group and another: the nodes of a path, put together.

A path is a product of linear maps with delays in between. It is kept as what snnfp has for it (one
to one, dense, convolution, pooling) as long as it is one, and as a list of synapses otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnfp._memory import need_memory
from snnfp.nir._planes import Planes
from snnfp.projections import Connectivity, Dense, OneToOne, Sparse

__all__ = ["Link", "Synapses"]

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Synapses:
    """A list of synapses."""

    sources: NDArray[Any]
    targets: NDArray[Any]
    weights: Array
    delays: Array


@dataclass(frozen=True)
class Link:
    """A path so far.

    Attributes:
        n_source: units at its beginning.
        n_target: units at its end.
        core: weights: ``[n]`` one to one, ``[n_source, n_target]``, planes or a list.
        before: a delay a source unit, if any.
        after: a delay a target unit, if any.
        tau: time constant of the synapse that lies on it, one a target unit; None: there is none.
        names: its nodes with weights.
        written: what this library wrote about it into the file.
        shared: whether a convolution or pooling lies on it.
    """

    n_source: int
    n_target: int
    core: Array | Planes | Synapses
    before: Array | None = None
    after: Array | None = None
    tau: Array | None = None
    names: tuple[str, ...] = ()
    written: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False

    @classmethod
    def start(cls, n: int) -> Link:
        """From n units to themselves."""
        return cls(n, n, np.ones(n))

    @property
    def is_direct(self) -> bool:
        """Whether nothing lies between its ends."""
        return not self.names and self.after is None and self.tau is None

    @property
    def via(self) -> str:
        """How errors say what it leads through."""
        return f" through {' and '.join(self.names)}" if self.names else ""

    def called(self, name: str) -> Link:
        """With one more node with weights."""
        return replace(self, names=(*self.names, name))

    def written_about(self, values: Mapping[str, Any]) -> Link:
        """With what was written at one of its nodes, where that is not None."""
        known = {k: v for k, v in values.items() if v is not None}
        return replace(self, written={**self.written, **known}) if known else self

    def scaled(self, factors: Array) -> Link:
        """With a factor a target unit."""
        if np.all(factors == 1):
            return self
        core = self.core
        if isinstance(core, Planes):
            if np.all(factors == factors[0]):
                return replace(self, core=core.times(float(factors[0])))
            return self.listed().scaled(factors)
        if isinstance(core, Synapses):
            return replace(self, core=replace(core, weights=core.weights * factors[core.targets]))
        return replace(self, core=core * factors)

    def delayed(self, delays: Array) -> Link:
        """With a delay a target unit."""
        if isinstance(self.core, Synapses):
            core = self.core
            return replace(self, core=replace(core, delays=core.delays + delays[core.targets]))
        return replace(self, after=delays if self.after is None else self.after + delays)

    def filtered(self, tau: Array) -> Link:
        """With a synapse a target unit."""
        return replace(self, tau=tau)

    def through(self, step: Array | Planes, n: int) -> Link:
        """With a matrix ``[units, n]`` or planes at its end."""
        if self.tau is not None and not _uniform(self.tau):
            raise ValueError(
                "synapses of several time constants lie before it, from "
                f"{self.tau.min():g} to {self.tau.max():g}: expected one"
            )
        tau = None if self.tau is None else np.full(n, self.tau[0])
        core, after = self.core, self.after
        shared = self.shared or isinstance(step, Planes)
        new = replace(self, n_target=n, tau=tau, shared=shared)
        if isinstance(core, np.ndarray) and core.ndim == 1:
            # One to one: its delays are those of source units.
            merged = replace(new, before=_sum(self.before, after), after=None)
            if isinstance(step, np.ndarray):
                return replace(merged, core=step if np.all(core == 1) else core[:, None] * step)
            if _uniform(core):
                return replace(merged, core=step if core[0] == 1 else step.times(float(core[0])))
        elif isinstance(core, np.ndarray) and isinstance(step, np.ndarray):
            if after is None or _uniform(after):
                later = None if after is None else np.full(n, after[0])
                return replace(new, core=core @ step, after=later)
        return replace(new, core=_join(self.listed(), step), before=None, after=None)

    def listed(self) -> Link:
        """As a list of synapses."""
        if isinstance(self.core, Synapses):
            return self
        sources, targets, weights = _pairs(self.core)
        delays = np.zeros(weights.size)
        if self.before is not None:
            delays += self.before[sources]
        if self.after is not None:
            delays += self.after[targets]
        core = Synapses(sources, targets, weights, delays)
        return replace(self, core=core, before=None, after=None)

    def constant(self, values: Array) -> Array:
        """What comes out at the end if constants go in."""
        if isinstance(self.core, np.ndarray):
            return values * self.core if self.core.ndim == 1 else values @ self.core
        core = self.listed().core
        assert isinstance(core, Synapses)
        out = np.zeros(self.n_target)
        np.add.at(out, core.targets, core.weights * values[core.sources])
        return out

    def connectivity(self) -> Connectivity:
        """As a projection."""
        core, before, after = self.core, self.before, self.after
        per = self.written.get("delay")
        if isinstance(core, np.ndarray) and core.ndim == 1:
            total = _sum(before, after)
            return OneToOne(weight=core, delay=_one(total, per == "synapse"))
        if isinstance(core, Synapses):
            return _of_list(self, core, per)
        source, target = _one(before, per == "source"), _one(after, per == "target")
        if np.ndim(source) and np.ndim(target):
            if not isinstance(core, np.ndarray):
                return self.listed().connectivity()
            delay: Any = np.add.outer(source, target)
        elif np.ndim(source):
            delay = (source + target)[:, None]
        elif np.ndim(target):
            delay = (source + target)[None, :]
        else:
            delay = source + target
        if isinstance(core, Planes):
            if core.real is not None:
                return self.listed().connectivity()
            return replace(core.spec, delay=delay)
        return _of_matrix(core, delay, self.written)


def _of_matrix(matrix: Array, delay: Any, written: Mapping[str, Any]) -> Connectivity:
    sources, targets = written.get("sources"), written.get("targets")
    if sources is not None and targets is not None and _within(matrix.shape, sources, targets):
        weights = matrix[sources, targets]
        if np.count_nonzero(matrix) == np.count_nonzero(weights):
            return Sparse(sources=sources, targets=targets, weight=weights, delay=delay)
    mask = written.get("mask")
    fits = mask is not None and np.shape(mask) == matrix.shape  # another graph's otherwise
    if fits and not np.any(matrix[np.asarray(mask) == 0]):
        return Dense(weight=matrix, delay=delay, mask=np.asarray(mask) != 0)
    return Dense(weight=matrix, delay=delay)


def _within(shape: tuple[int, ...], sources: Any, targets: Any) -> bool:
    """Whether these are pairs of a matrix; metadata may be another graph's."""
    pairs = np.asarray(sources), np.asarray(targets)
    if pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape:
        return False
    whole = all(np.issubdtype(p.dtype, np.integer) for p in pairs)
    return whole and all(((p >= 0) & (p < n)).all() for p, n in zip(pairs, shape, strict=True))


def _of_list(link: Link, core: Synapses, per: Any) -> Connectivity:
    n, m = link.n_source, link.n_target
    delays = _one(core.delays, per == "synapse")
    if core.weights.size == n * m and "sources" not in link.written:
        if np.array_equal(core.sources * m + core.targets, np.arange(n * m)):  # all pairs
            if np.ndim(delays):
                delays = delays.reshape(n, m)
            return _of_matrix(core.weights.reshape(n, m), delays, link.written)
    order = _given_order(core, link.written)
    each = (core.sources, core.targets, core.weights, delays)
    sources, targets, weights, delays = (a[order] if np.ndim(a) else a for a in each)
    return Sparse(sources=sources, targets=targets, weight=weights, delay=delays)


def _given_order(core: Synapses, written: Mapping[str, Any]) -> Any:
    """Where each synapse is in the list, in the order that was written, if it is of this list."""
    sources, targets = written.get("sources"), written.get("targets")
    if sources is None or np.size(sources) != core.sources.size:
        return slice(None)
    order = np.argsort(sources, kind="stable")
    there = np.array_equal(core.sources, np.asarray(sources)[order])
    if not there or not np.array_equal(core.targets, np.asarray(targets)[order]):
        return slice(None)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return back


def _one(delays: Array | None, keep: bool) -> Any:
    """One delay where all are equal, unless one each was meant."""
    if delays is None:
        return 0.0
    if delays.size and _uniform(delays) and not keep:
        return float(delays[0])
    return delays


def _uniform(values: Array) -> bool:
    return bool(np.all(values == values[0]))


def _sum(a: Array | None, b: Array | None) -> Array | None:
    return b if a is None else a if b is None else a + b


def _pairs(core: Array | Planes) -> tuple[NDArray[Any], NDArray[Any], Array]:
    """(sources, targets, weights), by source; zeros of a matrix are no synapses."""
    if isinstance(core, Planes):
        return core.pairs()
    if core.ndim == 1:
        return np.arange(core.size), np.arange(core.size), core
    sources, targets = np.nonzero(core)
    return sources, targets, core[sources, targets]


def _join(link: Link, step: Array | Planes) -> Synapses:
    """Each synapse of the list with each that goes on from where it ends."""
    core = link.core
    assert isinstance(core, Synapses)
    sources, targets, weights = _pairs(step)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(sources, minlength=link.n_target))))
    counts = np.diff(offsets)[core.targets]
    n = int(counts.sum())
    need_memory(64 * n, f"the {n} synapses of {' and '.join(link.names)}")
    first = np.repeat(np.arange(core.targets.size), counts)
    within = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    second = offsets[core.targets[first]] + within
    return Synapses(
        core.sources[first],
        targets[second],
        core.weights[first] * weights[second],
        core.delays[first],
    )
