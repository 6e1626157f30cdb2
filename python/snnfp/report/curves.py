"""Learning curves, a panel for each kind of figure of the histories."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnfp.report.numbers import evenly, significant
from snnfp.report.subject import Subject

__all__ = ["MOST_EPOCHS", "panels"]

MOST_EPOCHS = 1500
_MOST_LINES = 20  # of a kind of figure and a subject

# The figures of a history by what comes before "/": title, and whether they are fractions.
_MAIN = {
    "loss": ("Loss", False),
    "accuracy": ("Accuracy", True),
    "silent": ("Silent neurons, fraction", True),
    "spikes": ("Spikes a neuron and sample", False),
}
_MORE = {
    "norm": ("Norm of the gradient, median", False),
    "clipped": ("Clipped steps, fraction", True),
    "lr": ("Learning rate", False),
    "deliveries": ("Arrivals a sample", False),
    "min_slope": ("Smallest V' at a spike", False),
    "near_tangent": ("Spikes nearly tangent", False),
    "remedied": ("What remedies helped", False),
    "seconds": ("Seconds an epoch", False),
}
_VALIDATION = "validation_"


def panels(subjects: list[Subject]) -> tuple[list[dict[str, Any]], list[str]]:
    """Panels with their lines, one a figure and subject; and what was left out.

    A line is of a subject (``run``), dashed by what it is of, and in a colour of its own where
    there is one subject alone.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    notes = []
    for run, subject in enumerate(subjects):
        history = subject.history
        if history is None:
            continue
        n = len(history)
        shown = evenly(n, MOST_EPOCHS)
        if shown.size < n:
            notes.append(
                f"learning curves of {subject.name}: {shown.size} of {n} epochs, evenly spread"
            )
        for figure in history.keys():
            values = np.asarray(history[figure], dtype=np.float64)
            if not np.isfinite(values).any():
                continue
            kind, name = _of(figure)
            lines = found.setdefault(kind, [])
            if sum(line["run"] == run for line in lines) == _MOST_LINES:
                note = f"{kind} of {subject.name}: the first {_MOST_LINES} lines"
                notes += [] if note in notes else [note]
                continue
            lines.append(
                {
                    "run": run,
                    "name": name,
                    "x": (shown + 1).tolist(),
                    "y": significant(values[shown]),
                }
            )
    order = [*_MAIN, *_MORE, *(kind for kind in found if kind not in {**_MAIN, **_MORE})]
    known = {**_MAIN, **_MORE}
    return [
        {
            "title": known.get(kind, (kind, False))[0],
            "fraction": known.get(kind, (kind, False))[1],
            "main": kind in _MAIN,
            "lines": _styled(found[kind], len(subjects)),
        }
        for kind in order
        if kind in found
    ], notes


def _of(figure: str) -> tuple[str, str]:
    """Kind and name of a figure: ``("loss", "validation")``, ``("silent", "hidden")``."""
    if figure.startswith(_VALIDATION):
        return figure.removeprefix(_VALIDATION), "validation"
    kind, _, name = figure.partition("/")
    return kind, name or ("training" if kind in ("loss", "accuracy") else "")


def _styled(lines: list[dict[str, Any]], n_subjects: int) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(line["name"] for line in lines))
    for line in lines:
        k = names.index(line["name"])
        # As in snnfp.plots: blue is training, vermilion validation, and populations have others.
        alone = {"training": 0, "validation": 5, "": 0}.get(line["name"], k + 2)
        line["colour"] = alone if n_subjects == 1 else 5 * line["run"]
        line["dash"] = 0 if n_subjects == 1 else k
    return lines
