"""Which synapses a projection has and which weight each of them has, as the core sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import integer_array
from snnfp._memory import need_memory

__all__ = ["Geometry", "Layout", "SparseLayout", "ids"]

_PART = 1 << 20  # synapses


def ids(
    values: ArrayLike, name: str, dtype: type[np.signedinteger[Any]], copy: bool = True
) -> NDArray[Any]:
    """Integers with one dimension."""
    array = integer_array(values, name, dtype, copy=copy)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}, expected one dimension")
    return array


@dataclass(frozen=True)
class SparseLayout:
    """A sparse projection sorted by source; ``order`` leads from there back to the given order."""

    targets: NDArray[np.int32]
    row_offsets: NDArray[np.int64] = field(repr=False)
    order: NDArray[np.int64] | None

    @property
    def sources(self) -> NDArray[np.int32]:
        """Source unit of each synapse, in the given order; made when asked for."""
        units = np.arange(self.row_offsets.size - 1, dtype=np.int32)
        in_order = np.repeat(units, np.diff(self.row_offsets))
        if self.order is None:
            return in_order
        sources = np.empty_like(in_order)
        sources[self.order] = in_order
        return sources

    @classmethod
    def of(
        cls, pairs: tuple[ArrayLike, ArrayLike], name: str, n_source: int, n_target: int
    ) -> SparseLayout:
        """Checks the ids of (sources, targets) and sorts the synapses by source."""
        need_memory(8 * n_source, f"the {n_source} rows of {name}")
        sources = ids(pairs[0], f"{name}: sources", np.int32, copy=False)
        targets = ids(pairs[1], f"{name}: targets", np.int32)
        if sources.size != targets.size:
            raise ValueError(
                f"{name}: {sources.size} sources and {targets.size} targets, "
                "expected the same number"
            )
        for what, units, size in (("sources", sources, n_source), ("targets", targets, n_target)):
            if units.size and (units.min() < 0 or units.max() >= size):
                bad = np.flatnonzero((units < 0) | (units >= size))
                raise ValueError(
                    f"{name}: {what}[{bad[0]}] is {units[bad[0]]}, expected 0 <= id < {size}"
                )
        # In parts, because the temporary arrays of all synapses at once would be larger than they.
        parts = [sources[k : k + _PART + 1] for k in range(0, sources.size, _PART)]
        if all(np.all(part[1:] >= part[:-1]) for part in parts):
            row_offsets = np.searchsorted(sources, np.arange(n_source + 1, dtype=np.int32))
            return cls(targets, row_offsets.astype(np.int64), None)
        row_offsets = np.zeros(n_source + 1, np.int64)
        for k in range(0, sources.size, _PART):
            row_offsets[1:] += np.bincount(sources[k : k + _PART], minlength=n_source)
        order = np.argsort(sources, kind="stable")
        return cls(targets, np.cumsum(row_offsets), order)


@dataclass(frozen=True)
class Geometry:
    """How the synapses of a convolution or pooling lie, for those who write them down elsewhere.

    Args:
        shape_in: (channels, height, width) of the source.
        shape_out: of the target.
        kernel: (height, width).
        stride: (vertical, horizontal).
        padding: likewise.
    """

    shape_in: tuple[int, int, int]
    shape_out: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """The synapses of a projection.

    Args:
        shape: of one value a synapse.
        weight_shape: of the weights.
        sparse: the pairs; None: all, or one to one.
        weight_of: the flat weight of each synapse in the order of the core, where they share
            weights.
        mask: dense only: which synapses there are; None: all.
        planes: of convolutions and pooling.
    """

    shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    sparse: SparseLayout | None = None
    weight_of: NDArray[np.int32] | None = field(default=None, repr=False)
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    planes: Geometry | None = None

    @classmethod
    def of_pairs(
        cls, pairs: tuple[ArrayLike, ArrayLike], name: str, n_source: int, n_target: int
    ) -> Layout:
        """Of (sources, targets), with one weight a synapse."""
        sparse = SparseLayout.of(pairs, name, n_source, n_target)
        return cls(sparse.targets.shape, sparse.targets.shape, sparse)
