"""What do several ranks gain in one training, and what does their exchange cost?

    python -m bench.ranks [--ranks 4] [--repeats 5]

One training on 1, 2 and 4 ranks of one thread each, started by mpiexec, and without ranks on as
many threads: a wide network (784-350-10, 278 000 weights; eight batches of 16 a step) and a small
one (Yin-Yang, 5-120-3; eight batches of 25). Times are those of the quickest step of as many
epochs as repeats, on rank 0: its work is processor time outside of the exchange, which other
programs on the machine lengthen little; the exchange has the waiting for other ranks in it.
Checked: every training of a network ends with the same bits.

More ranks, a machine each, are modelled, and said so: a rank's work is what it is here (a part for
each of its batches and one for the step, from the work of 1 and 2 ranks); an exchange takes a
latency for each other rank, its bytes by the bandwidth, and what packing and adding them takes
here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import snnfp

from bench.costs import machine

BATCHES = 8  # a step
STEPS = {"784-350-10": 6, "5-120-3": 40}  # an epoch
LATENCY, BANDWIDTH = 20e-6, 25e9 / 8  # of the network that is modelled: seconds, bytes a second


class Timed:
    """A communicator that notes the seconds spent in it, and those of the processor."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.seconds = self.processor = 0.0
        self.Get_rank, self.Get_size, self.Abort = comm.Get_rank, comm.Get_size, comm.Abort

    def alltoall(self, parts: Any) -> Any:
        """As the communicator's."""
        begin, busy = time.perf_counter(), time.process_time()
        got = self._comm.alltoall(parts)
        self.seconds += time.perf_counter() - begin
        self.processor += time.process_time() - busy
        return got


def work(what: str) -> tuple[snnfp.Network, Any, dict[str, Any]]:
    """A network, data and settings."""
    rng = np.random.default_rng(0)
    neuron = snnfp.LIF(tau_mem=20.0, tau_syn=20.0, capacitance=20.0, t_refractory=20.0)
    net = snnfp.Network()
    if what == "784-350-10":
        batch, sizes = 16, (784, 350, 10)
        n = batch * BATCHES * STEPS[what]
        times = np.where(rng.random((n, 784)) < 0.2, rng.uniform(0.0, 20.0, (n, 784)), np.inf)
        data = (snnfp.Spikes.from_latencies(times), rng.integers(0, 10, n))
        weights = (snnfp.init.Normal(0.08, 0.15), snnfp.init.Normal(0.02, 0.1))
    else:
        batch, sizes = 25, (5, 120, 3)
        features, labels = snnfp.data.yin_yang(batch * BATCHES * STEPS[what], seed=0)
        spikes = snnfp.encoding.latency(features, t_min=10.0, t_max=40.0, bias_time=20.0)
        data = (spikes, labels)
        weights = (snnfp.init.Normal(0.8, 1.5), snnfp.init.Normal(0.1, 0.2))
    x = net.input(sizes[0], name="input")
    h, y = (net.population(k, neuron, name=name) for k, name in zip(sizes[1:], "hy", strict=True))
    net.connect(x, h, snnfp.Dense(weight=weights[0]))
    net.connect(h, y, snnfp.Dense(weight=weights[1]))
    options = {
        "loss": snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=60.0),
        "optimiser": snnfp.Adam(lr=1e-3),
        "remedies": [snnfp.remedies.LabelBump(amount=0.1)],
        "until": 60.0,
        "batch_size": batch,
        "accumulate": BATCHES,
        "progress": False,
    }
    return net.initialise(seed=1), data, options


@dataclass(frozen=True)
class Measured:
    """Of a training: seconds a step, of work and exchange, and a digest of what was trained."""

    step: float
    work: float
    exchange: float
    digest: str


class Clock:
    """A constant schedule, which is asked once a step: notes where time stands."""

    def __init__(self, comm: Timed | None) -> None:
        self._comm = comm
        self.ticks: list[tuple[float, float, float]] = []

    def __call__(self, step: int, epoch: float) -> float:
        seconds, processor = (0.0, 0.0)
        if self._comm:
            seconds, processor = self._comm.seconds, self._comm.processor
        self.ticks.append((time.perf_counter(), time.process_time() - processor, seconds))
        return 1.0

    def quickest(self) -> tuple[float, float, float]:
        """The shortest step, work and exchange."""
        step, work, exchange = np.diff(np.array(self.ticks), axis=0).min(axis=0).tolist()
        return step, work, exchange


def measure(what: str, repeats: int, threads: int, comm: Any = None) -> Measured:
    """Trains for some epochs."""
    net, data, options = work(what)
    timed = None if comm is None else Timed(comm)
    clock = Clock(timed)
    snnfp.fit(net, data, epochs=repeats, n_threads=threads, comm=timed, schedule=clock, **options)
    return Measured(*clock.quickest(), hashlib.sha256(net.flatten("*").tobytes()).hexdigest())


def on_ranks(what: str, repeats: int, ranks: int) -> Measured:
    """The same by mpiexec."""
    beside = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    mpiexec = beside or shutil.which("mpiexec")
    if mpiexec is None:
        raise SystemExit("no mpiexec: pip install 'snnfp[mpi]'")
    inside = ["-m", "bench.ranks", "--inside", what, "--repeats", str(repeats)]
    done = subprocess.run(
        [mpiexec, "-n", str(ranks), sys.executable, "-m", "snnfp.mpi", *inside],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return Measured(**json.loads(done.stdout))


def per_byte() -> float:
    """Seconds that it takes to pack, unpack and add a byte of a gradient."""
    gradient = np.ones(1 << 18)
    took = []
    for _ in range(20):
        begin = time.perf_counter()
        total = gradient + pickle.loads(pickle.dumps(gradient))
        took.append(time.perf_counter() - begin)
    assert total[0] == 2.0
    return min(took) / gradient.nbytes


def parts(one: Measured, two: Measured) -> tuple[float, float]:
    """Seconds of a batch, and of what each rank does once a step, from 1 and 2 ranks."""
    batch = 2 * (one.work - two.work) / BATCHES
    once = max(0.0, one.work - BATCHES * batch)
    return (one.work - once) / BATCHES, once


def modelled(
    batch: float, once: float, size: int, ranks: int, batches: int, by_byte: float
) -> float:
    """Seconds of a step of so many batches on ranks of a machine each."""
    own = -(-batches // ranks)
    work = batch * own + once
    if ranks == 1:
        return work
    sent = size * (own + 1) * (ranks - 1) / ranks
    return work + 2 * (ranks - 1) * LATENCY + sent * (1 / BANDWIDTH + by_byte)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[4], help="beside 1 and 2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        from mpi4py import MPI

        mine = measure(given.inside, given.repeats, 1, MPI.COMM_WORLD)
        if MPI.COMM_WORLD.Get_rank() == 0:
            print(json.dumps(vars(mine)))
        return
    processors = os.cpu_count() or 1
    split: dict[str, tuple[float, float]] = {}
    print("| Network | Who | ms a step | gain | ms of work | ms exchanging |")
    print("|---|---|---|---|---|---|")
    for what in STEPS:
        alone = measure(what, given.repeats, 1)
        rows = [("one process, one thread", alone)]
        if processors > 1:
            threads = f"one process, {processors} threads"
            rows.append((threads, measure(what, given.repeats, processors)))
        for ranks in sorted({1, 2, *given.ranks}):
            crowded = f", on {processors} processors" if ranks > processors else ""
            name = f"{ranks} rank{'s' if ranks > 1 else ''}{crowded}"
            rows.append((name, on_ranks(what, given.repeats, ranks)))
            if ranks == 2:
                split[what] = parts(alone, rows[-1][1])
        assert len({seen.digest for _, seen in rows}) == 1, f"{what}: other bits"
        for name, seen in rows:
            gain = alone.step / seen.step
            print(
                f"| {what} | {name} | {1e3 * seen.step:.2f} | {gain:.2f} | "
                f"{1e3 * seen.work:.2f} | {1e3 * seen.exchange:.2f} |"
            )
    by_byte = per_byte()
    print(f"\nModelled: {LATENCY * 1e6:.0f} us, {BANDWIDTH * 8e-9:.0f} Gbit/s, a rank a machine\n")
    many = (1, 2, 4, 8, 16, 32, 64)
    print(f"| Gain | batches a step | {' | '.join(f'{k} ranks' for k in many)} |")
    print(f"|---|---|{'---|' * len(many)}")
    for what, (batch, once) in split.items():
        size = work(what)[0].flatten("*.weight").nbytes
        for batches in (BATCHES, 64):
            took = [modelled(batch, once, size, k, batches, by_byte) for k in many]
            gains = (
                f"{took[0] / t:.1f}" if k <= batches else "-"
                for k, t in zip(many, took, strict=True)
            )
            print(f"| {what} | {batches} | {' | '.join(gains)} |")
    print(f"\n{machine()}, snnfp {snnfp.__version__}, quickest step of {given.repeats} epochs")


if __name__ == "__main__":
    main()
