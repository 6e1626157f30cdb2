"""The part of a network that only listens: readouts and the projections to them.

The core has them as a network of their own, whose inputs are the groups that are listened to: no
simulator knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._numbers import MOST_UNITS, count
from snnfp._structure import add_population_core, connect_core
from snnfp.groups import Input, Population, Projection, Readout, Slot, neuron_slot
from snnfp.neurons import LI, READOUT_PARAMETERS

__all__ = ["Listeners", "Listening"]

_NEVER = {"threshold": 1.0, "v_reset": 0.0, "t_refractory": 0.0}


class Listeners:
    """Readouts in the core.

    Attributes:
        core: their network.
        heard: its inputs in order, by the names of the groups that they stand for.
    """

    def __init__(self, core: _core._Network[Any], dtype: np.dtype[Any]) -> None:
        self.core = core
        self.heard: dict[str, int] = {}
        self._dtype = dtype

    def add(self, readout: Readout, values: dict[str, NDArray[Any]]) -> None:
        """Adds a readout with its parameters."""
        # What no readout has and every population of the core must.
        never = {name: np.full((), value, self._dtype) for name, value in _NEVER.items()}
        group = Population(readout.name, readout.size, readout.index, readout.offset)
        add_population_core(self.core, group, {**never, **values})

    def connect(
        self,
        projection: Projection,
        source: Input | Population,
        target: Readout,
        weight: NDArray[Any],
        delay: NDArray[Any],
    ) -> None:
        """Adds a projection from a group of the network."""
        # On copies: a projection that is refused leaves no group behind that nobody listens to.
        core, heard = self.core.__copy__(), dict(self.heard)
        if source.name not in heard:
            heard[source.name] = core.add_input(source.name, source.size)
        sender = Input(source.name, source.size, heard[source.name])
        connect_core(core, projection, sender, target, weight, delay)
        self.core, self.heard = core, heard

    def fill(
        self,
        groups: Mapping[str, Input | Population],
        readouts: Mapping[str, Readout],
        projections: Mapping[str, Projection],
        legal: Callable[[str], NDArray[Any]],
    ) -> None:
        """Adds everything to an empty core, with the values that ``legal`` gives."""
        for p in readouts.values():
            self.add(p, {key: legal(f"{p.name}.{key}") for key in READOUT_PARAMETERS})
        for q in projections.values():
            weight, delay = (legal(f"{q.name}.{key}") for key in ("weight", "delay"))
            self.connect(q, groups[q.source], readouts[q.target], weight, delay)

    def copy(self) -> Listeners:
        """With the values of now; nothing that is set or added later changes it."""
        other = Listeners(self.core.__copy__(), self._dtype)
        other.heard = dict(self.heard)
        return other

    def senders(
        self, inputs: Mapping[str, Input], populations: Mapping[str, Population]
    ) -> list[tuple[bool, int]]:
        """The groups that are listened to, as the core names them."""
        return [
            (name in inputs, inputs[name].index if name in inputs else populations[name].index)
            for name in self.heard
        ]


class Listening:
    """The part of :class:`snnfp.Network` that is about readouts."""

    readouts: dict[str, Readout]
    readout_projections: dict[str, Projection]

    _listeners: Listeners
    _slots: dict[str, Slot]
    _own: Callable[[Any], Input | Population]
    _check_new: Callable[[str], None]
    _initial: Callable[[str, Any, Slot], NDArray[Any]]
    _keep: Callable[[str, Slot, Any, NDArray[Any]], None]

    def readout(self, size: int, neuron: LI, *, name: str) -> Readout:
        """Adds ``size`` neurons without threshold that only listen.

        They send no spikes, so that what is read off them (:meth:`Record.readout`) is a function of
        the spikes of a record.

        Args:
            size: number of neurons.
            neuron: their model.
            name: of the readout.

        Raises:
            ValueError: a value that a parameter cannot have, a wrong shape.
        """
        self._check_new(name)
        size = count(size, f"size of readout {name}", most=MOST_UNITS)
        if not isinstance(neuron, LI):
            raise TypeError(
                f"the neuron of readout {name} is {neuron!r}, expected snnfp.LI(...), which has "
                "no threshold"
            )
        given = neuron.values()
        offset = sum(p.size for p in self.readouts.values())
        group = Readout(name, size, len(self.readouts), offset)
        slots = {key: neuron_slot(group, key, given[key]) for key in given}
        values = {k: self._initial(f"{name}.{k}", v, slots[k]) for k, v in given.items()}
        self._listeners.add(group, values)
        self.readouts[name] = group
        for key, value in values.items():
            self._keep(f"{name}.{key}", slots[key], given[key], value)
        return group

    def _own_target(self, group: Any) -> Input | Population | Readout:
        name = getattr(group, "name", group)
        if not isinstance(name, str) or name not in self.readouts:
            return self._own(group)
        if group not in (name, self.readouts[name]):
            raise ValueError(f"{name} belongs to another network")
        return self.readouts[name]

    def _refuse_readout(self, group: Any) -> None:
        name = getattr(group, "name", group)
        if isinstance(group, Readout) or (isinstance(name, str) and name in self.readouts):
            raise TypeError(
                f"the source of a projection is readout {name}, which sends no spikes, expected an "
                "input or a population"
            )

    def _listens(self, name: str) -> bool:
        """Whether a parameter is a readout's, or of a projection to one."""
        owner = self._slots[name].owner if name in self._slots else None
        if isinstance(owner, Projection):
            return owner.target in self.readouts
        return isinstance(owner, Readout)
