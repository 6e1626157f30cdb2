"""Networks from NIR graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from snnfp._numbers import real_number
from snnfp.errors import FormatError, require
from snnfp.network import Network
from snnfp.neurons import LI, LIF, NEURON_PARAMETERS, READOUT_PARAMETERS
from snnfp.nir._graph import NEURONS, Node, field_of, flatten
from snnfp.nir._links import Link
from snnfp.nir._neurons import Membrane, fields_of
from snnfp.nir._paths import Paths

__all__ = ["Imported", "from_nir", "read"]

Array = NDArray[np.float64]
Initial = dict[str, tuple[ArrayLike, ArrayLike]]


@dataclass(frozen=True)
class Imported:
    """A network that was made of a NIR graph.

    Attributes:
        net: the network; times in seconds. Inputs, populations and readouts have the names of their
            nodes, projections those of the nodes with their weights.
        outputs: populations and readouts that an Output node hears.
        initial: for ``simulate(initial=...)``: the state in which NIR's v is v_leak and its I is 0,
            where that is not the one in which snnfp begins anyway. NIR says nothing of the state at
            the start.
        notes: what is not as the graph has it, or was assumed, a sentence each.
    """

    net: Network
    outputs: tuple[str, ...]
    initial: Mapping[str, tuple[ArrayLike, ArrayLike]]
    notes: tuple[str, ...]


def read(
    path: str | Path,
    *,
    dtype: DTypeLike | None = None,
    pulse: float | str = 1.0,
    tau_syn: float | None = None,
) -> Imported:
    """The network of a NIR file; see :func:`from_nir`.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: it is no HDF5 file, or holds no NIR graph.
    """
    nir = require("nir", extra="nir")
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        # Not checked by NIR, which refuses pools and convolutions whose shapes follow from what
        # comes before: shapes are checked here.
        graph = nir.read(path, type_check=False)
    except (OSError, KeyError) as error:
        raise FormatError(f"{path}: expected an HDF5 file with a NIR graph: {error}") from error
    return from_nir(graph, dtype=dtype, pulse=pulse, tau_syn=tau_syn)


def from_nir(
    graph: Any,
    *,
    dtype: DTypeLike | None = None,
    pulse: float | str = 1.0,
    tau_syn: float | None = None,
) -> Imported:
    """The network of a NIR graph: the same equations, in continuous time.

    Args:
        graph: a ``nir.NIRGraph``; subgraphs are taken apart.
        dtype: of the network; None: float64, or what :func:`to_nir` wrote.
        pulse: the integral over time of a spike, seconds. 1: a Dirac pulse, as NIR's equations say.
            A tool that counts a spike as 1 for a step of dt writes gains for a pulse of dt:
            snnTorch (1e-4). ``"tau_syn"``: of one in which a spike moves the current by ``w_in``,
            as in Norse, jaxsnn and hxtorch.
        tau_syn: for LIF, IF, LI and I that no synapse leads to, seconds. In NIR a spike makes their
            potential jump, which no exponential synapse does; with this a jump is spread over one
            and has the same size in the end. None: such nodes are refused.

    Raises:
        TypeError: not a graph.
        ValueError: a node, an edge or a parameter that there is nothing for here; names it.
    """
    if pulse != "tau_syn":
        text = isinstance(pulse, str)
        if text or not 0 < real_number(pulse, "pulse") < np.inf:
            raise ValueError(f"pulse is {pulse!r}, expected a time > 0, 1.0 or 'tau_syn'")
        pulse = float(pulse)
    if tau_syn is not None and not real_number(tau_syn, "tau_syn") > 0:
        raise ValueError(f"tau_syn is {tau_syn}, expected a time > 0")
    nodes = flatten(graph)
    if dtype is None:
        own = graph.metadata if isinstance(graph.metadata, dict) else {}
        dtype = own.get("snnfp_dtype", np.float64)
    return _Import(Paths(nodes, pulse), Network(dtype), pulse, tau_syn).run()


@dataclass
class _Target:
    """Neurons, and what comes together at them."""

    membrane: Membrane
    links: list[tuple[Node, Link]] = field(default_factory=list)
    settled: Array | float = 0.0  # constant currents that flow from the start
    rising: Array | float = 0.0  # those that come through a synapse


class _Import:
    """One run of :func:`from_nir`."""

    def __init__(
        self, paths: Paths, net: Network, pulse: float | str, tau_syn: float | None
    ) -> None:
        self.paths = paths
        self.net = net
        self.pulse = pulse
        self.tau_syn = tau_syn
        self.notes: list[str] = []
        self.outputs: dict[str, None] = {}
        self.names: dict[str, str] = {}
        self.targets = {n.path: _Target(Membrane.of(n)) for n in paths.neurons}

    def run(self) -> Imported:
        for source in self.paths.sources:
            self._spikes_of(source)
        self.paths.check_all_seen()
        for node in self.paths.nodes.values():
            self._constants_of(node)
        initial = self._add_groups()
        self._connect()
        return Imported(self.net, tuple(self.outputs), initial, tuple(self.notes))

    def _spikes_of(self, source: Node) -> None:
        for target, link in self.paths.of_spikes(source):
            if target.kind != "Output":
                self.targets[target.path].links.append((source, link))
            elif not link.is_direct or source.kind == "Input":
                raise ValueError(
                    f"{target} hears {source}{link.via}, expected neurons and nothing in between: "
                    "there is nothing here that maps spikes without a neuron"
                )
            else:
                self.outputs[self._name(source)] = None

    def _constants_of(self, node: Node) -> None:
        """What a bias, or the leak potential of a synapse, gives to the neurons after it."""
        if node.path in self.paths.synapses:
            values = self.paths.synapses[node.path].v_leak
        elif node.kind in ("Affine", "Conv2d"):
            values = _bias(node)
        else:
            return
        if not values.any():
            return
        for target, link in self.paths.of_constants(node):
            own, current = self.targets[target.path], link.constant(values)
            if own.membrane.w_in is not None:
                current = own.membrane.w_in * current
            current = own.membrane.rise * current
            if own.membrane.w_in is not None or link.tau is not None:
                own.rising = own.rising + current
            else:
                own.settled = own.settled + current
        self.notes.append(
            f"{node}: its constant current is a bias of the neurons it leads to, which flows from "
            "the start; with initial= it comes on through the synapse that lies between"
        )

    # -- what is added to the network ------------------------------------------------------------

    def _name(self, node: Node) -> str:
        """What a node is called in the network."""
        if node.path not in self.names:
            self.names[node.path] = self._new_name(node.metadata("name") or node.path)
        return self.names[node.path]

    def _new_name(self, wanted: str) -> str:
        name = plain = "".join("_" if c in ".*?[]" else c for c in wanted) or "node"
        taken, k = {*self.names.values(), *self.net.projections, *self.net.readout_projections}, 2
        while name in taken:
            name, k = f"{plain}_{k}", k + 1
        return name

    def _add_groups(self) -> Initial:
        initial: Initial = {}
        for node in self.paths.sources:
            if node.kind == "Input":
                self.net.input(node.size, name=self._name(node))
        for path, target in self.targets.items():
            node = self.paths.nodes[path]
            name = self._name(node)
            values, start = self._values(node, target)
            if node.kind in NEURONS:
                self.net.population(node.size, LIF(**values), name=name)
            else:
                self.net.readout(node.size, LI(**values), name=name)
                if node.after:
                    self.outputs[name] = None
            current = -np.broadcast_to(target.rising, node.size)
            if start.any() or current.any():
                initial[name] = (start, current)
        return initial

    def _values(self, node: Node, target: _Target) -> tuple[dict[str, Any], Array]:
        """The parameters of neurons, and V at the start; scales the weights that lead to them."""
        m = target.membrane
        tau_syn = self._tau_syn(node, target)
        gain = np.ones(node.size)
        if m.tau_syn is not None:
            gain = m.tau_syn if isinstance(self.pulse, str) else gain * self.pulse
        bias = target.settled + np.broadcast_to(target.rising, node.size)
        values = _own_values(node, m, tau_syn)
        start = np.zeros(node.size)
        if values is None or bias.any():
            if m.tau_syn is not None and m.w_in is not None:
                gain = gain * (m.w_in / m.tau_syn)
            gain = gain * m.rise
            values, start = m.neurons(np.ones(node.size) if tau_syn is None else tau_syn, bias)
            if m.v_threshold is not None and np.any(m.v_leak >= m.v_threshold):
                self.notes.append(
                    f"{node}: v_leak is not below v_threshold, so it fires by itself, and with "
                    "initial= starts at v_reset"
                )
        target.links = [(source, link.scaled(gain)) for source, link in target.links]
        return values, start

    def _tau_syn(self, node: Node, target: _Target) -> Array | None:
        """The time constants of the synapses, one a neuron; None: nothing comes in."""
        m = target.membrane
        lies_on = [link for _, link in target.links if link.tau is not None]
        if m.tau_syn is not None:
            if lies_on:
                raise ValueError(
                    f"{node} has synapses of its own and hears{lies_on[0].via} through others, "
                    "expected one on each path"
                )
            return m.tau_syn
        if len(lies_on) < len(target.links):
            target.links = self._spread(node, target.links)
        taus = [link.tau for _, link in target.links if link.tau is not None]
        for tau in taus[1:]:
            if not np.array_equal(tau, taus[0]):
                at = int(np.argmax(tau != taus[0]))
                raise ValueError(
                    f"{node}: neuron {at} hears synapses with time constants {taus[0][at]:g} and "
                    f"{tau[at]:g}, expected one a neuron"
                )
        return taus[0] if taus else None

    def _spread(self, node: Node, links: list[tuple[Node, Link]]) -> list[tuple[Node, Link]]:
        """With a synapse on each path that has none."""
        if self.tau_syn is None:
            raise ValueError(
                f"{node} has no synapse: a spike makes its potential jump, which that of no neuron "
                "here does. Put an LI before it, or pass tau_syn=, the time over which to spread a "
                "jump"
            )
        if isinstance(self.pulse, str):
            raise ValueError(
                f"pulse is {self.pulse!r}, expected a time, since {node} has no synapse"
            )
        self.notes.append(
            f"{node}: a spike makes its potential not jump but follow a synapse with tau_syn "
            f"{self.tau_syn:g}"
        )
        tau = np.full(node.size, float(self.tau_syn))
        return [
            (source, link if link.tau is not None else link.scaled(self.pulse / tau).filtered(tau))
            for source, link in links
        ]

    def _connect(self) -> None:
        found = [
            (source, self.paths.nodes[path], link)
            for path, target in self.targets.items()
            for source, link in target.links
        ]
        places = [link.written.get("order") for *_, link in found]
        if None not in places:
            order = np.argsort(np.asarray(places, dtype=np.int64), kind="stable")
            found = [found[k] for k in order]
        for source, target, link in found:
            ends = self._name(source), self._name(target)
            name = link.written.get("name") or "_".join(link.names) or "_to_".join(ends)
            try:
                connectivity = link.connectivity()
                self.net.connect(*ends, connectivity, name=self._new_name(name))
            except ValueError as error:
                raise ValueError(f"from {source}{link.via} to {target}: {error}") from None
            if link.shared and connectivity.kind == "sparse":
                self.notes.append(
                    f"{' and '.join(link.names)}: each synapse has a weight of its own, since "
                    "there is no projection that shares weights along this path"
                )


def _own_values(node: Node, membrane: Membrane, tau_syn: Array | None) -> dict[str, Any] | None:
    """The parameters as this library wrote them, if the node still says the same.

    NIR has fields for some of them, and none that is one number for a population: it says what they
    amount to, which is equal to rounding. With these, spikes are equal to the bit.
    """
    names = READOUT_PARAMETERS if membrane.v_threshold is None else NEURON_PARAMETERS
    values = {name: node.metadata(name) for name in names}
    if any(v is None or np.size(v) not in (1, node.size) for v in values.values()):
        return None
    try:
        kind, fields = fields_of(node.path, node.size, values)[""]
    except ValueError:
        return None
    same = kind == node.kind and all(
        np.array_equal(field_of(node, name), value) for name, value in fields.items()
    )
    lasts = np.broadcast_to(np.asarray(values["tau_syn"]), node.size)
    if tau_syn is not None and not np.array_equal(lasts, tau_syn):
        return None
    return values if same else None


def _bias(node: Node) -> Array:
    """Of an Affine or Conv2d, one value a unit."""
    given = node.nir.bias
    bias = np.zeros(1) if given is None else np.asarray(given, dtype=np.float64).reshape(-1)
    assert node.shape is not None
    channels = node.shape[0]
    if bias.size not in (1, channels):
        raise ValueError(f"{node}: bias has {bias.size} values, expected {channels}")
    return np.repeat(np.broadcast_to(bias, channels), node.size // channels)
