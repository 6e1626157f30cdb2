"""Where a training stands: what a checkpoint holds, and how one is gone on from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import freeze
from snnfp._model_files import check_same_network, header, take_parameters
from snnfp._settings import describe, revive
from snnfp._stepper import Stepper
from snnfp.checkpoint import ArrayFile, save_arrays
from snnfp.errors import FormatError
from snnfp.history import EarlyStopping, History
from snnfp.network import Network

__all__ = ["Checkpoint", "Run", "read_checkpoint", "read_figures"]

Arrays = dict[str, NDArray[Any]]


_GROUPS = ("parameter", "optimiser", "best", "raw", "free")


@dataclass(frozen=True)
class Checkpoint:
    """What a file of :meth:`Run.save` holds, its form checked but not yet its values.

    Attributes:
        path: of the file.
        arrays: by group (``parameter``, ``optimiser``, ``best``, ``raw``, ``free``) and name.
        figures: epoch, step, seed and the like.
        settings: what the training was asked for, as :func:`snnfp._settings.describe` puts it.
    """

    path: str
    arrays: dict[str, Arrays]
    figures: dict[str, Any]
    settings: dict[str, Any]

    def setting(self, name: str, default: Any) -> Any:
        """A setting of the run, ready to use.

        Raises:
            ValueError: it is a user's own object, which a file cannot hold.
            FormatError: it is damaged.
        """
        if name not in self.settings:
            return default
        try:
            return revive(self.settings[name])
        except LookupError as error:
            raise ValueError(
                f"{self.path} was trained with {name} = {error.args[0]}, which a file cannot "
                f"hold: give {name}=... again"
            ) from error
        except (TypeError, ValueError) as error:
            raise FormatError(f"{self.path}: {name}: {error}") from error


def read_checkpoint(path: str | Path, net: Network) -> Checkpoint:
    """Reads a training checkpoint of a network.

    Raises:
        FormatError: damaged, no training checkpoint, or one of another network.
        FileNotFoundError: there is no such file.
    """
    file = ArrayFile(path)
    check_same_network(net, file, "is a checkpoint")
    figures = read_figures(file)
    groups: dict[str, Arrays] = {group: {} for group in _GROUPS}
    for key in file.names:
        group, _, name = key.partition("/")
        if group not in groups:
            known = [f"{g}/" for g in _GROUPS]
            raise FormatError(
                f"{path} holds {key!r}, expected {', '.join(known[:-1])} or {known[-1]}"
            )
        groups[group][name] = file.read(key)
    return Checkpoint(str(path), groups, figures, figures["settings"])


def read_figures(file: ArrayFile) -> dict[str, Any]:
    """Epoch, history and the like of a training checkpoint, without its arrays.

    Raises:
        FormatError: damaged, or no training checkpoint.
    """
    if "training" not in file.metadata:
        raise FormatError(
            f"{file.path} is not a training checkpoint: it lacks 'training', as a model file does"
        )
    try:
        figures: dict[str, Any] = file.json("training")
        _check_figures(figures)
    except FormatError as error:
        raise FormatError(f"{file.path} is not a training checkpoint: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{file.path} is not a training checkpoint: {_text(error)}") from error
    return figures


def _text(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return str(error) or type(error).__name__


def _check_figures(figures: Any) -> None:
    """Raises KeyError, TypeError or ValueError unless the form is what :meth:`Run.save` writes."""
    if not isinstance(figures, dict):
        raise TypeError(f"its figures are a {type(figures).__name__}, expected a mapping")
    figures.setdefault("averaged", 0)  # files of before there were averages
    for key in ("epoch", "step", "seed", "waited", "averaged"):
        if type(figures[key]) is not int or not 0 <= figures[key] < 2**63:
            raise ValueError(f"{key} is {figures[key]!r}, expected an integer >= 0")
    names = figures["names"]
    if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
        raise TypeError(f"names is {names!r}, expected a list of names")
    best, metric = figures["best_value"], figures["metric"]
    if not (best is None or _is_number(best)) or (best is None) != (metric is None):
        raise ValueError(f"best_value is {best!r} of {metric!r}, expected a number and its name")
    if not (metric is None or isinstance(metric, str)):
        raise TypeError(f"metric is {metric!r}, expected a name")
    for key in ("history", "settings", "floors"):
        if not isinstance(figures[key], dict):
            raise TypeError(f"{key} is {figures[key]!r}, expected a mapping")
    for key, values in figures["history"].items():
        if not isinstance(values, list) or len(values) != figures["epoch"]:
            raise ValueError(f"history: {key} has not one entry for each of the epochs")
        if not all(_is_number(x) or (type(x) is float and math.isnan(x)) for x in values):
            raise ValueError(f"history: {key} holds what is no number")
    if not figures["history"] and figures["epoch"]:
        raise ValueError("the history is empty")
    if metric is not None and metric not in figures["history"]:
        raise ValueError(f"metric is {metric!r}, which is not in the history")
    for key, floor in figures["floors"].items():
        if not (_is_number(floor) and floor > 0):
            raise ValueError(f"the floor of {key} is {floor!r}, expected a number > 0")


def _is_number(x: Any) -> bool:
    return (type(x) is float and not math.isnan(x)) or (type(x) is int and abs(x) < 2**1000)


@dataclass
class Run:
    """Where a training stands.

    Attributes:
        net: the network, whose parameters are those after the last whole step.
        names: of the trained parameters.
        state: of the optimiser.
        seed: of the order of samples.
        settings: described, to be compared by whoever goes on.
        floors: see :class:`snnfp.bounds.Domain`.
        free: free variables of the parameters that have a transform.
        averages: of the trained parameters, if an average is kept, after ``averaged`` steps.
        raw: the parameters themselves, while the network has their averages; else empty.
        epoch: whole epochs done.
        step: steps done.
        stopped: whether nothing is to follow.
        best: parameters of the best epoch, ``best_value`` of ``metric``; ``waited`` epochs ago.
    """

    net: Network
    names: tuple[str, ...]
    state: Arrays
    seed: int
    settings: dict[str, Any]
    floors: Mapping[str, float]
    free: Arrays = field(default_factory=dict)
    raw: Arrays = field(default_factory=dict)
    averages: Arrays = field(default_factory=dict)
    averaged: int = 0
    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: History = field(default_factory=History)
    best: Arrays = field(default_factory=dict)
    best_value: float | None = None
    metric: str | None = None
    waited: int = 0

    def apply(self, rule: EarlyStopping | None) -> None:
        """Takes note of the epoch's figure, and stops if the rule says so."""
        if rule is None:
            return
        now = self.history.last(rule.metric)
        if math.isnan(now):
            raise ValueError(
                f"early stopping looks at {rule.metric!r}, which is nan, expected a number"
            )
        if self.best_value is None or rule.better(now, self.best_value):
            self.best_value, self.metric, self.waited = now, rule.metric, 0
            self.best = {n: self.net.parameters[n] for n in self.names}
        else:
            self.waited += 1
        self.stopped = rule.reached(now) or self.waited >= rule.patience

    def begin_average(self, wanted: bool) -> None:
        """Keeps an average from now on, goes on with it, or drops it."""
        if not wanted:
            self.show_raw()
            self.averages, self.averaged = {}, 0
        elif not self.averages:
            self.averages = {n: self.net.parameters[n] for n in self.names}

    def show_average(self) -> None:
        """Gives the network the averaged parameters, if an average is kept."""
        if self.averages and not self.raw:
            raw = {n: self.net.parameters[n] for n in self.names}
            self.net._replace(self.averages, fresh=True)
            self.raw = raw

    def show_raw(self) -> None:
        """Gives the network the parameters themselves, if it has their averages."""
        if self.raw:
            self.net._replace(self.raw, fresh=True)
            self.raw = {}

    def take_note_of_changes(self, stepper: Stepper) -> None:
        """What somebody has put into the network between epochs is gone on from."""
        if self.raw:
            for name in self.names:
                now = self.net.parameters[name]
                if now is not self.averages[name]:
                    self.raw[name] = self.averages[name] = now
        own = self.raw or {n: self.net.parameters[n] for n in self.free}
        self.free = stepper.free_now(own, self.free)

    def forget_best(self) -> None:
        """No figure is looked at, or another one."""
        self.best, self.best_value, self.metric, self.waited = {}, None, None, 0

    def described(self) -> Any:
        """The trained parameters, in digests."""
        return describe({n: self.net.parameters[n] for n in self.names})

    def save(self, path: str | Path) -> None:
        """Writes a checkpoint, atomically."""
        arrays = {f"parameter/{k}": v for k, v in self.net.parameters.items()}
        arrays |= {f"optimiser/{k}": v for k, v in self.state.items()}
        arrays |= {f"best/{k}": v for k, v in self.best.items()}
        arrays |= {f"raw/{k}": v for k, v in self.raw.items()}
        arrays |= {f"free/{k}": v for k, v in self.free.items()}
        figures = {
            "epoch": self.epoch,
            "step": self.step,
            "seed": self.seed,
            "best_value": self.best_value,
            "metric": self.metric,
            "waited": self.waited,
            "averaged": self.averaged,
            "names": list(self.names),
            "floors": dict(self.floors),
            "settings": self.settings,
            "history": self.history.epochs,
        }
        save_arrays(path, arrays, {"training": json.dumps(figures), **header(self.net)})

    def restore(self, saved: Checkpoint, optimiser: Any, stepper: Stepper) -> None:
        """Takes over what a checkpoint holds, all of it or nothing.

        Raises:
            FormatError: arrays that are not those of this training.
            ValueError: parameters out of the range of a transform that is new.
        """
        state, best = saved.arrays["optimiser"], saved.arrays["best"]
        if set(state) != set(self.state):
            raise FormatError(
                f"{saved.path} holds the state of another optimiser than this "
                f"{type(optimiser).__name__}: {sorted(state)}, "
                f"expected {sorted(self.state)}"
            )
        for key, value in self.state.items():
            self._check_array(saved.path, f"optimiser/{key}", state[key], value)
        if hasattr(optimiser, "check_state"):
            try:
                optimiser.check_state(state)
            except ValueError as error:
                raise FormatError(f"{saved.path}: optimiser: {error}") from error
        raw, free = saved.arrays["raw"], saved.arrays["free"]
        for group, given, expected in (
            ("raw", raw, set(self.names) if raw else set()),
            ("free", free, set(self.free)),
        ):
            if set(given) != expected:
                raise FormatError(
                    f"{saved.path} holds {group}/ of {sorted(given)}, expected {sorted(expected)}"
                )
            for key, value in given.items():
                self._check_array(saved.path, f"{group}/{key}", value, self.net.parameters[key])
        if best and set(best) != set(self.names):
            raise FormatError(
                f"{saved.path} holds best/{', best/'.join(sorted(best))}, expected the trained "
                f"parameters {', '.join(self.names)}"
            )
        for key, value in best.items():
            self._check_array(saved.path, f"best/{key}", value, self.net.parameters[key])
        for key, value in saved.arrays["parameter"].items():
            if key in self.net.parameters:  # others are refused below
                self._check_array(saved.path, f"parameter/{key}", value, self.net.parameters[key])
        before = {k: v for k, v in self.net._values.items() if v is not None}
        try:
            for others in filter(None, (best, raw)):  # legal too, which shows when they are set
                take_parameters(self.net, {**saved.arrays["parameter"], **others}, saved.path)
            take_parameters(self.net, saved.arrays["parameter"], saved.path)
            free = stepper.resumed(raw or self.net.parameters, free)
        except ValueError:
            self.net._replace(before)
            raise
        figures = saved.figures
        self.state = {k: np.array(v) for k, v in state.items()}  # changed in place
        self.best, self.free, self.averaged = best, free, figures["averaged"]
        self.raw = {k: freeze(np.array(v)) for k, v in raw.items()}
        self.averages = {n: self.net.parameters[n] for n in raw}
        self.epoch, self.step, self.waited = (figures[k] for k in ("epoch", "step", "waited"))
        self.best_value, self.metric = figures["best_value"], figures["metric"]
        self.history = History({k: [float(x) for x in v] for k, v in figures["history"].items()})

    def _check_array(self, path: str, key: str, value: NDArray[Any], like: NDArray[Any]) -> None:
        if value.dtype != like.dtype or value.shape != like.shape:
            raise FormatError(
                f"{path}: {key} is {value.dtype} of shape {self._shape(key, value)}, expected "
                f"{like.dtype} of shape {self._shape(key, like)}"
            )
        bad = np.argwhere(np.isnan(value))
        if len(bad):  # of one number, bad has no columns
            at = tuple(bad[0].tolist())
            raise FormatError(f"{path}: {key}{list(at) if at else ''} is nan, expected a number")

    def _shape(self, key: str, value: NDArray[Any]) -> str:
        """The shape, and of delays what they belong to."""
        projections = self.net.projections.values()
        named = [p for p in projections if key.endswith(f"/{p.name}.delay")]
        of = max(named, key=lambda p: len(p.name), default=None)
        kind = of.delays_are(value.shape) if of else None
        return f"{value.shape} ({kind})" if kind else f"{value.shape}"
