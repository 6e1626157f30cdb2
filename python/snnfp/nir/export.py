"""NIR graphs from networks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._memory import need_memory
from snnfp.errors import require
from snnfp.groups import Input, Population, Projection, Readout
from snnfp.network import Network
from snnfp.neurons import NEURON_PARAMETERS, READOUT_PARAMETERS
from snnfp.nir._neurons import SYNAPSE, fields_of
from snnfp.simulate import check_network

__all__ = ["to_nir", "write"]

Shape = tuple[int, ...]
Chain = list[tuple[str, Any]]  # nodes of a projection with the ends of their names

_OF_SOURCE, _OF_TARGET = "one a source unit", "one a target neuron"


def write(net: Network, path: str | Path, *, outputs: Iterable[str] | None = None) -> None:
    """Writes the NIR file of a network; see :func:`to_nir`.

    Raises:
        OSError: it cannot be written.
    """
    require("nir", extra="nir").write(path, to_nir(net, outputs=outputs))


def to_nir(net: Network, *, outputs: Iterable[str] | None = None) -> Any:
    """The NIR graph of a network: the same equations.

    Neurons become CubaLIF, with ``w_in`` and ``r`` such that weights are the same numbers; readouts
    CubaLI. A bias is a shift of ``v_leak``. Where a time constant is
    infinite they become two nodes, a synapse (LI or I) and a membrane (LIF, IF, LI or I). Metadata
    says what NIR has no field for, so that :func:`from_nir` gives back the network whose spikes are
    the same to the bit; nothing in the graph depends on it.

    Args:
        net: the network, with times in seconds, as NIR has them.
        outputs: names of populations and readouts that get an Output node; None: readouts, and
            populations that feed nothing but themselves.

    Returns:
        A ``nir.NIRGraph``.

    Raises:
        ValueError: what NIR has no node for: a refractory time, ``max_spikes``, time constants of
            which some are infinite, dense weights to neurons on planes.
        KeyError: an output that there is not.
    """
    check_network(net)
    return _Export(net, require("nir", extra="nir")).run(outputs)


class _Export:
    """One run of :func:`to_nir`."""

    def __init__(self, net: Network, nir: Any) -> None:
        self.net = net
        self.nir = nir
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.projections = (*net.projections.values(), *net.readout_projections.values())
        self.heard = {p.target for p in self.projections}
        self.shapes = _shapes(net, self.projections)
        self.first: dict[str, str] = {}  # where what reaches a group comes in
        self.names: dict[str, str] = {}

    def run(self, outputs: Iterable[str] | None) -> Any:
        net = self.net
        for name in net.inputs:
            node = self.nir.Input(input_type=np.array(self.shapes[name]))
            self._add(name, "", node, order=len(self.nodes))
        for population in net.populations.values():
            self._neurons(population)
        for readout in net.readouts.values():
            self._neurons(readout)
        for k, projection in enumerate(self.projections):
            self._projection(projection, k)
        self._outputs(outputs)
        return self.nir.NIRGraph(
            nodes=self.nodes,
            edges=self.edges,
            metadata={"snnfp_dtype": net.dtype.name},
            type_check=False,
        )

    def _add(self, name: str, suffix: str, node: Any, **about: Any) -> str:
        """A node under the name of what it is part of; returns the name that it has."""
        if name not in self.names:
            # A slash would make groups of the file.
            plain = name.replace("/", "_")
            while plain in self.names.values():
                plain += "_"
            self.names[name] = plain
        if not suffix:
            about["name"] = name
        node.metadata = {f"snnfp_{key}": value for key, value in about.items()}
        self.nodes[f"{self.names[name]}{suffix}"] = node
        return f"{self.names[name]}{suffix}"

    def _neurons(self, group: Population | Readout) -> None:
        name, fires = group.name, isinstance(group, Population)
        if isinstance(group, Population) and group.max_spikes is not None:
            raise ValueError(
                f"population {name} has max_spikes {group.max_spikes}, expected None: the neurons "
                "of NIR fire as often as they like"
            )
        parameters = NEURON_PARAMETERS if fires else READOUT_PARAMETERS
        values = {key: np.float64(self.net.parameters[f"{name}.{key}"]) for key in parameters}
        parts = fields_of(name, group.size, values)
        if name not in self.heard:
            parts.pop(SYNAPSE, None)  # nothing comes in through it
        for suffix, (kind, fields) in parts.items():
            shaped = {key: value.reshape(self.shapes[name]) for key, value in fields.items()}
            about: dict[str, Any] = {} if suffix else {k: _plain(v) for k, v in values.items()}
            node = getattr(self.nir, kind)(**shaped)
            added = self._add(name, suffix, node, **about, order=len(self.nodes))
            self.first.setdefault(name, added)
        if len(parts) > 1:
            self.edges.append((self.first[name], self.names[name]))

    def _outputs(self, outputs: Iterable[str] | None) -> None:
        net = self.net
        feeding = {p.source for p in self.projections if p.source != p.target}
        groups = {**net.populations, **net.readouts}
        names = [n for n in groups if n not in feeding] if outputs is None else list(outputs)
        for name in names:
            if name not in groups:
                raise KeyError(
                    f"output {name!r} is no population and no readout of the network, expected one "
                    f"of: {', '.join(groups)}"
                )
            node = self.nir.Output(output_type=np.array(self.shapes[name]))
            alone = len(names) == 1 and "output" not in self.nodes
            added = "output" if alone else f"{self.names[name]}.output"
            self.nodes[added] = node
            self.edges.append((self.names[name], added))

    # -- projections -----------------------------------------------------------------------------

    def _projection(self, p: Projection, place: int) -> None:
        weight = self.net.parameters[f"{p.name}.weight"]
        delay = self.net.parameters[f"{p.name}.delay"]
        per = p.delays_are(delay.shape)
        together = delay.ndim == 0 or p.kind == "one_to_one" or per in (_OF_SOURCE, _OF_TARGET)
        chain = self._weights(p, weight) if together else None
        if chain is None:
            chain = self._synapses(p, weight, delay)
        else:
            chain = self._with_delays(p, chain, delay, per)
        before = self.names[p.source]
        for suffix, (node, about) in chain:
            own = {} if suffix else {"order": place}
            added = self._add(p.name, suffix, node, **about, **own)
            self.edges.append((before, added))
            before = added
        self.edges.append((before, self.first[p.target]))

    def _weights(self, p: Projection, weight: NDArray[Any]) -> Chain | None:
        """The nodes that are the weights of a projection; None: they take a list of synapses."""
        if p.planes is not None:
            return self._on_planes(p, weight)
        if p.kind == "one_to_one":
            source, target = self.shapes[p.source], self.shapes[p.target]
            flat = [] if source == target else self._flat(p)
            return [*flat, ("", (self.nir.Scale(scale=weight.reshape(target)), {}))]
        about: dict[str, Any] = {}
        if p.sparse is not None:
            at = p.sources.astype(np.int64) * p.ends[1] + p.targets
            if np.unique(at).size < at.size:
                return None
            need_memory(8 * math.prod(p.ends), f"the {p.ends[0]} x {p.ends[1]} weights of {p.name}")
            matrix = np.zeros(p.ends, dtype=weight.dtype)
            matrix[p.sources, p.targets] = weight
            if at.size:
                about = {"sources": p.sources, "targets": np.array(p.targets)}
        else:
            matrix = weight
            if p.mask is not None:
                about = {"mask": p.mask.astype(np.uint8)}
        node = self.nir.Linear(weight=np.ascontiguousarray(matrix.T))
        return [*self._flat(p), ("", (node, about))]

    def _on_planes(self, p: Projection, weight: NDArray[Any]) -> Chain:
        g = p.planes
        assert g is not None
        if p.kind == "conv2d":
            node = self.nir.Conv2d(
                input_shape=g.shape_in[1:],
                weight=np.array(weight),
                stride=g.stride,
                padding=g.padding,
                dilation=(1, 1),
                groups=1,
                bias=np.zeros(g.shape_out[0]),
            )
            return [("", (node, {}))]
        sizes = {
            "kernel_size": np.array(g.kernel),
            "stride": np.array(g.stride),
            "padding": np.array(g.padding),
        }
        if weight == 1.0 / math.prod(g.kernel):
            return [("", (self.nir.AvgPool2d(**sizes), {}))]
        scale = self.nir.Scale(scale=np.full(g.shape_out, weight))
        return [("", (self.nir.SumPool2d(**sizes), {})), (".scale", (scale, {}))]

    def _with_delays(
        self, p: Projection, chain: Chain, delay: NDArray[Any], per: str | None
    ) -> Chain:
        """With a Delay node before or after the weights."""
        source, target = self.shapes[p.source], self.shapes[p.target]
        if p.kind == "one_to_one":
            # The source may be planes that are flattened first: delays go last.
            about = {"delay": "synapse"} if delay.ndim else {}
            node = self.nir.Delay(
                delay=np.broadcast_to(delay.reshape(-1), p.ends[1]).reshape(target)
            )
            return [*chain, (".delay", (node, about))] if delay.ndim or delay else chain
        if per == _OF_TARGET:
            node = self.nir.Delay(delay=delay.reshape(target))
            return [*chain, (".delay", (node, {"delay": "target"}))]
        if per == _OF_SOURCE:
            node = self.nir.Delay(delay=delay.reshape(source))
            return [(".delay", (node, {"delay": "source"})), *chain]
        if delay:
            return [(".delay", (self.nir.Delay(delay=np.full(source, delay)), {})), *chain]
        return chain

    def _synapses(self, p: Projection, weight: NDArray[Any], delay: NDArray[Any]) -> Chain:
        """Every synapse by itself: picked, delayed, weighted, summed."""
        n, m = p.ends
        about: dict[str, Any] = {"delay": "synapse"} if delay.ndim else {}
        if p.sparse is None:
            sources, targets = (a.reshape(-1).astype(np.int32) for a in np.indices((n, m)))
            if p.mask is not None:
                about["mask"] = p.mask.astype(np.uint8)
        else:
            sources, targets = p.sources, p.targets
            about |= {"sources": sources, "targets": np.array(targets)}
        order = np.argsort(sources, kind="stable")
        weights, delays = (self._each(p, a)[order] for a in (weight, delay))
        sources, targets = sources[order], targets[order]
        k = np.arange(sources.size)
        need_memory(8 * k.size * (n + m), f"the matrices of the {k.size} synapses of {p.name}")
        pick, total = np.zeros((k.size, n)), np.zeros((m, k.size))
        pick[k, sources] = 1.0
        total[targets, k] = 1.0
        return [
            *self._flat(p, " with a delay a synapse"),
            (".pick", (self.nir.Linear(weight=pick), {"pick": 1})),
            (".delay", (self.nir.Delay(delay=delays), about)),
            ("", (self.nir.Scale(scale=weights), {})),
            (".sum", (self.nir.Linear(weight=total), {})),
        ]

    def _each(self, p: Projection, values: NDArray[Any]) -> NDArray[Any]:
        """One value a synapse, in the order of the projection's sources and targets."""
        if p.sparse is None:
            return np.broadcast_to(values, p.ends).reshape(-1)
        if p.weight_of is not None and values.shape == p.weight_shape:
            return values.reshape(-1)[p.weight_of]
        if values.shape == p.shape:
            return values
        return np.broadcast_to(values, p.ends)[p.sources, p.targets]

    def _flat(self, p: Projection, how: str = "") -> Chain:
        """A Flatten where weights of all pairs come from planes."""
        source, target = self.shapes[p.source], self.shapes[p.target]
        if len(target) > 1:
            raise ValueError(
                f"projection {p.name} ({p.kind}{how}) leads to {p.target}, neurons on planes of "
                f"shape {target}, and NIR has no node that makes planes of a list: expected a "
                "convolution, pooling or one to one, with a delay a source unit or target neuron"
            )
        if len(source) == 1:
            return []
        node = self.nir.Flatten(input_type={"input": np.array(source)}, start_dim=0, end_dim=-1)
        return [(".flatten", (node, {}))]


def _shapes(net: Network, projections: Iterable[Projection]) -> dict[str, Shape]:
    """The shape of each group: its planes, where a convolution or pooling says so."""
    groups: dict[str, Input | Population | Readout] = {**net.inputs, **net.populations}
    groups |= net.readouts
    shapes: dict[str, Shape] = {}
    for p in projections:
        if p.planes is None:
            continue
        for name, shape in ((p.source, p.planes.shape_in), (p.target, p.planes.shape_out)):
            if shapes.setdefault(name, shape) != shape:
                raise ValueError(
                    f"{name} has planes of shape {shapes[name]} and, at {p.name}, {shape}: NIR "
                    "gives a group one shape"
                )
    return {name: shapes.get(name, (group.size,)) for name, group in groups.items()}


def _plain(value: Any) -> Any:
    """A number for what is one: NIR compresses arrays, which HDF5 refuses of single values."""
    return float(value) if np.ndim(value) == 0 else np.array(value)
