"""Learning-rate schedules: the factor of the learning rate at a step of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from snnfp._numbers import count, real_number

__all__ = ["Constant", "Cosine", "ExponentialDecay", "Schedule", "StepDecay", "check_schedule"]


class Schedule(Protocol):
    """A factor for each step (0, 1, ... over all batches) and epoch (0, 1, ...)."""

    def __call__(self, step: int, epoch: int) -> float:
        """The factor."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always 1."""

    def __call__(self, step: int, epoch: int) -> float:
        """The factor."""
        return 1.0


@dataclass(frozen=True)
class ExponentialDecay:
    """``factor ** epoch``."""

    factor: float

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def __call__(self, step: int, epoch: int) -> float:
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

    def __call__(self, step: int, epoch: int) -> float:
        """The factor."""
        return float(self.factor ** (step // self.every))


@dataclass(frozen=True)
class Cosine:
    """From 1 down to ``final`` along half a cosine over ``epochs`` epochs, then constant."""

    epochs: int
    final: float = 0.0

    def __post_init__(self) -> None:
        count(self.epochs, "epochs")
        if not 0 <= real_number(self.final, "final") <= 1:
            raise ValueError(f"final is {self.final}, expected 0 <= final <= 1")

    def __call__(self, step: int, epoch: int) -> float:
        """The factor."""
        done = min(1.0, epoch / self.epochs)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * done))


def _check_factor(factor: float) -> None:
    if not 0 < real_number(factor, "factor") <= 1:
        raise ValueError(f"factor is {factor}, expected 0 < factor <= 1")


def check_schedule(schedule: Any) -> None:
    """Raises unless ``schedule(step, epoch)`` is a factor, tried at the first step."""
    if not callable(schedule) or isinstance(schedule, type):
        raise TypeError(
            f"schedule is {schedule!r}, expected one of snnfp.schedules or f(step, epoch) -> factor"
        )
    try:
        factor = schedule(0, 0)
    except TypeError as error:
        raise TypeError(f"schedule: {error}; expected f(step, epoch) -> factor") from error
    if not (real_number(factor, "the schedule's factor at step 0") >= 0 and math.isfinite(factor)):
        raise ValueError(
            f"the schedule's factor at step 0 is {factor}, expected a finite number >= 0"
        )
