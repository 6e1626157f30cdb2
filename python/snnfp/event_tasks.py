"""Tasks of events: spoken digits, and N-MNIST, both learnt by readouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from snnfp.data import fsdd, nmnist
from snnfp.encoding import mel_level_crossings
from snnfp.spikes import Spikes
from snnfp.task import Task, TaskData, held_out
from snnfp.task_settings import Settings

__all__ = ["EVENT_TASKS"]

# Of features that are encoded as latencies.
_LATENCIES = frozenset(("t_min", "t_max", "bias_time"))


def _find(folder: Path | None, *names: str) -> Path:
    """The first of these that is in the folder, or the folder itself."""
    if folder is None:
        raise ValueError("this task needs --data DIR, the folder of its files")
    for name in names:
        if (folder / name).exists():
            return folder / name
    return folder


def _spoken_digits(s: Settings, folder: Path | None) -> TaskData:
    """Indices 0 to 4 of each speaker and digit are the test."""
    found = fsdd(_find(folder, "fsdd/recordings.zip", "recordings.zip", "recordings"))
    spikes = mel_level_crossings(found.sounds, rate=found.rate).between(0.0, s.until)
    test = np.flatnonzero(found.is_test)
    others = np.flatnonzero(~found.is_test)
    train, validation = held_out(s, spikes.take(others), found.labels[others])
    test_part = spikes.take(test), found.labels[test]
    # Up and down by 4 levels, of 32 bands: a shift along them is a higher or lower voice.
    return TaskData(train, validation, test_part, spikes.size, 10, grid=(8, 1, 32))


_PARTS = {name: (f"nmnist-small/{name}.zip", f"{name}.zip", name) for name in ("Train", "Test")}


def _n_mnist(s: Settings, folder: Path | None) -> TaskData:
    """The first saccade, with a dead time a channel."""

    def part(*names: str) -> tuple[Spikes, np.ndarray]:
        recordings = nmnist(_find(folder, *names), time_scale=1e-3)
        everything = recordings.take(np.arange(len(recordings)))
        return everything.between(0.0, s.until).thin(20.0), recordings.labels

    if folder is not None and not any((folder / n).exists() for n in _PARTS["Test"]):
        raise FileNotFoundError(
            f"{folder}: there is no Test.zip and no Test in it, expected the folder that has Train "
            "and Test"
        )
    spikes, labels = part(*_PARTS["Train"])
    test = part(*_PARTS["Test"])
    train, validation = held_out(s, spikes, labels)
    return TaskData(train, validation, test, spikes.size, 10, grid=(2, 34, 34))


EVENT_TASKS = (
    Task(
        "spoken-digits",
        "the Free Spoken Digit Dataset, log-mel level crossings; 257-200-10; needs --data",
        Settings(
            hidden=(200,),
            tau_mem=(0.05, 0.2),
            tau_syn=(0.01, 0.05),
            capacitance=0.01,
            t_refractory=0.005,
            first=(0.3, 1.0),
            later=(0.0, 0.03),
            level=3.0,
            readout="weighted_integral",
            readout_tau=(0.05, 0.01),
            time_scale=0.3,
            until=1.0,
            lr=5e-3,
            warmup=50,
            epochs=40,
            batch_size=32,
            clip_norm=1.0,
            average=0.998,
            shift=1,
            stretch=0.2,
            jitter=0.006,
            drop=0.15,
        ),
        _spoken_digits,
        with_readout={
            "first_spikes": {"tau0": 0.05, "lr": 3e-3, "bump": 0.1, "label_bump": 3.0},
        },
        unused=_LATENCIES | {"copies", "kernels"},
        needs_data=True,
        time_unit="s",
    ),
    Task(
        "n-mnist",
        "MNIST seen by an event camera, its first saccade; 2312-200-10; needs --data",
        Settings(
            hidden=(200,),
            tau_mem=30.0,
            tau_syn=10.0,
            t_refractory=5.0,
            first=(0.3, 1.0),
            later=(0.0, 0.1),
            level=3.0,
            readout="weighted_integral",
            readout_tau=(60.0, 15.0),
            time_scale=200.0,
            until=100.0,
            lr=2e-3,
            warmup=50,
            epochs=40,
            batch_size=25,
            clip_norm=1.0,
            average=0.998,
            shift=2,
        ),
        _n_mnist,
        with_readout={
            "first_spikes": {"tau0": 10.0, "lr": 1e-3, "bump": 0.1, "label_bump": 3.0},
        },
        unused=_LATENCIES | {"copies"},
        needs_data=True,
    ),
)
