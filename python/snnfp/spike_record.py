"""The spikes of a record and what can be read off them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._arrays import freeze
from snnfp._execution import execution
from snnfp.network import Network, Population, population_of
from snnfp.spikes import Spikes

__all__ = ["ComponentRun", "SpikeRecord"]

_NEAR_TANGENT = 1e-3


@dataclass(frozen=True)
class ComponentRun:
    """A component of the graph and what simulated it.

    Attributes:
        populations: names of its populations: mutually connected ones, or a single one.
        solver: ``"layer"`` (nothing feeds back; all arrivals are known beforehand), ``"loop"``
            (dense projections, one delay each or one a source unit, one arrival after the other;
            where more than two arrive within the shortest delay they run in windows),
            ``"windows"`` (each neuron runs alone through windows as long as the shortest delay of
            the loop; layers too that receive rows alone and come out of refractory times) or
            ``"queue"`` (any graph, event by event).
        adjoint: what ``vjp`` takes: ``"layer"`` (all spikes at once) or ``"loop"`` (backwards in
            windows as long as the shortest delay within).
    """

    populations: tuple[str, ...]
    solver: str
    adjoint: str


class SpikeRecord:
    """The part of :class:`snnfp.Record` that is about spikes."""

    times: NDArray[Any]
    neurons: NDArray[np.int32]
    offsets: NDArray[np.int64]
    slopes: NDArray[Any]
    residuals: NDArray[Any]
    n_samples: int
    n_spikes: int
    until: float

    _net: Network
    _groups: tuple[Spikes, ...]
    _execution: tuple[int | None, str]
    _first: dict[str, NDArray[np.int64]]
    _first_at: dict[str, NDArray[Any]]

    def _take(self, core: _core._Record[Any]) -> None:
        self._core = core
        self._first_at = {}
        self.times = core.times
        self.neurons = core.neurons
        self.offsets = core.offsets
        self.slopes = core.slopes
        self.residuals = core.residuals
        self.n_samples = self.offsets.size - 1
        self.n_spikes = self.times.size

    def __repr__(self) -> str:
        return f"Record({self.n_samples} samples, {self.n_spikes} spikes, until {self.until})"

    @property
    def components(self) -> tuple[ComponentRun, ...]:
        """What simulated each component of the graph, in their order; empty for a recording.

        Each projection decides on its own component only: a sparse projection somewhere leaves the
        solvers of all other components as they are.
        """
        names = list(self._net.populations)
        return tuple(
            ComponentRun(tuple(names[p] for p in populations), solver.name, adjoint.name)
            for populations, solver, adjoint in self._core.ran
        )

    @property
    def isa(self) -> str:
        """The instruction set whose loops ran; ``"best"`` for a recording."""
        return self._core.isa.name

    @property
    def ends(self) -> NDArray[Any]:
        """Up to when each sample was simulated, ``[samples]``: see ``stop_after``."""
        return self._core.ends()

    # -- spikes ----------------------------------------------------------------------------------

    @property
    def samples(self) -> NDArray[np.int64]:
        """Sample of each spike, ``[n_spikes]``."""
        return np.repeat(np.arange(self.n_samples), np.diff(self.offsets))

    def indices(self, population: str | Population) -> NDArray[np.int64]:
        """Where the spikes of a population are in the record's arrays."""
        return np.flatnonzero(self._among(self._population(population), self.neurons))

    def spikes(self, population: str | Population) -> Spikes:
        """The spikes of a population, as a batch (to analyse, or to feed to another network)."""
        p = self._population(population)
        at = self.indices(p)
        offsets = np.searchsorted(at, self.offsets).astype(np.int64)
        times = np.asarray(self.times[at], dtype=np.float64)
        return Spikes(times, self.neurons[at] - np.int32(p.offset), offsets, size=p.size)

    def first_indices(self, population: str | Population) -> NDArray[np.int64]:
        """Index of each neuron's first spike in each sample, ``[samples, n]``; -1 where silent."""
        p = self._population(population)
        if p.name not in self._first:
            first = self._core.first_spikes(p.index)
            self._first[p.name] = freeze(first.reshape(self.n_samples, p.size))
        return self._first[p.name]

    def first_spikes(self, population: str | Population) -> NDArray[Any]:
        """Time of each neuron's first spike in each sample, ``[samples, n]``; inf where silent."""
        return self._first_times(self._population(population)).copy()

    def counts(self, population: str | Population) -> NDArray[np.int64]:
        """Number of spikes of each neuron in each sample, ``[samples, n]``."""
        p = self._population(population)
        at = self.indices(p)
        rows = np.searchsorted(self.offsets, at, side="right") - 1
        flat = rows * p.size + (self.neurons[at] - p.offset)
        return np.bincount(flat, minlength=self.n_samples * p.size).reshape(-1, p.size)

    def sent(self, group: str | Population) -> NDArray[np.int64]:
        """Number of spikes of each unit of a population or input, ``[samples, n]``."""
        name = getattr(group, "name", group)
        if name not in self._net.inputs:
            return self.counts(name)
        batch = self._groups[self._net.inputs[name].index]
        flat = np.repeat(np.arange(len(batch)), np.diff(batch.offsets)) * batch.size + batch.units
        return np.bincount(flat, minlength=len(batch) * batch.size).reshape(-1, batch.size)

    def fires(self, population: str | Population) -> NDArray[np.bool_]:
        """Whether each neuron fires in any sample, ``[n]``."""
        p = self._population(population)
        fires: NDArray[np.bool_] = self._figures[2][p.offset : p.offset + p.size] > 0
        return fires

    def is_silent(self, population: str | Population) -> bool:
        """Whether the population fires no spike in the whole batch."""
        return self._core.silent(self._population(population).index)

    def silent_fraction(self, population: str | Population | None = None) -> Any:
        """Fraction of a population's neurons that fire in no sample; of all, as a dict, if None."""
        if population is None:
            return {name: self.silent_fraction(name) for name in self._net.populations}
        return float(np.mean(~self.fires(population)))

    @property
    def min_slope(self) -> float:
        """The smallest V'(f-); derivatives grow like its inverse. inf without spikes."""
        return self._figures[0]

    @property
    def near_tangent(self) -> int:
        """Spikes whose crossing is nearly tangent: V'(f-) tau < 0.001 (threshold - v_reset).

        tau is the smaller of the neuron's two time constants.
        """
        return self._figures[1]

    # -- inside ----------------------------------------------------------------------------------

    def _run(self, n_threads: int | None) -> _core.Execution:
        """How a call to the core runs: on so many threads, or on those of the simulation."""
        made, isa = self._execution
        return execution(made if n_threads is None else n_threads, isa)

    @property
    def _counts(self) -> NDArray[np.int64]:
        """Spikes of each neuron in the whole batch."""
        return self._figures[2]

    @cached_property
    def _figures(self) -> tuple[float, int, NDArray[np.int64]]:
        """Smallest slope, spikes that are nearly tangent, spikes of each neuron."""
        return _core.figures(self._core, _NEAR_TANGENT)

    def _first_times(self, p: Population) -> NDArray[Any]:
        """What :meth:`first_spikes` gives copies of."""
        if p.name not in self._first_at:
            self._first_at[p.name] = freeze(_core.first_times(self._core, p.index))
        return self._first_at[p.name]

    def _sends(self, group: str) -> NDArray[np.bool_]:
        """Whether each unit of a population or input fires in any sample, ``[n]``."""
        if group not in self._net.inputs:
            return self.fires(group)
        batch = self._groups[self._net.inputs[group].index]
        sends: NDArray[np.bool_] = np.bincount(batch.units, minlength=batch.size) > 0
        return sends

    def _among(self, p: Population, neurons: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these are neurons of the population."""
        # As unsigned numbers, those below the offset are large.
        among: NDArray[np.bool_] = (neurons - np.int32(p.offset)).view(np.uint32) < p.size
        return among

    def _population(self, key: str | Population) -> Population:
        return population_of(self._net, key)


def snapshot(net: Network) -> tuple[Network, _core._Network[Any]]:
    """The network as it is now, whatever is added or set later, for a record; and its core.

    Both before the work begins: another thread may set parameters meanwhile. What a record keeps
    has no core of its own, as the record's has the network it was made with.
    """
    groups = ("inputs", "populations", "projections", "readouts", "readout_projections")
    with net._lock:
        core, state = net._core.__copy__(), vars(net).copy()
        for name in (*groups, "_values", "_slots"):
            state[name] = state[name].copy()
        if net.readouts:
            state["_listeners"] = net._listeners.copy()
    del state["_core"]
    state["_lock"] = threading.RLock()
    kept: Network = object.__new__(Network)
    kept.__dict__ = state
    return kept, core
