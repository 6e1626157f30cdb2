"""What losses have in common: they can be weighted and added, whatever form their parts have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import real_array
from snnfp._first_spikes import looked_at
from snnfp._numbers import real_number
from snnfp.network import Network
from snnfp.record import Record

__all__ = ["Cotangents", "Loss", "WeightedSum", "added", "value_and_derivative"]

Cotangents = NDArray[Any] | dict[Any, NDArray[Any]]


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


class Loss:
    """Base of losses that can be weighted and added: ``0.9 * a + 0.1 * b``.

    A term may also be a plain function ``f(record, labels) -> (value, dL/dt)``. All terms are given
    the same labels.
    """

    def __call__(self, record: Record, labels: Any) -> tuple[float, Cotangents]:
        """The value and its derivative, in a form that :meth:`snnfp.Record.vjp` takes."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(record, labels)")

    def __add__(self, other: Any) -> WeightedSum:
        if isinstance(other, int) and other == 0:  # sum() begins with it
            return _sum_of(self)
        if not callable(other) or isinstance(other, type):
            return NotImplemented
        a, b = _sum_of(self), _sum_of(other)
        return WeightedSum(terms=a.terms + b.terms, weights=a.weights + b.weights)

    def __radd__(self, other: Any) -> WeightedSum:
        if isinstance(other, int) and other == 0:
            return _sum_of(self)
        if not callable(other) or isinstance(other, type):
            return NotImplemented
        return _sum_of(other) + self

    def __mul__(self, factor: Any) -> WeightedSum:
        if callable(factor) or np.ndim(factor):
            return NotImplemented
        own = _sum_of(self)
        number = float(real_number(factor, "the weight of a loss"))
        return WeightedSum(terms=own.terms, weights=tuple(number * w for w in own.weights))

    __rmul__ = __mul__


def _sum_of(loss: Any) -> WeightedSum:
    return loss if isinstance(loss, WeightedSum) else WeightedSum(terms=(loss,), weights=(1.0,))


@dataclass(frozen=True, kw_only=True)
class WeightedSum(Loss):
    """A weighted sum of losses, which ``0.9 * a + 0.1 * b`` makes.

    ``predict``, ``accuracy``, ``probabilities`` and ``population`` are those of the first term that
    classifies; without one the sum has none of them. What a term asks for (labels it can read, no
    ``until`` after its horizon) the sum asks for.

    Args:
        terms: losses or functions, at least one.
        weights: finite numbers, one a term.
    """

    terms: tuple[Any, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("terms", "weights"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.terms or len(self.terms) != len(self.weights):
            raise ValueError(
                f"{len(self.terms)} terms have {len(self.weights)} weights, expected as many, and "
                "at least one"
            )
        for k, (term, weight) in enumerate(zip(self.terms, self.weights, strict=True)):
            if not callable(term) or isinstance(term, type):
                raise TypeError(f"terms[{k}] is {term!r}, expected a loss")
            if not math.isfinite(real_number(weight, f"weights[{k}]")):
                raise ValueError(f"weights[{k}] is {weight}, expected a finite number")

    @property
    def classifier(self) -> Any:
        """The first term that classifies (has ``predict``), or None."""
        return next((t for t in self.terms if hasattr(t, "predict")), None)

    def __getattr__(self, name: str) -> Any:
        # Asked for what is not there; "terms" is missing while the object is being copied.
        if name in _OF_THE_CLASSIFIER and "terms" in vars(self):
            term = self.classifier
            if term is not None and hasattr(term, name):
                return getattr(term, name)
        raise AttributeError(f"{type(self).__name__} has no {name}")

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless each term goes with network and labels."""
        for term in self.terms:
            if hasattr(term, "check"):
                term.check(net, labels, n_samples)

    def check_until(self, until: float) -> None:
        """Raises if ``until`` is after the horizon of a term."""
        for term in self.terms:
            if hasattr(term, "check_until"):
                term.check_until(until)

    def looks_at(self, net: Network) -> list[str]:
        """Populations whose first spikes are all that the terms look at; none: they see more."""
        methods = ("__call__", "accuracy", "predict", "probabilities")
        parts = [looked_at(term, net, *methods) for term in self.terms]
        return list(dict.fromkeys(n for part in parts for n in part)) if all(parts) else []

    def __call__(self, record: Record, labels: Any) -> tuple[float, Cotangents]:
        """The weighted sum of the values, and that of the derivatives."""
        value = 0.0
        parts = []
        for k, (term, weight) in enumerate(zip(self.terms, self.weights, strict=True)):
            part, cotangents = value_and_derivative(
                term(record, labels), f"term {k} of the loss ({_name(term)})"
            )
            value += weight * part
            parts.append((weight, cotangents))
        return value, added(record, parts)


_OF_THE_CLASSIFIER = frozenset(("predict", "accuracy", "probabilities", "population", "readout"))


def _name(term: Any) -> str:
    return getattr(term, "__name__", type(term).__name__)


def added(record: Record, parts: Iterable[tuple[float, Any]]) -> Cotangents:
    """The weighted sum of derivatives, each in one of the forms that a loss may return.

    Arrays over all spikes give such an array. A mapping stays one, with what is said of a
    population as first spikes where all terms do, and else one a spike of it. Of a key that is no
    population all terms must say the same kind of thing: arrays of one shape, or mappings.

    Args:
        record: that the losses saw.
        parts: weights and derivatives.
    """
    given = list(parts)
    if not any(isinstance(c, Mapping) for _, c in given):
        return _sum_arrays([(w, c) for w, c in given], record.n_spikes)
    out: dict[str, Any] = {}
    for weight, cotangents in given:
        for key, value in _by_group(record, cotangents).items():
            name = getattr(key, "name", key)
            term = _times(weight, value, name)
            out[name] = _plus(record, name, out[name], term) if name in out else term
    return out


def _sum_arrays(parts: list[tuple[float, Any]], n_spikes: int) -> NDArray[Any]:
    total = np.zeros(n_spikes)
    for weight, cotangents in parts:
        array = real_array(cotangents, "cotangents", total.dtype)
        if array.shape != total.shape:
            raise ValueError(
                f"cotangents have shape {array.shape}, expected {total.shape}, one a spike of the "
                "record"
            )
        total += weight * array
    return total


def _by_group(record: Record, cotangents: Any) -> Mapping[Any, Any]:
    """A derivative by population, be it given so or as one array."""
    if isinstance(cotangents, Mapping):
        return cotangents
    flat = _sum_arrays([(1.0, cotangents)], record.n_spikes)
    return {name: flat[record.indices(name)] for name in record._net.populations}


def _times(weight: float, value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _times(weight, v, f"{name}[{k!r}]") for k, v in value.items()}
    return weight * real_array(value, f"cotangents of {name}", np.dtype(np.float64))


def _plus(record: Record, name: str, a: Any, b: Any) -> Any:
    """The sum of two derivatives of the same thing."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return {
            k: _plus(record, name, a[k], b[k]) if k in a and k in b else (a[k] if k in a else b[k])
            for k in (*a, *(k for k in b if k not in a))
        }
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        raise ValueError(f"cotangents of {name} are an array in one term, a mapping in another")
    if a.shape == b.shape:
        return a + b
    if name not in record._net.populations:
        raise ValueError(
            f"cotangents of {name} have shape {a.shape} in one term, {b.shape} in another"
        )
    return _one_a_spike(record, name, a) + _one_a_spike(record, name, b)


def _one_a_spike(record: Record, name: str, value: NDArray[Any]) -> NDArray[Any]:
    """What is said of first spikes, as one number a spike of the population."""
    own = record.indices(name)
    return value if value.shape == own.shape else record._cotangents({name: value})[own]


def check_derivative(value: float, derivative: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """What a user's function returned, if value and derivative are finite and of this shape."""
    dt = real_array(derivative, "the derivative of the loss function", np.dtype(np.float64))
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
    return dt
