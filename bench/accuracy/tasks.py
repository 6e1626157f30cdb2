"""How well does ``snnfp train`` learn a task, seed by seed?

    python -m bench.accuracy.tasks TASK [--with VARIANT] [--data DIR] [--seeds 5] [--jobs 1]
                                   [--set NAME=VALUE ...] [--folds K]

Trains with the settings of ``snnfp train TASK`` (with those of ``--VARIANT`` too) for each seed,
one thread each, ``--jobs`` of them at a time, and prints the test accuracy after the last epoch,
the seconds of training, and bad epochs: those after the third with less than 90 % of the held-out
samples right, where the task holds any out. The test is looked at once, at the end. With
``--folds`` training and test samples are put together and split by chance into K parts, each of
which is the test once (seed 0).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from snnfp import evaluate
from snnfp.task import TaskData
from snnfp.task_networks import build_network, make_loss, measured, prepare
from snnfp.task_settings import Settings
from snnfp.task_training import fit_task
from snnfp.tasks import TASKS

from bench.accuracy.yin_yang import setting


@dataclass(frozen=True)
class Outcome:
    """What one training came to."""

    name: str
    test: float
    seconds: float
    epochs: int
    bad: int | None


def train(settings: Settings, data: TaskData, name: str) -> Outcome:
    """Trains once."""
    net = build_network(settings, data.channels, data.classes, data.grid)
    prepare(net, settings, data.train[0].take(measured(len(data.train[1]))))
    begun = time.perf_counter()
    history = fit_task(
        net,
        data.train,
        settings,
        grid=data.grid,
        validation=data.validation,
        progress=False,
        n_threads=1,
    )
    seconds = time.perf_counter() - begun
    loss = make_loss(settings)
    seen = evaluate(net, *data.test, loss, until=settings.until, n_threads=1)
    bad = None
    if data.validation is not None:
        bad = sum(a < 0.9 for a in history.epochs["validation_accuracy"][3:])
    return Outcome(name, seen.accuracy, seconds, len(history), bad)


def folded(data: TaskData, folds: int) -> list[TaskData]:
    """The same samples, split anew: each part is the test once."""
    n = len(data.train[1])
    together = [np.arange(n), np.arange(len(data.test[1]))]
    order = np.random.default_rng(0).permutation(n + together[1].size)
    parts = []
    for test in np.array_split(order, folds):
        kept = np.setdiff1d(order, test)
        parts.append(replace(data, train=_pick(data, kept, n), test=_pick(data, test, n)))
    return parts


def _pick(data: TaskData, chosen: np.ndarray, n: int) -> tuple[Any, Any]:
    spikes = data.train[0].take(np.arange(n))
    both = _joined(spikes, data.test[0])
    labels = np.concatenate([data.train[1], data.test[1]])
    return both.take(chosen), labels[chosen]


def _joined(a: Any, b: Any) -> Any:
    offsets = np.concatenate([a.offsets, a.offsets[-1] + b.offsets[1:]])
    times, units = (np.concatenate([getattr(x, k) for x in (a, b)]) for k in ("times", "units"))
    return type(a)(times, units, offsets, size=a.size)


_HELD: list[TaskData] = []  # what forked processes have without its being sent to them


def _run(job: tuple[Settings, int, str]) -> Outcome:
    settings, part, name = job
    return train(settings, _HELD[part], name)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--with", dest="variant", metavar="VARIANT")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--folds", type=int, metavar="K")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args()
    task = TASKS[chosen.task]
    if chosen.variant is not None and chosen.variant not in task.variants:
        parser.error(f"{chosen.variant} is none of: {', '.join(task.variants) or 'there is none'}")
    base = task.variants[chosen.variant].settings if chosen.variant else task.settings
    settings = replace(base, **dict(chosen.set))
    data = task.load(settings, chosen.data)
    _HELD.extend(folded(data, chosen.folds) if chosen.folds else [data])
    if chosen.folds:
        jobs = [(settings, k, f"fold {k}") for k in range(chosen.folds)]
    else:
        jobs = [(replace(settings, seed=s), 0, f"seed {s}") for s in range(chosen.seeds)]
    changed = {k: getattr(settings, k) for k, _ in chosen.set}
    print(f"{chosen.task}{f' --{chosen.variant}' if chosen.variant else ''} {json.dumps(changed)}")
    with multiprocessing.get_context("fork").Pool(chosen.jobs, maxtasksperchild=1) as pool:
        outcomes = []
        for one in pool.imap(_run, jobs):
            outcomes.append(one)
            bad = "" if one.bad is None else f"  bad epochs {one.bad}"
            print(
                f"{one.name}  test accuracy {one.test:.4f}  epochs {one.epochs}  training "
                f"{one.seconds:.1f} s{bad}",
                flush=True,
            )
    tests = [o.test for o in outcomes]
    print(
        f"test accuracy: mean {np.mean(tests):.4f} +- {np.std(tests):.4f}, smallest "
        f"{min(tests):.4f}; training {np.median([o.seconds for o in outcomes]):.1f} s"
    )


if __name__ == "__main__":
    main()
