"""The subject that a run folder of ``snnfp train`` is."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from snnfp.checkpoint import ArrayFile
from snnfp.history import History
from snnfp.report.subject import Subject
from snnfp.runs import (
    CHECKPOINT,
    CONFIG,
    HISTORY,
    INITIAL,
    MODEL,
    read_config,
    read_history,
)
from snnfp.tasks import TASKS, Settings, Task, build_network, make_loss
from snnfp.training_state import read_figures

__all__ = ["needs_data", "read_run"]

_OF_A_CHECKPOINT = "parameter/"


def needs_data(folder: Path) -> bool:
    """Whether the task of a run reads its samples from files."""
    return _config(folder)[0].needs_data


def read_run(folder: str | Path, *, data: str | Path | None = None) -> Subject:
    """Reads what a run folder holds, and the samples that its network is tested on.

    A run that is still going on, or was ended before its time, is read from its checkpoint. What a
    folder lacks is in :attr:`Subject.missing`.

    Args:
        folder: the run folder.
        data: the folder of the data, for tasks that read them from files; None: the page has no
            spikes and voltages of such a task.

    Raises:
        FileNotFoundError: there is no such folder, it is no run, or one that stopped in its first
            epoch; or the data are not there.
        FormatError: a file is damaged, or of another version or network.
        MissingDependencyError: safetensors is not installed, and there is a model to read.
    """
    folder = Path(folder)
    task, settings, version = _config(folder)
    checkpoint = folder / CHECKPOINT
    model = next((f for f in (folder / MODEL, checkpoint) if f.is_file()), None)
    history = _history(folder)
    missing = []
    if model is None and history is None:
        raise FileNotFoundError(
            f"{folder}: this run stopped in its first epoch: it has neither {HISTORY} nor {MODEL} "
            f"nor {CHECKPOINT}"
        )
    if history is None:
        missing.append(f"learning curves: the run has no whole epoch in {HISTORY}")
    before = _parameters(folder / INITIAL) if (folder / INITIAL).is_file() else None
    if before is None:
        missing.append(
            f"parameters before the training: {INITIAL} is not in the folder (runs of older "
            "versions have none)"
        )
    net = samples = None
    if model is None:
        missing.append(
            f"parameters, spikes, voltages and the diagnosis: neither {MODEL} nor {CHECKPOINT} is "
            "in the folder (safetensors was not installed)"
        )
    elif task.needs_data and data is None:
        missing.append(
            f"spikes, voltages and the diagnosis: the samples of {task.name} are read from files, "
            "whose folder was not given (--data DIR)"
        )
    else:
        # Copies of training images, which take long to make, are not looked at.
        given = replace(settings, copies=0)
        loaded = task.load(given, None if data is None else Path(data))
        net = build_network(settings, loaded.channels, loaded.classes, loaded.grid)
        net.load(model)
        samples = loaded.test
    return Subject(
        name=folder.resolve().name,
        history=history,
        net=net,
        before=before,
        # The order of a file is that of the alphabet, that of a network says what comes first.
        after=None if model is None or net is not None else _parameters(model),
        samples=samples,
        loss=make_loss(settings),
        until=settings.until,
        time_unit=task.time_unit,
        settings=asdict(settings),
        usual=asdict(task.settings),
        facts={"task": task.name, "trained by": f"snnfp {version}"},
        missing=tuple(missing),
        n_threads=settings.threads,
    )


def _config(folder: Path) -> tuple[Task, Settings, str]:
    if not folder.is_dir():
        kind = "this is a file" if folder.exists() else "there is no run of that name"
        raise FileNotFoundError(f"{folder}: {kind}, expected a run folder of snnfp train")
    if not (folder / CONFIG).is_file():
        raise FileNotFoundError(
            f"{folder}: this folder is no run of snnfp train: no {CONFIG} in it"
        )
    return read_config(folder / CONFIG, TASKS.values())


def _history(folder: Path) -> History | None:
    """That of the finished run, or of its checkpoint; None: no epoch."""
    if (folder / HISTORY).is_file():
        history = read_history(folder / HISTORY)
    elif (folder / CHECKPOINT).is_file():
        history = History(read_figures(ArrayFile(folder / CHECKPOINT))["history"])
    else:
        return None
    return history if len(history) else None


def _parameters(path: Path) -> dict[str, NDArray[Any]]:
    """Those of a model file, or of a checkpoint, by name."""
    file = ArrayFile(path)
    group = _OF_A_CHECKPOINT if path.name == CHECKPOINT else ""
    names = [n for n in file.names if n.startswith(group)]
    return {
        n.removeprefix(group): file.read(n, finite=n.endswith((".weight", ".delay"))) for n in names
    }
