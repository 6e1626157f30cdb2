"""Simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import real_array, spot
from snnfp._execution import default_threads, execution
from snnfp._memory import need_memory
from snnfp._numbers import MOST_UNITS, count
from snnfp._units import unit_question
from snnfp._warnings import warn
from snnfp.errors import SilentPopulationWarning, UnusedInputWarning
from snnfp.groups import Readout
from snnfp.network import Network, Population, population_of
from snnfp.parameters import users_order
from snnfp.readings import readout_named
from snnfp.record import ProbeRequest, Record
from snnfp.spike_record import snapshot
from snnfp.spikes import Spikes

__all__ = ["InputSpikes", "simulate"]

InputSpikes = Spikes | Mapping[str, Spikes] | None
InitialState = Mapping[Any, tuple[ArrayLike, ArrayLike]]

# Bytes a neuron in double precision, at least: of the plan, and of the state of each thread.
_PLAN_BYTES, _STATE_BYTES = 80, {"automatic": 240, "queue": 50}
_FEW = 1 << 18  # neurons that fit anywhere


def simulate(
    net: Network,
    spikes: InputSpikes,
    *,
    until: float | None = None,
    samples: int | None = None,
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
        net: the network; its parameters at this moment are kept by the record. Several threads may
            simulate it at once, and set parameters meanwhile; what is added to it is added by one
            thread while no other begins a call.
        spikes: input spikes, or a mapping from input names where there are several groups; None
            for a network without input groups. A float32 network rounds their times.
        until: the end of the simulation, in the user's unit of time; None: until nothing more can
            happen, which needs ``max_spikes`` where a bias makes neurons fire for ever.
        samples: number of samples of a network without input groups, 1 if not given; otherwise
            the input says it.
        probe: deprecated, ``{population: (units or None for all, times)}``: the voltages are then
            ``record.voltage(population)``; take :meth:`Record.probe`, which returns them.
        initial: state at time 0, ``{population: (voltage, current)}``, each one number, ``[n]`` or
            ``[samples, n]``; zero where not given. Readouts may have one as well.
        n_threads: threads for the samples; None: all. The result is the same for any number.
        spike_limit: spikes of one neuron in one sample beyond which firing counts as runaway.
        first_spikes_of: populations whose neurons are not followed beyond their first spikes, as if
            ``t_refractory`` were infinite; saves time where only first spikes matter.
        stop_after: populations; a sample ends as soon as each of their neurons has fired, as if
            ``until`` were the last of their first spikes. ``record.ends`` says when that was.
        engine: ``"automatic"``, or ``"queue"`` to send everything through the global event queue.
        isa: ``"best"``, ``"portable"``, ``"avx2"`` or ``"avx512"``.

    Returns:
        The record of all spikes, from which derivatives and voltages (:meth:`Record.probe`) are
        taken.

    Raises:
        ValueError: bad input; names the group, sample, spike and value.
        EventLimitError: a neuron fired more than ``spike_limit`` spikes.
        MemoryError: so many neurons do not fit.

    Warns:
        SilentPopulationWarning: once a population, if it fires no spike in the whole batch.
        UnusedInputWarning: once, if all input comes after ``until``.
    """
    check_network(net)
    groups = input_groups(net, spikes)
    n_samples = sample_count(groups, samples)
    end = end_of(until, net.dtype)
    limit = count(spike_limit, "spike_limit")
    if engine not in _core.Engine.__members__:
        raise ValueError(f"engine is {engine!r}, expected 'automatic' or 'queue'")
    run = execution(n_threads, isa)
    _need_room(net, min(n_samples, n_threads or default_threads()), engine)
    voltage, current, readouts_begin = _initial_arrays(net, initial, n_samples)
    ends = _indices(net, stop_after, "stop_after")
    kept, now = snapshot(net)
    with users_order(kept):
        core = _core.simulate(
            now,
            [_core_input(g, net.dtype, name) for name, g in zip(net.inputs, groups, strict=True)],
            n_samples if not groups else 0,
            end,
            limit,
            _core.Engine[engine],
            voltage,
            current,
            _indices(net, first_spikes_of, "first_spikes_of"),
            ends,
            run,
        )
    record = Record(core, kept, groups, end, n_threads, isa, readouts_begin=readouts_begin)
    _warn(kept, groups, end, record, ends)
    if probe is not None:
        record._ask(probe)
    return record


def check_network(net: Network, *, drawn: bool = True) -> None:
    """Raises unless ``net`` can run: with populations or readouts, and all parameters set.

    Args:
        net: what should be a network.
        drawn: False: parameters that are to be drawn may have no value yet.
    """
    if not isinstance(net, Network):
        raise TypeError(f"net is {net!r}, expected snnfp.Network")
    if not net.populations and not net.readouts:
        raise ValueError("the network has no population and no readout, expected at least one")
    for name, value in net._values.items():
        if value is None and drawn:
            net.parameters[name]  # raises, and says what to call


def _indices(net: Network, populations: Iterable[str | Population], what: str) -> list[int]:
    if isinstance(populations, str):
        raise TypeError(f"{what} is {populations!r}, expected a list of populations")
    if not populations:
        return []
    names = list(net.populations)
    return [names.index(population_of(net, p).name) for p in populations]


def input_groups(net: Network, spikes: InputSpikes) -> tuple[Spikes, ...]:
    """The input of each group in the network's order, checked for presence, size and samples."""
    if spikes is None:
        given: Mapping[str, Spikes] = {}
    elif isinstance(spikes, Spikes):
        if not net.inputs:
            raise ValueError("the network has no input, expected None instead of spikes")
        if len(net.inputs) != 1:
            raise ValueError(
                f"the network has {len(net.inputs)} inputs ({', '.join(net.inputs)}), "
                "expected a mapping {name: Spikes}"
            )
        given = {next(iter(net.inputs)): spikes}
    elif isinstance(spikes, Mapping):
        given = {getattr(k, "name", k): v for k, v in spikes.items()}
    else:
        raise TypeError(
            f"spikes is a {type(spikes).__name__}, expected snnfp.Spikes (see Spikes.from_lists, "
            "from_pairs, from_dense, from_latencies; snnfp.encoding.latency for features) or a "
            "mapping {input name: Spikes}"
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


def sample_count(groups: tuple[Spikes, ...], samples: int | None) -> int:
    """The number of samples: that of the input, or the one given where there is no input."""
    given = None if samples is None else count(samples, "samples", most=MOST_UNITS)
    if not groups:
        return given or 1
    if given is not None and given != len(groups[0]):
        raise ValueError(
            f"samples is {given}, expected {len(groups[0])} as in the input (it is only needed "
            "without input)"
        )
    return len(groups[0])


def _need_room(net: Network, n_threads: int, engine: str) -> None:
    neurons = sum(p.size for p in net.populations.values())
    if neurons < _FEW:
        return
    most = max(net.populations.values(), key=lambda p: p.size)
    each = (_PLAN_BYTES + n_threads * _STATE_BYTES[engine]) * net.dtype.itemsize // 8
    need_memory(
        neurons * each,
        f"{neurons} neurons ({most.size} of them in population {most.name}) on {n_threads} threads",
        "take fewer threads or neurons",
    )


def _core_input(batch: Spikes, dtype: np.dtype[Any], name: str = "input") -> tuple[Any, ...]:
    if dtype == batch.times.dtype:
        return (batch.times, batch.units, batch.offsets)
    with np.errstate(over="ignore"):
        times = np.ascontiguousarray(batch.times, dtype=dtype)
    if times.size and not np.isfinite(times.max()):
        k = int(np.argmax(times == np.inf))
        sample = int(np.searchsorted(batch.offsets, k, side="right")) - 1
        raise ValueError(
            f"{name}: sample {sample}, spike {k - batch.offsets[sample]}: time {batch.times[k]}, "
            f"which does not fit {dtype}"
        )
    return (times, batch.units, batch.offsets)


def end_of(until: float | None, dtype: np.dtype[Any] | None = None) -> float:
    """The end of a simulation; infinite: there is none.

    Raises:
        TypeError, ValueError: no time >= 0, or one that ``dtype`` does not hold.
    """
    if until is None:
        return math.inf
    if isinstance(until, bool) or not isinstance(until, (int, float, np.integer, np.floating)):
        raise TypeError(f"until is {until!r}, expected a time or None")
    try:
        end = float(until)
    except OverflowError:
        raise ValueError(f"until is {until}, which does not fit float64") from None
    # Every finite number fits float64.
    if dtype == np.float32 and float(np.finfo(dtype).max) < end < math.inf:
        raise ValueError(f"until is {until}, which does not fit {dtype}")
    if not end >= 0:
        raise ValueError(f"until is {end:g}, expected a time >= 0")
    return end


def _initial_arrays(
    net: Network, initial: InitialState | None, n_samples: int
) -> tuple[NDArray[Any], NDArray[Any], tuple[NDArray[Any], NDArray[Any]] | None]:
    """V and I of the populations; and of the readouts, if anything is said of one."""
    given = dict(initial or {})
    of_readouts = {k: given.pop(k) for k in list(given) if getattr(k, "name", k) in net.readouts}
    begin = _state(net, given, n_samples, list(net.populations.values()), population_of)
    readouts = list(net.readouts.values())
    if not of_readouts:
        return *begin, None
    return *begin, _state(net, of_readouts, n_samples, readouts, readout_named)


def _state(
    net: Network,
    initial: InitialState,
    n_samples: int,
    groups: Sequence[Population | Readout],
    find: Callable[[Network, Any], Population | Readout],
) -> tuple[NDArray[Any], NDArray[Any]]:
    empty = np.empty(0, dtype=net.dtype)
    if not initial:
        return empty, empty
    n = sum(p.size for p in groups)
    state = np.zeros((2, n_samples, n), dtype=net.dtype)
    for key, pair in initial.items():
        population = find(net, key)
        if not isinstance(pair, (tuple, list, np.ndarray)) or len(pair) != 2:
            raise TypeError(
                f"initial[{population.name!r}] is {pair!r}, expected (voltage, current)"
            )
        own = slice(population.offset, population.offset + population.size)
        for row, value, what in zip(state, pair, ("voltage", "current"), strict=True):
            name = f"initial {what} of {population.name}"
            array = real_array(value, name, net.dtype)
            shapes = ((), (population.size,), (n_samples, population.size))
            if array.shape not in shapes:
                raise ValueError(
                    f"{name} has shape {array.shape}, expected {' or '.join(map(str, shapes))}"
                )
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                at = tuple(bad[0])
                raise ValueError(f"{spot(name, at)} is {array[at]}, expected a finite number")
            row[:, own] = array
    return state[0].reshape(-1), state[1].reshape(-1)


def _unused(groups: tuple[Spikes, ...], until: float) -> bool:
    """Whether there are input spikes, all of them after the end."""
    if not math.isfinite(until):
        return False
    given = [g.times for g in groups if g.times.size]
    # The first spike of the first sample mostly tells at once.
    return bool(given) and all(t[0] > until and t.min() > until for t in given)


def _warn(
    net: Network, groups: tuple[Spikes, ...], until: float, record: Record, ends: list[int]
) -> None:
    if "until" not in net._warned and _unused(groups, until):
        net._warned.add("until")
        first = min(g.times.min() for g in groups if g.times.size)
        warn(
            f"all input spikes come after until = {until} (the first at {first}): are both in the "
            "same unit of time?",
            UnusedInputWarning,
        )
    for name, population in net.populations.items():
        if name not in net._warned and record.is_silent(population):
            net._warned.add(name)
            when = "in the whole batch"
            if ends and bool(np.any(record.ends < until)):
                stop = " and ".join(list(net.populations)[k] for k in ends)
                when += f", whose samples end once all of {stop} have fired"
            warn(
                f"population {name} fires no spike {when}, so no gradient reaches it or what comes "
                f"before it{unit_question(net, name, groups, until)}: try larger or more positive "
                "incoming weights, a lower threshold, a longer tau, or a remedy of snnfp.remedies",
                SilentPopulationWarning,
            )
