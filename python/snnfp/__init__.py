"""Exact gradients of spiking neural networks.

A spike time is defined by V(t) = threshold, so the implicit function theorem gives its exact
derivative by every parameter. snnfp simulates networks event by event in continuous time and
differentiates every spike, forward (jacobian, jvp) or in reverse (vjp).
"""

import snnfp._interpreter  # noqa: F401

# isort: split
import importlib
from typing import TYPE_CHECKING, Any

from snnfp import (
    augment,
    errors,
    heuristics,
    init,
    losses,
    remedies,
    rules,
    schedules,
    transforms,
)
from snnfp._core import version as __version__
from snnfp._execution import default_threads
from snnfp.calibration import Calibration, calibrate
from snnfp.convolution import AvgPool2D, Conv2D
from snnfp.diagnosis import Diagnosis, diagnose
from snnfp.evaluation import Evaluation, Prediction, evaluate, predict
from snnfp.gradients import value_and_grad
from snnfp.history import EarlyStopping, History
from snnfp.network import Network
from snnfp.neurons import LI, LIF
from snnfp.optim import SGD, Adam
from snnfp.parameter_groups import Group
from snnfp.projections import ByRule, Dense, OneToOne, Sparse
from snnfp.readings import Reading
from snnfp.record import Record
from snnfp.recorded import record_from_spikes
from snnfp.scaling import scale_readout
from snnfp.simulate import simulate
from snnfp.spikes import Spikes
from snnfp.training import fit

if TYPE_CHECKING:
    from snnfp import data, encoding, plots, testing

# Loaded when asked for: to import them all with the package would take a fifth longer.
_LATER = ("data", "encoding", "plots", "testing")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"snnfp.{name}")
    raise AttributeError(f"module 'snnfp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


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
