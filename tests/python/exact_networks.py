"""Networks full of exact ties: every number a short binary fraction, so that nothing is rounded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import snnfp
from reference.rational import Integrator, Run, Synapse, simulate

CHANNELS, HIDDEN, OUTPUT = 2, 3, 2
NEURONS = HIDDEN + OUTPUT
PARAMETERS = ("threshold", "v_reset", "t_refractory", "bias", "capacitance")
# How each projection is given, and so which simulator takes the graph: the sweep (and its layers),
# windows, or the queue.
FORMS = ("dense", "sparse", "delays")


@dataclass(frozen=True)
class Exact:
    """A network of inputs x, populations h and o, and a batch for it.

    Attributes:
        neurons: parameter -> one value a neuron, h then o.
        projections: (source, target, weight matrix, delays that broadcast to it), as connected.
        inputs: (times, channels) of each sample, ordered.
        voltage, current: initial state [samples, neurons].
        until: the end.
    """

    neurons: dict[str, np.ndarray[Any, Any]]
    projections: list[tuple[str, str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]
    inputs: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
    voltage: np.ndarray[Any, Any]
    current: np.ndarray[Any, Any]
    until: float

    def network(self, form: str) -> snnfp.Network:
        net = snnfp.Network()
        part = {"h": slice(0, HIDDEN), "o": slice(HIDDEN, NEURONS)}
        groups: dict[str, Any] = {"x": net.input(CHANNELS, name="x")}
        for name, of in part.items():
            values = {k: v[of] for k, v in self.neurons.items()}
            lif = snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf, **values)
            groups[name] = net.population(of.stop - of.start, lif, name=name)
        for k, (source, target, weight, delay) in enumerate(self.projections):
            sources, targets = np.divmod(np.arange(weight.size), weight.shape[1])
            kind: Any = snnfp.Dense(weight=weight, delay=delay)
            if form != "dense":
                each = delay
                if form == "delays":
                    each = np.broadcast_to(delay, weight.shape).reshape(-1)
                kind = snnfp.Sparse(
                    sources=sources, targets=targets, weight=weight.reshape(-1), delay=each
                )
            net.connect(groups[source], groups[target], kind, name=f"p{k}")
        return net

    def spikes(self) -> snnfp.Spikes:
        return snnfp.Spikes.from_pairs(self.inputs, size=CHANNELS)

    def initial(self) -> dict[str, tuple[Any, Any]]:
        return {
            "h": (self.voltage[:, :HIDDEN], self.current[:, :HIDDEN]),
            "o": (self.voltage[:, HIDDEN:], self.current[:, HIDDEN:]),
        }

    def synapses(self) -> list[Synapse]:
        first = {"x": 0, "h": CHANNELS, "o": CHANNELS + HIDDEN}
        return [
            Synapse(
                first[source] + i,
                k,
                first[target] - CHANNELS + j,
                Fraction(float(weight[i, j])),
                Fraction(float(np.broadcast_to(delay, weight.shape)[i, j])),
            )
            for k, (source, target, weight, delay) in enumerate(self.projections)
            for i in range(weight.shape[0])
            for j in range(weight.shape[1])
        ]

    def run(self, sample: int, *, later: tuple[int, Fraction] | None = None, **options: Any) -> Run:
        """One sample in rational arithmetic; ``later`` adds to one neuron's refractory time."""
        times, channels = self.inputs[sample]
        neurons = [
            Integrator(**{k: Fraction(float(v[j])) for k, v in self.neurons.items()})
            for j in range(NEURONS)
        ]
        if later is not None:
            j, step = later
            neurons[j] = replace(neurons[j], t_refractory=neurons[j].t_refractory + step)
        return simulate(
            neurons,
            self.synapses(),
            [(Fraction(float(t)), int(c)) for t, c in zip(times, channels, strict=True)],
            Fraction(self.until),
            n_channels=CHANNELS,
            initial=[
                (Fraction(float(v)), Fraction(float(i)))
                for v, i in zip(self.voltage[sample], self.current[sample], strict=True)
            ],
            **options,
        )


def draw(
    rng: np.random.Generator, *, feedback: bool, zero_delay: bool, per: str = "projection"
) -> Exact:
    """At random, on grids of quarters and halves; with the samples whose ties doubles decide too.

    Args:
        rng: what draws.
        feedback: whether outputs and hidden neurons project back.
        zero_delay: whether delays of feedback may be 0.
        per: what has a delay of its own: "projection", "source" unit or "target" neuron.
    """
    samples = 8

    def pick(values: list[float], *shape: int) -> np.ndarray[Any, Any]:
        return np.asarray(rng.choice(np.array(values), shape or None))

    def weights(n: int, m: int, scale: float = 1.0) -> np.ndarray[Any, Any]:
        return scale * pick([-1.0, 0.0, 0.5, 1.0, 1.0, 2.0], n, m)

    def delayed(
        source: str, target: str, weight: np.ndarray[Any, Any], values: list[float]
    ) -> tuple[str, str, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        n, m = weight.shape
        shape = {"projection": (), "source": (n, 1), "target": (1, m)}[per]
        return source, target, weight, pick(values, *shape)

    delays = [0.0, 0.25, 0.5] if zero_delay else [0.25, 0.5, 1.0]
    projections = [
        delayed("x", "h", weights(CHANNELS, HIDDEN), [0.0, 0.5]),
        delayed("x", "h", weights(CHANNELS, HIDDEN), [0.25]),
        delayed("h", "o", weights(HIDDEN, OUTPUT), [0.0, 0.25]),
    ]
    if feedback:
        projections += [
            delayed("h", "h", weights(HIDDEN, HIDDEN, 0.5), delays),
            delayed("o", "h", weights(OUTPUT, HIDDEN, 0.5), delays),
        ]
    inputs = []
    for _ in range(samples):
        n = int(rng.integers(2, 7))
        inputs.append((np.sort(rng.integers(0, 16, n) / 4.0), rng.integers(0, CHANNELS, n)))
    every = Exact(
        neurons={
            "threshold": pick([0.5, 1.0, 2.0], NEURONS),
            "v_reset": pick([-0.5, 0.0, 0.0], NEURONS),
            "t_refractory": pick([0.0, 0.25, 0.5, 1.0], NEURONS),
            "bias": pick([0.0, 0.0, 0.0, 0.5], NEURONS),
            "capacitance": pick([0.5, 1.0, 1.0, 2.0], NEURONS),
        },
        projections=projections,
        inputs=inputs,
        voltage=pick([-0.25, 0.0, 0.25], samples, NEURONS),
        current=pick([-0.5, 0.0, 0.0, 0.5], samples, NEURONS),
        until=4.0,
    )
    keep = [
        s for s in range(samples) if is_decided(every.run(s, derivatives=False, most_spikes=40))
    ]
    return replace(
        every,
        inputs=[every.inputs[s] for s in keep],
        voltage=every.voltage[keep],
        current=every.current[keep],
    )


def is_decided(run: Run) -> bool:
    return run.decided and 0 < len(run.spikes) < 40
