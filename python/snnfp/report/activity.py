"""How often neurons fire, and which classes are taken for which."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.report.look import Look
from snnfp.report.numbers import rounded

__all__ = ["confusion", "spike_counts"]

_BINS = 24
_MOST_CLASSES = 30


def spike_counts(looks: list[Look | None]) -> list[dict[str, Any]]:
    """Histograms of the spikes a neuron and sample, a panel for each name of a population.

    Neurons that fire in no sample are counted apart, since they are what a gradient cannot reach.
    """
    found: dict[str, dict[int, NDArray[np.float64]]] = {}
    for run, seen in enumerate(looks):
        for p in () if seen is None else seen.diagnosis.populations.values():
            found.setdefault(p.name, {})[run] = np.asarray(p.spikes, dtype=np.float64)
    panels = []
    for name, by_run in found.items():
        highest = max(float(s.max()) for s in by_run.values())
        edges = np.linspace(0.0, highest or 1.0, _BINS + 1)
        panels.append(
            {
                "title": name,
                "edges": rounded(edges, 1e-3 * (edges[1] - edges[0])),
                "series": [
                    {
                        "run": run,
                        "name": "neurons",
                        "counts": np.histogram(s[s > 0], edges)[0].tolist(),
                        "silent": int(np.count_nonzero(s == 0)),
                        "of": int(s.size),
                    }
                    for run, s in by_run.items()
                ],
            }
        )
    return panels


def confusion(seen: Look, n_classes: int) -> NDArray[np.int64] | None:
    """Samples by their class and by what the network says, the last column for nothing.

    None: there are too many classes, or none.
    """
    if seen.labels is None or seen.said is None or not 2 <= n_classes <= _MOST_CLASSES:
        return None
    columns = np.where(seen.said < 0, n_classes, seen.said)
    flat = seen.labels * (n_classes + 1) + columns
    counts = np.bincount(flat, minlength=n_classes * (n_classes + 1))
    return counts.reshape(n_classes, n_classes + 1)
