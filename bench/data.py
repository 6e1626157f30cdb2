"""What do encoding, operations on spikes and augmentation cost?

    python -m bench.data [--samples 60000] [--repeats 3]

Features as many and as often lit as the pixels of MNIST (784, a fifth of them), and recordings as
long as those of N-MNIST (4100 events on 2 x 34 x 34 pixels). Times are those of the processor, the
smallest of the repeats; ``peak`` is the largest memory that NumPy had at a time beyond what it had
before.

Checked: latencies in blocks are the spikes that one table of all times gives; what is thinned once
is thin; a batch that is augmented twice with one seed is the same twice.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import snnfp
from snnfp import Spikes
from snnfp.augment import Compose, Drop, Jitter, MergePairs, ShiftPixels, Stretch, TimeShift

PIXELS, LIT, EVENTS, SENSOR = 784, 0.19, 4100, (2, 34, 34)


def pictures(n: int) -> np.ndarray:
    """Features, most of them 0, the others one of 255 values."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 256, (n, PIXELS)) / 255.0
    x[rng.random((n, PIXELS)) > LIT] = 0.0
    return x


def all_at_once(x: np.ndarray) -> Spikes:
    """The spikes of ``latency(x, silent_at_zero=True)`` by one table of all times."""
    return Spikes.from_latencies(np.where(x == 0.0, np.inf, 20.0 * x))


def recordings(n: int) -> Spikes:
    """Events that come evenly, on random pixels."""
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(0.0, 0.3, (n, EVENTS)), axis=1).reshape(-1)
    size = int(np.prod(SENSOR))
    units = rng.integers(0, size, n * EVENTS)
    return Spikes(times, units, EVENTS * np.arange(n + 1), size=size)


def augmented(one: Any, batch: Spikes, labels: np.ndarray) -> Spikes:
    """What an augmentation makes of a batch, from seed 0."""
    return one(batch, labels, np.random.default_rng(0))[0]


def cost(work: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Milliseconds, megabytes and what was made."""
    tracemalloc.start()
    made = work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    took = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return 1e3 * min(took), peak / 1e6, made


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()

    def row(name: str, work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        took, peak, made = cost(partial(work, *arguments, **options), given.repeats)
        print(f"| {name} | {took:.4g} | {peak:.4g} |", flush=True)
        return made

    print("| What | ms | peak, MB |\n|---|---|---|")
    x = pictures(given.samples)
    n = len(x)
    options = {"t_min": 0.0, "t_max": 20.0, "silent_at_zero": True}
    table = row(f"latencies of {n} pictures, one table", all_at_once, x)
    spikes = row(f"`latency` of {n} pictures, in blocks", snnfp.encoding.latency, x, **options)
    assert spikes == table

    events = recordings(1000)
    row("`between` of 1000 recordings", events.between, 0.0, 0.1)
    thin = row("`thin`", events.thin, 0.02)
    assert thin.thin(0.02) == thin
    row("`pool`", events.pool, SENSOR, (1, 2, 2))
    row("`merge` of two", events.merge, events)

    batch = spikes.take(np.arange(64))
    labels = np.arange(64) % 10
    row("`take` of 64 pictures", spikes.take, np.arange(64))
    for one in (
        ShiftPixels(shape=(28, 28)),
        TimeShift(most=1.0),
        Stretch(most=0.1),
        Jitter(sigma=0.1),
        Drop(probability=0.1),
        MergePairs(),
    ):
        made = row(f"`{type(one).__name__}` of these", augmented, one, batch, labels)
        assert made == augmented(Compose((one,)), batch, labels)


if __name__ == "__main__":
    main()
