"""A diagnosis as a picture: how often neurons fire, and how far from it the silent ones are."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnfp.diagnosis import Diagnosis, PopulationDiagnosis
from snnfp.plots._style import COLOURS, SILENT, bare, new_figure

__all__ = ["activity"]

_RUNAWAY = COLOURS[5]


def activity(diagnosis: Diagnosis) -> Any:
    """Each population of a diagnosis in a column: its neurons, from the quietest to the loudest.

    Above, the mean number of spikes a sample, those of neurons that ran away in another colour.
    Below, for neurons that never fire, the highest V as a part of the threshold, the nearest last.

    Args:
        diagnosis: what :func:`snnfp.diagnose` returned.

    Returns:
        A matplotlib ``Figure``.

    Raises:
        TypeError: something else than a diagnosis.
        ValueError: a diagnosis of readouts alone, which have no spikes.
        MissingDependencyError: matplotlib is not installed.
    """
    if not isinstance(diagnosis, Diagnosis):
        raise TypeError(
            f"diagnosis is a {type(diagnosis).__name__}, expected what snnfp.diagnose returned"
        )
    populations = list(diagnosis.populations.values())
    if not populations:
        raise ValueError("the diagnosis has no population, expected one whose spikes to draw")
    figure = new_figure(3.4 * len(populations), 4.4)
    panels = figure.subplots(
        2, len(populations), squeeze=False, gridspec_kw={"height_ratios": (3, 2)}
    )
    for p, (above, below) in zip(populations, panels.T, strict=True):
        _spikes(above, p)
        _voltages(below, p)
    panels[0, 0].set_ylabel("spikes a sample")
    panels[1, 0].set_ylabel("highest V / threshold")
    return figure


def _spikes(axes: Any, p: PopulationDiagnosis) -> None:
    order = np.argsort(p.spikes, kind="stable")
    colours = np.where(np.isin(order, p.runaway), _RUNAWAY, COLOURS[0])
    axes.bar(np.arange(1, p.size + 1), p.spikes[order], width=1.0, color=colours)
    if p.silent.size:
        axes.axvspan(0.5, p.silent.size + 0.5, color=SILENT, alpha=0.35, lw=0)
    title = f"{p.name}: {p.silent.size} of {p.size} silent"
    axes.set(title=title + (f", {p.runaway.size} run away" if p.runaway.size else ""))
    axes.set(xlim=(0.5, p.size + 0.5), xlabel="neurons, sorted")
    axes.xaxis.get_major_locator().set_params(integer=True)
    bare(axes)


def _voltages(axes: Any, p: PopulationDiagnosis) -> None:
    if not p.silent.size:
        axes.text(0.5, 0.5, "all fire", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    reached = np.sort(1.0 - p.missing_voltage[p.silent] / p.threshold[p.silent])
    axes.bar(np.arange(1, reached.size + 1), reached, width=1.0, color=SILENT)
    axes.axhline(1.0, color="black", lw=1.0, ls=":")
    axes.set(xlim=(0.5, reached.size + 0.5), ylim=(0, 1.08), xlabel="silent neurons, sorted")
    axes.xaxis.get_major_locator().set_params(integer=True)
    bare(axes)
