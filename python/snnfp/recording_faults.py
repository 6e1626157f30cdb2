"""Tables of what does not fit in a recording: crossings it lacks, spikes that cannot be."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._arrays import freeze
from snnfp.network import Network

__all__ = ["REASONS", "ImpossibleSpikes", "MissingSpikes"]

REASONS = tuple(_core.ImpossibleReason.__members__)
_NAMES = np.array([_core.ImpossibleReason(k).name for k in range(len(REASONS))])  # by number
_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class _Table:
    """Columns of equal length."""

    def __post_init__(self) -> None:
        for column in self._columns():
            freeze(column)

    def __len__(self) -> int:
        return int(self._columns()[0].size)

    def __repr__(self) -> str:
        names = [f.name for f in fields(self)]
        rows = [[_text(c[k]) for c in self._columns()] for k in range(min(len(self), _SHOWN))]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = [f"{type(self).__name__}: {len(self)}"]
        for row in [names, *rows] if rows else []:
            lines.append("  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)))
        if len(self) > _SHOWN:
            lines.append(f"... and {len(self) - _SHOWN} more")
        return "\n".join(lines)

    def _columns(self) -> list[NDArray[Any]]:
        return [getattr(self, f.name) for f in fields(self)]


@dataclass(frozen=True, eq=False, repr=False)
class MissingSpikes(_Table):
    """Crossings of the threshold without a recorded spike, by sample and time.

    From such a crossing on V is that of a neuron that has not spiked: one row may stand for several
    spikes that were not recorded.

    Attributes:
        population: name of the neuron's population, ``[n]``.
        neuron: the neuron within it, ``[n]``.
        sample: the sample, ``[n]``.
        time: when V crosses, ``[n]``.
        excess: how far above the threshold V goes before it comes down again, the neuron's next
            recorded spike, or the end of the recording, ``[n]``.
    """

    population: NDArray[np.str_]
    neuron: NDArray[np.int64]
    sample: NDArray[np.int64]
    time: NDArray[np.float64]
    excess: NDArray[np.float64]

    @classmethod
    def of(cls, columns: tuple[NDArray[Any], ...], net: Network) -> MissingSpikes:
        """From the core's columns; ``net`` as it was for the recording."""
        sample, neuron, time, excess = columns
        return cls(*_named(neuron, net), sample, time, excess)


@dataclass(frozen=True, eq=False, repr=False)
class ImpossibleSpikes(_Table):
    """Recorded spikes that the network cannot have fired.

    Attributes:
        population: name of the neuron's population, ``[n]``.
        neuron: the neuron within it, ``[n]``.
        sample: the sample, ``[n]``.
        time: the recorded time, ``[n]``.
        reason: ``"outside"`` (not within 0 < time <= until), ``"refractory"`` (not later than the
            end of the refractory time), ``"falling"`` (V does not rise there) or ``"residual"`` (V
            is further from the threshold than the tolerance), ``[n]``.
        value: by reason ``until``, the end of the refractory time (inf after the last spike that
            ``max_spikes`` allows), V' or V - threshold, ``[n]``.
        index: of the spike in the arrays of ``recorded[population]``, ``[n]``.
    """

    population: NDArray[np.str_]
    neuron: NDArray[np.int64]
    sample: NDArray[np.int64]
    time: NDArray[np.float64]
    reason: NDArray[np.str_]
    value: NDArray[np.float64]
    index: NDArray[np.int64]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are for each reason."""
        return {reason: int(np.count_nonzero(self.reason == reason)) for reason in REASONS}

    @classmethod
    def of(
        cls, columns: tuple[NDArray[Any], ...], net: Network, index: NDArray[np.int64]
    ) -> ImpossibleSpikes:
        """From the core's columns; ``net`` as it was for the recording."""
        _, sample, neuron, time, reason, value = columns
        names = _NAMES[reason]
        return cls(*_named(neuron, net), sample, time, names, value, index)

    def those(self, which: NDArray[np.bool_]) -> ImpossibleSpikes:
        """The rows of a mask."""
        return type(self)(*(column[which] for column in self._columns()))


def _named(neurons: NDArray[np.int32], net: Network) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    populations = list(net.populations.values())
    offsets = np.array([p.offset for p in populations], dtype=np.int64)
    which = np.searchsorted(offsets, neurons, side="right") - 1
    names = np.array([p.name for p in populations], dtype=np.str_)
    return names[which], neurons - offsets[which]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)
