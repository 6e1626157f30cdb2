"""What codes on a time grid share: dense input, matched spike counts, forward and gradient."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.peers import work
from bench.peers.prepared import Prepared, need

__all__ = ["Forward", "Grid", "prepare"]

COMPILE_LIMIT = 600  # seconds; a loop of 1000 steps is compiled for longer

# x [steps, samples, inputs], whether to keep the hidden spikes -> (hidden or None, output spikes)
Forward = Callable[[Tensor, bool], tuple[Tensor | None, Tensor]]


class Grid:
    """A piece of work on a grid: ``first`` and ``later`` are its weights, [in, out]."""

    def __init__(self, w: work.Layered | work.Recurrent, scale: float) -> None:
        self.dt = w.until / w.steps
        self.tau_mem, self.tau_syn = w.tau_mem, w.tau_syn
        self.steps = w.steps
        self.recurrent = isinstance(w, work.Recurrent)
        self.first = torch.tensor(w.first * scale, dtype=torch.float32)
        self.later = torch.tensor(w.later, dtype=torch.float32)


def _dense(w: work.Layered | work.Recurrent) -> Tensor:
    if isinstance(w, work.Recurrent):
        x = np.zeros((w.steps, 1, w.first.shape[0]), np.float32)
        step = np.minimum((w.times * w.steps / w.until).astype(int), w.steps - 1)
        np.add.at(x, (step, 0, w.units), 1.0)
        return torch.from_numpy(x)
    samples, inputs = w.latencies.shape
    x = np.zeros((w.steps, samples, inputs), np.float32)
    step = np.minimum((w.latencies * w.steps / w.until).astype(int), w.steps - 1)
    rows, columns = np.indices((samples, inputs))
    x[step, rows, columns] = 1.0
    return torch.from_numpy(x)


def prepare(
    build: Callable[[Grid], tuple[Forward, list[Tensor]]], kind: str, options: dict[str, Any]
) -> Prepared:
    """Forward and gradient with a loss of spike counts (cross-entropy; the mean for recurrence).

    Args:
        build: makes a model and lists its weights.
        kind: ``layered`` or ``recurrent``.
        options: of the work, and ``match``: hidden spikes a sample wanted; the input weights are
            scaled until they are there. ``compiled``: the forward pass through ``torch.compile``.
    """
    torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
    wanted = options.pop("match")
    compiled = options.pop("compiled", False)
    w: work.Layered | work.Recurrent
    if kind == "layered":
        w = work.layered[options["which"]](options["samples"])
        labels = torch.from_numpy(w.labels)
    else:
        w = work.recurrent(options.get("strength", 1.0))
    x = _dense(w)

    def counts(scale: float) -> tuple[float, float]:
        forward, _ = build(Grid(w, scale))
        with torch.no_grad():
            hidden, output = forward(x, True)
        assert hidden is not None
        return float(hidden.sum()) / x.shape[1], float(output.sum()) / x.shape[1]

    scale = _matched(lambda s: counts(s)[0], wanted)
    hidden, output = counts(scale)
    forward, weights = build(Grid(w, scale))
    for weight in weights:
        weight.requires_grad_(True)
    if compiled:
        forward = torch.compile(forward)

    def gradient() -> float:
        for weight in weights:
            weight.grad = None
        _, spikes = forward(x, False)
        rate = spikes.sum(dim=0)
        loss = torch.nn.functional.cross_entropy(rate, labels) if kind == "layered" else rate.mean()
        loss.backward()
        return float(loss.detach())

    start = time.perf_counter()
    with _within(COMPILE_LIMIT if compiled else 0):
        value = gradient()
        if compiled:
            gradient()  # which compiles once more
    seconds = time.perf_counter() - start
    need(bool(np.isfinite(value)), f"the loss is {value}")
    for k, weight in enumerate(weights):
        need(weight.grad is not None, f"weight {k} has no gradient")
        need(bool(torch.isfinite(weight.grad).all()), f"the gradient of weight {k} is not finite")
    facts: dict[str, Any] = {"hidden": hidden, "loss": value, "scale": scale, "steps": w.steps}
    if kind == "layered":
        facts["output"] = output
    if compiled:
        facts["compile seconds"] = seconds
    return Prepared({"gradient": gradient}, facts)


@contextlib.contextmanager
def _within(seconds: int) -> Iterator[None]:
    """Stops what takes longer; 0: nothing."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"torch.compile was not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _matched(count: Callable[[float], float], wanted: float) -> float:
    """The scale of the input weights that brings the count within 2 %, or the nearest seen."""
    low, high, best = 0.05, 20.0, (np.inf, 1.0)
    scale = 1.0
    for _ in range(20):
        got = count(scale)
        best = min(best, (abs(got - wanted), scale))
        if best[0] <= 0.02 * wanted:
            break
        low, high = (low, scale) if got > wanted else (scale, high)
        scale = float(np.sqrt(low * high))
    return best[1]
