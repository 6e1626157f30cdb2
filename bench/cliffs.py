"""Does one step aside leave the fast paths?

    python -m bench.cliffs [--repeats 15]

Simulation and adjoint of a batch of 32 samples of an all dense network, and the same with one
thing changed: a sparse synapse somewhere, a delay a synapse, a time constant in ``wrt``. One
thread, double precision, until 40, one spike from each input. The rows take turns; times are those
of the processor, the smallest of the repeats. `ran` are the solvers of the components. Aims are
ratios to "all dense".
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import snnfp

from bench.costs import machine

SAMPLES, OUTPUTS, UNTIL = 32, 10, 40.0
TIME_CONSTANTS = ("*.weight", "*.tau_mem", "*.tau_syn")


@dataclass(frozen=True)
class Shape:
    """One input, one hidden, one output population."""

    inputs: int
    hidden: int

    def spikes(self) -> snnfp.Spikes:
        """One spike an input."""
        times = np.random.default_rng(5).uniform(0, 20, (SAMPLES, self.inputs))
        return snnfp.Spikes.from_latencies(times)

    def network(self, change: Callable[..., Any] | None) -> snnfp.Network:
        """All dense, then changed."""
        rng = np.random.default_rng(4)
        net = snnfp.Network()
        neuron = snnfp.LIF(tau_mem=20.0, tau_syn=5.0, capacitance=20.0, t_refractory=40.0)
        x = net.input(self.inputs, name="x")
        h = net.population(self.hidden, neuron, name="h")
        y = net.population(OUTPUTS, neuron, name="y")
        scale = 784 / self.inputs
        first = rng.normal(0.05 * scale, 0.08 * scale, (self.inputs, self.hidden))
        later = rng.normal(0.2, 0.3, (self.hidden, OUTPUTS))
        net.connect(x, h, snnfp.Dense(weight=first), name="first")
        net.connect(h, y, snnfp.Dense(weight=later), name="later")
        changed = change(net, rng, self) if change else None
        return changed or net


def _one_sparse(net: Any, rng: Any, shape: Shape) -> None:
    net.connect("x", "h", snnfp.Sparse(sources=[0], targets=[0], weight=0.1), name="one")


def _one_to_one(net: Any, rng: Any, shape: Shape) -> None:
    net.connect("y", "y", snnfp.OneToOne(weight=-0.1, delay=1.0), name="self")


def _delays_of_last(net: Any, rng: Any, shape: Shape) -> None:
    net.parameters["later.delay"] = rng.uniform(0, 1, (shape.hidden, OUTPUTS))


def _delays_of_first(per: str = "synapse") -> Callable[[Any, Any, Shape], None]:
    def change(net: Any, rng: Any, shape: Shape) -> None:
        rows = 1 if per == "target" else shape.inputs
        columns = 1 if per == "source" else shape.hidden
        net.parameters["first.delay"] = rng.uniform(0, 5, (rows, columns))

    return change


def _sparse(part: float) -> Callable[[Any, Any, Shape], snnfp.Network]:
    def change(net: Any, rng: Any, shape: Shape) -> snnfp.Network:
        weight = net.parameters["first.weight"]
        chosen = np.random.default_rng(1).random(weight.shape) < part
        sources, targets = np.nonzero(chosen)
        values = weight.mean() / part + (weight[chosen] - weight.mean()) / np.sqrt(part)
        other = snnfp.Network()
        for name, population in net.inputs.items():
            other.input(population.size, name=name)
        neuron = snnfp.LIF(tau_mem=20.0, tau_syn=5.0, capacitance=20.0, t_refractory=40.0)
        other.population(shape.hidden, neuron, name="h")
        other.population(OUTPUTS, neuron, name="y")
        first = snnfp.Sparse(sources=sources, targets=targets, weight=values)
        other.connect("x", "h", first, name="first")
        later = snnfp.Dense(weight=net.parameters["later.weight"])
        other.connect("h", "y", later, name="later")
        return other

    return change


@dataclass(frozen=True)
class Row:
    """One line of the table; `aims`: of simulation and adjoint, as ratios to the base."""

    what: str
    shape: Shape
    change: Callable[..., Any] | None = None
    wrt: tuple[str, ...] = ("*.weight",)
    aims: tuple[float, float] = (np.inf, np.inf)


WIDE, NARROW = Shape(784, 350), Shape(257, 200)
ROWS = [
    Row("784-350-10, all dense", WIDE),
    Row("one sparse synapse more", WIDE, _one_sparse, aims=(1.5, 2)),
    Row("one-to-one on the outputs", WIDE, _one_to_one, aims=(1.5, 2)),
    Row("a delay a synapse, last projection", WIDE, _delays_of_last, aims=(1.5, 2)),
    Row("`y.tau_mem` in `wrt`", WIDE, None, ("*.weight", "y.tau_mem"), (np.inf, 1.5)),
    Row("all time constants in `wrt`", WIDE, None, TIME_CONSTANTS, (np.inf, 4)),
    Row("a delay a source unit, first", WIDE, _delays_of_first("source"), aims=(1.2, 1.2)),
    Row("a delay a target neuron, first", WIDE, _delays_of_first("target"), aims=(1.2, 1.2)),
    Row("a delay a synapse, first projection", WIDE, _delays_of_first()),
    Row("first projection `Sparse`, all synapses", WIDE, _sparse(1.0), aims=(3, 3)),
    Row("first projection `Sparse`, 10 %", WIDE, _sparse(0.1), aims=(1, 1)),
    Row("257-200-10, all dense", NARROW),
    Row("a delay a source unit, first", NARROW, _delays_of_first("source"), aims=(1.2, 1.2)),
    Row("a delay a target neuron, first", NARROW, _delays_of_first("target"), aims=(1.2, 1.2)),
    Row("a delay a synapse, first projection", NARROW, _delays_of_first()),
    Row("all time constants in `wrt`", NARROW, None, TIME_CONSTANTS, (np.inf, 4)),
]


def measure(repeats: int) -> list[tuple[Row, float, float, Any]]:
    """(row, seconds of a simulation, of an adjoint, the record) of each row."""
    works: list[tuple[Callable[[], Any], Callable[[], Any], Any]] = []
    for row in ROWS:
        net, batch = row.shape.network(row.change), row.shape.spikes()

        def run(net: Any = net, batch: Any = batch) -> Any:
            return snnfp.simulate(net, batch, until=UNTIL, n_threads=1)

        record = run()
        cotangents = np.cos(np.arange(record.n_spikes))

        def back(record: Any = record, cotangents: Any = cotangents, wrt: Any = row.wrt) -> Any:
            return record.vjp(cotangents, wrt=list(wrt))

        works.append((run, back, record))
    best = np.full((len(ROWS), 2), np.inf)
    for _ in range(repeats):
        for i, (run, back, _) in enumerate(works):
            for k, work in enumerate((run, back)):
                start = time.process_time()
                work()
                best[i, k] = min(best[i, k], time.process_time() - start)
    return [(row, *best[i], works[i][2]) for i, row in enumerate(ROWS)]


def _cell(seconds: float, base: float, aim: float) -> str:
    ratio = seconds / base
    aimed = "" if aim == np.inf else f" (aim {aim:g}{'' if ratio <= aim else ', MISSED'})"
    return f"{1e3 * seconds:.2f} | {ratio:.2f}{aimed}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print("| Network | ran | simulate, ms | ratio | adjoint, ms | ratio | ns each* |")
    print("|---|---|---|---|---|---|---|")
    base = (1.0, 1.0)
    for row, simulate, adjoint, record in measure(repeats):
        if row.change is None and row.wrt == ("*.weight",):
            base = (simulate, adjoint)
        ran = " ".join(c.solver for c in record.components)
        deliveries = SAMPLES * row.shape.network(row.change).parameters["first.weight"].size
        print(
            f"| {row.what} | {ran} | {_cell(simulate, base[0], row.aims[0])} "
            f"| {_cell(adjoint, base[1], row.aims[1])} "
            f"| {1e9 * simulate / deliveries:.2f}, {1e9 * adjoint / deliveries:.2f} |"
        )
    print("\n* simulation, adjoint: over the deliveries through the first projection")
    print(f"{machine()}, {record.isa}, snnfp {snnfp.__version__}, smallest of {repeats}")


if __name__ == "__main__":
    main()
