"""The tasks that ``snnfp train`` knows: data, encoding and settings that work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.data import iris, mnist, xor, yin_yang
from snnfp.encoding import latency, scale_min_max
from snnfp.init import Normal
from snnfp.losses import FirstSpikeCrossEntropy
from snnfp.network import Network
from snnfp.neurons import LIF
from snnfp.projections import Dense
from snnfp.spikes import Spikes
from snnfp.task_settings import SettingError, Settings

__all__ = ["TASKS", "Settings", "Task", "TaskData", "build_network", "hidden_names", "make_loss"]

Labelled = tuple[Spikes, NDArray[np.int64]]


@dataclass(frozen=True)
class TaskData:
    """Spikes and labels of a task, and how to encode more points of its feature space."""

    train: Labelled
    validation: Labelled | None
    test: Labelled
    channels: int
    classes: int
    encode: Callable[[NDArray[np.float64]], Spikes]


@dataclass(frozen=True)
class Task:
    """A task: its default settings and its data.

    Attributes:
        name: what the command calls it.
        help: a line about it.
        settings: defaults that learn it.
        load: its data, from the settings and the folder of its files (if it needs any).
        needs_data: whether it does.
        plane: whether its samples are points of a plane.
        time_unit: of its times.
    """

    name: str
    help: str
    settings: Settings
    load: Callable[[Settings, Path | None], TaskData]
    needs_data: bool = False
    plane: bool = False
    time_unit: str = "ms"


def hidden_names(settings: Settings) -> list[str]:
    """Names of the hidden populations."""
    n = len(settings.hidden)
    return ["hidden"] if n == 1 else [f"hidden{k + 1}" for k in range(n)]


def build_network(settings: Settings, channels: int, classes: int) -> Network:
    """A feed-forward network ``channels - hidden ... - classes`` with initial weights drawn."""
    net = Network(dtype=np.dtype(settings.dtype))
    neuron = LIF(
        tau_mem=settings.tau_mem,
        tau_syn=settings.tau_syn,
        capacitance=settings.capacitance,
        threshold=settings.threshold,
        t_refractory=settings.t_refractory,
    )
    before: Any = net.input(channels, name="input")
    names = [*hidden_names(settings), "output"]
    for k, (name, size) in enumerate(zip(names, [*settings.hidden, classes], strict=True)):
        group = net.population(size, neuron, name=name)
        net.connect(before, group, Dense(weight=Normal(*(settings.later if k else settings.first))))
        before = group
    return net.initialise(seed=settings.seed)


def make_loss(settings: Settings) -> FirstSpikeCrossEntropy:
    """The first-spike cross-entropy of the settings."""
    return FirstSpikeCrossEntropy(
        tau0=settings.tau0, tau1=settings.tau1, gamma=settings.gamma, horizon=settings.until
    )


def _encoder(s: Settings, **options: Any) -> Callable[[NDArray[np.float64]], Spikes]:
    return lambda features: latency(
        features, t_min=s.t_min, t_max=s.t_max, bias_time=s.bias_time, **options
    )


def _yin_yang(s: Settings, folder: Path | None) -> TaskData:
    encode = _encoder(s)
    parts = [
        yin_yang(n, seed=seed)
        for n, seed in ((s.train_samples or 5000, 42), (1000, 41), (1000, 40))
    ]
    train, validation, test = ((encode(x), y) for x, y in parts)
    return TaskData(train, validation, test, 5 if s.bias_time is not None else 4, 3, encode)


def _used(s: Settings, available: int) -> int:
    """How many training samples are used."""
    if s.train_samples is None:
        return available
    if s.train_samples > available:
        raise SettingError(
            f"{{train_samples}} is {s.train_samples}, expected at most {available}, all there are"
        )
    return s.train_samples


def _xor(s: Settings, folder: Path | None) -> TaskData:
    encode = _encoder(s)
    features, labels = xor()
    spikes, used = encode(features), _used(s, 4)
    train = spikes.take(np.arange(used)), labels[:used]
    return TaskData(train, None, (spikes, labels), spikes.size, 2, encode)


def _iris(s: Settings, folder: Path | None) -> TaskData:
    """A random 80/20 split by the seed; scaled by the training part only."""
    features, labels = iris()
    order = np.random.default_rng(s.seed).permutation(150)
    train, test = order[: _used(s, 120)], order[120:]
    low, high = features[train].min(axis=0), features[train].max(axis=0)
    encode = _encoder(s, invert=True)
    spikes = encode(scale_min_max(features, low, high))
    return TaskData(
        (spikes.take(train), labels[train]),
        None,
        (spikes.take(test), labels[test]),
        spikes.size,
        3,
        encode,
    )


def _mnist(s: Settings, folder: Path | None) -> TaskData:
    if folder is None:
        raise ValueError("MNIST needs --data DIR, the folder with its four idx files")
    data = mnist(folder if not (folder / "mnist").is_dir() else folder / "mnist")
    encode = _encoder(s, invert=True, silent_at_zero=True)

    def part(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Labelled:
        return encode(images.reshape(images.shape[0], -1) / 255.0), labels

    n = data.train_labels.size
    held_out = n // 12
    used = _used(s, n - held_out)
    return TaskData(
        part(data.train_images[:used], data.train_labels[:used]),
        part(data.train_images[n - held_out :], data.train_labels[n - held_out :]),
        part(data.test_images, data.test_labels),
        data.train_images[0].size + (s.bias_time is not None),
        10,
        encode,
    )


TASKS = {
    task.name: task
    for task in (
        Task(
            "yin-yang",
            "three classes of points in a plane (Kriener et al. 2021); 5-120-3",
            Settings(
                hidden=(120,),
                tau_mem=20.0,
                tau_syn=20.0,
                capacitance=20.0,
                t_refractory=20.0,
                first=(0.8, 1.5),
                later=(0.1, 0.2),
                t_min=10.0,
                t_max=40.0,
                bias_time=20.0,
                until=50.0,
                tau0=0.7,
                tau1=6.4,
                gamma=0.001,
                lr=7e-3,
                epochs=50,
                batch_size=50,
                clip_norm=0.5,
                bump=0.005,
                label_bump=0.1,
            ),
            _yin_yang,
            plane=True,
        ),
        Task(
            "xor",
            "two inputs, early or late; 2-4-2",
            Settings(
                hidden=(4,),
                tau_mem=1 / 0.99,
                tau_syn=1.0,
                first=(3.0, 1.0),
                later=(2.0, 0.1),
                t_min=0.0,
                t_max=1.0,
                bias_time=None,
                until=2.0,
                tau0=0.1,
                lr=0.1,
                lr_decay=1.0,
                epochs=100,
                batch_size=4,
                bump=0.1,
                label_bump=0.1,
            ),
            _xor,
            plane=True,
            time_unit="tau_syn",
        ),
        Task(
            "iris",
            "three species of flowers, 80/20 split; 4-10-3",
            Settings(
                hidden=(10,),
                tau_mem=20.0,
                tau_syn=20.0,
                capacitance=20.0,
                first=(1.5, 1.0),
                later=(1.0, 0.5),
                t_min=0.0,
                t_max=20.0,
                bias_time=5.0,
                until=50.0,
                tau0=0.3,
                lr=0.02,
                epochs=50,
                batch_size=10,
                clip_norm=1.0,
                bump=0.01,
                label_bump=0.1,
            ),
            _iris,
        ),
        Task(
            "mnist",
            "handwritten digits, pixels > 0 as latencies; 784-350-10; needs --data",
            Settings(
                hidden=(350,),
                tau_mem=20.0,
                tau_syn=20.0,
                capacitance=20.0,
                t_refractory=40.0,
                first=(0.02, 0.03),
                later=(0.05, 0.1),
                t_min=0.0,
                t_max=20.0,
                bias_time=None,
                until=40.0,
                tau0=0.3,
                lr=5e-3,
                epochs=10,
                batch_size=64,
                clip_norm=2.0,
                bump=0.005,
                label_bump=0.1,
            ),
            _mnist,
            needs_data=True,
        ),
    )
}
