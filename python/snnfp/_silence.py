"""Who is silent while a network is trained, and words that help."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfp._activity import Activity, Counts
from snnfp._units import unit_question
from snnfp._warnings import warn
from snnfp.errors import SilentOutputWarning, SilentPopulationWarning
from snnfp.groups import Readout
from snnfp.losses import output_of, readout_of
from snnfp.network import Network, Population
from snnfp.record import Record
from snnfp.remedies import LabelBump, Remedy, WeightBump
from snnfp.spikes import Spikes

__all__ = ["Firing", "SilenceWatch", "silence_untold"]

# Of the samples of its own class, in which an output may be silent; in the first epoch a network
# is still finding its feet.
_MOST, _MOST_AT_FIRST = 0.5, 0.9


class Firing(NamedTuple):
    """Who fired in a batch.

    Attributes:
        counts: of spikes.
        missed: samples of its own class in which each output was silent; None: none.
    """

    counts: Counts
    missed: NDArray[np.int64] | None


class SilenceWatch:
    """Counts silent neurons and outputs epoch by epoch, and warns once each.

    Args:
        net: the network.
        loss: of which ``population`` is the readout.
        labels: of the whole training set, if they are classes of the readout; else None.
        remedies: what is done already.
        clip_norm: what is done already.
        stop_after: populations with whose first spikes samples end; none: they never do.
    """

    def __init__(
        self,
        net: Network,
        loss: Any,
        *,
        labels: NDArray[np.int64] | None,
        remedies: Sequence[Remedy],
        clip_norm: float | None,
        stop_after: tuple[str, ...] = (),
    ) -> None:
        self._net = net
        output = output_of(net, loss)
        self._output: Population | None = None
        self._own: NDArray[np.int64] | None = None
        if not isinstance(output, Readout):  # those have no spikes that could be missed
            self._output = output
        if self._output is not None and labels is not None:
            self._own = np.maximum(np.bincount(labels, minlength=output.size), 1)
        self._remedies = remedies
        self._clipped = clip_norm is not None
        self._stop_after = stop_after
        self._activity = Activity(net)
        self._since: dict[str, int] = {}
        self._told: set[str] = set()
        self._input: tuple[tuple[Spikes, ...], float] = ((), math.inf)
        self.begin()

    def begin(self) -> None:
        """A new epoch."""
        self._activity.begin()
        self._fired = np.zeros(sum(p.size for p in self._net.populations.values()), dtype=bool)
        self._all_fired = False
        self._missed = np.zeros(self._output.size if self._output else 0, dtype=np.int64)

    def look(self, record: Record, labels: NDArray[Any]) -> Firing:
        """Who fired in a batch, to be added."""
        self._input = (record._groups, record.until)
        missed = None
        if self._own is not None and self._output is not None:
            n = self._output.size
            at = np.arange(0, labels.size * n, n)
            at += labels
            silent = record._first_times(self._output).take(at) == np.inf
            if silent.any():
                missed = np.bincount(labels[silent], minlength=n)
        return Firing(self._activity.counted(record), missed)

    def add(self, firing: Firing) -> None:
        """Takes note of a batch."""
        counts, missed = firing
        self._activity.add(counts)
        if not self._all_fired:
            self._fired |= counts.spikes > 0
            self._all_fired = bool(self._fired.all())
        if missed is not None:
            self._missed += missed

    def figures(self) -> dict[str, float]:
        """The silent fraction of each population in this epoch, and its activity.

        As far as samples went.
        """
        silent = {
            f"silent/{p.name}": float(np.mean(~self._fired[p.offset : p.offset + p.size]))
            for p in self._net.populations.values()
        }
        return {**silent, **self._activity.figures()}

    def tell(self, epoch: int) -> None:
        """Warns of what was found in the epoch (1, 2, ...), of each population and output once."""
        if self._all_fired:
            self._since.clear()
        for p in () if self._all_fired else self._net.populations.values():
            if self._fired[p.offset : p.offset + p.size].any():
                self._since.pop(p.name, None)
                continue
            since = self._since.setdefault(p.name, epoch)
            if p.name not in self._told:
                self._told.add(p.name)
                warn(
                    f"population {p.name} fires no spike in any sample since epoch "
                    f"{since}{self._up_to(p.name)}, so no gradient reaches it or what comes before "
                    f"it{self._units(p.name)}: {self._advice(p.name)}",
                    SilentPopulationWarning,
                )
        if self._own is None or self._output is None or not self._missed.any():
            return
        output = self._output.name
        if output in self._since:
            return
        share = self._missed / self._own
        worst = int(np.argmax(share))
        limit = _MOST_AT_FIRST if epoch == 1 else _MOST
        if share[worst] > limit and "outputs" not in self._told:
            self._told.add("outputs")
            warn(
                f"neuron {worst} of population {output} is silent in "
                f"{share[worst]:.0%} of the samples of its own class in epoch {epoch}, where the "
                f"gradient cannot bring it back{self._units(output)}: "
                f"{self._advice(output)}",
                SilentOutputWarning,
            )

    def _up_to(self, population: str) -> str:
        """Where samples ended, if another population decided that."""
        if not self._stop_after or population in self._stop_after:
            return ""
        return f", whose samples end once all of {' and '.join(self._stop_after)} have fired"

    def _units(self, population: str) -> str:
        """The question about units, asked of the last batch."""
        return unit_question(self._net, population, *self._input)

    def _advice(self, population: str) -> str:
        """What to add, with numbers that work where weights are of the order of 1."""
        wanted: dict[str, float] = {"LabelBump": 1.0} if self._own is not None else {}
        wanted["WeightBump"] = 0.01
        used = {
            type(r).__name__: r.amount
            for r in self._remedies
            if isinstance(r, (LabelBump, WeightBump))
        }
        of = {}  # of remedies: the population, unless they take it by themselves
        if self._output is not None and self._output is not readout_of(self._net, None):
            of["LabelBump"] = f", population={self._output.name!r}"
        add = [
            f"snnfp.remedies.{k}(amount={v}{of.get(k, '')})"
            for k, v in wanted.items()
            if k not in used
        ]
        options = [f"remedies=[{', '.join(add)}]"] if add else []
        options += [] if self._clipped else ["clip_norm=1.0"]
        if options:
            first = f"add fit({', '.join(options)})"
        else:
            kind = next(iter(wanted))
            first = f"try {kind}(amount={10 * used[kind]:g}{of.get(kind, '')})"
        into = [p.name for p in self._net.projections.values() if p.target == population]
        begin = f"larger initial weights of {' and '.join(into)}" if into else "a projection to it"
        return f"{first}, or begin with {begin}"


@contextlib.contextmanager
def silence_untold(net: Network) -> Iterator[None]:
    """No warnings of silent populations by each simulation; a later call still warns."""
    told = set(net._warned)
    net._warned |= set(net.populations)
    try:
        yield
    finally:
        net._warned = (net._warned - set(net.populations)) | told
