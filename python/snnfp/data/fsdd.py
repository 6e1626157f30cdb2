"""The Free Spoken Digit Dataset: ten digits, spoken by several people, a WAV file each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnfp.data._files import Files
from snnfp.data.wav import parse_wav
from snnfp.errors import FormatError

__all__ = ["FSDD", "fsdd"]

_NAME = r"(?:.*/)?(\d)_([^/_]+)_(\d+)\.wav"


@dataclass(frozen=True, eq=False)
class FSDD:
    """Recordings of spoken digits.

    Attributes:
        sounds: in -1 ... 1, an array of its own length each.
        rate: numbers a second.
        labels: digits, ``[recordings]``.
        speakers: their names.
        indices: the how-many-th of that digit by that speaker.
        names: of the files.
    """

    sounds: tuple[NDArray[np.float64], ...]
    rate: int
    labels: NDArray[np.int64]
    speakers: tuple[str, ...]
    indices: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return self.labels.size

    def __repr__(self) -> str:
        return f"FSDD({len(self)} recordings by {len(set(self.speakers))} speakers)"

    @property
    def is_test(self) -> NDArray[np.bool_]:
        """Which recordings are customarily held out for the test: indices 0 to 4."""
        return self.indices < 5


def fsdd(path: str | Path) -> FSDD:
    """Reads spoken digits from a folder or a zip: ``<digit>_<speaker>_<index>.wav`` in it.

    Args:
        path: the folder or the zip.

    Returns:
        All recordings, by digit, speaker and index.

    Raises:
        FileNotFoundError: there is no such folder or file.
        FormatError: no such recordings in it, or one that is damaged, is stereo, or has another
            rate than the first; names the file.

    Source: Z. Jackson and others, Free Spoken Digit Dataset, github.com/Jakobovski.
    """
    files = Files(path, _NAME, "spoken digits (<digit>_<speaker>_<index>.wav)")
    matches = files.matches(_NAME)
    keys = [(int(m[1]), m[2], int(m[3])) for m in matches]
    order = sorted(range(len(keys)), key=lambda k: keys[k])
    sounds, rates = [], []
    for k, data in zip(order, files.read(order), strict=True):
        sound, rate = parse_wav(data, files.place(k))
        if sound.ndim != 1:
            raise FormatError(f"{files.place(k)}: {sound.shape[1]} channels, expected one")
        sounds.append(sound)
        rates.append(rate)
        if rate != rates[0]:
            raise FormatError(
                f"{files.place(k)}: {rate} numbers a second, expected {rates[0]} as in "
                f"{files.names[order[0]]}"
            )
    return FSDD(
        tuple(sounds),
        rates[0],
        np.array([keys[k][0] for k in order], dtype=np.int64),
        tuple(keys[k][1] for k in order),
        np.array([keys[k][2] for k in order], dtype=np.int64),
        tuple(files.names[k] for k in order),
    )
