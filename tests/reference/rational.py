"""Integrate-and-fire neurons with step currents in rational arithmetic: no rounding, exact ties.

With tau_mem = tau_syn = infinity V is linear between events, C V' = I + bias, so times, voltages and
derivatives are fractions, and two events fall on one time or they do not. Derivatives are those of
cpp/MATH.md E8, with its limit: one-sided by a parameter of 0 as long as the order of events stays.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

Row = dict[tuple[str, int], Fraction]  # derivatives by (parameter, index); absent: 0


@dataclass(frozen=True)
class Integrator:
    """One neuron."""

    threshold: Fraction
    v_reset: Fraction
    t_refractory: Fraction
    bias: Fraction
    capacitance: Fraction


@dataclass(frozen=True)
class Synapse:
    """Senders are input channels, then neurons: the order of arrivals at one time."""

    sender: int
    projection: int
    target: int
    weight: Fraction
    delay: Fraction


@dataclass
class State:
    """One neuron on its way: V and I at time ``at``, and their derivatives."""

    v: Fraction
    i: Fraction
    dv: Row = field(default_factory=dict)
    di: Row = field(default_factory=dict)
    at: Fraction = Fraction(0)
    release: Fraction | None = None  # held until then
    last: Row = field(default_factory=dict)  # of its last spike
    released: Fraction | None = None  # when, by a spike without refractory time
    after: Row = field(default_factory=dict)  # what its release adds to dV
    exact: bool = True  # whether doubles would hold all of it


@dataclass(frozen=True)
class Spike:
    """``exact``: whether nothing that led to it would be rounded in doubles."""

    time: Fraction
    neuron: int
    slope: Fraction
    row: Row
    exact: bool


@dataclass
class Run:
    """Spikes in order, and how often two things fell on one time.

    Attributes:
        decided: whether doubles decide the same ties: whatever meets anything else at one time has
            a history of short binary fractions.
    """

    spikes: list[Spike] = field(default_factory=list)
    ties: Counter[str] = field(default_factory=Counter)
    end: Fraction = Fraction(0)
    decided: bool = True


def is_short(x: Fraction) -> bool:
    """Whether a double holds it, with room for what is computed from it."""
    return x.denominator & (x.denominator - 1) == 0 and x.denominator <= 2**12


def plus(a: Row, b: Row, factor: Fraction = Fraction(1)) -> Row:
    out = dict(a)
    for key, value in b.items():
        out[key] = out.get(key, Fraction(0)) + factor * value
    return out


def simulate(
    neurons: list[Integrator],
    synapses: list[Synapse],
    inputs: list[tuple[Fraction, int]],
    until: Fraction,
    *,
    n_channels: int,
    initial: list[tuple[Fraction, Fraction]] | None = None,
    stop_after: tuple[int, ...] = (),
    most_spikes: int = 100,
    derivatives: bool = True,
) -> Run:
    """At one time: crossings by neuron, arrivals by (sender, projection, synapse), releases.

    Args:
        neurons: the neurons.
        synapses: in the order of projection and synapse.
        inputs: (time, channel) of each input spike.
        until: the end; what happens at it still does.
        n_channels: of the input.
        initial: (V, I) of each neuron at time 0.
        stop_after: neurons; the run ends with the last of their first spikes.
        most_spikes: the run is broken off there.
        derivatives: whether to carry rows.
    """
    run = Run()
    states = [State(*pair) for pair in (initial or [(Fraction(0), Fraction(0))] * len(neurons))]
    queue: list[tuple[Fraction, int, int, int, int]] = []  # time, sender, projection, synapse, row
    rows: list[Row] = []
    waiting = set(stop_after)

    def send(sender: int, time: Fraction, row: Row) -> None:
        rows.append(row)
        for k, s in enumerate(synapses):
            if s.sender == sender:
                heapq.heappush(queue, (time + s.delay, sender, s.projection, k, len(rows) - 1))

    def add(a: Row, b: Row, factor: Fraction = Fraction(1)) -> Row:
        return plus(a, b, factor) if derivatives else a

    def slope(j: int) -> Fraction:
        return (states[j].i + neurons[j].bias) / neurons[j].capacitance

    def advance(j: int, time: Fraction) -> None:
        s, n = states[j], neurons[j]
        d, s.at = time - s.at, time
        s.exact = s.exact and is_short(time)
        if s.release is not None or d == 0:
            return
        s.v += slope(j) * d
        s.exact = s.exact and is_short(s.v)
        s.dv = add(s.dv, s.di, d / n.capacitance)
        s.dv = add(
            s.dv,
            {("bias", j): d / n.capacitance, ("capacitance", j): -slope(j) * d / n.capacitance},
        )

    def let_go(j: int, time: Fraction) -> None:
        s, n = states[j], neurons[j]
        s.release, s.v = None, n.v_reset
        later = add(s.last, {("t_refractory", j): Fraction(1)})
        s.dv = add(add({("v_reset", j): Fraction(1)}, later, -slope(j)), s.after)
        s.after = {}

    def crossing(j: int) -> Fraction | None:
        s = states[j]
        if s.release is not None or slope(j) <= 0:
            return None
        return s.at + (neurons[j].threshold - s.v) / slope(j)

    for k, (time, channel) in enumerate(inputs):
        send(channel, time, {("input", k): Fraction(1)})
    run.end = until
    while True:
        crossings = [(t, j) for j in range(len(neurons)) if (t := crossing(j)) is not None]
        releases = [(s.release, j) for j, s in enumerate(states) if s.release is not None]
        first, arrival, release = (
            min(crossings, default=None),
            queue[:1],
            min(releases, default=None),
        )
        now = min(
            [t[0] for t in (first, release) if t is not None] + [a[0] for a in arrival],
            default=None,
        )
        if now is None or now > run.end or len(run.spikes) >= most_spikes:
            return run
        cross = [j for t, j in crossings if t == now]
        at_once = Counter(cross + [j for t, j in releases if t == now])
        at_once.update(synapses[a[3]].target for a in queue if a[0] == now)
        tied = [
            j
            for j, n in at_once.items()
            if n > 1 or now == run.end or (j in cross and len(cross) > 1)
        ]
        if tied and not (is_short(now) and all(states[j].exact for j in tied)):
            run.decided = False
            return run
        if first is not None and first[0] == now:
            j = first[1]
            run.ties["crossing at an arrival"] += bool(arrival and arrival[0][0] == now)
            run.ties["crossings at one time"] += sum(t == now for t, _ in crossings) > 1
            advance(j, now)
            s, n = states[j], neurons[j]
            row = {
                key: -value / slope(j)
                for key, value in add(s.dv, {("threshold", j): Fraction(-1)}).items()
            }
            run.spikes.append(Spike(now, j, slope(j), row, s.exact))
            s.last, s.v, s.release, s.released = row, n.v_reset, now + n.t_refractory, None
            if n.t_refractory == 0:
                let_go(j, now)
                s.released = now
            waiting.discard(j)
            if stop_after and not waiting:
                run.end = min(run.end, now)
            send(n_channels + j, now, row)
        elif arrival and arrival[0][0] == now:
            _, sender, _, k, sent = heapq.heappop(queue)
            j, weight = synapses[k].target, synapses[k].weight
            row = add(rows[sent], {("delay", k): Fraction(1)})
            run.ties["arrival at a release"] += states[j].release == now
            run.ties["arrival of a neuron and of an input"] += bool(
                queue and queue[0][0] == now and sender < n_channels <= queue[0][1]
            )
            advance(j, now)
            s, n = states[j], neurons[j]
            s.i += weight
            s.di = add(s.di, {("weight", k): Fraction(1)})
            if s.release is None:
                s.dv = add(s.dv, row, -weight / n.capacitance)
            elif s.release == now and synapses[k].delay == 0:
                # A delay can only grow from 0: this arrival then comes after the release.
                run.ties["arrival without delay at a release"] += 1
                s.after = add(s.after, {("delay", k): -weight / n.capacitance})
            if s.released == now:
                # t_refractory can only grow from 0: this arrival then comes before the release.
                run.ties["arrival at a spike without refractory time"] += 1
                s.dv = add(s.dv, {("t_refractory", j): -weight / n.capacitance})
        else:
            assert release is not None
            j = release[1]
            advance(j, now)
            let_go(j, now)
