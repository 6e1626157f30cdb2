"""What a training remembers of its epochs, and when it stops early."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field

import numpy as np

from snnfp._numbers import count

__all__ = ["EarlyStopping", "History", "should_fall"]


def should_fall(figure: str) -> bool:
    """Whether a figure of the history is better when smaller; the others when larger."""
    return figure.endswith("loss") or figure.partition("/")[0] in _FALLING


_FALLING = ("near_tangent", "norm", "clipped", "remedied", "silent", "spikes", "deliveries")


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stops when a figure of the history has not improved for ``patience`` epochs.

    Args:
        patience: epochs without improvement, at least 1.
        metric: a figure of the history. Losses, ``silent/<population>``, ``spikes/<population>``,
            ``deliveries``, ``norm``, ``clipped``, ``remedied`` and ``near_tangent`` should fall,
            accuracies and ``min_slope`` rise.
        restore: put the parameters of the best epoch back at the end.
        target: stop as soon as the figure is this good; within 0 < target <= 1 for an accuracy.
    """

    patience: int = 10
    metric: str = "validation_accuracy"
    restore: bool = True
    target: float | None = None

    def __post_init__(self) -> None:
        count(self.patience, "patience")
        if not isinstance(self.metric, str):
            raise TypeError(f"metric is {self.metric!r}, expected the name of a figure")
        if self.target is None:
            return
        if isinstance(self.target, bool) or not isinstance(
            self.target, (int, float, np.integer, np.floating)
        ):
            raise TypeError(f"target is {self.target!r}, expected a number or None")
        if not math.isfinite(self.target):
            raise ValueError(f"target is {self.target}, expected a finite number")
        if self.metric.endswith("accuracy") and not 0 < self.target <= 1:
            raise ValueError(
                f"target is {self.target}, expected 0 < target <= 1: {self.metric} is a fraction"
            )
        if self.metric.startswith("silent/") and not 0 <= self.target < 1:
            raise ValueError(
                f"target is {self.target}, expected 0 <= target < 1: {self.metric} is a fraction"
            )

    def check(self, figures: Iterable[str]) -> None:
        """Raises unless the figure is one of those that a training will have.

        Raises:
            ValueError: names those that exist.
        """
        known = list(figures)
        if self.metric not in known:
            raise ValueError(
                f"early stopping looks at {self.metric!r}, expected one of: {', '.join(known)} "
                "(accuracies exist where the loss classifies and labels are classes, validation "
                "figures where there is validation)"
            )

    def better(self, new: float, old: float) -> bool:
        """Whether ``new`` is an improvement.

        Raises:
            ValueError: a figure that is nan, which can be neither better nor worse.
        """
        if math.isnan(new) or math.isnan(old):
            raise ValueError(f"early stopping looks at {self.metric!r}, which is nan")
        return new < old if should_fall(self.metric) else new > old

    def reached(self, figure: float) -> bool:
        """Whether the figure is as good as the target."""
        return self.target is not None and not self.better(self.target, figure)


@dataclass
class History:
    """Figures of each epoch, by name; all lists have one entry an epoch.

    A figure that does not exist has no list. An epoch without a figure that others have (where a
    training was resumed with validation, say) has nan for it.

    - ``loss`` and, where the loss classifies and labels are classes, ``accuracy``: means over the
      epoch, of the network as it was at each step;
    - ``validation_loss``, ``validation_accuracy``: after the epoch, if there is validation;
    - ``lr``: the learning rate of the last step; ``seconds``: the time taken;
    - ``norm``: median over the steps of the gradient's norm, with the remedies' terms and before
      it is clipped; ``clipped``: the fraction of steps whose gradient was clipped; and of each
      group of parameters ``norm/<pattern>`` and ``clipped/<pattern>``;
    - ``min_slope``, ``near_tangent``: the smallest V' at a spike, and spikes nearly tangent;
    - ``remedied``: what the remedies helped, summed over steps;
    - ``silent/<population>``: the fraction of its neurons that fired in no sample of the epoch;
    - ``spikes/<population>``: spikes a neuron and sample; ``deliveries``: arrivals of spikes at
      neurons, a sample. Like the silent fractions, as far as samples were simulated.
    """

    epochs: dict[str, list[float]] = field(default_factory=dict)

    def append(self, figures: Mapping[str, float]) -> None:
        """Adds an epoch, whole or (where Ctrl-C comes) not at all."""
        before, known = len(self), set(self.epochs)
        try:
            for key, value in figures.items():
                self.epochs.setdefault(key, [math.nan] * before).append(float(value))
            for key in self.epochs.keys() - figures.keys():
                self.epochs[key].append(math.nan)
        except BaseException:
            for key in list(self.epochs):
                if key in known:
                    del self.epochs[key][before:]
                else:
                    del self.epochs[key]
            raise

    def __iter__(self) -> Iterator[dict[str, float]]:
        """The figures of each epoch by name, one epoch after the other; ``len`` is their number."""
        return ({k: v[i] for k, v in self.epochs.items()} for i in range(len(self)))

    def __contains__(self, key: object) -> bool:
        return key in self.epochs

    def keys(self) -> KeysView[str]:
        """The names of the figures, so that ``dict(history)`` is the lists by name."""
        return self.epochs.keys()

    def __getitem__(self, key: str) -> list[float]:
        if not isinstance(key, str) or key not in self.epochs:
            raise KeyError(
                f"{key!r} is not in the history, expected one of: {', '.join(self.epochs)}"
            )
        return self.epochs[key]

    def __len__(self) -> int:
        return max(map(len, self.epochs.values()), default=0)

    def last(self, key: str) -> float:
        """The figure of the last epoch."""
        return self[key][-1]

    def best(self, key: str) -> float:
        """The best figure of all epochs (see :class:`EarlyStopping` for what should fall).

        Raises:
            ValueError: no epoch has the figure.
        """
        known = [x for x in self[key] if not math.isnan(x)]
        if not known:
            raise ValueError(f"{key!r} is nan in every epoch")
        return min(known) if should_fall(key) else max(known)
