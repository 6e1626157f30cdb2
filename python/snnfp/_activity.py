"""How much happens in a network: spikes and their deliveries, a sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfp.network import Network
from snnfp.record import Record

__all__ = ["Activity", "Counts"]


class Counts(NamedTuple):
    """What happened in a batch.

    Attributes:
        samples: how many.
        spikes: of each neuron.
        sent: spikes of each unit, by input.
    """

    samples: int
    spikes: NDArray[np.int64]
    sent: dict[str, NDArray[np.int64]]


class Activity:
    """Counts spikes and arrivals over records, as far as samples were simulated.

    Args:
        net: the network of the records.
    """

    def __init__(self, net: Network) -> None:
        self._populations = tuple(net.populations.values())
        self._into: dict[str, dict[str, NDArray[np.int64]]] = {}  # source -> target -> receivers
        for q in net.projections.values():
            of = self._into.setdefault(q.source, {})
            of[q.target] = of.get(q.target, 0) + q.receivers
        self._inputs = tuple(net.inputs.values())
        self.begin()

    def begin(self) -> None:
        """Forgets what was counted."""
        self._samples = 0
        self._spikes = np.zeros(sum(p.size for p in self._populations), dtype=np.int64)
        self._sent = {g.name: np.zeros(g.size, dtype=np.int64) for g in self._inputs}

    def counted(self, record: Record) -> Counts:
        """What happened in a batch, to be added."""
        sent = {
            group.name: np.bincount(batch.units, minlength=group.size)
            for group, batch in zip(self._inputs, record._groups, strict=True)
        }
        return Counts(record.n_samples, record._counts, sent)

    def add(self, counts: Counts) -> None:
        """Takes note of a batch."""
        self._samples += counts.samples
        self._spikes += counts.spikes
        for name, sent in counts.sent.items():
            self._sent[name] += sent

    def spikes(self) -> dict[str, NDArray[np.float64]]:
        """Spikes of each neuron, the mean over samples, by population."""
        n = max(self._samples, 1)
        return {p.name: self._spikes[p.offset : p.offset + p.size] / n for p in self._populations}

    def deliveries(self) -> dict[str, float]:
        """Arrivals at each population, of all its neurons: the mean over samples.

        Spikes that are sent count, whether or not they arrive before a sample ends.
        """
        sent = {p.name: self._spikes[p.offset : p.offset + p.size] for p in self._populations}
        sent |= self._sent
        into = dict.fromkeys((p.name for p in self._populations), 0.0)
        for source, targets in self._into.items():
            for target, receivers in targets.items():
                into[target] += float(sent[source] @ receivers) / max(self._samples, 1)
        return into

    def figures(self) -> dict[str, float]:
        """For the history: spikes a neuron and sample of each population, arrivals a sample."""
        spikes = {f"spikes/{name}": float(np.mean(n)) for name, n in self.spikes().items()}
        return {**spikes, "deliveries": sum(self.deliveries().values())}
