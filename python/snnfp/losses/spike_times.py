"""Losses of all spike times: against targets, and by functions of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import real_array
from snnfp._numbers import count
from snnfp.losses.base import Cotangents, check_derivative, value_and_derivative
from snnfp.losses.first_spikes import FirstSpikeLoss
from snnfp.losses.labels import (
    check_horizon,
    check_late,
    check_targets,
    check_times,
    readout_of,
    too_late,
)
from snnfp.network import Network
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["SpikeTimeFunction", "SpikeTimeSquaredError"]

SpikeTimeFn = Callable[[Record, Any], tuple[float, ArrayLike]]


@dataclass(frozen=True, kw_only=True)
class SpikeTimeSquaredError(FirstSpikeLoss):
    """Half the squared distance of spike times from target times, averaged over samples.

    Labels are either first-spike targets, ``[samples, n]`` with NaN for "any time", or a
    :class:`snnfp.Spikes` batch: then the k-th spike of a neuron is held against its k-th target.
    ``horizon`` stands for what is missing: a missing spike counts as one at ``horizon`` (and has no
    gradient), one too many has ``horizon`` for its target.

    Args:
        first: look at no more than this many spikes and targets of each neuron (in a sample), its
            first ones; None: at all.
        horizon: the time that stands for a missing spike, > 0; spikes with a target after it are
            an error.
        population: name of the readout; None: the last population.

    Raises:
        ValueError: when called, if such a spike comes after ``horizon``: names sample and output.
    """

    first: int | None = None
    horizon: float

    def __post_init__(self) -> None:
        check_times(self, "horizon")
        if self.first is not None:
            count(self.first, "first")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are targets for the readout; asked before the first step."""
        check_targets(labels, n_samples, readout_of(net, self.population).size, self.horizon)

    def check_until(self, until: float) -> None:
        """Raises if spikes may come after the horizon, where silence would look better."""
        check_horizon(self.horizon, until)

    def __call__(self, record: Record, labels: ArrayLike | Spikes) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by spike times."""
        if isinstance(labels, Spikes):
            return self._all(record, labels)
        p = self.readout(record)
        check_targets(labels, record.n_samples, p.size, self.horizon)
        target = real_array(labels, "targets", np.dtype(np.float64))
        first = np.asarray(record.first_spikes(p), dtype=np.float64)
        fires = np.isfinite(first)
        wanted = ~np.isnan(target)
        if np.any((first > self.horizon) & fires):
            check_late(np.where(wanted, record.first_spikes(p), np.inf), self.horizon)
        difference = np.where(wanted, np.where(fires, first, self.horizon) - target, 0.0)
        value = 0.5 * float(np.sum(difference**2)) / record.n_samples
        return value, {p.name: np.where(fires, difference, 0.0) / record.n_samples}

    def _all(self, record: Record, target: Spikes) -> tuple[float, Cotangents]:
        p = self.readout(record)
        check_targets(target, record.n_samples, p.size, self.horizon)
        own = record.indices(p)
        # A train is one neuron in one sample.
        trains = record.n_samples * p.size
        mine = _Trains.of(record.samples[own] * p.size + (record.neurons[own] - p.offset), trains)
        rows = np.repeat(np.arange(len(target)), np.diff(target.offsets))
        theirs = _Trains.of(rows * p.size + target.units, trains)
        looked = mine.ordinal < (self.first or np.inf)
        at, train, ordinal = own[looked], mine.train[looked], mine.ordinal[looked]
        late = np.flatnonzero(record.times[at] > record.times.dtype.type(self.horizon))
        if late.size:
            k = at[late[0]]
            too_late(record.samples[k], record.neurons[k] - p.offset, record.times[k], self.horizon)
        wanted = np.full(at.size, self.horizon)
        matched = ordinal < theirs.count[train]
        wanted[matched] = target.times[
            theirs.order[theirs.start[train[matched]] + ordinal[matched]]
        ]
        difference = np.asarray(record.times[at], dtype=np.float64) - wanted
        missing = (theirs.ordinal >= mine.count[theirs.train]) & (
            theirs.ordinal < (self.first or np.inf)
        )
        total = np.sum(difference**2) + np.sum((target.times[missing] - self.horizon) ** 2)
        cotangents = np.zeros(record.n_spikes)
        cotangents[at] = difference / record.n_samples
        return 0.5 * float(total) / record.n_samples, cotangents


@dataclass(frozen=True)
class _Trains:
    """Spikes in order of time, by the train that each belongs to.

    ``ordinal`` says how many of its train come before a spike; ``order[start[k]:][:count[k]]`` are
    the spikes of train k.
    """

    train: NDArray[np.int64]
    ordinal: NDArray[np.int64]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]

    @staticmethod
    def of(train: NDArray[np.int64], n_trains: int) -> _Trains:
        number = np.bincount(train, minlength=n_trains)
        start = np.cumsum(number) - number
        order = np.argsort(train, kind="stable")
        ordinal = np.empty_like(order)
        ordinal[order] = np.arange(order.size) - start[train[order]]
        return _Trains(train, ordinal, order, start, number)


@dataclass(frozen=True, kw_only=True)
class SpikeTimeFunction(FirstSpikeLoss):
    """Any function of all spikes of a record, written in NumPy.

    Args:
        function: ``f(record, labels) -> (value, dL/dt)`` with one derivative a spike,
            ``[n_spikes]``.
        population: name of the readout, for ``predict`` only.
    """

    function: SpikeTimeFn

    def __call__(self, record: Record, labels: Any) -> tuple[float, Cotangents]:
        """The function's value and derivative, checked."""
        value, derivative = value_and_derivative(self.function(record, labels), "the loss function")
        return value, check_derivative(value, derivative, (record.n_spikes,))
