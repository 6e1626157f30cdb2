"""Heuristics for silent neurons, which no exact gradient can reach.

None of them is part of the gradient: a remedy takes the exact gradient of a batch and returns one
with its own terms added, :func:`snnfp.fit` applies it only when asked to, and the history counts
the neurons or samples it helped.

A remedy asks for larger weights from units that fired, where a larger weight can help; those from
silent units stay as they are, and so do weights that are not trained, and (``keep_zero``) weights
that are exactly 0: synapses of a dense matrix that are not there. Weights that must stay for other
reasons are held by ``fit(frozen={name: mask})``.
Synapses that a mask leaves out stay 0 in any case. A weight that synapses share gets the mean over
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import real_number
from snnfp.losses import check_labels, readout_of
from snnfp.network import Network, Projection, population_of
from snnfp.record import Record

__all__ = ["LabelBump", "Remedy", "WeightBump"]

Gradients = dict[str, NDArray[Any]]


class Remedy(Protocol):
    """Adds a heuristic term to the gradient of a batch."""

    def __call__(
        self, net: Network, record: Record, labels: Any, gradients: Gradients
    ) -> tuple[Gradients, int]:
        """The changed gradients (those given stay as they are) and how much was helped.

        A remedy may have ``looks_at(net)``, which names populations: samples are then simulated
        until each of their neurons has fired, and to the end where one is silent. Without, it has
        the whole record.
        """
        ...


def _check_amount(amount: float) -> None:
    if not (real_number(amount, "amount") > 0 and np.isfinite(amount)):
        raise ValueError(f"amount is {amount}, expected a finite number > 0")


def _check_helps(
    net: Network, populations: tuple[str, ...], names: tuple[str, ...], remedy: object
) -> None:
    """Raises unless incoming weights of one of these populations are trained."""
    into = [p.name for p in net.projections.values() if p.target in populations]
    if not populations:
        raise ValueError(f"{remedy!r} helps populations, and the network has none: leave it out")
    if not any(f"{name}.weight" in names for name in into):
        raise ValueError(
            f"{remedy!r} asks for larger incoming weights of {' or '.join(populations)}, none of "
            f"which is trained: trained are {', '.join(names)}"
        )


def _incoming(net: Network, population: str, gradients: Gradients) -> list[tuple[str, Projection]]:
    """Trained weights of the projections that reach a population."""
    into = [p for p in net.projections.values() if p.target == population]
    return [(f"{p.name}.weight", p) for p in into if f"{p.name}.weight" in gradients]


def _there(projection: Projection, weights: NDArray[Any], keep_zero: bool) -> NDArray[np.bool_]:
    """Which weights a bump may change: those of synapses; all, where none is different from 0."""
    there: NDArray[np.bool_] = weights != 0
    if keep_zero and there.any():
        return there
    return np.ones_like(there) if projection.mask is None else projection.mask


def _reached(projection: Projection, there: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Which neurons of the target have such a weight, ``[size]``."""
    reached = there
    if projection.sparse is not None:
        if projection.weight_of is not None:
            there = there.reshape(-1)[projection.weight_of]
        reached = np.zeros(size, dtype=bool)
        reached[projection.targets[there]] = True
    elif projection.kind == "dense":
        reached = np.any(there, axis=0)
    return reached


@dataclass(frozen=True, kw_only=True)
class WeightBump:
    """Asks for larger incoming weights of every neuron that fires in no sample of a batch.

    Args:
        amount: taken from the gradient of each incoming weight from a unit that fired in the
            batch, > 0.
        populations: names; None: all.
        keep_zero: leave weights that are exactly 0 as they are (unless all of a projection are).

    Source: Goeltz et al., Nature Machine Intelligence 3 (2021), "weight bumping".
    """

    amount: float
    populations: tuple[str, ...] | None = None
    keep_zero: bool = True

    def __post_init__(self) -> None:
        _check_amount(self.amount)
        if isinstance(self.populations, str):
            raise TypeError(
                f"populations is {self.populations!r}, expected a tuple of names or None"
            )
        if self.populations is not None:
            object.__setattr__(self, "populations", tuple(self.populations))

    def check(self, net: Network, names: tuple[str, ...]) -> None:
        """Raises unless the populations exist and have incoming weights among ``names``.

        Where none are named, one that has is enough.
        """
        for population in self.populations or ():
            _check_helps(net, (population_of(net, population).name,), names, self)
        if self.populations is None:
            _check_helps(net, tuple(net.populations), names, self)

    def looks_at(self, net: Network) -> list[str]:
        """Its populations: no sample in which one of their neurons is silent ends early."""
        return list(self.populations if self.populations is not None else net.populations)

    def __call__(
        self,
        net: Network,
        record: Record,
        labels: Any,
        gradients: Gradients,
        *,
        in_place: bool = False,
    ) -> tuple[Gradients, int]:
        """The changed gradients and the number of silent neurons with a weight that may change.

        ``in_place``: the arrays given may change, as nobody else has them.
        """
        helped = 0
        changed = dict(gradients)
        for name in self.populations if self.populations is not None else tuple(net.populations):
            fires = record.fires(name)
            if fires.all():
                continue
            silent = ~fires
            reached = np.zeros_like(silent)
            for key, projection in _incoming(net, name, gradients):
                fired = record._sends(projection.source)
                whole = projection.mask is None and projection.weight_of is None
                if projection.kind == "dense" and whole:
                    if not (in_place and changed[key].flags.writeable):
                        changed[key] = np.array(changed[key])
                    reached |= self._into(silent, fired, net.parameters[key], changed[key])
                    continue
                there = _there(projection, net.parameters[key], self.keep_zero)
                reached |= _reached(projection, there, silent.size)
                at: NDArray[Any]
                if projection.sparse is not None:
                    at = fired[projection.sources] & silent[projection.targets]
                elif projection.kind == "dense":
                    at = fired[:, None] & silent
                else:
                    at = fired & silent
                changed[key] = changed[key] - self.amount * (projection.by_weight(at) * there)
            helped += int(np.count_nonzero(silent & reached))
        return changed, helped

    def _into(
        self,
        silent: NDArray[np.bool_],
        fired: NDArray[np.bool_],
        weights: NDArray[Any],
        gradient: NDArray[Any],
    ) -> NDArray[np.bool_]:
        """Adds the bump to the gradient of a dense projection; returns whom it reaches.

        Only the columns of silent neurons are looked at, which are few.
        """
        columns = np.flatnonzero(silent)
        there = weights[:, columns] != 0
        if not (self.keep_zero and (there.any() or weights.any())):
            there = np.ones_like(there)
        gradient[:, columns] -= self.amount * (fired[:, None] & there)
        reached = np.zeros_like(silent)
        reached[columns] = there.any(axis=0)
        return reached


@dataclass(frozen=True, kw_only=True)
class LabelBump:
    """Where the label's output is silent, asks for larger weights from what fired in that sample.

    A silent label has no spike to pull forward, while the gradient still pushes the others back:
    without help a whole readout can fall silent.

    Args:
        amount: taken from the gradient of each such weight, a sample (as losses, averaged over the
            batch), > 0.
        population: name of the readout; None: the last population.
        keep_zero: leave weights that are exactly 0 as they are (unless all of a projection are).
    """

    amount: float
    population: str | None = None
    keep_zero: bool = True

    def __post_init__(self) -> None:
        _check_amount(self.amount)

    def check(self, net: Network, names: tuple[str, ...]) -> None:
        """Raises unless the readout exists and has incoming weights among ``names``."""
        _check_helps(net, (readout_of(net, self.population).name,), names, self)

    def looks_at(self, net: Network) -> list[str]:
        """The readout: a sample in which the label's output is silent does not end early."""
        return [readout_of(net, self.population).name]

    def __call__(
        self, net: Network, record: Record, labels: Any, gradients: Gradients
    ) -> tuple[Gradients, int]:
        """The changed gradients and the number of samples with a silent label.

        Not of those whose output has no weight that may change.
        """
        readout = readout_of(net, self.population)
        name, size = readout.name, readout.size
        try:
            chosen = check_labels(labels, record.n_samples, size)
        except TypeError as error:
            raise TypeError(f"LabelBump needs the labels of classes: {error}") from None
        rows = np.arange(record.n_samples)
        missing = record._first_times(readout)[rows, chosen] == np.inf
        if not missing.any():
            return gradients, 0
        changed = dict(gradients)
        reached = np.zeros(size, dtype=bool)
        wanted = np.zeros((record.n_samples, size))
        wanted[rows[missing], chosen[missing]] = self.amount / record.n_samples
        for key, projection in _incoming(net, name, gradients):
            fired = record.sent(projection.source) > 0
            there = _there(projection, net.parameters[key], self.keep_zero)
            reached |= _reached(projection, there, size)
            if projection.kind == "dense":
                # Counted rather than multiplied: BLAS would leave its threads spinning.
                term = np.zeros((fired.shape[1], wanted.shape[1]))
                for j in np.unique(chosen[missing]):
                    term[:, j] = np.count_nonzero(fired[missing & (chosen == j)], axis=0)
                term *= self.amount / record.n_samples
            elif projection.sparse is not None:
                term = np.sum(fired[:, projection.sources] * wanted[:, projection.targets], axis=0)
            else:
                term = np.sum(fired * wanted, axis=0)
            term = projection.by_weight(term) * there
            changed[key] = changed[key] - term.astype(changed[key].dtype)
        return changed, int(np.count_nonzero(missing & reached[chosen]))
