"""What a network is made of: inputs, populations, projections, and where their parameters live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._arrays import freeze, spot
from snnfp._layout import Geometry, Layout, SparseLayout
from snnfp.init import PerSource, PerTarget

if TYPE_CHECKING:
    from snnfp.network import Network

__all__ = [
    "Input",
    "Population",
    "Projection",
    "Readout",
    "Slot",
    "core_parameter",
    "neuron_slot",
    "population_of",
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

    ``shape`` is that of one value a synapse, ``weight_shape`` that of the weights, ``ends`` the
    sizes of source and target. Where synapses share weights, ``weight_of`` has the flat weight of
    each synapse, in the order of ``sources`` and ``targets``; where a dense projection lacks some,
    ``mask`` says which are there. ``planes`` says how those of a convolution or pooling lie.
    """

    name: str
    source: str
    target: str
    kind: str
    index: int
    shape: tuple[int, ...]
    ends: tuple[int, int]
    weight_shape: tuple[int, ...]
    sparse: SparseLayout | None = None
    weight_of: NDArray[np.int32] | None = field(default=None, repr=False)
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)
    planes: Geometry | None = None

    @classmethod
    def between(
        cls,
        source: Input | Population,
        target: Population | Readout,
        kind: str,
        name: str,
        index: int,
        layout: Layout,
    ) -> Projection:
        """With these synapses."""
        ends = (source.size, target.size)
        return cls(
            name,
            source.name,
            target.name,
            kind,
            index,
            layout.shape,
            ends,
            layout.weight_shape,
            layout.sparse,
            layout.weight_of,
            layout.mask,
            layout.planes,
        )

    @property
    def sources(self) -> NDArray[np.int32]:
        """Source unit of each synapse (all but dense and one to one); a new array."""
        if self.sparse is None:
            raise AttributeError(f"projection {self.name} is {self.kind}, not sparse")
        return self.sparse.sources

    @property
    def targets(self) -> NDArray[np.int32]:
        """Target neuron of each synapse (all but dense and one to one)."""
        if self.sparse is None:
            raise AttributeError(f"projection {self.name} is {self.kind}, not sparse")
        return self.sparse.targets

    @property
    def receivers(self) -> NDArray[np.int64]:
        """How many synapses each source unit has, ``[n_source]``."""
        n_source, n_target = self.ends
        if self.sparse is not None:
            return np.bincount(self.sources, minlength=n_source)
        if self.mask is not None:
            there: NDArray[np.int64] = np.count_nonzero(self.mask, axis=1)
            return there
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
        if self.weight_of is not None and self.weight_shape:
            shapes[self.weight_shape] = per.weight
        shapes.pop(self.shape, None)
        return {**shapes, self.shape: per.synapse}

    def there(self, values: NDArray[Any], name: str, fill: bool) -> NDArray[Any]:
        """Weights that are 0 where the mask has no synapse.

        Args:
            values: of the weights' shape.
            name: what errors call them.
            fill: make them 0; else another value is an error.
        """
        if self.mask is None:
            return values
        if fill:
            return freeze(np.where(self.mask, values, values.dtype.type(0)))
        beside = np.greater(values != 0, self.mask)
        if beside.any():
            at = np.unravel_index(int(np.argmax(beside)), self.shape)
            raise ValueError(
                f"{spot(name, at)} is {values[at]}, expected 0: the mask has no synapse there"
            )
        return values

    def by_weight(self, each: NDArray[Any]) -> NDArray[Any]:
        """The means over the synapses that share a weight, of one value a synapse."""
        if self.weight_of is None:
            return each
        n = int(np.prod(self.weight_shape))
        sums = np.bincount(self.weight_of, each, n)
        sharing = np.bincount(self.weight_of, minlength=n)
        return (sums / np.maximum(sharing, 1)).reshape(self.weight_shape)

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
    _core.DelayPer.weight: "one a weight",
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
            return (self.owner.weight_shape,)
        return tuple(self.owner.delay_shapes)

    def there(self, values: NDArray[Any], name: str, fill: bool) -> NDArray[Any]:
        """The values, and weights 0 where there is no synapse: see :meth:`Projection.there`."""
        if isinstance(self.owner, Projection) and self.parameter.kind is _core.ParameterKind.weight:
            return self.owner.there(values, name, fill)
        return values


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
    # Of delays that go with weights one is drawn for each.
    shared = projection.weight_of is not None
    drawn = projection.weight_shape if name == "weight" or shared else projection.shape
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


def population_of(net: Network, key: str | Population) -> Population:
    """A population by handle or name."""
    name = key.name if isinstance(key, (Population, Readout)) else key
    if isinstance(name, str) and name in net.readouts:
        raise KeyError(
            f"{name!r} is a readout, which has no spikes: record.readout({name!r}, ...) says what "
            "is read off it"
        )
    if name not in net.populations:
        raise KeyError(
            f"{name!r} is not a population of the network, expected one of: "
            f"{', '.join(net.populations)}"
        )
    return net.populations[name]
