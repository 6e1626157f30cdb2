"""Losses in which some samples count more than others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._first_spikes import looked_at
from snnfp.network import Network
from snnfp.record import Record

__all__ = ["Weighted"]


@dataclass(frozen=True)
class Weighted:
    """The mean over samples of weight times loss.

    Labels are one array ``[samples, 1 + k]``: the weight, and what the loss takes (of a
    cross-entropy the class, else k targets).

    Args:
        loss: a cross-entropy or a squared error of :mod:`snnfp.losses`, each of which is a mean
            over samples.
    """

    loss: Any

    @property
    def classifier(self) -> Any:
        """The loss, which knows its output."""
        return self.loss

    def check(self, net: Network, labels: NDArray[np.float64], n_samples: int) -> None:
        """Raises unless loss, network and labels go together."""
        self.loss.check(net, self._target(labels), n_samples)

    def check_until(self, until: float) -> None:
        """Raises unless the loss goes with this end."""
        self.loss.check_until(until)

    def looks_at(self, net: Network) -> tuple[str, ...]:
        """As the loss does."""
        return looked_at(self.loss, net, "__call__")

    def __call__(
        self, record: Record, labels: NDArray[np.float64]
    ) -> tuple[float, dict[Any, NDArray[Any]]]:
        """The value and its derivative."""
        weight, target = labels[:, 0], self._target(labels)
        _, derivative = self.loss(record, target)
        if self._classifies:
            chances = self.loss.probabilities(record)[np.arange(len(weight)), target]
            each = -np.log(np.maximum(chances, np.finfo(np.float64).tiny))
        else:  # of half a square, the derivative is the difference
            each = sum(0.5 * np.sum((d * len(weight)) ** 2, axis=1) for d in derivative.values())
        scaled = {key: d * weight[:, None] for key, d in derivative.items()}
        return float(weight @ each) / len(weight), scaled

    @property
    def _classifies(self) -> bool:
        return hasattr(self.loss, "probabilities")

    def _target(self, labels: NDArray[np.float64]) -> NDArray[Any]:
        return labels[:, 1].astype(np.int64) if self._classifies else labels[:, 1:]
