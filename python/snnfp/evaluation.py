"""What a network makes of a data set: loss, accuracy, labels, first spikes, probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfp._dataset import DataSet, Samples, check_end, check_setting, locate
from snnfp._first_spikes import looked_at, no_further_than
from snnfp._numbers import count
from snnfp._silence import silence_untold
from snnfp.groups import Readout
from snnfp.losses import (
    FirstSpikeCrossEntropy,
    FirstSpikeLoss,
    output_of,
    value_and_derivative,
)
from snnfp.network import Network
from snnfp.record import Record
from snnfp.simulate import InputSpikes, simulate

if TYPE_CHECKING:
    from snnfp.data.sources import SpikeSource

__all__ = ["Evaluation", "Prediction", "evaluate", "evaluate_data", "predict"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of each sample, by the loss it was trained with.

    Attributes:
        labels: the class, ``[samples]`` int64; -1 where no output fires.
        first_spikes: of the output population, ``[samples, n]``; inf where silent. None for a loss
            of a readout, which has no spikes.
        probabilities: of the classes, ``[samples, n]``; None for a loss that has none.
        values: what is read off a readout, ``[samples, n]`` or ``[samples, times, n]``; None for a
            loss of spikes.
    """

    labels: NDArray[np.int64]
    first_spikes: NDArray[Any] | None
    probabilities: NDArray[np.float64] | None
    values: NDArray[Any] | None = None

    def __len__(self) -> int:
        return self.labels.size


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of :func:`evaluate`.

    Attributes:
        loss: mean over the samples.
        accuracy: fraction of labels met; nan where labels are no classes of the loss.
        silent: by population, the fraction of neurons that fire in no sample; for a loss of first
            spikes, before each output has fired: there a sample ends.
        prediction: as of :func:`predict`; None for a loss without ``predict``.
    """

    loss: float
    accuracy: float
    silent: dict[str, float]
    prediction: Prediction | None = None


def evaluate(
    net: Network,
    spikes: InputSpikes | SpikeSource,
    labels: Any,
    loss: Any,
    *,
    until: float | None = None,
    batch_size: int = 512,
    n_threads: int | None = None,
) -> Evaluation:
    """Mean loss, accuracy and predictions over a data set.

    Args:
        net: the network.
        spikes: its input, or a data set with ``len`` and ``take``; a mapping ``{input: ...}`` where
            there are several.
        labels: for the loss, one a sample.
        loss: see :mod:`snnfp.losses`.
        until: end of the simulation.
        batch_size: samples simulated together.
        n_threads: None: all.

    Raises:
        ValueError: bad data; names the sample of the data set.
    """
    check_setting(net, loss)
    check_end(loss, until)
    data = DataSet(net, loss, (spikes, labels), "data")
    return evaluate_data(
        net, data, loss, until=until, batch_size=batch_size, n_threads=n_threads, what="evaluate"
    )


def evaluate_data(
    net: Network,
    data: DataSet,
    loss: Any,
    *,
    until: float | None,
    what: str,
    batch_size: int = 512,
    n_threads: int | None = None,
) -> Evaluation:
    """:func:`evaluate` of a data set that was checked; ``what`` is for errors."""
    total = hits = 0.0
    fired = {name: np.zeros(p.size, dtype=bool) for name, p in net.populations.items()}
    seen = _Seen(net, loss)
    needed = [looked_at(loss, net, "__call__", "accuracy", "predict", "probabilities")]
    if seen.readout is not None:
        needed.append((seen.readout.name,))
    no_further = no_further_than(net, needed)
    with silence_untold(net):
        for chosen in _batches(data.size, batch_size):
            try:
                spikes, labels = data.take(chosen)
                record = simulate(
                    net,
                    spikes,
                    until=until,
                    samples=chosen.size,
                    n_threads=n_threads,
                    **no_further,
                )
                value, _ = value_and_derivative(loss(record, labels), "the loss")
                total += value * chosen.size
                if data.accuracy:
                    hits += labels_met(loss, record, labels, chosen.size)
                seen.add(record)
            except Exception as error:
                locate(error, chosen, what)
                raise
            for name in net.populations:
                fired[name] |= record.fires(name)
    silent = {name: float(np.mean(~f)) for name, f in fired.items()}
    accuracy = hits / data.size if data.accuracy else math.nan
    return Evaluation(total / data.size, accuracy, silent, seen.prediction())


def labels_met(loss: Any, record: Record, labels: Any, samples: int) -> float:
    """How many samples an accuracy stands for: a whole number, as sums of fractions are not exact.

    That of a user's own loss may count samples in part.
    """
    met = float(loss.accuracy(record, labels)) * samples
    near = float(np.rint(met))  # nan stays nan
    return near if abs(met - near) < 1e-6 * samples else met


def predict(
    net: Network,
    spikes: InputSpikes | SpikeSource,
    loss: Any,
    *,
    until: float | None = None,
    batch_size: int = 512,
    n_threads: int | None = None,
) -> Prediction:
    """Labels, first spikes and, for losses that have them, probabilities of each sample.

    Args:
        net: the network.
        spikes: its input, or a data set with ``len`` and ``take``; a mapping ``{input: ...}`` where
            there are several.
        loss: what says how spikes are read (see :mod:`snnfp.losses`).
        until: end of the simulation.
        batch_size: samples simulated together.
        n_threads: None: all.

    Raises:
        TypeError: a loss without ``predict``.
        ValueError: bad input; names the sample of the data set.
    """
    check_setting(net, loss)
    check_end(loss, until)
    seen = _Seen(net, loss)
    if not seen.predicts:
        raise TypeError(f"{loss!r} has no predict(record), expected a loss that classifies")
    samples = Samples(net, spikes, "spikes", 1)
    needed = [(seen.readout.name,) if seen.readout and _reads_first_spikes(loss) else ()]
    no_further = no_further_than(net, needed)
    with silence_untold(net):
        for chosen in _batches(samples.size, batch_size):
            try:
                part = samples.take(chosen)
                record = simulate(net, part, until=until, n_threads=n_threads, **no_further)
                seen.add(record)
            except Exception as error:
                locate(error, chosen, "predict")
                raise
    prediction = seen.prediction()
    assert prediction is not None
    return prediction


def _reads_first_spikes(loss: Any) -> bool:
    """Whether labels and probabilities are those of this library's losses, not a user's own."""
    kind = type(getattr(loss, "classifier", None) or loss)  # of a sum, the term that is asked
    mine = getattr(kind, "predict", None) is FirstSpikeLoss.predict
    return mine and getattr(kind, "probabilities", _PROBABILITIES) is _PROBABILITIES


_PROBABILITIES = FirstSpikeCrossEntropy.probabilities


class _Seen:
    """Predictions of the batches so far."""

    def __init__(self, net: Network, loss: Any) -> None:
        self.loss = loss
        self.predicts = hasattr(loss, "predict")
        self.readout = output_of(net, loss) if self.predicts else None
        self.labels: list[NDArray[np.int64]] = []
        self.first: list[NDArray[Any]] = []
        self.values: list[NDArray[Any]] = []
        self.probabilities: list[NDArray[np.float64]] = []

    def add(self, record: Record) -> None:
        if self.readout is None:
            return
        self.labels.append(np.asarray(self.loss.predict(record), dtype=np.int64))
        if isinstance(self.readout, Readout):
            self.values.append(getattr(self.loss, "classifier", self.loss).values(record))
        else:
            self.first.append(record.first_spikes(self.readout))
        if hasattr(self.loss, "probabilities"):
            self.probabilities.append(self.loss.probabilities(record))

    def prediction(self) -> Prediction | None:
        if self.readout is None:
            return None
        return Prediction(
            np.concatenate(self.labels),
            np.concatenate(self.first) if self.first else None,
            np.concatenate(self.probabilities) if self.probabilities else None,
            np.concatenate(self.values) if self.values else None,
        )


def _batches(size: int, batch_size: int) -> Iterator[NDArray[np.int64]]:
    step = count(batch_size, "batch_size")
    for begin in range(0, size, step):
        yield np.arange(begin, min(size, begin + step))
