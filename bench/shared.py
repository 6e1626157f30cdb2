"""What do shared weights cost?

    python -m bench.shared [--repeats 15]

Simulation and adjoint of a batch of 32 samples, one spike from each input, until 40, on one thread
in double precision: a convolution to a hidden population and ten dense outputs. Beside it the same
network with a weight a synapse, which has the same spikes and no sharing (the difference is what
fetching weights and adding up derivatives take), and a dense hidden layer with as many synapses.
Then a dense layer, the same with a mask that leaves a half, and the same with zeros in place of the
mask. `set` is what replacing the first weights takes, once a step of training. The rows take turns;
times are those of the processor, the smallest of the repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import snnfp

from bench.costs import machine

SAMPLES, OUTPUTS, UNTIL = 32, 10, 40.0
NEURON = snnfp.LIF(tau_mem=20.0, tau_syn=5.0, capacitance=20.0, t_refractory=40.0)


def network(first: Any, inputs: int, hidden: int) -> snnfp.Network:
    """One input, one hidden, one output population."""
    net = snnfp.Network()
    net.input(inputs, name="x")
    net.population(hidden, NEURON, name="h")
    net.population(OUTPUTS, NEURON, name="y")
    net.connect("x", "h", first, name="first")
    later = np.random.default_rng(1).normal(20.0 / hidden, 30.0 / hidden, (hidden, OUTPUTS))
    net.connect("h", "y", snnfp.Dense(weight=later), name="later")
    return net


def convolution(shape_in: tuple[int, int, int], kernel: tuple[int, ...], mean: float) -> Any:
    """(what, network) of a convolution and of what it is held against."""
    rng = np.random.default_rng(0)
    weight = rng.normal(mean, 0.8 * mean, kernel)
    conv = snnfp.Conv2D(shape_in=shape_in, weight=weight)
    shared = network(conv, conv.size_in, conv.size_out)
    p = shared.projections["first"]
    assert p.weight_of is not None
    each = snnfp.Sparse(
        sources=p.sources, targets=p.targets, weight=weight.reshape(-1)[p.weight_of]
    )
    width = round(p.targets.size / conv.size_in)
    scale = 40.0 / conv.size_in
    dense = snnfp.Dense(weight=rng.normal(scale, 1.6 * scale, (conv.size_in, width)))
    name = f"{shape_in[0]} x {shape_in[1]} x {shape_in[2]}, kernel {kernel[2]} x {kernel[3]}"
    return [
        (f"`Conv2D`, {name}, {kernel[0]} channels", shared),
        ("the same, a weight a synapse", network(each, conv.size_in, conv.size_out)),
        (f"dense, {conv.size_in} to {width}", network(dense, conv.size_in, width)),
    ]


def masks() -> Any:
    """(what, network) with and without a mask."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0.05, 0.08, (784, 350))
    mask = rng.random(weight.shape) < 0.5
    half = np.where(mask, 2 * weight, 0.0)
    return [
        ("dense, 784 to 350", network(snnfp.Dense(weight=weight), 784, 350)),
        ("with a mask that leaves a half", network(snnfp.Dense(weight=half, mask=mask), 784, 350)),
        ("with zeros instead", network(snnfp.Dense(weight=half), 784, 350)),
    ]


def measure(rows: list[tuple[str, snnfp.Network]], repeats: int) -> Any:
    """Seconds of simulation, adjoint and replacing the weights, and the record, of each row."""
    works: list[tuple[Callable[[], Any], ...]] = []
    records = []
    for _, net in rows:
        times = np.random.default_rng(5).uniform(0, 20, (SAMPLES, net.inputs["x"].size))
        batch = snnfp.Spikes.from_latencies(times)
        weight = np.array(net.parameters["first.weight"])
        record = snnfp.simulate(net, batch, until=UNTIL, n_threads=1)
        cotangents = np.cos(np.arange(record.n_spikes))
        works.append(
            (
                lambda net=net, batch=batch: snnfp.simulate(net, batch, until=UNTIL, n_threads=1),
                lambda r=record, u=cotangents: r.vjp(u, wrt="*.weight", n_threads=1),
                lambda net=net, w=weight: net.parameters.update({"first.weight": w}),
            )
        )
        records.append(record)
    best = np.full((len(rows), 3), np.inf)
    for _ in range(repeats):
        for i, row in enumerate(works):
            for k, work in enumerate(row):
                start = time.process_time()
                work()
                best[i, k] = min(best[i, k], time.process_time() - start)
    return best, records


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    groups = [
        convolution((1, 28, 28), (8, 1, 5, 5), 1.8),
        convolution((16, 12, 12), (32, 16, 3, 3), 0.4),
        masks(),
    ]
    print(
        "| First projection | synapses | spikes | simulate, ms | adjoint, ms | set, ms | ns each* |"
    )
    print("|---|---|---|---|---|---|---|")
    for rows in groups:
        best, records = measure(rows, repeats)
        if rows is not groups[-1]:
            assert np.array_equal(records[0].times, records[1].times)
        for (what, net), (simulate, adjoint, replace), record in zip(
            rows, best, records, strict=True
        ):
            synapses = int(np.prod(net.projections["first"].shape))
            each = 1e9 / (SAMPLES * synapses)
            print(
                f"| {what} | {synapses} | {record.n_spikes} | {1e3 * simulate:.2f} | "
                f"{1e3 * adjoint:.2f} | {1e3 * replace:.3f} | "
                f"{each * simulate:.2f}, {each * adjoint:.2f} |"
            )
    print("\n* simulation, adjoint: over the deliveries through the first projection")
    print(f"{machine()}, {records[0].isa}, snnfp {snnfp.__version__}, smallest of {repeats}")


if __name__ == "__main__":
    main()
