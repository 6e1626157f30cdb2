"""How much of the time of `fit` is spent in the core?

    python -m bench.fit_share [--repeats 5] [--threads 1]

Calls of the compiled module are timed while `fit` runs: simulation, adjoint, the optimiser's step,
setting parameters, what a record is asked. The rest is Python and NumPy: batches, loss, remedies,
figures. Yin-Yang by the settings of its task; MNIST by its own, in batches of 32 (`SNNFP_DATA`
names the folder with `mnist/`); and as wide an input as an event camera's: 2312 channels, 2000
spikes a sample in 100 ms, 200 hidden neurons. The median share of the repeats.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import snnfp
from snnfp import _core
from snnfp.remedies import LabelBump, WeightBump
from snnfp.tasks import TASKS, build_network, hidden_names, make_loss

from bench.costs import machine

_FUNCTIONS = (
    *("simulate", "adam_step", "sgd_step", "square_sums", "constrain", "release", "chain"),
    *("first_times", "of_first_spikes", "first_to_fire", "cross_entropy", "figures"),
    "take_samples",
)
_CLASSES = ("NetworkFloat32", "NetworkFloat64", "RecordFloat32", "RecordFloat64")


class Clock:
    """Time spent in the compiled module while it is on, by name of what was called."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.on = False
        for name in _FUNCTIONS:
            setattr(_core, name, self._timed(name, getattr(_core, name)))
        for kind in (getattr(_core, name) for name in _CLASSES):
            for name in [n for n in vars(kind) if not n.startswith("_")]:
                member = vars(kind)[name]
                if not isinstance(member, property):
                    setattr(kind, name, self._timed(name, member))

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*arguments: Any, **options: Any) -> Any:
            if not self.on:
                return call(*arguments, **options)
            begin = time.perf_counter()
            try:
                return call(*arguments, **options)
            finally:
                spent = time.perf_counter() - begin
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return timed


def of_task(name: str, dtype: str, folder: Path | None, **changes: Any) -> Callable[[int], Any]:
    """Training of a task for an epoch, as its command does."""
    s = replace(TASKS[name].settings, dtype=dtype, **changes)
    data = TASKS[name].load(s, folder)
    remedies = [
        WeightBump(amount=s.bump, populations=tuple(hidden_names(s))),
        LabelBump(amount=s.label_bump),
    ]

    def run(n_threads: int) -> None:
        net = build_network(s, data.channels, data.classes)
        snnfp.fit(
            net, data.train, loss=make_loss(s), optimiser=snnfp.Adam(lr=s.lr), epochs=s.epochs,
            batch_size=s.batch_size, until=s.until, clip_norm=s.clip_norm, remedies=remedies,
            progress=False, n_threads=n_threads,
        )  # fmt: skip

    return run


def of_events(dtype: str, samples: int = 512) -> Callable[[int], Any]:
    """Training on as many channels as an event camera of 34 x 34 pixels has."""
    rng = np.random.default_rng(0)
    channels, spikes = 2 * 34 * 34, 2000
    labels = np.arange(samples) % 10
    centre = rng.uniform(0, channels, (10, 3))
    batch = []
    for label in labels:
        units = (rng.choice(centre[label], spikes) + rng.normal(0, 150, spikes)) % channels
        batch.append((rng.uniform(0, 100, spikes), units.astype(int)))
    data = snnfp.Spikes.from_pairs(batch, size=channels)

    def run(n_threads: int) -> None:
        net = snnfp.Network(dtype=dtype)
        neuron = snnfp.LIF(tau_mem=60.0, tau_syn=15.0, capacitance=60.0)
        x = net.input(channels, name="x")
        h = net.population(200, neuron, name="h")
        y = net.population(10, neuron, name="y")
        net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(0.01, 0.05)))
        net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.1, 0.1)))
        net.initialise(0)
        snnfp.fit(
            net, (data, labels), loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=2.0, horizon=150.0),
            optimiser=snnfp.Adam(lr=1e-3), epochs=2, until=150.0, clip_norm=1.0,
            remedies=[LabelBump(amount=0.1)], progress=False, n_threads=n_threads,
        )  # fmt: skip

    return run


def share(
    clock: Clock, run: Callable[[int], Any], n_threads: int
) -> tuple[float, float, dict[str, float]]:
    """Seconds, the core's part of them, and that part by what was called."""
    clock.seconds, clock.on = {}, True
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(n_threads)
    whole = time.perf_counter() - begin
    clock.on = False
    return whole, sum(clock.seconds.values()) / whole, clock.seconds


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    clock = Clock()
    folder = os.environ.get("SNNFP_DATA")
    print("| Training | precision | seconds | share of the core | aim | most of it |")
    print("|---|---|---|---|---|---|")
    for dtype in ("float64", "float32"):
        works = [("Yin-Yang, batches of 50", 0.70, of_task("yin-yang", dtype, None, epochs=4))]
        if folder is not None:
            mnist = of_task(
                "mnist", dtype, Path(folder), epochs=1, batch_size=32, train_samples=9600
            )
            works.append(("MNIST 784-350-10, batches of 32", 0.85, mnist))
        works.append(("2312-200-10, batches of 32", 0.85, of_events(dtype)))
        for what, aim, run in works:
            share(clock, run, given.threads)
            results = [share(clock, run, given.threads) for _ in range(given.repeats)]
            middle = statistics.median(r[1] for r in results)
            whole, _, parts = min(results, key=lambda r: r[0])
            most = sorted(parts, key=lambda n: -parts[n])[:4]
            text = ", ".join(f"{n} {parts[n] / whole:.0%}" for n in most)
            missed = "" if middle >= aim else ", MISSED"
            print(f"| {what} | {dtype} | {whole:.2f} | {middle:.1%} | {aim:.0%}{missed} | {text} |")
    print(f"\n{given.threads} threads, {machine()}, snnfp {snnfp.__version__}")


if __name__ == "__main__":
    main()
