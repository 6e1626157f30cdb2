"""Heuristics for neurons that never fire, which no exact gradient can reach.

None of them is part of the gradient; :func:`snnfp.fit` applies one only when asked to, and reports
in its history what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfp.network import Network
from snnfp.record import Record

__all__ = ["Remedy", "WeightBump"]


class Remedy(Protocol):
    """Changes a network after it has seen a batch."""

    def __call__(self, net: Network, record: Record) -> int:
        """Applies the remedy; returns the number of neurons it helped."""
        ...


@dataclass(frozen=True, kw_only=True)
class WeightBump:
    """Raises the incoming weights of neurons that are silent in too many samples of a batch.

    Args:
        amount: added to each incoming weight, > 0.
        max_silent: fraction of silent samples above which a neuron is helped; 0.99 helps only
            neurons that hardly ever fire.
        populations: names; None: all.

    Source: Goeltz et al., Nature Machine Intelligence 3 (2021), "weight bumping".
    """

    amount: float
    max_silent: float = 0.99
    populations: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not (self.amount > 0 and np.isfinite(self.amount)):
            raise ValueError(f"amount is {self.amount}, expected a finite number > 0")
        if not 0 <= self.max_silent <= 1:
            raise ValueError(f"max_silent is {self.max_silent}, expected 0 ... 1")

    def __call__(self, net: Network, record: Record) -> int:
        """Bumps; returns the number of neurons whose weights were raised."""
        bumped = 0
        for name in self.populations if self.populations is not None else tuple(net.populations):
            silent = np.mean(record.counts(name) == 0, axis=0) > self.max_silent
            if not silent.any():
                continue
            bumped += int(silent.sum())
            for projection in net.projections.values():
                if projection.target == name:
                    key = f"{projection.name}.weight"
                    net.parameters[key] = _raised(net.parameters[key], projection, silent, self.amount)
        return bumped


def _raised(
    weight: NDArray[Any], projection: Any, silent: NDArray[np.bool_], amount: float
) -> NDArray[Any]:
    chosen = silent[projection.targets] if projection.kind == "sparse" else silent
    return np.where(chosen, weight + amount, weight)
