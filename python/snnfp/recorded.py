"""Records of spikes that another simulator or a chip recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._execution import execution
from snnfp._numbers import real_number
from snnfp._warnings import warn
from snnfp.errors import RecordedSpikeError, UnusedInputWarning
from snnfp.network import Network, Population, population_of
from snnfp.parameters import users_order
from snnfp.record import Record, Recording
from snnfp.recording_faults import ImpossibleSpikes, MissingSpikes
from snnfp.simulate import (
    InitialState,
    InputSpikes,
    _core_input,
    _initial_arrays,
    check_network,
    end_of,
    input_groups,
)
from snnfp.spike_record import snapshot
from snnfp.spikes import Spikes

__all__ = ["record_from_spikes"]

_POLICIES = _core.OnFault.__members__
_BLOCK = 1 << 18  # spikes


def record_from_spikes(
    net: Network,
    spikes: InputSpikes,
    recorded: Mapping[str | Population, Spikes],
    *,
    tolerance: float,
    on_fault: str = "raise",
    until: float | None = None,
    initial: InitialState | None = None,
    n_threads: int | None = None,
    isa: str = "best",
) -> Record:
    """A record of spikes from another simulator or from hardware, differentiable like any other.

    The network is driven with the recorded spikes, and the recording is checked both ways. A spike
    is impossible in a refractory time, where V does not rise, further than ``tolerance`` from the
    threshold, or outside 0 < time <= ``until``. A crossing is missing where V goes further than
    ``tolerance`` above the threshold before it comes down again, the neuron's next recorded spike,
    or the end of the recording.

    With ``tolerance=inf`` no residual and no crossing is a fault; ``record.missing`` then holds the
    crossings that no recorded spike follows before V comes down again. Where V is above threshold
    up to a recorded spike, that spike is taken to be late, and its residual says how much.

    A simulator with a fixed step records spikes up to a step away from the crossing. The largest
    residual in units of the threshold, measured with Brian2 at steps of 0.1, 0.01 and 0.001 ms:
    0.127, 0.013 and 0.0014. Take 1.5 times that, more where V rises faster; 1e-9 of the threshold
    for simulators that solve for the crossing, such as NEST's precise models.

    Args:
        net: the network that is believed to have fired them.
        spikes: its input, as for :func:`simulate`.
        recorded: the spikes of each population, ``{population: Spikes}``; populations left out
            are taken to be silent.
        tolerance: largest ``|V - threshold|`` that counts as nothing, in units of voltage; ``inf``:
            any.
        on_fault: what becomes of a recording with faults. ``"raise"``: RecordedSpikeError.
            ``"drop"``: impossible spikes are taken out, one after the other in the order of time,
            as if they had not been recorded: they reach nobody, and later spikes are judged
            without them. ``"keep"``: impossible spikes stay, reset their neuron and reach their
            receivers; where V is away from the threshold they are differentiated like any other,
            but in a refractory time, which then begins anew, and where V does not rise there is no
            derivative: their slope is inf and their derivatives are 0. Spikes outside
            0 < time <= until are dropped by ``"keep"`` too. Missing spikes are never added.
        until: end of the recording; None: no end, so V must stay below threshold for ever after.
        initial: state at time 0, as for :func:`simulate`.
        n_threads: threads for the samples; None: all. The result is the same for any number.
        isa: as for :func:`simulate`.

    Returns:
        The record, with ``residuals``, ``missing``, ``impossible`` and ``dropped``.

    Raises:
        RecordedSpikeError: the recording has faults and ``on_fault`` is ``"raise"``: says how many
            of which kind and the first few; ``missing`` and ``impossible`` of the exception are all
            of them, judged as ``"keep"`` does.
        ValueError: spikes of a neuron or sample that does not exist, or a bad option.

    Warns:
        UnusedInputWarning: all recorded spikes lie outside 0 < time <= ``until``.
    """
    check_network(net)
    if not net.populations:
        raise ValueError(
            "the network has no population that could have fired what was recorded: simulate it"
        )
    if on_fault not in _POLICIES:
        raise ValueError(f"on_fault is {on_fault!r}, expected 'raise', 'drop' or 'keep'")
    tolerance = real_number(tolerance, "tolerance")
    if float(np.finfo(net.dtype).max) < tolerance < math.inf:
        raise ValueError(f"tolerance is {tolerance}, which does not fit {net.dtype}")
    groups = input_groups(net, spikes)
    first = next(iter(recorded.values()), None) if isinstance(recorded, Mapping) else None
    n_samples = len(groups[0]) if groups else len(first) if isinstance(first, Spikes) else 1
    merged = _merge(net, recorded, n_samples)
    end = end_of(until, net.dtype)
    voltage, current, readouts_begin = _initial_arrays(net, initial, n_samples)
    kept, now = snapshot(net)
    try:
        with users_order(kept):
            core = _core.record_from_spikes(
                now,
                [
                    _core_input(g, net.dtype, name)
                    for name, g in zip(net.inputs, groups, strict=True)
                ],
                (merged.times, merged.neurons, merged.offsets),
                tolerance,
                end,
                voltage,
                current,
                _POLICIES[on_fault],
                execution(n_threads, isa),
            )
    except RecordedSpikeError as error:
        error.missing = MissingSpikes.of(error.missing, net)
        error.impossible = ImpossibleSpikes.of(
            error.impossible, net, merged.place[error.impossible[0]]
        )
        raise
    recording = Recording(on_fault, merged.place[core.impossible[0]])
    if merged.times.size and bool(np.all((merged.times <= 0) | (merged.times > end))):
        warn(
            f"all recorded spikes lie outside 0 < time <= until = {end} (the first at "
            f"{merged.times.min()}): are both in the same unit of time?",
            UnusedInputWarning,
        )
    return Record(core, kept, groups, end, n_threads, isa, recording, readouts_begin)


class _Merged(NamedTuple):
    """The spikes of all populations in the order of a record."""

    times: NDArray[Any]
    neurons: NDArray[np.int32]
    offsets: NDArray[np.int64]
    place: NDArray[np.int64]  # of each in its population's batch


def _merge(net: Network, recorded: Mapping[str | Population, Spikes], n_samples: int) -> _Merged:
    if not isinstance(recorded, Mapping):
        raise TypeError(
            f"recorded is a {type(recorded).__name__}, expected a mapping {{population: Spikes}}"
        )
    given: list[tuple[int, Spikes]] = []  # offset of the population, and its batch
    seen: set[str] = set()
    for key, batch in recorded.items():
        population = population_of(net, key)
        if population.name in seen:
            raise ValueError(f"recorded has {population.name} twice, by name and by handle")
        seen.add(population.name)
        if not isinstance(batch, Spikes):
            raise TypeError(
                f"recorded[{population.name!r}] is a {type(batch).__name__}, expected snnfp.Spikes"
            )
        if batch.size != population.size:
            raise ValueError(
                f"recorded spikes of {population.name} are for {batch.size} neurons, "
                f"expected {population.size}"
            )
        if len(batch) != n_samples:
            raise ValueError(
                f"recorded spikes of {population.name} have {len(batch)} samples, "
                f"expected {n_samples} as in the input"
            )
        given.append((population.offset, batch))
    counts = sum((np.diff(b.offsets) for _, b in given), np.zeros(n_samples, np.int64))
    offsets = np.concatenate(([0], np.cumsum(counts)))
    total = int(offsets[-1])
    merged = _Merged(
        np.empty(total, net.dtype), np.empty(total, np.int32), offsets, np.empty(total, np.int64)
    )
    # In blocks of samples, between which Python looks for Ctrl-C.
    begins = np.searchsorted(offsets, np.arange(0, total, _BLOCK), side="right") - 1
    for first, last in pairwise([*np.unique(begins).tolist(), n_samples]):
        _merge_samples(given, merged, first, last)
    return merged


def _merge_samples(given: list[tuple[int, Spikes]], merged: _Merged, first: int, last: int) -> None:
    """Fills in the spikes of samples ``first ... last - 1``."""
    times, neurons, samples, place = [], [], [], []
    for offset, batch in given:
        begin, end = batch.offsets[first], batch.offsets[last]
        times.append(batch.times[begin:end].astype(merged.times.dtype))
        neurons.append(batch.units[begin:end] + np.int32(offset))
        samples.append(np.repeat(np.arange(last - first), np.diff(batch.offsets[first : last + 1])))
        place.append(np.arange(begin, end))
    parts = [np.concatenate(part) for part in (times, neurons, place)]
    order = np.lexsort((parts[1], parts[0], np.concatenate(samples)))
    block = slice(merged.offsets[first], merged.offsets[last])
    wholes: tuple[NDArray[Any], ...] = (merged.times, merged.neurons, merged.place)
    for whole, part in zip(wholes, parts, strict=True):
        whole[block] = part[order]
