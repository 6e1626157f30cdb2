"""Sound from WAV files."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.checkpoint import check_ordinary
from snnfp.errors import FormatError

__all__ = ["parse_wav", "read_wav"]


def read_wav(path: str | Path) -> tuple[NDArray[np.float64], int]:
    """Reads a WAV file of whole numbers (PCM of 8, 16, 24 or 32 bits).

    Args:
        path: the file.

    Returns:
        Sound in -1 ... 1, ``[frames]``, or ``[frames, channels]`` if there are several; and frames
        a second.

    Raises:
        FormatError: another format, damaged or cut short.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    check_ordinary(path, "a WAV file")
    return parse_wav(path.read_bytes(), str(path))


def parse_wav(data: bytes, name: str) -> tuple[NDArray[np.float64], int]:
    """What :func:`read_wav` reads, from the bytes of a file that errors call ``name``."""
    try:
        with wave.open(io.BytesIO(data), "rb") as file:
            channels, width, rate, frames = file.getparams()[:4]
            raw = file.readframes(frames)
    except (wave.Error, EOFError, ValueError, OverflowError, RuntimeError) as error:
        what = str(error) or "it ends too early"
        raise FormatError(f"{name}: not a whole WAV file of PCM sound: {what}") from error
    if width not in (1, 2, 3, 4):
        raise FormatError(f"{name}: {8 * width} bits a number, expected 8, 16, 24 or 32")
    if rate < 1:
        raise FormatError(f"{name}: {rate} frames a second, expected at least 1")
    expected = frames * channels * width
    if len(raw) != expected:
        raise FormatError(
            f"{name}: {len(raw)} bytes of sound, expected {expected} for {frames} frames: the file "
            "is cut short"
        )
    sound = _numbers(raw, width)
    return (sound if channels == 1 else sound.reshape(frames, channels)), rate


def _numbers(raw: bytes, width: int) -> NDArray[np.float64]:
    """Little-endian numbers as fractions of the largest; 8 bits have no sign."""
    if width == 1:
        return (np.frombuffer(raw, dtype=np.uint8).astype(np.float64) - 128.0) / 128.0
    if width == 3:
        padded = np.zeros((len(raw) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3)
        whole: NDArray[Any] = padded.reshape(-1).view("<i4") >> 8
    else:
        whole = np.frombuffer(raw, dtype=f"<i{width}")
    return whole.astype(np.float64) / 2.0 ** (8 * width - 1)
