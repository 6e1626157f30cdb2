"""Learning-rate schedules: the factor of the learning rate at a step of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from snnfp._numbers import count, real_number

__all__ = [
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "Linear",
    "Schedule",
    "StepDecay",
    "Warmup",
    "check_schedule",
]


class Schedule(Protocol):
    """A factor for each step (0, 1, ... over all batches) and epoch (0, 1, ...).

    A schedule with a true attribute ``by_step`` gets the epoch with its fraction, 2.5 in the middle
    of the third, so that it goes on within epochs; others get whole numbers.
    """

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always 1."""

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        return 1.0


@dataclass(frozen=True)
class ExponentialDecay:
    """``factor ** epoch``, at the start of an epoch or (``by_step``) going on within it."""

    factor: float
    by_step: bool = False

    def __post_init__(self) -> None:
        _check_factor(self.factor)
        _check_by_step(self.by_step)

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        return float(self.factor**epoch)


@dataclass(frozen=True)
class StepDecay:
    """Times ``factor`` after every ``every`` steps."""

    factor: float
    every: int

    def __post_init__(self) -> None:
        _check_factor(self.factor)
        count(self.every, "every")

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        return float(self.factor ** (step // self.every))


@dataclass(frozen=True)
class _Fall:
    """From 1 down to ``final`` over ``epochs`` epochs, then constant.

    Args:
        epochs: how many.
        final: the factor after them, 0 ... 1.
        by_step: go on within epochs, step by step; else it changes from epoch to epoch.
    """

    epochs: int
    final: float = 0.0
    by_step: bool = False

    def __post_init__(self) -> None:
        count(self.epochs, "epochs")
        if not 0 <= real_number(self.final, "final") <= 1:
            raise ValueError(f"final is {self.final}, expected 0 <= final <= 1")
        _check_by_step(self.by_step)

    def _done(self, epoch: float) -> float:
        return min(1.0, epoch / self.epochs)


@dataclass(frozen=True)
class Cosine(_Fall):
    """From 1 down to ``final`` along half a cosine over ``epochs`` epochs, then constant.

    Args:
        epochs: how many.
        final: the factor after them, 0 ... 1.
        by_step: go on within epochs, step by step; else it changes from epoch to epoch.
    """

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        half = 0.5 * (1.0 + math.cos(math.pi * self._done(epoch)))
        return self.final + (1.0 - self.final) * half


@dataclass(frozen=True)
class Linear(_Fall):
    """From 1 down to ``final`` along a line over ``epochs`` epochs, then constant.

    Args:
        epochs: how many.
        final: the factor after them, 0 ... 1.
        by_step: go on within epochs, step by step; else it changes from epoch to epoch.
    """

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        return self.final + (1.0 - self.final) * (1.0 - self._done(epoch))


@dataclass(frozen=True)
class Warmup:
    """Up to the whole rate along a line over the first steps, times another schedule.

    Args:
        steps: how many; step k (0, 1, ...) of them has ``(k + 1) / steps``.
        then: the other schedule, which begins at the first step too.
    """

    steps: int
    then: Schedule = Constant()

    def __post_init__(self) -> None:
        count(self.steps, "steps")
        check_schedule(self.then, "then")

    @property
    def by_step(self) -> bool:
        """Whether the other schedule is."""
        return bool(getattr(self.then, "by_step", False))

    def __call__(self, step: int, epoch: float) -> float:
        """The factor."""
        return min(1.0, (step + 1) / self.steps) * self.then(step, epoch)


def _check_by_step(by_step: bool) -> None:
    if not isinstance(by_step, bool):
        raise TypeError(f"by_step is {by_step!r}, expected True or False")


def _check_factor(factor: float) -> None:
    if not 0 < real_number(factor, "factor") <= 1:
        raise ValueError(f"factor is {factor}, expected 0 < factor <= 1")


def check_schedule(schedule: Any, name: str = "schedule") -> None:
    """Raises unless ``schedule(step, epoch)`` is a factor, tried at the first step."""
    if not callable(schedule) or isinstance(schedule, type):
        raise TypeError(
            f"{name} is {schedule!r}, expected one of snnfp.schedules or f(step, epoch) -> factor"
        )
    try:
        factor = schedule(0, 0)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; expected f(step, epoch) -> factor") from error
    if not (real_number(factor, "the schedule's factor at step 0") >= 0 and math.isfinite(factor)):
        raise ValueError(
            f"the schedule's factor at step 0 is {factor}, expected a finite number >= 0"
        )
