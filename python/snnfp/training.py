"""Training: checks before the first step, what is between epochs; what was reached is not lost."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._alike import warn_if_alike
from snnfp._dataset import Data, check_setting
from snnfp._epochs import train_epoch
from snnfp._numbers import count
from snnfp._plan import Plan, check_callbacks, resolve_options
from snnfp._progress import show_progress
from snnfp._settings import describe, differences
from snnfp._silence import silence_untold
from snnfp._warnings import warn
from snnfp.augment import Augmentation
from snnfp.bounds import Bounds
from snnfp.checkpoint import check_writable
from snnfp.errors import NothingToTrainWarning, require
from snnfp.frozen import Frozen
from snnfp.history import EarlyStopping, History
from snnfp.losses import output_of
from snnfp.network import Network, Selection
from snnfp.optim import Optimiser
from snnfp.parameter_groups import Groups
from snnfp.ranks import Communicator, Ranks
from snnfp.remedies import Remedy
from snnfp.schedules import Schedule
from snnfp.training_state import Checkpoint, Run, read_checkpoint

__all__ = ["Data", "fit"]

Callback = Callable[[History, Network], bool | None]
Arrays = dict[str, NDArray[Any]]


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
    comm: Communicator | None = None,
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
        comm: several processes that train together, say mpi4py's ``MPI.COMM_WORLD``: each calls
            ``fit`` with the same network, data and settings, and they share the batches of a step
            (``accumulate``, at least as many) and of the validation. The result has the same bits
            for any number of them. Rank 0 reads ``resume``, writes the checkpoint, shows progress,
            warns and calls the callbacks, whose changes all take over. What is raised on one rank
            ends the others with an error that names it; see :mod:`snnfp.ranks`.

    Returns:
        The history.

    Raises:
        FormatError: ``resume`` is damaged or belongs to another training.
        OSError: ``checkpoint`` cannot be written.
        RankError: another rank of ``comm`` has raised something.
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
    with Ranks(comm) as ranks:
        count(epochs, "epochs")
        saved = None
        if resume is not None and ranks.first:
            check_setting(net, loss)
            saved = read_checkpoint(resume, net)
        saved = ranks.from_first(saved)
        options = resolve_options(net, asked, saved)
        plan = Plan.of(net, train, validation, loss, optimiser, options, saved, n_threads, ranks)
        ranks.compare(lambda: plan.described(epochs, describe(early_stopping), resume is not None))
        between = _Between(plan, callbacks, early_stopping, checkpoint)
        run = _begin(plan, saved, early_stopping, epochs)
        if ranks.first:
            warn_if_alike(net, output_of(net, loss).name)
        # Silence is spoken of by whole epochs, not by single batches.
        shown = show_progress(epochs, run.epoch, progress and ranks.first)
        with silence_untold(net), shown as report:
            try:
                while run.epoch < epochs and not run.stopped:
                    figures = train_epoch(plan, run)
                    between.epochs(run, figures)
                    report(run.epoch, figures)
            except BaseException as error:
                run.show_average()
                kept = between.kept or (resume if checkpoint is not None else None)
                _say_how_far(error, run, kept)
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
        if checkpoint is not None and plan.ranks.first:
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
        net, ranks = self._plan.net, self._plan.ranks
        # A step of somebody's own may differ from machine to machine.
        ranks.compare(lambda: {f"parameters after epoch {run.epoch + 1}": run.described()})
        run.history.append(figures)
        run.epoch += 1
        run.apply(self._early_stopping)
        stopped, changed = ranks.from_first(self._call_back(run) if ranks.first else (False, {}))
        if changed and not ranks.first:
            net._replace(changed)
        if stopped:
            run.stopped = True
        run.take_note_of_changes(self._plan.stepper)
        if not ranks.first:
            return
        if self._checkpoint is not None:
            run.save(self._checkpoint)
            self.kept = self._checkpoint
        self._plan.silence.tell(run.epoch)
        if figures["lr"] == 0 and not self._idle:
            self._idle = True
            _warn_idle(self._plan, run)

    def _call_back(self, run: Run) -> tuple[bool, Arrays]:
        """Whether a callback asks to stop, and what other ranks are to put into the network."""
        net = self._plan.net
        before = dict(net.parameters)
        stops = [
            _stops(k, callback(run.history, net)) for k, callback in enumerate(self._callbacks)
        ]
        if self._plan.ranks.size == 1:
            return any(stops), {}
        changed = {n: v for n, v in net.parameters.items() if v is not before.get(n)}
        return any(stops), changed


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
    if rule is None or rule.metric != run.metric:
        run.forget_best()
    elif run.waited >= rule.patience or rule.reached(run.history.last(rule.metric)):
        run.stopped = True
    if not plan.ranks.first:
        return run
    for line in differences(saved.settings, plan.settings):
        print(f"resume: {line}, changed since {saved.path}")
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


def _say_how_far(error: BaseException, run: Run, kept: str | Path | None) -> None:
    """What was reached, on an exception that ends the training."""
    error.history = run.history  # type: ignore[attr-defined]
    goes_on = "" if kept is None else f"; resume={str(kept)!r} goes on"
    error.add_note(
        f"fit had done {run.step} steps and {len(run.history)} whole epochs: the network is that "
        f"of the last step, the history is the exception's .history{goes_on}"
    )
