"""Spikes and labels that belong together: checked as a whole, taken in parts."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import plain
from snnfp.errors import EventLimitError
from snnfp.gradients import check_loss
from snnfp.losses import is_classes, output_of
from snnfp.network import Network
from snnfp.simulate import InputSpikes, check_network, input_groups
from snnfp.spikes import Spikes

__all__ = ["Data", "DataSet", "check_end", "check_setting", "locate"]

Data = tuple[InputSpikes, Any]

_MAKERS = "see snnfp.encoding.latency, Spikes.from_latencies, from_lists, from_pairs, from_dense"


class DataSet:
    """A data set for a network and a loss.

    Args:
        net: the network.
        loss: what the labels are for.
        data: (spikes, labels).
        name: of the argument, for errors.

    Attributes:
        accuracy: whether the loss can say how many labels were met.
    """

    def __init__(self, net: Network, loss: Any, data: Data, name: str) -> None:
        if isinstance(data, (Spikes, Mapping)) or not isinstance(data, (tuple, list)):
            raise TypeError(f"{name} is a {type(data).__name__}, expected (spikes, labels)")
        if len(data) != 2:
            raise TypeError(f"{name} has {len(data)} parts, expected (spikes, labels)")
        spikes, labels = data
        if spikes is None and not net.inputs:
            spikes = {}
        if not isinstance(spikes, (Spikes, Mapping)):
            raise TypeError(
                f"{name}[0] is a {type(spikes).__name__}, expected snnfp.Spikes ({_MAKERS}) or a "
                "mapping {input name: Spikes}"
            )
        groups = input_groups(net, spikes)
        self.labels: Any = labels if isinstance(labels, Spikes) else _as_array(labels, name)
        self.size = len(groups[0] if groups else self.labels)
        for group, batch in zip(net.inputs, groups, strict=True):
            if len(batch) != self.size:
                raise ValueError(
                    f"{name}: the spikes of {group} have {len(batch)} samples, expected "
                    f"{self.size} as those of {next(iter(net.inputs))}"
                )
        self.spikes: Spikes | dict[str, Spikes] = (
            spikes if isinstance(spikes, Spikes) else dict(zip(net.inputs, groups, strict=True))
        )
        if len(self.labels) != self.size:
            raise ValueError(
                f"{name}: {len(self.labels)} labels for {self.size} samples, expected one a sample"
            )
        if hasattr(loss, "check"):
            loss.check(net, self.labels, self.size)
        self.accuracy = _classifies(net, loss, self.labels)
        if self.accuracy:
            self.labels = np.asarray(self.labels, dtype=np.int64)

    def __len__(self) -> int:
        return self.size

    def take(self, chosen: NDArray[np.int64]) -> tuple[InputSpikes, Any]:
        """The spikes and labels of the chosen samples."""
        labels = self.labels
        part = labels.take(chosen) if isinstance(labels, Spikes) else labels[chosen]
        if isinstance(self.spikes, Spikes):
            return self.spikes.take(chosen), part
        return {name: batch.take(chosen) for name, batch in self.spikes.items()}, part


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
        ValueError: a network without population.
    """
    check_network(net)
    if not net.populations:
        raise ValueError(f"{net!r} has no population, expected at least one")
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


# "sample 3", "labels[3]", "targets[3, 0]" and "first spikes of sample 3" alike.
_SAMPLE = re.compile(r"(\bsample |\blabels\[|\btargets\[)(\d+)")


def _is_ours(error: BaseException) -> bool:
    """Whether it was raised inside the package, its core included, rather than by a user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE)


_PACKAGE = str(Path(__file__).parent) + os.sep


def _of(chosen: NDArray[np.int64], k: int) -> int:
    return int(chosen[k]) if k < chosen.size else k
