"""What do all threads gain on an idle machine, and cost on a busy one?

    python -m bench.threads [--seconds 10]

Calls of `value_and_grad` with one thread and with all (`n_threads=None`), in turn: short bursts of
one, then of the other. First on the machine as it is, then beside two busy loops a processor. Three
batches: 150 samples of Yin-Yang (5-150-3, a millisecond or two a call), 4 of them, and 2400.
Checked before anything is timed: both give the same bits.

Wall: time of a call with one thread over that with all, more is better; of the smallest times, of
the medians, and of the sums, which count the calls that were held up. Processor: time of all over
that of one, less is better. "The machine": what as many threads gain that share nothing but the
process, each at calls of its own; no more can be had, and less where others use the processors too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import snnfp

BATCHES = (150, 4, 2400)


def work(samples: int) -> Callable[[int | None], tuple[float, dict[str, np.ndarray]]]:
    """Value and gradient of a batch, for a number of threads."""
    rng = np.random.default_rng(1)
    points, labels = snnfp.data.yin_yang(samples, seed=42)
    lif = snnfp.LIF(tau_mem=20e-3, tau_syn=5e-3, capacitance=20e-3)
    net = snnfp.Network()
    x = net.input(5)
    h = net.population(150, lif, name="h")
    y = net.population(3, lif, name="y")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(2.0, 1.0, (5, 150))))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.4, 0.4, (150, 3))))
    latencies = np.hstack([points * 30e-3, np.zeros((samples, 1))])
    spikes = snnfp.Spikes.from_latencies(latencies)
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=2e-3, horizon=0.2)
    return lambda n: snnfp.value_and_grad(net, spikes, labels, loss, n_threads=n)


def check(call: Callable[[int | None], tuple[float, dict[str, np.ndarray]]]) -> None:
    """Raises where the number of threads changes a bit."""
    (value, gradient), (other, others) = call(1), call(None)
    assert value == other
    assert all(np.array_equal(gradient[name], others[name]) for name in gradient)


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can."""
    loops = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def burst(call: Callable[[], object], seconds: float) -> tuple[list[float], float]:
    """Times of the calls of a burst, and the processor time of them all."""
    times: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    while not times or times[-1] - start < seconds:
        call()
        times.append(time.perf_counter())
    return list(np.diff([start, *times])), time.process_time() - cpu


def ratios(call: Callable[[int | None], object], seconds: float) -> list[float]:
    """Milliseconds of one thread, the three wall ratios, and the ratio of processor time."""
    times: dict[int | None, list[float]] = {1: [], None: []}
    cpu: dict[int | None, float] = {1: 0.0, None: 0.0}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for n in (1, None):
            more, spent = burst(lambda n=n: call(n), 0.05)  # type: ignore[misc]
            times[n] += more
            cpu[n] += spent
    one, every = np.array(times[1]), np.array(times[None])
    return [
        1e3 * float(np.median(one)),
        one.min() / every.min(),
        float(np.median(one) / np.median(every)),
        one.mean() / every.mean(),
        (cpu[None] / every.size) / (cpu[1] / one.size),
    ]


def machine(call: Callable[[int | None], object], threads: int, seconds: float) -> float:
    """Calls in the time of one, by as many threads that each make their own."""
    alone: list[float] = []
    together: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        alone += burst(lambda: call(1), 0.05)[0]
        found: list[list[float]] = []

        def each(found: list[list[float]] = found) -> None:
            found.append(burst(lambda: call(1), 0.05)[0])

        running = [threading.Thread(target=each) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        together += [t for times in found for t in times]
    return threads * float(np.median(alone) / np.median(together))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each row")
    seconds = parser.parse_args().seconds
    threads = snnfp.default_threads()
    print(f"snnfp {snnfp.__version__}, {threads} threads, {os.cpu_count()} processors\n")
    print("| machine | samples | one thread | wall: min | median | sum | processor | the machine |")
    print("|---|---|---|---|---|---|---|---|")
    for busy in (0, 2 * (os.cpu_count() or 1)):
        with busy_loops(busy):
            for samples in BATCHES:
                call = work(samples)
                check(call)
                ms, least, median, mean, cpu = ratios(call, seconds)
                bound = f"{machine(call, threads, seconds / 2):.2f}" if not busy else ""
                print(
                    f"| {f'{busy} busy loops' if busy else 'as it is'} | {samples} | {ms:.2f} ms "
                    f"| {least:.2f} | {median:.2f} | {mean:.2f} | {cpu:.2f} | {bound} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
