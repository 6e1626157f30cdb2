"""How many initialisations learn XOR within 100 epochs?

    python -m bench.accuracy.xor [--count 1000]

2-4-2, the setting of the paper's experiment (``snnfp train xor``): converged means that all four
patterns are classified right at the end of an epoch.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace

import numpy as np
from snnfp import EarlyStopping
from snnfp.errors import SilentPopulationWarning
from snnfp.task_training import fit_task
from snnfp.tasks import TASKS, build_network


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    warnings.simplefilter("ignore", SilentPopulationWarning)
    task = TASKS["xor"]
    epochs = []
    for seed in range(count):
        settings = replace(task.settings, seed=seed)
        data = task.load(settings, None)
        net = build_network(settings, data.channels, data.classes)
        history = fit_task(
            net,
            data.train,
            settings,
            validation=data.train,
            progress=False,
            n_threads=1,
            early_stopping=EarlyStopping(
                patience=settings.epochs, metric="validation_accuracy", target=1.0, restore=False
            ),
        )
        if history.last("validation_accuracy") == 1.0:
            epochs.append(len(history))
    print(
        f"{len(epochs)} of {count} initialisations converged within {task.settings.epochs} epochs, "
        f"mean {np.mean(epochs):.1f}, longest {max(epochs)}"
    )


if __name__ == "__main__":
    main()
