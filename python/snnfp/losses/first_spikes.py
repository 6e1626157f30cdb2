"""Losses of first spikes, and what is told from them: the class is the output that fires first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import integer_array
from snnfp._numbers import real_number
from snnfp.losses.base import Cotangents, Loss, check_derivative, value_and_derivative
from snnfp.losses.labels import (
    check_classes,
    check_horizon,
    check_labels,
    check_late,
    check_times,
    readout_of,
)
from snnfp.network import Network, Population
from snnfp.record import Record

__all__ = [
    "FirstSpikeCrossEntropy",
    "FirstSpikeFunction",
    "FirstSpikeHinge",
    "FirstSpikeLatency",
    "FirstSpikeLoss",
]

FirstSpikeFn = Callable[[NDArray[Any], Any], tuple[float, ArrayLike]]


@dataclass(frozen=True, kw_only=True)
class FirstSpikeLoss(Loss):
    """Base of losses of the first spikes of a readout population.

    Args:
        population: name of the readout; None: the last population of the network.
    """

    population: str | None = None

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless loss, network and labels go together; asked before the first step.

        Raises:
            KeyError: the network has no such population.
        """
        readout_of(net, self.population)

    def readout(self, record: Record) -> Population:
        """The readout population of the record's network."""
        return readout_of(record._net, self.population)

    def predict(self, record: Record) -> NDArray[np.int64]:
        """The output that spikes first, ``[samples]``; -1 where none does; ties: the lowest."""
        p = self.readout(record)
        return _core.first_to_fire(record._first_times(p), p.size)

    def accuracy(self, record: Record, labels: ArrayLike) -> float:
        """Fraction of samples whose first output spike is the label's."""
        p = self.readout(record)
        return float(
            np.mean(self.predict(record) == check_labels(labels, record.n_samples, p.size))
        )


@dataclass(frozen=True, kw_only=True)
class FirstSpikeCrossEntropy(FirstSpikeLoss):
    """Cross-entropy of first spike times, with a term that asks for early spikes.

    With t_k the first spike of output k, or ``horizon`` if there is none (no gradient then):
    ``L = -log softmax(-t / tau0)[label] + gamma (exp(t_label / tau1) - 1)``, averaged over samples.

    Args:
        tau0: time scale of the softmax, > 0.
        tau1: time scale of the second term, > 0.
        gamma: weight of the second term, >= 0.
        horizon: the time that stands for silence, > 0; first spikes after it are an error.
        population: name of the readout; None: the last population.

    Raises:
        ValueError: when called, if a first spike comes after ``horizon``: names sample and output.

    Source: Goeltz et al., Nature Machine Intelligence 3 (2021); Lee, Haghighatshoar, Karbasi,
    AISTATS 2023.
    """

    tau0: float
    tau1: float = 1.0
    gamma: float = 0.0
    horizon: float

    def __post_init__(self) -> None:
        check_times(self, "tau0", "tau1", "horizon")
        if not (real_number(self.gamma, "gamma") >= 0 and np.isfinite(self.gamma)):
            raise ValueError(f"gamma is {self.gamma}, expected a finite number >= 0")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are classes, one a sample; asked before the first step."""
        check_classes(net, self.population, labels, n_samples)

    def check_until(self, until: float) -> None:
        """Raises if spikes may come after the horizon, where silence would look better."""
        check_horizon(self.horizon, until)

    def probabilities(self, record: Record) -> NDArray[np.float64]:
        """The softmax of the loss, ``[samples, n]``: what it takes each class's chance to be.

        Silent outputs count as spikes at ``horizon``; where none fires, all are equally likely.
        """
        z = _or_horizon(record.first_spikes(self.readout(record)), self.horizon) / -self.tau0
        z -= z.max(axis=1, keepdims=True)
        exponentials = np.exp(z)
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials

    def looks_at(self, net: Network) -> list[str]:
        """The readout: nothing but its first spikes."""
        return [readout_of(net, self.population).name]

    def __call__(self, record: Record, labels: ArrayLike) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by first spike times."""
        p = self.readout(record)
        chosen = check_labels(labels, record.n_samples, p.size)
        first = record._first_times(p)
        value, dt, late, beyond = _core.cross_entropy(
            first, chosen, self.tau0, self.tau1, self.gamma, self.horizon
        )
        if late >= 0:
            check_late(first, self.horizon)
        if beyond >= 0:
            time = first[beyond, chosen[beyond]]
            raise ValueError(
                f"sample {beyond}: exp(t / tau1) is out of range with t = "
                f"{time if np.isfinite(time) else self.horizon:g} and tau1 = {self.tau1}, expected "
                "a longer tau1"
            )
        return value, {p.name: dt}


def _or_horizon(first: NDArray[Any], horizon: float) -> NDArray[np.float64]:
    """First spikes, with the horizon for silence.

    Raises:
        ValueError: a spike after the horizon.
    """
    t = np.where(np.isfinite(first), np.asarray(first, dtype=np.float64), horizon)
    if t.size and t.max() > horizon:
        check_late(first, horizon)
    return t


@dataclass(frozen=True, kw_only=True)
class FirstSpikeHinge(FirstSpikeLoss):
    """Order of first spikes: the label's output fires before each other one, by a margin.

    With t_k as in :class:`FirstSpikeCrossEntropy` and x_k = max(0, margin + t_label - t_k),
    ``L = sum over k != label of x_k`` (or x_k^2 / 2), averaged over samples. Where the order holds
    by the margin the loss is 0 and asks for nothing; its derivative at the kink is taken as 0.

    Args:
        margin: time, > 0.
        squared: half the squares instead of the differences themselves.
        horizon: the time that stands for silence, > 0; first spikes after it are an error.
        population: name of the readout; None: the last population.

    Raises:
        ValueError: when called, if a first spike comes after ``horizon``: names sample and output.
    """

    margin: float
    squared: bool = False
    horizon: float

    def __post_init__(self) -> None:
        check_times(self, "margin", "horizon")
        if not isinstance(self.squared, bool):
            raise TypeError(f"squared is {self.squared!r}, expected True or False")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are classes, one a sample; asked before the first step."""
        check_classes(net, self.population, labels, n_samples)

    def check_until(self, until: float) -> None:
        """Raises if spikes may come after the horizon, where silence would look better."""
        check_horizon(self.horizon, until)

    def looks_at(self, net: Network) -> list[str]:
        """The readout: nothing but its first spikes."""
        return [readout_of(net, self.population).name]

    def __call__(self, record: Record, labels: ArrayLike) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by first spike times."""
        p = self.readout(record)
        chosen = check_labels(labels, record.n_samples, p.size)
        first = record.first_spikes(p)
        t = _or_horizon(first, self.horizon)
        rows = np.arange(record.n_samples)
        missing = np.maximum(0.0, self.margin + t[rows, chosen][:, None] - t)
        missing[rows, chosen] = 0.0
        asked = missing if self.squared else (missing > 0).astype(np.float64)
        total = 0.5 * float(np.sum(missing**2)) if self.squared else float(missing.sum())
        dt = -asked
        dt[rows, chosen] = asked.sum(axis=1)
        dt /= record.n_samples
        return total / record.n_samples, {p.name: np.where(np.isfinite(first), dt, 0.0)}


@dataclass(frozen=True, kw_only=True)
class FirstSpikeLatency(Loss):
    """Mean time of the first spikes of chosen neurons: asks for answers soon.

    ``L`` is the mean over samples and chosen neurons of t_k, the first spike of neuron k, or
    ``horizon`` if there is none (no gradient then). Labels are not looked at: a term to add to a
    loss that classifies.

    Args:
        units: neurons of the population; None: all.
        horizon: the time that stands for silence, > 0; first spikes after it are an error.
        population: its name; None: the last population.

    Raises:
        ValueError: when called, if a first spike comes after ``horizon``: names sample and neuron.
    """

    units: tuple[int, ...] | None = None
    horizon: float
    population: str | None = None

    def __post_init__(self) -> None:
        check_times(self, "horizon")
        if self.units is None:
            return
        units = integer_array(self.units, "units").reshape(-1)
        if not units.size or np.unique(units).size != units.size:
            raise ValueError(f"units is {self.units}, expected different neurons, at least one")
        object.__setattr__(self, "units", tuple(units.tolist()))

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless the population has these neurons; asked before the first step."""
        self._chosen(readout_of(net, self.population))

    def check_until(self, until: float) -> None:
        """Raises if spikes may come after the horizon, where silence would look better."""
        check_horizon(self.horizon, until)

    def looks_at(self, net: Network) -> list[str]:
        """The population: nothing but its first spikes."""
        return [readout_of(net, self.population).name]

    def _chosen(self, p: Population) -> NDArray[np.bool_]:
        if self.units is None:
            return np.ones(p.size, dtype=bool)
        for k, unit in enumerate(self.units):
            if not 0 <= unit < p.size:
                raise ValueError(f"units[{k}] is {unit}, expected 0 <= unit < {p.size} ({p.name})")
        chosen = np.zeros(p.size, dtype=bool)
        chosen[list(self.units)] = True
        return chosen

    def __call__(self, record: Record, labels: Any = None) -> tuple[float, Cotangents]:
        """The mean time and its derivative by first spike times."""
        p = readout_of(record._net, self.population)
        chosen = self._chosen(p)
        first = np.where(chosen, record.first_spikes(p), np.inf)
        terms = record.n_samples * int(np.count_nonzero(chosen))
        value = float(_or_horizon(first, self.horizon)[:, chosen].sum()) / terms
        return value, {p.name: np.where(np.isfinite(first), 1.0 / terms, 0.0)}


@dataclass(frozen=True, kw_only=True)
class FirstSpikeFunction(FirstSpikeLoss):
    """Any function of first spike times, written in NumPy.

    Args:
        function: ``f(first, labels) -> (value, dL/dt)`` with first spike times ``[samples, n]``
            (inf where silent) and a derivative of the same shape (ignored where silent, where it
            must be finite too).
        population: name of the readout; None: the last population.
    """

    function: FirstSpikeFn

    def looks_at(self, net: Network) -> list[str]:
        """The readout: nothing but its first spikes."""
        return [readout_of(net, self.population).name]

    def __call__(self, record: Record, labels: Any) -> tuple[float, Cotangents]:
        """The function's value and derivative, checked."""
        p = self.readout(record)
        first = record.first_spikes(p)
        value, derivative = value_and_derivative(self.function(first, labels), "the loss function")
        return value, {p.name: check_derivative(value, derivative, first.shape)}
