"""A network: what is connected to what, and its parameters as named arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from snnfp import _core
from snnfp._arrays import freeze, real_array
from snnfp.errors import SnnfpError
from snnfp.init import Initialiser
from snnfp.neurons import LIF, NEURON_PARAMETERS
from snnfp.projections import Connectivity, Dense, OneToOne, Sparse, SparseLayout

__all__ = ["Input", "Network", "Parameters", "Population", "Projection", "Selection"]

Selection = str | list[str] | tuple[str, ...]


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
class _Slot:
    """Where a parameter lives in the core: (kind, index, neuron parameter)."""

    code: tuple[int, int, int]
    owner: Population | Projection


_NEURON, _WEIGHT, _DELAY, _INPUT_TIMES = range(4)


class Parameters(MutableMapping[str, NDArray[Any]]):
    """The parameters of a network by name; arrays are read-only and replaced as a whole.

    ``parameters["hidden.tau_mem"] = 3.0`` checks the value and replaces the array. A record keeps
    the arrays it was simulated with, so its derivatives never change afterwards.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def __getitem__(self, name: str) -> NDArray[Any]:
        value = self._network._values[self._network._known(name)]
        if value is None:
            raise SnnfpError(
                f"parameter {name} has no value yet: call network.initialise(seed=...) first"
            )
        return value

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self._network._set(self._network._known(name), value)

    def __delitem__(self, name: str) -> None:
        raise TypeError(
            f"parameter {name} belongs to the network's structure: it can be replaced only"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._network._values)

    def __len__(self) -> int:
        return len(self._network._values)

    def __repr__(self) -> str:
        rows = (
            f"  {name}: {'not initialised' if v is None else f'{v.dtype}{list(v.shape)}'}"
            for name, v in self._network._values.items()
        )
        return "Parameters(\n" + "\n".join(rows) + "\n)"


class Network:
    """A directed graph of input groups, populations and projections.

    Recurrent projections and self-loops are ordinary. Parameters have names like
    ``"input_to_hidden.weight"`` and ``"hidden.tau_mem"``.

    Args:
        dtype: ``np.float64`` or ``np.float32``, of everything the network computes.
    """

    def __init__(self, dtype: DTypeLike = np.float64) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
            raise TypeError(f"dtype is {self.dtype}, expected float64 or float32")
        double = self.dtype == np.dtype(np.float64)
        self._core = _core.NetworkFloat64() if double else _core.NetworkFloat32()
        self.inputs: dict[str, Input] = {}
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}
        self._values: dict[str, NDArray[Any] | None] = {}
        self._slots: dict[str, _Slot] = {}
        self._drawn: dict[str, Initialiser] = {}
        self._warned: set[str] = set()
        self._selected: dict[tuple[str, ...], tuple[str, ...]] = {}

    # -- structure -------------------------------------------------------------------------------

    def input(self, size: int, *, name: str = "input") -> Input:
        """Adds a group of ``size`` input channels."""
        self._check_new(name)
        size = _count(size, f"size of input {name}")
        group = Input(name, size, self._core.add_input(name, size))
        self.inputs[name] = group
        return group

    def population(self, size: int, neuron: LIF, *, name: str) -> Population:
        """Adds ``size`` neurons.

        Raises:
            ValueError: a time constant <= 0, a threshold not above v_reset, a wrong shape.
            TypeError: values that are not real numbers.
        """
        self._check_new(name)
        size = _count(size, f"size of population {name}")
        if not isinstance(neuron, LIF):
            raise TypeError(
                f"the neuron of population {name} is {neuron!r}, expected snnfp.LIF(...)"
            )
        values = {
            key: self._shaped(value, f"{name}.{key}", ((), (size,)))
            for key, value in neuron.values().items()
        }
        offset = sum(p.size for p in self.populations.values())
        index = self._core.add_population(name, size, [v.reshape(-1) for v in values.values()])
        group = Population(name, size, index, offset)
        self.populations[name] = group
        for k, (key, value) in enumerate(values.items()):
            self._values[f"{name}.{key}"] = value
            self._slots[f"{name}.{key}"] = _Slot((_NEURON, index, k), group)
        return group

    def connect(
        self,
        source: Input | Population,
        target: Population,
        connectivity: Connectivity,
        *,
        name: str | None = None,
    ) -> Projection:
        """Connects a group to a population (which may be the same one).

        Args:
            source: where spikes come from.
            target: the population they reach.
            connectivity: :class:`Dense`, :class:`Sparse` or :class:`OneToOne`.
            name: of the projection; ``"<source>_to_<target>"`` if not given.
        """
        source = self._own(source)
        target_group = self._own(target)
        if not isinstance(connectivity, (Dense, OneToOne, Sparse)):
            raise TypeError(
                f"the connectivity from {source.name} to {target_group.name} is {connectivity!r}, "
                "expected snnfp.Dense(...), Sparse(...) or OneToOne(...)"
            )
        if isinstance(target_group, Input):
            raise TypeError(
                f"the target of a projection is input {target_group.name}, expected a population"
            )
        name = name or f"{source.name}_to_{target_group.name}"
        self._check_new(name)
        layout: SparseLayout | None = None
        if isinstance(connectivity, Dense):
            shape: tuple[int, ...] = (source.size, target_group.size)
        elif isinstance(connectivity, Sparse):
            layout = SparseLayout.of(connectivity, name, source.size, target_group.size)
            shape = (layout.targets.size,)
        else:
            shape = (source.size,)
        index = len(self.projections)
        projection = Projection(
            name, source.name, target_group.name, connectivity.kind, index, shape, layout
        )
        weight = self._initial(f"{name}.weight", connectivity.weight, (shape,))
        delay = self._initial(f"{name}.delay", connectivity.delay, ((), shape))
        self._connect_core(projection, source, target_group, weight, delay)
        self.projections[name] = projection
        for key, code, initial, value in (
            ("weight", _WEIGHT, connectivity.weight, weight),
            ("delay", _DELAY, connectivity.delay, delay),
        ):
            full = f"{name}.{key}"
            self._slots[full] = _Slot((code, index, 0), projection)
            if isinstance(initial, Initialiser):
                self._drawn[full] = initial
                self._values[full] = None
            else:
                self._values[full] = value
        return projection

    def _connect_core(
        self,
        projection: Projection,
        source: Input | Population,
        target: Population,
        weight: NDArray[Any],
        delay: NDArray[Any],
    ) -> None:
        ends = (isinstance(source, Input), source.index, target.index)
        w, d = projection.to_core(weight), projection.to_core(delay)
        if projection.kind == "dense":
            self._core.connect_dense(*ends, w, d, projection.name)
        elif projection.kind == "one_to_one":
            self._core.connect_one_to_one(*ends, w, d, projection.name)
        else:
            layout = projection.sparse
            assert layout is not None
            targets = layout.targets if layout.order is None else layout.targets[layout.order]
            self._core.connect_sparse(
                *ends, layout.row_offsets, np.ascontiguousarray(targets), w, d, projection.name
            )

    # -- parameters ------------------------------------------------------------------------------

    @property
    def parameters(self) -> Parameters:
        """The parameters by name."""
        return Parameters(self)

    def initialise(self, seed: int | np.random.Generator = 0) -> Network:
        """Draws every parameter that was given as an initialiser, in the order of connection.

        Args:
            seed: an integer or a generator.

        Returns:
            The network itself.
        """
        rng = np.random.default_rng(seed)
        for name, initialiser in self._drawn.items():
            projection = self._slots[name].owner
            assert isinstance(projection, Projection)
            self._set(name, initialiser.draw(rng, projection.shape))
        return self

    def select(self, wrt: Selection) -> tuple[str, ...]:
        """Names that match one or several patterns (``"*.weight"``), in the network's order.

        ``"<input>.times"`` stands for the input spike times in derivatives; ``"*"`` takes all.

        Raises:
            KeyError: a pattern that matches nothing.
        """
        patterns = (wrt,) if isinstance(wrt, str) else tuple(wrt)
        if patterns not in self._selected:
            names = (*self._values, *(f"{g}.times" for g in self.inputs))
            for pattern in patterns:
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise KeyError(
                        f"{pattern!r} matches no parameter, expected one of: {', '.join(names)}"
                    )
            self._selected[patterns] = tuple(
                n for n in names if any(fnmatchcase(n, p) for p in patterns)
            )
        return self._selected[patterns]

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

    def save(self, path: str) -> None:
        """Writes all parameters to a safetensors file, atomically."""
        from snnfp.checkpoint import save_arrays

        metadata = {"structure": json.dumps(self.structure()), "fingerprint": self.fingerprint()}
        save_arrays(path, dict(self.parameters), metadata)

    def load(self, path: str) -> None:
        """Reads parameters that :meth:`save` wrote.

        Raises:
            FormatError: the file is damaged, or of a network with another structure.
        """
        from snnfp.checkpoint import load_arrays
        from snnfp.errors import FormatError

        arrays, metadata = load_arrays(path)
        if metadata.get("fingerprint") != self.fingerprint():
            raise FormatError(
                f"{path} holds the parameters of another network: {self._difference(metadata)}"
            )
        self.take_file(arrays, path)

    def take_file(self, arrays: dict[str, NDArray[Any]], path: str) -> None:
        """Replaces all parameters by the arrays of a file, or none of them.

        Raises:
            FormatError: a parameter is missing, unknown or not a legal value.
        """
        from snnfp.errors import FormatError

        apart = sorted(set(arrays) ^ set(self._values))
        if apart:
            what = "lacks" if apart[0] in self._values else "holds an unknown"
            raise FormatError(f"{path}: the file {what} parameter {apart[0]}")
        try:
            self._replace(arrays)
        except (TypeError, ValueError) as error:
            raise FormatError(f"{path}: {error}") from error

    def structure(self) -> dict[str, Any]:
        """Everything but the values: what a model file must agree with."""
        return {
            "dtype": self.dtype.name,
            "inputs": {g.name: g.size for g in self.inputs.values()},
            "populations": {p.name: p.size for p in self.populations.values()},
            "projections": {
                p.name: {
                    "source": p.source,
                    "target": p.target,
                    "kind": p.kind,
                    "shape": list(p.shape),
                    "synapses": _digest(p.sources, p.targets) if p.sparse else None,
                }
                for p in self.projections.values()
            },
        }

    def fingerprint(self) -> str:
        """A hash of :meth:`structure`."""
        return hashlib.sha256(json.dumps(self.structure()).encode()).hexdigest()

    def __repr__(self) -> str:
        groups: list[Input | Population] = [*self.inputs.values(), *self.populations.values()]
        parts = [f"{g.name}[{g.size}]" for g in groups]
        parts += [f"{p.name} ({p.kind})" for p in self.projections.values()]
        return f"Network({self.dtype}: {', '.join(parts)})"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Read-only flags do not survive pickling and copying.
        self._values = {k: v if v is None else freeze(v) for k, v in self._values.items()}
        rebuilt = Network(self.dtype)
        core = self._core = rebuilt._core
        for group in self.inputs.values():
            core.add_input(group.name, group.size)
        for p in self.populations.values():
            values = [self._values[f"{p.name}.{key}"] for key in NEURON_PARAMETERS]
            core.add_population(p.name, p.size, [v.reshape(-1) for v in values if v is not None])
        for q in self.projections.values():
            source = self.inputs.get(q.source) or self.populations[q.source]
            weight, delay = self._values[f"{q.name}.weight"], self._values[f"{q.name}.delay"]
            self._connect_core(
                q,
                source,
                self.populations[q.target],
                np.zeros(q.shape, self.dtype) if weight is None else weight,
                np.zeros(q.shape, self.dtype) if delay is None else delay,
            )

    # -- inside ----------------------------------------------------------------------------------

    def _check_new(self, name: str) -> None:
        if not isinstance(name, str) or not name or any(c in name for c in ".*?[]"):
            raise ValueError(
                f"the name {name!r} is empty or has one of . * ? [ ], expected a plain name"
            )
        if name in self.inputs or name in self.populations or name in self.projections:
            raise ValueError(f"the name {name!r} is taken, expected a new one (name=...)")
        self._selected.clear()

    def _own(self, group: Input | Population) -> Input | Population:
        if isinstance(group, (Input, Population)):
            known = {**self.inputs, **self.populations}.get(group.name)
            if known == group:
                return known
            raise ValueError(f"{group.name} belongs to another network")
        raise TypeError(f"{group!r} is not an input or a population of this network")

    def _known(self, name: str) -> str:
        if name not in self._values:
            raise KeyError(
                f"{name!r} is not a parameter, expected one of: {', '.join(self._values)}"
            )
        return name

    def _stored(self, wrt: Selection) -> list[str]:
        return [n for n in self.select(wrt) if n in self._values]

    def _shaped(self, value: Any, name: str, shapes: tuple[tuple[int, ...], ...]) -> NDArray[Any]:
        array = real_array(value, name, self.dtype)
        if array.shape not in shapes:
            if array.ndim == 0:
                array = np.full(shapes[-1], array, dtype=self.dtype)
            else:
                expected = " or ".join(str(s) for s in shapes)
                raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
        return freeze(array)

    def _initial(self, name: str, value: Any, shapes: tuple[tuple[int, ...], ...]) -> NDArray[Any]:
        if isinstance(value, Initialiser):
            return np.zeros(shapes[-1], dtype=self.dtype)
        return self._shaped(value, name, shapes)

    def _replace(self, values: dict[str, NDArray[Any]]) -> None:
        """Sets several parameters, all or none."""
        before = {n: self._values[n] for n in values}
        try:
            self._set_all(values)
        except BaseException:  # an interrupt too
            self._set_all({n: v for n, v in before.items() if v is not None})
            self._values.update(before)
            raise

    def _set_all(self, values: dict[str, NDArray[Any]]) -> None:
        # On the way from old to new values no threshold may be below a v_reset.
        lowest = np.full(1, -np.finfo(self.dtype).max, dtype=self.dtype)
        for p in self.populations.values():
            if f"{p.name}.v_reset" in values:
                _, index, parameter = self._slots[f"{p.name}.v_reset"].code
                self._core.set_parameter(index, parameter, lowest)
        for name, value in values.items():
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:
        slot = self._slots[name]
        kind, index, parameter = slot.code
        if isinstance(slot.owner, Population):
            array = self._shaped(value, name, ((), (slot.owner.size,)))
            self._core.set_parameter(index, parameter, array.reshape(-1))
        elif kind == _WEIGHT:
            array = self._shaped(value, name, (slot.owner.shape,))
            self._core.set_weight(index, slot.owner.to_core(array))
        else:
            array = self._shaped(value, name, ((), slot.owner.shape))
            self._core.set_delay(index, slot.owner.to_core(array))
        self._values[name] = array

    def _difference(self, metadata: dict[str, str]) -> str:
        try:
            other = json.loads(metadata["structure"])
        except (KeyError, ValueError):
            return "the file does not say which"
        for part, mine in self.structure().items():
            if other.get(part) != mine:
                return f"{part} there: {other.get(part)}, here: {mine}"
        return "the file does not say where"


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is {value!r}, expected an integer")
    if not 1 <= value < 2**31:
        raise ValueError(f"{name} is {value}, expected at least 1 and below 2**31")
    return int(value)


def _digest(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
