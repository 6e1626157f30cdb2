"""Elements of trained parameters that stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain
from snnfp._patterns import matched
from snnfp.network import Network

__all__ = ["Frozen", "frozen_of"]

Frozen = Mapping[str, ArrayLike]


def frozen_of(net: Network, names: tuple[str, ...], given: Any) -> dict[str, NDArray[np.bool_]]:
    """The elements that stay, by parameter, where there are any; True stays.

    Synapses that the mask of a projection leaves out are among them.

    Args:
        net: the network.
        names: of the trained parameters.
        given: ``{pattern: bool array}`` of the parameter's shape; where several match, what any
            of them freezes.

    Raises:
        KeyError: a pattern that matches no trained parameter.
        TypeError: no mapping, or an array that is not bool.
        ValueError: an array of another shape.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"frozen is {given!r}, expected a mapping {{pattern: bool array}}")
    frozen: dict[str, NDArray[np.bool_]] = {}

    def add(name: str, mask: NDArray[np.bool_]) -> None:
        frozen[name] = frozen[name] | mask if name in frozen else np.array(mask, order="C")

    for pattern, value in given.items():
        mask = plain(value, f"frozen: {pattern!r}")
        if mask.dtype != np.bool_:
            raise TypeError(
                f"frozen: {pattern!r} has dtype {mask.dtype}, expected bool: True stays"
            )
        for name in matched(net, names, pattern, "frozen"):
            shape = net.parameters[name].shape
            if mask.shape != shape:
                raise ValueError(
                    f"frozen: {pattern!r} has shape {mask.shape}, expected {shape} as {name} "
                    "(what is wholly frozen is left out of wrt)"
                )
            add(name, mask)
    for projection in (*net.projections.values(), *net.readout_projections.values()):
        there = projection.mask
        for kind in ("weight", "delay"):
            name = f"{projection.name}.{kind}"
            if there is not None and name in names and there.shape == net.parameters[name].shape:
                add(name, ~there)
    return {name: mask for name, mask in frozen.items() if mask.any()}
