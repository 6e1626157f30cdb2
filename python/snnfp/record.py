"""The record of a simulation: spikes, voltages, and their exact derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import integer_array, real_array
from snnfp._memory import need_memory
from snnfp._warnings import warn
from snnfp.derivatives import DifferentiableRecord
from snnfp.network import Network, Population
from snnfp.recording_faults import ImpossibleSpikes, MissingSpikes
from snnfp.spikes import Spikes

__all__ = ["ProbeRequest", "Probed", "Record", "Recording"]

ProbeRequest = Mapping[str, tuple[ArrayLike | None, ArrayLike]]


class Probed(NamedTuple):
    """Exact voltage and current, ``[samples, units, times]``, at ``times`` of neurons ``units``."""

    voltage: NDArray[Any]
    current: NDArray[Any]
    units: NDArray[np.int32]
    times: NDArray[Any]


@dataclass(frozen=True)
class Recording:
    """Where the impossible spikes of a recording were in it, and what became of them."""

    on_fault: str
    index: NDArray[np.int64]


_SIMULATED = Recording("raise", np.empty(0, np.int64))


class Record(DifferentiableRecord):
    """All spikes of a batch, with what is needed to differentiate every one of them.

    A record keeps the network it was made with, names and parameters; it can be copied and pickled.

    The arrays run through the samples; within a sample spikes are ordered by (time, neuron).

    Attributes:
        times: spike times, ``[n_spikes]``.
        neurons: neuron of each spike, numbered through the populations (``Population.offset``).
        offsets: the spikes of sample s are ``offsets[s]:offsets[s + 1]``.
        slopes: V'(f-) of each spike, what its derivatives are divided by; infinite where a
            recorded spike that cannot be was kept, which has no derivative.
        residuals: V - threshold at each spike, for spikes recorded elsewhere; empty otherwise.
        n_samples: number of samples.
        n_spikes: number of spikes.
        until: end of the simulation; samples that ``stop_after`` ends earlier: see :attr:`ends`.
    """

    def __init__(
        self,
        core: _core._Record[Any],
        net: Network,
        groups: tuple[Spikes, ...],
        until: float,
        n_threads: int | None,
        isa: str,
        recording: Recording | None = None,
        readouts_begin: tuple[NDArray[Any], NDArray[Any]] | None = None,
    ) -> None:
        self._net = net
        self._groups = groups
        self._execution = (n_threads, isa)
        self._first = {}
        self._asked: dict[str, Probed] = {}
        self._recording = recording or _SIMULATED
        self._readouts_begin = readouts_begin
        self._read = {}
        self.until = until
        self._take(core)

    # -- voltages --------------------------------------------------------------------------------

    def probe(
        self,
        population: str | Population,
        times: ArrayLike,
        *,
        units: ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> Probed:
        """Exact V and I of chosen neurons at chosen times.

        A record holds spikes and no voltages: these come from a replay of its samples, driven by
        the spikes that it has. Each call is one replay of the whole network, which takes about as
        long as a simulation by ``engine="queue"``, and O(samples x units x times) on top: ask for
        all times of a population at once.

        Args:
            population: of the neurons.
            times: ascending, within 0 ... ``until`` and no later than any sample's end; at a
                spike's time V is already reset.
            units: neurons within the population; None: all.
            n_threads: as for :meth:`vjp`.

        Raises:
            ValueError: a unit that is not there, times out of order or out of range.
            MemoryError: so many voltages do not fit.
        """
        p = self._population(population)
        if units is None:
            chosen = np.arange(p.size, dtype=np.int32)
        else:
            raw = np.atleast_1d(integer_array(units, "units")).reshape(-1)
            bad = np.flatnonzero((raw < 0) | (raw >= p.size))
            if bad.size:
                raise ValueError(
                    f"units[{bad[0]}] is {raw[bad[0]]}, expected 0 <= unit < {p.size} ({p.name})"
                )
            chosen = raw.astype(np.int32)
        at = np.atleast_1d(real_array(times, "times", self.times.dtype, underflow=True))
        if at.ndim != 1:
            raise ValueError(f"times has shape {at.shape}, expected one dimension")
        need_memory(
            2 * self.n_samples * chosen.size * at.size * at.dtype.itemsize,
            f"V and I of {self.n_samples} samples x {chosen.size} neurons of {p.name} x "
            f"{at.size} times",
            "probe fewer neurons or times at once",
        )
        voltage, current = self._core.probe(
            (chosen + p.offset).tolist(), at.tolist(), self._run(n_threads)
        )
        shape = (self.n_samples, chosen.size, at.size)
        return Probed(voltage.reshape(shape), current.reshape(shape), chosen, at)

    def voltage(self, population: str | Population) -> NDArray[Any]:
        """Deprecated: V that ``simulate(probe=)`` asked for; take :meth:`probe`."""
        return self._asked_for(population).voltage

    def current(self, population: str | Population) -> NDArray[Any]:
        """Deprecated: I that ``simulate(probe=)`` asked for; take :meth:`probe`."""
        return self._asked_for(population).current

    def _asked_for(self, population: str | Population) -> Probed:
        name = self._population(population).name
        if name not in self._asked:
            raise KeyError(
                f"simulate was not asked for voltages of {name}: call record.probe({name!r}, "
                "times).voltage"
            )
        return self._asked[name]

    def _ask(self, wanted: ProbeRequest) -> None:
        if not isinstance(wanted, Mapping):
            raise TypeError(
                f"probe is {wanted!r}, expected {{population: (units or None for all, times)}}"
            )
        for population, request in wanted.items():
            name = self._population(population).name
            if not isinstance(request, (tuple, list)) or len(request) != 2:
                raise TypeError(
                    f"probe[{name!r}] is {request!r}, expected (units or None for all, times)"
                )
            warn(
                "simulate(probe=) is deprecated: call record.probe("
                f"{name!r}, times, units=units), which returns the voltages",
                DeprecationWarning,
            )
            self._asked[name] = self.probe(name, request[1], units=request[0])

    # -- spikes recorded elsewhere ---------------------------------------------------------------

    @cached_property
    def missing(self) -> MissingSpikes:
        """Crossings that were not recorded; see :func:`snnfp.record_from_spikes`."""
        return MissingSpikes.of(self._core.missing, self._net)

    @cached_property
    def impossible(self) -> ImpossibleSpikes:
        """Recorded spikes that cannot be; see :func:`snnfp.record_from_spikes`."""
        return ImpossibleSpikes.of(self._core.impossible, self._net, self._recording.index)

    @property
    def dropped(self) -> ImpossibleSpikes:
        """Those of them that are not in the record."""
        if self._recording.on_fault == "drop":
            return self.impossible
        return self.impossible.those(self.impossible.reason == "outside")

    # -- copies ----------------------------------------------------------------------------------

    def __copy__(self) -> Record:
        other: Record = object.__new__(type(self))
        caches = ("_first", "_read", "_asked")
        vars(other).update(vars(self), **{name: dict(vars(self)[name]) for name in caches})
        return other

    def __getstate__(self) -> dict[str, Any]:
        core = self._core
        kept = ("_net", "_groups", "_execution", "_recording", "_readouts_begin", "_asked", "until")
        return {name: vars(self)[name] for name in kept} | {
            "core": (
                (*(getattr(core, name) for name in _PARTS),),
                core.missing,
                core.impossible,
                self.until,
                *core.initial,
                core.first_spikes_of,
                core.stop_after,
            )
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = {name: value for name, value in state.items() if name != "core"}
        vars(self).update(kept, _first={}, _read={})
        groups = [
            (np.ascontiguousarray(g.times, dtype=self._net.dtype), g.units, g.offsets)
            for g in self._groups
        ]
        self._take(_core.restore(self._net._core, groups, *state["core"]))


_PARTS = ("offsets", "times", "neurons", "slopes", "release_currents", "residuals")
