"""Initial values of weights, delays and neuron parameters, which ``Network.initialise`` draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import real_number

__all__ = ["Constant", "Initialiser", "LogUniform", "Normal", "PerSource", "PerTarget", "Uniform"]


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
class LogUniform:
    """Values whose logarithm is uniform between those of ``low`` and ``high``, for 0 < low <= high.

    As ``LIF(tau_mem=LogUniform(5.0, 50.0))`` it gives a population time constants of all sizes.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = real_number(self.low, "low"), real_number(self.high, "high")
        if not 0 < low <= high < np.inf:
            raise ValueError(f"low is {low} and high {high}, expected finite 0 < low <= high")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape."""
        drawn = np.exp(rng.uniform(np.log(self.low), np.log(self.high), shape))
        return np.clip(drawn, self.low, self.high)  # exp and log round


@dataclass(frozen=True)
class _PerUnit:
    values: Initialiser

    def __post_init__(self) -> None:
        if isinstance(self.values, type) or not isinstance(self.values, Initialiser):
            raise TypeError(
                f"values is {self.values!r}, expected an initialiser, such as Uniform(0.0, 1.0)"
            )
        if isinstance(self.values, _PerUnit):
            raise TypeError(
                f"values is {self.values!r}, expected an initialiser that does not say what its "
                "values belong to, such as Uniform(0.0, 1.0)"
            )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Values of the given shape; one number is that of all."""
        drawn = np.asarray(self.values.draw(rng, shape))
        if drawn.ndim and drawn.shape != shape:
            raise ValueError(f"delays drawn have shape {drawn.shape}, expected {shape}")
        return drawn if drawn.ndim else np.full(shape, drawn)


class PerSource(_PerUnit):
    """Delays, one a source unit, each drawn by ``values``: an array ``[n_source, 1]``."""


class PerTarget(_PerUnit):
    """Delays, one a target neuron, each drawn by ``values``: an array ``[1, n_target]``."""
