"""How well does a 4-10-3 network learn Iris?

    python -m bench.accuracy.iris [--seeds 10]

Five-fold cross-validation with stratified folds, repeated for each seed; features are scaled by the
training part of each fold. The settings are those of ``snnfp train iris``.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace

import numpy as np
from snnfp import evaluate
from snnfp.data import iris
from snnfp.encoding import latency, scale_min_max
from snnfp.errors import SilentPopulationWarning
from snnfp.task_training import fit_task
from snnfp.tasks import TASKS, build_network, make_loss


def folds(labels: np.ndarray, seed: int) -> np.ndarray:
    """Fold 0 ... 4 of each flower, ten of a species in each."""
    rng = np.random.default_rng(seed)
    out = np.empty(labels.size, dtype=int)
    for label in np.unique(labels):
        at = np.flatnonzero(labels == label)
        out[rng.permutation(at)] = np.arange(at.size) % 5
    return out


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore", SilentPopulationWarning)
    features, labels = iris()
    means = []
    for seed in range(seeds):
        s = replace(TASKS["iris"].settings, seed=seed)
        fold = folds(labels, seed)
        hits = 0.0
        for k in range(5):
            test = fold == k
            low, high = features[~test].min(axis=0), features[~test].max(axis=0)
            spikes = latency(
                scale_min_max(features, low, high),
                t_min=s.t_min,
                t_max=s.t_max,
                bias_time=s.bias_time,
                invert=True,
            )
            net = build_network(s, spikes.size, 3)
            train, held_out = np.flatnonzero(~test), np.flatnonzero(test)
            data = spikes.take(train), labels[train]
            fit_task(net, data, s, progress=False, n_threads=1)
            seen = evaluate(
                net, spikes.take(held_out), labels[held_out], make_loss(s), until=s.until
            )
            hits += seen.accuracy * held_out.size
        means.append(hits / labels.size)
        print(f"seed {seed}  accuracy {means[-1]:.4f}", flush=True)
    print(f"mean {np.mean(means):.4f} +- {np.std(means):.4f}, smallest {min(means):.4f}")


if __name__ == "__main__":
    main()
