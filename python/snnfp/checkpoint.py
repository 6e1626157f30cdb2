"""Arrays in files: safetensors, written so that a file is always whole, and never trusted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from snnfp._whole_files import check_writable, write_atomically
from snnfp.errors import FormatError, require

__all__ = ["ArrayFile", "check_writable", "load_arrays", "save_arrays", "write_atomically"]

# So that a hostile file costs little memory: no header or JSON text of ours comes near these.
MOST_TEXT_BYTES = 1 << 24
MOST_JSON_VALUES = 1 << 20


def save_arrays(
    path: str | Path, arrays: dict[str, NDArray[Any]], metadata: dict[str, str] | None = None
) -> None:
    """Writes named arrays and text to a safetensors file, atomically; equal content, equal bytes.

    Raises:
        MissingDependencyError: safetensors is not installed.
        OSError: the file cannot be written; see :func:`write_atomically`.
        ValueError: more text than :class:`ArrayFile` reads (16 MiB).
    """
    numpy_format = require("safetensors.numpy", extra="train")
    whole = {k: np.array(v, order="C") for k, v in arrays.items()}
    data = numpy_format.save(whole, metadata=metadata or {})
    # The library writes the text in another order each time.
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(
        json.loads(data[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MOST_TEXT_BYTES:
        raise ValueError(
            f"{path}: names and text take {len(header)} bytes, expected at most {MOST_TEXT_BYTES}"
        )
    write_atomically(path, len(header).to_bytes(8, "little"), header, memoryview(data)[end:])


def load_arrays(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Reads all that :func:`save_arrays` wrote. Nothing in a file is ever executed.

    Raises:
        FormatError: not a safetensors file, damaged or cut short.
        FileNotFoundError: there is no such file.
        MissingDependencyError: safetensors is not installed.
    """
    file = ArrayFile(path)
    return {name: file.read(name) for name in file.names}, file.metadata


class ArrayFile:
    """A safetensors file whose names and text are read, and whose arrays are read when asked for.

    Args:
        path: the file.

    Attributes:
        path: the file.
        names: of the arrays.
        metadata: the text.

    Raises:
        FormatError: not a safetensors file, damaged or cut short.
        FileNotFoundError: there is no such file.
        MissingDependencyError: safetensors is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        safetensors = require("safetensors", extra="train")
        self.path = Path(path)
        check_ordinary(self.path, "a safetensors file")
        with self.path.open("rb") as raw:
            size = int.from_bytes(raw.read(8), "little")
        if size > MOST_TEXT_BYTES:
            raise FormatError(
                f"{path}: not a whole safetensors file, or another kind of file: its header has "
                f"{size} bytes, expected at most {MOST_TEXT_BYTES}"
            )
        # AttributeError: types of numbers that NumPy lacks.
        self._errors = (
            safetensors.SafetensorError,
            ValueError,
            TypeError,
            OverflowError,
            AttributeError,
        )
        try:
            self._file = safetensors.safe_open(str(path), framework="numpy")
            self.names: list[str] = sorted(self._file.keys())
            self.metadata: dict[str, str] = dict(self._file.metadata() or {})
        except self._errors as error:
            raise FormatError(f"{path}: not a whole safetensors file: {error}") from error

    def read(
        self,
        name: str,
        *,
        dtype: DTypeLike | None = None,
        shapes: Sequence[tuple[int, ...]] | None = None,
        finite: bool = False,
    ) -> NDArray[Any]:
        """One array, after its header is found to be what is expected.

        Args:
            name: of the array.
            dtype: the only one allowed; None: any.
            shapes: the only ones allowed; None: any.
            finite: refuse infinities and nan.

        Raises:
            FormatError: there is no such array, or it is something else.
        """
        if name not in self.names:
            raise FormatError(f"{self.path}: the file lacks {name}")
        try:
            # From the header: what is too large is never read.
            shape = tuple(self._file.get_slice(name).get_shape())
            if shapes is not None and shape not in shapes:
                expected = " or ".join(str(s) for s in shapes)
                raise FormatError(f"{self.path}: {name} has shape {shape}, expected {expected}")
            array: NDArray[Any] = self._file.get_tensor(name)
        except FormatError:
            raise
        except self._errors as error:
            raise FormatError(f"{self.path}: {name} cannot be read: {error}") from error
        if dtype is not None and array.dtype != dtype:
            raise FormatError(
                f"{self.path}: {name} has dtype {array.dtype}, expected {np.dtype(dtype)}"
            )
        if finite:
            refuse_values(self.path, name, array, ~np.isfinite(array), "a finite number")
        return array

    def json(self, key: str) -> Any:
        """What the text under a key says, which must be JSON.

        Raises:
            FormatError: there is no such text, or it is something else.
        """
        if key not in self.metadata:
            raise FormatError(f"{self.path}: the file lacks {key!r} in its header")
        return parse_json(self.metadata[key], f"{self.path}: {key!r} in the header")


def refuse_values(
    path: str | Path, name: str, array: NDArray[Any], wrong: NDArray[np.bool_], expected: str
) -> None:
    """Raises a FormatError that names the first wrong value of an array, if there is one."""
    if np.any(wrong):
        index = tuple(int(k) for k in np.argwhere(wrong)[0])
        place = f"[{', '.join(map(str, index))}]" if index else ""
        raise FormatError(f"{path}: {name}{place} is {array[index]}, expected {expected}")


def read_json_table(path: Path, expected: str) -> dict[str, Any]:
    """Keys and values from a JSON file that is not trusted; ``expected``: what errors call it.

    Raises:
        FileNotFoundError: there is nothing.
        FormatError: no ordinary file, too large, no text, no JSON or no keys and values.
    """
    check_ordinary(path, expected)
    size = path.stat().st_size
    if size > MOST_TEXT_BYTES:
        raise FormatError(
            f"{path} has {size} bytes, expected {expected} of at most {MOST_TEXT_BYTES}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not a text file: {error}") from error
    data = parse_json(text, str(path))
    if not isinstance(data, dict):
        raise FormatError(f"{path} holds a {type(data).__name__}, expected the keys of {expected}")
    return data


def parse_json(text: str, name: str) -> Any:
    """JSON from a file that is not trusted.

    Raises:
        FormatError: it is no JSON, too deep, says a key twice, or has more than a million values.
    """
    if sum(text.count(mark) for mark in ",[{") > MOST_JSON_VALUES:
        raise FormatError(f"{name} has more than {MOST_JSON_VALUES} values")
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} is not JSON: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is there twice")
        found[key] = value
    return found


def check_ordinary(path: Path, expected: str) -> None:
    """Whether a path is an ordinary file: a pipe would be waited for for ever.

    Raises:
        FileNotFoundError: there is nothing.
        FormatError: it is a folder or something else.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file, expected {expected}")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no ordinary file"
        raise FormatError(f"{path}: this is {kind}, expected {expected}")
