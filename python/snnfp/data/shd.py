"""SHD and SSC: spoken digits and commands through a model of the inner ear, in HDF5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._numbers import real_number
from snnfp._spike_operations import by_sample_and_time
from snnfp.checkpoint import check_ordinary
from snnfp.data.sources import chosen_samples
from snnfp.errors import FormatError, require
from snnfp.spikes import Spikes

__all__ = ["SHD", "shd"]

_CHANNELS = 700


class SHD:
    """Recordings that are read when they are asked for; a data set for ``fit`` and ``evaluate``.

    Attributes:
        path: the file.
        labels: ``[recordings]``.
        extra: what the file has beside (``speaker``, ``keys``, ``meta_info/...``), by name.
        size: channels, 700.
    """

    def __init__(
        self, path: Path, labels: NDArray[np.int64], extra: dict[str, Any], time_scale: float
    ) -> None:
        self.path, self.labels, self.extra = path, labels, extra
        self.size = _CHANNELS
        self._scale = time_scale

    def __len__(self) -> int:
        return self.labels.size

    def __repr__(self) -> str:
        return f"SHD({len(self)} recordings of {self.path})"

    def take(self, samples: ArrayLike) -> Spikes:
        """The spikes of these recordings in this order.

        Times are float16 in the file, so many are equal; they keep their order.

        Raises:
            FormatError: a damaged file; names it, the recording, the value and what was expected.
        """
        chosen = chosen_samples(samples, len(self))
        with _open(self.path) as file:
            columns = [[_column(self.path, file, key, int(k)) for k in chosen] for key in _FIELDS]
        times, units = (np.concatenate(c) for c in columns)
        counts = np.array([c.size for c in columns[0]])
        for k, t, u in zip(chosen, *columns, strict=True):
            if t.size != u.size:
                raise FormatError(
                    f"{self.path}: recording {k} has {t.size} times and {u.size} units, expected "
                    "the same number"
                )
        sample = np.repeat(np.arange(chosen.size), counts)
        wide = times.astype(np.float64)  # first: scaled as float16 they would overflow
        first = np.cumsum(counts) - counts
        wrong = {
            "spikes/times": (wide, ~(np.isfinite(wide) & (wide >= 0)), "a finite time >= 0"),
            "spikes/units": (units, units >= _CHANNELS, f"0 ... {_CHANNELS - 1}"),
        }
        for name, (values, bad, expected) in wrong.items():
            if bad.any():
                k = int(np.argmax(bad))
                s = int(sample[k])
                raise FormatError(
                    f"{self.path}: {name}[{chosen[s]}][{k - first[s]}] is {values[k]}, expected "
                    f"{expected}"
                )
        wide *= self._scale
        order = by_sample_and_time(wide, sample, chosen.size)
        offsets = np.concatenate(([0], np.cumsum(counts)))
        return Spikes._new(wide[order], units[order].astype(np.int32), offsets, self.size)


_FIELDS = {"spikes/times": "f", "spikes/units": "u"}


def shd(path: str | Path, *, time_scale: float = 1.0) -> SHD:
    """Recordings of SHD or SSC from an ``.h5`` file; wants the extra ``[data]`` (h5py).

    Args:
        path: say ``shd_train.h5`` or ``ssc_valid.h5``. SHD has no validation part: hold out some
            of its training part, best whole speakers (``extra["speaker"]``).
        time_scale: a second in the unit of the spikes (1e3: milliseconds).

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: another format, or damaged; names the file and what was expected.
        MissingDependencyError: h5py is not installed.

    Source: Cramer, Stradmann, Schemmel, Zenke, "The Heidelberg spiking data sets for the systematic
    evaluation of spiking neural networks", IEEE TNNLS 2020.
    """
    if not 0 < real_number(time_scale, "time_scale") < np.inf:
        raise ValueError(f"time_scale is {time_scale}, expected a finite number > 0")
    path = Path(path)
    check_ordinary(path, "an .h5 file of SHD or SSC")
    with _open(path) as file:
        for key in ("labels", *_FIELDS):
            if key not in file or not hasattr(file[key], "shape"):
                raise FormatError(f"{path}: lacks {key}, expected a file of SHD or SSC")
        raw = file["labels"]
        n = raw.shape
        if len(n) != 1 or raw.dtype.kind not in "iu" or n[0] < 1:
            raise FormatError(f"{path}: labels are {raw.dtype}{list(n)}, expected integers [n]")
        for key in _FIELDS:
            if file[key].shape != n:
                raise FormatError(
                    f"{path}: {key} has shape {file[key].shape}, expected {n} as labels have"
                )
        labels = _read(path, file, "labels").astype(np.int64)
        extra: dict[str, Any] = {}
        group = file.get("extra")
        if hasattr(group, "visititems"):
            group.visititems(
                lambda name, part: extra.update(
                    {name: _read(path, file, f"extra/{name}")} if hasattr(part, "shape") else {}
                )
            )
    return SHD(path, labels, extra, float(time_scale))


def _open(path: Path) -> Any:
    h5py = require("h5py", extra="data")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FormatError(f"{path}: not a whole HDF5 file: {error}") from error


def _read(path: Path, file: Any, key: str) -> Any:
    try:
        return file[key][()]
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise FormatError(f"{path}: {key} cannot be read: {error}") from error


def _column(path: Path, file: Any, key: str, k: int) -> NDArray[Any]:
    """Times or units of one recording."""
    try:
        values = np.asarray(file[key][k])
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise FormatError(f"{path}: {key}[{k}] cannot be read: {error}") from error
    kinds = {"f": "f", "u": "iu"}[_FIELDS[key]]
    if values.ndim != 1 or (values.dtype.kind not in kinds):
        raise FormatError(
            f"{path}: {key}[{k}] is {values.dtype}{list(values.shape)}, expected "
            f"{'floats' if kinds == 'f' else 'integers'} [n]"
        )
    if values.dtype.kind == "i":  # so that what is below 0 is beyond the channels
        values = values.astype(np.int64).view(np.uint64)
    return values
