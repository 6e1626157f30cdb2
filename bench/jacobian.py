"""How near to the machine's matrix product does forward propagation come?

    python -m bench.jacobian [--repeats 9]

All spikes by all 15 000 weights of 100 recurrent neurons with 50 inputs at 20 Hz for 1 s, in
double and in float, on one thread, beside NumPy's product of two 1024 x 1024 matrices. A delivery
counts if a later spike of its target depends on it: two multiply-adds, four flops, a column. The
rate is given for all columns, which is what forward propagation without structure would compute,
and for those columns only that the sender depends on. ``gradient`` sums over the spikes in the end,
``Jacobian`` keeps them all: it writes 120 MB in double, into new memory, into memory that it is
given, or block by block.

The two sides take turns; times are those of the processor, the smallest of the repeats. The
Jacobian is checked against derivatives along random directions. OPENBLAS_CORETYPE and
OPENBLAS_L2_SIZE may hold the machine's BLAS back: unset both.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from typing import Any

# Read by the BLAS when NumPy is loaded.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import snnfp  # noqa: E402

N_IN, N, UNTIL, DELAY, N_INPUT_SPIKES = 50, 100, 1000.0, 1.0, 1017


def run(dtype: Any) -> snnfp.Record:
    """The record of the network; times in ms."""
    rng = np.random.default_rng(1)
    net = snnfp.Network(dtype=dtype)
    x = net.input(N_IN)
    a = net.population(N, snnfp.LIF(tau_mem=20.0, tau_syn=5.0, capacitance=20.0), name="a")
    w_in = rng.normal(0.184, 0.092, (N_IN, N)).astype(dtype)
    w_rec = rng.normal(0.0, 0.055, (N, N)).astype(dtype)
    net.connect(x, a, snnfp.Dense(weight=w_in, delay=DELAY), name="in")
    net.connect(a, a, snnfp.Dense(weight=w_rec, delay=DELAY), name="rec")
    times = np.sort(rng.uniform(0.0, UNTIL, N_INPUT_SPIKES))
    units = rng.integers(0, N_IN, N_INPUT_SPIKES)
    spikes = snnfp.Spikes(times, units, [0, N_INPUT_SPIKES], size=N_IN)
    return snnfp.simulate(net, spikes, until=UNTIL, n_threads=1)


def deliveries(record: snnfp.Record) -> np.ndarray:
    """Deliveries that count, for each spike."""
    last = np.full(N, -np.inf)
    np.maximum.at(last, record.neurons, record.times)
    return (record.times[:, None] + DELAY < last).sum(axis=1)


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def check(record: snnfp.Record, jacobian: dict[str, np.ndarray], tolerance: float) -> float:
    """The largest difference from a derivative along a direction, relative to the largest."""
    rng = np.random.default_rng(2)
    worst = 0.0
    for _ in range(3):
        tangents = {k: rng.normal(size=v.shape[1:]).astype(v.dtype) for k, v in jacobian.items()}
        along = record.jvp(tangents)
        product = sum(
            np.tensordot(v.astype(np.float64), tangents[k], 2) for k, v in jacobian.items()
        )
        worst = max(worst, float(np.abs(along - product).max() / np.abs(along).max()))
    if not worst <= tolerance:
        raise SystemExit(f"the Jacobian is {worst:.1e} off, expected at most {tolerance:.0e}")
    return worst


def measure(dtype: Any, repeats: int) -> None:
    """Prints the figures of one precision."""
    record = run(dtype)
    jacobian = record.jacobian(of="a")
    error = check(record, jacobian, 1e-10 if dtype == np.float64 else 1e-3)
    counts = deliveries(record)
    columns = sum(v[0].size for v in jacobian.values())
    nonzero = sum((v != 0).reshape(len(v), -1).sum(axis=1) for v in jacobian.values())
    every, needed = 4e-9 * counts.sum() * columns, 4e-9 * float(counts @ nonzero)
    del jacobian

    rng = np.random.default_rng(3)
    p, q = (rng.normal(size=(1024, 1024)).astype(dtype) for _ in range(2))
    ones = np.ones(record.times.size, dtype=dtype)
    out = np.empty((record.times.size, columns), dtype=dtype)
    work = {
        "gradient": lambda: record.vjp(ones, mode="forward"),
        "Jacobian": lambda: record.jacobian(of="a"),
        "Jacobian, memory given": lambda: record.jacobian(of="a", out=out),
        "Jacobian, by blocks": lambda: [None for _ in record.jacobian_blocks(of="a")],
    }
    product = np.inf
    best = dict.fromkeys(work, np.inf)
    for _ in range(repeats):
        product = min(product, seconds(lambda: p @ q))
        for name, call in work.items():
            best[name] = min(best[name], seconds(call))
    blas = 2e-9 * 1024**3 / product
    print(
        f"{np.dtype(dtype).name}: {record.times.size} spikes, {int(counts.sum())} deliveries that "
        f"count, {columns} weights; matrix product {blas:.1f} GFlop/s; error {error:.0e}"
    )
    for name, t in best.items():
        for what, n in (("all columns", every), ("columns that are not zero", needed)):
            rate = n / t
            print(
                f"  {name} {1e3 * t:6.1f} ms: {rate:6.1f} GFlop/s, {100 * rate / blas:3.0f} % "
                f"of the matrix product ({what})"
            )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print(f"snnfp {snnfp.__version__}, NumPy {np.__version__}, {platform.machine()}, one thread")
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        if name in os.environ:
            print(f"warning: {name} is set and may hold the matrix product back")
    for dtype in (np.float64, np.float32):
        measure(dtype, repeats)


if __name__ == "__main__":
    main()
