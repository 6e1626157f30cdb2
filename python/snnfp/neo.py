"""Spikes to and from Neo, whose spike trains the field's analysis tools take, such as Elephant.

Times have units there and none here: each call says in which the numbers are.
``pip install 'snnfp[neo]'``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import real_number
from snnfp.conversions import check_step
from snnfp.errors import require
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["from_neo", "record_to_neo", "to_neo"]

Array = NDArray[np.float64]


def from_neo(data: Any, *, units: Any, origin: Any = None) -> tuple[Spikes, float]:
    """Spikes from Neo.

    Args:
        data: a ``SpikeTrain`` (one channel), a ``SpikeTrainList`` or a list of spike trains (one a
            channel), a ``Segment`` (its spike trains), or several samples of as many channels: a
            ``Block``, a list of segments, or a list of lists of spike trains.
        units: of the times here, such as ``"ms"`` or ``quantities.ms``.
        origin: what is time 0 here, a quantity; None: the ``t_start`` of each sample, which is one
            for all its trains.

    Returns:
        The spikes, and the time from 0 to the latest ``t_stop``: ``until`` of a simulation. Times
        are kept and nothing else: neither names nor annotations nor waveforms.

    Raises:
        TypeError: what has no spike trains; names the sample and the channel.
        ValueError: trains that begin at different times, spikes before ``origin``, samples with
            different numbers of channels, a unit that is none of time.
    """
    unit = _unit(units)
    samples = [_trains(sample, f"sample {s}") for s, sample in enumerate(_samples(data))]
    if not samples or not samples[0]:
        raise ValueError("data has no spike train, expected at least one")
    given = None if origin is None else _number(origin, unit, "origin")
    lists, until = [], 0.0
    for s, trains in enumerate(samples):
        if len(trains) != len(samples[0]):
            raise ValueError(
                f"sample {s} has {len(trains)} spike trains, expected {len(samples[0])} as in "
                "sample 0"
            )
        begin = _begin(trains, unit, f"sample {s}") if given is None else given
        times = [_times(train, unit) - begin for train in trains]
        for c, channel in enumerate(times):
            if channel.size and channel.min() < 0:
                raise ValueError(
                    f"sample {s}, channel {c}: a spike at {channel.min() + begin:g} {units}, "
                    f"before time 0 here, which is {begin:g} {units}: expected an earlier "
                    "origin, or train.time_slice(...)"
                )
        lists.append(times)
        until = max(until, *(_number(t.t_stop, unit, "t_stop") - begin for t in trains))
    return Spikes.from_lists(lists), until


def to_neo(spikes: Spikes, *, units: Any, t_stop: float, t_start: float = 0.0) -> list[Any]:
    """Spikes as ``neo.spiketrainlist.SpikeTrainList``, one a sample, a train a channel.

    Args:
        spikes: a batch.
        units: of the times here, such as ``"ms"``.
        t_stop: the end of each sample here, not before any spike.
        t_start: what time 0 here is there, in the same unit; ``from_neo`` takes it off again.

    Raises:
        ValueError: a spike after ``t_stop``; names the sample.
    """
    neo = require("neo", extra="neo")
    unit = _unit(units)
    _check_end(spikes, t_stop, "t_stop")
    begin = float(real_number(t_start, "t_start"))
    ends = {"units": unit, "t_start": begin * unit, "t_stop": (t_stop + begin) * unit}
    return [
        neo.spiketrainlist.SpikeTrainList(
            items=[
                neo.SpikeTrain(times + begin, **ends, name=str(c), channel=c)
                for c, times in enumerate(channels)
            ]
        )
        for channels in spikes.to_lists()
    ]


def record_to_neo(
    record: Record,
    *,
    units: Any,
    populations: Iterable[str] | None = None,
    dt: float | None = None,
) -> Any:
    """A record as a ``neo.Block``: a segment a sample, with a spike train a neuron.

    Trains are called ``"hidden[3]"`` and annotated with ``population`` and ``neuron``. With ``dt``
    each segment has a dimensionless ``AnalogSignal`` a population too, V at 0, dt, 2 dt, ...

    Args:
        record: of a simulation with a finite ``until``, which becomes ``t_stop``.
        units: of its times, such as ``"ms"``.
        populations: names; None: all.
        dt: the step at which V is read; None: it is not.

    Raises:
        ValueError: a record without a finite ``until``.
        KeyError: a population that there is not.
    """
    neo = require("neo", extra="neo")
    unit = _unit(units)
    if not np.isfinite(record.until):
        raise ValueError("the record has no finite until, expected one: spike trains have a t_stop")
    block = neo.Block(name="snnfp")
    samples = range(record.n_samples)
    block.segments.extend([neo.Segment(name=f"sample {s}", index=s) for s in samples])
    ends = {"units": unit, "t_start": 0.0 * unit, "t_stop": record.until * unit}
    for name in record._net.populations if populations is None else populations:
        for segment, neurons in zip(block.segments, record.spikes(name).to_lists(), strict=True):
            trains = [
                neo.SpikeTrain(times, **ends, name=f"{name}[{k}]", population=name, neuron=k)
                for k, times in enumerate(neurons)
            ]
            segment.spiketrains.extend(trains)
        if dt is None:
            continue
        check_step(dt)
        times = np.arange(0.0, record.until * (1 + 1e-12), dt)
        voltage = record.probe(name, np.minimum(times, record.until)).voltage
        for segment, v in zip(block.segments, voltage, strict=True):
            segment.analogsignals.append(
                neo.AnalogSignal(
                    v.T,
                    units="dimensionless",
                    sampling_period=dt * unit,
                    name=name,
                    population=name,
                )
            )
    return block


def _check_end(spikes: Spikes, end: float, name: str) -> None:
    if not 0 < real_number(end, name) < np.inf:
        raise ValueError(f"{name} is {end}, expected a finite time > 0")
    late = np.flatnonzero(spikes.times > end)
    if late.size:
        raise ValueError(
            f"sample {spikes.samples[late[0]]}: a spike at {spikes.times[late[0]]}, expected none "
            f"after {name} = {end}"
        )


def _unit(units: Any) -> Any:
    """The unit of time as a quantity.

    Raises:
        ValueError: no unit of time.
    """
    pq = require("quantities", extra="neo")
    try:
        unit = pq.Quantity(1.0, units)
        unit.rescale("s")
    except (LookupError, ValueError, TypeError):
        raise ValueError(
            f"units is {units!r}, expected a unit of time, such as 's' or 'ms'"
        ) from None
    return unit


def _samples(data: Any) -> list[Any]:
    """What has the spike trains of each sample."""
    kind = type(data).__name__
    if kind == "Block":
        return list(data.segments)
    if kind in ("SpikeTrain", "SpikeTrainList", "Segment"):
        return [data]
    if not isinstance(data, (list, tuple)):
        raise TypeError(
            f"data is a {kind}, expected a neo SpikeTrain, SpikeTrainList, Segment or Block, or a "
            "list"
        )
    one = bool(data) and all(type(part).__name__ == "SpikeTrain" for part in data)
    return [data] if one else list(data)


def _trains(sample: Any, name: str) -> list[Any]:
    kind = type(sample).__name__
    trains = [sample] if kind == "SpikeTrain" else sample
    trains = list(sample.spiketrains) if kind == "Segment" else trains
    if kind not in ("SpikeTrain", "SpikeTrainList", "Segment", "list", "tuple"):
        raise TypeError(f"{name} is a {kind}, expected a Segment, SpikeTrainList or list of trains")
    for c, train in enumerate(trains):
        if type(train).__name__ != "SpikeTrain":
            raise TypeError(
                f"{name}, channel {c} is a {type(train).__name__}, expected a neo SpikeTrain"
            )
    return list(trains)


def _begin(trains: list[Any], unit: Any, name: str) -> float:
    """The time at which all trains of a sample begin."""
    begins = [_number(t.t_start, unit, "t_start") for t in trains]
    other = [c for c, begin in enumerate(begins) if begin != begins[0]]
    if other:
        raise ValueError(
            f"{name}: channel {other[0]} begins at {begins[other[0]]:g} and channel 0 at "
            f"{begins[0]:g}, expected one t_start, or origin="
        )
    return begins[0]


def _times(train: Any, unit: Any) -> Array:
    return np.array(train.rescale(unit.units).magnitude, dtype=np.float64)


def _number(quantity: Any, unit: Any, name: str) -> float:
    if not hasattr(quantity, "rescale"):
        raise TypeError(f"{name} is {quantity!r}, expected a quantity, such as 5 * quantities.ms")
    return float(quantity.rescale(unit.units).magnitude)
