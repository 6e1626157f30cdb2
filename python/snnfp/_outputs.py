"""What an adapter asks of a network: first spikes, all spike times, or what a readout says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import count, real_number
from snnfp.groups import Population
from snnfp.network import Network, population_of
from snnfp.readings import Reading, readout_named
from snnfp.record import Record

__all__ = ["FirstSpikes", "Output", "SpikeTable", "SpikeTimes", "outputs_of", "shape_of"]

_NAMES = ("first_spikes", "spike_times", "voltage")


@dataclass(frozen=True)
class FirstSpikes:
    """Time of each neuron's first spike, ``[samples, n]``.

    Args:
        population: its name.
        silent: what stands where a neuron is silent; it has no derivative.
    """

    population: str
    silent: float = math.inf

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class SpikeTimes:
    """All spike times of each neuron, ``[samples, n, width]``, ascending.

    Args:
        population: its name.
        width: the first so many spikes of each neuron; None: as many as the neuron with most of
            them has in this call, at least one.
        silent: what stands where there are fewer; it has no derivative.
    """

    population: str
    width: int | None = None
    silent: float = math.inf

    def __post_init__(self) -> None:
        _check(self)
        if self.width is not None:
            object.__setattr__(self, "width", count(self.width, "width", instead="None for all"))


Output: TypeAlias = FirstSpikes | SpikeTimes | Reading


def outputs_of(net: Network, output: str | Output | Sequence[Any]) -> tuple[Output, ...]:
    """What a network is asked for, checked.

    Args:
        net: the network.
        output: ``"first_spikes"`` or ``"spike_times"`` of the last population, ``"voltage"`` of the
            last readout at the end of the sample, an object that says more, or several of these.

    Raises:
        ValueError, TypeError: none of these.
        KeyError: a population or readout that is not there.
    """
    if isinstance(output, (list, tuple)):
        if not output:
            raise ValueError("output is empty, expected at least one")
        return tuple(o for one in output for o in outputs_of(net, one))
    if isinstance(output, Reading):
        readout_named(net, output.readout)
        return (output,)
    if isinstance(output, (FirstSpikes, SpikeTimes)):
        population_of(net, output.population)
        return (output,)
    expected = f"expected {' or '.join(map(repr, _NAMES))}"
    if not isinstance(output, str):
        raise TypeError(
            f"output is {output!r}, {expected}, or FirstSpikes(...), SpikeTimes(...) or "
            "snnfp.Reading(...)"
        )
    if output not in _NAMES:
        raise ValueError(f"output is {output!r}, {expected}")
    if output == "voltage":
        return (Reading(readout_named(net, None).name, "end"),)
    if not net.populations:
        raise ValueError(f"output is {output!r}, but the network has no population")
    last = next(reversed(net.populations))
    return (FirstSpikes(last) if output == "first_spikes" else SpikeTimes(last),)


def shape_of(net: Network, output: Output, n_samples: int) -> tuple[int, ...]:
    """The shape of an output.

    Raises:
        ValueError: spike times without a width, whose shape a call decides.
    """
    if isinstance(output, Reading):
        return output.shape(n_samples, readout_named(net, output.readout).size)
    size = population_of(net, output.population).size
    if isinstance(output, FirstSpikes):
        return (n_samples, size)
    if output.width is None:
        raise ValueError(
            f"the spike times of {output.population} have no width, expected one where shapes must "
            "be known before the call: SpikeTimes(population, width)"
        )
    return (n_samples, size, output.width)


class SpikeTable:
    """Where the spikes of a record stand in a table ``[samples, n, width]``."""

    def __init__(self, record: Record, output: SpikeTimes) -> None:
        p = population_of(record._net, output.population)
        self._spikes = record.indices(p)
        cell = record.samples[self._spikes] * p.size + (record.neurons[self._spikes] - p.offset)
        counts = np.bincount(cell, minlength=record.n_samples * p.size)
        width = output.width or max(1, int(counts.max(initial=0)))
        self._shape = (record.n_samples, p.size, width)
        # Spikes of a sample are in the order of time, so a stable sort leaves each neuron's in it.
        order = np.argsort(cell, kind="stable")
        number = np.empty(cell.size, np.int64)
        begin = np.cumsum(counts) - counts
        number[order] = np.arange(cell.size) - begin[cell[order]]
        self._kept = number < width
        self._place = (cell * width + number)[self._kept]

    def filled(self, of_spikes: NDArray[Any], otherwise: float) -> NDArray[Any]:
        """The table of what each spike of the record has."""
        table = np.full(self._shape, otherwise, of_spikes.dtype)
        table.reshape(-1)[self._place] = of_spikes[self._spikes[self._kept]]
        return table

    def gathered(self, table: NDArray[Any]) -> NDArray[Any]:
        """What the table has for each spike of the population; 0 for those not in it."""
        out = np.zeros(self._spikes.size, table.dtype)
        out[self._kept] = table.reshape(-1)[self._place]
        return out


def _check(output: FirstSpikes | SpikeTimes) -> None:
    if isinstance(output.population, Population):
        object.__setattr__(output, "population", output.population.name)
    if not isinstance(output.population, str):
        raise TypeError(f"population is {output.population!r}, expected the name of a population")
    if math.isnan(real_number(output.silent, "silent")):
        raise ValueError("silent is nan, expected a number, or inf")
