"""Every exception and warning that snnfp raises on purpose."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "AlikeNeuronsWarning",
    "ClockError",
    "EventLimitError",
    "FormatError",
    "MissingDependencyError",
    "NothingToTrainWarning",
    "RankError",
    "RecordedSpikeError",
    "SilentOutputWarning",
    "SilentPopulationWarning",
    "SnnfpError",
    "UnusedInputWarning",
    "require",
]


class SnnfpError(Exception):
    """Base of the errors that are snnfp's own."""


class ClockError(SnnfpError, ValueError):
    """A spike so late that two neighbouring times are further apart than its time constants."""


class FormatError(SnnfpError, ValueError):
    """A file is not what its name or header says."""


class RecordedSpikeError(SnnfpError, ValueError):
    """A recording that the network cannot have fired.

    Attributes:
        missing: crossings of the threshold without a recorded spike, as in ``Record.missing``.
        impossible: recorded spikes that cannot be, as in ``Record.impossible``.
    """

    missing: Any
    impossible: Any


class EventLimitError(SnnfpError, RuntimeError):
    """A neuron fired more than ``spike_limit`` spikes in one sample.

    Or firing runs away before that in a loop whose synapses or target neurons have delays of their
    own, where each spike is an arrival a synapse: more than a million arrivals are on their way,
    and more than ``max(50, spike_limit / 200)`` for each of these synapses.

    Attributes:
        sample: index of the sample.
        population: name of the population.
        neuron: index of the neuron within it.
        time: time of the spike that went over the limit.
        count: number of the neuron's spikes up to and including it.
    """

    sample: int
    population: str
    neuron: int
    time: float
    count: int


class MissingDependencyError(SnnfpError, ImportError):
    """An optional package is not installed."""


class RankError(SnnfpError, RuntimeError):
    """Another rank of those that work together has raised something.

    Attributes:
        rank: its number, the lowest where several have.
    """

    rank: int


class SilentPopulationWarning(UserWarning):
    """A population fires no spike in the whole batch, so no gradient reaches it."""


class SilentOutputWarning(SilentPopulationWarning):
    """An output is silent in most samples of its own class, where no gradient reaches it."""


class AlikeNeuronsWarning(UserWarning):
    """All neurons of a hidden population are the same, and training keeps them so."""


class NothingToTrainWarning(UserWarning):
    """A training that is resumed was over already, or one goes on with a learning rate of 0."""


class UnusedInputWarning(UserWarning):
    """Every input spike comes after ``until`` (some do, of an estimator), or every recorded one
    lies outside the run."""


def require(module: str, *, extra: str) -> Any:
    """Import an optional module.

    Args:
        module: name of the module.
        extra: the extra of snnfp that installs it.

    Raises:
        MissingDependencyError: if it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise MissingDependencyError(
            f"{package} is not installed; it comes with: pip install 'snnfp[{extra}]'"
        ) from error
