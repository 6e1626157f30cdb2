"""Weights and delays before and after a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.report.numbers import rounded, said
from snnfp.report.subject import Subject

__all__ = ["parameter_panels", "parameter_rows"]

_BINS = 48
_KINDS = (".weight", ".delay")


def parameter_panels(subjects: list[Subject]) -> list[dict[str, Any]]:
    """Histograms of each weight and delay that has several values, before and after.

    What did not change has one of them.
    """
    panels = []
    for name in _names(subjects):
        series: list[tuple[int, str, NDArray[np.float64]]] = []
        for run, subject in enumerate(subjects):
            before, after = (_values(p, name) for p in (subject.before, subject.trained()))
            if before is not None and not (after is not None and np.array_equal(before, after)):
                series.append((run, "before", before))
            if after is not None:
                series.append((run, "after", after))
        finite = [values[np.isfinite(values)] for *_, values in series]
        together = np.concatenate([*finite, np.empty(0)])
        if not together.size or together.min() == together.max():
            continue
        with np.errstate(over="ignore"):
            if not np.isfinite(together.max() - together.min()):  # no bins are so wide
                continue
        edges = np.linspace(together.min(), together.max(), _BINS + 1)
        panels.append(
            {
                "title": name,
                "edges": rounded(edges, 1e-3 * (edges[1] - edges[0])),
                "series": [
                    {"run": run, "name": when, "counts": np.histogram(values, edges)[0].tolist()}
                    for (run, when, _), values in zip(series, finite, strict=True)
                ],
            }
        )
    return panels


def parameter_rows(subject: Subject) -> list[tuple[str, ...]]:
    """Of each weight and delay: name, shape, mean and standard deviation before and after, the
    largest change."""
    rows: list[tuple[str, ...]] = []
    for name in _names([subject]):
        before, after = (_values(p, name) for p in (subject.before, subject.trained()))
        both = before is not None and after is not None and before.size == after.size
        change = float(np.max(np.abs(after - before), initial=0.0)) if both else np.nan  # type: ignore[operator]
        array = (subject.trained() if after is not None else subject.before or {})[name]
        shape = " x ".join(map(str, np.shape(array))) or "one number"
        rows.append((name, shape, _spread(before), _spread(after), said(change)))
    return rows


def _names(subjects: list[Subject]) -> list[str]:
    every = [n for s in subjects for n in (*s.trained(), *(s.before or {}))]
    return [n for kind in _KINDS for n in dict.fromkeys(every) if n.endswith(kind)]


def _values(parameters: Mapping[str, NDArray[Any]] | None, name: str) -> NDArray[np.float64] | None:
    if parameters is None or name not in parameters:
        return None
    return np.asarray(parameters[name], dtype=np.float64).reshape(-1)


def _spread(values: NDArray[np.float64] | None) -> str:
    if values is None or not values.size:
        return "—"
    if values.min() == values.max():
        return said(values[0])
    return f"{said(values.mean())} ± {said(values.std())}"
