"""How long does an epoch of MNIST take, and how well does 784-350-10 learn it?

    SNNFP_DATA=DIR python -m bench.accuracy.mnist [--epochs 1] [--threads 2]

``DIR/mnist`` holds the four idx files. All 60 000 training images, pixels > 0 as latencies, with
the settings of ``snnfp train mnist``; the clock stands while accuracy is taken after each epoch.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from snnfp import History, Network, evaluate
from snnfp.data import mnist
from snnfp.encoding import latency
from snnfp.task_training import fit_task
from snnfp.tasks import TASKS, build_network, make_loss


def folder() -> Path:
    """The data, named by SNNFP_DATA."""
    root = os.environ.get("SNNFP_DATA", "")
    path = Path(root) / "mnist"
    if not root or not path.is_dir():
        raise FileNotFoundError("SNNFP_DATA does not name a folder that holds mnist/")
    return path


def run(epochs: int, n_threads: int) -> list[dict[str, float]]:
    """Test accuracy and training seconds after each epoch, with the input spikes a sample."""
    settings = replace(TASKS["mnist"].settings, epochs=epochs)
    data = mnist(folder())

    def spikes(images: Any) -> Any:
        return latency(
            images.reshape(images.shape[0], -1) / 255.0,
            t_min=settings.t_min,
            t_max=settings.t_max,
            invert=True,
            silent_at_zero=True,
        )

    train = (spikes(data.train_images), data.train_labels)
    test = (spikes(data.test_images), data.test_labels)
    net = build_network(settings, 784, 10)
    loss = make_loss(settings)
    out: list[dict[str, float]] = []
    begun = time.perf_counter()

    def look(history: History, net: Network) -> None:
        nonlocal begun
        seconds = time.perf_counter() - begun
        seen = evaluate(net, *test, loss, until=settings.until, n_threads=n_threads)
        out.append(
            {
                "seconds": seconds,
                "accuracy": seen.accuracy,
                "samples": len(train[1]),
                "events": train[0].times.size / len(train[1]),
            }
        )
        begun = time.perf_counter()

    fit_task(net, train, settings, callbacks=[look], progress=False, n_threads=n_threads)
    return out


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    results = run(chosen.epochs, chosen.threads)
    for k, r in enumerate(results):
        print(
            f"epoch {k + 1}  test accuracy {r['accuracy']:.4f}  training time {r['seconds']:.1f} s"
        )
    print(f"median {np.median([r['seconds'] for r in results]):.1f} s an epoch")


if __name__ == "__main__":
    main()
