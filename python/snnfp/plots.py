"""Pictures of training and of spikes, with matplotlib. Each function returns a Figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp.errors import require
from snnfp.history import History
from snnfp.network import Network
from snnfp.record import Record
from snnfp.simulate import simulate
from snnfp.spikes import Spikes

__all__ = ["decision_map", "learning_curves", "raster_and_voltage"]

# Okabe and Ito's palette: told apart by colour-blind readers too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")


def _figure(width: float, height: float) -> Any:
    """A figure that belongs to no window and changes no global setting."""
    figure = require("matplotlib.figure", extra="train").Figure(
        figsize=(width, height), layout="constrained"
    )
    require("matplotlib.backends.backend_agg", extra="train").FigureCanvasAgg(figure)
    return figure


def _bare(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def learning_curves(history: History) -> Any:
    """Loss, accuracy (where the history has one) and silent neurons over epochs."""
    curves: list[str] = [key for key in ("loss", "accuracy") if key in history.epochs]
    figure = _figure(10 / 3 * (len(curves) + 1), 3.2)
    *panels, silent = figure.subplots(1, len(curves) + 1)
    epochs = np.arange(1, len(history) + 1)
    # A line through one or two epochs cannot be seen.
    style = {"marker": "o", "ms": 4} if len(history) < 10 else {}
    for axes, key in zip(panels, curves, strict=True):
        axes.plot(epochs, history[key], color=_COLOURS[0], label="training", **style)
        if f"validation_{key}" in history.epochs:
            held_out = history[f"validation_{key}"]
            axes.plot(epochs, held_out, color=_COLOURS[5], label="validation", **style)
        axes.set(xlabel="epoch", ylabel=key)
        axes.legend(frameon=False)
        _bare(axes)
    best = [k for k in ("validation_accuracy", "accuracy") if k in history.epochs]
    if best:
        panels[-1].set_title(f"best {history.best(best[0]):.4f}", fontsize=10)
    names = [k for k in history.epochs if k.startswith("silent/")]
    for colour, key in zip(_COLOURS, names, strict=False):
        silent.plot(epochs, history[key], color=colour, label=key.removeprefix("silent/"), **style)
    silent.set(xlabel="epoch", ylabel="silent fraction", ylim=(-0.02, 1.02))
    silent.legend(frameon=False)
    _bare(silent)
    for axes in (*panels, silent):
        axes.xaxis.get_major_locator().set_params(integer=True)
        if style:
            axes.set_xlim(0.5, len(history) + 0.5)
    return figure


def raster_and_voltage(
    panels: list[tuple[str, Network]],
    spikes: Spikes,
    *,
    until: float,
    label: int | None = None,
    units: int = 3,
    unit_of_time: str = "",
) -> Any:
    """Spikes of all populations and exact voltages of the last one, one column a network.

    Args:
        panels: (title, network) pairs, say before and after training.
        spikes: one sample.
        until: end of the simulation.
        label: the neuron of the last population that should spike first; drawn bold.
        units: number of neurons whose voltage is drawn.
        unit_of_time: for the axis label.
    """
    figure = _figure(5.5 * len(panels), 6.0)
    axes = figure.subplots(
        2, len(panels), squeeze=False, sharex="all", sharey="row", height_ratios=(3, 2)
    )
    for column, (title, net) in enumerate(panels):
        record = simulate(net, spikes, until=until)
        _raster(axes[0, column], net, spikes, record)
        axes[0, column].set_title(title)
        _voltages(axes[1, column], net, record, until, label, units)
        suffix = f" [{unit_of_time}]" if unit_of_time else ""
        axes[1, column].set_xlabel(f"time{suffix}")
        axes[1, column].set_xlim(-0.01 * until, 1.01 * until)
    # Once every panel is drawn: room above the threshold for the legends, and deep inhibition cut
    # off, which would press everything else flat.
    low, high = axes[1, 0].get_ylim()
    last = f"{list(panels[0][1].populations)[-1]}."
    top, reset = (np.max(panels[0][1].parameters[last + k]) for k in ("threshold", "v_reset"))
    low = max(low, reset - 2.0 * (top - reset))
    axes[1, 0].set_ylim(low, high + 0.2 * (high - low))
    axes[0, 0].set_ylabel("neuron")
    axes[1, 0].set_ylabel(f"V of {list(panels[0][1].populations)[-1]}")
    return figure


def _raster(axes: Any, net: Network, spikes: Spikes, record: Record) -> None:
    """Inputs at the bottom, then population above population, with room for narrow ones."""
    groups = [("input", spikes.times, spikes.units, spikes.size)]
    for p in net.populations.values():
        at = record.indices(p)
        groups.append((p.name, record.times[at], record.neurons[at] - p.offset, p.size))
    tallest = max(size for *_, size in groups)
    base, ticks, names = 0.0, [], []
    for colour, (name, times, units, size) in zip(_COLOURS * len(groups), groups, strict=False):
        scale = max(1.0, tallest / 4 / size)
        axes.scatter(
            times, base + (units + 0.5) * scale, s=14, marker="|", color=colour, linewidths=1.2
        )
        ticks.append(base + size * scale / 2)
        names.append(f"{name}\n({size})")
        base += size * scale
        axes.axhline(base, color="0.85", lw=0.8)
    axes.set_yticks(ticks, names)
    axes.set_ylim(0, base)
    _bare(axes)


def _voltages(
    axes: Any, net: Network, record: Record, until: float, label: int | None, units: int
) -> None:
    p = list(net.populations.values())[-1]
    chosen = np.arange(min(units, p.size))
    if label is not None and label not in chosen:
        chosen = np.sort(np.append(chosen[:-1], label))
    mine = record.indices(p)
    # A grid for the curves, and both sides of every reset so that it is drawn upright.
    resets = np.asarray(record.times[mine], dtype=np.float64)
    grid = np.unique(
        np.concatenate(
            [np.linspace(0, until, 1200), resets, np.nextafter(resets, 0, dtype=record.times.dtype)]
        )
    )
    probed = record.probe(p, grid[grid <= until], units=chosen)
    thresholds = np.broadcast_to(net.parameters[f"{p.name}.threshold"], (p.size,))
    # Many spikes would paint the panel solid.
    busy = max(0.5, min(1.0, 40.0 * p.size / max(1, mine.size)))
    for k, unit in enumerate(chosen):
        bold = unit == label
        axes.plot(
            probed.times,
            probed.voltage[0, k],
            color=_COLOURS[k],
            lw=(2.0 if bold else 1.0) * busy,
            zorder=3 if bold else 2,
            label=f"{unit}{' (label)' if bold else ''}",
        )
        fired = record.times[mine][record.neurons[mine] - p.offset == unit]
        axes.plot(fired, np.full(fired.size, thresholds[unit]), "v", ms=5, color=_COLOURS[k])
    axes.axhline(thresholds[chosen[0]], color="0.4", ls="--", lw=1, label="threshold")
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=4)
    _bare(axes)


def decision_map(
    net: Network,
    encode: Callable[[NDArray[np.float64]], Spikes],
    predict: Callable[[Record], NDArray[np.int64]],
    points: ArrayLike,
    labels: ArrayLike,
    *,
    until: float,
    resolution: int = 120,
    mirrored: bool = True,
) -> Any:
    """The class that the network gives every point of the unit square, with data on top.

    Args:
        net: a network of points in a plane.
        encode: features ``[n, d]`` to spikes.
        predict: classes of a record, -1 for none.
        points: ``[n, 2]`` or more columns, of which two are drawn.
        labels: their classes.
        until: end of the simulation.
        resolution: points a side of the map.
        mirrored: whether the features are (x, y, 1 - x, 1 - y).
    """
    side = (np.arange(resolution) + 0.5) / resolution
    x, y = np.meshgrid(side, side)
    plane = np.stack([x.ravel(), y.ravel()], axis=1)
    features = np.concatenate([plane, 1 - plane], axis=1) if mirrored else plane
    classes = predict(simulate(net, encode(features), until=until)).reshape(x.shape)
    colours = require("matplotlib.colors", extra="train").ListedColormap(["#BBBBBB", *_COLOURS[:7]])
    xy, c = np.asarray(points), np.asarray(labels)
    few = len(c) < 20
    given = predict(simulate(net, encode(xy), until=until))
    wrong = given != c
    figure = _figure(5.2, 5.2)
    axes = figure.subplots()
    axes.imshow(
        classes,
        origin="lower",
        extent=(0, 1, 0, 1),
        cmap=colours,
        vmin=-1,
        vmax=6,
        alpha=0.45,
        interpolation="nearest",
    )
    for k in range(int(c.max()) + 1):
        own = (c == k) & ~wrong
        axes.scatter(
            xy[own, 0],
            xy[own, 1],
            s=60 if few else 9,
            color=_COLOURS[k],
            label=f"class {k}",
            edgecolors="white" if few else "none",
            clip_on=False,
            zorder=3,
        )
    axes.scatter(
        xy[wrong, 0],
        xy[wrong, 1],
        s=26,
        marker="x",
        color="black",
        clip_on=False,
        zorder=4,
        label=f"wrong ({wrong.sum()} of {wrong.size})",
    )
    axes.set(
        xlabel="x", ylabel="y", xlim=(0, 1), ylim=(0, 1), aspect="equal", title="first output spike"
    )
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4)
    return figure
