"""What a transform stands for in training: a variable wherever the parameter may move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import spot
from snnfp.transforms import Transform, _OfCore

__all__ = ["FreeVariable", "range_of"]

Array = NDArray[Any]


def range_of(transform: Transform, like: Array) -> tuple[float, float] | None:
    """The smallest and largest parameter of a dtype, where that is known."""
    return transform._ends(like) if isinstance(transform, _OfCore) else None


@dataclass(frozen=True)
class FreeVariable:
    """The variable behind a parameter with a transform.

    Frozen elements, absent synapses among them, are no business of the transform: they may be out
    of its range, and stay as they are to the bit. What the variable has there means nothing.

    Args:
        name: of the parameter.
        transform: of it.
        frozen: elements that stay; None: none.
    """

    name: str
    transform: Transform
    frozen: NDArray[np.bool_] | None

    def release(self, parameter: Array, at: NDArray[np.bool_] | None = None) -> Array:
        """The variable for a parameter.

        Args:
            parameter: its value.
            at: the elements whose variable is asked for; None: all. Others may be anything.

        Raises:
            ValueError: a value out of range, or one that a transform of the user's own does not
                lead back to.
        """
        given = self._only_free(parameter)
        if given is None:
            return np.zeros_like(parameter)
        free = self._like(self.transform.release(given, self.name), parameter, "release")
        if range_of(self.transform, parameter) is None:
            self._check(given, free, at)
        return free

    def constrain(self, free: Array, parameter: Array) -> Array:
        """The parameter for a variable; frozen elements from ``parameter``."""
        if self.frozen is None:
            return self._like(self.transform.constrain(free), free, "constrain")
        if self.frozen.all():
            return parameter
        value = self._like(self.transform.constrain(free), free, "constrain")
        return np.where(self.frozen, parameter, value)

    def chain(self, free: Array, gradient: Array) -> Array:
        """The derivative by the variable, given that by the parameter; of no use where frozen."""
        if self.frozen is not None and self.frozen.all():
            return np.zeros_like(gradient)
        return self._like(self.transform.chain(free, gradient), free, "chain")

    def again(self, free: Array, parameter: Array) -> Array:
        """The variable, anew where it is not that of the parameter."""
        stays = self.constrain(free, parameter) == parameter
        return free if stays.all() else np.where(stays, free, self.release(parameter, ~stays))

    def within(self, values: Array) -> Array:
        """Means of parameters, which rounding may have brought out of the transform's range."""
        ends = range_of(self.transform, values)
        if ends is None:
            return values
        inside = np.asarray(np.clip(values, *(values.dtype.type(end) for end in ends)))
        return inside if self.frozen is None else np.where(self.frozen, values, inside)

    # -- inside ----------------------------------------------------------------------------------

    def _only_free(self, parameter: Array) -> Array | None:
        """The parameter, frozen elements replaced by one that is free; None: there is none."""
        if self.frozen is None:
            return parameter
        if self.frozen.all():
            return None
        return np.where(self.frozen, parameter[~self.frozen][0], parameter)

    def _like(self, made: Any, like: Array, method: str) -> Array:
        """What a transform made, as the core takes it."""
        array = np.asarray(made, dtype=like.dtype, order="C")
        if array.shape != like.shape:
            raise ValueError(
                f"{self.name}: {method} of the transform {self.transform!r} returned an array of "
                f"shape {array.shape}, expected {like.shape}"
            )
        return array

    def _check(self, parameter: Array, free: Array, asked: NDArray[np.bool_] | None) -> None:
        """Raises unless a transform of the user's own leads back to the parameter."""
        asked = np.ones_like(free, dtype=bool) if asked is None else asked
        endless = np.argwhere(asked & ~np.isfinite(free))
        if len(endless):
            at = tuple(endless[0].tolist())
            raise ValueError(
                f"{spot(self.name, at)} is {parameter[at]}, for which release of the transform "
                f"{self.transform!r} gives {free[at]}: expected a value within its range, not an "
                "end of it"
            )
        back = self._like(self.transform.constrain(free), parameter, "constrain")
        eps = float(np.finfo(parameter.dtype).eps)
        size = np.abs(parameter)
        rounding = np.sqrt(eps) * size + 64 * eps * size.max(initial=0)
        bad = np.argwhere(asked & ~(np.abs(back - parameter) <= rounding))
        if len(bad):  # of one number, bad has no columns
            at = tuple(bad[0].tolist())
            raise ValueError(
                f"{spot(self.name, at)} is {parameter[at]}, but the transform {self.transform!r} "
                f"has constrain(release({parameter[at]})) = constrain({free[at]}) = {back[at]}, "
                "expected the same value: release must be the inverse of constrain"
            )
