"""The folder that a training run leaves, and a run to go on from."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from snnfp.checkpoint import ArrayFile, read_json_table, write_atomically
from snnfp.errors import FormatError
from snnfp.history import History
from snnfp.network import Network
from snnfp.task_settings import SettingError, Settings, asked, option
from snnfp.tasks import Task
from snnfp.training_state import read_figures

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "HISTORY",
    "INITIAL",
    "MODEL",
    "Run",
    "RunFolder",
    "new_run_folder",
    "read_config",
    "read_history",
    "write_config",
    "write_history",
    "write_initial",
]

CHECKPOINT = "checkpoint.safetensors"
CONFIG = "config.json"
HISTORY = "history.json"
INITIAL = "initial.safetensors"
MODEL = "model.safetensors"

# What a run that goes on cannot change, and why.
_FIXED = {
    **dict.fromkeys(("hidden", "kernels"), "it is the shape of the network"),
    "dtype": "it is what the parameters are stored in",
    **dict.fromkeys(
        ("first", "later", "recurrent", "level"), "the initial weights have been trained since"
    ),
    "delays": "the initial delays have been trained since",
    **dict.fromkeys(("readout", "readout_tau"), "the outputs were scaled for that"),
    **dict.fromkeys(
        ("tau_mem", "tau_syn", "capacitance", "threshold", "t_refractory", "recurrent_delay"),
        "it is a parameter of the network in the checkpoint",
    ),
    "seed": "the samples go on in the order of that run",
}

# What snnfp.fit compares with the checkpoint, and prints where it differs.
_TOLD_BY_FIT = (
    *("batch_size", "until", "mode", "clip_norm", "lr", "lr_decay", "bump", "label_bump"),
    *("tau0", "tau1", "gamma"),
)


@dataclass(frozen=True)
class RunFolder:
    """A folder that was new or empty.

    Attributes:
        path: the folder.
        made: the folders that had to be made for it, the outermost first.
    """

    path: Path
    made: list[Path] = field(default_factory=list)

    def abandon(self) -> None:
        """Takes away what a run made and wrote before its first epoch; nothing else."""
        with contextlib.suppress(OSError):
            for name in (CONFIG, INITIAL, CHECKPOINT):
                for file in (self.path / name, *self.path.glob(f".{name}.snnfp-*.tmp")):
                    file.unlink(missing_ok=True)
            for folder in reversed(self.made):
                folder.rmdir()


def new_run_folder(given: Path | None, task: str) -> RunFolder:
    """Creates the folder: the one given (which must be new or empty), or ``runs/<task>-<n>``.

    Raises:
        FileExistsError: the folder given has something in it.
    """
    if given is not None:
        if given.exists() and (not given.is_dir() or any(given.iterdir())):
            raise FileExistsError(f"{given} exists and is not empty, expected a new folder")
        made = _missing(given)
        given.mkdir(parents=True, exist_ok=True)
        return RunFolder(given, made)
    n = 1
    while True:
        folder = Path("runs") / f"{task}-{n}"
        made = _missing(folder)
        try:
            folder.mkdir(parents=True)
            return RunFolder(folder, made)
        except FileExistsError:
            n += 1


def _missing(folder: Path) -> list[Path]:
    return [f for f in reversed([folder, *folder.parents]) if not f.exists()]


def write_config(folder: Path, task: str, settings: Settings, version: str) -> None:
    """Writes ``config.json``."""
    data = {"snnfp": version, "task": task, **asdict(settings)}
    write_atomically(folder / CONFIG, (json.dumps(data, indent=2) + "\n").encode())


def write_history(folder: Path, history: History) -> None:
    """Writes ``history.json`` and ``history.csv``."""
    epochs = history.epochs
    write_atomically(folder / HISTORY, (json.dumps(epochs, indent=1) + "\n").encode())
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["epoch", *epochs])
    rows.writerows([k + 1, *row] for k, row in enumerate(zip(*epochs.values(), strict=True)))
    write_atomically(folder / "history.csv", text.getvalue().encode())


def write_initial(folder: Path, net: Network, resume: Path | None) -> None:
    """Writes the parameters that training begins from, before its first step.

    Args:
        folder: of the run.
        net: the network, which has them if the run begins here.
        resume: the checkpoint it goes on from, whose run may have a file of them; None: it begins.
    """
    if resume is None:
        net.save(folder / INITIAL)
    elif (before := resume.with_name(INITIAL)).is_file():
        write_atomically(folder / INITIAL, before.read_bytes())


@dataclass(frozen=True)
class Run:
    """A run to go on from.

    Attributes:
        checkpoint: its checkpoint.
        settings: of its ``config.json``.
        epochs: whole epochs that it has had.
        figures: its history, by name.
    """

    checkpoint: Path
    settings: Settings
    epochs: int
    figures: Mapping[str, list[float]]

    @classmethod
    def read(cls, path: Path, task: Task) -> Run:
        """Reads a run.

        Args:
            path: a run folder, or the checkpoint in it.
            task: what it must have learnt.

        Raises:
            FileNotFoundError: there is no such run, no checkpoint in it, or no ``config.json``.
            FormatError: a file is damaged, or the run is one of another task.
        """
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: there is no run of that name, expected a run folder or the checkpoint in "
                "it"
            )
        checkpoint = path / CHECKPOINT if path.is_dir() else path
        if not checkpoint.exists():
            raise FileNotFoundError(
                f"{path}: this folder is no run, or one that stopped in its first epoch: it has no "
                f"{CHECKPOINT}"
            )
        figures = read_figures(ArrayFile(checkpoint))
        _, settings, _ = read_config(checkpoint.parent / CONFIG, [task])
        return cls(checkpoint, settings, figures["epoch"], figures["history"])

    def changed(self, given: Mapping[str, Any]) -> tuple[Settings, list[str]]:
        """The run's settings with those asked for, and a line for each that differs and is not
        told by :func:`snnfp.fit`.

        Args:
            given: settings by name, None where none is asked for.

        Raises:
            SettingError: a setting that a run cannot change on its way, or nothing left to do.
        """
        new = {k: v for k, v in asked(given).items() if v != getattr(self.settings, k)}
        for name in new:
            old = getattr(self.settings, name)
            why = _FIXED.get(name)
            if name == "bias_time" and old is None:
                why = "the network has no channel for it"
            if why is not None:
                raise SettingError(
                    f"{{{name}}} of the run is {_text(old)} and cannot become {_text(new[name])}: "
                    f"{why}"
                )
        settings = replace(self.settings, **new)
        if self.epochs >= settings.epochs:
            raise SettingError(
                f"the run has had {self.epochs} epochs and {{epochs}} is {settings.epochs}: "
                "ask for more"
            )
        metric = "validation_accuracy" if "validation_accuracy" in self.figures else "accuracy"
        reached = self.figures[metric][-1] if self.figures.get(metric) else 0.0
        if settings.target is not None and reached >= settings.target:
            raise SettingError(
                f"the run has reached its {{target}} of {settings.target:g} with {reached:.4f} in "
                f"epoch {self.epochs}: ask for more"
            )
        lines = [
            f"{option(k)}: {_text(getattr(self.settings, k))} -> {_text(v)}"
            for k, v in new.items()
            if k not in _TOLD_BY_FIT
        ]
        return settings, lines


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(f"{v:g}" for v in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def read_config(path: Path, tasks: Iterable[Task]) -> tuple[Task, Settings, str]:
    """What :func:`write_config` wrote: the task, its settings, and the version that trained it.

    Args:
        path: the file.
        tasks: those that it may be of.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is damaged, or of a run of another task.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file, expected the settings of the run: go on from its run folder, "
            f"or copy {CONFIG} beside the checkpoint"
        )
    config = read_json_table(path, "the settings of a run")
    there, known = config.pop("task", None), {task.name: task for task in tasks}
    if not isinstance(there, str) or there not in known:
        raise FormatError(f"{path} is of a run of {there}, expected {' or '.join(known)}")
    version = str(config.pop("snnfp", "unknown"))
    unknown = sorted(set(config) - {f.name for f in fields(Settings)})
    if unknown:
        raise FormatError(f"{path} has {unknown[0]!r}, which is no setting of this version")
    values: dict[str, Any] = {k: tuple(v) if _is_numbers(v) else v for k, v in config.items()}
    try:
        return known[there], replace(known[there].settings, **values), version
    except (SettingError, OverflowError) as error:
        raise FormatError(f"{path}: {error}") from error


def read_history(path: Path) -> History:
    """What :func:`write_history` wrote as JSON.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is damaged.
    """
    figures = read_json_table(path, "the history of a run")
    for name, values in figures.items():
        if not _is_numbers(values):
            raise FormatError(f"{path}: {name} is no list of numbers")
    lengths = sorted({len(values) for values in figures.values()})
    if len(lengths) > 1:
        raise FormatError(
            f"{path}: the figures have {' and '.join(map(str, lengths))} entries, expected one an "
            "epoch in each"
        )
    try:
        return History({name: [float(v) for v in values] for name, values in figures.items()})
    except OverflowError as error:
        raise FormatError(f"{path}: {error}") from error


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, (int, float)) for v in value)
