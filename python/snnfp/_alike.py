"""Hidden neurons that are all the same get the same gradient, and stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._warnings import warn
from snnfp.errors import AlikeNeuronsWarning
from snnfp.network import Network, Projection
from snnfp.neurons import NEURON_PARAMETERS

__all__ = ["warn_if_alike"]


def warn_if_alike(net: Network, readout: str) -> None:
    """Warns of each population but the readout whose neurons no training can tell apart."""
    for population, p in net.populations.items():
        if p.size < 2 or population == readout or not _alike(net, population):
            continue
        weights = [f"{q.name}.weight" for q in _joined(net) if population in (q.source, q.target)]
        warn(
            f"all {p.size} neurons of population {population} are alike: {' and '.join(weights)} "
            "are the same for each of them, so that they get the same gradient and stay alike; "
            "draw the weights at random, as weight=snnfp.init.Normal(mean, std)",
            AlikeNeuronsWarning,
        )


def _alike(net: Network, population: str) -> bool:
    values = net.parameters
    if not all(_constant(values[f"{population}.{k}"], 0) for k in NEURON_PARAMETERS):
        return False
    touching = [q for q in _joined(net) if population in (q.source, q.target)]
    for q in touching:
        if q.kind != "dense":
            return False
        for kind in ("weight", "delay"):
            array = values[f"{q.name}.{kind}"]
            if array.ndim == 1:  # delays of the units of one side
                array = array[None, :] if array.size == q.ends[1] else array[:, None]
            if q.source == population and not _constant(array, 0):
                return False
            if q.target == population and not _constant(array, 1):
                return False
    return bool(touching)


def _joined(net: Network) -> list[Projection]:
    return [*net.projections.values(), *net.readout_projections.values()]


def _constant(array: NDArray[Any], axis: int) -> bool:
    """Whether it is the same all along that axis, as single numbers are."""
    return array.ndim <= axis or bool(np.all(array == np.take(array, [0], axis=axis)))
