"""Arrays in files: safetensors, written so that a file is always whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.errors import FormatError, require
from snnfp.whole_files import check_writable, write_atomically

__all__ = ["check_writable", "load_arrays", "save_arrays", "write_atomically"]


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
