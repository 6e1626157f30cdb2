"""Spikes and voltages of some samples, as a page draws them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.network import Network, Population
from snnfp.plots._style import simulate_quietly
from snnfp.record import Record
from snnfp.report.look import Look
from snnfp.report.numbers import evenly, rounded
from snnfp.report.subject import Subject

__all__ = ["MOST_SAMPLES", "choose", "sample_pictures"]

MOST_SAMPLES = 12
_MOST_SPIKES = 5000  # of a group in a sample
_MOST_TOGETHER = 20000  # in a sample, where there are many groups
_MOST_OUTPUTS = 10
_MOST_OTHERS = 3  # neurons of each other population whose voltages are drawn
_MOST_POPULATIONS = 4
_GRID = 600
_MOST_RESETS = 200  # that are drawn upright


def choose(looks: list[Look | None], n: int) -> list[list[int]]:
    """Which samples to show of each subject: right ones and wrong ones, of different classes.

    Subjects that are tested on the same samples show the same ones, those first where they differ.
    """
    seen = [s for s in looks if s is not None]
    same = len({None if s.labels is None else s.labels.tobytes() for s in seen}) == 1
    if len(seen) > 1 and same and all(s.right is not None for s in seen):
        shared = _some(seen, n)
        return [shared if s is not None else [] for s in looks]
    return [_some([s], n) if s is not None else [] for s in looks]


def _some(seen: list[Look], n: int) -> list[int]:
    first = seen[0]
    if first.labels is None or any(s.right is None for s in seen):
        return evenly(first.samples.size, n).tolist()  # type: ignore[no-any-return]
    right = np.array([s.right for s in seen])
    met = right.sum(axis=0)
    # Samples on which they differ, then those that all have right, then those that none has.
    kinds = [met == k for k in (*range(1, len(seen)), len(seen), 0)]
    queues = [_classes_in_turn(np.flatnonzero(kind), first.labels) for kind in kinds]
    chosen: list[int] = []
    while len(chosen) < n and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue]
    return chosen[:n]


def _classes_in_turn(samples: NDArray[np.int64], labels: NDArray[np.int64]) -> list[int]:
    """The first sample of each class, the second of each, and so on."""
    own = labels[samples]
    order = np.argsort(own, kind="stable")
    turn = np.empty(samples.size, dtype=np.int64)
    starts = np.searchsorted(own[order], own[order])
    turn[order] = np.arange(samples.size) - starts
    return samples[np.argsort(turn, kind="stable")].tolist()  # type: ignore[no-any-return]


def sample_pictures(
    subject: Subject, seen: Look, chosen: list[int]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What is drawn of each chosen sample, and what was left out."""
    left_out: dict[str, int] = {}
    pictures = [_Sample(subject, seen, k, left_out).picture() for k in chosen]
    notes = []
    if len(chosen) < seen.samples.size:
        notes.append(f"samples of {subject.name}: {len(chosen)} of {seen.samples.size}")
    notes += [
        f"spikes of {group} of {subject.name}: up to {n} of a sample are left out, evenly spread"
        for group, n in left_out.items()
    ]
    return pictures, notes


class _Sample:
    """One sample, simulated."""

    def __init__(self, subject: Subject, seen: Look, index: int, left_out: dict[str, int]) -> None:
        assert subject.net is not None
        self._net: Network = subject.net
        self._index, self._left_out = index, left_out
        self._output = seen.diagnosis.output
        self._label = None if seen.labels is None else int(seen.labels[index])
        self._said = None if seen.said is None else int(seen.said[index])
        until = math.inf if subject.until is None else float(subject.until)
        spikes = seen.samples.take(np.array([index]))
        self._record: Record = simulate_quietly(self._net, spikes, until)
        self._end = until if math.isfinite(until) else self._last_spike()

    def _last_spike(self) -> float:
        times = [self._record.times, *(g.times for g in self._record._groups)]
        return 1.05 * max((float(t.max()) for t in times if t.size), default=1.0)

    def picture(self) -> dict[str, Any]:
        """What is drawn of it."""
        decided = None
        if self._output in self._net.populations:
            first = np.asarray(self._record.first_spikes(self._output)[0], dtype=np.float64)
            decided = float(first.min()) if np.isfinite(first).any() else None
        return {
            "index": self._index,
            "label": self._label,
            "said": self._said,
            "output": self._output,
            "end": self._end,
            "decided": decided,
            "groups": self._groups(),
            "voltages": self._voltages(),
        }

    def _groups(self) -> list[dict[str, Any]]:
        """Spikes of inputs and populations, from the first to the last."""
        record, groups = self._record, []
        for g in self._net.inputs.values():
            batch = record._groups[g.index]
            groups.append(self._group(g.name, g.size, batch.times, batch.units))
        for p in self._net.populations.values():
            at = record.indices(p)
            groups.append(
                self._group(p.name, p.size, record.times[at], record.neurons[at] - p.offset)
            )
        return groups

    def _group(
        self, name: str, size: int, times: NDArray[Any], units: NDArray[Any]
    ) -> dict[str, Any]:
        within = np.flatnonzero(times <= self._end)
        n_groups = len(self._net.inputs) + len(self._net.populations)
        most = max(min(_MOST_SPIKES, _MOST_TOGETHER // n_groups), 1)
        shown = within[evenly(within.size, most)] if within.size else within
        if shown.size < within.size:
            self._left_out[name] = max(self._left_out.get(name, 0), within.size - shown.size)
        return {
            "name": name,
            "size": size,
            "times": rounded(times[shown], self._end * 1e-5),
            "units": units[shown].tolist(),
            "spikes": int(within.size),
        }

    def _voltages(self) -> list[dict[str, Any]]:
        """Of the outputs, and of the neurons of other populations that fire most."""
        net = self._net
        panels = []
        if self._output in net.readouts:
            panels.append(self._readout(self._output))
        else:
            p = net.populations[self._output]
            first = np.asarray(self._record.first_spikes(p)[0], dtype=np.float64)
            panels.append(self._population(p, self._outputs(np.argsort(first, kind="stable"))))
        others = [p for p in net.populations.values() if p.name != self._output]
        for p in reversed(others[-_MOST_POPULATIONS:]):
            counts = np.bincount(self._units_of(p)[1], minlength=p.size)
            most = np.argsort(-counts, kind="stable")[:_MOST_OTHERS]
            panels.append(self._population(p, np.sort(most)))
        return panels

    def _outputs(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """The label's, the one that was said, and others in this order."""
        first = [k for k in (self._label, self._said) if k is not None and k >= 0]
        drawn = list(dict.fromkeys([*first, *order.tolist()]))[:_MOST_OUTPUTS]
        return np.sort(np.array(drawn, dtype=np.int64))

    def _units_of(self, p: Population) -> tuple[NDArray[Any], NDArray[Any]]:
        at = self._record.indices(p)
        return self._record.times[at], self._record.neurons[at] - p.offset

    def _readout(self, name: str) -> dict[str, Any]:
        size = self._net.readouts[name].size
        units = self._outputs(np.arange(size))
        times = np.linspace(0.0, self._end, _GRID).astype(self._net.dtype)
        times = times[times <= self._end]  # single precision may round the last one up
        voltage = self._record.readout(name, "at", times=times)[0].T[units]
        return self._panel(name, size, units, times, voltage, None)

    def _population(self, p: Population, units: NDArray[np.int64]) -> dict[str, Any]:
        times, neurons = self._units_of(p)
        resets = times[np.isin(neurons, units)][:_MOST_RESETS]
        before = np.nextafter(resets, resets.dtype.type(0))  # so that a reset is upright
        grid = np.linspace(0.0, self._end, _GRID).astype(times.dtype)
        grid = np.unique(np.concatenate([grid, resets, before]))
        grid = grid[grid <= self._end]
        voltage = self._record.probe(p, grid, units=units).voltage[0]
        threshold = np.broadcast_to(self._net.parameters[f"{p.name}.threshold"], (p.size,))[units]
        return self._panel(p.name, p.size, units, grid, voltage, threshold)

    def _panel(
        self,
        name: str,
        size: int,
        units: NDArray[np.int64],
        times: NDArray[Any],
        voltage: NDArray[Any],
        threshold: NDArray[Any] | None,
    ) -> dict[str, Any]:
        height = float(np.ptp(voltage)) if voltage.size else 0.0
        if threshold is not None:
            height = max(height, float(np.max(np.abs(threshold))))
        return {
            "name": name,
            "size": size,
            "units": units.tolist(),
            "times": rounded(times, self._end * 1e-5),
            "v": [rounded(row, height * 1e-4) for row in voltage],
            "threshold": None if threshold is None else rounded(threshold, height * 1e-4),
        }
