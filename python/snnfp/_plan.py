"""What is trained and how, resolved and checked before the first step."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnfp._core import version
from snnfp._dataset import Data, DataSet, check_end, check_setting
from snnfp._first_spikes import looked_at, no_further_than
from snnfp._numbers import count, real_number
from snnfp._patterns import trainable
from snnfp._settings import describe
from snnfp._silence import SilenceWatch
from snnfp._stepper import Stepper
from snnfp.augment import Compose, _OfInputs, composed
from snnfp.bounds import domain_of
from snnfp.errors import FormatError
from snnfp.frozen import frozen_of
from snnfp.gradients import check_mode
from snnfp.groups import Readout
from snnfp.losses import output_of, readout_of
from snnfp.network import Network
from snnfp.optim import Optimiser, check_clip_norm, check_optimiser
from snnfp.parameter_groups import bounds_with, check_groups, ranges_of
from snnfp.ranks import Ranks
from snnfp.remedies import LabelBump, Remedy
from snnfp.schedules import Constant, Schedule, check_schedule
from snnfp.simulate import end_of
from snnfp.training_state import Checkpoint

__all__ = ["Plan", "check_callbacks", "resolve_options"]

_DEFAULTS: dict[str, Any] = {
    "batch_size": 32, "schedule": Constant(), "wrt": "*.weight", "until": None, "mode": "reverse",
    "seed": 0, "clip_norm": None, "bounds": {}, "groups": {}, "frozen": {}, "average": None,
    "accumulate": 1, "remedies": (), "augment": None,
}  # fmt: skip


def resolve_options(
    net: Network, asked: dict[str, Any], saved: Checkpoint | None
) -> dict[str, Any]:
    """What is asked for; where nothing is, what the run to go on from had, or the default.

    Raises:
        FormatError: settings of the run that no training can have had.
    """
    given = {k: v for k, v in asked.items() if v is not None}
    if saved is None:
        return {**_DEFAULTS, **given}
    taken = {k: saved.setting(k, v) for k, v in _DEFAULTS.items() if k not in given}
    try:
        wrt = tuple(saved.figures["names"])
        names = _check_options(net, {**_DEFAULTS, **taken, "wrt": wrt})
        bounds = bounds_with(taken.get("bounds", {}), taken.get("groups", {}))
        domain_of(net, names, bounds, saved.figures["floors"])
    except (TypeError, ValueError, KeyError) as error:
        raise FormatError(f"{saved.path}: {error.args[0]}") from error
    return {**_DEFAULTS, **taken, **given}


def _check_options(net: Network, options: dict[str, Any]) -> tuple[str, ...]:
    """Raises unless each is of use; returns the names of the trained parameters."""
    if options["until"] is not None:
        end_of(real_number(options["until"], "until"), net.dtype)
    count(options["batch_size"], "batch_size")
    check_schedule(options["schedule"])
    check_mode(options["mode"])
    if options["clip_norm"] is not None:
        check_clip_norm(options["clip_norm"])
    seed = options["seed"]
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}, expected an integer of at least 0")
    names = trainable(net, options["wrt"])
    _check_remedies(net, names, options["remedies"])
    _check_augment(net, composed(options["augment"]))
    count(options["accumulate"], "accumulate")
    average = options["average"]
    if average is not None and not 0 <= real_number(average, "average") < 1:
        raise ValueError(f"average is {average}, expected 0 <= average < 1, or None for none")
    check_groups(net, names, options["groups"])
    frozen_of(net, names, options["frozen"])
    return names


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained and how; all of it checked.

    ``no_further`` are the options that end each sample where nothing that reads it needs more;
    ``accumulate`` batches make a step, which ``ranks`` share.
    """

    net: Network
    train: DataSet
    validation: DataSet | None
    loss: Any
    optimiser: Optimiser
    batch_size: int
    schedule: Schedule
    names: tuple[str, ...]
    until: float | None
    mode: str
    seed: int
    accumulate: int
    stepper: Stepper
    remedies: tuple[Remedy, ...]
    silence: SilenceWatch
    no_further: dict[str, Any]
    settings: dict[str, Any]
    n_threads: int | None
    ranks: Ranks

    @staticmethod
    def of(
        net: Network,
        train: Data,
        validation: Data | None,
        loss: Any,
        optimiser: Optimiser,
        options: dict[str, Any],
        saved: Checkpoint | None,
        n_threads: int | None,
        ranks: Ranks,
    ) -> Plan:
        check_setting(net, loss)
        names = _check_options(net, options)
        ranks.check_accumulate(int(options["accumulate"]))
        until = options["until"]
        check_end(loss, until)
        data = DataSet(net, loss, train, "train", composed(options["augment"]))
        if options["augment"]:
            _try_augment(data, int(options["batch_size"]), int(options["seed"]))
        held_out = None if validation is None else DataSet(net, loss, validation, "validation")
        check_optimiser(optimiser)
        if saved is not None and saved.figures["names"] != list(names):
            raise FormatError(
                f"{saved.path} was training {saved.figures['names']}, expected {list(names)}"
            )
        remedies = tuple(options["remedies"])
        _check_readouts(net, loss, remedies)
        floors = saved.figures["floors"] if saved is not None else None
        frozen = frozen_of(net, names, options["frozen"])
        settings = {k: describe(v) for k, v in options.items()}
        settings["wrt"] = list(names)
        settings |= {"optimiser": describe(optimiser), "loss": describe(loss)}
        settings["training samples"] = len(data)
        no_further = _no_further(net, loss, remedies, data.accuracy)
        return Plan(
            net=net,
            train=data,
            validation=held_out,
            loss=loss,
            optimiser=optimiser,
            batch_size=int(options["batch_size"]),
            schedule=options["schedule"],
            names=names,
            until=until,
            mode=options["mode"],
            seed=int(options["seed"]),
            accumulate=int(options["accumulate"]),
            stepper=Stepper(
                net=net,
                names=names,
                optimiser=optimiser,
                schedule=options["schedule"],
                clip_norm=options["clip_norm"],
                groups=options["groups"],
                domain=domain_of(
                    net,
                    names,
                    bounds_with(options["bounds"], options["groups"]),
                    floors,
                    ranges_of(net, names, options["groups"]),
                    frozen,
                ),
                frozen=frozen,
                average=options["average"],
                n_threads=n_threads,
            ),
            remedies=remedies,
            silence=SilenceWatch(
                net,
                loss,
                labels=data.labels if data.accuracy else None,
                remedies=remedies,
                clip_norm=options["clip_norm"],
                stop_after=no_further.get("stop_after", ()),
            ),
            no_further=no_further,
            settings=settings,
            n_threads=n_threads,
            ranks=ranks,
        )

    def described(self, epochs: int, early_stopping: Any, resumes: bool) -> dict[str, Any]:
        """What ranks must have in common, in words and digests."""
        held_out = self.validation
        begins = {} if resumes else {"parameters": describe(dict(self.net.parameters))}
        return {
            "version": version,
            "network": self.net.structure(),
            "train": self.train.described(),
            "validation": None if held_out is None else held_out.described(),
            "epochs": epochs,
            "early_stopping": describe(early_stopping),
            "resume": resumes,
            "settings": self.settings,
            **begins,
        }

    def figures(self) -> list[str]:
        """Names of the figures of the history that can be better or worse."""
        known = ["loss", *(["accuracy"] if self.train.accuracy else [])]
        if self.validation is not None:
            known += ["validation_loss"]
            known += ["validation_accuracy"] if self.validation.accuracy else []
        known += ["norm", "clipped", "remedied", "min_slope", "near_tangent"]
        known += [f"{k}/{p}" for p in self.stepper.groups for k in ("norm", "clipped")]
        each = [f"{k}/{name}" for k in ("silent", "spikes") for name in self.net.populations]
        return [*known, *each, "deliveries"]


def _no_further(
    net: Network, loss: Any, remedies: tuple[Remedy, ...], accuracy: bool
) -> dict[str, Any]:
    """How far samples are simulated for a step: what loss, accuracy and remedies need of them.

    Silent fractions, ``min_slope`` and ``near_tangent`` of the history are those of what was
    simulated, and ask for nothing.
    """
    needed = [looked_at(loss, net, "__call__"), *(looked_at(r, net, "__call__") for r in remedies)]
    if accuracy:
        needed += [looked_at(loss, net, "accuracy", "predict")]
        needed += [(output_of(net, loss).name,)]
    return no_further_than(net, needed)


def _check_augment(net: Network, augment: Any, name: str = "augment") -> None:
    if augment is None:
        return
    _check_call(augment, name, "spikes", "labels", "rng")
    for k, part in enumerate(augment.parts if isinstance(augment, Compose) else ()):
        _check_augment(net, part, f"{name}[{k}]")
    if isinstance(augment, _OfInputs):
        augment.check(net)


def _try_augment(data: DataSet, batch_size: int, seed: int) -> None:
    """Raises what the first batch would raise, before a step is taken."""
    chosen = np.arange(min(batch_size, len(data)))
    try:
        data.batch(chosen, (seed, 0, 0))
    except Exception as error:
        error.add_note(f"augment was tried on samples 0 to {chosen[-1]} before the first step")
        raise


def _check_remedies(net: Network, names: tuple[str, ...], given: Any) -> None:
    if callable(given) or not isinstance(given, (list, tuple)):
        raise TypeError(f"remedies is {given!r}, expected a list of them (see snnfp.remedies)")
    for k, remedy in enumerate(given):
        _check_call(remedy, f"remedies[{k}]", "net", "record", "labels", "gradients")
        if hasattr(remedy, "check"):
            remedy.check(net, names)


def _check_readouts(net: Network, loss: Any, remedies: tuple[Remedy, ...]) -> None:
    """Raises if labels are looked for in one population by a remedy, in another by the loss."""
    if not hasattr(loss, "population"):
        return
    output = output_of(net, loss)
    readout = output.name
    for k, remedy in enumerate(remedies):
        if isinstance(remedy, LabelBump):
            if isinstance(output, Readout):
                raise ValueError(
                    f"remedies[{k}] is {remedy!r}, which helps silent outputs, but the loss reads "
                    f"readout {readout}, which has no spikes: leave it out"
                )
            other = readout_of(net, remedy.population).name
            if other != readout:
                raise ValueError(
                    f"remedies[{k}] is {remedy!r}, which looks for labels in population {other}, "
                    f"the loss in {readout}: expected population={readout!r}"
                )


def check_callbacks(given: Any) -> None:
    """Raises TypeError unless it is a list of functions that take a history and a network."""
    if callable(given) or not isinstance(given, (list, tuple)):
        raise TypeError(f"callbacks is {given!r}, expected a list of functions (history, net)")
    for k, callback in enumerate(given):
        _check_call(callback, f"callbacks[{k}]", "history", "net")


def _check_call(function: Any, name: str, *arguments: str) -> None:
    """Raises unless it can be called with so many arguments, as far as Python can tell."""
    expected = f"expected f({', '.join(arguments)})"
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"{name} is {function!r}, {expected}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; {expected}") from error
