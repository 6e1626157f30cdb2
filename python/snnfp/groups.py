"""What a network is made of: inputs, populations, projections, and where their parameters live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp.init import PerSource, PerTarget
from snnfp.projections import SparseLayout

__all__ = [
    "Input",
    "Population",
    "Projection",
    "Readout",
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
    max_spikes: int | None = None


@dataclass(frozen=True)
class Readout:
    """A population that only listens: no threshold, no spikes; see ``Network.readout``."""

    name: str
    size: int
    index: int
    offset: int


@dataclass(frozen=True)
class Projection:
    """The connections from one group to a population or a readout.

    ``shape`` is that of one value a synapse, ``ends`` the sizes of source and target.
    """

    name: str
    source: str
    target: str
    kind: str
    index: int
    shape: tuple[int, ...]
    ends: tuple[int, int]
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

    @property
    def receivers(self) -> NDArray[np.int64]:
        """How many synapses each source unit has, ``[n_source]``."""
        n_source, n_target = self.ends
        if self.sparse is not None:
            return np.bincount(self.sources, minlength=n_source)
        return np.full(n_source, n_target if self.kind == "dense" else 1)

    @property
    def delay_shapes(self) -> dict[tuple[int, ...], _core.DelayPer]:
        """The shapes that its delays may have, and what has one value each; a synapse last.

        They broadcast to ``[n_source, n_target]``, as NumPy does it. A flat array of a dense
        projection is one a source unit or one a target neuron, whichever has its length; not if
        both have, unless there is one synapse. One of another projection is one a synapse.
        """
        per = _core.DelayPer
        n_source, n_target = self.ends
        shapes: dict[tuple[int, ...], _core.DelayPer] = {(): per.projection}
        if self.kind == "dense" and (n_source != n_target or n_source == 1):
            shapes |= {(n_source,): per.source, (n_target,): per.target}
        shapes |= {(n_source, 1): per.source, (1, n_target): per.target}
        shapes.pop(self.shape, None)
        return {**shapes, self.shape: per.synapse}

    def delays_are(self, shape: tuple[int, ...]) -> str | None:
        """What delays of this shape belong to, in words; None: the shape is not legal."""
        per = self.delay_shapes.get(shape)
        return None if per is None else _DELAYS_ARE[per]

    def order(self, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
        """Where the core keeps the elements of a parameter of this shape; None: as they are."""
        one_each = self.sparse is not None and shape == self.shape
        return self.sparse.order if self.sparse is not None and one_each else None

    def to_core(self, values: NDArray[Any]) -> NDArray[Any]:
        """The elements of a parameter in the order of the core."""
        order = self.order(values.shape)
        flat = values.reshape(-1)
        return flat if order is None else np.ascontiguousarray(flat[order])

    def from_core(self, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The inverse of :meth:`to_core` along the last axis, for a parameter of this shape."""
        order = self.order(shape)
        if order is None:
            return values
        out = np.empty_like(values)
        out[..., order] = values
        return out


_DELAYS_ARE = {
    _core.DelayPer.projection: "one for the projection",
    _core.DelayPer.source: "one a source unit",
    _core.DelayPer.target: "one a target neuron",
    _core.DelayPer.synapse: "one a synapse",
}


@dataclass(frozen=True)
class Slot:
    """A parameter as the core knows it, and whose it is.

    ``drawn`` is the shape of what an initialiser draws for it: one value a neuron or a synapse, if
    the initialiser does not say otherwise.
    """

    parameter: _core.Parameter
    owner: Population | Readout | Projection
    drawn: tuple[int, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes that it may have; the one with most values last."""
        if not isinstance(self.owner, Projection):
            return ((), (self.owner.size,))
        if self.parameter.kind is _core.ParameterKind.weight:
            return (self.owner.shape,)
        return tuple(self.owner.delay_shapes)


def neuron_slot(population: Population | Readout, name: str, given: Any = None) -> Slot:
    """Of a neuron parameter, which is given like this.

    Raises:
        TypeError: an initialiser of the ends of synapses.
    """
    if isinstance(given, (PerSource, PerTarget)):
        raise TypeError(
            f"{population.name}.{name} is {given!r}, expected an initialiser of one value a "
            "neuron: only delays have one a source unit or a target neuron"
        )
    parameter = _core.Parameter(
        _core.ParameterKind.neuron, population.index, _core.NeuronParameter[name]
    )
    return Slot(parameter, population, (population.size,))


def synapse_slot(projection: Projection, name: str, given: Any) -> Slot:
    """Of a projection's ``"weight"`` or ``"delay"``, which is given like this.

    Raises:
        TypeError: an initialiser that draws weights for units instead of synapses.
    """
    drawn = projection.shape
    if isinstance(given, (PerSource, PerTarget)):
        if name != "delay":
            raise TypeError(
                f"{projection.name}.{name} is {given!r}, expected an initialiser of one value a "
                "synapse: only delays have one a source unit or a target neuron"
            )
        n_source, n_target = projection.ends
        drawn = (n_source, 1) if isinstance(given, PerSource) else (1, n_target)
    return Slot(core_parameter(name, projection.index), projection, drawn)


def core_parameter(kind: str, index: int) -> _core.Parameter:
    """One that is no neuron's."""
    nobody = _core.NeuronParameter.tau_mem
    return _core.Parameter(_core.ParameterKind[kind], index, nobody)
