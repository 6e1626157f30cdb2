"""What a step of training did, and what the gradient said that it would do."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import real_array, spot
from snnfp._numbers import real_number
from snnfp._patterns import trainable
from snnfp.errors import SilentPopulationWarning
from snnfp.gradients import LossFunction, value_and_grad
from snnfp.losses import value_and_derivative
from snnfp.network import Network, Selection
from snnfp.record import Record
from snnfp.simulate import InputSpikes, check_network, simulate

__all__ = ["StepCheck", "check_step"]


@dataclass(frozen=True)
class StepCheck:
    """The change of a loss along a step, as predicted and as it is.

    Attributes:
        loss: before the step.
        predicted: change of the loss to first order, ``gradient . step``.
        true: change of the loss.
        appeared: spikes of neurons that fire more often in a sample than before, counted as what is
            more.
        vanished: spikes of neurons that fire less often in a sample, counted as what is less.
        n_spikes: before the step.
    """

    loss: float
    predicted: float
    true: float
    appeared: int
    vanished: int
    n_spikes: int

    @property
    def surprise(self) -> float:
        """What the gradient did not see, ``true - predicted``: curvature, and spikes that jump."""
        return self.true - self.predicted


def check_step(
    net: Network,
    spikes: InputSpikes,
    labels: Any,
    loss: LossFunction,
    step: float | Mapping[str, ArrayLike],
    *,
    wrt: Selection = "*.weight",
    until: float | None = None,
    n_threads: int | None = None,
    **options: Any,
) -> StepCheck:
    """Takes a step, looks at what it does to the loss, and takes it back.

    The gradient is exact for the spikes that are there; it does not see spikes appear and vanish.
    Where the true change is far from the predicted one for a small step, and of the other sign,
    those outweigh what is learned.

    Args:
        net: the network; as it was, afterwards.
        spikes: its input.
        labels: for the loss.
        loss: as for :func:`snnfp.value_and_grad`.
        step: by name, what is added to parameters, each of the parameter's shape; or a learning
            rate > 0, which stands for ``-rate * gradient`` of ``wrt``. Input times are no
            parameters and stay.
        wrt: names or patterns of the parameters that a learning rate moves.
        until: end of the simulation.
        n_threads: None: all.
        options: more for :func:`snnfp.simulate`.

    Raises:
        ValueError: a step of nothing, of another shape, not finite, or out of a parameter's domain.
        KeyError: a step of what is no parameter.
    """
    run = {"until": until, "n_threads": n_threads, **options}
    check_network(net)
    rate, moves = None, {}
    if isinstance(step, Mapping):
        moves = _moves(net, step)
        selected = tuple(moves)
    else:
        rate = float(real_number(step, "step"))
        if not 0 < rate < math.inf:
            raise ValueError(f"step is {rate}, expected a learning rate > 0 or arrays by name")
        selected = trainable(net, wrt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilentPopulationWarning)
        value, gradient, before = value_and_grad(
            net, spikes, labels, loss, wrt=selected, return_record=True, **run
        )
        if rate is not None:
            moves = {n: -rate * np.asarray(gradient[n], np.float64) for n in selected}
        predicted = sum(float(np.sum(gradient[n] * move)) for n, move in moves.items())
        kept = {n: net.parameters[n] for n in moves}
        try:
            net._replace({n: kept[n] + move for n, move in moves.items()})
            after = simulate(net, spikes, **run)
            moved, _ = value_and_derivative(loss(after, labels), "the loss")
        finally:
            net._replace(kept)
    more = _by_neuron(after) - _by_neuron(before)
    return StepCheck(
        loss=value,
        predicted=predicted,
        true=moved - value,
        appeared=int(more[more > 0].sum()),
        vanished=int(-more[more < 0].sum()),
        n_spikes=before.n_spikes,
    )


def _moves(net: Network, step: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    if not step:
        raise ValueError("step is empty, expected arrays by the names of parameters")
    moves = {}
    for name, given in step.items():
        if name not in net.parameters:
            no = "input times, which are no parameter" if _are_times(net, name) else "no parameter"
            raise KeyError(
                f"step: {name!r} is {no} of the network, expected some of "
                f"{', '.join(net.parameters)}"
            )
        shape = net.parameters[name].shape
        move = real_array(given, f"step of {name}", np.dtype(np.float64))
        if move.shape != shape:
            raise ValueError(f"step of {name} has shape {move.shape}, expected {shape}")
        bad = np.argwhere(~np.isfinite(move))
        if bad.size:
            at = tuple(bad[0])
            raise ValueError(f"{spot(f'step of {name}', at)} is {move[at]}, expected a number")
        moves[name] = move
    return moves


def _are_times(net: Network, name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".times") and name[:-6] in net.inputs


def _by_neuron(record: Record) -> NDArray[np.int64]:
    """Spikes of each neuron in each sample."""
    n = record._counts.size
    return np.bincount(record.samples * n + record.neurons, minlength=record.n_samples * n)
