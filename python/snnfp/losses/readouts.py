"""Losses of what is read off a readout: cross-entropy, and squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain, real_array, spot
from snnfp.groups import Population, Readout
from snnfp.losses.base import Cotangents, Loss
from snnfp.losses.labels import check_labels, is_classes, readout_of
from snnfp.network import Network
from snnfp.readings import Reading, no_end, readout_named
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["ReadoutCrossEntropy", "ReadoutLoss", "ReadoutSquaredError", "output_of"]


def output_of(net: Network, loss: Any) -> Population | Readout:
    """The population or readout that a loss classifies by; the last population if it does not say.

    Raises:
        KeyError: there is none of the name that the loss gives.
    """
    term = getattr(loss, "classifier", None) or loss  # of a sum
    if isinstance(term, ReadoutLoss):
        return readout_named(net, term.population)
    name = getattr(term, "population", None)
    return net.readouts[name] if name in net.readouts else readout_of(net, name)


@dataclass(frozen=True, kw_only=True)
class ReadoutLoss(Loss):
    """Base of losses of what is read off a readout.

    Samples are simulated up to ``until``, which must be finite unless V is read at given times.

    Args:
        value: what is read: see :class:`snnfp.Reading`.
        time_scale: of ``"weighted_integral"``.
        times: of ``"at"``.
        population: name of the readout; None: the last readout of the network.
    """

    value: str = "weighted_integral"
    time_scale: float | None = None
    times: tuple[float, ...] | None = None
    population: str | None = None

    def __post_init__(self) -> None:
        asked = Reading("", self.value, self.times, self.time_scale)
        object.__setattr__(self, "times", asked.times)

    def reading(self, net: Network) -> Reading:
        """What is read off the readout of this network, a key of cotangents."""
        name = readout_named(net, self.population).name
        return Reading(name, self.value, self.times, self.time_scale)

    def values(self, record: Record) -> NDArray[Any]:
        """What is read, ``[samples, n]``; of ``"at"`` ``[samples, times, n]``."""
        return record.readout(self.reading(record._net))

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless loss, network and labels go together; asked before the first step."""
        self.reading(net)

    def check_until(self, until: float) -> None:
        """Raises if there is no end up to which the value could be read."""
        if math.isinf(until) and self.value != "at":
            raise ValueError(no_end(self.value, self.population))
        late = [t for t in self.times or () if t > until]
        if late:
            raise ValueError(f"the loss reads V at {late[0]:g}, after until = {until:g}")

    def predict(self, record: Record) -> NDArray[np.int64]:
        """The neuron with the largest value, ``[samples]`` (its mean over ``times``)."""
        chosen: NDArray[np.int64] = np.argmax(self._scores(record), axis=1)
        return chosen

    def accuracy(self, record: Record, labels: ArrayLike) -> float:
        """Fraction of samples whose largest value is the label's."""
        size = readout_named(record._net, self.population).size
        return float(np.mean(self.predict(record) == check_labels(labels, record.n_samples, size)))

    def _scores(self, record: Record) -> NDArray[np.float64]:
        """One value a sample and neuron."""
        values = np.asarray(self.values(record), dtype=np.float64)
        return values.mean(axis=1) if values.ndim == 3 else values


@dataclass(frozen=True, kw_only=True)
class ReadoutCrossEntropy(ReadoutLoss):
    """Cross-entropy of what is read: ``L = -log softmax(v)[label]``, averaged over samples.

    ``v`` are the values of the readout's neurons, of ``"at"`` their means over ``times``.
    :func:`snnfp.scale_readout` brings them to size 1, so that one learning rate fits all values.

    Args:
        value: what is read: see :class:`snnfp.Reading`. The ``"weighted_integral"`` is the one to
            begin with (docs/readouts.md says why).
        time_scale: of ``"weighted_integral"``: how fast the weight e^(-t / time_scale) of V fades.
        times: of ``"at"``.
        population: name of the readout; None: the last readout of the network.
    """

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are classes, one a sample; asked before the first step."""
        if isinstance(labels, Spikes):
            raise TypeError("labels are snnfp.Spikes, expected classes, one integer a sample")
        check_labels(labels, n_samples, readout_named(net, self.population).size)

    def probabilities(self, record: Record) -> NDArray[np.float64]:
        """The softmax of the loss, ``[samples, n]``."""
        scores = self._scores(record)
        exponentials: NDArray[np.float64] = np.exp(scores - scores.max(axis=1, keepdims=True))
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials

    def __call__(self, record: Record, labels: ArrayLike) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by what was read."""
        reading = self.reading(record._net)
        scores = self._scores(record)
        n, size = scores.shape
        chosen = check_labels(labels, n, size)
        z = scores - scores.max(axis=1, keepdims=True)
        exponentials = np.exp(z)
        total = exponentials.sum(axis=1, keepdims=True)
        rows = np.arange(n)
        value = float(np.sum(np.log(total[:, 0]) - z[rows, chosen])) / n
        by_score = exponentials / total
        by_score[rows, chosen] -= 1.0
        by_score /= n
        if reading.times is not None:
            each = by_score[:, None, :] / len(reading.times)
            by_score = np.repeat(each, len(reading.times), axis=1)
        return value, {reading: by_score}


@dataclass(frozen=True, kw_only=True)
class ReadoutSquaredError(ReadoutLoss):
    """Half the squared distance of what is read from targets, averaged over samples.

    With ``value="at"``, the default, it is regression on curves. Labels are targets in the shape
    of what is read, ``[samples, times, n]`` (of other values ``[samples, n]``), NaN where anything
    will do; or classes, one integer a sample: then 1 for the neuron of the class, 0 for others.

    Args:
        value: what is read: see :class:`snnfp.Reading`.
        time_scale: of ``"weighted_integral"``.
        times: of ``"at"``.
        population: name of the readout; None: the last readout of the network.
    """

    value: str = "at"

    def check(self, net: Network, labels: Any, n_samples: int) -> None:
        """Raises unless labels are targets for what is read; asked before the first step."""
        self._targets(net, labels, n_samples)

    def __call__(self, record: Record, labels: ArrayLike) -> tuple[float, Cotangents]:
        """The mean loss and its derivative by what was read."""
        target = self._targets(record._net, labels, record.n_samples)
        said = np.asarray(self.values(record), dtype=np.float64)
        difference = np.where(np.isnan(target), 0.0, said - target)
        value = 0.5 * float(np.sum(difference**2)) / record.n_samples
        return value, {self.reading(record._net): difference / record.n_samples}

    def _targets(self, net: Network, labels: Any, n_samples: int) -> NDArray[np.float64]:
        if isinstance(labels, Spikes):
            raise TypeError("targets are snnfp.Spikes, expected voltages (real numbers) or classes")
        p = readout_named(net, self.population)
        shape = self.reading(net).shape(n_samples, p.size)
        array = plain(labels, "targets")
        # One output has no classes to tell apart: integers would be targets, of another shape.
        if array.shape == (n_samples,) and p.size > 1 and is_classes(array, p.size):
            wanted = np.zeros((n_samples, p.size))
            wanted[np.arange(n_samples), array] = 1.0
            return np.broadcast_to(wanted if len(shape) == 2 else wanted[:, None, :], shape)
        if array.shape != shape:
            classes = f", or classes 0 <= label < {p.size} of shape ({n_samples},)"
            raise ValueError(
                f"targets have shape {array.shape}, expected {shape}"
                f"{' (samples, times, neurons)' if len(shape) == 3 else ''}"
                f"{classes if p.size > 1 else ''}"
            )
        target = real_array(labels, "targets", np.dtype(np.float64))
        bad = np.argwhere(np.isinf(target))
        if bad.size:
            at = tuple(bad[0].tolist())
            raise ValueError(
                f"{spot('targets', at)} is {target[at]}, expected a finite number, or NaN for any"
            )
        return target
