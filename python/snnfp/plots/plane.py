"""Decision map: the class of every point of a plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp.errors import require
from snnfp.network import Network
from snnfp.plots._style import SILENT, colour, new_figure, simulate_quietly
from snnfp.record import Record
from snnfp.spikes import Spikes

__all__ = ["decision_map"]

_POINTS = 8192  # simulated at a time


def decision_map(
    net: Network,
    encode: Callable[[NDArray[np.float64]], Spikes],
    predict: Callable[[Record], NDArray[np.int64]],
    points: ArrayLike,
    labels: ArrayLike,
    *,
    until: float,
    resolution: int = 240,
    mirrored: bool = True,
) -> Any:
    """The class that a network gives every point of the unit square, with data on top.

    Args:
        net: a network of points in a plane.
        encode: features ``[n, d]`` to spikes.
        predict: classes of a record, -1 for none; a loss's ``predict``.
        points: features of the data, ``[n, d]``; the first two columns are the plane.
        labels: their classes, ``[n]``.
        until: end of the simulation.
        resolution: points a side of the map.
        mirrored: whether the features are (x, y, 1 - x, 1 - y), as in Yin-Yang; else (x, y).

    Returns:
        A matplotlib ``Figure``; the data that the network gets wrong are crossed out.

    Raises:
        ValueError: points and labels do not fit together.
        MissingDependencyError: matplotlib is not installed.
    """
    xy, c = np.asarray(points, dtype=np.float64), np.asarray(labels)
    d = 4 if mirrored else 2
    if xy.ndim != 2 or xy.shape[1] != d or c.shape != xy.shape[:1]:
        plain = mirrored and xy.ndim == 2 and xy.shape[1] == 2 and c.shape == xy.shape[:1]
        hint = ": mirrored=False takes points (x, y)" if plain else ""
        raise ValueError(
            f"points have shape {xy.shape} and labels {c.shape}, expected [n, {d}] and [n]{hint}"
        )
    side = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(side, side)
    plane = np.stack([x.ravel(), y.ravel()], axis=1)
    features = np.concatenate([plane, 1 - plane], axis=1) if mirrored else plane
    # Some rows at a time: the spikes of all points would fill the memory.
    parts = np.array_split(features, -(-len(features) // _POINTS))
    found = [predict(simulate_quietly(net, encode(part), until)) for part in parts]
    classes = np.concatenate(found).reshape(x.shape)
    given = predict(simulate_quietly(net, encode(xy), until))
    wrong = given != c
    n = int(max(classes.max(), c.max())) + 1
    few = c.size < 20
    figure = new_figure(5.6, 6.0)
    axes = figure.subplots()
    axes.imshow(
        classes,
        origin="lower",
        extent=(0, 1, 0, 1),
        cmap=require("matplotlib.colors", extra="train").ListedColormap(
            [SILENT, *(colour(k) for k in range(n))]
        ),
        vmin=-1.5,
        vmax=n - 0.5,
        alpha=0.4,
        interpolation="nearest",
    )
    for k in range(n):
        own = (c == k) & ~wrong
        axes.scatter(
            xy[own, 0],
            xy[own, 1],
            s=90 if few else 16,
            color=colour(k),
            label=f"class {k}",
            edgecolors="white" if few else "none",
            clip_on=False,
            zorder=3,
        )
    axes.scatter(
        xy[wrong, 0],
        xy[wrong, 1],
        s=40,
        marker="x",
        color="black",
        linewidths=1.5,
        clip_on=False,
        zorder=4,
        label=f"wrong ({wrong.sum()} of {wrong.size})",
    )
    if (classes < 0).any():
        axes.scatter([], [], s=90, marker="s", color=SILENT, alpha=0.4, label="no output fires")
    axes.set(xlabel="x", ylabel="y", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_title("Which output fires first, and the data's own classes", fontsize=11)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=min(4, n + 1))
    return figure
