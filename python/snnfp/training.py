"""Training: batches, validation, history, early stopping, checkpoints and bitwise resume."""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._model_files import check_same_network
from snnfp.checkpoint import ArrayFile, save_arrays
from snnfp.errors import FormatError, MissingDependencyError, SilentPopulationWarning, require
from snnfp.gradients import value_and_grad
from snnfp.network import Network, Selection
from snnfp.optim import Optimiser, check_clip_norm, clip_by_norm
from snnfp.record import Record
from snnfp.remedies import Remedy
from snnfp.schedules import Constant, Schedule
from snnfp.simulate import simulate
from snnfp.spikes import Spikes

__all__ = ["DEFAULT_BOUNDS", "Data", "EarlyStopping", "Evaluation", "History", "evaluate", "fit"]

Data = tuple[Spikes, Any]
Bounds = Mapping[str, tuple[float | None, float | None]]
Callback = Callable[["History", Network], bool | None]

# After a step, parameters are put back into their domain, where a gradient may lead them out of it.
_SMALL = 1e-6
DEFAULT_BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "*.delay": (0.0, None),
    "*.t_refractory": (0.0, None),
    "*.tau_mem": (_SMALL, None),
    "*.tau_syn": (_SMALL, None),
    "*.capacitance": (_SMALL, None),
}


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stops when a figure of the history has not improved for ``patience`` epochs.

    Args:
        patience: epochs without improvement, at least 1.
        metric: a figure of the history; ``*loss`` should fall, all others rise.
        restore: put the parameters of the best epoch back at the end.
        target: stop as soon as the figure is this good.
    """

    patience: int = 10
    metric: str = "validation_accuracy"
    restore: bool = True
    target: float | None = None

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"patience is {self.patience}, expected at least 1")

    def better(self, new: float, old: float) -> bool:
        """Whether ``new`` is an improvement."""
        return new < old if self.metric.endswith("loss") else new > old


@dataclass
class History:
    """Figures of each epoch, by name; all lists have one entry an epoch.

    ``loss``, ``accuracy``, ``validation_loss``, ``validation_accuracy`` (if there is validation),
    ``lr``, ``seconds``, ``min_slope``, ``near_tangent``, ``clipped`` (batches whose gradient was
    clipped), ``remedied`` (what the remedies helped, summed over batches) and
    ``silent/<population>``: the fraction of its neurons that fired in no sample of the epoch's last
    batch.
    """

    epochs: dict[str, list[float]] = field(default_factory=dict)

    def append(self, figures: Mapping[str, float]) -> None:
        """Adds an epoch."""
        for key, value in figures.items():
            self.epochs.setdefault(key, []).append(float(value))

    def __getitem__(self, key: str) -> list[float]:
        return self.epochs[key]

    def __len__(self) -> int:
        return len(self.epochs.get("loss", []))

    def last(self, key: str) -> float:
        """The figure of the last epoch."""
        return self.epochs[key][-1]


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`evaluate`: mean loss, accuracy (nan without classes), silent fractions."""

    loss: float
    accuracy: float
    silent: dict[str, float]


def _samples(labels: Any, chosen: NDArray[np.int64]) -> Any:
    return labels.take(chosen) if isinstance(labels, Spikes) else np.asarray(labels)[chosen]


def _accuracy(loss: Any, record: Record, labels: Any) -> float:
    """Of class labels; nan for targets that are no classes."""
    if not hasattr(loss, "accuracy") or isinstance(labels, Spikes):
        return math.nan
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        return math.nan
    return float(loss.accuracy(record, array))


def evaluate(
    net: Network,
    spikes: Spikes,
    labels: Any,
    loss: Any,
    *,
    until: float | None = None,
    batch_size: int = 512,
    n_threads: int | None = None,
) -> Evaluation:
    """Mean loss and accuracy over a data set.

    Args:
        net: the network.
        spikes: its input.
        labels: for the loss.
        loss: see :mod:`snnfp.losses`.
        until: end of the simulation.
        batch_size: samples simulated together.
        n_threads: None: all.
    """
    total = hits = 0.0
    fired = {name: np.zeros(p.size, dtype=bool) for name, p in net.populations.items()}
    for begin in range(0, len(spikes), batch_size):
        chosen = np.arange(begin, min(len(spikes), begin + batch_size))
        part = _samples(labels, chosen)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SilentPopulationWarning)
            record = simulate(net, spikes.take(chosen), until=until, n_threads=n_threads)
        total += loss(record, part)[0] * chosen.size
        hits += _accuracy(loss, record, part) * chosen.size
        for name in net.populations:
            fired[name] |= record.fires(name)
    silent = {name: float(np.mean(~f)) for name, f in fired.items()}
    return Evaluation(total / len(spikes), hits / len(spikes), silent)


def fit(
    net: Network,
    train: Data,
    *,
    loss: Any,
    optimiser: Optimiser,
    epochs: int,
    batch_size: int = 32,
    validation: Data | None = None,
    schedule: Schedule | None = None,
    wrt: Selection = "*.weight",
    until: float | None = None,
    mode: str = "reverse",
    seed: int = 0,
    clip_norm: float | None = None,
    bounds: Bounds | None = None,
    remedies: Sequence[Remedy] = (),
    callbacks: Sequence[Callback] = (),
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool = True,
    n_threads: int | None = None,
) -> History:
    """Trains a network in place (its parameters are replaced after each batch).

    Args:
        net: an initialised network.
        train: spikes and labels.
        loss: see :mod:`snnfp.losses`.
        optimiser: see :mod:`snnfp.optim`.
        epochs: passes over the training data, counted from the very beginning when resuming.
        batch_size: samples a step; the last batch of an epoch may be smaller.
        validation: spikes and labels held out; evaluated after each epoch.
        schedule: factor of the learning rate; see :mod:`snnfp.schedules`.
        wrt: names or patterns of the trained parameters.
        until: end of each simulation.
        mode: ``"reverse"`` or ``"forward"``.
        seed: of the order of samples; epoch e is shuffled by (seed, e).
        clip_norm: scale gradients down to this norm; None: never. Clipped batches are counted.
        bounds: ``{pattern: (low, high)}`` that parameters are put back into after a step, beside
            ``DEFAULT_BOUNDS`` (delays >= 0, time constants > 0).
        remedies: heuristics for silent neurons, whose terms are added to the exact gradient
            (before it is clipped); see :mod:`snnfp.remedies`.
        callbacks: called with (history, net) after each epoch; True stops.
        early_stopping: when to stop early.
        checkpoint: file to write after each epoch, atomically.
        resume: checkpoint to go on from; the result is bitwise that of an uninterrupted run.
        progress: show a progress bar (with tqdm; without it, says so once).
        n_threads: None: all; the result is the same for any number.

    Returns:
        The history.

    Raises:
        FormatError: ``resume`` is damaged or belongs to another network.
        ValueError: bad arguments or data.

    Warns:
        SilentPopulationWarning: once, if a population fires no spike in a batch.
    """
    for name, data in (("train", train), ("validation", validation)):
        if data is not None:
            _check_data(net, name, data, loss)
    spikes, labels = train
    for name, count in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
            raise ValueError(f"{name} is {count!r}, expected an integer of at least 1")
    if clip_norm is not None:
        check_clip_norm(clip_norm)
    if early_stopping is not None:
        _check_metric(net, early_stopping.metric, validation is not None)
    if checkpoint is not None:
        require("safetensors", extra="train")  # rather now than after the first epoch
    names = tuple(n for n in net.select(wrt) if n in net.parameters)
    if not names:
        raise ValueError(f"wrt = {wrt!r} names no parameter of the network that can be trained")
    limits = _limits(names, {**DEFAULT_BOUNDS, **(bounds or {})})
    factor = schedule or Constant()
    run = _Run(net, names, optimiser.init({n: net.parameters[n] for n in names}), seed)
    if resume is not None:
        run.load(Path(resume))
    with _bar(epochs, run.epoch, progress) as report:
        while run.epoch < epochs and not run.stopped:
            start = time.perf_counter()
            figures: dict[str, float] = dict.fromkeys(
                ("loss", "accuracy", "near_tangent", "clipped", "remedied"), 0.0
            )
            figures["min_slope"] = math.inf
            order = np.random.default_rng([run.seed, run.epoch]).permutation(len(spikes))
            for begin in range(0, len(spikes), batch_size):
                chosen = order[begin : begin + batch_size]
                part = _samples(labels, chosen)
                value, gradients, record = value_and_grad(
                    net,
                    spikes.take(chosen),
                    part,
                    loss,
                    wrt=names,
                    until=until,
                    mode=mode,
                    n_threads=n_threads,
                    return_record=True,
                )
                for remedy in remedies:
                    gradients, helped = remedy(net, record, part, gradients)
                    figures["remedied"] += float(helped)
                if clip_norm is not None:
                    gradients, clipped = clip_by_norm(gradients, clip_norm)
                    figures["clipped"] += float(clipped)
                parameters, run.state = optimiser.update(
                    {n: net.parameters[n] for n in names},
                    gradients,
                    run.state,
                    factor=factor(run.step, run.epoch),
                )
                for n in names:
                    low, high = limits[n]
                    bounded = low is not None or high is not None
                    net.parameters[n] = (
                        np.clip(parameters[n], low, high) if bounded else parameters[n]
                    )
                run.step += 1
                share = chosen.size / len(spikes)
                figures["loss"] += value * share
                figures["accuracy"] += _accuracy(loss, record, part) * share
                figures["min_slope"] = min(figures["min_slope"], record.min_slope)
                figures["near_tangent"] += record.near_tangent
            figures["lr"] = optimiser.lr * factor(run.step - 1, run.epoch)
            figures |= {f"silent/{k}": v for k, v in record.silent_fraction().items()}
            if validation is not None:
                seen = evaluate(net, *validation, loss, until=until, n_threads=n_threads)
                figures["validation_loss"] = seen.loss
                figures["validation_accuracy"] = seen.accuracy
            figures["seconds"] = time.perf_counter() - start
            run.history.append(figures)
            run.epoch += 1
            run.look(early_stopping)
            if any([callback(run.history, net) for callback in callbacks]):
                run.stopped = True
            if checkpoint is not None:
                run.save(Path(checkpoint))
            report(figures)
    if early_stopping is not None and early_stopping.restore and run.best:
        for n, best in run.best.items():
            net.parameters[n] = best
    return run.history


def _check_data(net: Network, name: str, data: Data, loss: Any) -> None:
    """What can be told before the first step, so that nothing is lost to a wrong label later."""
    spikes, labels = data
    if not isinstance(spikes, Spikes):
        raise TypeError(f"{name}[0] is a {type(spikes).__name__}, expected snnfp.Spikes")
    if len(labels) != len(spikes):
        raise ValueError(
            f"{name}: {len(labels)} labels for {len(spikes)} samples, expected one a sample"
        )
    if hasattr(loss, "check"):
        loss.check(net, labels, len(spikes))


def _check_metric(net: Network, metric: str, validated: bool) -> None:
    known = ["loss", "accuracy", "near_tangent", "clipped", "remedied", "min_slope", "lr"]
    known += [f"silent/{name}" for name in net.populations]
    if validated:
        known += ["validation_loss", "validation_accuracy"]
    if metric not in known:
        raise ValueError(f"early stopping looks at {metric!r}, expected one of: {', '.join(known)}")


def _limits(names: tuple[str, ...], bounds: Bounds) -> dict[str, tuple[Any, Any]]:
    out: dict[str, tuple[Any, Any]] = {}
    for name in names:
        low: float | None = None
        high: float | None = None
        for pattern, (lower, upper) in bounds.items():
            if fnmatchcase(name, pattern):
                low = lower if low is None else max(low, lower) if lower is not None else low
                high = upper if high is None else min(high, upper) if upper is not None else high
        out[name] = (low, high)
    return out


class _Run:
    """Where a training stands: all that a checkpoint holds."""

    def __init__(
        self, net: Network, names: tuple[str, ...], state: dict[str, NDArray[Any]], seed: int
    ) -> None:
        self.net = net
        self.names = names
        self.state = state
        self.seed = seed
        self.epoch = 0
        self.step = 0
        self.stopped = False
        self.history = History()
        self.best: dict[str, NDArray[Any]] = {}
        self.best_value: float | None = None
        self.waited = 0

    def look(self, rule: EarlyStopping | None) -> None:
        if rule is None:
            return
        now = self.history.last(rule.metric)
        if self.best_value is None or rule.better(now, self.best_value):
            self.best_value, self.waited = now, 0
            self.best = {n: self.net.parameters[n] for n in self.names}
        else:
            self.waited += 1
        reached = rule.target is not None and not rule.better(rule.target, now)
        self.stopped = reached or self.waited >= rule.patience

    def save(self, path: Path) -> None:
        arrays = {f"parameter/{k}": v for k, v in self.net.parameters.items()}
        arrays |= {f"optimiser/{k}": v for k, v in self.state.items()}
        arrays |= {f"best/{k}": v for k, v in self.best.items()}
        figures = {
            "epoch": self.epoch,
            "step": self.step,
            "seed": self.seed,
            "stopped": self.stopped,
            "best_value": self.best_value,
            "waited": self.waited,
            "names": list(self.names),
            "history": asdict(self.history)["epochs"],
        }
        metadata = {
            "training": json.dumps(figures),
            "structure": json.dumps(self.net.structure()),
            "fingerprint": self.net.fingerprint(),
        }
        save_arrays(path, arrays, metadata)

    def load(self, path: Path) -> None:
        file = ArrayFile(path)
        check_same_network(self.net, file, "is a checkpoint")
        if "training" not in file.metadata:
            raise FormatError(f"{path} is not a training checkpoint: it may be a model file")
        arrays = {name: file.read(name) for name in file.names}
        try:
            figures = file.json("training")
            if figures["names"] != list(self.names):
                raise FormatError(
                    f"{path} was training {figures['names']}, expected {list(self.names)}"
                )
            self.epoch, self.step = int(figures["epoch"]), int(figures["step"])
            self.seed, self.waited = int(figures["seed"]), int(figures["waited"])
            self.stopped, self.best_value = bool(figures["stopped"]), figures["best_value"]
            self.history = History({k: list(v) for k, v in figures["history"].items()})
        except FormatError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise FormatError(f"{path} is not a training checkpoint: {error!r}") from error
        groups: dict[str, dict[str, NDArray[Any]]] = {"parameter": {}, "optimiser": {}, "best": {}}
        for key, value in arrays.items():
            group, _, name = key.partition("/")
            if group not in groups:
                raise FormatError(f"{path} holds {key!r}, expected parameter/, optimiser/ or best/")
            groups[group][name] = value
        if set(groups["optimiser"]) != set(self.state):
            raise FormatError(
                f"{path} holds the state of another optimiser: {sorted(groups['optimiser'])}, "
                f"expected {sorted(self.state)}"
            )
        for key, value in self.state.items():
            if groups["optimiser"][key].shape != value.shape:
                raise FormatError(
                    f"{path}: {key} of the optimiser has shape {groups['optimiser'][key].shape}, "
                    f"expected {value.shape}"
                )
        for name, value in groups["best"].items():
            if name not in self.names or value.shape != self.net.parameters[name].shape:
                raise FormatError(f"{path}: best/{name} is no trained parameter of the network")
        self.net.take_file(groups["parameter"], str(path))
        self.state, self.best = groups["optimiser"], groups["best"]


_told_about_tqdm = False


@contextlib.contextmanager
def _bar(epochs: int, done: int, wanted: bool) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """A progress bar over epochs, or nothing."""
    global _told_about_tqdm
    tqdm: Any = None
    if wanted:
        try:
            tqdm = require("tqdm.auto", extra="train").tqdm
        except MissingDependencyError as error:
            if not _told_about_tqdm:
                print(f"no progress bar: {error}")
                _told_about_tqdm = True
    if tqdm is None:
        yield lambda figures: None
        return
    with tqdm(total=epochs, initial=done, unit="epoch") as bar:

        def report(figures: Mapping[str, float]) -> None:
            shown = {"loss": f"{figures['loss']:.4f}", "train": f"{figures['accuracy']:.4f}"}
            if "validation_accuracy" in figures:
                shown["validation"] = f"{figures['validation_accuracy']:.4f}"
            silent = [
                f"{k[7:]} {v:.0%}" for k, v in figures.items() if k.startswith("silent/") and v
            ]
            if silent:
                shown["silent"] = " ".join(silent)
            bar.set_postfix(shown)
            bar.update(1)

        yield report
