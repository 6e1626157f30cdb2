"""Spikes and voltages to and from NIR's data: events, events with a value, and grids in time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain, real_array, spot
from snnfp._memory import need_memory
from snnfp._numbers import count, real_number
from snnfp.conversions import check_step
from snnfp.errors import require
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["record_to_data", "spikes_from_data", "spikes_to_data", "values_from_data"]

_FLOAT = np.dtype(np.float64)


def spikes_to_data(
    spikes: Spikes, *, t_max: float, values: ArrayLike | None = None, dt: float | None = None
) -> Any:
    """Spikes as NIR's ``EventData``, ``ValuedEventData`` or ``TimeGriddedData``.

    Args:
        spikes: a batch.
        t_max: the end of the recording, not before any spike.
        values: one a spike, in their order: ``ValuedEventData``.
        dt: the step of a grid: ``TimeGriddedData``, where step k holds the spikes from ``k dt``
            up to, and without, ``(k + 1) dt``.

    Returns:
        Events ``[samples, most spikes of a sample]``, filled up with index -1 and time inf; or a
        grid of booleans ``[samples, steps, channels]``.

    Raises:
        ValueError: a spike after ``t_max``, two of one channel in a step, another number of values.
    """
    nir = require("nir", extra="nir")
    if not 0 < real_number(t_max, "t_max") < np.inf:
        raise ValueError(f"t_max is {t_max}, expected a finite time > 0")
    late = np.flatnonzero(spikes.times > t_max)
    if late.size and dt is None:
        k = int(late[0])
        raise ValueError(
            f"sample {spikes.samples[k]}: a spike at {spikes.times[k]}, expected none after t_max "
            f"= {t_max}"
        )
    if dt is not None:
        if values is not None:
            raise ValueError("values and dt are both given, expected one: a grid has no values")
        check_step(dt)
        steps = count(round(t_max / dt), "the number of steps, t_max / dt,")
        begins = dt * np.floor(spikes.times / dt + 1e-9)  # of the steps that they fall into
        moved = Spikes(begins, spikes.units, spikes.offsets, size=spikes.size)
        grid = moved.to_dense(dt=dt, steps=steps).swapaxes(0, 1).astype(bool)
        # Later versions say whether a step stands for its end, which is then their default.
        said = hasattr(nir.TimeGriddedData, "dynamic_before_transition")
        at_begin = {"dynamic_before_transition": False} if said else {}
        return nir.TimeGriddedData(grid, float(dt), **at_begin)
    counts = np.diff(spikes.offsets)
    shape = (len(spikes), max(1, int(counts.max())))
    need_memory(24 * shape[0] * shape[1], f"the {shape[0]} x {shape[1]} events")
    at = (spikes.samples, np.arange(spikes.times.size) - spikes.offsets[spikes.samples])
    index, times = np.full(shape, -1), np.full(shape, np.inf)
    index[at], times[at] = spikes.units, spikes.times
    events = {"idx": index, "time": times, "n_neurons": spikes.size, "t_max": float(t_max)}
    if values is None:
        return nir.EventData(**events)
    given = real_array(values, "values", _FLOAT)
    if given.shape != spikes.times.shape:
        raise ValueError(
            f"values has shape {given.shape}, expected {spikes.times.shape}, one a spike"
        )
    filled = np.zeros(shape)
    filled[at] = given
    return nir.ValuedEventData(**events, value=filled)


def spikes_from_data(data: Any) -> Spikes:
    """The spikes of ``EventData``, ``ValuedEventData`` or a binary ``TimeGriddedData``.

    Those of step k of a grid are at ``k dt``, or, where it says that the state moves on before the
    threshold is looked at (``dynamic_before_transition``, after NIR 1.0.8), at ``(k + 1) dt``.

    Args:
        data: what NIR has spikes in.

    Raises:
        TypeError: something else.
        ValueError: an index or a time that there cannot be, values other than 1 (see
            :func:`values_from_data`), a grid of signals.
    """
    if type(data).__name__ == "TimeGriddedData":
        grid = plain(data.data, "data")
        before = bool(getattr(data, "dynamic_before_transition", False))
        return Spikes.from_dense(grid.swapaxes(0, 1), dt=data.dt, t0=data.dt if before else 0.0)
    spikes, values = _events(data)
    if values is not None and np.any(values != 1):
        k = int(np.argmax(values != 1))
        raise ValueError(
            f"the event of sample {spikes.samples[k]} at {spikes.times[k]} has the value "
            f"{values[k]:g}, expected 1, since a spike has none: values_from_data returns them"
        )
    return spikes


def values_from_data(data: Any) -> tuple[Spikes, NDArray[np.float64]]:
    """The events of ``ValuedEventData``, and the value of each in their order.

    Raises:
        TypeError: something else.
        ValueError: an index, time or value that there cannot be.
    """
    spikes, values = _events(data)
    if values is None:
        raise TypeError(f"data is a {type(data).__name__}, expected nir.ValuedEventData")
    return spikes, values


def record_to_data(
    record: Record, *, populations: Iterable[str] | None = None, dt: float | None = None
) -> Any:
    """The spikes of a record, and its voltages, as ``nir.NIRGraphData``.

    Nodes have the names of populations, as those of the graph that ``to_nir`` makes, with the
    observables ``"spikes"`` (``EventData``) and, with ``dt``, ``"v"`` (``TimeGriddedData``).

    Args:
        record: of a simulation with a finite ``until``, which becomes ``t_max``.
        populations: names; None: all.
        dt: the step at which V is read, from ``dt`` on; None: it is not.

    Raises:
        ValueError: a record without a finite ``until``.
        KeyError: a population that there is not.
    """
    nir = require("nir", extra="nir")
    if not np.isfinite(record.until):
        raise ValueError("the record has no finite until, expected one: the data have a t_max")
    nodes = {}
    for name in record._net.populations if populations is None else populations:
        observables = {"spikes": spikes_to_data(record.spikes(name), t_max=record.until)}
        if dt is not None:
            check_step(dt)
            # Whole steps, but for rounding: V is not known beyond ``until``.
            steps = count(int(record.until / dt * (1 + 1e-12)), "the number of steps, until / dt,")
            times = np.minimum(dt * np.arange(1, steps + 1), record.until)
            voltage = np.asarray(record.probe(name, times).voltage, dtype=np.float64)
            observables["v"] = nir.TimeGriddedData(voltage.swapaxes(1, 2).copy(), float(dt))
        nodes[name] = nir.NIRNodeData(observables=observables)
    return nir.NIRGraphData(nodes=nodes)


def _events(data: Any) -> tuple[Spikes, NDArray[np.float64] | None]:
    """The events of all samples in the order of time, and their values, if they have some."""
    if type(data).__name__ not in ("EventData", "ValuedEventData"):
        raise TypeError(
            f"data is a {type(data).__name__}, expected nir.EventData, nir.ValuedEventData or "
            "nir.TimeGriddedData"
        )
    index, times = plain(data.idx, "idx"), real_array(data.time, "time", _FLOAT)
    if index.ndim != 2 or index.shape != times.shape:
        raise ValueError(
            f"idx has shape {index.shape} and time {times.shape}, expected [samples, events]"
        )
    size = count(data.n_neurons, "n_neurons")
    there = index != -1
    wrong = there & ((index < 0) | (index >= size) | ~np.isfinite(times))
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise ValueError(
            f"{spot('idx', at)} is {index[at]} and {spot('time', at)} {times[at]}, expected an "
            f"index from 0 to {size - 1} at a finite time, or -1 where there is no event"
        )
    order = np.argsort(np.where(there, times, np.inf), axis=1, kind="stable")
    index, times, there = (np.take_along_axis(a, order, axis=1) for a in (index, times, there))
    offsets = np.concatenate(([0], np.cumsum(there.sum(axis=1))))
    spikes = Spikes(times[there], index[there], offsets, size=size)
    if not hasattr(data, "value"):
        return spikes, None
    values = real_array(data.value, "value", _FLOAT)
    if values.shape != there.shape:
        raise ValueError(f"value has shape {values.shape}, expected {there.shape}, as time")
    return spikes, np.take_along_axis(values, order, axis=1)[there]
