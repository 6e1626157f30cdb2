"""``snnfp train``: one command from data to a trained model and pictures of it."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from snnfp import _core
from snnfp.errors import MissingDependencyError, require
from snnfp.evaluation import evaluate
from snnfp.history import EarlyStopping, History
from snnfp.network import Network
from snnfp.runs import (
    CHECKPOINT,
    MODEL,
    RunFolder,
    new_run_folder,
    write_config,
    write_history,
    write_initial,
)
from snnfp.task import Task
from snnfp.task_networks import build_network, make_loss, measured, prepare
from snnfp.task_pictures import draw_pictures
from snnfp.task_settings import SettingError, Settings
from snnfp.task_training import fit_task, make_remedies, make_schedule

# A training run of one's own takes the schedule and the remedies of a task from here too.
__all__ = ["make_remedies", "make_schedule", "train_task"]

# At once, also where the output goes into a file or a pipe.
_say = partial(print, flush=True)


def train_task(
    task: Task,
    settings: Settings,
    *,
    data: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    progress: bool = True,
    plots: bool = True,
    picture_format: str = "png",
    dpi: float = 150,
) -> float:
    """Trains a task and writes its run folder; the last line printed is the test accuracy.

    Ctrl-C, or an error in the midst of it, leaves the model of the last whole epoch, and prints the
    command that goes on from there. Nothing is left of a run that is refused.

    Args:
        task: what to learn.
        settings: how.
        data: folder of the data, where the task needs one.
        out: the run folder; None: ``runs/<task>-<n>``.
        resume: checkpoint of an earlier run to go on from, whose settings these should be.
        progress: show a progress bar.
        plots: draw the pictures.
        picture_format: their format, ``"png"``, ``"svg"`` or ``"pdf"``.
        dpi: their resolution, in dots an inch.

    Returns:
        The test accuracy.
    """
    saves = _has("safetensors", "the model will not be saved")
    plots = plots and _has("matplotlib", "no pictures will be drawn")
    loaded = task.load(settings, data)
    _check_shift(settings.shift, loaded.grid)
    net = build_network(settings, loaded.channels, loaded.classes, loaded.grid)
    stopping = None
    if settings.target is not None:
        metric = "accuracy" if loaded.validation is None else "validation_accuracy"
        stopping = EarlyStopping(
            patience=settings.epochs, metric=metric, target=settings.target, restore=False
        )
    folder = new_run_folder(out, task.name)
    so_far = _SoFar(task, folder, data, resume, saves)
    start = time.perf_counter()
    with so_far.kept(net):
        write_config(folder.path, task.name, settings, _core.version)
        _say(f"{task.name}: {net}")
        _say(
            f"{len(loaded.train[0])} training, {len(loaded.test[0])} test samples, "
            f"run folder {folder.path}"
        )
        if resume is None:
            some = measured(len(loaded.train[1]))
            prepare(net, settings, loaded.train[0].take(some))
        if saves:
            write_initial(folder.path, net, resume)
        history = fit_task(
            net,
            loaded.train,
            settings,
            grid=loaded.grid,
            validation=loaded.validation,
            callbacks=[so_far.after_epoch],
            early_stopping=stopping,
            checkpoint=folder.path / CHECKPOINT if saves else None,
            resume=resume,
            progress=progress,
        )
        seconds = time.perf_counter() - start
        so_far.write(net, history)
        test = evaluate(
            net, *loaded.test, make_loss(settings), until=settings.until, n_threads=settings.threads
        )
        if plots:
            draw_pictures(
                folder.path, task, settings, loaded, net, history, kind=picture_format, dpi=dpi
            )
    silent = {k: f"{v:.0%}" for k, v in test.silent.items() if v}
    if silent:
        parts = ", ".join(f"{v} of {k}" for k, v in silent.items())
        # A sample ends with its last output where first spikes are all that is read.
        ends = " before its last output" if settings.readout == "first_spikes" else ""
        _say(f"neurons that no test sample makes fire{ends}: {parts}")
    left = ["config", "history", *(["model"] if saves else []), *(["pictures"] if plots else [])]
    _say(f"{', '.join(left[:-1])} and {left[-1]} are in {folder.path}")
    _say(f"test accuracy {test.accuracy:.4f}  epochs {len(history)}  time {seconds:.1f} s")
    return test.accuracy


def _check_shift(shift: int, grid: tuple[int, ...] | None) -> None:
    """Raises where a shift would leave nothing of a picture."""
    edges = [n for n in (grid or ())[-2:] if n > 1]
    if edges and shift >= min(edges):
        of = "bands of sound there" if len(edges) == 1 else "pixels a picture has along an edge"
        raise SettingError(f"{{shift}} is {shift}, expected less than the {min(edges)} {of}")


class _SoFar:
    """What a run has come to, and what is kept of it where it ends before its time."""

    def __init__(
        self, task: Task, folder: RunFolder, data: Path | None, resume: Path | None, saves: bool
    ) -> None:
        self._folder = folder
        self._saves = saves
        self._command = ["snnfp", "train", task.name]
        self._command += ["--data", str(data)] if data is not None else []
        self._resume = resume
        self._history = History()
        self._parameters: dict[str, Any] = {}
        self._written = False

    def after_epoch(self, history: History, net: Network) -> None:
        """After each epoch. A step replaces parameters and changes none, so that these stay."""
        self._history, self._parameters = history, dict(net.parameters)

    def write(self, net: Network, history: History) -> None:
        """The files that a run is for."""
        write_history(self._folder.path, history)
        if self._saves:
            net.save(self._folder.path / MODEL)
        self._written = True

    @contextlib.contextmanager
    def kept(self, net: Network) -> Iterator[None]:
        """Where the block ends early, writes what there is and says how to go on."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            try:
                self._keep(net, isinstance(error, KeyboardInterrupt))
            except OSError as second:
                _say(f"what was learnt could not be written: {second}")
            raise

    def _keep(self, net: Network, interrupted: bool) -> None:
        stopped = "interrupted" if interrupted else "ended by an error"
        epochs = len(self._history)
        if self._written:
            _say(f"{stopped} after the training; its files are in {self._folder.path}")
        elif epochs:
            net._replace(self._parameters)  # together: one may be legal only with another
            self.write(net, self._history)
            _say(f"{stopped}; the model of epoch {epochs} is in {self._folder.path}")
            self._go_on()
        elif interrupted and self._saves:
            self.write(net, self._history)
            _say(f"{stopped} in the first epoch; the model is in {self._folder.path}")
            self._go_on()
        else:
            self._folder.abandon()

    def _go_on(self) -> None:
        written = (self._folder.path / CHECKPOINT).is_file()
        run = self._folder.path if written else self._resume
        if run is not None:
            _say(f"go on with: {shlex.join([*self._command, '--resume', str(run)])}")


def _has(module: str, without: str) -> bool:
    try:
        require(module, extra="train")
    except MissingDependencyError as error:
        _say(f"{without}: {error}")
        return False
    return True
