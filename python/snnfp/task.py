"""What a task of ``snnfp train`` is: its data, and settings that learn it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.data.sources import Chosen
from snnfp.spikes import Spikes
from snnfp.task_settings import SettingError, Settings

__all__ = ["Labelled", "Task", "TaskData", "Variant", "held_out", "used"]

Labelled = tuple[Any, NDArray[np.int64]]


@dataclass(frozen=True)
class TaskData:
    """Spikes and labels of a task, and how to encode more points of its feature space.

    ``grid`` is the shape of the channels of images, rows and columns last, or of bands of sound.
    """

    train: Labelled
    validation: Labelled | None
    test: Labelled
    channels: int
    classes: int
    encode: Callable[[NDArray[np.float64]], Spikes] | None = None
    grid: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Variant:
    """Other settings that learn a task.

    Attributes:
        help: what they are for.
        settings: all of them.
    """

    help: str
    settings: Settings


@dataclass(frozen=True)
class Task:
    """A task: its default settings and its data.

    Attributes:
        name: what the command calls it.
        help: a line about it.
        settings: defaults that learn it.
        load: its data, from the settings and the folder of its files (if it needs any).
        variants: other settings, by the option that begins with them.
        with_readout: by the readout that is asked for, settings that learn with it where nothing
            else is asked for.
        unused: names of settings that mean nothing to it.
        needs_data: whether it needs files.
        plane: whether its samples are points of a plane.
        time_unit: of its times.
    """

    name: str
    help: str
    settings: Settings
    load: Callable[[Settings, Path | None], TaskData]
    variants: Mapping[str, Variant] = field(default_factory=dict)
    with_readout: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()
    needs_data: bool = False
    plane: bool = False
    time_unit: str = "ms"


def used(s: Settings, available: int) -> int:
    """How many training samples are used."""
    if s.train_samples is None:
        return available
    if s.train_samples > available:
        raise SettingError(
            f"{{train_samples}} is {s.train_samples}, expected at most {available}, all there are"
        )
    return s.train_samples


def held_out(
    s: Settings, spikes: Any, labels: NDArray[np.int64]
) -> tuple[Labelled, Labelled | None]:
    """The samples to train on, and those to validate on: a random part of each class."""
    order = np.random.default_rng(0).permutation(labels.size)
    if not s.held_out:
        chosen = np.sort(order[: used(s, labels.size)])
        return (_some(spikes, chosen), labels[chosen]), None
    kept = np.zeros(labels.size, dtype=bool)
    for c in np.unique(labels):
        own = order[labels[order] == c]
        kept[own[: round(s.held_out * own.size)]] = True
    if not kept.any() or kept.all():
        left = "to validate on" if not kept.any() else "to train on"
        raise SettingError(
            f"{{held_out}} is {s.held_out:g}, which of {labels.size} samples leaves none {left}"
        )
    others, chosen = np.flatnonzero(kept), order[~kept[order]]
    chosen = np.sort(chosen[: used(s, chosen.size)])
    return (_some(spikes, chosen), labels[chosen]), (_some(spikes, others), labels[others])


def _some(spikes: Any, chosen: NDArray[np.int64]) -> Any:
    return spikes.take(chosen) if isinstance(spikes, Spikes) else Chosen(spikes, chosen)
