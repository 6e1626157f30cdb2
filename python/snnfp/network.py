"""A network: what is connected to what, and its parameters as named arrays."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from snnfp import _core
from snnfp._arrays import freeze, real_array
from snnfp._listening import Listeners, Listening
from snnfp._memory import need_memory
from snnfp._model_files import load_model, save_model
from snnfp._numbers import MOST_UNITS, count
from snnfp._structure import (
    add_population_core,
    connect_core,
    fill_core,
    placeholder,
    structure_of_network,
)
from snnfp.groups import (
    Input,
    Population,
    Projection,
    Readout,
    Slot,
    neuron_slot,
    population_of,
    synapse_slot,
)
from snnfp.init import Initialiser
from snnfp.neurons import LIF
from snnfp.parameters import Parameters, in_users_order, is_initialiser, need_values, shaped
from snnfp.projections import Connectivity

__all__ = [
    "Input",
    "Network",
    "Parameters",
    "Population",
    "Projection",
    "Readout",
    "Selection",
    "population_of",
]

Selection = str | list[str] | tuple[str, ...]

_WEIGHT = _core.ParameterKind.weight
_NEURON_BYTES = 130  # at least, for each neuron that is simulated, in double precision


class Network(Listening):
    """A directed graph of input groups, populations and projections, and readouts that listen.

    Recurrent projections and self-loops are ordinary. Parameters have names like
    ``"input_to_hidden.weight"`` and ``"hidden.tau_mem"``.

    Args:
        dtype: ``np.float64`` or ``np.float32``, of everything the network computes. Float32 rounds
            what it is given, spike times included, to some seven digits; a parameter that would
            become infinite or 0 in it is an error.
    """

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        try:
            self.dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"dtype is {dtype!r}, expected float64 or float32") from None
        if self.dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
            raise TypeError(f"dtype is {self.dtype}, expected float64 or float32")
        double = self.dtype == np.dtype(np.float64)
        make = _core.NetworkFloat64 if double else _core.NetworkFloat32
        self._core: _core._Network[Any] = make()
        self._listeners = Listeners(make(), self.dtype)
        self._lock = threading.RLock()  # values are those of the core for whoever has it
        self.inputs: dict[str, Input] = {}
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}
        self.readouts: dict[str, Readout] = {}
        self.readout_projections: dict[str, Projection] = {}
        self._values: dict[str, NDArray[Any] | None] = {}
        self._slots: dict[str, Slot] = {}
        self._drawn: dict[str, Initialiser] = {}
        self._warned: set[str] = set()
        self._selected: dict[tuple[str, ...], tuple[str, ...]] = {}

    # -- structure -------------------------------------------------------------------------------

    def input(self, size: int, *, name: str = "input") -> Input:
        """Adds a group of ``size`` input channels."""
        self._check_new(name)
        size = count(size, f"size of input {name}", most=MOST_UNITS)
        group = Input(name, size, self._core.add_input(name, size))
        self.inputs[name] = group
        return group

    def population(
        self, size: int, neuron: LIF, *, name: str, max_spikes: int | None = None
    ) -> Population:
        """Adds ``size`` neurons.

        Args:
            size: number of neurons.
            neuron: their model; parameters given as initialisers have one value a neuron, which
                :meth:`initialise` draws.
            name: of the population.
            max_spikes: in each sample a neuron fires at most this many spikes, the first ones: with
                the last of them it is held at ``v_reset`` for good. Gradients are exact. None: as
                many as it likes.

        Raises:
            ValueError: a time constant <= 0, a threshold not above v_reset, a wrong shape.
            TypeError: values that are not real numbers.
            MemoryError: so many neurons cannot be simulated here.
        """
        self._check_new(name)
        size = count(size, f"size of population {name}", most=MOST_UNITS)
        if not isinstance(neuron, LIF):
            raise TypeError(
                f"the neuron of population {name} is {neuron!r}, expected snnfp.LIF(...)"
            )
        need_memory(
            size * _NEURON_BYTES * self.dtype.itemsize // 8,
            f"the {size} neurons of population {name}",
        )
        given = neuron.values()
        offset = sum(p.size for p in self.populations.values())
        if max_spikes is not None:
            max_spikes = count(max_spikes, f"max_spikes of population {name}")
        group = Population(name, size, len(self.populations), offset, max_spikes)
        slots = {key: neuron_slot(group, key, given[key]) for key in given}
        values = {k: self._initial(f"{name}.{k}", v, slots[k]) for k, v in given.items()}
        add_population_core(self._core, group, values)
        self.populations[name] = group
        for key, value in values.items():
            self._keep(f"{name}.{key}", slots[key], given[key], value)
        return group

    def connect(
        self,
        source: str | Input | Population,
        target: str | Population | Readout,
        connectivity: Connectivity,
        *,
        name: str | None = None,
    ) -> Projection:
        """Connects a group to a population (which may be the same one) or to a readout.

        Args:
            source: where spikes come from: an input or a population, or its name.
            target: the population or readout they reach, or its name.
            connectivity: :class:`Dense`, :class:`Sparse`, :class:`OneToOne`, :class:`ByRule`,
                :class:`Conv2D` or :class:`AvgPool2D`.
            name: of the projection; ``"<source>_to_<target>"`` if not given.

        Raises:
            KeyError: a name that no group has.
            ValueError: a group of another network, a wrong shape or size, a value out of range.
            MemoryError: more weights than there is room for.
        """
        source = self._own(source)
        target_group = self._own_target(target)
        if not isinstance(connectivity, Connectivity):
            raise TypeError(
                f"the connectivity from {source.name} to {target_group.name} is {connectivity!r}, "
                "expected snnfp.Dense(...), Sparse(...), OneToOne(...), ByRule(...), Conv2D(...) "
                "or AvgPool2D(...)"
            )
        if isinstance(target_group, Input):
            raise TypeError(
                f"the target of a projection is input {target_group.name}, expected a population"
            )
        name = name or f"{source.name}_to_{target_group.name}"
        self._check_new(name)
        listens = isinstance(target_group, Readout)
        projections = self.readout_projections if listens else self.projections
        layout = connectivity.layout(name, source.size, target_group.size)
        projection = Projection.between(
            source, target_group, connectivity.kind, name, len(projections), layout
        )
        given = {"weight": connectivity.weight, "delay": connectivity.delay}
        slots = {key: synapse_slot(projection, key, value) for key, value in given.items()}
        values = {k: self._initial(f"{name}.{k}", v, slots[k]) for k, v in given.items()}
        if isinstance(target_group, Readout):
            self._listeners.connect(projection, source, target_group, **values)
        else:
            connect_core(self._core, projection, source, target_group, **values)
        projections[name] = projection
        for key, value in values.items():
            self._keep(f"{name}.{key}", slots[key], given[key], value)
        return projection

    # -- parameters ------------------------------------------------------------------------------

    @property
    def parameters(self) -> Parameters:
        """The parameters by name."""
        return Parameters(self)

    def initialise(self, seed: int | np.random.Generator = 0) -> Network:
        """Draws every parameter that was given as an initialiser, all or none.

        One after the other, in the order of :attr:`parameters`: that in which populations and
        projections were added, and within one that of its parameters.

        Args:
            seed: an integer or a generator.

        Returns:
            The network itself.

        Raises:
            ValueError: a value drawn that its parameter cannot have; names the initialiser.
        """
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            expected = f"seed is {seed!r}, expected an integer >= 0 or a generator"
            raise type(error)(expected) from None
        last = ""

        def draws() -> Iterator[tuple[str, Any]]:
            nonlocal last
            for name, initialiser in self._drawn.items():
                last, shape = name, self._slots[name].drawn
                need_values(shape, name, np.dtype(np.float64))
                yield name, self._slots[name].there(initialiser.draw(rng, shape), name, fill=True)

        try:
            self._replace_each(self._drawn, draws())
        except ValueError as error:
            raise ValueError(f"{error}; drawn from {self._drawn[last]}") from None
        return self

    def select(self, wrt: Selection) -> tuple[str, ...]:
        """Names that match one or several patterns (``"*.weight"``), in the network's order.

        ``"<input>.times"`` stands for the input spike times in derivatives; ``"*"`` takes all.

        Raises:
            KeyError: a pattern that matches nothing.
        """
        patterns = (wrt,) if isinstance(wrt, str) or not isinstance(wrt, Iterable) else tuple(wrt)
        if patterns not in self._selected:
            names = (*self._values, *(f"{g}.times" for g in self.inputs))
            for pattern in patterns:
                if not isinstance(pattern, str):
                    raise TypeError(f"wrt is {wrt!r}, expected a name, a pattern or a list of them")
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise KeyError(
                        f"{pattern!r} matches no parameter, expected one of: {', '.join(names)}"
                    )
            self._selected[patterns] = tuple(
                n for n in names if any(fnmatchcase(n, p) for p in patterns)
            )
        return self._selected[patterns]

    def _shapes_of(self, name: str) -> tuple[tuple[int, ...], ...]:
        """The shapes that a parameter may have."""
        return self._slots[self._known(name)].shapes

    def flatten(self, wrt: Selection = "*.weight") -> NDArray[Any]:
        """The chosen parameters end to end in one array."""
        return np.concatenate([self.parameters[n].reshape(-1) for n in self._stored(wrt)])

    def unflatten(self, vector: ArrayLike, wrt: Selection = "*.weight") -> None:
        """Replaces the chosen parameters by the values of :meth:`flatten`'s array."""
        flat = real_array(vector, "vector", self.dtype)
        names = self._stored(wrt)
        sizes = [self.parameters[n].size for n in names]
        if flat.shape != (sum(sizes),):
            raise ValueError(f"vector has shape {flat.shape}, expected ({sum(sizes)},)")
        parts = zip(names, np.split(flat, np.cumsum(sizes)[:-1]), strict=True)
        self._replace({n: part.reshape(self.parameters[n].shape) for n, part in parts})

    def save(self, path: str | Path) -> None:
        """Writes all parameters to a safetensors file, atomically.

        Raises:
            OSError: the file cannot be written; names it, or its folder.
        """
        save_model(self, path)

    def load(self, path: str | Path) -> None:
        """Reads parameters that :meth:`save` wrote, or those of a training checkpoint.

        Raises:
            FormatError: the file is damaged, or of a network with another structure; the network
                stays as it was.
            FileNotFoundError: there is no such file.
        """
        load_model(self, path)

    def structure(self) -> dict[str, Any]:
        """Everything but the values: what a model file must agree with."""
        return structure_of_network(self)

    def fingerprint(self) -> str:
        """A hash of :meth:`structure`."""
        return hashlib.sha256(json.dumps(self.structure()).encode()).hexdigest()

    def __repr__(self) -> str:
        groups: list[Input | Population | Readout] = [*self.inputs.values()]
        groups += [*self.populations.values(), *self.readouts.values()]
        joined = (*self.projections.values(), *self.readout_projections.values())
        parts = [f"{g.name}[{g.size}]" for g in groups]
        parts += [f"{p.name} ({p.kind})" for p in joined]
        return f"Network({self.dtype}: {', '.join(parts)})"

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_core", "_listeners", "_lock")
        with self._lock:
            state = {k: v for k, v in self.__dict__.items() if k not in left_out}
            return state | {"_values": self._values.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Read-only flags do not survive pickling and copying.
        self._values = {k: v if v is None else freeze(v) for k, v in self._values.items()}
        empty = Network(self.dtype)
        self._core, self._listeners, self._lock = empty._core, empty._listeners, empty._lock
        fill_core(self._core, self.inputs, self.populations, self.projections, self._legal)
        groups: dict[str, Input | Population] = {**self.inputs, **self.populations}
        self._listeners.fill(groups, self.readouts, self.readout_projections, self._legal)

    # -- inside ----------------------------------------------------------------------------------

    def _check_new(self, name: str) -> None:
        if not isinstance(name, str) or not name or any(c in name for c in ".*?[]"):
            raise ValueError(
                f"the name {name!r} is empty or has one of . * ? [ ], expected a plain name"
            )
        kinds = (self.inputs, self.populations, self.projections)
        if any(name in taken for taken in (*kinds, self.readouts, self.readout_projections)):
            raise ValueError(f"the name {name!r} is taken, expected a new one (name=...)")
        self._selected = {}  # not cleared: records look names up in the one they know

    def _own(self, group: str | Input | Population) -> Input | Population:
        groups: dict[str, Input | Population] = {**self.inputs, **self.populations}
        self._refuse_readout(group)
        if isinstance(group, str):
            if group not in groups:
                raise KeyError(
                    f"{group!r} is not an input or a population of this network, expected one of: "
                    f"{', '.join(groups) or '(there is none yet)'}"
                )
            return groups[group]
        if isinstance(group, (Input, Population)):
            if groups.get(group.name) == group:
                return group
            raise ValueError(f"{group.name} belongs to another network")
        raise TypeError(
            f"{group!r} is not an input or a population of this network, nor the name of one"
        )

    def _known(self, name: str) -> str:
        if name not in self._values:
            raise KeyError(
                f"{name!r} is not a parameter, expected one of: {', '.join(self._values)}"
            )
        return name

    def _stored(self, wrt: Selection) -> list[str]:
        return [n for n in self.select(wrt) if n in self._values]

    def _initial(self, name: str, value: Any, slot: Slot) -> NDArray[Any]:
        """What the core has of a parameter until an initialiser has drawn it."""
        if is_initialiser(value, name):
            need_values(slot.drawn, name, self.dtype)
            return placeholder(name, slot.drawn, self.dtype)
        return slot.there(
            shaped(value, name, slot.shapes, self.dtype), name, fill=np.ndim(value) == 0
        )

    def _keep(self, name: str, slot: Slot, given: Any, value: NDArray[Any]) -> None:
        self._slots[name] = slot
        self._values[name] = None if isinstance(given, Initialiser) else value
        if isinstance(given, Initialiser):
            self._drawn[name] = given

    def _legal(self, name: str) -> NDArray[Any]:
        """The value of a parameter, or what the core may have where there is none yet."""
        value = self._values[name]
        if value is None:
            return placeholder(name, self._slots[name].drawn, self.dtype)
        return value

    def _replace(self, values: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Sets several parameters, all or none; ``fresh``: arrays that nobody will change."""
        self._replace_each(values, values.items(), fresh)

    def _replace_each(
        self, names: Iterable[str], values: Iterable[tuple[str, Any]], fresh: bool = False
    ) -> None:
        """Sets the named parameters, whose values come one by one; all or none."""
        with self._lock:
            before = {n: self._values[n] for n in names}
            legal = {n: self._legal(n) for n in names}
            try:
                self._set_each(before, values, fresh)
            except BaseException:
                self._set_each(before, legal.items(), True)
                self._values.update(before)
                raise

    def _set_each(
        self, names: Iterable[str], values: Iterable[tuple[str, Any]], fresh: bool
    ) -> None:
        # On the way from old to new values no threshold may be below a v_reset.
        lowest = np.full(1, -np.finfo(self.dtype).max, dtype=self.dtype)
        for name in names:
            if name.endswith(".v_reset"):
                p = self._slots[name].parameter
                self._core.set_parameter(p.index, p.neuron, lowest)
        for name, value in values:
            self._set(name, value, fresh)

    def _set(self, name: str, value: Any, fresh: bool = False) -> None:
        slot = self._slots[name]
        p = slot.parameter
        now = self._values[name]
        if fresh and now is not None and (value.dtype, value.shape) == (now.dtype, now.shape):
            array = freeze(value)
        else:
            array = shaped(value, name, self._shapes_of(name), self.dtype)
            array = slot.there(array, name, fill=np.ndim(value) == 0)
        with self._lock:
            try:
                core = self._listeners.core if self._listens(name) else self._core
                if not isinstance(slot.owner, Projection):
                    core.set_parameter(p.index, p.neuron, array.reshape(-1))
                elif p.kind is _WEIGHT:
                    core.set_weight(p.index, slot.owner.to_core(array))
                else:
                    per = slot.owner.delay_shapes[array.shape]
                    core.set_delay(p.index, slot.owner.to_core(array), per)
            except ValueError as error:
                raise in_users_order(error, name, array, slot.owner) from None
            self._values[name] = array
