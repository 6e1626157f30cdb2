"""How two groups of neurons can be connected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import integer_array
from snnfp.init import Initialiser

__all__ = ["Connectivity", "Dense", "OneToOne", "Sparse"]


@dataclass(frozen=True, kw_only=True)
class Dense:
    """Every source unit to every target neuron.

    Args:
        weight: one number, an array ``[n_source, n_target]`` or an initialiser.
        delay: one time for the projection (its gradient is one number too); one a source unit as an
            array ``[n_source, 1]`` or an initialiser in :class:`init.PerSource`; one a target
            neuron as an array ``[1, n_target]`` or in :class:`init.PerTarget`; or one a synapse as
            an array ``[n_source, n_target]`` or an initialiser; >= 0. A flat array is one a source
            unit or a target neuron, whichever has its length; both must not, unless it is 1.
    """

    kind: ClassVar[str] = "dense"
    weight: ArrayLike | Initialiser
    delay: ArrayLike | Initialiser = 0.0


@dataclass(frozen=True, kw_only=True)
class OneToOne:
    """Source unit i to target neuron i; the groups have equal sizes.

    Args:
        weight: one number, an array ``[n]`` or an initialiser.
        delay: one time, an array ``[n]`` or an initialiser; >= 0.
    """

    kind: ClassVar[str] = "one_to_one"
    weight: ArrayLike | Initialiser
    delay: ArrayLike | Initialiser = 0.0


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """Chosen pairs of source unit and target neuron, in any order; a pair may occur twice.

    Parameters and gradients have one value a synapse, in the order given here.

    Args:
        sources: source unit of each synapse, ``[n_synapses]``.
        targets: target neuron of each synapse, ``[n_synapses]``.
        weight: one number, an array ``[n_synapses]`` or an initialiser.
        delay: one time, an array ``[n_synapses]``, ``[n_source, 1]`` or ``[1, n_target]``, or an
            initialiser, as for :class:`Dense`; a flat array is one a synapse; >= 0.
    """

    kind: ClassVar[str] = "sparse"
    sources: ArrayLike
    targets: ArrayLike
    weight: ArrayLike | Initialiser
    delay: ArrayLike | Initialiser = 0.0

    @classmethod
    def from_csr(
        cls,
        indptr: ArrayLike,
        indices: ArrayLike,
        *,
        weight: ArrayLike | Initialiser,
        delay: ArrayLike | Initialiser = 0.0,
    ) -> Sparse:
        """From compressed sparse rows: the synapses of source unit i are ``indptr[i]:indptr[i+1]``.

        Args:
            indptr: ``[n_source + 1]``, from 0 up to the number of synapses.
            indices: target neuron of each synapse.
            weight: as for the class.
            delay: as for the class.
        """
        rows = _ids(indptr, "indptr", np.int64)
        if rows.size < 2 or rows[0] != 0 or np.any(np.diff(rows) < 0):
            falls = np.flatnonzero(np.diff(rows) < 0)
            at = int(falls[0]) + 1 if falls.size else 0
            where = f"indptr[{at}] is {rows[at]}" if rows.size > at else "it is empty"
            raise ValueError(
                "indptr does not start at 0 and ascend, expected compressed sparse rows: " + where
            )
        targets = _ids(indices, "indices", np.int32, copy=False)
        if rows[-1] != targets.size:
            raise ValueError(
                f"indptr[{rows.size - 1}] is {rows[-1]}, expected the number of indices, "
                f"{targets.size}"
            )
        sources = np.repeat(np.arange(rows.size - 1, dtype=np.int32), np.diff(rows))
        return cls(sources=sources, targets=targets, weight=weight, delay=delay)


Connectivity = Dense | OneToOne | Sparse

_PART = 1 << 20  # synapses


def _ids(
    values: ArrayLike, name: str, dtype: type[np.signedinteger[Any]], copy: bool = True
) -> NDArray[Any]:
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
    def of(cls, spec: Sparse, name: str, n_source: int, n_target: int) -> SparseLayout:
        """Checks the ids of ``spec`` and sorts its synapses by source."""
        sources = _ids(spec.sources, f"{name}: sources", np.int32, copy=False)
        targets = _ids(spec.targets, f"{name}: targets", np.int32)
        if sources.size != targets.size:
            raise ValueError(
                f"{name}: {sources.size} sources and {targets.size} targets, "
                "expected the same number"
            )
        for what, ids, size in (("sources", sources, n_source), ("targets", targets, n_target)):
            if ids.size and (ids.min() < 0 or ids.max() >= size):
                bad = np.flatnonzero((ids < 0) | (ids >= size))
                raise ValueError(
                    f"{name}: {what}[{bad[0]}] is {ids[bad[0]]}, expected 0 <= id < {size}"
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
