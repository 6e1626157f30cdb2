"""Model files: all parameters of a network, with its structure in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfp.checkpoint import ArrayFile, refuse_values, save_arrays
from snnfp.errors import FormatError

if TYPE_CHECKING:
    from snnfp.network import Network

__all__ = [
    "check_same_network",
    "header",
    "load_model",
    "read_parameters",
    "save_model",
    "take_parameters",
]

# In the header of a training checkpoint, where arrays have names in groups.
_TRAINING, _GROUP = "training", "parameter/"


def header(net: Network) -> dict[str, str]:
    """What says in a file of which network it is."""
    return {"structure": json.dumps(net.structure()), "fingerprint": net.fingerprint()}


def save_model(net: Network, path: str | Path) -> None:
    """Writes all parameters to a safetensors file, atomically."""
    save_arrays(path, dict(net.parameters), header(net))


def load_model(net: Network, path: str | Path) -> None:
    """Reads all parameters of a model file, or those of a training checkpoint.

    Raises:
        FormatError: the file is damaged, or of a network with another structure; the network is as
            it was.
    """
    file = ArrayFile(path)
    check_same_network(net, file)
    group = ""
    if _TRAINING in file.metadata:
        group = _GROUP
        if not isinstance(file.json(_TRAINING), dict):
            raise FormatError(f"{path} is not a training checkpoint: its header says nothing of it")
    take_parameters(net, read_parameters(net, file, group), path)


def check_same_network(net: Network, file: ArrayFile, what: str = "holds the parameters") -> None:
    """Whether a file is of a network with this structure.

    Args:
        net: the network.
        file: the file.
        what: what the message says that the file does or is.

    Raises:
        FormatError: of another; says where they differ.
    """
    if file.metadata.get("fingerprint") != net.fingerprint():
        raise FormatError(f"{file.path} {what} of another network: {_difference(net, file)}")


def read_parameters(net: Network, file: ArrayFile, group: str = "") -> dict[str, NDArray[Any]]:
    """The arrays of a file whose names begin with ``group``: the parameters of the network.

    Raises:
        FormatError: one is missing or unknown, or has another dtype or shape than the network's.
    """
    names = [n.removeprefix(group) for n in file.names if n.startswith(group)]
    _check_names(net, names, file.path)
    return {n: file.read(group + n, dtype=net.dtype, shapes=net._shapes_of(n)) for n in names}


def take_parameters(net: Network, arrays: dict[str, NDArray[Any]], path: str | Path) -> None:
    """Replaces all parameters by the arrays of a file, or none of them.

    Raises:
        FormatError: a parameter is missing, unknown or not a legal value.
    """
    _check_names(net, arrays, path)
    for name, array in arrays.items():
        if array.dtype != net.dtype:
            raise FormatError(f"{path}: {name} has dtype {array.dtype}, expected {net.dtype}")
        refuse_values(path, name, array, np.isnan(array), "a number")
    try:
        net._replace(arrays)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path}: {error}") from error


def _check_names(net: Network, names: Any, path: str | Path) -> None:
    apart = sorted(set(names) ^ set(net._values))
    if apart:
        what = "lacks" if apart[0] in net._values else "holds an unknown"
        raise FormatError(f"{path}: the file {what} parameter {apart[0]}")


def _difference(net: Network, file: ArrayFile) -> str:
    try:
        other = file.json("structure")
    except FormatError:
        other = None
    if not isinstance(other, dict):
        return "the file does not say which"
    mine = net.structure()
    for part in dict.fromkeys([*mine, *other]):
        there, here = other.get(part), mine.get(part)
        if there != here:
            return f"{part} there: {_short(there)}, here: {_short(here)}"
    return "the file does not say where"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 300 else f"{text[:300]} ..."
