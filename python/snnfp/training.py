"""Training: checks before the first step, epochs, steps; what was reached is never lost."""

from __future__ import annotations

import math
import reprlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._alike import warn_if_alike
from snnfp._dataset import Data, check_setting, locate
from snnfp._numbers import count
from snnfp._plan import Plan, check_callbacks, resolve_options
from snnfp._progress import show_progress
from snnfp._settings import differences
from snnfp._silence import silence_untold
from snnfp._stepper import Moved
from snnfp._warnings import warn
from snnfp.augment import Augmentation
from snnfp.bounds import Bounds
from snnfp.checkpoint import check_writable
from snnfp.errors import NothingToTrainWarning, require
from snnfp.evaluation import evaluate_data, labels_met
from snnfp.frozen import Frozen
from snnfp.gradients import checked_value_and_grad
from snnfp.history import EarlyStopping, History
from snnfp.losses import output_of
from snnfp.network import Network, Selection
from snnfp.optim import Optimiser
from snnfp.parameter_groups import Groups
from snnfp.record import Record
from snnfp.remedies import Remedy, WeightBump
from snnfp.schedules import Schedule
from snnfp.training_state import Checkpoint, Run, read_checkpoint

__all__ = ["Data", "fit"]

Callback = Callable[[History, Network], bool | None]
Gradients = dict[str, NDArray[Any]]


def fit(
    net: Network,
    train: Data,
    *,
    loss: Any,
    optimiser: Optimiser,
    epochs: int,
    batch_size: int | None = None,
    validation: Data | None = None,
    schedule: Schedule | None = None,
    wrt: Selection | None = None,
    until: float | None = None,
    mode: str | None = None,
    seed: int | None = None,
    clip_norm: float | None = None,
    bounds: Bounds | None = None,
    groups: Groups | None = None,
    frozen: Frozen | None = None,
    average: float | None = None,
    accumulate: int | None = None,
    remedies: Sequence[Remedy] | None = None,
    augment: Augmentation | Sequence[Augmentation] | None = None,
    callbacks: Sequence[Callback] = (),
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool = True,
    n_threads: int | None = None,
) -> History:
    """Trains a network in place (its parameters are replaced after each step).

    Everything is checked before the first step. A step is taken whole or not at all, so whatever
    ends the training, the network is that of the last step; an exception, Ctrl-C's too, says how
    far it came and has the ``history`` as an attribute.

    Args:
        net: an initialised network.
        train: (spikes, labels); spikes are a mapping ``{input: Spikes}`` where there are several.
            Instead of ``Spikes``, anything with ``len`` and ``take(samples)`` that gives them.
        loss: see :mod:`snnfp.losses`.
        optimiser: see :mod:`snnfp.optim`.
        epochs: passes over the training data, counted from the very beginning when resuming.
        batch_size: samples a batch (32); the last batch of an epoch may be smaller.
        validation: spikes and labels held out; evaluated after each epoch.
        schedule: factor of the learning rate; see :mod:`snnfp.schedules`.
        wrt: names or patterns of the trained parameters (``"*.weight"``).
        until: end of each simulation.
        mode: ``"reverse"`` (if not given) or ``"forward"``.
        seed: of the order of samples (0); epoch e is shuffled by (seed, e).
        clip_norm: scale gradients down to this norm, each group's by its own; inf: never. Clipped
            steps are counted.
        bounds: ``{pattern: (low, high)}`` that parameters are put back into after a step, numbers
            or arrays of the parameter's shape; see :mod:`snnfp.bounds` for the domain that holds
            without them (delays >= 0, time constants > 0, thresholds above v_reset).
        groups: ``{pattern: snnfp.Group(lr=..., clip_norm=..., transform=..., ...)}``, what is
            different for some parameters; no parameter may match two of the patterns.
        frozen: ``{pattern: bool array}`` of elements that stay as they are (True stays), whatever
            gradient, remedies, decay and bounds say; they do not count in norms.
        average: decay of a moving average of the parameters, 0 <= average < 1: after n steps their
            mean, and from ``1 / (1 - average)`` on ``average`` times itself and the rest the new
            ones. Between epochs, for validation, callbacks, checkpoints and ``early_stopping``, and
            at the end, however it comes, the network has the averaged parameters; a checkpoint
            keeps both.
        accumulate: batches a step (1): the gradient is the mean over all their samples. What is
            left at the end of an epoch is a step too.
        remedies: heuristics for silent neurons, whose terms are added to the exact gradient of a
            batch (before it is clipped); see :mod:`snnfp.remedies`.
        augment: what changes the spikes and labels of each batch, one or a list of them; see
            :mod:`snnfp.augment`. Random numbers are those of (seed, epoch, batch).
        callbacks: called with (history, net) after each epoch; True stops, None and False do not.
        early_stopping: when to stop early.
        checkpoint: file to write after each epoch, atomically.
        resume: checkpoint to go on from; the result is bitwise that of an uninterrupted run.
            Settings from ``batch_size`` to ``augment`` that are left out are those of that run;
            what is asked for and differs is applied, and printed. After an early stop it goes on
            if what is asked for now allows it.
        progress: show where it is: a bar on a terminal (with tqdm), some lines in a log.
        n_threads: None: all; the result is the same for any number.

    Returns:
        The history.

    Raises:
        FormatError: ``resume`` is damaged or belongs to another training.
        OSError: ``checkpoint`` cannot be written.
        TypeError, ValueError, KeyError: bad arguments or data, or a callback that returns something
            else; an error of the data names the sample, and one within the training the epoch and
            step.

    Warns:
        SilentPopulationWarning: once, if a population fires no spike in a whole epoch, or
            (SilentOutputWarning) an output is silent in most samples of its own class.
        NothingToTrainWarning: the run that is resumed was over, or the learning rate is 0.
        AlikeNeuronsWarning: hidden neurons that are all the same, which they will stay.
    """
    asked = {
        "batch_size": batch_size, "schedule": schedule, "wrt": wrt, "until": until, "mode": mode,
        "seed": seed, "clip_norm": clip_norm, "bounds": bounds, "groups": groups,
        "frozen": frozen, "average": average, "accumulate": accumulate, "remedies": remedies,
        "augment": augment,
    }  # fmt: skip
    count(epochs, "epochs")
    saved = None
    if resume is not None:
        check_setting(net, loss)
        saved = read_checkpoint(resume, net)
    options = resolve_options(net, asked, saved)
    plan = Plan.of(net, train, validation, loss, optimiser, options, saved, n_threads)
    between = _Between(plan, callbacks, early_stopping, checkpoint)
    run = _begin(plan, saved, early_stopping, epochs)
    warn_if_alike(net, output_of(net, loss).name)
    # Silence is spoken of by whole epochs, not by single batches.
    with silence_untold(net), show_progress(epochs, run.epoch, progress) as report:
        try:
            while run.epoch < epochs and not run.stopped:
                figures = _epoch(plan, run)
                between.epochs(run, figures)
                report(run.epoch, figures)
        except BaseException as error:
            run.show_average()
            _say_how_far(error, run, between.kept or (resume if checkpoint is not None else None))
            raise
    if early_stopping is not None and early_stopping.restore and run.best:
        net._replace(run.best)
    return run.history


class _Between:
    """What is done between two epochs; checked when it is made."""

    def __init__(
        self,
        plan: Plan,
        callbacks: Sequence[Callback],
        early_stopping: EarlyStopping | None,
        checkpoint: str | Path | None,
    ) -> None:
        check_callbacks(callbacks)
        if early_stopping is not None:
            if not isinstance(early_stopping, EarlyStopping):
                raise TypeError(
                    f"early_stopping is {early_stopping!r}, expected snnfp.EarlyStopping()"
                )
            early_stopping.check(plan.figures())
        if checkpoint is not None:
            require("safetensors", extra="train")  # rather now than after the first epoch
            check_writable(checkpoint)
        self._plan = plan
        self._callbacks = callbacks
        self._early_stopping = early_stopping
        self._checkpoint = checkpoint
        self._idle = False
        self.kept: str | Path | None = None  # the checkpoint, once it is written

    def epochs(self, run: Run, figures: dict[str, float]) -> None:
        """Takes note of an epoch and decides whether another follows."""
        run.history.append(figures)
        run.epoch += 1
        run.apply(self._early_stopping)
        net = self._plan.net
        if any([_stops(k, f(run.history, net)) for k, f in enumerate(self._callbacks)]):
            run.stopped = True
        run.take_note_of_changes(self._plan.stepper)
        if self._checkpoint is not None:
            run.save(self._checkpoint)
            self.kept = self._checkpoint
        self._plan.silence.tell(run.epoch)
        if figures["lr"] == 0 and not self._idle:
            self._idle = True
            _warn_idle(self._plan, run)


def _begin(plan: Plan, saved: Checkpoint | None, rule: EarlyStopping | None, epochs: int) -> Run:
    """The run at its start, or where the checkpoint left it."""
    net, names = plan.net, plan.names
    if saved is None:
        free = plan.stepper.released()
    else:  # the values are those of the file
        free = {n: net.parameters[n] for n in plan.stepper.transformed}
    state = plan.optimiser.init({n: free.get(n, net.parameters[n]) for n in names})
    floors = plan.stepper.domain.floors
    run = Run(net, names, state, plan.seed, plan.settings, floors, free)
    if saved is not None:
        run.restore(saved, plan.optimiser, plan.stepper)
    run.begin_average(plan.stepper.average is not None)
    if saved is None:
        return run
    for line in differences(saved.settings, plan.settings):
        print(f"resume: {line}, changed since {saved.path}")
    if rule is None or rule.metric != run.metric:
        run.forget_best()
    elif run.waited >= rule.patience or rule.reached(run.history.last(rule.metric)):
        run.stopped = True
    if run.stopped:
        _warn_nothing(saved, run, f"{rule!r} stops it there: a larger patience goes on")
    elif run.epoch >= epochs:
        _warn_nothing(saved, run, f"epochs is {epochs}: a larger number goes on")
    return run


def _warn_nothing(saved: Checkpoint, run: Run, why: str) -> None:
    warn(
        f"nothing is left to train: {saved.path} holds {run.epoch} epochs, and {why}",
        NothingToTrainWarning,
    )


def _warn_idle(plan: Plan, run: Run) -> None:
    warn(
        f"the learning rate is 0 by the end of epoch {run.epoch} (schedule={plan.schedule!r}): "
        "nothing is learnt so",
        NothingToTrainWarning,
    )


def _stops(k: int, returned: Any) -> bool:
    """Whether callback k asks to stop: what else it returns may be meant otherwise."""
    if returned is None or isinstance(returned, (bool, np.bool_)):
        return bool(returned)
    raise TypeError(
        f"callbacks[{k}] returned {reprlib.repr(returned)}, expected True to stop the training, "
        "or None or False to go on"
    )


# -- epochs and steps --------------------------------------------------------------------------


@dataclass
class _Tally:
    """Sums over the steps of an epoch."""

    loss: float = 0.0
    met: float = 0.0  # labels
    remedied: float = 0.0
    near_tangent: float = 0.0
    min_slope: float = math.inf
    norms: dict[str, list[float]] = field(default_factory=dict)  # of groups
    clipped: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    any_clipped: int = 0
    lr: float = 0.0

    def add_batch(self, value: float, met: float, record: Record, share: float) -> None:
        self.loss += value * share
        self.met += met
        self.min_slope = min(self.min_slope, record.min_slope)
        self.near_tangent += record.near_tangent

    def add_step(self, moved: Moved) -> None:
        self.steps += 1
        self.any_clipped += bool(moved.clipped)
        self.lr = moved.lr
        for pattern, norm in moved.norms.items():
            self.norms.setdefault(pattern, []).append(norm)
            self.clipped[pattern] = self.clipped.get(pattern, 0) + (pattern in moved.clipped)

    def of_groups(self) -> dict[str, float]:
        """Norm and share of clipped steps, of all and of each group."""
        together = (norms[0] if len(norms) == 1 else math.hypot(*norms) for norms in
                    zip(*self.norms.values(), strict=True))  # fmt: skip
        figures = {
            "clipped": self.any_clipped / self.steps,
            "norm": statistics.median(together),
        }
        for pattern in filter(None, self.norms):
            figures[f"norm/{pattern}"] = statistics.median(self.norms[pattern])
            figures[f"clipped/{pattern}"] = self.clipped[pattern] / self.steps
        return figures


def _epoch(plan: Plan, run: Run) -> dict[str, float]:
    """Trains an epoch; returns its figures."""
    start = time.perf_counter()
    tally = _Tally()
    plan.silence.begin()
    run.show_raw()
    order = np.random.default_rng([run.seed, run.epoch]).permutation(len(plan.train))
    together = plan.batch_size * plan.accumulate
    steps = range(0, len(order), together)
    for k, begin in enumerate(steps):
        samples = order[begin : begin + together]
        chosen = samples
        try:
            total: Gradients = {}
            for first in range(0, samples.size, plan.batch_size):
                chosen = samples[first : first + plan.batch_size]
                batch = (begin + first) // plan.batch_size
                gradient = _gradient(plan, (run.seed, run.epoch, batch), chosen, tally)
                total = _add(total, gradient, chosen.size / samples.size)
            _step(plan, run, total, tally, run.epoch + k / len(steps))
        except Exception as error:
            locate(error, chosen, f"epoch {run.epoch + 1}, step {k + 1} of {len(steps)}")
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
        seen = evaluate_data(
            plan.net,
            plan.validation,
            plan.loss,
            until=plan.until,
            n_threads=plan.n_threads,
            what=f"validation after epoch {run.epoch + 1}",
        )
        figures["validation_loss"] = seen.loss
        if plan.validation.accuracy:
            figures["validation_accuracy"] = seen.accuracy
    figures["seconds"] = time.perf_counter() - start
    return figures


def _gradient(
    plan: Plan, place: tuple[int, int, int], chosen: NDArray[np.int64], tally: _Tally
) -> Gradients:
    """The gradient of a batch, with the terms of the remedies.

    Args:
        plan: of the training.
        place: of the batch: seed, epoch and number within the epoch.
        chosen: its samples.
        tally: of the epoch.
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
    for remedy in plan.remedies:
        own: dict[str, Any] = {"in_place": True} if type(remedy) is WeightBump else {}
        gradients, helped = remedy(plan.net, record, labels, gradients, **own)
        tally.remedied += float(helped)
    classifies = plan.train.accuracy
    met = labels_met(plan.loss, record, labels, chosen.size) if classifies else 0.0
    plan.silence.add(record, labels)
    tally.add_batch(value, met, record, chosen.size / len(plan.train))
    return gradients


def _add(total: Gradients, more: Gradients, share: float) -> Gradients:
    """The sum with the share that a batch has in a step."""
    if share == 1.0:
        return more
    own = {k: g * share for k, g in more.items()}
    return {k: total[k] + g for k, g in own.items()} if total else own


def _step(plan: Plan, run: Run, gradients: Gradients, tally: _Tally, epoch: float) -> None:
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


def _say_how_far(error: BaseException, run: Run, kept: str | Path | None) -> None:
    """What was reached, on an exception that ends the training."""
    error.history = run.history  # type: ignore[attr-defined]
    goes_on = "" if kept is None else f"; resume={str(kept)!r} goes on"
    error.add_note(
        f"fit had done {run.step} steps and {len(run.history)} whole epochs: the network is that "
        f"of the last step, the history is the exception's .history{goes_on}"
    )
