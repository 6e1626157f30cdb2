"""The folder that a training run leaves: config, history, model, pictures."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

from snnfp.checkpoint import write_atomically
from snnfp.history import History
from snnfp.tasks import Settings

__all__ = ["new_run_folder", "write_config", "write_history"]


def new_run_folder(given: Path | None, task: str) -> Path:
    """Creates the folder: the one given (which must be new or empty), or ``runs/<task>-<n>``.

    Raises:
        FileExistsError: the folder given has something in it.
    """
    if given is not None:
        if given.exists() and (not given.is_dir() or any(given.iterdir())):
            raise FileExistsError(f"{given} exists and is not empty, expected a new folder")
        given.mkdir(parents=True, exist_ok=True)
        return given
    n = 1
    while True:
        folder = Path("runs") / f"{task}-{n}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            n += 1


def write_config(folder: Path, task: str, settings: Settings, version: str) -> None:
    """Writes ``config.json``."""
    data = {"snnfp": version, "task": task, **asdict(settings)}
    write_atomically(folder / "config.json", (json.dumps(data, indent=2) + "\n").encode())


def write_history(folder: Path, history: History) -> None:
    """Writes ``history.json`` and ``history.csv``."""
    epochs = history.epochs
    write_atomically(folder / "history.json", (json.dumps(epochs, indent=1) + "\n").encode())
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["epoch", *epochs])
    rows.writerows([k + 1, *row] for k, row in enumerate(zip(*epochs.values(), strict=True)))
    write_atomically(folder / "history.csv", text.getvalue().encode())
