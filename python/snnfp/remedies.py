"""Heuristics for silent neurons, which no exact gradient can reach.

None of them is part of the gradient: a remedy takes the exact gradient of a batch and returns one
with its own terms added, :func:`snnfp.fit` applies it only when asked to, and the history counts
the neurons or samples it helped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfp.losses import check_labels
from snnfp.network import Network, Projection
from snnfp.record import Record

__all__ = ["LabelBump", "Remedy", "WeightBump"]

Gradients = dict[str, NDArray[Any]]


class Remedy(Protocol):
    """Adds a heuristic term to the gradient of a batch."""

    def __call__(
        self, net: Network, record: Record, labels: Any, gradients: Gradients
    ) -> tuple[Gradients, int]:
        """The changed gradients (those given stay as they are) and how much was helped."""
        ...


def _check_amount(amount: float) -> None:
    if not (amount > 0 and np.isfinite(amount)):
        raise ValueError(f"amount is {amount}, expected a finite number > 0")


def _incoming(net: Network, population: str, gradients: Gradients) -> list[tuple[str, Projection]]:
    """Trained weights of the projections that reach a population."""
    into = [p for p in net.projections.values() if p.target == population]
    return [(f"{p.name}.weight", p) for p in into if f"{p.name}.weight" in gradients]


@dataclass(frozen=True, kw_only=True)
class WeightBump:
    """Asks for larger incoming weights of every neuron that fires in no sample of a batch.

    Args:
        amount: taken from the gradient of each incoming weight, > 0.
        populations: names; None: all.

    Source: Goeltz et al., Nature Machine Intelligence 3 (2021), "weight bumping".
    """

    amount: float
    populations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_amount(self.amount)

    def __call__(
        self, net: Network, record: Record, labels: Any, gradients: Gradients
    ) -> tuple[Gradients, int]:
        """The changed gradients and the number of silent neurons."""
        helped = 0
        changed = dict(gradients)
        for name in self.populations if self.populations is not None else tuple(net.populations):
            silent = ~record.fires(name)
            if not silent.any():
                continue
            helped += int(silent.sum())
            for key, projection in _incoming(net, name, gradients):
                at = silent[projection.targets] if projection.kind == "sparse" else silent
                changed[key] = changed[key] - self.amount * at
        return changed, helped


@dataclass(frozen=True, kw_only=True)
class LabelBump:
    """Where the label's output is silent, asks for larger weights from what fired in that sample.

    A silent label has no spike to pull forward, while the gradient still pushes the others back:
    without help a whole readout can fall silent.

    Args:
        amount: taken from the gradient of each such weight, a sample (as losses, averaged over the
            batch), > 0.
        population: name of the readout; None: the last population.
    """

    amount: float
    population: str | None = None

    def __post_init__(self) -> None:
        _check_amount(self.amount)

    def __call__(
        self, net: Network, record: Record, labels: Any, gradients: Gradients
    ) -> tuple[Gradients, int]:
        """The changed gradients and the number of samples with a silent label."""
        name = self.population or next(reversed(net.populations))
        chosen = check_labels(labels, record.n_samples, net.populations[name].size)
        rows = np.arange(record.n_samples)
        missing = record.first_indices(name)[rows, chosen] < 0
        if not missing.any():
            return gradients, 0
        changed = dict(gradients)
        wanted = np.zeros((record.n_samples, net.populations[name].size))
        wanted[rows[missing], chosen[missing]] = self.amount / record.n_samples
        for key, projection in _incoming(net, name, gradients):
            fired = record.sent(projection.source) > 0
            if projection.kind == "dense":
                # Counted rather than multiplied: BLAS would leave its threads spinning.
                term = np.zeros((fired.shape[1], wanted.shape[1]))
                for j in np.unique(chosen[missing]):
                    term[:, j] = np.count_nonzero(fired[missing & (chosen == j)], axis=0)
                term *= self.amount / record.n_samples
            elif projection.kind == "sparse":
                term = np.sum(fired[:, projection.sources] * wanted[:, projection.targets], axis=0)
            else:
                term = np.sum(fired * wanted, axis=0)
            changed[key] = changed[key] - term.astype(changed[key].dtype)
        return changed, int(missing.sum())
