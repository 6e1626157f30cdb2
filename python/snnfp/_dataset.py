"""Spikes and labels that belong together: checked as a whole or as they come, taken in parts."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import plain
from snnfp._settings import describe
from snnfp.errors import EventLimitError
from snnfp.gradients import check_loss
from snnfp.losses import is_classes, output_of
from snnfp.network import Network
from snnfp.simulate import InputSpikes, check_network, input_groups
from snnfp.spikes import Spikes

if TYPE_CHECKING:
    from snnfp.data.sources import SpikeSource

__all__ = ["Data", "DataSet", "Samples", "check_end", "check_setting", "locate"]

Data = tuple["InputSpikes | SpikeSource", Any]

_MAKERS = "see snnfp.encoding.latency, Spikes.from_latencies, from_lists, from_pairs, from_dense"


class Samples:
    """What a network hears, sample by sample.

    Args:
        net: the network.
        spikes: ``Spikes``, something with ``len`` and ``take``, or a mapping of such by input. What
            is no ``Spikes`` is not read as a whole: one sample is tried, the rest checked as it is
            taken.
        name: of the argument, for errors.
        size: number of samples of a network without input.

    Attributes:
        size: number of samples.
    """

    def __init__(self, net: Network, spikes: Any, name: str, size: int = 0) -> None:
        if spikes is None and not net.inputs:
            spikes = {}
        self._net, self._name = net, name
        self._parts: Any = spikes
        if isinstance(spikes, Mapping):
            self._parts = {getattr(k, "name", k): part for k, part in spikes.items()}
        self._lazy = {
            k: part
            for k, part in (self._parts if isinstance(spikes, Mapping) else {"": spikes}).items()
            if _is_source(part)
        }
        if not self._lazy:
            if not isinstance(spikes, (Spikes, Mapping)):
                raise TypeError(
                    f"{name} is a {type(spikes).__name__}, expected snnfp.Spikes ({_MAKERS}), a "
                    "mapping {input name: Spikes}, or something with len and take(samples)"
                )
            groups = input_groups(net, spikes)
            self._set_size(dict(zip(net.inputs, groups, strict=True)), size)
            return
        if isinstance(spikes, Mapping):
            self._set_size(self._parts, size)
        else:
            self.size = len(spikes)
        if self.size < 1:
            raise ValueError(f"{name} has {self.size} samples, expected at least one")
        self.take(np.zeros(1, dtype=np.int64))  # what is wrong with all shows before the first step

    def _set_size(self, parts: Mapping[str, Any], size: int) -> None:
        lengths = {group: len(batch) for group, batch in parts.items()}
        self.size = next(iter(lengths.values()), size)
        for group, n in lengths.items():
            if n != self.size:
                raise ValueError(
                    f"{self._name}: the spikes of {group} have {n} samples, expected {self.size} "
                    f"as those of {next(iter(lengths))}"
                )

    def take(self, chosen: NDArray[np.int64]) -> InputSpikes:
        """The spikes of the chosen samples.

        Raises:
            TypeError, ValueError: the data set gave something else than was asked for.
        """
        if isinstance(self._parts, dict):
            taken: Any = {k: part.take(chosen) for k, part in self._parts.items()}
        else:
            taken = self._parts.take(chosen)
        if self._lazy:
            check_taken(self._net, taken, chosen.size, f"{self._name}.take({_few(chosen)})")
        return taken  # type: ignore[no-any-return]

    def described(self) -> Any:
        """What it is, in words and digests; of what is read as it is needed, its kind only."""
        if isinstance(self._parts, Mapping):
            return {k: describe(type(p) if k in self._lazy else p) for k, p in self._parts.items()}
        return describe(type(self._parts) if self._lazy else self._parts)


def check_taken(net: Network, spikes: Any, n: int, what: str) -> None:
    """Raises unless these are spikes for the network, of n samples; ``what`` gave them."""
    try:
        groups = input_groups(net, spikes)
    except (TypeError, ValueError) as error:
        error.args = (f"{what} gave something else: {error}",)
        raise
    for batch, name in zip(groups, net.inputs, strict=True):
        if len(batch) != n:
            raise ValueError(
                f"{what} gave {len(batch)} samples for {name}, expected {n}, one for each"
            )


def _few(chosen: NDArray[np.int64]) -> str:
    shown = ", ".join(str(int(k)) for k in chosen[:3])
    return f"[{shown}{', ...' if chosen.size > 3 else ''}]"


def _is_source(spikes: Any) -> bool:
    if isinstance(spikes, (Spikes, Mapping, np.ndarray)):
        return False
    return hasattr(spikes, "__len__") and callable(getattr(spikes, "take", None))


class DataSet:
    """A data set for a network and a loss.

    Args:
        net: the network.
        loss: what the labels are for.
        data: (spikes, labels); spikes as :class:`Samples` takes them.
        name: of the argument, for errors.
        augment: what changes each batch of :meth:`batch`; None: nothing does.

    Attributes:
        accuracy: whether the loss can say how many labels were met.
    """

    def __init__(self, net: Network, loss: Any, data: Data, name: str, augment: Any = None) -> None:
        if isinstance(data, (Spikes, Mapping)) or not isinstance(data, (tuple, list)):
            raise TypeError(f"{name} is a {type(data).__name__}, expected (spikes, labels)")
        if len(data) != 2:
            raise TypeError(f"{name} has {len(data)} parts, expected (spikes, labels)")
        spikes, labels = data
        self.labels: Any = labels if isinstance(labels, Spikes) else _as_array(labels, name)
        self._spikes = Samples(net, spikes, f"{name}[0]", len(self.labels))
        self.size = self._spikes.size
        if len(self.labels) != self.size:
            raise ValueError(
                f"{name}: {len(self.labels)} labels for {self.size} samples, expected one a sample"
            )
        if hasattr(loss, "check"):
            loss.check(net, self.labels, self.size)
        self.accuracy = _classifies(net, loss, self.labels)
        if self.accuracy:
            self.labels = np.asarray(self.labels, dtype=np.int64)
        self._net, self._augment = net, augment

    def __len__(self) -> int:
        return self.size

    def described(self) -> dict[str, Any]:
        """What it is, in words and digests."""
        array = self.labels
        pointers = isinstance(array, np.ndarray) and array.dtype.hasobject
        return {
            "samples": self.size,
            "spikes": self._spikes.described(),
            "labels": f"objects of shape {array.shape}" if pointers else describe(array),
        }

    def take(self, chosen: NDArray[np.int64]) -> tuple[InputSpikes, Any]:
        """The spikes and labels of the chosen samples."""
        labels = self.labels
        part = labels.take(chosen) if isinstance(labels, Spikes) else labels[chosen]
        return self._spikes.take(chosen), part

    def batch(self, chosen: NDArray[np.int64], key: tuple[int, int, int]) -> tuple[Any, Any]:
        """The chosen samples as they are trained on: augmented.

        Args:
            chosen: samples of the data set.
            key: seed, epoch and number of the batch, which alone decide the random numbers.

        Raises:
            TypeError, ValueError: the augmentation returned something else than such a batch.
        """
        spikes, labels = self.take(chosen)
        if self._augment is None:
            return spikes, labels
        # The batch is no part of the entropy: of [s, e, 0] NumPy makes the same as of [s, e],
        # which the order of the samples comes from.
        rng = np.random.default_rng(np.random.SeedSequence(key[:2], spawn_key=(key[2],)))
        made = self._augment(spikes, labels, rng)
        if not isinstance(made, tuple) or len(made) != 2:
            raise TypeError(f"augment returned a {type(made).__name__}, expected (spikes, labels)")
        check_taken(self._net, made[0], chosen.size, "augment")
        new: Any = made[1] if isinstance(made[1], Spikes) else _as_array(made[1], "augment")
        if len(new) != chosen.size or (self.accuracy and new.dtype != np.int64):
            raise ValueError(
                f"augment returned {len(new)} labels, {getattr(new, 'dtype', 'Spikes')}, expected "
                f"{chosen.size} as they were given"
            )
        return made[0], new


def _as_array(labels: Any, name: str) -> NDArray[Any]:
    if labels is None:
        raise TypeError(f"{name}: labels is None, expected labels, one a sample")
    array = plain(labels, f"{name}: labels")
    if array.ndim == 0:
        raise TypeError(f"{name}: labels is {labels!r}, expected labels, one a sample")
    return array


def _classifies(net: Network, loss: Any, labels: Any) -> bool:
    """Whether the loss has an accuracy for these labels: they are classes of its readout."""
    if not hasattr(loss, "accuracy") or isinstance(labels, Spikes):
        return False
    return is_classes(labels, output_of(net, loss).size)


def check_setting(net: Network, loss: Any) -> None:
    """Raises unless the network can run, with a loss.

    Raises:
        TypeError: no network, or no loss.
        ValueError: a network without population and readout.
    """
    check_network(net)
    check_loss(loss)


def check_end(loss: Any, until: float | None) -> None:
    """Raises unless a loss goes with the end of the simulation; None: it has none.

    Raises:
        ValueError: a horizon of the loss below ``until``, or a loss that needs an end.
    """
    if hasattr(loss, "check_until"):
        loss.check_until(math.inf if until is None else until)


def locate(error: BaseException, chosen: NDArray[np.int64], where: str) -> None:
    """Makes an error about a batch speak of the data set it was taken from.

    Args:
        error: changed in place: "sample k" becomes the sample of the data set, if the error comes
            from this package; what a user's own function says of samples is left alone.
        chosen: samples of the batch.
        where: put before the message, say "epoch 3, step 17".
    """
    if not isinstance(error, Exception) or len(error.args) != 1:
        return
    message = error.args[0]
    if not isinstance(message, str):
        return
    if isinstance(error, EventLimitError):
        error.sample = int(chosen[error.sample])
        message = (
            f"neuron {error.neuron} of population {error.population} fired {error.count} spikes "
            f"by time {error.time:g} in sample {error.sample}{_arrivals(message)}: look for "
            "runaway feedback, weights in another unit or a bias far above the threshold; "
            "t_refractory bounds the rate"
        )
    elif _is_ours(error):
        message = _SAMPLE.sub(lambda m: m[1] + str(_of(chosen, int(m[2]))), message)
    error.args = (f"{where}: {message}",)


def _arrivals(message: str) -> str:
    """What the core said of arrivals that pile up, if that was the reason."""
    found = re.search(r", and \d+ arrivals are on their way[^,;(]*", message)
    return found[0] if found else ""


# "sample 3", "labels[3]", "targets[3, 0]" and "first spikes of sample 3" alike; what is encoded
# batch by batch is of the batch too.
_SAMPLE = re.compile(r"(\bsample |\b(?:labels|targets|features|signals|sounds)\[)(\d+)")


def _is_ours(error: BaseException) -> bool:
    """Whether it was raised inside the package, its core included, rather than by a user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE)


_PACKAGE = str(Path(__file__).parent) + os.sep


def _of(chosen: NDArray[np.int64], k: int) -> int:
    return int(chosen[k]) if k < chosen.size else k
