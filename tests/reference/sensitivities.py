"""Derivatives of every spike by every parameter, one rule at a time along the recorded events."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath import diff, mpf

from reference.membrane import Neuron, current, kappa, voltage
from reference.simulation import Result, Synapse

NEURON = ("tau_mem", "tau_syn", "threshold", "v_reset", "t_refractory", "bias", "capacitance")
EXPLICIT = ("tau_mem", "tau_syn", "bias", "capacitance")


class Columns:
    """Which column belongs to which parameter."""

    def __init__(self, neurons: int, synapses: int, inputs: int) -> None:
        self.weight = np.arange(synapses)
        self.delay = synapses + np.arange(synapses)
        self.neuron = {
            key: 2 * synapses + k * neurons + np.arange(neurons) for k, key in enumerate(NEURON)
        }
        self.input = 2 * synapses + len(NEURON) * neurons + np.arange(inputs)
        self.total = 2 * synapses + len(NEURON) * neurons + inputs


def explicit(n: Neuron, key: str, v: mpf, i: mpf, d: mpf) -> tuple[mpf, mpf]:
    """Derivatives of V and I after d by a parameter at fixed start, by numerical differentiation."""

    def with_value(x: mpf) -> Neuron:
        return Neuron(**{k: (x if k == key else getattr(n, k)) for k in NEURON})

    at = getattr(n, key)
    return (
        diff(lambda x: voltage(with_value(x), v, i, d), at),
        diff(lambda x: current(with_value(x), i, d), at),
    )


def jacobian(
    neurons: list[Neuron],
    synapses: list[Synapse],
    inputs: list[tuple[mpf, int]],
    result: Result,
    initial: list[tuple[mpf, mpf]] | None = None,
) -> tuple[np.ndarray[Any, Any], Columns]:
    """Rows d(spike time)/d(parameters), as mpmath numbers in an object array."""
    columns = Columns(len(neurons), len(synapses), len(inputs))
    zero = np.array([mpf(0)] * columns.total, dtype=object)

    def unit(k: int) -> np.ndarray[Any, Any]:
        out = zero.copy()
        out[k] = mpf(1)
        return out

    rows: list[np.ndarray[Any, Any]] = []
    state = [
        {
            **{"v": v, "i": i, "t": mpf(0), "dv": zero, "di": zero},
            **{"held": False, "spike": -1, "fired": None, "late": []},
        }
        for v, i in initial or [(mpf(0), mpf(0))] * len(neurons)
    ]
    for event in result.events:
        j, n, s = event.neuron, neurons[event.neuron], state[event.neuron]
        d = event.time - s["t"]
        if d > 0:
            dv, di = zero.copy(), n_exp(n.alpha, d) * s["di"]
            if not s["held"]:
                dv = n_exp(n.beta, d) * s["dv"] + kappa(n, d) / n.capacitance * s["di"]
            for key in EXPLICIT:
                if key.startswith("tau") and getattr(n, key) == mpf("inf"):
                    continue
                v_p, i_p = explicit(n, key, s["v"], s["i"], d)
                di = di + i_p * unit(columns.neuron[key][j])
                if not s["held"]:
                    dv = dv + v_p * unit(columns.neuron[key][j])
            if not s["held"]:
                s["v"] = voltage(n, s["v"], s["i"], d)
            s["i"] = current(n, s["i"], d)
            s["dv"], s["di"], s["t"] = dv, di, event.time
        if event.kind == "arrival":
            synapse = synapses[event.synapse]
            sent = (
                unit(columns.input[event.sender]) if synapse.kind == "input" else rows[event.sender]
            )
            t = sent + unit(columns.delay[event.synapse])
            w = synapse.weight
            s["di"] = s["di"] + unit(columns.weight[event.synapse]) + n.alpha * w * t
            if not s["held"]:
                s["dv"] = s["dv"] - w / n.capacitance * t
                if n.t_refractory == 0 and s["fired"] == event.time:
                    # Comes before the release as soon as there is a refractory time.
                    by = unit(columns.neuron["t_refractory"][j])
                    s["dv"] = s["dv"] - w / n.capacitance * by
            elif synapse.delay == 0:
                # Comes after the release as soon as there is a delay, if now at its moment.
                after = w / n.capacitance * unit(columns.delay[event.synapse])
                s["late"].append((event.time, after))
            s["i"] += w
        elif event.kind == "spike":
            rise = -n.beta * n.threshold + (s["i"] + n.bias) / n.capacitance
            rows.append((unit(columns.neuron["threshold"][j]) - s["dv"]) / rise)
            s["v"], s["held"], s["spike"] = n.v_reset, True, event.spike
            s["fired"], s["late"] = event.time, []
        else:
            rise = -n.beta * n.v_reset + (s["i"] + n.bias) / n.capacitance
            later = rows[s["spike"]] + unit(columns.neuron["t_refractory"][j])
            s["dv"] = unit(columns.neuron["v_reset"][j]) - rise * later
            for time, after in s["late"]:
                if time == event.time:
                    s["dv"] = s["dv"] - after
            s["v"], s["held"] = n.v_reset, False
    return np.array(rows, dtype=object).reshape(len(rows), columns.total), columns


def n_exp(rate: mpf, d: mpf) -> mpf:
    from mpmath import exp

    return exp(-rate * d)
