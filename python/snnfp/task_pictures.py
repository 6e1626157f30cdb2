"""The pictures that ``snnfp train`` leaves in its run folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp import plots
from snnfp.checkpoint import write_atomically
from snnfp.errors import require
from snnfp.history import History
from snnfp.network import Network
from snnfp.plots._style import simulate_quietly
from snnfp.task import Labelled, Task, TaskData
from snnfp.task_networks import make_loss
from snnfp.task_settings import Settings

__all__ = ["PICTURE_FORMATS", "draw_pictures"]

# By format, what would make the same picture another file each time.
PICTURE_FORMATS: dict[str, dict[str, None]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
_CHUNK = 500


def draw_pictures(
    folder: Path,
    task: Task,
    settings: Settings,
    data: TaskData,
    net: Network,
    history: History,
    *,
    kind: str,
    dpi: float,
) -> None:
    """Draws the learning curves, a right and a wrong test sample, and the map of a plane.

    Args:
        folder: where to.
        task: what was learnt.
        settings: how.
        data: from what.
        net: the trained network.
        history: of the training.
        kind: format of the files, a key of ``PICTURE_FORMATS``.
        dpi: resolution of images, in dots an inch.
    """
    _save(plots.learning_curves(history), folder / f"learning_curves.{kind}", dpi)
    loss = make_loss(settings)
    spikes, labels = data.test
    chosen = _right_and_wrong(net, loss, data.test, settings.until)
    samples = plots.raster_and_voltage(
        net,
        spikes.take(chosen),
        labels[chosen],
        until=settings.until,
        titles=[f"test sample {k}" for k in chosen],
        time_unit=task.time_unit,
    )
    _save(samples, folder / f"sample.{kind}", dpi)
    if task.plane and data.encode is not None:
        shown = np.arange(min(500, len(labels)))
        points = _points(settings, data, shown)
        plane = plots.decision_map(
            net,
            data.encode,
            loss.predict,
            points,
            labels[shown],
            until=settings.until,
            mirrored=points.shape[1] == 4,
        )
        _save(plane, folder / f"decision_map.{kind}", dpi)


def _save(figure: Any, path: Path, dpi: float) -> None:
    kind = path.suffix[1:]
    content = io.BytesIO()
    # Names within an SVG are drawn by chance otherwise.
    with require("matplotlib", extra="train").rc_context({"svg.hashsalt": "snnfp"}):
        figure.savefig(content, format=kind, dpi=dpi, metadata=PICTURE_FORMATS[kind])
    write_atomically(path, content.getvalue())


def _right_and_wrong(net: Network, loss: Any, data: Labelled, until: float) -> list[int]:
    """The first test sample that the network gets right, and the first that it gets wrong.

    Where all are right or all are wrong, the second is the first one of another label.
    """
    spikes, labels = data
    found: dict[bool, int] = {}
    for begin in range(0, len(labels), _CHUNK):
        part = np.arange(begin, min(len(labels), begin + _CHUNK))
        given = loss.predict(simulate_quietly(net, spikes.take(part), until))
        for k in np.unique(given == labels[part], return_index=True)[1].tolist():
            found.setdefault(bool(given[k] == labels[begin + k]), begin + k)
        if len(found) == 2:
            return [found[True], found[False]]
    others = np.flatnonzero(labels != labels[0])
    return [0, *others[:1].tolist()]


def _points(settings: Settings, data: TaskData, shown: NDArray[np.int64]) -> NDArray[np.float64]:
    """Features of test samples, read back from their latencies."""
    spikes = data.test[0].take(shown)
    d = data.channels - (settings.bias_time is not None)
    times = np.full((len(spikes), data.channels), np.nan)
    rows = np.repeat(np.arange(len(spikes)), np.diff(spikes.offsets))
    times[rows, spikes.units] = spikes.times
    return np.clip((times[:, :d] - settings.t_min) / (settings.t_max - settings.t_min), 0.0, 1.0)
