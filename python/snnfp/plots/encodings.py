"""What an encoder keeps: a signal beside its spikes, the pixels of a recording before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from snnfp._arrays import real_array
from snnfp._numbers import real_number
from snnfp._spike_operations import grid_shape
from snnfp.conversions import check_step
from snnfp.plots._style import bare, new_figure
from snnfp.spikes import Spikes

__all__ = ["pixel_counts", "signal_and_spikes"]

_MOST_COLUMNS = 8


def signal_and_spikes(
    signal: ArrayLike,
    spikes: Spikes,
    *,
    dt: float,
    t0: float = 0.0,
    kept: ArrayLike | None = None,
    time_unit: str = "",
) -> Any:
    """A signal, the spikes it was encoded as, and what can be told of it from them.

    Args:
        signal: of one sample, ``[steps, channels]``.
        spikes: of that sample.
        dt: time from step to step.
        t0: time of the first step.
        kept: what the encoder's inverse makes of the spikes, ``[steps, channels]``, say of
            :func:`snnfp.encoding.from_level_crossings`; drawn in the colours of the signal.
        time_unit: for the axis label, say ``"s"``.

    Returns:
        A matplotlib ``Figure``: panels one above the other, on one time axis.

    Raises:
        ValueError: arrays of another shape, or spikes of several samples.
        MissingDependencyError: matplotlib is not installed.
    """
    images = {"signal": _image(signal, "signal")}
    if kept is not None:
        images["kept"] = _image(kept, "kept")
        if images["kept"].shape[1] != images["signal"].shape[1]:
            raise ValueError(
                f"kept has {images['kept'].shape[1]} channels, expected "
                f"{images['signal'].shape[1]} as in signal"
            )
    _check_one(spikes, "spikes")
    check_step(dt)
    real_number(t0, "t0")
    figure = new_figure(7.0, 2.2 * (1 + len(images)) + 0.4)
    panels = figure.subplots(1 + len(images), 1, sharex=True)
    span = min(i.min() for i in images.values()), max(i.max() for i in images.values())
    drawn = dict(zip(("signal", "spikes", "kept"), panels, strict=False))
    for name, image in images.items():
        axes = drawn[name]
        # A step is drawn around its time.
        extent = (t0 - dt / 2, t0 + dt * (len(image) - 0.5), -0.5, image.shape[1] - 0.5)
        axes.imshow(
            image.T, origin="lower", aspect="auto", extent=extent, vmin=span[0], vmax=span[1]
        )
        axes.set_ylabel(f"{name}\nchannel")
        _few_ticks(axes, image.shape[1])
    axes = drawn["spikes"]
    axes.scatter(
        spikes.times,
        spikes.units,
        s=12,
        marker="|",
        color="0.2",
        rasterized=len(spikes.times) > 5000,
    )
    axes.set(ylabel=f"spikes ({spikes.times.size})\nchannel", ylim=(-1, spikes.size))
    _few_ticks(axes, spikes.size)
    bare(axes)
    panels[-1].set_xlabel(f"time [{time_unit}]" if time_unit else "time")
    panels[-1].set_xlim(t0 - dt / 2, t0 + dt * (len(images["signal"]) - 0.5))
    return figure


def pixel_counts(recordings: Mapping[str, Spikes], shape: tuple[int, ...]) -> Any:
    """Spikes of each pixel as images, side by side: a recording before and after it is thinned.

    Args:
        recordings: one sample each, by its title.
        shape: of the channels as a grid, rows and columns last; (2, 34, 34) has a row of images for
            each of 2 planes. Channels after these are not drawn.

    Returns:
        A matplotlib ``Figure``; each column has its own scale, and its title says how many spikes.

    Raises:
        ValueError: no recordings or more than 8, several samples, or fewer channels than ``shape``.
        MissingDependencyError: matplotlib is not installed.
    """
    sizes = grid_shape(shape, "shape")
    if len(sizes) < 2:
        raise ValueError(f"shape is {sizes}, expected at least (rows, columns)")
    if not isinstance(recordings, Mapping):
        raise TypeError(
            f"recordings is a {type(recordings).__name__}, expected a mapping {{title: Spikes}}"
        )
    if not 1 <= len(recordings) <= _MOST_COLUMNS:
        raise ValueError(f"{len(recordings)} recordings, expected 1 to {_MOST_COLUMNS}")
    pixels, planes = math.prod(sizes), math.prod(sizes[:-2])
    figure = new_figure(2.6 * len(recordings), 2.6 * planes + 0.5)
    axes = figure.subplots(planes, len(recordings), squeeze=False)
    for column, (title, spikes) in enumerate(recordings.items()):
        _check_one(spikes, f"recordings[{title!r}]")
        if spikes.size < pixels:
            raise ValueError(
                f"recordings[{title!r}] has {spikes.size} channels, expected at least {pixels}"
            )
        images = spikes.counts()[0, :pixels].reshape(planes, *sizes[-2:])
        for row, image in enumerate(images):
            part = axes[row, column]
            part.imshow(image, vmin=0, vmax=max(1, int(images.max())), cmap="magma")
            part.set_xticks([])
            part.set_yticks([])
            if planes > 1 and column == 0:
                part.set_ylabel(f"plane {row}")
        axes[0, column].set_title(f"{title}\n{images.sum()} spikes", fontsize=11)
    return figure


def _few_ticks(axes: Any, channels: int) -> None:
    axes.set_yticks(np.unique(np.linspace(0, channels - 1, 3).round().astype(int)))


def _image(values: ArrayLike, name: str) -> Any:
    array = real_array(values, name, np.dtype(np.float64))
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}, expected [steps, channels]")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        k, c = bad[0]
        raise ValueError(f"{name}[{k}, {c}] is {array[k, c]}, expected a finite number")
    return array


def _check_one(spikes: Any, name: str) -> None:
    if not isinstance(spikes, Spikes):
        raise TypeError(f"{name} is a {type(spikes).__name__}, expected snnfp.Spikes")
    if len(spikes) != 1:
        raise ValueError(f"{name} has {len(spikes)} samples, expected one: choose it by spikes[k]")
