"""A NIR graph laid flat: subgraphs inlined, each node with its neighbours and its shape."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.nir._planes import Planes

__all__ = ["INTEGRATORS", "NEURONS", "READOUTS", "STATELESS", "Node", "field_of", "flatten"]

NEURONS = ("CubaLIF", "LIF", "IF")
READOUTS = ("CubaLI",)
INTEGRATORS = ("LI", "I")  # a synapse where they feed something, else a readout
STATELESS = (
    "Affine",
    "AvgPool2d",
    "Conv2d",
    "Delay",
    "Flatten",
    "Linear",
    "Scale",
    "SumPool2d",
)
_PORTS = ("Input", "Output")
# Of these a parameter's shape is the node's.
_SHAPED = {"CubaLIF": "v_threshold", "LIF": "v_threshold", "IF": "v_threshold", "CubaLI": "v_leak"}
_SHAPED |= {"LI": "v_leak", "I": "r", "Scale": "scale", "Delay": "delay"}

Shape = tuple[int, ...]


@dataclass(eq=False)
class Node:
    """A node of the flat graph.

    Attributes:
        path: its name, after those of the subgraphs it lies in: ``"rnn.lif"``.
        kind: the name of its NIR type; ``"pass"`` for the ports of subgraphs.
        nir: the NIR node.
        before: nodes with an edge to it, in the order of the edges.
        after: nodes that it has an edge to.
        shape: of what leaves it.
    """

    path: str
    kind: str
    nir: Any
    before: list[Node] = field(default_factory=list)
    after: list[Node] = field(default_factory=list)
    shape: Shape | None = None

    def __str__(self) -> str:
        return f"node {self.path} ({type(self.nir).__name__})"

    @property
    def size(self) -> int:
        """Number of units."""
        assert self.shape is not None
        return math.prod(self.shape)

    @property
    def shape_in(self) -> Shape:
        """Of what comes in: that of any node before, which all have one size."""
        shapes = [b.shape for b in self.before if b.shape is not None]
        return max(shapes, key=len)

    def metadata(self, name: str) -> Any:
        """What this library wrote about the node, or None."""
        own = getattr(self.nir, "metadata", None)
        return own.get(f"snnfp_{name}") if isinstance(own, dict) else None


def flatten(graph: Any) -> dict[str, Node]:
    """The nodes of a graph by path, those of subgraphs inlined.

    Raises:
        TypeError: not a NIRGraph.
        ValueError: a node that there is nothing for here, an edge to nowhere or one that is there
            twice, shapes that do not fit.
    """
    if type(graph).__name__ != "NIRGraph":
        raise TypeError(f"graph is a {type(graph).__name__}, expected nir.NIRGraph")
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    _inline(graph, "", nodes, edges)
    known = (*NEURONS, *READOUTS, *INTEGRATORS, *STATELESS, *_PORTS, "pass")
    strange = [str(n) for n in nodes.values() if n.kind not in known]
    if strange:
        raise ValueError(
            f"{', '.join(strange)}: snnfp has nothing that does the same; expected "
            f"{', '.join(sorted(known[:-1]))} or NIRGraph"
        )
    for edge, times in Counter(edges).items():
        if times > 1:
            raise ValueError(
                f"the edge {edge} is there {times} times, which some tools read as one connection "
                "and others as several: leave one, say with "
                "graph.edges = list(dict.fromkeys(graph.edges))"
            )
    for a, b in edges:
        nodes[a].after.append(nodes[b])
        nodes[b].before.append(nodes[a])
    _infer(nodes)
    return nodes


def _inline(graph: Any, prefix: str, nodes: dict[str, Node], edges: list[tuple[str, str]]) -> None:
    for name, node in graph.nodes.items():
        kind = type(node).__name__
        if kind == "NIRGraph":
            _inline(node, f"{prefix}{name}.", nodes, edges)
        else:
            path = f"{prefix}{name}"
            nodes[path] = Node(path, "pass" if prefix and kind in _PORTS else kind, node)
    for a, b in graph.edges:
        edges.append((_end(graph, prefix, a, "Output"), _end(graph, prefix, b, "Input")))


def _end(graph: Any, prefix: str, name: str, port: str) -> str:
    """The node that an edge begins or ends at; of a subgraph its port."""
    if name not in graph.nodes:
        where = f"of subgraph {prefix[:-1]} " if prefix else ""
        raise ValueError(
            f"an edge {where}names node {name!r}, expected one of: {', '.join(graph.nodes)}"
        )
    node = graph.nodes[name]
    if type(node).__name__ != "NIRGraph":
        return f"{prefix}{name}"
    ports = [k for k, inner in node.nodes.items() if type(inner).__name__ == port]
    if len(ports) != 1:
        raise ValueError(
            f"subgraph {prefix}{name} has {len(ports)} {port} nodes, expected one: an edge does "
            "not say which it means"
        )
    return f"{prefix}{name}.{ports[0]}"


# -- shapes --------------------------------------------------------------------------------------


def _infer(nodes: dict[str, Node]) -> None:
    """Finds the shape of every node, and checks that the nodes along each edge agree."""
    for node in nodes.values():
        if node.kind == "Input":
            node.shape = _shape(node.nir.input_type["input"])
        elif node.kind in ("Linear", "Affine"):
            node.shape = (_matrix(node).shape[0],)
    _propagate(nodes)
    for node in nodes.values():
        # Nothing before it has a shape: where a loop has no input, its neurons have one.
        if node.shape is None and node.kind in _SHAPED:
            own = np.shape(getattr(node.nir, _SHAPED[node.kind]))
            node.shape = own or (1,)
            _propagate(nodes)
        elif node.shape is None and node.kind == "Conv2d" and _given(node.nir.input_shape):
            node.shape = Planes.of_node(node, None).shape_out
            _propagate(nodes)
    for node in nodes.values():
        if node.shape is None:
            raise ValueError(f"{node} has no shape: nothing leads to it from an Input or a neuron")
        for before in node.before:
            assert before.shape is not None
            expected = _expects(node, before.shape)
            if math.prod(expected) != before.size:
                raise ValueError(
                    f"{before} gives {before.size} values, shape {before.shape}, to {node}, which "
                    f"takes {math.prod(expected)}, shape {expected}"
                )


def _propagate(nodes: dict[str, Node]) -> None:
    waiting = [n for n in nodes.values() if n.shape is not None]
    while waiting:
        for node in waiting.pop().after:
            if node.shape is None:
                node.shape = _after(node, node.shape_in)
                waiting.append(node)


def _after(node: Node, shape: Shape) -> Shape:
    """The shape of what leaves a node that gets this shape."""
    if node.kind in _SHAPED:
        own = np.shape(getattr(node.nir, _SHAPED[node.kind]))
        if math.prod(own) == 1 or _broadcasts(own, shape):
            return shape
        # Equal sizes: planes know more than a flat list.
        return shape if math.prod(own) == math.prod(shape) and len(own) < len(shape) else own
    if node.kind in ("Conv2d", "SumPool2d", "AvgPool2d"):
        return Planes.of_node(node, shape).shape_out
    if node.kind == "Flatten":
        first, last = (
            int(d) + (len(shape) if d < 0 else 0) for d in (node.nir.start_dim, node.nir.end_dim)
        )
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
    return shape


def _expects(node: Node, shape: Shape) -> Shape:
    """The shape that a node takes, where it gets this one."""
    if node.kind in ("Linear", "Affine"):
        return (_matrix(node).shape[1],)
    if node.kind in ("Conv2d", "SumPool2d", "AvgPool2d"):
        return Planes.of_node(node, shape).shape_in
    if node.kind == "Flatten":
        return shape
    if node.kind == "Output":
        own = _shape(node.nir.output_type["output"])
        return shape if math.prod(own) == 1 else own
    assert node.shape is not None
    return node.shape


def _matrix(node: Node) -> NDArray[Any]:
    weight = np.asarray(node.nir.weight)
    if weight.ndim != 2:
        raise ValueError(
            f"{node}: weight has shape {weight.shape}, expected two dimensions, (outputs, inputs)"
        )
    return weight


def _broadcasts(own: Shape, shape: Shape) -> bool:
    try:
        return np.broadcast_shapes(own, shape) == shape
    except ValueError:
        return False


def _given(value: Any) -> bool:
    return value is not None


def _shape(value: Any) -> Shape:
    return tuple(int(n) for n in np.atleast_1d(np.asarray(value)))


def field_of(node: Node, name: str) -> NDArray[np.float64]:
    """A parameter of a node, one value a unit.

    Raises:
        ValueError: another number of values, or one that is no number.
    """
    given = np.asarray(getattr(node.nir, name), dtype=np.float64)
    assert node.shape is not None
    if given.size == node.size:
        values = given.reshape(-1)
    elif given.size == 1 or _broadcasts(given.shape, node.shape):
        values = np.broadcast_to(given, node.shape).reshape(-1)
    else:
        raise ValueError(
            f"{node}: {name} has shape {given.shape}, expected one value or {node.shape}"
        )
    if np.isnan(values).any():
        at = int(np.argmax(np.isnan(values)))
        raise ValueError(f"{node}: {name}[{at}] is nan, expected a number")
    return values
