"""How well, and how fast, does snnfp learn Yin-Yang?

    python -m bench.accuracy.yin_yang [--seeds 5] [--set NAME=VALUE ...] [--stop N]
    python -m bench.accuracy.yin_yang --until 0.97 [--seeds 5]

Trains with the settings of ``snnfp train yin-yang`` for each seed, or with those that ``--set``
changes, and prints test accuracy, training time and bad epochs: those after the third with less
than 90 % of the validation samples right, as where an output has fallen silent. With ``--until`` it
trains with the settings below, on one thread, and stops at the first epoch after which the test
accuracy is that good. The clock stands while accuracy is taken.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from snnfp import History, Network, evaluate
from snnfp.task_training import fit_task, make_schedule
from snnfp.tasks import TASKS, Settings, TaskData, build_network, make_loss

# Found by random search, on other seeds than the benchmark's, for 97 % test accuracy after the one
# epoch over which the learning rate falls (StepCosine): nine seeds of ten. The rest need more.
FAST = replace(
    TASKS["yin-yang"].settings,
    hidden=(150,),
    t_refractory=100.0,
    first=(0.8, 2.0),
    later=(0.1, 0.3),
    until=42.0,
    tau0=0.15,
    gamma=0.001,
    label_bump=0.1,
    lr=4e-2,
    epochs=4,
    average=0.0,
    batch_size=28,
    clip_norm=0.5,
)


@dataclass(frozen=True)
class StepCosine:
    """From 1 down to ``final`` along half a cosine over ``steps`` steps, then constant."""

    steps: int
    final: float

    def __call__(self, step: int, epoch: int) -> float:
        """The factor of the learning rate."""
        done = min(1.0, step / self.steps)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Training:
    """Accuracies after the last epoch and seconds of training, without the time of evaluation."""

    validation: float
    test: float
    seconds: float
    epochs: int
    bad: int


def train(
    settings: Settings,
    data: TaskData,
    *,
    target: float | None,
    stop: int | None,
    n_threads: int | None,
) -> Training:
    """Trains; stops early after ``stop`` epochs or once the test accuracy is ``target``."""
    net = build_network(settings, data.channels, data.classes)
    loss = make_loss(settings)
    options = {"until": settings.until, "n_threads": n_threads}
    assert data.validation is not None
    one_epoch = StepCosine(len(data.train[1]) // settings.batch_size, 0.05)
    spent = 0.0
    begun = time.perf_counter()
    last = min(stop or settings.epochs, settings.epochs)
    validated: list[float] = []
    tested = 0.0

    def look(history: History, net: Network) -> bool:
        nonlocal spent, begun, tested
        spent += time.perf_counter() - begun
        validated.append(evaluate(net, *data.validation, loss, **options).accuracy)
        if target is not None or len(history) == last:
            tested = evaluate(net, *data.test, loss, **options).accuracy
        begun = time.perf_counter()
        return len(history) == last or (target is not None and tested >= target)

    history = fit_task(
        net,
        data.train,
        settings,
        schedule=make_schedule(settings) if target is None else one_epoch,
        callbacks=[look],
        progress=False,
        n_threads=n_threads,
    )
    bad = sum(accuracy < 0.9 for accuracy in validated[3:])
    return Training(validated[-1], tested, spent, len(history), bad)


def setting(text: str) -> tuple[str, Any]:
    """A name and its value, from ``name=value``; two values are a pair."""
    name, _, value = text.partition("=")
    if name not in {f.name for f in fields(Settings)} or not value:
        raise argparse.ArgumentTypeError(f"{text!r}, expected the name of a setting, =, a value")
    try:
        read = json.loads(f"[{value}]")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number after =") from None
    return name, tuple(read) if len(read) > 1 or name == "hidden" else read[0]


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--until", type=float, metavar="ACCURACY", help="stop there")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--stop", type=int, metavar="N", help="look at the first N epochs only")
    parser.add_argument("--threads", type=int, metavar="N", help="(default: all; 1 with --until)")
    chosen = parser.parse_args()
    task = TASKS["yin-yang"]
    settings = replace(task.settings if chosen.until is None else FAST, **dict(chosen.set))
    data = task.load(settings, None)
    runs = []
    for seed in range(chosen.seeds):
        n_threads = chosen.threads or (None if chosen.until is None else 1)
        run = train(
            replace(settings, seed=seed),
            data,
            target=chosen.until,
            stop=chosen.stop,
            n_threads=n_threads,
        )
        runs.append(run)
        print(
            f"seed {seed}  validation accuracy {run.validation:.4f}  test accuracy {run.test:.4f}  "
            f"{run.epochs} epochs, {run.bad} bad  training time {run.seconds:.2f} s",
            flush=True,
        )
    accuracies = [r.test for r in runs]
    print(
        f"test accuracy: mean {np.mean(accuracies):.4f} +- {np.std(accuracies):.4f}, "
        f"smallest {min(accuracies):.4f}"
    )
    bad = [r.bad for r in runs]
    print(f"bad epochs: {sum(bad)}, in {sum(b > 0 for b in bad)} of {len(runs)} seeds")
    times = [r.seconds for r in runs]
    print(f"training time: median {np.median(times):.2f} s, longest {max(times):.2f} s")
    if chosen.until is not None:
        reached = sum(a >= chosen.until for a in accuracies)
        print(f"{reached} of {len(runs)} reached {chosen.until}")


if __name__ == "__main__":
    main()
