"""Training with the settings of a task: what ``snnfp train`` does, and the benchmarks likewise."""

from __future__ import annotations

from typing import Any

from snnfp._dataset import Data
from snnfp.augment import Augmentation, Drop, Jitter, ShiftPixels, Stretch
from snnfp.history import History
from snnfp.network import Network
from snnfp.optim import Adam
from snnfp.parameter_groups import Group
from snnfp.remedies import LabelBump, Remedy, WeightBump
from snnfp.schedules import Cosine, ExponentialDecay, Schedule, Warmup
from snnfp.task_networks import hidden_names, make_loss, trained
from snnfp.task_settings import Settings
from snnfp.training import fit

__all__ = ["fit_task", "make_augmentations", "make_remedies", "make_schedule"]


def fit_task(
    net: Network,
    train: Data,
    settings: Settings,
    *,
    grid: tuple[int, ...] | None = None,
    **options: Any,
) -> History:
    """Trains a network as the settings say.

    Args:
        net: as :func:`snnfp.tasks.build_network` makes it.
        train: (spikes, labels).
        settings: of the task.
        grid: shape of the channels of images, or of bands: rows and columns last.
        options: more for :func:`snnfp.fit`, and what is not to be as the settings say.
    """
    s = settings
    said: dict[str, Any] = {
        "loss": make_loss(s),
        "optimiser": Adam(lr=s.lr),
        "wrt": trained(s),
        "epochs": s.epochs,
        "batch_size": s.batch_size,
        "schedule": make_schedule(s),
        "until": s.until,
        "mode": s.mode,
        "seed": s.seed,
        "clip_norm": s.clip_norm,
        "groups": {} if s.delay_lr is None else {"*.delay": Group(lr=s.delay_lr)},
        "average": s.average,
        "augment": make_augmentations(s, grid),
        "remedies": make_remedies(s),
        "n_threads": s.threads,
    }
    return fit(net, train, **{**said, **options})


def make_schedule(settings: Settings) -> Schedule:
    """The learning-rate schedule of the settings."""
    if settings.lr_decay is not None:
        return ExponentialDecay(settings.lr_decay)
    if settings.warmup:
        return Warmup(settings.warmup, Cosine(settings.epochs, by_step=True))
    return Cosine(settings.epochs)


def make_augmentations(settings: Settings, grid: tuple[int, ...] | None) -> list[Augmentation]:
    """What changes training samples, as the settings ask for."""
    s = settings
    chosen: list[Augmentation] = []
    if s.shift:
        if grid is None:
            raise ValueError(f"shift is {s.shift}, expected a grid to shift samples on")
        most = tuple(s.shift if n > 1 else 0 for n in grid[-2:])
        chosen.append(ShiftPixels(shape=grid, most=(most[0], most[1])))
    if s.stretch:
        chosen.append(Stretch(most=s.stretch))
    if s.jitter:
        chosen.append(Jitter(sigma=s.jitter))
    if s.drop:
        chosen.append(Drop(probability=s.drop))
    return chosen


def make_remedies(settings: Settings) -> list[Remedy]:
    """The remedies for silent neurons that the settings ask for."""
    chosen: list[Remedy] = []
    if settings.label_bump:
        chosen.append(LabelBump(amount=settings.label_bump))
    if settings.bump:
        hidden = tuple(hidden_names(settings))
        chosen.append(WeightBump(amount=settings.bump, populations=hidden))
    return chosen
