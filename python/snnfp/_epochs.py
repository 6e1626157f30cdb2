"""An epoch of a training: its batches, gradients and steps."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._dataset import locate
from snnfp._plan import Plan
from snnfp._stepper import Moved
from snnfp._tally import BatchFigures, Tally
from snnfp.evaluation import evaluate_data, labels_met
from snnfp.gradients import checked_value_and_grad
from snnfp.remedies import WeightBump
from snnfp.training_state import Run

__all__ = ["train_epoch"]

Arrays = dict[str, NDArray[Any]]


def train_epoch(plan: Plan, run: Run) -> dict[str, float]:
    """Trains an epoch; returns its figures."""
    start = time.perf_counter()
    tally = Tally(len(plan.train))
    plan.silence.begin()
    run.show_raw()
    order = np.random.default_rng([run.seed, run.epoch]).permutation(len(plan.train))
    steps = range(0, len(order), plan.batch_size * plan.accumulate)
    for k in range(len(steps)):
        where = f"epoch {run.epoch + 1}, step {k + 1} of {len(steps)}"
        batches = _batches_of(plan, order[steps[k] : steps[k] + steps.step])
        gradients, seen = _gradients(plan, run, k * plan.accumulate, batches, where)
        for batch in seen:
            tally.add_batch(batch)
            plan.silence.add(batch.firing)
        try:
            _step(plan, run, gradients, tally, run.epoch + k / len(steps))
        except Exception as error:
            locate(error, batches[-1], where)
            raise
    run.show_average()
    figures = {"loss": tally.loss}
    if plan.train.accuracy:
        figures["accuracy"] = tally.met / len(plan.train)
    figures |= {
        "near_tangent": tally.near_tangent,
        **tally.of_groups(),
        "remedied": tally.remedied,
        "min_slope": tally.min_slope,
        "lr": tally.lr,
        **plan.silence.figures(),
    }
    if plan.validation is not None:
        seen_then = evaluate_data(
            plan.net,
            plan.validation,
            plan.loss,
            until=plan.until,
            n_threads=plan.n_threads,
            what=f"validation after epoch {run.epoch + 1}",
            ranks=plan.ranks,
            predictions=False,
        )
        figures["validation_loss"] = seen_then.loss
        if plan.validation.accuracy:
            figures["validation_accuracy"] = seen_then.accuracy
    figures["seconds"] = plan.ranks.from_first(time.perf_counter() - start)
    return figures


def _batches_of(plan: Plan, samples: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The batches of a step."""
    size = plan.batch_size
    return [samples[begin : begin + size] for begin in range(0, samples.size, size)]


def _gradients(
    plan: Plan, run: Run, first: int, batches: list[NDArray[np.int64]], where: str
) -> tuple[Arrays, list[BatchFigures]]:
    """The gradient of a step, and the figures of its batches, which the ranks share.

    Args:
        plan: of the training.
        run: where it stands.
        first: number of the first of these batches within the epoch.
        batches: the samples of each.
        where: for errors.
    """

    def work(k: int) -> tuple[Arrays, BatchFigures]:
        try:
            return _gradient(plan, (run.seed, run.epoch, first + k), batches[k])
        except Exception as error:
            locate(error, batches[k], where)
            raise

    samples = sum(batch.size for batch in batches)
    return plan.ranks.add([batch.size / samples for batch in batches], work)


def _gradient(
    plan: Plan, place: tuple[int, int, int], chosen: NDArray[np.int64]
) -> tuple[Arrays, BatchFigures]:
    """The gradient of a batch, with the terms of the remedies, and its figures.

    Args:
        plan: of the training.
        place: of the batch: seed, epoch and number within the epoch.
        chosen: its samples.
    """
    spikes, labels = plan.train.batch(chosen, place)
    value, gradients, record = checked_value_and_grad(
        plan.net,
        spikes,
        labels,
        plan.loss,
        wrt=plan.names,
        until=plan.until,
        mode=plan.mode,
        n_threads=plan.n_threads,
        samples=chosen.size,
        **plan.no_further,
    )
    remedied = 0.0
    for remedy in plan.remedies:
        own: dict[str, Any] = {"in_place": True} if type(remedy) is WeightBump else {}
        gradients, helped = remedy(plan.net, record, labels, gradients, **own)
        remedied += float(helped)
    classifies = plan.train.accuracy
    met = labels_met(plan.loss, record, labels, chosen.size) if classifies else 0.0
    return gradients, BatchFigures(
        samples=chosen.size,
        loss=value,
        met=met,
        remedied=remedied,
        min_slope=record.min_slope,
        near_tangent=record.near_tangent,
        firing=plan.silence.look(record, labels),
    )


def _step(plan: Plan, run: Run, gradients: Arrays, tally: Tally, epoch: float) -> None:
    """Takes one step, whole or not at all."""
    moved = plan.stepper.moved(
        gradients, run.state, run.free, run.averages, run.averaged, run.step, epoch
    )
    _take(run, moved)
    plan.stepper.taken()
    tally.add_step(moved)


def _take(run: Run, moved: Moved) -> None:
    """Parameters, averages, the optimiser's state and the count go together, also with Ctrl-C."""
    names = moved.parameters
    before = {n: run.net.parameters[n] for n in names}, run.state, run.free, run.averages
    counted = run.step, run.averaged
    try:
        run.net._replace(names, fresh=moved.fresh)
        run.state, run.free, run.averages = moved.state, moved.free, moved.averages
        run.step, run.averaged = run.step + 1, run.averaged + bool(moved.averages)
    except BaseException:
        run.net._replace(before[0], fresh=True)
        run.state, run.free, run.averages = before[1:]
        run.step, run.averaged = counted
        raise
