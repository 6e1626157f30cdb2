"""``snnfp train``: one command from data to a trained model and pictures of it."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snnfp import _core
from snnfp.errors import MissingDependencyError, SilentPopulationWarning, require
from snnfp.evaluation import evaluate
from snnfp.history import EarlyStopping, History
from snnfp.network import Network
from snnfp.optim import Adam
from snnfp.remedies import LabelBump, Remedy, WeightBump
from snnfp.runs import new_run_folder, write_config, write_history
from snnfp.schedules import Cosine, ExponentialDecay, Schedule
from snnfp.tasks import Settings, Task, TaskData, build_network, hidden_names, make_loss
from snnfp.training import fit

__all__ = ["make_remedies", "make_schedule", "train_task"]


def train_task(
    task: Task,
    settings: Settings,
    *,
    data: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    target: float | None = None,
    progress: bool = True,
    plots: bool = True,
) -> float:
    """Trains a task and writes its run folder; the last line printed is the test accuracy.

    Args:
        task: what to learn.
        settings: how.
        data: folder of the data, where the task needs one.
        out: the run folder; None: ``runs/<task>-<n>``.
        resume: checkpoint of an earlier run to go on from.
        target: stop when the validation (or training) accuracy is this good.
        progress: show a progress bar.
        plots: draw the pictures.

    Returns:
        The test accuracy.
    """
    saves = _has("safetensors", "the model will not be saved")
    plots = plots and _has("matplotlib", "no pictures will be drawn")
    loaded = task.load(settings, data)
    net = build_network(settings, loaded.channels, loaded.classes)
    untrained = copy.deepcopy(net)
    loss = make_loss(settings)
    folder = new_run_folder(out, task.name)
    write_config(folder, task.name, settings, _core.version)
    print(f"{task.name}: {net}")
    print(
        f"{len(loaded.train[0])} training, {len(loaded.test[0])} test samples, run folder {folder}"
    )
    metric = "accuracy" if loaded.validation is None else "validation_accuracy"
    history = History()
    start = time.perf_counter()
    try:
        history = fit(
            net,
            loaded.train,
            loss=loss,
            optimiser=Adam(lr=settings.lr),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            validation=loaded.validation,
            schedule=make_schedule(settings),
            until=settings.until,
            mode=settings.mode,
            seed=settings.seed,
            clip_norm=settings.clip_norm,
            remedies=make_remedies(settings),
            early_stopping=EarlyStopping(
                patience=max(1, settings.epochs), metric=metric, target=target, restore=False
            ),
            checkpoint=folder / "checkpoint.safetensors" if saves else None,
            resume=resume,
            progress=progress,
            n_threads=settings.threads,
        )
    except KeyboardInterrupt:
        print(f"interrupted; what was learned by the last whole epoch is in {folder}")
        raise
    seconds = time.perf_counter() - start
    write_history(folder, history)
    if saves:
        net.save(str(folder / "model.safetensors"))
    test = evaluate(net, *loaded.test, loss, until=settings.until, n_threads=settings.threads)
    if plots:
        _draw(folder, task, settings, loaded, untrained, net, history)
    silent = {k: f"{v:.0%}" for k, v in test.silent.items() if v}
    if silent:
        print(
            "silent on the whole test set: " + ", ".join(f"{v} of {k}" for k, v in silent.items())
        )
    left = ["config", "history", *(["model"] if saves else []), *(["pictures"] if plots else [])]
    print(f"{', '.join(left[:-1])} and {left[-1]} are in {folder}")
    print(f"test accuracy {test.accuracy:.4f}  epochs {len(history)}  time {seconds:.1f} s")
    return test.accuracy


def make_schedule(settings: Settings) -> Schedule:
    """The learning-rate schedule of the settings."""
    if settings.lr_decay is None:
        return Cosine(settings.epochs)
    return ExponentialDecay(settings.lr_decay)


def make_remedies(settings: Settings) -> list[Remedy]:
    """The remedies for silent neurons that the settings ask for."""
    chosen: list[Remedy] = []
    if settings.label_bump:
        chosen.append(LabelBump(amount=settings.label_bump))
    if settings.bump:
        hidden = tuple(hidden_names(settings))
        chosen.append(WeightBump(amount=settings.bump, populations=hidden))
    return chosen


def _has(module: str, without: str) -> bool:
    try:
        require(module, extra="train")
    except MissingDependencyError as error:
        print(f"{without}: {error}")
        return False
    return True


def _draw(
    folder: Path,
    task: Task,
    settings: Settings,
    data: TaskData,
    untrained: Network,
    net: Network,
    history: History,
) -> None:
    from snnfp import plots

    def save(name: str, draw: Callable[[], Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SilentPopulationWarning)
            draw().savefig(folder / name, dpi=120)

    save("learning_curves.png", lambda: plots.learning_curves(history))
    spikes, labels = data.test
    save(
        "sample.png",
        lambda: plots.raster_and_voltage(
            [("before training", untrained), ("after training", net)],
            spikes[0],
            until=settings.until,
            label=int(labels[0]),
        ),
    )
    if task.plane:
        loss = make_loss(settings)
        shown = np.arange(min(500, len(labels)))
        points = _points(task, settings, data, shown)
        save(
            "decision_map.png",
            lambda: plots.decision_map(
                net,
                data.encode,
                loss.predict,
                points,
                labels[shown],
                until=settings.until,
                mirrored=points.shape[1] == 4,
            ),
        )


def _points(task: Task, settings: Settings, data: TaskData, shown: Any) -> Any:
    """Features of test samples, read back from their latencies."""
    spikes = data.test[0].take(shown)
    d = data.channels - (settings.bias_time is not None)
    times = np.full((len(spikes), data.channels), np.nan)
    rows = np.repeat(np.arange(len(spikes)), np.diff(spikes.offsets))
    times[rows, spikes.units] = spikes.times
    return np.clip((times[:, :d] - settings.t_min) / (settings.t_max - settings.t_min), 0.0, 1.0)
