"""Which value of a readout learns spoken digits, and with which time constants?

    python -m bench.accuracy.readouts --data DIR [--seeds 3] [--epochs 20] [--jobs 1]
                                      [--values NAME ...]

Trains the network of ``snnfp train spoken-digits`` by each value that can be read off its outputs,
with three pairs of time constants of the outputs, and prints the accuracy on a tenth of the
training samples that is held out, after the last epoch; the test part is not looked at. A short
pair, of less than a fifth of a recording; a long one; and infinite ones, with which V is a
double integral of what arrives.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from snnfp import Network, calibrate, evaluate, scale_readout
from snnfp.losses import FirstSpikeCrossEntropy, ReadoutCrossEntropy
from snnfp.task import TaskData
from snnfp.task_networks import build_network, measured, prepare
from snnfp.task_settings import Settings
from snnfp.task_training import fit_task
from snnfp.tasks import TASKS

_PAIRS = ((0.05, 0.01), (0.3, 0.1), (math.inf, math.inf))
_UNTIL = TASKS["spoken-digits"].settings.until
_LAST = tuple(np.linspace(0.8 * _UNTIL, _UNTIL, 10))
_VALUES: dict[str, Any] = {
    "weighted integral": ReadoutCrossEntropy(time_scale=0.3),
    "integral": ReadoutCrossEntropy(value="integral"),
    "end": ReadoutCrossEntropy(value="end"),
    "mean of the last fifth": ReadoutCrossEntropy(value="at", times=_LAST),
    "max": ReadoutCrossEntropy(value="max"),
    "first spike": FirstSpikeCrossEntropy(tau0=0.05, horizon=_UNTIL),
}
_HELD: list[TaskData] = []  # what forked processes have without its being sent to them


def _network(s: Settings, data: TaskData, loss: Any) -> Network:
    """The task's network with such outputs, scaled as the task's is."""
    some = data.train[0].take(measured(len(data.train[1])))
    net = build_network(s, data.channels, data.classes)
    if s.readout == "first_spikes":
        prepare(net, s, some)
        return net
    calibrate(net, some, rate={"hidden": s.level}, until=s.until, n_threads=1)
    scale_readout(net, some, loss, until=s.until, n_threads=1)
    return net


def _run(job: tuple[Settings, str, tuple[float, float]]) -> tuple[float, float]:
    """Held-out accuracy and seconds of one training."""
    settings, value, tau = job
    data, loss = _HELD[0], _VALUES[value]
    fires = isinstance(loss, FirstSpikeCrossEntropy)
    own = TASKS["spoken-digits"].with_readout["first_spikes"] if fires else {}
    read = "first_spikes" if fires else "end"  # of those without threshold the loss says what
    s = replace(settings, **own, readout=read, readout_tau=tau, threads=1)
    begun = time.perf_counter()
    net = _network(s, data, loss)
    fit_task(net, data.train, s, grid=data.grid, loss=loss, progress=False)
    assert data.validation is not None
    seen = evaluate(net, *data.validation, loss, until=settings.until, n_threads=1)
    return seen.accuracy, time.perf_counter() - begun


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--values", nargs="+", choices=_VALUES, default=list(_VALUES))
    chosen = parser.parse_args()
    task = TASKS["spoken-digits"]
    settings = replace(task.settings, held_out=0.1, epochs=chosen.epochs)
    _HELD.append(task.load(settings, chosen.data))
    jobs = [
        (replace(settings, seed=seed), value, tau)
        for value in chosen.values
        for tau in _PAIRS
        for seed in range(chosen.seeds)
    ]
    print(f"accuracy on held-out samples: mean, smallest to largest of {chosen.seeds} seeds; after")
    print(f"{chosen.epochs} epochs; tau_mem, tau_syn of the outputs in seconds\n")
    print("| Value | " + " | ".join(f"{m:g}, {s:g}" for m, s in _PAIRS) + " | seconds |")
    print("|---|" + "---|" * (len(_PAIRS) + 1))
    with multiprocessing.get_context("fork").Pool(chosen.jobs, maxtasksperchild=1) as pool:
        outcomes = pool.imap(_run, jobs)
        for value in chosen.values:
            row, seconds = [], []
            for _ in _PAIRS:
                accuracies, took = zip(*(next(outcomes) for _ in range(chosen.seeds)), strict=True)
                row.append(
                    f"{np.mean(accuracies):.3f}, {min(accuracies):.3f} to {max(accuracies):.3f}"
                )
                seconds.extend(took)
            print(f"| {value} | {' | '.join(row)} | {np.median(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
