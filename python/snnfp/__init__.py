"""Exact gradients of spiking neural networks.

A spike time is defined by V(t) = threshold, so the implicit function theorem gives its exact
derivative by every parameter. snnfp simulates networks event by event in continuous time and
differentiates every spike, forward (jacobian, jvp) or in reverse (vjp).
"""

import snnfp._interpreter  # noqa: F401

# isort: split
from snnfp import (
    data,
    encoding,
    errors,
    init,
    losses,
    plots,
    remedies,
    schedules,
    testing,
    transforms,
)
from snnfp._core import version as __version__
from snnfp._execution import default_threads
from snnfp.evaluation import Evaluation, Prediction, evaluate, predict
from snnfp.gradients import value_and_grad
from snnfp.history import EarlyStopping, History
from snnfp.network import Network
from snnfp.neurons import LIF
from snnfp.optim import SGD, Adam
from snnfp.parameter_groups import Group
from snnfp.projections import Dense, OneToOne, Sparse
from snnfp.record import Record
from snnfp.recorded import record_from_spikes
from snnfp.simulate import simulate
from snnfp.spikes import Spikes
from snnfp.training import fit

__all__ = [
    "LIF",
    "SGD",
    "Adam",
    "Dense",
    "EarlyStopping",
    "Evaluation",
    "Group",
    "History",
    "Network",
    "OneToOne",
    "Prediction",
    "Record",
    "Sparse",
    "Spikes",
    "__version__",
    "data",
    "default_threads",
    "encoding",
    "errors",
    "evaluate",
    "fit",
    "init",
    "losses",
    "plots",
    "predict",
    "record_from_spikes",
    "remedies",
    "schedules",
    "simulate",
    "testing",
    "transforms",
    "value_and_grad",
]
