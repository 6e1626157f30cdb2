"""Who is silent while a network is trained, and words that help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._warnings import warn
from snnfp.errors import SilentOutputWarning, SilentPopulationWarning
from snnfp.losses import readout_of
from snnfp.network import Network
from snnfp.record import Record
from snnfp.remedies import LabelBump, Remedy, WeightBump

__all__ = ["SilenceWatch"]

# Of the samples of its own class, in which an output may be silent; in the first epoch a network
# is still finding its feet.
_MOST, _MOST_AT_FIRST = 0.5, 0.9


class SilenceWatch:
    """Counts silent neurons and outputs epoch by epoch, and warns once each.

    Args:
        net: the network.
        loss: of which ``population`` is the readout.
        classes: whether labels are classes of the readout.
        remedies: what is done already.
        clip_norm: what is done already.
    """

    def __init__(
        self,
        net: Network,
        loss: Any,
        *,
        classes: bool,
        remedies: Sequence[Remedy],
        clip_norm: float | None,
    ) -> None:
        self._net = net
        self._readout = readout_of(net, getattr(loss, "population", None))
        self._classes = classes
        self._remedies = remedies
        self._clipped = clip_norm is not None
        self._since: dict[str, int] = {}
        self._told: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """A new epoch."""
        self._fired = np.zeros(sum(p.size for p in self._net.populations.values()), dtype=bool)
        self._all_fired = False
        self._own = np.zeros(self._readout.size, dtype=np.int64)
        self._missed = np.zeros(self._readout.size, dtype=np.int64)

    def add(self, record: Record, labels: NDArray[Any]) -> None:
        """Takes note of a batch."""
        if not self._all_fired:
            for p in self._net.populations.values():
                self._fired[p.offset : p.offset + p.size] |= record.fires(p)
            self._all_fired = bool(self._fired.all())
        if self._classes:
            n = self._readout.size
            silent = record.first_indices(self._readout)[np.arange(labels.size), labels] < 0
            self._own += np.bincount(labels, minlength=n)
            self._missed += np.bincount(labels[silent], minlength=n)

    def figures(self) -> dict[str, float]:
        """The silent fraction of each population in this epoch."""
        return {
            f"silent/{p.name}": float(np.mean(~self._fired[p.offset : p.offset + p.size]))
            for p in self._net.populations.values()
        }

    def tell(self, epoch: int) -> None:
        """Warns of what was found in the epoch (1, 2, ...), of each population and output once."""
        for p in self._net.populations.values():
            if self._fired[p.offset : p.offset + p.size].any():
                self._since.pop(p.name, None)
                continue
            since = self._since.setdefault(p.name, epoch)
            if p.name not in self._told:
                self._told.add(p.name)
                warn(
                    f"population {p.name} fires no spike in any sample since epoch {since}, so no "
                    f"gradient reaches it or what comes before it: {self._advice(p.name)}",
                    SilentPopulationWarning,
                )
        if not self._classes or self._readout.name in self._since:
            return
        share = self._missed / np.maximum(self._own, 1)
        worst = int(np.argmax(share))
        limit = _MOST_AT_FIRST if epoch == 1 else _MOST
        if share[worst] > limit and "outputs" not in self._told:
            self._told.add("outputs")
            warn(
                f"neuron {worst} of population {self._readout.name} is silent in "
                f"{share[worst]:.0%} of the samples of its own class in epoch {epoch}, where the "
                f"gradient cannot bring it back: {self._advice(self._readout.name)}",
                SilentOutputWarning,
            )

    def _advice(self, population: str) -> str:
        """What to add, with numbers that work where weights are of the order of 1."""
        wanted: dict[type, str] = {LabelBump: "LabelBump(amount=1.0)"} if self._classes else {}
        wanted[WeightBump] = "WeightBump(amount=0.01)"
        used = {type(remedy) for remedy in self._remedies}
        add = ", ".join(f"snnfp.remedies.{text}" for k, text in wanted.items() if k not in used)
        options = [f"remedies=[{add}]"] if add else []
        options += [] if self._clipped else ["clip_norm=1.0"]
        into = [p.name for p in self._net.projections.values() if p.target == population]
        weights = (
            f"larger initial weights of {' and '.join(into)}" if into else "a projection to it"
        )
        first = f"add fit({', '.join(options)})" if options else "try a larger amount of a remedy"
        return f"{first}, or begin with {weights}"
