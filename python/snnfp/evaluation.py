"""What a network makes of a data set: loss, accuracy, labels, first spikes, probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfp._dataset import DataSet, Samples, check_end, check_setting, locate
from snnfp._first_spikes import looked_at, no_further_than
from snnfp._numbers import count
from snnfp._settings import describe
from snnfp._silence import silence_untold
from snnfp.groups import Readout
from snnfp.losses import (
    FirstSpikeCrossEntropy,
    FirstSpikeLoss,
    output_of,
    value_and_derivative,
)
from snnfp.network import Network, Population
from snnfp.ranks import Communicator, Ranks
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
    comm: Communicator | None = None,
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
        comm: several processes that share the batches; as for :func:`snnfp.fit`.

    Raises:
        ValueError: bad data; names the sample of the data set.
        RankError: another rank of ``comm`` has raised something.
    """
    with Ranks(comm) as ranks:
        check_setting(net, loss)
        check_end(loss, until)
        data = DataSet(net, loss, (spikes, labels), "data")
        settings = {"loss": loss, "until": until, "batch_size": batch_size}
        ranks.compare(
            lambda: {
                "network": net.structure(),
                "parameters": describe(dict(net.parameters)),
                "data": data.described(),
                "settings": describe(settings),
            }
        )
        return evaluate_data(
            net, data, loss,
            until=until, batch_size=batch_size, n_threads=n_threads, what="evaluate", ranks=ranks,
        )  # fmt: skip


class _Batch(NamedTuple):
    """What is seen of a batch: the sum of the losses, labels met, who fires, what is predicted."""

    loss: float
    met: float
    fires: dict[str, NDArray[np.bool_]]
    prediction: Prediction | None


def evaluate_data(
    net: Network,
    data: DataSet,
    loss: Any,
    *,
    until: float | None,
    what: str,
    batch_size: int = 512,
    n_threads: int | None = None,
    ranks: Ranks,
    predictions: bool = True,
) -> Evaluation:
    """:func:`evaluate` of a data set that was checked.

    ``what`` is for errors; ``ranks`` share the batches; ``predictions``: whether they are wanted.
    """
    output = output_of(net, loss) if hasattr(loss, "predict") else None
    needed = [looked_at(loss, net, "__call__", "accuracy", "predict", "probabilities")]
    if output is not None:
        needed.append((output.name,))
    no_further = no_further_than(net, needed)
    batches = _batches(data.size, batch_size)

    def look(k: int) -> _Batch:
        chosen = batches[k]
        try:
            spikes, labels = data.take(chosen)
            record = simulate(
                net, spikes, until=until, samples=chosen.size, n_threads=n_threads, **no_further
            )
            value, _ = value_and_derivative(loss(record, labels), "the loss")
            met = labels_met(loss, record, labels, chosen.size) if data.accuracy else 0.0
            said = None
            if output is not None and predictions:
                said = _predicted(loss, output, record)
        except Exception as error:
            locate(error, chosen, what)
            raise
        fires = {name: record.fires(name) for name in net.populations}
        return _Batch(value * chosen.size, met, fires, said)

    with silence_untold(net):
        seen = ranks.each(len(batches), look)
    total = hits = 0.0
    for batch in seen:  # sum() of Python 3.12 rounds otherwise
        total += batch.loss
        hits += batch.met
    silent = {
        name: float(np.mean(~np.any([batch.fires[name] for batch in seen], axis=0)))
        for name in net.populations
    }
    accuracy = hits / data.size if data.accuracy else math.nan
    parts = [batch.prediction for batch in seen if batch.prediction is not None]
    return Evaluation(total / data.size, accuracy, silent, _joined(parts) if parts else None)


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
    if not hasattr(loss, "predict"):
        raise TypeError(f"{loss!r} has no predict(record), expected a loss that classifies")
    output = output_of(net, loss)
    samples = Samples(net, spikes, "spikes", 1)
    needed = [(output.name,) if _reads_first_spikes(loss) else ()]
    no_further = no_further_than(net, needed)
    parts = []
    with silence_untold(net):
        for chosen in _batches(samples.size, batch_size):
            try:
                part = samples.take(chosen)
                record = simulate(net, part, until=until, n_threads=n_threads, **no_further)
                parts.append(_predicted(loss, output, record))
            except Exception as error:
                locate(error, chosen, "predict")
                raise
    return _joined(parts)


def _reads_first_spikes(loss: Any) -> bool:
    """Whether labels and probabilities are those of this library's losses, not a user's own."""
    kind = type(getattr(loss, "classifier", None) or loss)  # of a sum, the term that is asked
    mine = getattr(kind, "predict", None) is FirstSpikeLoss.predict
    return mine and getattr(kind, "probabilities", _PROBABILITIES) is _PROBABILITIES


_PROBABILITIES = FirstSpikeCrossEntropy.probabilities


def _predicted(loss: Any, output: Population | Readout, record: Record) -> Prediction:
    """What is said of one batch."""
    reads = isinstance(output, Readout)
    return Prediction(
        np.asarray(loss.predict(record), dtype=np.int64),
        None if isinstance(output, Readout) else record.first_spikes(output),
        loss.probabilities(record) if hasattr(loss, "probabilities") else None,
        getattr(loss, "classifier", loss).values(record) if reads else None,
    )


def _joined(parts: list[Prediction]) -> Prediction:
    """What is said of batches, as of one."""

    def column(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    return Prediction(*(column(f.name) for f in fields(Prediction)))


def _batches(size: int, batch_size: int) -> list[NDArray[np.int64]]:
    """Samples, dealt out in their order."""
    step = count(batch_size, "batch_size")
    return [np.arange(begin, min(size, begin + step)) for begin in range(0, size, step)]
