"""Heuristics on spike counts and rates, kept apart from the exact gradient.

A count of spikes has no derivative that says anything: it is a whole number, 0 wherever it exists.
What stands here is therefore no part of the gradient. Each heuristic has a pseudo-gradient of its
own, stated in its documentation, and is applied as a remedy is: ``fit(remedies=[...])`` adds it to
the exact gradient of a batch, before that is clipped, and the history counts what it acted on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import real_number
from snnfp.network import Network, Projection, population_of
from snnfp.record import Record
from snnfp.remedies import Gradients, _check_helps, _incoming, _there

__all__ = ["RateBounds"]


@dataclass(frozen=True, kw_only=True)
class RateBounds:
    """Keeps the mean number of spikes of a population within bounds. Not a derivative.

    With r the mean number of spikes a neuron and sample, the penalty is ``strength / 2`` times the
    square of what r is above ``high`` or below ``low``. Its *pseudo*-gradient takes each neuron for
    one that adds up what it gets and fires once for every ``C (threshold - v_reset)`` of charge: a
    spike that arrives through a weight w brings w tau_syn, so that
    ``d count / dw = tau_syn / (C (threshold - v_reset))`` for each arrival, and nothing else is
    asked about. Leak, inhibition, refractory times and the effect on other populations are left
    out; weights only are changed. Above ``high`` it acts on neurons that fire, below ``low`` on
    all.

    Args:
        population: its name.
        low: fewest spikes a neuron and sample.
        high: most of them; inf: no bound.
        strength: of the penalty, > 0; what is added is a gradient of a loss of size 1.
        each: bounds for each neuron by itself (the penalty is then the mean over neurons), instead
            of their mean.
        duration: length of a sample: with it the bounds are rates, spikes a neuron and unit of
            time.
        keep_zero: leave weights that are exactly 0 as they are (unless all of a projection are).
    """

    population: str
    low: float = 0.0
    high: float = math.inf
    strength: float
    each: bool = False
    duration: float | None = None
    keep_zero: bool = True

    def __post_init__(self) -> None:
        low, high = real_number(self.low, "low"), real_number(self.high, "high")
        if not (0 <= low < math.inf and low <= high):
            raise ValueError(f"low is {low} and high {high}, expected 0 <= low <= high")
        if not (real_number(self.strength, "strength") > 0 and math.isfinite(self.strength)):
            raise ValueError(f"strength is {self.strength}, expected a finite number > 0")
        if self.duration is not None and not 0 < real_number(self.duration, "duration") < math.inf:
            raise ValueError(f"duration is {self.duration}, expected a finite time > 0")

    def check(self, net: Network, names: tuple[str, ...]) -> None:
        """Raises unless the population exists and has incoming weights among ``names``."""
        _check_helps(net, (population_of(net, self.population).name,), names, self)

    def excess(self, record: Record) -> NDArray[np.float64]:
        """How far r is above ``high`` (> 0) or below ``low`` (< 0), of each neuron, ``[n]``."""
        p = population_of(record._net, self.population)
        own = record._counts[p.offset : p.offset + p.size]
        r: NDArray[np.float64] = own / (record.n_samples * (self.duration or 1.0))
        if not self.each:
            r = np.full(p.size, np.mean(r))
        return np.maximum(0.0, r - self.high) - np.maximum(0.0, self.low - r)

    def penalty(self, record: Record) -> float:
        """The penalty of a batch."""
        return 0.5 * self.strength * float(np.mean(self.excess(record) ** 2))

    def __call__(
        self, net: Network, record: Record, labels: Any, gradients: Gradients
    ) -> tuple[Gradients, int]:
        """The changed gradients, and how many neurons they are to bring back within bounds."""
        excess = self.excess(record)
        acts = (excess < 0) | ((excess > 0) & record.fires(self.population))
        if not acts.any():
            return gradients, 0
        per_arrival = _spikes_per_charge(record, self.population)
        wanted = np.where(acts, self.strength * excess * per_arrival, 0.0)
        wanted /= excess.size * record.n_samples * (self.duration or 1.0)
        changed = dict(gradients)
        for key, projection in _incoming(net, self.population, gradients):
            sent = np.sum(record.sent(projection.source), axis=0).astype(np.float64)
            term = _by_synapse(projection, sent, wanted)
            term = term * _there(projection, net.parameters[key], self.keep_zero)
            changed[key] = changed[key] + term.astype(changed[key].dtype)
        return changed, int(np.count_nonzero(acts))


def _spikes_per_charge(record: Record, population: str) -> NDArray[np.float64]:
    """Spikes that an arrival of weight 1 is taken to make, ``[n]``."""
    p = population_of(record._net, population)
    tau_syn, capacitance, threshold, v_reset = (
        np.broadcast_to(record._net.parameters[f"{population}.{name}"], p.size).astype(np.float64)
        for name in ("tau_syn", "capacitance", "threshold", "v_reset")
    )
    # A current that does not decay brings charge as long as the sample lasts.
    lasts = np.minimum(tau_syn, record.until)
    if not np.isfinite(lasts).all():
        k = int(np.argmin(np.isfinite(lasts)))
        raise ValueError(
            f"{population}.tau_syn of neuron {k} is infinite and there is no until: an arrival has "
            "no finite charge, expected one of them finite"
        )
    return lasts / (capacitance * (threshold - v_reset))


def _by_synapse(
    projection: Projection, sent: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What is sent times what is wanted of the receiver, summed over synapses of one weight."""
    if projection.sparse is not None:
        each = sent[projection.sources] * wanted[projection.targets]
        if projection.weight_of is None:
            return each
        n = int(np.prod(projection.weight_shape))
        sums = np.bincount(projection.weight_of, each, n).astype(np.float64)
        return sums.reshape(projection.weight_shape)
    return sent[:, None] * wanted if projection.kind == "dense" else sent * wanted
