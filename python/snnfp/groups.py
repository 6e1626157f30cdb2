"""What a network is made of: inputs, populations, projections, and where their parameters live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp.projections import SparseLayout

__all__ = [
    "Input",
    "Population",
    "Projection",
    "Slot",
    "core_parameter",
    "neuron_slot",
    "synapse_slot",
]


@dataclass(frozen=True)
class Input:
    """A group of input channels."""

    name: str
    size: int
    index: int


@dataclass(frozen=True)
class Population:
    """A group of neurons; in records, its neurons are ``offset ... offset + size - 1``."""

    name: str
    size: int
    index: int
    offset: int


@dataclass(frozen=True)
class Projection:
    """The connections from one group to a population."""

    name: str
    source: str
    target: str
    kind: str
    index: int
    shape: tuple[int, ...]
    sparse: SparseLayout | None = None

    @property
    def sources(self) -> NDArray[np.int32]:
        """Source unit of each synapse (sparse projections); a new array."""
        if self.sparse is None:
            raise AttributeError(f"projection {self.name} is {self.kind}, not sparse")
        return self.sparse.sources

    @property
    def targets(self) -> NDArray[np.int32]:
        """Target neuron of each synapse (sparse projections)."""
        if self.sparse is None:
            raise AttributeError(f"projection {self.name} is {self.kind}, not sparse")
        return self.sparse.targets

    def to_core(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values a synapse in the order of the core (last axes flattened)."""
        flat = values.reshape(-1)
        if self.sparse is None or self.sparse.order is None or flat.size == 1:
            return flat
        return np.ascontiguousarray(flat[self.sparse.order])

    def from_core(self, values: NDArray[Any]) -> NDArray[Any]:
        """The inverse of :meth:`to_core` along the last axis."""
        if self.sparse is None or self.sparse.order is None or values.shape[-1] == 1:
            return values
        out = np.empty_like(values)
        out[..., self.sparse.order] = values
        return out


@dataclass(frozen=True)
class Slot:
    """A parameter as the core knows it, and whose it is."""

    parameter: _core.Parameter
    owner: Population | Projection

    @property
    def owner_shape(self) -> tuple[int, ...]:
        """One value a neuron, or one a synapse."""
        return self.owner.shape if isinstance(self.owner, Projection) else (self.owner.size,)


def neuron_slot(population: Population, name: str) -> Slot:
    """Of a neuron parameter."""
    kind = _core.ParameterKind.neuron
    return Slot(_core.Parameter(kind, population.index, _core.NeuronParameter[name]), population)


def synapse_slot(projection: Projection, name: str) -> Slot:
    """Of a projection's ``"weight"`` or ``"delay"``."""
    return Slot(core_parameter(name, projection.index), projection)


def core_parameter(kind: str, index: int) -> _core.Parameter:
    """One that is no neuron's."""
    nobody = _core.NeuronParameter.tau_mem
    return _core.Parameter(_core.ParameterKind[kind], index, nobody)
