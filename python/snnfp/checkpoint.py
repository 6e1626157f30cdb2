"""Arrays in files: safetensors, written so that a file is always whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.errors import FormatError, require

__all__ = ["check_writable", "load_arrays", "save_arrays", "write_atomically"]


def check_writable(path: str | Path) -> None:
    """Whether :func:`write_atomically` can write a file there; leaves none behind.

    Raises:
        OSError: it cannot.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder, expected a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder, to write {target.name} to")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    Path(name).unlink()


def write_atomically(path: str | Path, data: bytes) -> None:
    """Writes a file that is either the old or the new one at any moment.

    A temporary file in the same folder is written, synced and moved into place, and the folder
    synced.
    """
    target = Path(path)
    folder = target.parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def save_arrays(
    path: str | Path, arrays: dict[str, NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Writes named arrays and text to a safetensors file, atomically.

    Raises:
        MissingDependencyError: safetensors is not installed.
    """
    numpy_format = require("safetensors.numpy", extra="train")
    whole = {k: np.array(v, order="C") for k, v in arrays.items()}
    write_atomically(path, numpy_format.save(whole, metadata=metadata or {}))


def load_arrays(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Reads what :func:`save_arrays` wrote. Nothing in a file is ever executed.

    Raises:
        FormatError: not a safetensors file, damaged or cut short.
        FileNotFoundError: there is no such file.
        MissingDependencyError: safetensors is not installed.
    """
    safetensors = require("safetensors", extra="train")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a safetensors file")
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}
            return arrays, dict(file.metadata() or {})
    except (safetensors.SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: not a whole safetensors file: {error}") from error
