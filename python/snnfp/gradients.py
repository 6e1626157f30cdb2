"""Loss and gradient of a batch in one call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._first_spikes import looked_at, no_further_than
from snnfp.losses import value_and_derivative
from snnfp.network import Network, Selection
from snnfp.readings import Reading
from snnfp.record import Record
from snnfp.simulate import InputSpikes, check_network, simulate

__all__ = [
    "LossFunction",
    "check_loss",
    "check_mode",
    "checked_value_and_grad",
    "value_and_grad",
]

Gradients = dict[str, NDArray[Any]]


class LossFunction(Protocol):
    """What a loss must be: spike times in, its value and its derivative by them out."""

    def __call__(
        self, record: Record, labels: Any, /
    ) -> tuple[float, ArrayLike | Mapping[Any, ArrayLike]]:
        """The value and dL/dt in one of the forms that :meth:`Record.vjp` takes."""
        ...


@overload
def value_and_grad(
    net: Network,
    spikes: InputSpikes,
    labels: Any,
    loss: LossFunction,
    *,
    wrt: Selection = ...,
    until: float | None = ...,
    mode: str = ...,
    n_threads: int | None = ...,
    return_record: Literal[False] = ...,
    **options: Any,
) -> tuple[float, Gradients]: ...


@overload
def value_and_grad(
    net: Network,
    spikes: InputSpikes,
    labels: Any,
    loss: LossFunction,
    *,
    wrt: Selection = ...,
    until: float | None = ...,
    mode: str = ...,
    n_threads: int | None = ...,
    return_record: Literal[True],
    **options: Any,
) -> tuple[float, Gradients, Record]: ...


def value_and_grad(
    net: Network,
    spikes: InputSpikes,
    labels: Any,
    loss: LossFunction,
    *,
    wrt: Selection = "*.weight",
    until: float | None = None,
    mode: str = "reverse",
    n_threads: int | None = None,
    return_record: bool = False,
    **options: Any,
) -> tuple[float, Gradients] | tuple[float, Gradients, Record]:
    """Simulates a batch and returns the loss and its exact gradient.

    Args:
        net: the network.
        spikes: input, as for :func:`simulate`.
        labels: whatever the loss takes.
        loss: see :mod:`snnfp.losses`, or any ``f(record, labels) -> (value, dL/dt)``. If it looks
            at nothing but first spikes it may have ``looks_at(net)``, which names their
            populations: samples are then simulated no further than needed, unless the record is
            asked for.
        wrt: names or patterns of the parameters; ``"*"`` for all and the input times.
        until: end of the simulation.
        mode: ``"reverse"`` (the adjoint) or ``"forward"`` (forward propagation): the same numbers
            to round-off.
        n_threads: None: all.
        return_record: also return the record.
        options: more for :func:`simulate`.

    Returns:
        The value, the gradients by name and, if asked for, the record.

    Raises:
        ValueError: a loss that is not finite or whose horizon comes before ``until``, or what
            :func:`simulate` raises.
    """
    check_network(net)
    check_mode(mode)
    check_loss(loss)
    net.select(wrt)
    if until is not None and hasattr(loss, "check_until"):
        loss.check_until(until)
    if not return_record:
        options = {**no_further_than(net, [looked_at(loss, net, "__call__")]), **options}
    result = checked_value_and_grad(
        net, spikes, labels, loss, wrt=wrt, until=until, mode=mode, n_threads=n_threads, **options
    )
    return result if return_record else result[:2]


def checked_value_and_grad(
    net: Network,
    spikes: InputSpikes,
    labels: Any,
    loss: LossFunction,
    *,
    wrt: Selection,
    until: float | None,
    mode: str,
    n_threads: int | None,
    **options: Any,
) -> tuple[float, Gradients, Record]:
    """:func:`value_and_grad` where mode, loss and ``wrt`` have been checked; with the record."""
    record = simulate(net, spikes, until=until, n_threads=n_threads, **options)
    value, cotangents = value_and_derivative(loss(record, labels), "the loss")
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value}, expected a finite number")
    try:
        gradients = record.vjp(cotangents, wrt=wrt, mode=mode)
    except ValueError as error:
        if not str(error).startswith("cotangents"):
            raise
        spike = _not_finite(record, cotangents)
        what = f" = {spike}, expected a finite number" if spike else f": {error}"
        raise ValueError(f"the loss returned dL/dt{what}") from error
    return value, gradients, record


def check_mode(mode: str) -> None:
    """Raises unless ``mode`` is a way to take gradients."""
    if mode not in ("reverse", "forward"):
        raise ValueError(f"mode is {mode!r}, expected 'reverse' or 'forward'")


def check_loss(loss: Any) -> None:
    """Raises unless ``loss`` is something to call."""
    if isinstance(loss, type):
        raise TypeError(f"loss is the class {loss.__name__}, expected {loss.__name__}(...)")
    if not callable(loss):
        raise TypeError(
            f"loss is {loss!r}, expected one of snnfp.losses, such as "
            "FirstSpikeCrossEntropy(tau0=..., horizon=...), or f(record, labels) -> (value, dL/dt)"
        )


def _not_finite(record: Record, cotangents: Any) -> str | None:
    """The first derivative that is not finite, with its spike; None: all are, or other shapes."""
    given = cotangents if isinstance(cotangents, Mapping) else {None: cotangents}
    for key, value in given.items():
        if isinstance(key, Reading):
            continue
        array = np.asarray(value, dtype=np.float64)
        if key is None:
            at = np.arange(record.n_spikes)
        else:
            first = record.first_indices(key)
            at = first if array.shape == first.shape else record.indices(key)
        if array.size != at.size:
            continue
        bad = np.flatnonzero(~np.isfinite(array.reshape(-1)) & (at.reshape(-1) >= 0))
        if bad.size:
            spike = int(at.reshape(-1)[bad[0]])
            return f"{array.reshape(-1)[bad[0]]} for {_name_of(record, spike)}"
    return None


def _name_of(record: Record, spike: int) -> str:
    """Which spike that is, in words."""
    sample = int(np.searchsorted(record.offsets, spike, side="right")) - 1
    neuron = record.neurons[spike]
    before = record.neurons[record.offsets[sample] : spike]
    p = next(p for p in record._net.populations.values() if neuron < p.offset + p.size)
    return (
        f"spike {np.count_nonzero(before == neuron)} of neuron {neuron - p.offset} of population "
        f"{p.name} in sample {sample} (at {record.times[spike]:g})"
    )
