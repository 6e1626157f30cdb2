"""The parameters of a network as named arrays, and what errors about their values say."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import freeze, real_array, spot
from snnfp._memory import need_memory
from snnfp.errors import SnnfpError
from snnfp.groups import Projection
from snnfp.init import Initialiser

if TYPE_CHECKING:
    from snnfp.network import Network

__all__ = [
    "Parameters",
    "in_users_order",
    "is_initialiser",
    "need_values",
    "shaped",
    "users_order",
]


class Parameters(MutableMapping[str, NDArray[Any]]):
    """The parameters of a network by name; arrays are read-only and replaced as a whole.

    ``parameters["hidden.tau_mem"] = 3.0`` checks the value and replaces the array. A record keeps
    the arrays it was simulated with, so its derivatives never change afterwards.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def __getitem__(self, name: str) -> NDArray[Any]:
        value = self._network._values[self._network._known(name)]
        if value is None:
            raise SnnfpError(
                f"parameter {name} has no value yet: call network.initialise(seed=...) first"
            )
        return value

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self._network._set(self._network._known(name), value)

    def __delitem__(self, name: str) -> None:
        raise TypeError(
            f"parameter {name} belongs to the network's structure: it can be replaced only"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._network._values)

    def __len__(self) -> int:
        return len(self._network._values)

    def __repr__(self) -> str:
        rows = (
            f"  {name}: {'not initialised' if v is None else f'{v.dtype}{list(v.shape)}'}"
            for name, v in self._network._values.items()
        )
        return "Parameters(\n" + "\n".join(rows) + "\n)"


def shaped(
    value: Any, name: str, shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """A read-only array of one of the shapes; one number fills the last of them if it must."""
    if is_initialiser(value, name):
        raise TypeError(
            f"{name} is {value!r}, expected numbers: an initialiser is given where the group or "
            "projection is made"
        )
    array = real_array(value, name, dtype)
    if array.shape not in shapes:
        if array.ndim:
            expected = " or ".join(str(s) for s in shapes)
            if name.endswith(".delay"):
                expected += (
                    ": one for the projection, a source unit (values[:, None]), a target neuron "
                    "(values[None, :]) or a synapse"
                )
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
        need_values(shapes[-1], name, dtype)
        array = np.full(shapes[-1], array, dtype=dtype)
    return freeze(array)


def need_values(shape: tuple[int, ...], name: str, dtype: np.dtype[Any]) -> None:
    """Raises MemoryError unless an array of this shape fits."""
    extent = " x ".join(map(str, shape))
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    need_memory(needed, f"the {extent} values of {name}", "snnfp.Sparse keeps only some of them")


def is_initialiser(value: Any, name: str) -> bool:
    """Whether the values are to be drawn.

    Raises:
        TypeError: the class of an initialiser instead of an object.
    """
    if isinstance(value, (np.ndarray, float, int)):  # a look at the protocol takes longer
        return False
    if isinstance(value, type) and hasattr(value, "draw"):
        raise TypeError(
            f"{name} is the class {value.__name__}, expected an object of it: {value.__name__}(...)"
        )
    return isinstance(value, Initialiser)


@contextmanager
def users_order(net: Network) -> Iterator[None]:
    """Errors of the core name elements of parameters as the user's arrays have them."""
    try:
        yield
    except ValueError as error:
        for name, slot in net._slots.items():
            value = net._values[name]
            told = error if value is None else in_users_order(error, name, value, slot.owner)
            if told is not error:
                raise told from None
        raise


def in_users_order(error: ValueError, name: str, value: NDArray[Any], owner: object) -> ValueError:
    """The core's error with the element named as in the user's array: ``weight[1, 2]``.

    It is named where the error begins, or is the one by which a derivative is.
    """
    found = re.search(r"(?:^|(?<= by ))" + re.escape(name) + r"\[(\d+)\](?= is )", str(error))
    if found is None or (value.ndim == 0 and found.start() == 0):
        return error
    flat = int(found[1])
    order = owner.order(value.shape) if isinstance(owner, Projection) else None
    if order is not None:
        flat = int(order[flat])
    element = spot(name, np.unravel_index(flat, value.shape) if value.ndim else ())
    return ValueError(str(error)[: found.start()] + element + str(error)[found.end() :])
