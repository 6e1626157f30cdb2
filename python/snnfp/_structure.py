"""Populations and projections as the core has them, and as files name them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp.groups import Input, Population, Projection, Readout
from snnfp.neurons import NEURON_PARAMETERS
from snnfp.parameters import in_users_order

if TYPE_CHECKING:
    from snnfp.network import Network

__all__ = [
    "add_population_core",
    "connect_core",
    "fill_core",
    "placeholder",
    "structure_of_network",
]


def placeholder(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A value for a parameter that has none yet: legal, whatever the others are."""
    most = float(np.finfo(dtype).max)
    value = {
        "tau_mem": 1.0,
        "tau_syn": 1.0,
        "threshold": most,
        "v_reset": -most,
        "capacitance": 1.0,
    }.get(name.rpartition(".")[2], 0.0)
    return np.full(shape, value, dtype) if value else np.zeros(shape, dtype)


def add_population_core(
    core: _core._Network[Any], population: Population, values: Mapping[str, NDArray[Any]]
) -> int:
    """Adds a population with its parameters by name; returns its index in the core."""
    p = population
    given = {_core.NeuronParameter[key]: v.reshape(-1) for key, v in values.items()}
    try:
        return core.add_population(p.name, p.size, given, p.max_spikes)
    except ValueError as error:
        for key, value in values.items():
            error = in_users_order(error, f"{p.name}.{key}", value, None)
        raise error from None


def connect_core(
    core: _core._Network[Any],
    projection: Projection,
    source: Input | Population,
    target: Population | Readout,
    weight: NDArray[Any],
    delay: NDArray[Any],
) -> None:
    """Adds a projection."""
    ends = (isinstance(source, Input), source.index, target.index)
    w, d = projection.to_core(weight), projection.to_core(delay)
    per = projection.delay_shapes[delay.shape]
    weight_of = projection.weight_of
    if projection.mask is not None:
        # Each synapse has its own weight, and those that are not there have none.
        own = np.arange(projection.mask.size, dtype=np.int32)
        weight_of = np.where(projection.mask.reshape(-1), own, np.int32(-1))
    name = projection.name
    try:
        if projection.kind == "dense":
            core.connect_dense(*ends, w, d, name, per, weight_of)
        elif projection.kind == "one_to_one":
            core.connect_one_to_one(*ends, w, d, name, per, weight_of)
        else:
            layout = projection.sparse
            assert layout is not None
            targets = layout.targets if layout.order is None else layout.targets[layout.order]
            rows = (layout.row_offsets, np.ascontiguousarray(targets))
            core.connect_sparse(*ends, *rows, w, d, name, per, weight_of)
    except ValueError as error:
        for key, value in (("weight", weight), ("delay", delay)):
            error = in_users_order(error, f"{projection.name}.{key}", value, projection)
        raise error from None


def fill_core(
    core: _core._Network[Any],
    inputs: Mapping[str, Input],
    populations: Mapping[str, Population],
    projections: Mapping[str, Projection],
    legal: Callable[[str], NDArray[Any]],
) -> None:
    """Adds all groups and projections to an empty core, with the values that ``legal`` gives."""
    for group in inputs.values():
        core.add_input(group.name, group.size)
    for p in populations.values():
        values = {key: legal(f"{p.name}.{key}") for key in NEURON_PARAMETERS}
        add_population_core(core, p, values)
    for q in projections.values():
        source = inputs.get(q.source) or populations[q.source]
        weight, delay = (legal(f"{q.name}.{key}") for key in ("weight", "delay"))
        connect_core(core, q, source, populations[q.target], weight, delay)


def structure_of_network(net: Network) -> dict[str, Any]:
    """What a file must agree with of a network; of what it does not have nothing is said."""
    limited = {p.name: p.max_spikes for p in net.populations.values() if p.max_spikes}
    structure = {
        "dtype": net.dtype.name,
        "inputs": {g.name: g.size for g in net.inputs.values()},
        "populations": {p.name: p.size for p in net.populations.values()},
        **({"max_spikes": limited} if limited else {}),
        "projections": {p.name: structure_of(p) for p in net.projections.values()},
    }
    if net.readouts:
        listening = net.readout_projections.values()
        structure["readouts"] = {p.name: p.size for p in net.readouts.values()}
        structure["readout_projections"] = {p.name: structure_of(p) for p in listening}
    return structure


def structure_of(projection: Projection) -> dict[str, Any]:
    """What a file must agree with of a projection."""
    p = projection
    structure = {
        "source": p.source,
        "target": p.target,
        "kind": p.kind,
        "shape": list(p.shape),
        "synapses": _digest(p.sources, p.targets) if p.sparse else None,
    }
    if p.weight_of is not None:
        structure |= {"weight": list(p.weight_shape), "weight_of": _digest(p.weight_of)}
    if p.mask is not None:
        structure["mask"] = _digest(p.mask)
    return structure


def _digest(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
