"""N-MNIST: MNIST seen by an event camera that moves, a ``.bin`` file a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._numbers import real_number
from snnfp._spike_operations import by_sample_and_time
from snnfp.data._files import Files
from snnfp.data.events import make_events
from snnfp.data.sources import chosen_samples
from snnfp.errors import FormatError
from snnfp.spikes import Spikes

__all__ = ["NMNIST", "nmnist"]

_SIDE = 34
_OVERFLOW_ROW, _OVERFLOW = 240, 1 << 13  # a y that marks it, and the microseconds it stands for
_NAME = r"(?:(.*)/)?(\d)/(\d+)\.bin"


class NMNIST:
    """Recordings that are read when they are asked for; a data set for ``fit`` and ``evaluate``.

    Attributes:
        labels: the digit of each recording, ``[recordings]``.
        names: their files, in the order of their numbers, which is that of MNIST.
        size: channels; channel ``(p * 34 + y) * 34 + x``.
        shape: of the channels as a grid.
    """

    def __init__(self, files: Files, labels: NDArray[np.int64], time_scale: float, n: int) -> None:
        self._files, self._scale, self._polarities = files, time_scale, n
        self.labels = labels
        self.names = tuple(files.names)
        self.shape = (n, _SIDE, _SIDE)
        self.size = n * _SIDE * _SIDE

    def __len__(self) -> int:
        return self.labels.size

    def __repr__(self) -> str:
        return f"NMNIST({len(self)} recordings of {self._files.path})"

    def take(self, samples: ArrayLike) -> Spikes:
        """The spikes of these recordings in this order.

        Raises:
            FormatError: a damaged file; names it, the offset, the value and what was expected.
        """
        chosen = chosen_samples(samples, len(self))
        x, y, t, p, sample = self._columns(chosen)
        plane = p if self._polarities == 2 else 0
        units = ((plane * _SIDE + y) * _SIDE + x).astype(np.int32)
        times = t * self._scale
        order = by_sample_and_time(times, sample, chosen.size)
        counts = np.bincount(sample, minlength=chosen.size)
        offsets = np.concatenate(([0], np.cumsum(counts)))
        return Spikes._new(times[order], units[order], offsets, self.size)

    def events(self, recording: int) -> NDArray[Any]:
        """Events of one recording as its file has them: x, y, t (microseconds), p (1: brighter)."""
        return make_events(*self._columns(chosen_samples([recording], len(self)))[:4])

    def _columns(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """x, y, t, p and place in ``chosen`` of all events of these recordings."""
        data = self._files.read(chosen.tolist())
        for k, piece in zip(chosen, data, strict=True):
            if len(piece) % 5:
                raise FormatError(
                    f"{self._files.place(int(k))}: {len(piece)} bytes, expected a multiple of 5: "
                    "the last event is cut short, or this is another format"
                )
        counts = np.array([len(piece) // 5 for piece in data])
        raw = np.frombuffer(b"".join(data), dtype=np.uint8).reshape(-1, 5).astype(np.int64)
        sample = np.repeat(np.arange(chosen.size), counts)
        x, y = raw[:, 0], raw[:, 1]
        overflow = y == _OVERFLOW_ROW
        before = np.concatenate(([0], np.cumsum(overflow)))
        first = np.cumsum(counts) - counts
        late = before[1:] - before[first][sample]
        t = ((raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]) + _OVERFLOW * late
        for name, byte, value in (("x", 0, x), ("y", 1, y)):
            bad = np.flatnonzero((value >= _SIDE) & ~overflow)
            if bad.size:
                k = bad[0]
                s = sample[k]
                raise FormatError(
                    f"{self._files.place(int(chosen[s]))}: byte {5 * (k - first[s]) + byte}: "
                    f"{name} is {value[k]}, expected 0 ... {_SIDE - 1}"
                )
        kept = ~overflow
        return x[kept], y[kept], t[kept], (raw[:, 2] >> 7)[kept], sample[kept]


def nmnist(path: str | Path, *, time_scale: float = 1e-6, polarities: int = 2) -> NMNIST:
    """N-MNIST's recordings in a folder or a zip: ``<digit>/<number>.bin`` in it, wherever.

    Args:
        path: of one part, say ``.../Train`` or ``Train.zip``.
        time_scale: a microsecond in the unit of the spikes (1e-6: seconds; 1e-3: milliseconds).
        polarities: 2: darker and brighter on channels of their own; 1: on the same.

    Raises:
        FileNotFoundError: there is no such folder or file.
        FormatError: no such recordings in it, or those of two parts.

    Source: Orchard, Jayawant, Cohen, Thakor, "Converting static image datasets to spiking
    neuromorphic datasets using saccades", Frontiers in Neuroscience 2015.
    """
    if polarities not in (1, 2):
        raise ValueError(f"polarities is {polarities}, expected 1 or 2")
    if not 0 < real_number(time_scale, "time_scale") < np.inf:
        raise ValueError(f"time_scale is {time_scale}, expected a finite number > 0")
    files = Files(path, _NAME, "N-MNIST recordings (<digit>/<number>.bin)")
    matches = files.matches(_NAME)
    parts = sorted({m[1] or "" for m in matches})
    if len(parts) > 1:
        raise FormatError(
            f"{files.path}: holds recordings in {' and '.join(parts)}, expected one part: "
            f"{files.path / parts[0]}"
        )
    labels = np.array([int(m[2]) for m in matches], dtype=np.int64)
    return NMNIST(files, labels, float(time_scale), polarities)
