"""What does a delivery cost in the field's own work?

    python -m bench.field [--hidden 256 1024] [--repeats 5] [--wide] [--long]

Work of the shape of the Spiking Heidelberg Digits: 700 inputs, some 8000 spikes in 1 s, a hidden
population with many spikes, feed-forward and recurrent (delay 1 ms, or one a synapse), 20 outputs;
4 samples, one thread. A delivery is one arrival, of an input spike or a recurrent one, at one
hidden neuron. ``--wide``: 784-H-10 with H up to 16 000, 8 samples. ``--long``: the adjoint of a
record of 1 s to 1000 s of 100 recurrent neurons. Rows take turns; times are those of the processor,
the smallest of the repeats. Checked before anything is timed: the first sample alone has the same
spikes as in the batch, and the gradient is finite and not zero.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import snnfp

from bench.costs import machine

SAMPLES = 4


@dataclass(frozen=True)
class Row:
    """One line of a table: a network with its input, and what hears what."""

    what: str
    net: snnfp.Network
    spikes: snnfp.Spikes
    until: float
    hears_itself: bool
    n_hidden: int

    def simulate(self) -> snnfp.Record:
        """One thread's record; long ones have many spikes a neuron."""
        limit = 10 * int(self.until) + 10_000
        return snnfp.simulate(
            self.net, self.spikes, until=self.until, n_threads=1, spike_limit=limit
        )


def spoken(n_hidden: int, kind: str, dtype: type) -> Row:
    """Input and network of the shape of spoken digits; ``kind``: what the hidden ones hear."""
    rng = np.random.default_rng(0)
    net = snnfp.Network(dtype=dtype)
    x = net.input(700, name="x")
    slow = {"tau_mem": 20.0, "tau_syn": 5.0, "capacitance": 20.0}
    h = net.population(n_hidden, snnfp.LIF(**slow, t_refractory=1.0), name="h")
    y = net.population(20, snnfp.LIF(**slow), name="y")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.03, 0.3, (700, n_hidden))))
    back = rng.normal(0.0, 0.2 / np.sqrt(n_hidden / 256), (n_hidden, n_hidden))
    if kind == "recurrent":
        net.connect(h, h, snnfp.Dense(weight=back, delay=1.0))
    elif kind == "recurrent, a delay a synapse":
        delays = rng.uniform(1.0, 10.0, (n_hidden, n_hidden))
        net.connect(h, h, snnfp.Dense(weight=back, delay=delays))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.05, 0.1, (n_hidden, 20))))
    counts = rng.poisson(8000, SAMPLES)
    spikes = snnfp.Spikes.from_pairs(
        [(rng.uniform(0, 1000, n), rng.integers(0, 700, n)) for n in counts], size=700
    )
    what = f"{n_hidden} hidden, {kind}, {np.dtype(dtype)}"
    return Row(what, net, spikes, 1000.0, kind != "feed-forward", n_hidden)


def wide(n_hidden: int) -> Row:
    """784-H-10 with one spike an input."""
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(784, name="x")
    lif = snnfp.LIF(tau_mem=20.0, tau_syn=5.0, capacitance=20.0, t_refractory=40.0)
    h = net.population(n_hidden, lif, name="h")
    y = net.population(10, lif, name="y")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.05, 0.08, (784, n_hidden))))
    scale = 350 / n_hidden
    net.connect(h, y, snnfp.Dense(weight=scale * rng.normal(0.2, 0.3, (n_hidden, 10))))
    spikes = snnfp.Spikes.from_latencies(rng.uniform(0, 20, (8, 784)))
    return Row(f"784-{n_hidden}-10", net, spikes, 40.0, False, n_hidden)


def long(seconds: float) -> Row:
    """100 recurrent neurons that hear 50 inputs at 60 Hz."""
    rng = np.random.default_rng(0)
    until = 1000.0 * seconds
    net = snnfp.Network()
    x = net.input(50, name="x")
    h = net.population(100, snnfp.LIF(tau_mem=20.0, tau_syn=5.0, t_refractory=2.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.02, 0.03, (50, 100)), delay=1.0))
    # Weak: with weights of 0.02 derivatives grow beyond the largest number within 100 s.
    net.connect(h, h, snnfp.Dense(weight=rng.normal(0.0, 0.0005, (100, 100)), delay=1.0))
    n = int(3 * until)
    pairs = (rng.uniform(0, until, n), rng.integers(0, 50, n))
    spikes = snnfp.Spikes.from_pairs([pairs], size=50)
    return Row(f"100 recurrent neurons, {seconds:g} s", net, spikes, until, True, 100)


def check(row: Row, record: snnfp.Record) -> None:
    """Raises where the record or its gradient is not what it must be."""
    alone = snnfp.simulate(
        row.net, row.spikes[0], until=row.until, n_threads=1, spike_limit=100_000_000
    )
    end = record.offsets[1]
    assert np.array_equal(alone.times, record.times[:end]), row.what
    assert np.array_equal(alone.neurons, record.neurons[:end]), row.what
    for name, g in record.vjp(np.cos(np.arange(record.n_spikes))).items():
        assert np.isfinite(g).all() and g.any(), (row.what, name)


def measure(rows: list[Row], repeats: int) -> Iterator[str]:
    """Lines of the table."""
    records = [row.simulate() for row in rows]
    for row, record in zip(rows, records, strict=True):
        check(row, record)
    cotangents = [np.cos(np.arange(record.n_spikes)) for record in records]
    calls: list[list[Callable[[], object]]] = [
        [row.simulate, lambda r=record, u=u: r.vjp(u)]  # type: ignore[misc]
        for row, record, u in zip(rows, records, cotangents, strict=True)
    ]
    best = np.full((len(rows), 2), np.inf)
    for _ in range(repeats):
        for k, both in enumerate(calls):
            for m, call in enumerate(both):
                start = time.process_time()
                call()
                best[k, m] = min(best[k, m], time.process_time() - start)
    yield (
        "| Work | ran | hidden spikes a sample | simulate, ms a sample | ns a delivery "
        "| adjoint, ms a sample | ns a delivery |"
    )
    yield "|---|---|---|---|---|---|---|"
    for row, record, (forward, reverse) in zip(rows, records, best, strict=True):
        samples = record.n_samples
        hidden = int(record.counts("h").sum())
        sent = row.spikes.times.size + (hidden if row.hears_itself else 0)
        deliveries = sent * row.n_hidden
        solver = next(c.solver for c in record.components if "h" in c.populations)
        yield (
            f"| {row.what} | {solver} | {hidden / samples:.0f} | {1e3 * forward / samples:.2f} "
            f"| {1e9 * forward / deliveries:.2f} | {1e3 * reverse / samples:.2f} "
            f"| {1e9 * reverse / deliveries:.2f} |"
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--long", action="store_true")
    chosen = parser.parse_args()
    kinds = ("feed-forward", "recurrent", "recurrent, a delay a synapse")
    tables = [
        [spoken(n, kind, dtype) for kind in kinds for dtype in (np.float64, np.float32)]
        for n in chosen.hidden
    ]
    if chosen.wide:
        tables.append([wide(n) for n in (350, 1000, 4000, 16_000)])
    if chosen.long:
        tables.append([long(s) for s in (1.0, 10.0, 100.0, 1000.0)])
    for rows in tables:
        for line in measure(rows, chosen.repeats):
            print(line, flush=True)
        print()
    isa = tables[0][0].simulate().isa
    print(f"{machine()}, {isa}, snnfp {snnfp.__version__}, smallest of {chosen.repeats}")


if __name__ == "__main__":
    main()
