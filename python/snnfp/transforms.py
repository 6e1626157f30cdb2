"""Transforms: parameters that stay positive or between limits, by a variable without limits.

An optimiser works on the free variable u, and its learning rate is in the unit of u; the gradient
is that by u, exactly. Unlike bounds, which hold what has arrived at them, a transform only slows
down on the way there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._arrays import spot
from snnfp._numbers import real_number

__all__ = ["Exp", "Sigmoid", "Softplus", "Transform", "check_transform"]


class Transform(Protocol):
    """A function of a free variable, element by element; nothing is changed in place.

    ``fit`` asks for frozen elements too, with values that are free elsewhere, and takes no notice
    of what it is told of them.
    """

    def constrain(self, free: NDArray[Any]) -> NDArray[Any]:
        """The parameter for a free variable."""
        ...

    def release(self, parameter: NDArray[Any], name: str) -> NDArray[Any]:
        """The free variable for a parameter, which errors call ``name``.

        Raises:
            ValueError: a value out of range.
        """
        ...

    def chain(self, free: NDArray[Any], gradient: NDArray[Any]) -> NDArray[Any]:
        """The derivative by the free variable, given that by the parameter."""
        ...


class _OfCore:
    """A transform that the core computes: the same bits on every processor."""

    def _core(self) -> _core.Transform:
        raise NotImplementedError

    def _range(self) -> tuple[float, float]:
        return 0.0, np.inf

    def _ends(self, like: NDArray[Any]) -> tuple[float, float]:
        """The smallest and largest parameter of this dtype: the next to the ends of the range."""
        return _core.attainable(self._core(), like)

    def constrain(self, free: NDArray[Any]) -> NDArray[Any]:
        """The parameter for a free variable."""
        return _core.constrain(self._core(), np.asarray(free))

    def release(self, parameter: NDArray[Any], name: str) -> NDArray[Any]:
        """The free variable for a parameter, which errors call ``name``.

        Raises:
            ValueError: a value out of range.
        """
        parameter = np.asarray(parameter)
        low, high = self._range()
        wide = parameter.astype(np.float64)  # float32 would round the ends
        bad = np.argwhere(~((wide > low) & (wide < high)))
        if len(bad):  # of one number, bad has no columns
            at = tuple(bad[0].tolist())
            expected = f"> {low:g}" if high == np.inf else f"> {low:g} and < {high:g}"
            raise ValueError(
                f"{spot(name, at)} is {parameter[at]}, expected a finite number {expected} for "
                f"the transform {self!r}"
            )
        return _core.release(self._core(), parameter)

    def chain(self, free: NDArray[Any], gradient: NDArray[Any]) -> NDArray[Any]:
        """The derivative by the free variable, given that by the parameter."""
        return _core.chain(self._core(), np.asarray(free), np.asarray(gradient))


@dataclass(frozen=True)
class Exp(_OfCore):
    """``e^u``, positive; a step of u is a step in proportion: 0.1 is ten per cent."""

    def _core(self) -> _core.Transform:
        return _core.Transform(_core.TransformKind.exponential, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Softplus(_OfCore):
    """``scale ln(1 + e^(u / scale))``, positive.

    Args:
        scale: > 0, in the unit of the parameter; where the parameter is some times larger, u is
            nearly the parameter itself.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (real_number(self.scale, "scale") > 0 and np.isfinite(self.scale)):
            raise ValueError(f"scale is {self.scale}, expected a finite number > 0")

    def _core(self) -> _core.Transform:
        return _core.Transform(_core.TransformKind.softplus, self.scale, 0.0, 1.0)


@dataclass(frozen=True)
class Sigmoid(_OfCore):
    """Between ``low`` and ``high``, by the logistic function; in the middle u is the parameter.

    Args:
        low: lower limit, which is never reached: where a value would round to it, it is the next
            number that the dtype has.
        high: upper limit, > low.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not np.isfinite(real_number(getattr(self, name), name)):
                raise ValueError(f"{name} is {getattr(self, name)}, expected a finite number")
        if not self.low < self.high:
            raise ValueError(f"low is {self.low}, expected less than high = {self.high}")

    def _range(self) -> tuple[float, float]:
        return self.low, self.high

    def _core(self) -> _core.Transform:
        return _core.Transform(_core.TransformKind.sigmoid, 1.0, self.low, self.high)


def check_transform(transform: Any, what: str) -> None:
    """Raises unless it has what :class:`Transform` lists."""
    methods = ("constrain", "release", "chain")
    if isinstance(transform, type) or not all(hasattr(transform, m) for m in methods):
        raise TypeError(
            f"{what} is {transform!r}, expected one of snnfp.transforms, such as "
            "Softplus(scale=...), or an object with constrain, release and chain"
        )
