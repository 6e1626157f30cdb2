"""The figures of an epoch, summed over its batches and steps."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import NamedTuple

from snnfp._silence import Firing
from snnfp._stepper import Moved

__all__ = ["BatchFigures", "Tally"]


class BatchFigures(NamedTuple):
    """What an epoch is told of a batch.

    Attributes:
        samples: how many.
        loss: mean over the samples.
        met: labels.
        remedied: what the remedies helped.
        min_slope: the smallest V' at a spike.
        near_tangent: spikes nearly tangent.
        firing: who fired.
    """

    samples: int
    loss: float
    met: float
    remedied: float
    min_slope: float
    near_tangent: float
    firing: Firing


@dataclass
class Tally:
    """Sums over the batches and steps of an epoch of ``size`` samples."""

    size: int
    loss: float = 0.0
    met: float = 0.0  # labels
    remedied: float = 0.0
    near_tangent: float = 0.0
    min_slope: float = math.inf
    norms: dict[str, list[float]] = field(default_factory=dict)  # of groups
    clipped: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    any_clipped: int = 0
    lr: float = 0.0

    def add_batch(self, batch: BatchFigures) -> None:
        """Takes note of a batch."""
        self.loss += batch.loss * (batch.samples / self.size)
        self.met += batch.met
        self.remedied += batch.remedied
        self.min_slope = min(self.min_slope, batch.min_slope)
        self.near_tangent += batch.near_tangent

    def add_step(self, moved: Moved) -> None:
        """Takes note of a step."""
        self.steps += 1
        self.any_clipped += bool(moved.clipped)
        self.lr = moved.lr
        for pattern, norm in moved.norms.items():
            self.norms.setdefault(pattern, []).append(norm)
            self.clipped[pattern] = self.clipped.get(pattern, 0) + (pattern in moved.clipped)

    def of_groups(self) -> dict[str, float]:
        """Norm and share of clipped steps, of all and of each group."""
        together = (norms[0] if len(norms) == 1 else math.hypot(*norms) for norms in
                    zip(*self.norms.values(), strict=True))  # fmt: skip
        figures = {
            "clipped": self.any_clipped / self.steps,
            "norm": statistics.median(together),
        }
        for pattern in filter(None, self.norms):
            figures[f"norm/{pattern}"] = statistics.median(self.norms[pattern])
            figures[f"clipped/{pattern}"] = self.clipped[pattern] / self.steps
        return figures
