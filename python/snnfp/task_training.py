"""Training with the settings of a task: what ``snnfp train`` does, and the benchmarks likewise."""

from __future__ import annotations

from typing import Any

from snnfp._dataset import Data
from snnfp.history import History
from snnfp.network import Network
from snnfp.optim import Adam
from snnfp.remedies import LabelBump, Remedy, WeightBump
from snnfp.schedules import Cosine, ExponentialDecay, Schedule
from snnfp.task_settings import Settings
from snnfp.tasks import hidden_names, make_loss
from snnfp.training import fit

__all__ = ["fit_task", "make_remedies", "make_schedule"]


def fit_task(net: Network, train: Data, settings: Settings, **options: Any) -> History:
    """Trains a network as the settings say.

    Args:
        net: as :func:`snnfp.tasks.build_network` makes it.
        train: (spikes, labels).
        settings: of the task.
        options: more for :func:`snnfp.fit`, and what is not to be as the settings say.
    """
    said: dict[str, Any] = {
        "loss": make_loss(settings),
        "optimiser": make_optimiser(settings),
        "wrt": trained(settings),
        "average": settings.average or None,
        "augment": make_augmentations(settings, grid),
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "schedule": make_schedule(settings),
        "until": settings.until,
        "mode": settings.mode,
        "seed": settings.seed,
        "clip_norm": settings.clip_norm,
        "remedies": make_remedies(settings),
        "n_threads": settings.threads,
    }
    return fit(net, train, **{**said, **options})


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
