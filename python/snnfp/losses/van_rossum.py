"""The distance of spike trains of van Rossum, with its exact derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.losses.base import Cotangents
from snnfp.losses.first_spikes import FirstSpikeLoss
from snnfp.losses.labels import check_targets, check_times, readout_of
from snnfp.network import Network
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["VanRossumDistance"]


@dataclass(frozen=True, kw_only=True)
class VanRossumDistance(FirstSpikeLoss):
    """Squared distance of van Rossum from target spikes, summed over neurons, a mean over samples.

    Both trains of a neuron are filtered by ``e^(-t / tau)``; ``D^2`` is the integral of the squared
    difference of the two over all time, divided by tau: 1/2 for each spike that stands alone, and
    0 where the trains are equal. Any number of spikes goes with any number of targets, each acting
    on those within some tau of it. In closed form, with signs s = 1 for spikes and -1 for targets,
    ``D^2 = 1/2 sum over pairs i, j of s_i s_j e^(-|t_i - t_j| / tau)``; computed in O(n log n).
    Where a spike meets a target the loss has a kink; the derivative there is the mean of both
    sides.

    Labels are the target spikes, a :class:`snnfp.Spikes` batch of as many neurons and samples.

    Args:
        tau: time constant of the filter, > 0; about how far a target pulls.
        population: name of the readout; None: the last population.

    Source: van Rossum, Neural Computation 13 (2001).
    """

    tau: float

    def __post_init__(self) -> None:
        check_times(self, "tau")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are target spikes for the readout; asked before the first step."""
        if not isinstance(labels, Spikes):
            raise TypeError(
                f"labels are a {type(labels).__name__}, expected snnfp.Spikes: the wanted spikes"
            )
        check_targets(labels, n_samples, readout_of(net, self.population).size, np.inf)

    def __call__(self, record: Record, labels: Spikes) -> tuple[float, Cotangents]:
        """The mean squared distance and its derivative by spike times."""
        self.check(record._net, labels, record.n_samples)
        p = self.readout(record)
        own = record.indices(p)
        rows = np.repeat(np.arange(len(labels)), np.diff(labels.offsets))
        trains = np.concatenate(
            (
                record.samples[own] * p.size + (record.neurons[own] - p.offset),
                rows * p.size + labels.units,
            )
        )
        times = np.concatenate((np.asarray(record.times[own], np.float64), labels.times))
        signs = np.where(np.arange(times.size) < own.size, 1.0, -1.0)
        total, by_time = _squared_distance(trains, times, signs, self.tau)
        return total / record.n_samples, {p.name: by_time[: own.size] / record.n_samples}


def _squared_distance(
    trains: NDArray[np.int64], times: NDArray[np.float64], signs: NDArray[np.float64], tau: float
) -> tuple[float, NDArray[np.float64]]:
    """The sum over all pairs of a train, and its derivative by each time."""
    if not times.size:
        return 0.0, np.zeros(0)
    order = np.lexsort((times, trains))
    train, time = trains[order], times[order]
    # Spikes of one train at one time are one event, of the sum of their signs.
    new = np.ones(order.size, dtype=bool)
    new[1:] = (np.diff(train) != 0) | (np.diff(time) != 0)
    event = np.cumsum(new) - 1
    mass: NDArray[np.float64] = np.bincount(event, weights=signs[order]).astype(np.float64)
    train, time = train[new], time[new]
    begins = np.ones(time.size, dtype=bool)
    begins[1:] = np.diff(train) != 0
    decay = np.zeros(time.size)
    inner = np.flatnonzero(~begins)
    decay[inner] = np.exp((time[inner - 1] - time[inner]) / tau)
    longest = int(np.diff(np.flatnonzero(np.append(begins, True))).max())
    earlier = _filtered(mass, decay, longest)
    back = np.zeros(time.size)
    back[1:] = decay[:0:-1]
    later = _filtered(mass[::-1], back, longest)[::-1]
    value = 0.5 * float(np.sum(mass * mass)) + float(np.sum(mass * earlier))
    by_time = np.empty(order.size)
    by_time[order] = ((later - earlier) / tau)[event] * signs[order]
    return value, by_time


def _filtered(
    mass: NDArray[np.float64], decay: NDArray[np.float64], longest: int
) -> NDArray[np.float64]:
    """``s[k] = decay[k] (s[k - 1] + mass[k - 1])``, from 0 wherever ``decay`` is 0, as at k = 0.

    By doubling, for all trains at once: after each turn an element has what twice as many before it
    give.
    """
    s = np.zeros(mass.size)
    s[1:] = decay[1:] * mass[:-1]
    factor = decay.copy()
    step = 1
    while step < longest:
        s[step:] += factor[step:] * s[:-step]
        factor[step:] *= factor[:-step]
        step *= 2
    return s
