"""Exact gradients of spiking neural networks.

A spike time is defined by V(t) = threshold, so the implicit function theorem gives its exact
derivative by every parameter. snnfp simulates networks event by event in continuous time and
differentiates every spike, forward (jacobian, jvp) or in reverse (vjp).
"""

import snnfp._interpreter  # noqa: F401

# isort: split
import importlib
from typing import TYPE_CHECKING, Any

from snnfp import errors, init, losses
from snnfp._core import version as __version__
from snnfp._execution import default_threads
from snnfp.convolution import AvgPool2D, Conv2D
from snnfp.gradients import value_and_grad
from snnfp.network import Network
from snnfp.neurons import LI, LIF
from snnfp.projections import ByRule, Dense, OneToOne, Sparse
from snnfp.readings import Reading
from snnfp.record import Record
from snnfp.simulate import simulate
from snnfp.spikes import Spikes

if TYPE_CHECKING:
    from snnfp import (
        augment,
        data,
        encoding,
        heuristics,
        plots,
        remedies,
        rules,
        schedules,
        testing,
        transforms,
    )
    from snnfp.calibration import Calibration, calibrate
    from snnfp.diagnosis import Diagnosis, diagnose
    from snnfp.evaluation import Evaluation, Prediction, evaluate, predict
    from snnfp.history import EarlyStopping, History
    from snnfp.optim import SGD, Adam
    from snnfp.parameter_groups import Group
    from snnfp.recorded import record_from_spikes
    from snnfp.scaling import scale_readout
    from snnfp.training import fit

# Loaded when they are asked for, so that a program that only simulates starts at once.
_LATER = {
    **dict.fromkeys(("Calibration", "calibrate"), "calibration"),
    **dict.fromkeys(("Diagnosis", "diagnose"), "diagnosis"),
    **dict.fromkeys(("Evaluation", "Prediction", "evaluate", "predict"), "evaluation"),
    **dict.fromkeys(("EarlyStopping", "History"), "history"),
    **dict.fromkeys(("SGD", "Adam"), "optim"),
    "Group": "parameter_groups",
    "record_from_spikes": "recorded",
    "scale_readout": "scaling",
    "fit": "training",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(f"snnfp.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"snnfp.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"snnfp.{name}":
                raise
    raise AttributeError(f"module 'snnfp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "LI",
    "LIF",
    "SGD",
    "Adam",
    "AvgPool2D",
    "ByRule",
    "Calibration",
    "Conv2D",
    "Dense",
    "Diagnosis",
    "EarlyStopping",
    "Evaluation",
    "Group",
    "History",
    "Network",
    "OneToOne",
    "Prediction",
    "Reading",
    "Record",
    "Sparse",
    "Spikes",
    "__version__",
    "augment",
    "calibrate",
    "data",
    "default_threads",
    "diagnose",
    "encoding",
    "errors",
    "evaluate",
    "fit",
    "heuristics",
    "init",
    "losses",
    "plots",
    "predict",
    "record_from_spikes",
    "remedies",
    "rules",
    "scale_readout",
    "schedules",
    "simulate",
    "testing",
    "transforms",
    "value_and_grad",
]
