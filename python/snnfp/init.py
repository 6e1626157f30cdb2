"""Initial values of weights, delays and neuron parameters, which ``Network.initialise`` draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import real_number

__all__ = ["Constant", "Initialiser", "Normal", "PerSource", "PerTarget", "Uniform"]


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

    def __post_init__(self) -> None:
        real_number(self.value, "value")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return np.full(shape, self.value, dtype=np.float64)


@dataclass(frozen=True)
class Normal:
    """Normal distribution with the given mean and standard deviation (>= 0)."""

    mean: float
    std: float

    def __post_init__(self) -> None:
        real_number(self.mean, "mean")
        if not real_number(self.std, "std") >= 0:
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
        if not real_number(self.low, "low") <= real_number(self.high, "high"):
            raise ValueError(f"low is {self.low}, expected at most high = {self.high}")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class PerSource:
    """Delays, one a source unit, each drawn by ``values``: an array ``[n_source, 1]``."""

    values: Initialiser

    def __post_init__(self) -> None:
        _check_initialiser(self.values)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return self.values.draw(rng, shape)


@dataclass(frozen=True)
class PerTarget:
    """Delays, one a target neuron, each drawn by ``values``: an array ``[1, n_target]``."""

    values: Initialiser

    def __post_init__(self) -> None:
        _check_initialiser(self.values)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        return self.values.draw(rng, shape)


def _check_initialiser(values: object) -> None:
    if isinstance(values, type) or not isinstance(values, Initialiser):
        raise TypeError(f"values is {values!r}, expected an initialiser, such as Uniform(0.0, 1.0)")
