"""What a page is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from snnfp.history import History
from snnfp.network import Network

__all__ = ["Subject"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A trained network, and what is known of how it came to be.

    All but the name may be left out; the page has what it can show of the rest.

    Attributes:
        name: what the page calls it.
        history: of its training, for the learning curves.
        net: the trained network, for spikes, voltages and the diagnosis, with ``samples``.
        before: parameters by name as they were before the training.
        after: as they are now; None: those of ``net``.
        samples: (spikes, labels) that it was not trained on, as :func:`snnfp.evaluate` takes them.
        loss: what it was trained with, which says how outputs are read.
        until: end of the simulation.
        time_unit: of times, for labels: ``"ms"``.
        settings: how it was trained, by name.
        usual: those among them that are usual; what differs is marked.
        facts: more to say at the top, by name: ``{"task": "yin-yang"}``.
        missing: what cannot be shown, and why; a line each.
        n_threads: for the simulations; None: all.
    """

    name: str
    history: History | None = None
    net: Network | None = None
    before: Mapping[str, NDArray[Any]] | None = None
    after: Mapping[str, NDArray[Any]] | None = None
    samples: tuple[Any, Any] | None = None
    loss: Any = None
    until: float | None = None
    time_unit: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    n_threads: int | None = None

    def __post_init__(self) -> None:
        for name, kind, expected in (
            ("name", str, "text"),
            ("history", History, "the snnfp.History of a training"),
            ("net", Network, "a snnfp.Network"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind) and (value is not None or name == "name"):
                raise TypeError(f"{name} is a {type(value).__name__}, expected {expected}")
        if self.samples is not None and (
            not isinstance(self.samples, (tuple, list)) or len(self.samples) != 2
        ):
            raise TypeError(
                f"samples are a {type(self.samples).__name__}, expected (spikes, labels)"
            )
        if self.samples is not None and self.net is None:
            raise ValueError(
                "samples are given and net is not, expected the network to run on them"
            )

    def trained(self) -> Mapping[str, NDArray[Any]]:
        """The parameters as they are now."""
        if self.after is not None:
            return self.after
        return {} if self.net is None else dict(self.net.parameters)
