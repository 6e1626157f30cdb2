"""Initial weights from a wanted level of firing, measured on data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnfp._activity import Activity
from snnfp._limited import with_limits
from snnfp._numbers import real_number
from snnfp.errors import EventLimitError
from snnfp.network import Network, population_of
from snnfp.simulate import InputSpikes, check_network, simulate

__all__ = ["Calibration", "calibrate"]

_DOUBLINGS, _HALVINGS, _SWEEPS = 40, 60, 20


@dataclass(frozen=True)
class Calibration:
    """What :func:`calibrate` did.

    Attributes:
        factors: by population, what the weights of all projections into it were multiplied by.
        spikes: by population, spikes a neuron and sample that it fires now.
    """

    factors: dict[str, float]
    spikes: dict[str, float]


def calibrate(
    net: Network,
    spikes: InputSpikes,
    *,
    rate: float | Mapping[str, float],
    until: float | None = None,
    seed: int | np.random.Generator | None = None,
    tolerance: float = 0.05,
    samples: int | None = None,
    n_threads: int | None = None,
) -> Calibration:
    """Scales weights so that populations fire as often as wanted on these samples.

    Populations are taken in the order in which spikes go through the network, those that feed each
    other in the order they were added. The weights of all projections into a population, recurrent
    ones included, are multiplied by one factor > 0, found by doubling or halving it until the mean
    number of spikes lies on either side of what is wanted, and then by bisection of its logarithm.
    Where populations feed each other this is gone through up to 20 times. A neuron is stopped at
    some hundred times the wanted number of spikes, so that a factor too large does no harm. The
    signs of weights, and how those of a population compare, stay; nothing is random but ``seed``.

    Args:
        net: the network; its weights, and with ``seed`` all that is drawn, are replaced, all or
            none.
        spikes: input to measure with, as for :func:`simulate`: some hundred samples.
        rate: wanted spikes a neuron and sample, > 0, of every population or by population; those
            left out of a mapping stay as they are.
        until: end of each simulation.
        seed: draw the initial values first, by :meth:`Network.initialise`; None: take weights as
            they are.
        tolerance: relative, of the mean number of spikes.
        samples: of a network without input groups.
        n_threads: None: all; the result is the same for any number.

    Returns:
        The factors, and what the populations fire now.

    Raises:
        ValueError: a wanted rate that no factor reaches: names the population, and what was
            reached; all parameters stay as they were.
        KeyError: a population that is not there.
    """
    check_network(net, drawn=seed is None)
    wanted = _wanted(net, rate)
    if not 0 < real_number(tolerance, "tolerance") < 1:
        raise ValueError(f"tolerance is {tolerance}, expected 0 < tolerance < 1")
    start, changed = net, _weights(net, wanted)
    if seed is not None:  # on a copy: nothing is drawn unless all of it succeeds
        start = with_limits(net, {}).initialise(seed)
        changed = list(dict.fromkeys([*net._drawn, *changed]))
        check_network(start)
    options = {"until": until, "samples": samples, "n_threads": n_threads}
    work = _Work(start, spikes, wanted, float(tolerance), options)
    for component in _components(net):
        work.calibrate(component)
    net._replace({k: work.net.parameters[k] for k in changed})
    return Calibration(work.factors, work.reached)


def _wanted(net: Network, rate: Any) -> dict[str, float]:
    given = rate if isinstance(rate, Mapping) else dict.fromkeys(net.populations, rate)
    if not given:
        raise ValueError(f"rate is {rate!r} of no population, expected one whose weights to scale")
    wanted = {}
    for key, value in given.items():
        p = population_of(net, key)
        if not 0 < real_number(value, f"rate of {p.name}") < math.inf:
            raise ValueError(
                f"rate of {p.name} is {value}, expected a finite number > 0 of spikes a neuron and "
                "sample"
            )
        if p.max_spikes is not None and value > p.max_spikes:
            raise ValueError(
                f"rate of {p.name} is {value}, expected at most its max_spikes = {p.max_spikes}"
            )
        wanted[p.name] = float(value)
    return wanted


def _weights(net: Network, populations: Any) -> list[str]:
    """Names of the weights of all projections into these."""
    return [f"{q.name}.weight" for q in net.projections.values() if q.target in populations]


def _components(net: Network) -> list[list[str]]:
    """Populations that feed each other together, after those that only feed them."""
    feeds = {name: {name} for name in net.populations}  # what each can reach
    for _ in net.populations:
        for q in net.projections.values():
            if q.source in feeds:
                feeds[q.source] |= feeds[q.target]
    found: list[list[str]] = []
    # What reaches more comes first; of those that reach each other both reach the same.
    for name in sorted(net.populations, key=lambda n: -len(feeds[n])):
        mates = [m for m in net.populations if m in feeds[name] and name in feeds[m]]
        if mates not in found:
            found.append(mates)
    return found


class _Work:
    """A copy of the network on which factors are tried."""

    def __init__(
        self,
        net: Network,
        spikes: InputSpikes,
        wanted: dict[str, float],
        tolerance: float,
        options: dict[str, Any],
    ) -> None:
        self.net = with_limits(net, {})
        self.factors = dict.fromkeys(wanted, 1.0)
        self.reached: dict[str, float] = {}
        self._spikes, self._wanted, self._tolerance = spikes, wanted, tolerance
        self._options = options
        self._later = set(net.populations)

    def calibrate(self, component: list[str]) -> None:
        """The wanted ones of these populations, which feed each other if they are several.

        Raises:
            ValueError: what is wanted is not reached.
        """
        self._later -= set(component)
        names = [name for name in component if name in self._wanted]
        if not names:
            return
        # What later populations fire does not matter here.
        limits = dict.fromkeys(self._later, 1)
        limits |= {n: math.ceil(100 * self._wanted[n]) + 100 for n in names}
        trial = with_limits(self.net, limits)
        for _ in range(_SWEEPS if len(component) > 1 else 1):
            for name in names:
                self._find(trial, name)
            rates = self._measure(trial)
            if all(self._is_met(name, rates[name]) for name in names):
                break
        for name in names:
            if not self._is_met(name, rates[name]):
                raise ValueError(
                    f"population {name}: {self._what(name)}, but {rates[name]:.4g} was all that "
                    f"was reached{_of_several(component)}"
                )
            self.reached[name] = rates[name]
        self.net._replace({k: trial.parameters[k] for k in _weights(self.net, names)})

    def _find(self, trial: Network, name: str) -> None:
        """Scales the weights into one population until it fires as wanted."""
        weights = {k: trial.parameters[k] for k in _weights(trial, (name,))}
        target = self._wanted[name]
        best = (math.inf, 1.0)  # how far off, at which factor

        def fires(factor: float) -> float:
            nonlocal best
            trial._replace({k: w * w.dtype.type(factor) for k, w in weights.items()})
            reached = self._measure(trial)[name]
            best = min(best, (abs(reached - target), factor))
            return reached

        if not weights:
            raise ValueError(f"population {name} has no projection into it that could be scaled")
        low = high = 1.0
        now = most = fires(1.0)
        if now < target:
            while now < target and high < 2.0**_DOUBLINGS:
                low, high = high, 2.0 * high
                now = fires(high)
                most = max(most, now)
            if now < target:
                raise ValueError(
                    f"population {name}: {self._what(name)}, but {most:.4g} was all that was "
                    f"reached, whatever its incoming weights are multiplied by"
                )
        else:
            while now >= target and low > 2.0**-_DOUBLINGS:
                low, high = low / 2.0, low
                now = fires(low)
            if now >= target and not self._is_met(name, now):
                raise ValueError(
                    f"population {name}: {self._what(name)}, but it fires {now:.4g} with incoming "
                    "weights next to 0"
                )
        for _ in range(_HALVINGS):
            if self._is_met(name, target + best[0]):
                break
            middle = math.sqrt(low * high)
            low, high = (middle, high) if fires(middle) < target else (low, middle)
        fires(best[1])
        self.factors[name] *= best[1]

    def _measure(self, trial: Network) -> dict[str, float]:
        """Spikes a neuron and sample of each population; infinite where they run away."""
        try:
            record = simulate(trial, self._spikes, **self._options)
        except EventLimitError as error:
            return dict.fromkeys(trial.populations, 0.0) | {error.population: math.inf}
        activity = Activity(trial)
        activity.add(activity.counted(record))
        return {name: float(np.mean(n)) for name, n in activity.spikes().items()}

    def _is_met(self, name: str, rate: float) -> bool:
        return abs(rate - self._wanted[name]) <= self._tolerance * self._wanted[name]

    def _what(self, name: str) -> str:
        return f"{self._wanted[name]:g} spikes a neuron and sample are wanted"


def _of_several(component: list[str]) -> str:
    return f" together with {' and '.join(component)}" if len(component) > 1 else ""
