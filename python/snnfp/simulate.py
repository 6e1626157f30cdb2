"""Simulation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import real_array
from snnfp._execution import execution
from snnfp.errors import SilentPopulationWarning, UnusedInputWarning
from snnfp.network import Network, Population
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["InputSpikes", "simulate"]

InputSpikes = Spikes | Mapping[str, Spikes]
InitialState = Mapping[str, tuple[ArrayLike, ArrayLike]]
ProbeRequest = Mapping[str, tuple[Sequence[int] | None, ArrayLike]]


def simulate(
    net: Network,
    spikes: InputSpikes,
    *,
    until: float | None = None,
    probe: ProbeRequest | None = None,
    initial: InitialState | None = None,
    n_threads: int | None = None,
    spike_limit: int = 10_000,
    first_spikes_of: Iterable[str | Population] = (),
    stop_after: Iterable[str | Population] = (),
    engine: str = "automatic",
    isa: str = "best",
) -> Record:
    """Simulates a batch exactly: every spike time is a root of V(t) = threshold.

    Args:
        net: the network; its parameters at this moment are kept by the record.
        spikes: input spikes, or a mapping from input names where there are several groups.
        until: the end of the simulation, in the user's unit of time; None: until nothing more can
            happen.
        probe: voltages wanted, ``{population: (units or None for all, times)}``; more can be had
            from the record afterwards.
        initial: state at time 0, ``{population: (voltage, current)}``, each one number, ``[n]`` or
            ``[samples, n]``; zero where not given.
        n_threads: threads for the samples; None: all. The result is the same for any number.
        spike_limit: spikes of one neuron in one sample beyond which firing counts as runaway.
        first_spikes_of: populations whose neurons are not followed beyond their first spikes, as if
            ``t_refractory`` were infinite; saves time where only first spikes matter.
        stop_after: populations; a sample ends as soon as each of their neurons has fired, as if
            ``until`` were the last of their first spikes. ``record.ends`` says when that was.
        engine: ``"automatic"``, or ``"queue"`` to send everything through the global event queue.
        isa: ``"best"``, ``"portable"``, ``"avx2"`` or ``"avx512"``.

    Returns:
        The record of all spikes, from which derivatives are taken.

    Raises:
        ValueError: bad input; names the group, sample, spike and value.
        EventLimitError: a neuron fired more than ``spike_limit`` spikes.

    Warns:
        SilentPopulationWarning: once a population, if it fires no spike in the whole batch.
        UnusedInputWarning: once, if all input comes after ``until``.
    """
    check_network(net)
    groups = input_groups(net, spikes)
    end = _until(until)
    if isinstance(spike_limit, bool) or not isinstance(spike_limit, (int, np.integer)):
        raise TypeError(f"spike_limit is {spike_limit!r}, expected an integer")
    if engine not in ("automatic", "queue"):
        raise ValueError(f"engine is {engine!r}, expected 'automatic' or 'queue'")
    voltage, current = _initial_arrays(net, initial, len(groups[0]))
    ends = _indices(net, stop_after, "stop_after")
    core = _core.simulate(
        net._core,
        [_core_input(g, net.dtype) for g in groups],
        end,
        int(spike_limit),
        ("automatic", "queue").index(engine),
        voltage,
        current,
        _indices(net, first_spikes_of, "first_spikes_of"),
        ends,
        execution(n_threads, isa),
    )
    record = Record(core, net, groups, end, n_threads, isa)
    _warn(net, groups, end, record, bool(ends))
    for population, (units, times) in (probe or {}).items():
        record.probe(population, times, units=units)
    return record


def check_network(net: Network) -> None:
    """Raises unless ``net`` can run: a network, with populations and all parameters set."""
    if not isinstance(net, Network):
        raise TypeError(f"net is {net!r}, expected snnfp.Network")
    for name, value in net._values.items():
        if value is None:
            net.parameters[name]  # raises, and says what to call


def population_of(net: Network, key: str | Population) -> Population:
    """A population by handle or name."""
    name = key.name if isinstance(key, Population) else key
    if name not in net.populations:
        raise KeyError(
            f"{name!r} is not a population of the network, expected one of: "
            f"{', '.join(net.populations)}"
        )
    return net.populations[name]


def _indices(net: Network, populations: Iterable[str | Population], what: str) -> list[int]:
    if isinstance(populations, str):
        raise TypeError(f"{what} is {populations!r}, expected a list of populations")
    if not populations:
        return []
    names = list(net.populations)
    return [names.index(population_of(net, p).name) for p in populations]


def input_groups(net: Network, spikes: InputSpikes) -> tuple[Spikes, ...]:
    """The input of each group in the network's order, checked for presence, size and samples."""
    if isinstance(spikes, Spikes):
        if len(net.inputs) != 1:
            raise ValueError(
                f"the network has {len(net.inputs)} inputs ({', '.join(net.inputs)}), "
                "expected a mapping {name: Spikes}"
            )
        given: Mapping[str, Spikes] = {next(iter(net.inputs)): spikes}
    elif isinstance(spikes, Mapping):
        given = {getattr(k, "name", k): v for k, v in spikes.items()}
    else:
        raise TypeError(
            f"spikes is a {type(spikes).__name__}, expected snnfp.Spikes (see Spikes.from_lists, "
            "from_pairs, from_dense) or a mapping {input name: Spikes}"
        )
    if set(given) != set(net.inputs):
        raise ValueError(f"spikes are for {sorted(given)}, expected {sorted(net.inputs)}")
    for name, batch in given.items():
        if not isinstance(batch, Spikes):
            raise TypeError(f"spikes[{name!r}] is a {type(batch).__name__}, expected snnfp.Spikes")
        if batch.size != net.inputs[name].size:
            raise ValueError(
                f"spikes of {name} are for {batch.size} channels, expected {net.inputs[name].size}"
            )
    return tuple(given[name] for name in net.inputs)


def _core_input(batch: Spikes, dtype: np.dtype[Any]) -> tuple[NDArray[Any], ...]:
    return (np.ascontiguousarray(batch.times, dtype=dtype), batch.units, batch.offsets)


def _until(until: float | None) -> float:
    if until is None:
        return math.inf
    if isinstance(until, bool) or not isinstance(until, (int, float, np.integer, np.floating)):
        raise TypeError(f"until is {until!r}, expected a time or None")
    return float(until)


def _initial_arrays(
    net: Network, initial: InitialState | None, n_samples: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    empty = np.empty(0, dtype=net.dtype)
    if not initial:
        return empty, empty
    n = sum(p.size for p in net.populations.values())
    state = np.zeros((2, n_samples, n), dtype=net.dtype)
    for key, pair in initial.items():
        population = population_of(net, key)
        own = slice(population.offset, population.offset + population.size)
        for row, value, what in zip(state, pair, ("voltage", "current"), strict=True):
            array = real_array(value, f"initial {what} of {population.name}", net.dtype)
            shapes = ((), (population.size,), (n_samples, population.size))
            if array.shape not in shapes:
                raise ValueError(
                    f"initial {what} of {population.name} has shape {array.shape}, expected "
                    f"{' or '.join(map(str, shapes))}"
                )
            row[:, own] = array
    return state[0].reshape(-1), state[1].reshape(-1)


def _warn(
    net: Network, groups: tuple[Spikes, ...], until: float, record: Record, early: bool
) -> None:
    when = "in the whole batch" + (", up to where its samples end (stop_after)" if early else "")
    for name, population in net.populations.items():
        if name not in net._warned and record.is_silent(population):
            net._warned.add(name)
            warnings.warn(
                f"population {name} fires no spike {when}, so no gradient reaches it "
                "or what comes before it: try larger or more positive incoming weights, a lower "
                "threshold, a longer tau, or a remedy of snnfp.remedies",
                SilentPopulationWarning,
                stacklevel=3,
            )
    if math.isfinite(until) and "until" not in net._warned:
        firsts = [g.times.min() for g in groups if g.times.size]
        if firsts and min(firsts) > until:
            net._warned.add("until")
            warnings.warn(
                f"all input spikes come after until = {until} (the first at {min(firsts)}): are "
                "both in the same unit of time?",
                UnusedInputWarning,
                stacklevel=3,
            )
