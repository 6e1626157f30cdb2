"""What keeps a network from learning: a look at its spikes, and at the neurons without."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._activity import Activity
from snnfp._limited import with_limits
from snnfp._numbers import count
from snnfp.losses import ReadoutLoss, WeightedSum, check_labels, output_of, readout_of
from snnfp.network import Network, Population, Readout
from snnfp.readings import readout_named
from snnfp.record import Record
from snnfp.recorded import record_from_spikes
from snnfp.simulate import InputSpikes, check_network, simulate

__all__ = ["Diagnosis", "PopulationDiagnosis", "diagnose"]


_NEXT_TO_NOTHING = 2.0**-30  # of a threshold


@dataclass(frozen=True, eq=False)
class PopulationDiagnosis:
    """What was seen of one population.

    Attributes:
        name: of the population.
        spikes: of each neuron, the mean over samples, ``[n]``.
        deliveries: arrivals at it, of all its neurons, the mean over samples.
        silent: neurons that fire in no sample.
        runaway: neurons that reached ``spike_limit`` in some sample, where they were stopped.
        missing_voltage: how far below the threshold the highest V of a silent neuron stays, over
            all samples, ``[n]``; nan for neurons that fire.
        threshold: of each neuron, ``[n]``.
        min_slope: the smallest V'(f-) of its spikes, what derivatives grow with the inverse of; inf
            without spikes.
    """

    name: str
    spikes: NDArray[np.float64]
    deliveries: float
    silent: NDArray[np.int64]
    runaway: NDArray[np.int64]
    missing_voltage: NDArray[np.float64]
    threshold: NDArray[np.float64]
    min_slope: float

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.spikes.size)


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What :func:`diagnose` saw; ``print`` shows it as a table.

    Attributes:
        populations: by name, in the network's order.
        n_samples: samples looked at.
        output: population or readout of the outputs.
        silent_labels: of each output, the fraction of the samples of its own class in which it is
            silent, ``[n]``, nan for classes without a sample; None without labels, and for
            readouts, which have no spikes.
        findings: what deserves attention, in words; empty if nothing does.
    """

    populations: dict[str, PopulationDiagnosis]
    n_samples: int
    output: str
    silent_labels: NDArray[np.float64] | None
    findings: tuple[str, ...]

    def __str__(self) -> str:
        head = (
            *("population", "neurons", "silent", "runaway", "spikes a neuron", "deliveries"),
            *("V missing", "smallest V'"),
        )
        rows = [head, *(_row(p) for p in self.populations.values())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{self.n_samples} samples"]
        for row in rows:
            cells = [row[0].ljust(widths[0])]
            cells += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *(f"- {finding}" for finding in self.findings)])


def _row(p: PopulationDiagnosis) -> tuple[str, ...]:
    missing = p.missing_voltage[p.silent]
    return (
        p.name,
        str(p.size),
        str(p.silent.size),
        str(p.runaway.size),
        f"{p.spikes.mean():.3g}",
        f"{p.deliveries:.4g}",
        f"{missing.min():.3g} ... {missing.max():.3g}" if missing.size else "",
        f"{p.min_slope:.3g}" if math.isfinite(p.min_slope) else "",
    )


def diagnose(
    net: Network,
    spikes: InputSpikes,
    labels: ArrayLike | None = None,
    *,
    until: float | None = None,
    loss: Any = None,
    spike_limit: int = 1000,
    samples: int | None = None,
    n_threads: int | None = None,
) -> Diagnosis:
    """Looks at the activity of a network: who is silent, and by how much; who runs away.

    Nothing is changed, and runaway firing is no error: neurons are stopped at ``spike_limit``. The
    network is simulated once, and once more where neurons are silent, for their exact highest V.

    Args:
        net: the network.
        spikes: input, as for :func:`simulate`; some hundred samples tell enough.
        labels: classes, ``[samples]``, to see which outputs are silent where they should fire.
        until: end of the simulation.
        loss: what it is to be trained with, which says where outputs are read, and how; None: the
            last population is the output or, where that feeds others, the last readout.
        spike_limit: spikes of a neuron in a sample at which it counts as running away.
        samples: of a network without input groups.
        n_threads: None: all.

    Raises:
        ValueError: bad input, or labels that are no classes of the outputs.
    """
    check_network(net)
    limit = count(spike_limit, "spike_limit")
    output = _last(net) if loss is None else output_of(net, loss)
    seen = with_limits(net, dict.fromkeys(net.populations, limit))
    record = simulate(
        seen, spikes, until=until, samples=samples, n_threads=n_threads, spike_limit=limit
    )
    missing = _missing_voltages(seen, spikes, record, n_threads)
    activity = Activity(seen)
    activity.add(activity.counted(record))
    spikes_of, arrivals = activity.spikes(), activity.deliveries()
    populations = {
        p.name: _population(net, p, record, spikes_of[p.name], arrivals[p.name], missing, limit)
        for p in net.populations.values()
    }
    silent_labels = None
    if labels is not None:
        chosen = check_labels(labels, record.n_samples, output.size)
        if isinstance(output, Population):
            silent_labels = _silent_labels(record, output, chosen)
    findings = _findings(populations, output.name, silent_labels, limit)
    findings += _of_readouts(net, loss, record.until)
    return Diagnosis(populations, record.n_samples, output.name, silent_labels, tuple(findings))


def _last(net: Network) -> Population | Readout:
    """Where outputs are most likely read: what feeds nothing."""
    projections = (*net.projections.values(), *net.readout_projections.values())
    last = next(reversed(net.populations), None)
    feeding = {p.source for p in projections if p.source != p.target}  # others than themselves
    if net.readouts and (last is None or last in feeding):
        return readout_named(net, None)
    return readout_of(net, None)


def _silent_labels(
    record: Record, output: Population, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    silent = record.first_indices(output.name)[np.arange(chosen.size), chosen] < 0
    own = np.bincount(chosen, minlength=output.size)
    missed = np.bincount(chosen[silent], minlength=output.size)
    shares = np.full(output.size, np.nan)
    np.divide(missed, own, out=shares, where=own > 0)
    return shares


def _population(
    net: Network,
    p: Population,
    record: Record,
    spikes: NDArray[np.float64],
    arrivals: float,
    missing: NDArray[np.float64],
    limit: int,
) -> PopulationDiagnosis:
    own = record.indices(p.name)
    free = p.max_spikes is None or p.max_spikes > limit
    return PopulationDiagnosis(
        name=p.name,
        spikes=spikes,
        deliveries=arrivals,
        silent=np.flatnonzero(~record.fires(p.name)),
        runaway=np.flatnonzero(free & (record.counts(p.name).max(axis=0) >= limit)),
        missing_voltage=missing[p.offset : p.offset + p.size],
        threshold=np.broadcast_to(net.parameters[f"{p.name}.threshold"], p.size).astype(float),
        min_slope=float(record.slopes[own].min(initial=np.inf)),
    )


def _missing_voltages(
    net: Network, spikes: InputSpikes, record: Record, n_threads: int | None
) -> NDArray[np.float64]:
    """How far the highest V of neurons that never fire stays below their threshold; else nan.

    The record is taken for a recording of a network in which thresholds of the silent neurons are
    next to 0, where V begins: whenever V is above them it lacks a spike, and how far above V goes
    is what such a recording tells exactly.
    """
    n = record._counts.size
    silent = record._counts == 0
    threshold, barely = np.empty(n), np.empty(n)
    if not silent.any():
        return np.full(n, np.nan)
    low = with_limits(net, {})
    for p in net.populations.values():
        own = slice(p.offset, p.offset + p.size)
        threshold[own] = net.parameters[f"{p.name}.threshold"]
        barely[own] = np.abs(threshold[own]) * _NEXT_TO_NOTHING
        v_reset = np.where(silent[own], -1.0, net.parameters[f"{p.name}.v_reset"])
        values = np.where(silent[own], barely[own], threshold[own])
        low._replace({f"{p.name}.threshold": values, f"{p.name}.v_reset": v_reset})
    told = record_from_spikes(
        low,
        spikes,
        {name: record.spikes(name) for name in net.populations},
        tolerance=np.inf,
        on_fault="keep",
        until=None if math.isinf(record.until) else record.until,
        n_threads=n_threads,
    )
    _, neuron, _, excess = told._core.missing
    highest = np.zeros(n)
    np.maximum.at(highest, neuron, excess + barely[neuron])
    return np.where(silent, threshold - highest, np.nan)


def _findings(
    populations: dict[str, PopulationDiagnosis],
    output: str,
    silent_labels: NDArray[np.float64] | None,
    limit: int,
) -> list[str]:
    out = []
    for p in populations.values():
        if p.silent.size == p.size:
            out.append(
                f"population {p.name} fires no spike: the neuron that comes closest, "
                f"{int(np.nanargmin(p.missing_voltage))}, stays {np.nanmin(p.missing_voltage):.3g} "
                "below its threshold" + (", and nothing arrives at it" if not p.deliveries else "")
            )
        elif 2 * p.silent.size > p.size:
            out.append(f"{p.silent.size} of {p.size} neurons of {p.name} fire in no sample")
        if p.runaway.size:
            out.append(
                f"{p.runaway.size} of {p.size} neurons of {p.name} run away: they were stopped at "
                f"{limit} spikes in a sample"
            )
    for k, share in enumerate([] if silent_labels is None else silent_labels.tolist()):
        if share > 0.5:
            out.append(
                f"output {k} of {output} is silent in {share:.0%} of the samples of its own "
                "class, where no gradient can bring it back"
            )
    return out


def _of_readouts(net: Network, loss: Any, until: float) -> list[str]:
    """Where what a spike gives to a readout falls with its age, within a sample.

    There the gradient asks for later spikes, which smaller weights give until they give none; the
    jump when a spike vanishes outweighs what was gained. Integrals never fall.
    """
    out = []
    for term in loss.terms if isinstance(loss, WeightedSum) else (loss,):
        if not isinstance(term, ReadoutLoss) or "integral" in term.value:
            continue
        reading = term.reading(net)
        p = net.readouts[reading.readout]
        last = until if reading.times is None else max(reading.times)
        peak = float(np.min(reading.grows_until(net)))
        if peak < last < math.inf:
            out.append(
                f"what a spike gives to {reading.value!r} of readout {p.name} falls with its age "
                f"from {peak:.3g} on, and ages reach {last:.4g}: the gradient asks for later "
                "spikes, and so for spikes that vanish; the weighted integral has no such fall, "
                "nor have time constants so long that V still rises then"
            )
    return out
