"""Tasks of features that are encoded as latencies: Yin-Yang, XOR, Iris, MNIST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.data import iris, mnist, warp_images, xor, yin_yang
from snnfp.encoding import latency, scale_min_max
from snnfp.spikes import Spikes
from snnfp.task import Labelled, Task, TaskData, Variant, used
from snnfp.task_settings import Settings

__all__ = ["LATENCY_TASKS"]

# What only outputs without threshold, or tasks of images or of events, have.
_UNUSED = frozenset(
    (
        *("recurrent", "recurrent_delay", "level", "readout", "readout_tau", "time_scale"),
        *("kernels", "shift", "copies", "stretch", "jitter", "drop", "held_out"),
    )
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


def _xor(s: Settings, folder: Path | None) -> TaskData:
    encode = _encoder(s)
    features, labels = xor()
    spikes, n = encode(features), used(s, 4)
    train = spikes.take(np.arange(n)), labels[:n]
    return TaskData(train, None, (spikes, labels), spikes.size, 2, encode)


def _iris(s: Settings, folder: Path | None) -> TaskData:
    """A random 80/20 split by the seed; scaled by the training part only."""
    features, labels = iris()
    order = np.random.default_rng(s.seed).permutation(150)
    train, test = order[: used(s, 120)], order[120:]
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


_WARP = {"rotation": 12.0, "scale": 0.1, "shear": 0.15}


def _mnist(s: Settings, folder: Path | None) -> TaskData:
    if folder is None:
        raise ValueError("MNIST needs --data DIR, the folder with its four idx files")
    data = mnist(folder if not (folder / "mnist").is_dir() else folder / "mnist")
    encode = _encoder(s, invert=True, silent_at_zero=True)

    def part(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Labelled:
        return encode(images.reshape(images.shape[0], -1) / 255.0), labels

    n = data.train_labels.size
    validating = n // 12
    training = used(s, n - validating)
    images, labels = data.train_images[:training], data.train_labels[:training]
    warped = [warp_images(images, k, **_WARP) for k in range(s.copies)]
    return TaskData(
        part(np.concatenate([images, *warped]), np.tile(labels, 1 + s.copies)),
        part(data.train_images[n - validating :], data.train_labels[n - validating :]),
        part(data.test_images, data.test_labels),
        data.train_images[0].size + (s.bias_time is not None),
        10,
        encode,
        data.train_images[0].shape,
    )


_YIN_YANG = Settings(
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
    tau0=0.25,
    tau1=6.4,
    gamma=0.0003,
    lr=1e-2,
    epochs=150,
    batch_size=50,
    clip_norm=0.5,
    average=0.998,
    bump=0.005,
    label_bump=3.0,
)
# Learned delays do the work of neurons: a quarter of them suffices.
_DELAYS = replace(
    _YIN_YANG,
    hidden=(30,),
    tau_mem=10.0,
    tau_syn=5.0,
    first=(2.0, 2.0),
    later=(0.8, 0.6),
    delays=(0.0, 12.0),
    delay_lr=0.2,
    until=100.0,
    lr=8e-3,
    epochs=150,
    batch_size=25,
    clip_norm=1.0,
    average=0.998,
    label_bump=1.0,
)
_MNIST = Settings(
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
)
_AUGMENTED = replace(
    _MNIST,
    dtype="float32",
    shift=1,
    copies=5,
    lr=3e-3,
    warmup=200,
    average=0.998,
    epochs=8,
    batch_size=32,
)
# Neurons that fire several times, and outputs that never fall silent.
_CONVOLUTION = replace(
    _AUGMENTED,
    kernels=(16, 5, 2),
    hidden=(256,),
    t_refractory=5.0,
    first=(0.3, 0.6),
    later=(0.0, 0.1),
    level=0.45,
    readout="weighted_integral",
    readout_tau=(20.0, 20.0),
    time_scale=20.0,
    copies=3,
    epochs=10,
    label_bump=0.0,
)

LATENCY_TASKS = (
    Task(
        "yin-yang",
        "three classes of points in a plane (Kriener et al. 2021); 5-120-3",
        _YIN_YANG,
        _yin_yang,
        variants={"delays": Variant("5-30-3 with trained delays, one a synapse", _DELAYS)},
        unused=_UNUSED,
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
        unused=_UNUSED,
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
        unused=_UNUSED,
    ),
    Task(
        "mnist",
        "handwritten digits, pixels > 0 as latencies; 784-350-10; needs --data",
        _MNIST,
        _mnist,
        variants={
            "augment": Variant("warped and shifted images, longer", _AUGMENTED),
            "convolution": Variant(
                "784-(16 channels of 5 x 5)-256-10, read by integrals, augmented", _CONVOLUTION
            ),
        },
        unused=_UNUSED
        - {"kernels", "shift", "copies", "level", "readout", "readout_tau", "time_scale"},
        needs_data=True,
    ),
)
