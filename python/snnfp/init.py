"""Initial values of weights, delays and neuron parameters, which ``Network.initialise`` draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Constant", "Initialiser", "Normal", "Uniform"]


@runtime_checkable
class Initialiser(Protocol):
    """Anything that draws an array of a shape."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same value everywhere."""

    value: float

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return np.full(shape, self.value, dtype=np.float64)


@dataclass(frozen=True)
class Normal:
    """Normal distribution with the given mean and standard deviation (>= 0)."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not self.std >= 0:
            raise ValueError(f"std is {self.std}, expected a number >= 0")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return rng.normal(self.mean, self.std, shape)


@dataclass(frozen=True)
class Uniform:
    """Uniform distribution on ``[low, high)``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low is {self.low}, expected at most high = {self.high}")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return rng.uniform(self.low, self.high, shape)
