"""The paths of a graph from spikes to neurons, and from constants to neurons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.nir._graph import INTEGRATORS, NEURONS, READOUTS, Node, field_of
from snnfp.nir._links import Link
from snnfp.nir._neurons import Membrane
from snnfp.nir._planes import Planes

__all__ = ["Paths", "feeds", "ordered"]

Array = NDArray[np.float64]

# What this library writes about a projection, at one of its nodes.
_WRITTEN = ("order", "name", "delay", "mask", "sources", "targets")


class Paths:
    """Walks from node to node.

    Args:
        nodes: of the flat graph.
        pulse: the integral of a spike, see :func:`snnfp.nir.from_nir`.
    """

    def __init__(self, nodes: dict[str, Node], pulse: float | str) -> None:
        self.nodes = nodes
        self.pulse = pulse
        order = ordered(nodes)
        self.synapses = {
            n.path: Membrane.of(n) for n in order if n.kind in INTEGRATORS and feeds(n)
        }
        self.sources = [n for n in order if n.kind in ("Input", *NEURONS)]
        listening = (*NEURONS, *READOUTS, *INTEGRATORS)
        self.neurons = [n for n in order if n.kind in listening and n.path not in self.synapses]
        self._ends = {n.path for n in self.neurons}
        self._seen = {n.path for n in (*self.sources, *self.neurons)}
        for node in self.neurons:
            if node.kind in NEURONS:
                continue
            if feeds(node):
                raise ValueError(
                    f"{node} sends its potential to {node.after[0]}, expected an Output: what is "
                    "sent here is spikes"
                )
            self._seen |= {n.path for n in _after(node)}

    def of_spikes(self, source: Node) -> Iterator[tuple[Node, Link]]:
        """From the spikes of an input or of neurons to all neurons and outputs that hear them."""
        return self._walk(source, Link.start(source.size), (), constant=False)

    def of_constants(self, node: Node) -> Iterator[tuple[Node, Link]]:
        """From constants that leave a node to all neurons; gains are those of constants."""
        return self._walk(node, Link.start(node.size), (), constant=True)

    def check_all_seen(self) -> None:
        """Raises where no path led to a node: nothing is left out without a word."""
        lost = [str(n) for n in self.nodes.values() if n.path not in self._seen]
        if lost:
            raise ValueError(f"{', '.join(lost)}: no Input and no spiking neuron leads there")

    def _walk(
        self, node: Node, link: Link, on: tuple[str, ...], *, constant: bool
    ) -> Iterator[tuple[Node, Link]]:
        for after in node.after:
            self._seen.add(after.path)
            if after.path in self._ends or after.kind == "Output":
                yield after, link
                continue
            if after.path in on:
                raise ValueError(
                    f"{after} lies on a loop without neurons: {' -> '.join((*on, after.path))}"
                )
            if not after.after:
                raise ValueError(f"{after} leads nowhere, expected an edge to neurons")
            try:
                further = self._step(after, link, constant)
            except ValueError as error:
                if str(error).startswith(str(after)):
                    raise
                raise ValueError(f"{after}: {error}") from None
            yield from self._walk(after, further, (*on, after.path), constant=constant)

    def _step(self, node: Node, link: Link, constant: bool) -> Link:
        """The path with one more node."""
        if node.path in self.synapses:
            return self._synapse(node, link, constant)
        if node.kind in ("Flatten", "pass"):
            return link
        link = link.written_about({k: node.metadata(k) for k in _WRITTEN})
        if node.kind == "Delay":
            return link.delayed(field_of(node, "delay"))
        link = link.called(node.path)
        if node.kind == "Scale":
            return link.scaled(field_of(node, "scale"))
        if node.kind in ("Linear", "Affine"):
            matrix = np.asarray(node.nir.weight, dtype=np.float64).T
            link = link.through(matrix, node.size)
            return link if node.metadata("pick") is None else link.listed()
        return link.through(Planes.of_node(node, node.shape_in), node.size)

    def _synapse(self, node: Node, link: Link, constant: bool) -> Link:
        """Through an LI or I that feeds neurons: its potential is their current."""
        m = self.synapses[node.path]
        if link.tau is not None:
            raise ValueError("a second synapse on one path, expected one")
        if not constant:
            return link.scaled(_jumps(m, self.pulse)).filtered(m.tau_mem)
        if not np.isfinite(m.tau_mem).all():
            raise ValueError("a constant goes into an integrator, where it grows for ever")
        return link.scaled(field_of(node, "r")).filtered(m.tau_mem)


def _jumps(synapse: Membrane, pulse: float | str) -> Array:
    """What a spike of weight 1 adds to the potential of an LI or I."""
    if isinstance(pulse, str):
        return field_of(synapse.node, "r")
    return synapse.rise * pulse


def _after(node: Node) -> Iterator[Node]:
    """What hears a readout: outputs, perhaps through ports."""
    for after in node.after:
        yield after
        yield from _after(after)


def feeds(node: Node) -> bool:
    """Whether something other than outputs hears a node."""
    return any(
        feeds(after) if after.kind in ("pass", "Flatten") else after.kind != "Output"
        for after in node.after
    )


def ordered(nodes: dict[str, Node]) -> list[Node]:
    """The nodes in the order that was written, or else from the inputs on, along the edges."""
    groups = (*NEURONS, *READOUTS, *INTEGRATORS, "Input")
    places: dict[str, Any] = {n.path: n.metadata("order") for n in nodes.values()}
    if all(places[n.path] is not None for n in nodes.values() if n.kind in groups):
        known = [n for n in nodes.values() if places[n.path] is not None]
        known.sort(key=lambda n: int(places[n.path]))
        return list({n.path: n for n in (*known, *nodes.values())}.values())
    reached = {n.path: n for n in nodes.values() if n.kind == "Input"}
    waiting = list(reached.values())
    while waiting:
        for after in waiting.pop(0).after:
            if after.path not in reached:
                reached[after.path] = after
                waiting.append(after)
    return list({**reached, **nodes}.values())
