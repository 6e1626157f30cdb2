"""Neurons of NIR and of snnfp, one from the other.

NIR's CubaLIF is tau_syn dI/dt = -I + w_in S, tau_mem dv/dt = v_leak - v + r I, where S has a Dirac
pulse a spike. One of weight w moves r I / tau_mem by w (w_in / tau_syn) (r / tau_mem), which is the
weight here where C = 1, and V here is v - v_leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.neurons import NEURON_PARAMETERS, READOUT_PARAMETERS
from snnfp.nir._graph import Node, field_of

__all__ = ["SYNAPSE", "Membrane", "fields_of"]

Array = NDArray[np.float64]
Fields = dict[str, Array]

SYNAPSE = ".synapse"  # what the node of a synapse is called, after its population


@dataclass(frozen=True)
class Membrane:
    """What a NIR node says of neurons, one value each.

    Attributes:
        node: the node.
        tau_mem: inf for IF and I.
        rise: dv/dt for a current of 1: ``r / tau``, or ``r`` without a leak.
        v_leak: 0 without a leak.
        v_threshold: None: there is none.
        v_reset: likewise.
        tau_syn: of the node's own synapse; None: it has none.
        w_in: likewise.
    """

    node: Node
    tau_mem: Array
    rise: Array
    v_leak: Array
    v_threshold: Array | None = None
    v_reset: Array | None = None
    tau_syn: Array | None = None
    w_in: Array | None = None

    @classmethod
    def of(cls, node: Node) -> Membrane:
        """Of a CubaLIF, LIF, IF, CubaLI, LI or I."""
        get = {name: field_of(node, name) for name in _FIELDS[node.kind]}
        tau = get.get("tau_mem", get.get("tau", np.full(node.size, np.inf)))
        _positive(node, "tau_mem" if "tau_mem" in get else "tau", tau)
        if "tau_syn" in get:
            _positive(node, "tau_syn", get["tau_syn"])
        finite = np.isfinite(tau)
        rise = np.where(finite, get["r"] / np.where(finite, tau, 1.0), get["r"])
        if not finite.all() and node.kind not in ("IF", "I"):
            at = int(np.argmin(finite))
            raise ValueError(
                f"{node}: the membrane time constant of neuron {at} is {tau[at]}, expected a "
                "finite one (IF and I have no leak)"
            )
        return cls(
            node,
            tau,
            rise,
            get.get("v_leak", np.zeros(node.size)),
            get.get("v_threshold"),
            get.get("v_reset"),
            get.get("tau_syn"),
            get.get("w_in"),
        )

    def neurons(self, tau_syn: Array, bias: Array) -> tuple[dict[str, Array], Array]:
        """The parameters by name, but for the capacitance, which is 1; and V at the start.

        V is measured from v_leak. Where that is not below v_threshold the neuron fires by itself:
        there v_leak is a bias, V is v, and the neuron starts as after a spike.
        """
        at_rest = np.zeros(self.tau_mem.size)
        values = {"tau_mem": self.tau_mem, "tau_syn": tau_syn}
        if self.v_threshold is None or self.v_reset is None:
            driven = np.ones(at_rest.size, dtype=bool)
            start = self.v_leak
        else:
            driven = self.v_leak >= self.v_threshold
            start = np.where(driven, self.v_reset, at_rest)
            origin = np.where(driven, 0.0, self.v_leak)
            values |= {"threshold": self.v_threshold - origin, "v_reset": self.v_reset - origin}
        drive = np.where(driven & (self.v_leak != 0), self.v_leak / self.tau_mem, 0.0)
        return {**values, "bias": bias + drive}, start


_FIELDS = {
    "CubaLIF": ("tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "IF": ("r", "v_threshold", "v_reset"),
    "CubaLI": ("tau_mem", "tau_syn", "r", "w_in", "v_leak"),
    "LI": ("tau", "r", "v_leak"),
    "I": ("r",),
}


def _positive(node: Node, name: str, values: Array) -> None:
    bad = np.flatnonzero(~(values > 0))
    if bad.size:
        raise ValueError(f"{node}: {name}[{bad[0]}] is {values[bad[0]]}, expected a time > 0")


def fields_of(name: str, size: int, values: Mapping[str, Any]) -> dict[str, tuple[str, Fields]]:
    """The NIR nodes of neurons with these parameters, as ``{suffix: (type, fields)}``.

    One node, or two where a time constant is infinite: a synapse and a membrane.

    Args:
        name: of the population or readout, for errors.
        size: number of neurons.
        values: the parameters by name, as the network has them.

    Raises:
        ValueError: what NIR has nothing for; names parameter, neuron and value.
    """
    names = NEURON_PARAMETERS if "threshold" in values else READOUT_PARAMETERS
    get = {k: np.broadcast_to(np.asarray(values[k], np.float64), (size,)).copy() for k in names}
    for name_of_tau in ("tau_mem", "tau_syn"):
        endless = np.isinf(get[name_of_tau])
        if endless.any() and not endless.all():
            at = int(np.argmax(endless))
            raise ValueError(
                f"{name}.{name_of_tau}[{at}] is inf and others are not: NIR has no node of both "
                "kinds, make two populations of them"
            )
    held = np.flatnonzero(get.get("t_refractory", np.zeros(size)))
    if held.size:
        raise ValueError(
            f"{name}.t_refractory[{held[0]}] is {get['t_refractory'][held[0]]:g}, expected 0: "
            "the neurons of NIR have no refractory time"
        )
    leaks, lasts = np.isfinite(get["tau_mem"]).all(), np.isfinite(get["tau_syn"]).all()
    r = (get["tau_mem"] if leaks else 1.0) / get["capacitance"]
    if not leaks and get["bias"].any():
        at = int(np.flatnonzero(get["bias"])[0])
        raise ValueError(
            f"{name}.bias[{at}] is {get['bias'][at]:g}, expected 0: without a leak (tau_mem is "
            "inf) NIR has no constant current of a neuron"
        )
    membrane: Fields = {"r": r}
    if leaks:
        # A constant current and a shift of the leak potential do the same.
        membrane["v_leak"] = get["bias"] * r
    fires = "threshold" in get
    if fires:
        membrane |= {"v_threshold": get["threshold"], "v_reset": get["v_reset"]}
    if leaks and lasts:
        membrane |= {"tau_mem": get["tau_mem"], "tau_syn": get["tau_syn"], "w_in": get["tau_syn"]}
        return {"": ("CubaLIF" if fires else "CubaLI", membrane)}
    if leaks:
        membrane["tau"] = get["tau_mem"]
    kind = ("LIF" if leaks else "IF") if fires else ("LI" if leaks else "I")
    tau = get["tau_syn"]
    synapse: Fields = {"r": np.ones(size)}
    if lasts:
        synapse = {"tau": tau, "r": tau, "v_leak": np.zeros(size)}
    return {SYNAPSE: ("LI" if lasts else "I", synapse), "": (kind, membrane)}
