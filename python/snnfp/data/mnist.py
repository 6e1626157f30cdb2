"""MNIST and other data in the idx format, plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.checkpoint import check_ordinary
from snnfp.errors import FormatError

__all__ = ["MNIST", "mnist", "read_idx"]

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 1 << 20
_MOST_DEFLATED = 1032  # a byte of deflated data stands for no more


@dataclass(frozen=True)
class MNIST:
    """Images ``[n, 28, 28]`` as u8 and labels ``[n]``, for training and test."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def read_idx(path: str | Path) -> NDArray[Any]:
    """Reads an idx file: two zero bytes, a type byte, the number of dimensions, big-endian sizes.

    Args:
        path: the file; gzip is recognised by its first bytes.

    Raises:
        FormatError: names the file, the offset, the value and what was expected. Memory stays
            bounded by the size that the header declares, and nothing is allocated for a header
            that the file does not bear out.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    check_ordinary(path, "an idx file")
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            return _read(file, path, path.stat().st_size, zipped)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{path}: damaged gzip data ({error}), expected a whole file") from error


def _read(file: Any, path: Path, size: int, zipped: bool) -> NDArray[Any]:
    head = file.read(4)
    if len(head) < 4:
        raise FormatError(f"{path}: {len(head)} bytes, expected at least the 4 of an idx header")
    if head[:2] != b"\0\0":
        raise FormatError(
            f"{path}: starts with {head!r}, expected two zero bytes: this is not an idx file"
        )
    if head[2] not in _TYPES:
        known = ", ".join(f"0x{k:02x}" for k in _TYPES)
        raise FormatError(f"{path}: byte 2 is 0x{head[2]:02x}, expected a type of {known}")
    n_dims = head[3]
    if not 1 <= n_dims <= 8:
        raise FormatError(f"{path}: byte 3 is {n_dims}, expected 1 ... 8 dimensions")
    sizes = file.read(4 * n_dims)
    if len(sizes) < 4 * n_dims:
        raise FormatError(
            f"{path}: the header ends after {4 + len(sizes)} bytes, expected {4 + 4 * n_dims}"
        )
    shape = tuple(int.from_bytes(sizes[4 * k : 4 * k + 4], "big") for k in range(n_dims))
    dtype = np.dtype(_TYPES[head[2]])
    expected = dtype.itemsize
    for n in shape:
        expected *= n
    if not zipped and size != 4 + 4 * n_dims + expected:
        raise FormatError(
            f"{path}: {size} bytes, expected {4 + 4 * n_dims + expected} for shape {shape}"
        )
    if zipped and expected > _MOST_DEFLATED * size:
        raise FormatError(
            f"{path}: {size} bytes of gzip data, expected {expected} in it for shape {shape}"
        )
    # Piece by piece: a false header costs no memory.
    pieces, got = [], 0
    while got <= expected:
        piece = file.read(min(_CHUNK, expected + 1 - got))
        if not piece:
            break
        pieces.append(piece)
        got += len(piece)
    if got != expected:
        more = "more" if got > expected else str(got)
        raise FormatError(f"{path}: {more} bytes of data, expected {expected} for shape {shape}")
    try:
        data = np.frombuffer(b"".join(pieces), dtype=dtype).reshape(shape)
    except ValueError as error:  # no data, with sizes beyond all bounds beside a 0
        raise FormatError(f"{path}: shape {shape} cannot be: {error}") from error
    return data.astype(dtype.newbyteorder("="))


def mnist(folder: str | Path) -> MNIST:
    """Reads the four files of MNIST (or Fashion-MNIST) from a folder, plain or ``.gz``.

    Raises:
        FileNotFoundError: a file is missing; names it and the folder.
        FormatError: a file is damaged, or images and labels do not belong together.
    """
    folder = Path(folder)

    def find(name: str) -> NDArray[Any]:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return read_idx(candidate)
        raise FileNotFoundError(f"{folder}: neither {name} nor {name}.gz is there, expected MNIST")

    parts = []
    for part in ("train", "t10k"):
        images, labels = find(f"{part}-images-idx3-ubyte"), find(f"{part}-labels-idx1-ubyte")
        if images.ndim != 3 or images.dtype != np.uint8:
            raise FormatError(
                f"{folder}: {part} images are {images.dtype}{list(images.shape)}, "
                "expected uint8 [n, rows, columns]"
            )
        if labels.shape != images.shape[:1]:
            raise FormatError(
                f"{folder}: {part} has {images.shape[0]} images and labels of shape "
                f"{labels.shape}, expected one a image"
            )
        if labels.dtype.kind not in "iu":
            raise FormatError(f"{folder}: {part} labels are {labels.dtype}, expected integers")
        parts += [images, labels.astype(np.int64)]
    return MNIST(*parts)
