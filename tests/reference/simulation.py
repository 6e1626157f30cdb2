"""An event simulation of any network in mpmath, and its events in order."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count

from mpmath import mpf

from reference.membrane import Neuron, current, first_crossing, slope, voltage


@dataclass(frozen=True)
class Synapse:
    kind: str  # "input" or "neuron"
    source: int
    target: int
    weight: mpf
    delay: mpf


@dataclass
class Event:
    """What happened to one neuron: an arrival, a spike or the release after it."""

    kind: str
    time: mpf
    neuron: int
    synapse: int = -1
    sender: int = -1  # index of the input spike or of the spike that was sent
    spike: int = -1


@dataclass
class Result:
    spikes: list[tuple[mpf, int, mpf]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def simulate(
    neurons: list[Neuron],
    synapses: list[Synapse],
    inputs: list[tuple[mpf, int]],
    until: mpf,
    initial: list[tuple[mpf, mpf]] | None = None,
    max_spikes: int | None = None,
) -> Result:
    """``inputs`` are (time, channel), ``initial`` (V, I) of each neuron; None: from rest.

    With ``max_spikes`` a neuron is held for ever after so many.
    """
    out = Result()
    n = len(neurons)
    initial = initial or [(mpf(0), mpf(0))] * n
    v, i, at = [v for v, _ in initial], [i for _, i in initial], [mpf(0)] * n
    held: list[mpf | None] = [None] * n
    queue: list[tuple[mpf, int, int, int, int]] = []
    number = count()

    def send(kind: str, source: int, time: mpf, sender: int) -> None:
        for k, s in enumerate(synapses):
            if s.kind == kind and s.source == source:
                heapq.heappush(queue, (time + s.delay, next(number), s.target, k, sender))

    def advance(j: int, time: mpf) -> None:
        d = time - at[j]
        if held[j] is None:
            v[j], i[j] = voltage(neurons[j], v[j], i[j], d), current(neurons[j], i[j], d)
        else:
            i[j] = current(neurons[j], i[j], d)
        at[j] = time

    for k, (time, channel) in enumerate(inputs):
        send("input", channel, mpf(time), k)
    while True:
        arrival = queue[0][0] if queue else None
        release = min((r for r in held if r is not None), default=None)
        stop = min([t for t in (arrival, release, until) if t is not None])
        best: tuple[mpf, int] | None = None
        for j in range(n):
            if held[j] is None:
                d = first_crossing(neurons[j], v[j], i[j], stop - at[j])
                if d is not None and d > 0 and (best is None or at[j] + d < best[0]):
                    best = (at[j] + d, j)
        if best is not None and best[0] <= stop:
            time, j = best
            advance(j, time)
            out.events.append(Event("spike", time, j, spike=len(out.spikes)))
            out.spikes.append((time, j, slope(neurons[j], neurons[j].threshold, i[j])))
            v[j] = neurons[j].v_reset
            if max_spikes is not None and [k for _, k, _ in out.spikes].count(j) >= max_spikes:
                held[j] = mpf("inf")
            elif neurons[j].t_refractory > 0:
                held[j] = time + neurons[j].t_refractory
            else:
                out.events.append(Event("release", time, j))
            send("neuron", j, time, len(out.spikes) - 1)
        elif arrival is not None and arrival == stop:
            time, _, j, k, sender = heapq.heappop(queue)
            advance(j, time)
            i[j] += synapses[k].weight
            out.events.append(Event("arrival", time, j, synapse=k, sender=sender))
        elif release is not None and release == stop:
            j = held.index(release)
            advance(j, release)
            held[j] = None
            out.events.append(Event("release", release, j))
        else:
            return out
