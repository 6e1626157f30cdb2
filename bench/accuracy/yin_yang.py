"""How well, and how fast, does the default command learn Yin-Yang?

    python -m bench.accuracy.yin_yang [--seeds 5]

Trains with the settings of ``snnfp train yin-yang`` for each seed and prints test accuracy and
training time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from snnfp import Adam, evaluate, fit
from snnfp.tasks import TASKS, build_network, make_loss
from snnfp.train_command import make_remedies, make_schedule


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    task = TASKS["yin-yang"]
    accuracies, seconds = [], []
    for seed in range(parser.parse_args().seeds):
        settings = replace(task.settings, seed=seed)
        data = task.load(settings, None)
        net = build_network(settings, data.channels, data.classes)
        loss = make_loss(settings)
        start = time.perf_counter()
        fit(
            net,
            data.train,
            loss=loss,
            optimiser=Adam(lr=settings.lr),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            validation=data.validation,
            schedule=make_schedule(settings),
            remedies=make_remedies(settings),
            clip_norm=settings.clip_norm,
            until=settings.until,
            seed=seed,
            progress=False,
        )
        seconds.append(time.perf_counter() - start)
        accuracies.append(evaluate(net, *data.test, loss, until=settings.until).accuracy)
        print(
            f"seed {seed}  test accuracy {accuracies[-1]:.4f}  time {seconds[-1]:.1f} s", flush=True
        )
    print(
        f"mean {np.mean(accuracies):.4f} +- {np.std(accuracies):.4f}, "
        f"smallest {min(accuracies):.4f}, longest {max(seconds):.1f} s"
    )


if __name__ == "__main__":
    main()
