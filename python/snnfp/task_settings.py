"""The settings of a training run of ``snnfp train``, each checked where it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from snnfp._execution import MOST_THREADS

__all__ = ["READOUTS", "SettingError", "Settings", "asked", "check_use", "option", "override"]


def option(name: str) -> str:
    """The option of the command that gives a setting."""
    return "--" + name.replace("_", "-")


class SettingError(ValueError):
    """A setting that cannot be, or that nothing answers to.

    Args:
        message: with the names of settings in braces, say ``"{lr} is 0, expected ..."``.
    """

    def __init__(self, message: str) -> None:
        self._message = message
        super().__init__(message.format_map({f.name: f.name for f in fields(Settings)}))

    def as_options(self) -> str:
        """The message with the settings as the command spells them."""
        return self._message.format_map({f.name: option(f.name) for f in fields(Settings)})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides the outcome of a training run; written to ``config.json``.

    Times are in the task's own unit. ``kernels`` are (channels, size, stride) of each convolution
    before the hidden layers, one after the other; None: there is none. ``lr_decay`` is the factor
    of the learning rate an epoch; None: half a cosine down to zero, step by step, after ``warmup``
    steps in which it rises.
    ``bump`` and ``label_bump`` are the amounts of the remedies ``WeightBump`` (hidden populations)
    and ``LabelBump``; 0: none. ``first`` and ``later`` are (mean, standard deviation) of the
    initial weights of the first layer and of those after it, ``recurrent`` of those within hidden
    layers, which have a delay of ``recurrent_delay``; None: there are none. Time constants of
    hidden neurons are one number, or (low, high) of which each has its own, log-uniform.
    ``delays`` are (low, high) of initial delays, one a synapse, uniform, which are trained at
    their own rate ``delay_lr``; None: there are none. ``level`` is the number of spikes a sample
    that hidden neurons fire to begin with, for which their weights are scaled; None: they are not.
    ``readout`` is what is read off the outputs: their first spikes, or a value of outputs without
    threshold; ``time_scale`` is that of the weight of the integral. The time constants of outputs
    are ``readout_tau`` (membrane, synapse); None: of those that fire they are those of hidden ones,
    or the geometric mean of their range.
    ``average`` is the decay of the average of the parameters (0: none), ``shift`` (pixels, or
    bands), ``stretch``, ``jitter`` (a time) and ``drop`` are how far training samples are changed,
    ``copies`` is how many warped copies of each training image are trained on too,
    ``held_out`` is the fraction of the training samples to validate on. ``target`` is the
    validation (or training) accuracy that ends the training; None: none does.

    Raises:
        SettingError: a value that cannot be; names it and what was expected.
    """

    hidden: tuple[int, ...]
    kernels: tuple[int, ...] | None = None
    tau_mem: float | tuple[float, float]
    tau_syn: float | tuple[float, float]
    capacitance: float = 1.0
    threshold: float = 1.0
    t_refractory: float = 0.0
    first: tuple[float, float]
    later: tuple[float, float]
    recurrent: tuple[float, float] | None = None
    recurrent_delay: float = 0.0
    delays: tuple[float, float] | None = None
    level: float | None = None
    readout: str = "first_spikes"
    readout_tau: tuple[float, float] | None = None
    time_scale: float | None = None
    t_min: float = 0.0
    t_max: float = math.inf
    bias_time: float | None = None
    until: float
    tau0: float = 1.0
    tau1: float = 1.0
    gamma: float = 0.0
    lr: float
    lr_decay: float | None = None
    warmup: int = 0
    delay_lr: float | None = None
    epochs: int
    batch_size: int
    clip_norm: float | None = None
    average: float = 0.0
    bump: float = 0.0
    label_bump: float = 0.0
    shift: int = 0
    copies: int = 0
    stretch: float = 0.0
    jitter: float = 0.0
    drop: float = 0.0
    held_out: float = 0.0
    train_samples: int | None = None
    target: float | None = None
    seed: int = 0
    mode: str = "reverse"
    dtype: str = "float64"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, (good, expected) in _RULES.items():
            value = getattr(self, name)
            if not good(value):
                raise SettingError(f"{{{name}}} is {_text(value)}, expected {expected}")
        self._check_times()
        self._check_together()

    def _check_times(self) -> None:
        """What two settings must fulfil together."""
        if not self.t_min < self.t_max:
            raise SettingError(
                f"{{t_min}} is {self.t_min:g}, expected less than {{t_max}}, {self.t_max:g}"
            )
        for name in ("t_max", "bias_time"):
            time = getattr(self, name)
            if time is not None and math.isfinite(time) and time > self.until:
                raise SettingError(
                    f"{{until}} is {self.until:g}, expected at least {{{name}}}, {time:g}: "
                    "what comes later would be lost"
                )
        if self.gamma and self.until / self.tau1 > _LARGEST_EXPONENT:
            least = self.until / _LARGEST_EXPONENT
            raise SettingError(
                f"{{tau1}} is {self.tau1:g}, expected at least {least:.2g}: where {{gamma}} is not "
                "0 the loss has a term exp({until} / {tau1})"
            )

    def _check_together(self) -> None:
        """Settings without which another has no use, or no meaning."""
        if self.readout != "first_spikes" and self.readout_tau is None:
            raise SettingError(
                f"{{readout}} is {self.readout}, expected {{readout_tau}} with it: the time "
                "constants of the outputs"
            )
        if self.readout == "weighted_integral" and self.time_scale is None:
            raise SettingError(
                "{readout} is weighted_integral, expected {time_scale} with it: that of the weight"
            )
        if (self.delays is None) != (self.delay_lr is None):
            given, missing = ("delays", "delay_lr")[:: 1 if self.delay_lr is None else -1]
            raise SettingError(f"{{{given}}} is given, expected {{{missing}}} with it")
        if self.kernels is not None and self.level is None:
            raise SettingError(
                "{kernels} is given, expected {level} with it: what the initial weights of so many "
                "layers are scaled to"
            )
        if self.lr_decay is not None and self.warmup:
            raise SettingError("{warmup} is for half a cosine, expected none with {lr_decay}")


# exp(x) is finite up to 709.
_LARGEST_EXPONENT = 700.0
Rule = tuple[Callable[[Any], bool], str]


def _text(value: Any) -> str:
    text = ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value!r}"
    return text.replace("{", "{{").replace("}", "}}")


def _real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _finite(value: Any) -> bool:
    return _real(value) and math.isfinite(value)


def _whole(value: Any, low: int, high: float = math.inf) -> bool:
    number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return number and low <= value <= high


def _pair(value: Any) -> bool:
    two = isinstance(value, tuple) and len(value) == 2
    return two and all(map(_finite, value)) and value[1] >= 0


def _range(value: Any, least: float) -> bool:
    two = isinstance(value, tuple) and len(value) == 2 and all(map(_finite, value))
    return two and least <= value[0] < value[1]


def _threes(value: tuple[Any, ...]) -> bool:
    return bool(value) and len(value) % 3 == 0


def _or_none(rule: Rule) -> Rule:
    good, expected = rule
    return lambda value: value is None or good(value), expected


_POSITIVE: Rule = (lambda v: _finite(v) and v > 0, "a finite number > 0")
_NOT_NEGATIVE: Rule = (lambda v: _finite(v) and v >= 0, "a finite number >= 0")
_DURATION: Rule = (lambda v: _finite(v) and v > 0, "a finite time > 0")
_TIME: Rule = (lambda v: _finite(v) and v >= 0, "a finite time >= 0")
_COUNT: Rule = (lambda v: _whole(v, 1), "a whole number of at least 1")
_SHARE: Rule = (lambda v: _finite(v) and 0 < v <= 1, "a number > 0 and at most 1")
_FRACTION: Rule = (lambda v: _finite(v) and 0 <= v < 1, "a number >= 0 and below 1")
_DURATIONS: Rule = (
    lambda v: (_finite(v) and v > 0) or (_range(v, 0.0) and v[0] > 0),
    "a finite time > 0, or two of them: low,high",
)
READOUTS = ("first_spikes", "weighted_integral", "integral", "end", "max")
_WEIGHTS: Rule = (_pair, "two finite numbers: the mean, and a standard deviation >= 0")

_RULES: dict[str, Rule] = {
    "hidden": (
        lambda v: isinstance(v, tuple) and bool(v) and all(_whole(n, 1) for n in v),
        "whole numbers of at least 1, one a layer",
    ),
    "kernels": _or_none(
        (
            lambda v: isinstance(v, tuple) and _threes(v) and all(_whole(n, 1) for n in v),
            "whole numbers of at least 1, three a layer: channels,size,stride",
        )
    ),
    "tau_mem": _DURATIONS,
    "tau_syn": _DURATIONS,
    "capacitance": _POSITIVE,
    "threshold": _POSITIVE,
    "t_refractory": (lambda v: _real(v) and v >= 0, "a time >= 0"),  # inf: one spike a sample
    "first": _WEIGHTS,
    "later": _WEIGHTS,
    "recurrent": _or_none(_WEIGHTS),
    "recurrent_delay": _TIME,
    "delays": _or_none((lambda v: _range(v, 0.0), "two finite times >= 0: low,high")),
    "level": _or_none(_POSITIVE),
    "readout": (lambda v: v in READOUTS, f"one of {', '.join(READOUTS)}"),
    "readout_tau": _or_none(
        (
            lambda v: isinstance(v, tuple) and len(v) == 2 and all(_real(x) and x > 0 for x in v),
            "two times > 0: membrane,synapse",
        )
    ),
    "time_scale": _or_none(_DURATION),
    "t_min": _TIME,
    "t_max": (lambda v: _real(v) and v >= 0, "a time >= 0"),
    "bias_time": _or_none(_TIME),
    "until": _DURATION,
    "tau0": _DURATION,
    "tau1": _DURATION,
    "gamma": _NOT_NEGATIVE,
    "lr": _POSITIVE,
    "lr_decay": _or_none(_SHARE),
    "warmup": (lambda v: _whole(v, 0), "a whole number >= 0"),
    "delay_lr": _or_none(_POSITIVE),
    "epochs": _COUNT,
    "batch_size": _COUNT,
    "clip_norm": _or_none(_POSITIVE),
    "bump": _NOT_NEGATIVE,
    "label_bump": _NOT_NEGATIVE,
    "average": _FRACTION,
    "shift": (lambda v: _whole(v, 0), "a whole number >= 0"),
    "copies": (lambda v: _whole(v, 0, 100), "a whole number of 0 to 100"),
    "stretch": _FRACTION,
    "jitter": _TIME,
    "drop": _FRACTION,
    "held_out": _FRACTION,
    "train_samples": _or_none(_COUNT),
    "target": _or_none(_SHARE),
    "seed": (lambda v: _whole(v, 0), "a whole number >= 0"),
    "mode": (lambda v: v in ("reverse", "forward"), "reverse or forward"),
    "dtype": (lambda v: v in ("float64", "float32"), "float64 or float32"),
    "threads": _or_none(
        (lambda v: _whole(v, 1, MOST_THREADS), f"a whole number of 1 to {MOST_THREADS}")
    ),
}


def asked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is not None, and what goes without saying.

    A decay of the learning rate takes the place of a warm-up, which belongs to half a cosine, and
    a warm-up that of a decay.
    """
    given = {k: v for k, v in changes.items() if v is not None}
    if "lr_decay" in given:
        given.setdefault("warmup", 0)
    elif given.get("warmup"):
        given["lr_decay"] = None
    return given


def override(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with those of ``changes`` that are not None."""
    return replace(settings, **asked(changes))


def check_use(settings: Settings, given: Mapping[str, Any]) -> None:
    """Raises unless each setting that is given (not None) decides something.

    Raises:
        SettingError: one has no use beside the other settings.
    """
    for name, (has_use, why) in _USE.items():
        if given.get(name) is not None and not has_use(settings):
            raise SettingError(f"{{{name}}} has no use {why}")


_FIRST_SPIKES: tuple[Callable[[Settings], bool], str] = (
    lambda s: s.readout == "first_spikes",
    "where {readout} is not first_spikes",
)
_USE: dict[str, tuple[Callable[[Settings], bool], str]] = {
    **dict.fromkeys(("tau0", "gamma", "label_bump"), _FIRST_SPIKES),
    "tau1": (lambda s: s.gamma > 0, "where {gamma} is 0"),
    "time_scale": (
        lambda s: s.readout == "weighted_integral",
        "where {readout} is not weighted_integral",
    ),
    "recurrent_delay": (lambda s: s.recurrent is not None, "without {recurrent}"),
}
