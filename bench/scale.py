"""What does a delivery cost from 1e4 synapses to 1e8, and how much memory does a synapse take?

    python -m bench.scale [--largest 1e8] [--repeats 3] [--shuffled]

Neurons with up to 1000 random targets each, 80 % excitatory, a delay of 1.5 ms, each driven by an
input of its own, spike at some 42 Hz. ``simulate`` chooses how they run; double precision, one
thread. Each size has a process of its own. Times are those of the processor, the smallest of the
repeats, for a whole call. ``bytes a synapse`` is what the resident memory grew by once the network
was built and the caller's arrays were gone; ``peak`` is the largest of the process after two
simulations, with the caller's arrays, the record and the 40 MiB or so of NumPy and snnfp.
``--shuffled`` gives the synapses in no order, where the network has to sort them and keeps its
arrays in both orders.

Checked: driven with the spikes of the record, every neuron is at its threshold at each of them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import snnfp

# neurons, synapses of each, ms
SIZES = [
    (100, 100, 20000.0),
    (1000, 100, 2000.0),
    (1000, 1000, 500.0),
    (10000, 1000, 100.0),
    (100000, 1000, 20.0),
]
DELAY = 1.5


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def synapses(n: int, each: int, shuffled: bool) -> snnfp.Sparse:
    """One random target in each of ``each`` equal parts, for every neuron."""
    rng = np.random.default_rng(1)
    targets = np.empty((n, each), np.int32)
    first = np.arange(each) * n // each
    for row in targets:
        row[:] = first + rng.integers(0, n // each, each)
    weight = np.full((n, each), 4.0 / each)
    weight[::5] *= -5.0
    indptr = np.arange(n + 1) * each
    if not shuffled:
        return snnfp.Sparse.from_csr(
            indptr, targets.reshape(-1), weight=weight.reshape(-1), delay=DELAY
        )
    order = rng.permutation(n * each)
    sources = (order // each).astype(np.int32)
    return snnfp.Sparse(
        sources=sources,
        targets=targets.reshape(-1)[order],
        weight=weight.reshape(-1)[order],
        delay=DELAY,
    )


def measure(n: int, each: int, until: float, repeats: int, shuffled: bool) -> str:
    """A row of the table."""
    before = resident()
    net = snnfp.Network()
    x = net.input(n, name="x")
    a = net.population(
        n, snnfp.LIF(tau_mem=20.0, tau_syn=2.0, capacitance=20.0, t_refractory=2.0), name="a"
    )
    net.connect(x, a, snnfp.OneToOne(weight=16.0))
    given = synapses(n, each, shuffled)
    start = time.process_time()
    net.connect(a, a, given)
    connecting = time.process_time() - start
    del given
    size = (resident() - before) / (n * each)
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.05 * until, n)
    spikes = snnfp.Spikes.from_pairs(
        (rng.uniform(0.0, until, counts.sum()), np.repeat(np.arange(n), counts)), size=n
    )
    best = np.inf
    for _ in range(max(2, repeats)):
        start = time.process_time()
        record = snnfp.simulate(net, spikes, until=until, n_threads=1)
        best = min(best, time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    recorded = snnfp.Spikes(record.times, record.neurons, [0, record.n_spikes], size=n)
    again = snnfp.record_from_spikes(
        net, spikes, {"a": recorded}, tolerance=1e-9, until=until, n_threads=1
    )
    if again.n_spikes != record.n_spikes or record.n_spikes < n // 10:
        raise SystemExit(f"{record.n_spikes} spikes, of which {again.n_spikes} are confirmed")
    deliveries = each * np.count_nonzero(record.times + DELAY <= until)
    rate = record.n_spikes / n / until * 1e3
    return (
        f"| {n * each:.0e} | {n} x {each} | {rate:.0f} Hz | {deliveries:.1e} | {best * 1e3:.0f} ms "
        f"| {best / deliveries * 1e9:.1f} ns | {size:.1f} | {connecting:.2f} s | {peak:.0f} MiB |"
    )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=float, default=1e8, help="synapses")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shuffled", action="store_true", help="synapses in no order")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only is not None:
        print(measure(*SIZES[args.only], args.repeats, args.shuffled))
        return
    print(f"snnfp {snnfp.__version__}, NumPy {np.__version__}, one thread\n")
    print(
        "| synapses | neurons | rate | deliveries | simulation | a delivery | bytes a synapse "
        "| connecting | peak |\n|---|---|---|---|---|---|---|---|---|"
    )
    for k, (n, each, _) in enumerate(SIZES):
        if n * each <= args.largest:
            command = [sys.executable, "-m", "bench.scale", "--only", str(k)]
            command += ["--repeats", str(args.repeats)] + ["--shuffled"] * args.shuffled
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
