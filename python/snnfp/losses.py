"""Losses of spike times: a record and labels in, a value and its derivative by spike times out.

A loss is any ``f(record, labels) -> (value, cotangents)`` with cotangents as
:meth:`snnfp.Record.vjp` takes them; those here average over the samples of a batch and classify.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain, real_array, spot
from snnfp._numbers import real_number
from snnfp.network import Network, Population, population_of
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = [
    "FirstSpikeCrossEntropy",
    "FirstSpikeFunction",
    "FirstSpikeLoss",
    "SpikeTimeFunction",
    "SpikeTimeSquaredError",
    "check_labels",
    "is_classes",
    "readout_of",
    "value_and_derivative",
]

Cotangents = NDArray[Any] | dict[str, NDArray[Any]]
FirstSpikeFn = Callable[[NDArray[Any], Any], tuple[float, ArrayLike]]
SpikeTimeFn = Callable[[Record, Any], tuple[float, ArrayLike]]


def check_labels(labels: ArrayLike, n_samples: int, n_classes: int) -> NDArray[np.int64]:
    """Class labels ``[samples]`` as int64, or an error that names the sample and the value."""
    array = plain(labels, "labels")
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels have dtype {array.dtype}, expected integers{_numbered(array)}")
    if array.shape != (n_samples,):
        hint = ""
        if array.ndim == 2 and array.shape[0] == n_samples:
            one = array.shape[1] == 1
            hint = f": labels.{'reshape(-1)' if one else 'argmax(axis=1)'} makes them so"
        raise ValueError(
            f"labels have shape {array.shape}, expected ({n_samples},), one a sample{hint}"
        )
    classes = array.astype(np.int64)
    # As unsigned numbers, those below 0 are large.
    wrong = classes.view(np.uint64) >= n_classes
    if wrong.any():
        bad = np.flatnonzero(wrong)
        raise ValueError(
            f"labels[{bad[0]}] is {array[bad[0]]}, expected 0 <= label < {n_classes} "
            "(the size of the output population)"
        )
    return classes


def _numbered(array: NDArray[Any]) -> str:
    """How labels of another kind become integers."""
    if array.dtype.kind in "USO" and array.size:
        return ": classes, labels = np.unique(labels, return_inverse=True) numbers them"
    if array.dtype.kind == "b":
        return ": labels.astype(int) makes them 0 and 1"
    whole = array.dtype.kind == "f" and bool(np.all(np.mod(array, 1) == 0))
    return ": labels.astype(int) makes them so" if whole and array.size else ""


def is_classes(labels: NDArray[Any], n_classes: int) -> bool:
    """Whether labels are classes, one a sample: integers ``0 <= label < n_classes``."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return False
    return bool(np.all((labels >= 0) & (labels < n_classes)))


def readout_of(net: Network, name: str | None) -> Population:
    """The population of that name, or the last one."""
    if not net.populations:
        raise ValueError(f"{net!r} has no population, expected at least one")
    return population_of(net, name if name is not None else next(reversed(net.populations)))


def _check_times(loss: Any, *names: str) -> None:
    for name in names:
        value = real_number(getattr(loss, name), name)
        if not (value > 0 and np.isfinite(value)):
            raise ValueError(f"{name} is {value}, expected a finite time > 0")


def _check_horizon(horizon: float, until: float) -> None:
    if until > horizon and np.isfinite(until):
        raise ValueError(
            f"the loss has horizon = {horizon}, before until = {until}: silence would count as "
            "earlier than a spike after the horizon, expected horizon >= until"
        )


def _check_late(first: NDArray[Any], horizon: float) -> None:
    """Raises if a first spike ``[samples, n]`` comes after the horizon, rounded as times are."""
    late = np.argwhere((first > first.dtype.type(horizon)) & np.isfinite(first))
    if late.size:
        sample, k = late[0]
        _too_late(sample, k, first[sample, k], horizon)


def _too_late(sample: Any, neuron: Any, time: Any, horizon: float) -> None:
    raise ValueError(
        f"sample {sample}: output {neuron} fires at {time:g}, after horizon = {horizon} of the "
        "loss: silence would count as earlier, expected a horizon after all spikes, or until <= "
        "horizon"
    )


def _check_derivative(value: float, dt: NDArray[Any], shape: tuple[int, ...]) -> None:
    if not np.isfinite(value):
        raise ValueError(f"the loss function returned the value {value}, expected a finite number")
    if dt.shape != shape:
        raise ValueError(
            f"the loss function returned a derivative of shape {dt.shape}, expected {shape}"
        )
    bad = np.argwhere(~np.isfinite(dt))
    if bad.size:
        at = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"the loss function returned dL/dt{list(at)} = {dt[at]}, expected a finite number"
        )


def value_and_derivative(returned: Any, what: str) -> tuple[float, Any]:
    """The two parts of what a loss returned, or an error that says what was expected."""
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        count = f"{len(returned)} values" if isinstance(returned, (tuple, list)) else None
        raise TypeError(
            f"{what} returned {count or f'a {type(returned).__name__}'}, expected (value, dL/dt)"
        )
    value, derivative = returned
    if np.ndim(value) != 0 or np.asarray(value).dtype.kind not in "fiu":
        raise TypeError(f"{what} returned the value {value!r}, expected one number")
    return float(value), derivative


@dataclass(frozen=True, kw_only=True)
class FirstSpikeLoss:
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
        first = record.first_spikes(self.readout(record))
        return np.where(np.isfinite(first).any(axis=1), np.argmin(first, axis=1), -1)

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
        _check_times(self, "tau0", "tau1", "horizon")
        if not (real_number(self.gamma, "gamma") >= 0 and np.isfinite(self.gamma)):
            raise ValueError(f"gamma is {self.gamma}, expected a finite number >= 0")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are classes, one a sample; asked before the first step."""
        if isinstance(labels, Spikes):
            raise TypeError("labels are snnfp.Spikes, expected classes, one integer a sample")
        check_labels(labels, n_samples, readout_of(net, self.population).size)

    def check_until(self, until: float) -> None:
        """Raises if spikes may come after the horizon, where silence would look better."""
        _check_horizon(self.horizon, until)

    def probabilities(self, record: Record) -> NDArray[np.float64]:
        """The softmax of the loss, ``[samples, n]``: what it takes each class's chance to be.

        Silent outputs count as spikes at ``horizon``; where none fires, all are equally likely.
        """
        exponentials = self._exponentials(record.first_spikes(self.readout(record)))[1]
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials

    def _exponentials(
        self, first: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
        """Times (``horizon`` for silence), exp(z) and z = -t / tau0, shifted so that max z = 0."""
        t = np.where(np.isfinite(first), np.asarray(first, dtype=np.float64), self.horizon)
        if t.max() > self.horizon:
            _check_late(first, self.horizon)
        z = t / -self.tau0
        z -= z.max(axis=1, keepdims=True)
        return t, np.exp(z), z

    def looks_at(self, net: Network) -> list[str]:
        """The readout: nothing but its first spikes."""
        return [readout_of(net, self.population).name]

    def __call__(self, record: Record, labels: ArrayLike) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by first spike times."""
        p = self.readout(record)
        chosen = check_labels(labels, record.n_samples, p.size)
        first = record.first_spikes(p)
        t, exponentials, z = self._exponentials(first)
        n = t.shape[0]
        of_label = np.arange(0, t.size, p.size) + chosen  # in flattened arrays
        total = exponentials.sum(axis=1, keepdims=True)
        loss = np.log(total[:, 0]) - z.take(of_label)
        dt = exponentials
        dt /= -total
        dt.reshape(-1)[of_label] += 1.0
        dt /= self.tau0
        if self.gamma:  # without weight it must not overflow either
            with np.errstate(over="ignore"):
                late = np.expm1(t.take(of_label) / self.tau1)
            if not np.isfinite(late).all():
                k = int(np.argmin(np.isfinite(late)))
                raise ValueError(
                    f"sample {k}: exp(t / tau1) is out of range with t = {t.take(of_label)[k]:g} "
                    f"and tau1 = {self.tau1}, expected a longer tau1"
                )
            loss += self.gamma * late
            dt.reshape(-1)[of_label] += self.gamma / self.tau1 * (late + 1.0)
        dt /= n
        return float(loss.sum()) / n, {p.name: np.where(np.isfinite(first), dt, 0.0)}


@dataclass(frozen=True, kw_only=True)
class SpikeTimeSquaredError(FirstSpikeLoss):
    """Half the squared distance of spike times from target times, averaged over samples.

    Labels are either first-spike targets, ``[samples, n]`` with NaN for "any time", or a
    :class:`snnfp.Spikes` batch: then the k-th spike of a neuron is held against its k-th target.
    ``horizon`` stands for what is missing: a missing spike counts as one at ``horizon`` (and has no
    gradient), one too many has ``horizon`` for its target.

    Args:
        horizon: the time that stands for a missing spike, > 0; spikes with a target after it are
            an error.
        population: name of the readout; None: the last population.

    Raises:
        ValueError: when called, if such a spike comes after ``horizon``: names sample and output.
    """

    horizon: float

    def __post_init__(self) -> None:
        _check_times(self, "horizon")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are targets for the readout; asked before the first step."""
        _check_targets(labels, n_samples, readout_of(net, self.population).size, self.horizon)

    def check_until(self, until: float) -> None:
        """Raises if spikes may come after the horizon, where silence would look better."""
        _check_horizon(self.horizon, until)

    def __call__(self, record: Record, labels: ArrayLike | Spikes) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by spike times."""
        if isinstance(labels, Spikes):
            return self._all(record, labels)
        p = self.readout(record)
        _check_targets(labels, record.n_samples, p.size, self.horizon)
        target = real_array(labels, "targets", np.dtype(np.float64))
        first = np.asarray(record.first_spikes(p), dtype=np.float64)
        fires = np.isfinite(first)
        wanted = ~np.isnan(target)
        if np.any((first > self.horizon) & fires):
            _check_late(np.where(wanted, record.first_spikes(p), np.inf), self.horizon)
        difference = np.where(wanted, np.where(fires, first, self.horizon) - target, 0.0)
        value = 0.5 * float(np.sum(difference**2)) / record.n_samples
        return value, {p.name: np.where(fires, difference, 0.0) / record.n_samples}

    def _all(self, record: Record, target: Spikes) -> tuple[float, Cotangents]:
        p = self.readout(record)
        _check_targets(target, record.n_samples, p.size, self.horizon)
        at = record.indices(p)
        times = np.asarray(record.times[at], dtype=np.float64)
        late = np.flatnonzero(record.times[at] > record.times.dtype.type(self.horizon))
        if late.size:
            k = at[late[0]]
            _too_late(
                record.samples[k], record.neurons[k] - p.offset, record.times[k], self.horizon
            )
        mine = _ordinals(record.samples[at] * p.size + (record.neurons[at] - p.offset))
        rows = np.repeat(np.arange(len(target)), np.diff(target.offsets))
        theirs = _ordinals(rows * p.size + target.units)
        table = dict(zip(theirs, target.times, strict=True))
        cotangents = np.zeros(record.n_spikes)
        total = 0.0
        for k, key, t in zip(at, mine, times, strict=True):
            if key in table:
                difference = t - table.pop(key)
            else:
                difference = t - self.horizon
            cotangents[k] = difference / record.n_samples
            total += difference**2
        total += sum((t - self.horizon) ** 2 for t in table.values())
        return 0.5 * total / record.n_samples, cotangents


def _check_targets(targets: Any, n_samples: int, size: int, horizon: float) -> None:
    if isinstance(targets, Spikes):
        if targets.size != size or len(targets) != n_samples:
            raise ValueError(
                f"targets are {len(targets)} samples of {targets.size} neurons, expected "
                f"{n_samples} of {size}"
            )
        late = np.flatnonzero(targets.times > horizon)
        if late.size:
            k = int(late[0])
            sample = int(np.searchsorted(targets.offsets, k, side="right")) - 1
            raise ValueError(
                f"targets of sample {sample}, spike {k - targets.offsets[sample]}: time "
                f"{targets.times[k]}, expected at most horizon = {horizon}, the time of a spike "
                "that is missing"
            )
        return
    array = plain(targets, "targets")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"targets have dtype {array.dtype}, expected times (real numbers)")
    if array.shape != (n_samples, size):
        raise ValueError(f"targets have shape {array.shape}, expected {(n_samples, size)}")
    bad = np.argwhere((array < 0) | (array > horizon))
    if bad.size:
        at = tuple(bad[0])
        raise ValueError(
            f"{spot('targets', at)} is {array[at]}, expected 0 <= time <= horizon = {horizon}, or "
            "NaN for any time"
        )


def _ordinals(keys: NDArray[Any]) -> list[tuple[int, int]]:
    """(key, how many equal keys came before) of each entry."""
    seen: dict[int, int] = {}
    out = []
    for key in keys.tolist():
        out.append((key, seen.get(key, 0)))
        seen[key] = seen.get(key, 0) + 1
    return out


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
        dt = real_array(derivative, "the derivative of the loss function", np.dtype(np.float64))
        _check_derivative(value, dt, first.shape)
        return value, {p.name: dt}


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
        dt = real_array(derivative, "the derivative of the loss function", np.dtype(np.float64))
        _check_derivative(value, dt, (record.n_spikes,))
        return value, dt
