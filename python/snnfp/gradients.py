"""Loss and gradient of a batch in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp.network import Network, Selection
from snnfp.record import Record
from snnfp.simulate import InputSpikes, simulate

__all__ = ["LossFunction", "value_and_grad"]

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
        ValueError: a loss that is not finite, or what :func:`simulate` raises.
    """
    if mode not in ("reverse", "forward"):
        raise ValueError(f"mode is {mode!r}, expected 'reverse' or 'forward'")
    net.select(wrt)
    if not return_record:
        looked_at = _looks_at(loss, net)
        options.setdefault("stop_after", looked_at)
        options.setdefault("first_spikes_of", _unheard(net, looked_at))
    record = simulate(net, spikes, until=until, n_threads=n_threads, **options)
    value, cotangents = loss(record, labels)
    if not np.isfinite(value):
        raise ValueError(f"the loss is {value}, expected a finite number")
    gradients = record.vjp(cotangents, wrt=wrt, mode=mode)
    if return_record:
        return float(value), gradients, record
    return float(value), gradients


def _looks_at(loss: LossFunction, net: Network) -> list[str]:
    """What the loss says of itself; not what it inherited while it computes something else."""
    owner = next(c for c in type(loss).__mro__ if "__call__" in vars(c))
    known: list[str] = owner.looks_at(loss, net) if "looks_at" in vars(owner) else []  # type: ignore[attr-defined]
    return known


def _unheard(net: Network, populations: list[str]) -> list[str]:
    """Those that feed none: their later spikes matter to nobody."""
    heard = {p.source for p in net.projections.values()}
    return [p for p in populations if p not in heard]
