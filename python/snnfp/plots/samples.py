"""Spikes and voltages of single samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp.network import Network, Population, population_of
from snnfp.plots._style import bare, colour, new_figure, simulate_quietly
from snnfp.record import Record
from snnfp.simulate import check_network
from snnfp.spikes import Spikes

__all__ = ["raster_and_voltage"]

_MOST_SAMPLES = 6
# Spikes up to which a neuron's voltage is drawn: more of them would paint the panel solid.
_MOST_TEETH = 3
_GRID = 1200
_RIGHT, _WRONG = "#007A55", "#B02A00"


def raster_and_voltage(
    net: Network,
    spikes: Spikes | Mapping[Any, Spikes],
    labels: ArrayLike | None = None,
    *,
    until: float,
    titles: Sequence[str] | None = None,
    readout: str | Population | None = None,
    units: int = 3,
    time_unit: str = "",
) -> Any:
    """Spikes of every group and exact voltages of the readout: a column a sample.

    The readout's first spike, which decides, is a star with a line through both panels; the label's
    neuron is drawn bold, its row is shaded, and the title says what fired first and whether that is
    right. A neuron that fires on has its voltage drawn up to its third spike; the raster above
    has them all.

    Args:
        net: the network.
        spikes: 1 to 6 samples, say a right and a wrong one.
        labels: the neuron of the readout that should fire first, ``[samples]``; None: unknown.
        until: end of the simulation.
        titles: a text over each column, beside what is said of its outcome.
        readout: the population whose first spike decides; None: the last one.
        units: most voltages a column; the label's and the first to fire go before others.
        time_unit: for the axis label, say ``"ms"``.

    Returns:
        A matplotlib ``Figure``.

    Raises:
        TypeError: ``net`` is no network.
        ValueError: too many samples, or labels or titles that do not fit them.
        MissingDependencyError: matplotlib is not installed.
    """
    n = len(next(iter(spikes.values())) if isinstance(spikes, Mapping) else spikes)
    if not 1 <= n <= _MOST_SAMPLES:
        raise ValueError(f"{n} samples to draw, expected 1 to {_MOST_SAMPLES}: choose some")
    if units < 1:
        raise ValueError(f"units is {units}, expected at least 1")
    check_network(net)
    if not net.populations:
        raise ValueError(f"{net!r} has no population, expected one whose spikes to draw")
    p = population_of(net, readout if readout is not None else next(reversed(net.populations)))
    wanted = _labels(labels, n, p)
    if titles is not None and len(titles) != n:
        raise ValueError(f"{len(titles)} titles for {n} samples, expected one a sample")
    shown = []
    for s in range(n):
        one = np.array([s])
        own = (
            {k: v.take(one) for k, v in spikes.items()}
            if isinstance(spikes, Mapping)
            else spikes.take(one)
        )
        record = simulate_quietly(net, own, until)
        title = titles[s] if titles is not None else ""
        shown.append(_Sample.of(record, p, wanted[s], title, units))
    colours = _colours([s.drawn for s in shown], p.size)
    figure = new_figure(max(6.5, 5.5 * n), 7.0)
    axes = figure.subplots(2, n, squeeze=False, sharex="all", sharey="row", height_ratios=(3, 2))
    for column, sample in enumerate(shown):
        raster, voltage = axes[0, column], axes[1, column]
        _draw_raster(raster, net, sample, colours)
        _draw_voltage(voltage, net, sample, colours)
        if sample.winner is not None:
            for part in (raster, voltage):
                part.axvline(sample.decided, color="black", lw=1.2, ls=":", zorder=1)
        raster.set_title(sample.title, color=sample.verdict_colour, fontsize=12)
        voltage.set_xlabel(f"time [{time_unit}]" if time_unit else "time")
        voltage.set_xlim(-0.01 * until, 1.01 * until)
        voltage.legend(
            frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2, fontsize=10
        )
    _fit_height(axes[1, 0], net, p)
    axes[1, 0].set_ylabel(f"V of {p.name}")
    return figure


def _labels(labels: ArrayLike | None, n: int, p: Population) -> list[int | None]:
    if labels is None:
        return [None] * n
    given = np.asarray(labels)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise ValueError(
            f"labels are {given.dtype}{list(given.shape)}, expected {n} integers, one a sample"
        )
    bad = np.flatnonzero((given < 0) | (given >= p.size))
    if bad.size:
        raise ValueError(
            f"labels[{bad[0]}] is {given[bad[0]]}, expected 0 <= label < {p.size} (the size of "
            f"{p.name})"
        )
    return [int(k) for k in given]


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """What is drawn of one sample; ``winner`` is the neuron that decides, None: none fires."""

    record: Record
    readout: Population
    label: int | None
    winner: int | None
    decided: float
    drawn: list[int]
    heading: str

    @classmethod
    def of(
        cls, record: Record, p: Population, label: int | None, heading: str, units: int
    ) -> _Sample:
        first = np.asarray(record.first_spikes(p)[0], dtype=np.float64)
        order = np.argsort(first, kind="stable").tolist()
        fires = bool(np.isfinite(first[order[0]]))
        before = [label] if label is not None else []
        drawn = list(dict.fromkeys([*before, *order]))[:units]
        if fires and order[0] not in drawn:  # room for one: the one that decides
            drawn[-1] = order[0]
        return cls(
            record=record,
            readout=p,
            label=label,
            winner=order[0] if fires else None,
            decided=float(first[order[0]]),
            drawn=sorted(drawn),
            heading=heading,
        )

    @property
    def title(self) -> str:
        said = [] if self.label is None else [f"label {self.label}"]
        said.append("no output fires" if self.winner is None else f"first to fire {self.winner}")
        verdict = "" if self.label is None else f": {'right' if self.right else 'wrong'}"
        return "\n".join([*filter(None, [self.heading]), ", ".join(said) + verdict])

    @property
    def right(self) -> bool:
        return self.label is not None and self.winner == self.label

    @property
    def verdict_colour(self) -> str:
        return "black" if self.label is None else _RIGHT if self.right else _WRONG

    def fired(self, unit: int) -> NDArray[np.float64]:
        """Spike times of a neuron of the readout."""
        at = self.record.neurons == unit + self.readout.offset
        return np.asarray(self.record.times[at], dtype=np.float64)


def _colours(drawn: list[list[int]], size: int) -> dict[int, str]:
    """By class as in the other pictures; of many classes, by order among those drawn."""
    chosen = sorted({unit for units in drawn for unit in units})
    return {unit: colour(unit if size <= 7 else k) for k, unit in enumerate(chosen)}


def _draw_raster(axes: Any, net: Network, sample: _Sample, colours: dict[int, str]) -> None:
    """Inputs at the bottom, then population above population, with room for narrow ones."""
    record = sample.record
    groups: list[tuple[Any, NDArray[Any], NDArray[Any]]] = [
        (g, record._groups[g.index].times, record._groups[g.index].units)
        for g in net.inputs.values()
    ]
    for p in net.populations.values():
        at = record.indices(p)
        groups.append((p, record.times[at], record.neurons[at] - p.offset))
    tallest = max(group.size for group, *_ in groups)
    base, ticks, names = 0.0, [], []
    for group, times, neurons in groups:
        scale = max(1.0, tallest / 4 / group.size)
        plain = np.ones(times.size, dtype=bool)
        if group.name == sample.readout.name:
            if sample.label is not None:
                low = base + sample.label * scale
                axes.axhspan(
                    low, low + scale, color=colours.get(sample.label, "0.5"), alpha=0.2, lw=0
                )
                axes.annotate(
                    "label",
                    (1.0, low + scale / 2),
                    xycoords=("axes fraction", "data"),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=10,
                )
            for unit in sample.drawn:
                own = neurons == unit
                plain &= ~own
                _ticks(axes, times[own], base + (neurons[own] + 0.5) * scale, colours[unit], 90)
            if sample.winner is not None:
                height = base + (sample.winner + 0.5) * scale
                _star(axes, sample.decided, height, colours[sample.winner], None)
        _ticks(axes, times[plain], base + (neurons[plain] + 0.5) * scale, "0.3", 18)
        ticks.append(base + group.size * scale / 2)
        names.append(f"{group.name}\n({group.size})")
        base += group.size * scale
        axes.axhline(base, color="0.85", lw=0.8, zorder=0)
    axes.set_yticks(ticks, names)
    axes.set_ylim(0, base)
    bare(axes)


def _ticks(axes: Any, times: Any, heights: Any, c: str, size: float) -> None:
    # As an image within a PDF or SVG where thousands of lines would make the file slow to open.
    axes.scatter(
        times, heights, s=size, marker="|", color=c, linewidths=1.3, rasterized=times.size > 5000
    )


def _star(axes: Any, time: float, height: float, c: str, name: str | None) -> None:
    axes.plot(
        [time],
        [height],
        "*",
        ms=17,
        color=c,
        mec="black",
        mew=1.0,
        zorder=6,
        clip_on=False,
        label=name,
    )


def _draw_voltage(axes: Any, net: Network, sample: _Sample, colours: dict[int, str]) -> None:
    p, record, until = sample.readout, sample.record, sample.record.until
    fired = {unit: sample.fired(unit) for unit in sample.drawn}
    teeth = [times[:_MOST_TEETH] for times in fired.values()]
    # A grid for the curves, and both sides of every reset so that it is drawn upright.
    resets = np.concatenate(teeth).astype(record.times.dtype)
    before = np.nextafter(resets, record.times.dtype.type(0))
    grid = np.unique(np.concatenate([np.linspace(0, until, _GRID), resets, before]))
    probed = record.probe(p, grid[grid <= until], units=sample.drawn)
    thresholds = np.broadcast_to(net.parameters[f"{p.name}.threshold"], (p.size,))
    for k, unit in enumerate(sample.drawn):
        times, bold = fired[unit], unit == sample.label
        many = times.size > _MOST_TEETH
        shown = probed.times < times[_MOST_TEETH - 1] if many else slice(None)
        named = f"{p.name} {unit}{' (label)' if bold else ''}"
        named += f", V up to spike {_MOST_TEETH} of {times.size}" if many else ""
        axes.plot(
            probed.times[shown],
            probed.voltage[0, k][shown],
            color=colours[unit],
            lw=2.6 if bold else 1.4,
            zorder=3 if bold else 2,
            label=named,
        )
    if sample.winner is not None:
        threshold = float(thresholds[sample.winner])
        _star(axes, sample.decided, threshold, colours[sample.winner], "first output spike")
    axes.axhline(
        float(thresholds[sample.drawn[0]]),
        color="0.4",
        ls="--",
        lw=1.2,
        zorder=1,
        label="threshold",
    )
    bare(axes)


def _fit_height(axes: Any, net: Network, p: Population) -> None:
    """Cuts off deep inhibition, which would press everything else flat."""
    low, high = axes.get_ylim()
    top, reset = (float(np.max(net.parameters[f"{p.name}.{k}"])) for k in ("threshold", "v_reset"))
    axes.set_ylim(max(low, reset - 2.0 * (top - reset)), max(high, top + 0.1 * (top - reset)))
