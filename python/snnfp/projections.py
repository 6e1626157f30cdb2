"""How two groups of neurons can be connected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import freeze, plain
from snnfp._layout import Layout, ids
from snnfp.convolution import AvgPool2D, Conv2D
from snnfp.init import Initialiser
from snnfp.rules import Rule

__all__ = ["ByRule", "Connectivity", "Dense", "OneToOne", "Sparse"]


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
        mask: booleans ``[n_source, n_target]``: where false there is no synapse. Its weight is 0
            and stays so: derivatives by it are exactly 0, one number and initialisers leave it out,
            and any other value is an error. The projection stays as fast as a dense one, so
            :class:`Sparse` is better where few synapses are left.
    """

    kind: ClassVar[str] = "dense"
    weight: ArrayLike | Initialiser
    delay: ArrayLike | Initialiser = 0.0
    mask: ArrayLike | None = None

    def layout(self, name: str, n_source: int, n_target: int) -> Layout:
        """Its synapses between groups of these sizes."""
        shape = (n_source, n_target)
        return Layout(shape, shape, mask=_mask(self.mask, name, shape))


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

    def layout(self, name: str, n_source: int, n_target: int) -> Layout:
        """Its synapses between groups of these sizes."""
        return Layout((n_source,), (n_source,))


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
        rows = ids(indptr, "indptr", np.int64)
        if rows.size < 2 or rows[0] != 0 or np.any(np.diff(rows) < 0):
            falls = np.flatnonzero(np.diff(rows) < 0)
            at = int(falls[0]) + 1 if falls.size else 0
            where = f"indptr[{at}] is {rows[at]}" if rows.size > at else "it is empty"
            raise ValueError(
                "indptr does not start at 0 and ascend, expected compressed sparse rows: " + where
            )
        targets = ids(indices, "indices", np.int32, copy=False)
        if rows[-1] != targets.size:
            raise ValueError(
                f"indptr[{rows.size - 1}] is {rows[-1]}, expected the number of indices, "
                f"{targets.size}"
            )
        sources = np.repeat(np.arange(rows.size - 1, dtype=np.int32), np.diff(rows))
        return cls(sources=sources, targets=targets, weight=weight, delay=delay)

    def layout(self, name: str, n_source: int, n_target: int) -> Layout:
        """Its synapses between groups of these sizes."""
        return Layout.of_pairs((self.sources, self.targets), name, n_source, n_target)


@dataclass(frozen=True, kw_only=True)
class ByRule:
    """The pairs that a rule of :mod:`snnfp.rules` chooses when the projection is made.

    From then on it is a :class:`Sparse` projection: ``net.projections[name].sources`` and
    ``.targets`` are its pairs, sorted by source unit, then target.

    Args:
        rule: which pairs are connected, such as ``rules.FixedInDegree(in_degree=20, seed=1)``.
        weight: one number or an initialiser; an array where the number of synapses is known.
        delay: as for :class:`Sparse`.
    """

    kind: ClassVar[str] = "sparse"
    rule: Rule
    weight: ArrayLike | Initialiser
    delay: ArrayLike | Initialiser = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.rule, type) or not hasattr(self.rule, "pairs"):
            raise TypeError(
                f"rule is {self.rule!r}, expected a rule, such as "
                "snnfp.rules.FixedProbability(probability=0.1, seed=1)"
            )

    def layout(self, name: str, n_source: int, n_target: int) -> Layout:
        """Its synapses between groups of these sizes."""
        try:
            pairs = self.rule.pairs(n_source, n_target)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        return Layout.of_pairs(pairs, name, n_source, n_target)


Connectivity = Dense | OneToOne | Sparse | ByRule | Conv2D | AvgPool2D


def _mask(given: ArrayLike | None, name: str, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    if given is None:
        return None
    mask = plain(given, f"{name}: mask")
    if mask.dtype != np.bool_:
        raise TypeError(f"{name}: mask has dtype {mask.dtype}, expected bool")
    if mask.shape != shape:
        raise ValueError(f"{name}: mask has shape {mask.shape}, expected {shape}")
    return freeze(np.array(mask, order="C"))
