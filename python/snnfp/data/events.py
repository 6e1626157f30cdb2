"""Events of event cameras as structured arrays: x, y, t (microseconds), p."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.checkpoint import check_ordinary
from snnfp.errors import FormatError

__all__ = ["EVENT", "make_events", "read_events"]

EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "u1")])
_NAMES = ("x", "y", "t", "p")
# What others call them.
_OTHER = {"ts": "t", "timestamp": "t", "time": "t", "pol": "p", "polarity": "p"}


def make_events(x: Any, y: Any, t: Any, p: Any) -> NDArray[Any]:
    """A structured array of these columns."""
    events = np.empty(len(t), dtype=EVENT)
    for name, column in zip(_NAMES, (x, y, t, p), strict=True):
        events[name] = column
    return events


def read_events(path: str | Path) -> NDArray[Any]:
    """Reads events from a ``.npy`` or ``.npz`` file that NumPy wrote.

    Args:
        path: a structured array with the fields x, y, t, p (t in integer ticks; ``ts``,
            ``timestamp`` and ``pol``, ``polarity`` are taken too), in any order and beside others;
            or an ``.npz`` with an array of each.

    Returns:
        Events as :meth:`snnfp.Spikes.from_structured` takes them: x, y, t (int64), p (0 or 1),
        in the order of the file.

    Raises:
        FormatError: another format, a field that lacks, or a value that cannot be; names the file,
            the event, the value and what was expected. Nothing in a file is ever executed.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    check_ordinary(path, "a .npy or .npz file of events")
    try:
        columns = {_OTHER.get(k, k): column for k, column in _columns(path) if _known(k)}
    except Exception as error:  # NumPy raises what its parser meets
        raise FormatError(f"{path}: not a whole .npy or .npz file of arrays: {error}") from error
    missing = [k for k in _NAMES if k not in columns]
    if missing:
        raise FormatError(f"{path}: lacks {', '.join(missing)}, expected the fields x, y, t, p")
    n = columns["t"].shape
    for name in _NAMES:
        columns[name] = _checked(path, name, columns[name], n)
    return make_events(*(columns[k] for k in _NAMES))


def _columns(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The fields of a structured array, or the arrays of an ``.npz``; objects are refused."""
    with path.open("rb") as file:
        packed = file.read(2) == b"PK"
        file.seek(0)
        if not packed:
            array = np.lib.format.read_array(file)
            yield from ((name, array[name]) for name in array.dtype.names or ())
            return
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                key = name.removesuffix(".npy")
                if _known(key):
                    with archive.open(name) as part:
                        yield key, np.lib.format.read_array(part)


def _known(name: str) -> bool:
    return _OTHER.get(name, name) in _NAMES


def _checked(path: Path, name: str, column: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if column.ndim != 1 or column.shape != shape:
        raise FormatError(
            f"{path}: {name} has shape {column.shape}, expected one number an event, {shape}"
        )
    if column.dtype.kind == "b":
        column = column.astype(np.uint8)
    if column.dtype.kind not in "iu":
        raise FormatError(f"{path}: {name} has dtype {column.dtype}, expected integers")
    low = -(2**62) if name == "t" else 0
    most = {"t": 2**62, "p": 1}.get(name, 2**16 - 1)
    bad = np.flatnonzero((column < low) | (column > most))
    if bad.size:
        raise FormatError(
            f"{path}: event {bad[0]}: {name} is {column[bad[0]]}, expected {low} ... {most}"
        )
    return column
