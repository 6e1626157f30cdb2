"""What does each feature cost?

    python -m bench.costs [--repeats 15]

Simulation and gradient of a batch: 64 samples, 100 inputs with three spikes each in 20 ms, 200
hidden neurons, 10 outputs, all dense, tau 10 and 5 ms, until 30 ms, first-spike cross-entropy by
all weights, double precision, one thread. Each row changes one thing. The rows take turns; times
are those of the processor, the smallest of the repeats. Checked before anything is timed: rows
that only say the same in another way (a delay a synapse that is the same for all, sparse lists of
all pairs) leave the same spikes and the same gradient.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import snnfp

N_IN, N_HIDDEN, N_OUT, SAMPLES, UNTIL = 100, 200, 10, 64, 30.0
_RNG = np.random.default_rng(0)
FIRST = _RNG.normal(0.006, 0.012, (N_IN, N_HIDDEN))
LATER = _RNG.normal(0.02, 0.02, (N_HIDDEN, N_OUT))
LOOP = _RNG.normal(0.0, 0.01, (N_HIDDEN, N_HIDDEN))
LABELS = _RNG.integers(0, N_OUT, SAMPLES)
INPUT = snnfp.Spikes.from_pairs(
    [(_RNG.uniform(0, 20, 3 * N_IN), np.repeat(np.arange(N_IN), 3)) for _ in range(SAMPLES)],
    size=N_IN,
)
LOSS = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.5, horizon=UNTIL)


def _dense(weight: Any, delay: Any = 1.0) -> snnfp.Dense:
    return snnfp.Dense(weight=weight, delay=delay)


def _per_source(weight: Any) -> snnfp.Dense:
    return _dense(weight, np.ones((len(weight), 1)))


def _per_target(weight: Any) -> snnfp.Dense:
    return _dense(weight, np.ones((1, weight.shape[1])))


def _per_synapse(weight: Any) -> snnfp.Dense:
    return _dense(weight, np.ones(weight.shape))


def _all_pairs(weight: Any) -> snnfp.Sparse:
    sources, targets = np.indices(weight.shape).reshape(2, -1)
    return snnfp.Sparse(sources=sources, targets=targets, weight=weight.reshape(-1), delay=1.0)


def _tenth(weight: Any) -> snnfp.Sparse:
    """A tenth of the synapses, ten times as strong on the mean and as noisy together."""
    chosen = np.random.default_rng(1).random(weight.shape) < 0.1
    sources, targets = np.nonzero(chosen)
    mean = weight.mean()
    values = 10 * mean + np.sqrt(10) * (weight[chosen] - mean)
    return snnfp.Sparse(sources=sources, targets=targets, weight=values, delay=1.0)


@dataclass(frozen=True)
class Row:
    """One line of the table: how the network is made and what is asked of it."""

    what: str
    connect: Callable[[Any], Any] = _dense
    loop: float | None = None
    dtype: Any = np.float64
    neuron: dict[str, float] = field(default_factory=dict)
    same_as_base: bool = False
    probe: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def network(self) -> snnfp.Network:
        """The network of this row."""
        net = snnfp.Network(dtype=self.dtype)
        neuron = snnfp.LIF(tau_mem=10.0, tau_syn=5.0, **self.neuron)
        x = net.input(N_IN, name="x")
        h = net.population(N_HIDDEN, neuron, name="h")
        y = net.population(N_OUT, neuron, name="y")
        net.connect(x, h, self.connect(FIRST))
        if self.loop is not None:
            net.connect(h, h, _dense(LOOP, self.loop), name="loop")
        net.connect(h, y, self.connect(LATER))
        return net

    def work(self) -> Callable[[], Any]:
        """What is timed: gives the gradients and, where it is asked for, the record."""
        net = self.network()
        options: dict[str, Any] = {"until": UNTIL, "n_threads": 1} | self.options

        def run() -> Any:
            result = snnfp.value_and_grad(net, INPUT, LABELS, LOSS, **options)
            if self.probe:
                result[2].probe("y", np.linspace(0.0, UNTIL, 100))
            return result

        return run


BASE = Row("the base")
ROWS = [
    BASE,
    Row("a delay a source unit", connect=_per_source, same_as_base=True),
    Row("a delay a target neuron", connect=_per_target, same_as_base=True),
    Row("a delay a synapse", connect=_per_synapse, same_as_base=True),
    Row("lists of synapses (`Sparse`), all pairs", connect=_all_pairs, same_as_base=True),
    Row("a tenth of the pairs, as strong together (`Sparse`)", connect=_tenth),
    Row("recurrent hidden layer, delay 1 ms", loop=1.0),
    Row("recurrent hidden layer, no delay", loop=0.0),
    Row("at most one spike a neuron", neuron={"t_refractory": np.inf}),
    Row("outputs that fire on (the record asked for)", options={"return_record": True}),
    Row("the same, and V of the outputs at 100 times", probe=True, options={"return_record": True}),
    Row("time constants too in `wrt`", options={"wrt": ["*.weight", "*.tau_mem", "*.tau_syn"]}),
    Row("`wrt` everything", options={"wrt": "*"}),
    Row('`mode="forward"`', options={"mode": "forward", "wrt": "h_to_y.weight"}),
    Row("single precision", dtype=np.float32),
]


def check() -> None:
    """Raises if rows that mean the same do not give the same."""
    wanted = BASE.network()
    record = snnfp.simulate(wanted, INPUT, until=UNTIL, n_threads=1)
    value, gradient = BASE.work()()
    for row in ROWS:
        if row.same_as_base:
            other = snnfp.simulate(row.network(), INPUT, until=UNTIL, n_threads=1)
            assert np.array_equal(other.times, record.times), row.what
            mine = row.work()()
            assert mine[0] == value, row.what
            for name, g in gradient.items():
                np.testing.assert_allclose(mine[1][name].reshape(g.shape), g, rtol=1e-9, atol=1e-12)


def measure(repeats: int) -> list[tuple[str, float, float, int]]:
    """(row, milliseconds, times the base, spikes a sample) of each row."""
    works = [row.work() for row in ROWS]
    for work in works:
        work()
    best = np.full(len(ROWS), np.inf)
    for _ in range(repeats):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    spikes = [
        snnfp.simulate(row.network(), INPUT, until=UNTIL, n_threads=1).n_spikes for row in ROWS
    ]
    return [
        (row.what, 1e3 * best[i], best[i] / best[0], round(spikes[i] / SAMPLES))
        for i, row in enumerate(ROWS)
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    check()
    print("| Changed | Spikes a sample | ms a batch | Times the base |")
    print("|---|---|---|---|")
    for what, ms, ratio, spikes in measure(repeats):
        print(f"| {what} | {spikes} | {ms:.2f} | {ratio:.2f} |")
    print(f"\n{machine()}, snnfp {snnfp.__version__}, smallest of {repeats}")


def machine() -> str:
    """The processor that this runs on."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return f"{names[0]}, {len(names)} processors"
    except (OSError, IndexError):
        return platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()
