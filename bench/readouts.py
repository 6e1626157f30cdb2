"""What does a readout cost beside an output population of the same size?

    python -m bench.readouts [--repeats 15]

64 samples of a second, 257 inputs, 400 spikes each, 200 hidden neurons with refractory times, 20
outputs, dense, double precision, one thread. Timed is what the outputs add: for a population that
fires, simulation and adjoint less those of the network without it; for a readout, what its value
takes to read and its cotangents take to go back to the spikes it hears, derivatives by the
hidden layer's weights being asked for. Times are those of the processor, the smallest of the
repeats; rows take turns. Checked before: V of the readout is that of a population whose threshold
is out of reach, probed.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import snnfp

from bench.costs import machine

SAMPLES, PER_SAMPLE, N_IN, N_HIDDEN, N_OUT, UNTIL = 64, 400, 257, 200, 20, 1.0
_RNG = np.random.default_rng(0)
FIRST = _RNG.normal(4.0, 25.0, (N_IN, N_HIDDEN))
LATER = _RNG.normal(5.0, 30.0, (N_HIDDEN, N_OUT))
INPUT = snnfp.Spikes(
    np.sort(_RNG.uniform(0, 0.8, (SAMPLES, PER_SAMPLE)), axis=1).reshape(-1),
    _RNG.integers(0, N_IN, SAMPLES * PER_SAMPLE).astype(np.int32),
    np.arange(0, SAMPLES * PER_SAMPLE + 1, PER_SAMPLE),
    size=N_IN,
)
OWN = np.linspace(0.04, 0.06, N_OUT)  # time constants that differ
TIMES = tuple(np.linspace(0.1, UNTIL, 10).tolist())


def _network(outputs: str = "", tau_mem: Any = 0.05, threshold: float = 1.0) -> snnfp.Network:
    net = snnfp.Network()
    x = net.input(N_IN, name="x")
    hidden = snnfp.LIF(tau_mem=0.1, tau_syn=0.02, t_refractory=0.005)
    h = net.population(N_HIDDEN, hidden, name="h")
    net.connect(x, h, snnfp.Dense(weight=FIRST))
    if outputs == "population":
        neuron = snnfp.LIF(tau_mem=tau_mem, tau_syn=0.01, threshold=threshold)
        net.population(N_OUT, neuron, name="y")
    elif outputs == "readout":
        net.readout(N_OUT, snnfp.LI(tau_mem=tau_mem, tau_syn=0.01), name="y")
    if outputs:
        net.connect(h, "y", snnfp.Dense(weight=LATER))
    return net


def _simulate(net: snnfp.Network) -> snnfp.Record:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", snnfp.errors.SilentPopulationWarning)
        return snnfp.simulate(net, INPUT, until=UNTIL, n_threads=1)


@dataclass(frozen=True)
class Row:
    """What is read, with which time constants, and what derivatives are by."""

    what: str
    reading: snnfp.Reading
    tau_mem: Any = 0.05
    wrt: tuple[str, ...] = ("*.weight",)


def _reading(value: str) -> snnfp.Reading:
    times = TIMES if value == "at" else None
    return snnfp.Reading("y", value, times, 0.3 if value == "weighted_integral" else None)


ROWS = [
    Row("weighted integral", _reading("weighted_integral")),
    Row("integral", _reading("integral")),
    Row("V at the end", _reading("end")),
    Row("V at ten times", _reading("at")),
    Row("maximum", _reading("max")),
    Row("weighted integral, all time constants differ", _reading("weighted_integral"), OWN),
    Row("V at the end, all time constants differ", _reading("end"), OWN),
    Row(
        "weighted integral, its time constants and capacitance in `wrt`",
        _reading("weighted_integral"),
        wrt=("*.weight", "y.tau_mem", "y.tau_syn", "y.capacitance"),
    ),
]


def check() -> None:
    """Raises if a readout's V is not that of a population that never fires."""
    for tau_mem in (0.05, OWN):
        deaf = _simulate(_network("population", tau_mem, threshold=1e9))
        probed = deaf.probe("y", TIMES, n_threads=1).voltage
        said = _simulate(_network("readout", tau_mem)).readout(_reading("at"))
        size = np.max(np.abs(said))
        np.testing.assert_allclose(said.transpose(0, 2, 1), probed, rtol=0, atol=1e-12 * size)


def _best(works: list[Callable[[], Any]], repeats: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    best = np.full(len(works), np.inf)
    for _ in range(repeats):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return 1e3 * best


def measure(repeats: int) -> list[tuple[str, float, float]]:
    """(row, milliseconds, times the population) of each row, the population first."""
    nets = [_network(), _network("population"), *(_network("readout", r.tau_mem) for r in ROWS)]
    records = [_simulate(net) for net in nets]
    ones = [np.ones(r.n_spikes) for r in records[:2]]
    works: list[Callable[[], Any]] = [
        lambda: _simulate(nets[0]),
        lambda: records[0].vjp(ones[0]),
        lambda: _simulate(nets[1]),
        lambda: records[1].vjp(ones[1]),
    ]
    for row, record in zip(ROWS, records[2:], strict=True):
        cotangents = {row.reading: np.ones(record.readout(row.reading).shape)}

        def read(row: Row = row, record: snnfp.Record = record) -> None:
            record._read.clear()
            record.__dict__.pop("_heard", None)
            record.readout(row.reading)

        def back(row: Row = row, record: snnfp.Record = record, c: Any = cotangents) -> None:
            record.vjp(c, wrt=row.wrt)

        works += [read, back]
    t = _best(works, repeats)
    population = t[2] - t[0] + t[3] - t[1]
    out = [("output population that fires", population, 1.0)]
    for k, row in enumerate(ROWS):
        ms = t[4 + 2 * k] + t[5 + 2 * k] - t[1]
        out.append((row.what, ms, ms / population))
    return out


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    check()
    hidden = _simulate(_network()).n_spikes
    print(f"{hidden / SAMPLES:.0f} hidden spikes a sample\n")
    print("| Outputs | ms a batch | Times the population |")
    print("|---|---|---|")
    for what, ms, ratio in measure(repeats):
        print(f"| {what} | {ms:.2f} | {ratio:.2f} |")
    print(f"\n{machine()}, snnfp {snnfp.__version__}, smallest of {repeats}")


if __name__ == "__main__":
    main()
