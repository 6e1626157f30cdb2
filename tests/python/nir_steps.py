"""NIR's equations in small steps of time: what a graph means, without anything of snnfp.

A signal is a pair: the integral of the Dirac pulses that fall into the step, and a current. Every node
computes what its docstring in NIR says, by the midpoint method; a spike lies within its step where the
line between its ends crosses the threshold, and reaches others with the next step.
"""

from __future__ import annotations

import numpy as np

NEURONS = ("CubaLIF", "LIF", "IF")
STATEFUL = (*NEURONS, "CubaLI", "LI", "I")


class Steps:
    """A flat graph (no subgraphs), from the state v = v_leak, I = 0."""

    def __init__(self, graph, dt):
        self.nodes, self.dt = graph.nodes, dt
        self.before = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
        self.state, self.queues = {}, {}
        for name, node in graph.nodes.items():
            kind = type(node).__name__
            if kind in STATEFUL:
                v = getattr(node, "v_leak", np.zeros(np.shape(getattr(node, "r", 0))))
                self.state[name] = [np.zeros(np.shape(v)), np.array(v, dtype=float)]  # I, v
            if kind == "Delay":
                self.queues[name] = []
        self.emitted = {n: np.zeros(s[1].shape) for n, s in self.state.items()}

    def run(self, inputs, until):
        """Spikes [(time, unit)] of each neuron node, and the last v of the others.

        ``inputs``: {name: [(time, unit)]}.
        """
        found = {n: [] for n in self.state if type(self.nodes[n]).__name__ in NEURONS}
        for k in range(round(until / self.dt)):
            self.k, self.memo = k, {}
            self.pulses = {}
            for name, spikes in inputs.items():
                pulse = np.zeros(tuple(self.nodes[name].input_type["input"]))
                for time, unit in spikes:
                    if round(time / self.dt) == k:
                        pulse.reshape(-1)[unit] += 1
                self.pulses[name] = pulse
            arriving = {name: self.into(name) for name in self.state}
            for name, signal in arriving.items():
                part = self.step(name, *signal)
                for unit in np.flatnonzero(self.emitted[name]):
                    found[name].append(((k + part.reshape(-1)[unit]) * self.dt, int(unit)))
        return found, {n: s[1] for n, s in self.state.items() if n not in found}

    def into(self, name):
        signals = [self.out(b) for b in self.before[name]]
        return sum(s[0] for s in signals), sum(s[1] for s in signals)

    def out(self, name):
        if name not in self.memo:
            self.memo[name] = self.stateless(name)
        return self.memo[name]

    def stateless(self, name):
        node, kind = self.nodes[name], type(self.nodes[name]).__name__
        if kind == "Input":
            return self.pulses[name], np.zeros(self.pulses[name].shape)
        if kind in NEURONS:
            return self.emitted[name], np.zeros(self.emitted[name].shape)
        if kind in STATEFUL:
            return np.zeros(self.state[name][1].shape), self.state[name][1].copy()
        pulse, current = self.into(name)
        if kind == "Linear":
            return node.weight @ pulse, node.weight @ current
        if kind == "Affine":
            return node.weight @ pulse, node.weight @ current + node.bias
        if kind == "Scale":
            return node.scale * pulse, node.scale * current
        if kind == "Flatten":
            return pulse.reshape(-1), current.reshape(-1)
        if kind == "Delay":
            queue = self.queues[name]
            steps = np.rint(node.delay / self.dt).astype(int)
            for at in np.argwhere(pulse != 0):
                queue.append((self.k + int(steps[tuple(at)]), tuple(at), pulse[tuple(at)]))
            out = np.zeros(pulse.shape)
            for due, at, value in queue:
                if due == self.k:
                    out[at] += value
            self.queues[name] = [q for q in queue if q[0] > self.k]
            return out, current  # constants only
        if kind == "Conv2d":
            bias = np.reshape(node.bias, (-1, 1, 1))
            return convolve(node, pulse), convolve(node, current) + bias
        assert kind in ("SumPool2d", "AvgPool2d"), kind
        return pool(node, pulse, kind), pool(node, current, kind)

    def step(self, name, pulse, current):
        """Moves a node on; returns which part of the step has passed at its spikes."""
        node, kind, dt = self.nodes[name], type(self.nodes[name]).__name__, self.dt
        i, v = self.state[name]
        if kind.startswith("Cuba"):
            i = i + node.w_in * pulse / node.tau_syn
            middle = i + dt / 2 * (node.w_in * current - i) / node.tau_syn
            i = i + dt * (node.w_in * current - middle) / node.tau_syn
            drive, tau, leak = node.r * middle, node.tau_mem, node.v_leak
        elif kind in ("LI", "LIF"):
            v = v + node.r * pulse / node.tau
            drive, tau, leak = node.r * current, node.tau, node.v_leak
        else:
            v = v + node.r * pulse
            drive, tau, leak = node.r * current, 1.0, None

        def slope(v):
            return (drive + (0 if leak is None else leak - v)) / tau

        new = v + dt * slope(v + dt / 2 * slope(v))
        part = np.zeros(np.shape(v))
        if kind in NEURONS:
            fires = new > node.v_threshold
            rise = np.where(fires, new - v, 1.0)
            part = np.where(fires, np.clip((node.v_threshold - v) / rise, 0, 1), 0.0)
            rest = node.v_reset + (1 - part) * dt * slope(node.v_reset)
            new = np.where(fires, rest, new)
            self.emitted[name] = fires.astype(float)
        self.state[name] = [i, new]
        return part


def convolve(node, x):
    """Channel by channel, place by place."""
    weight, (sy, sx), (py, px) = node.weight, node.stride, node.padding
    dy, dx = node.dilation
    groups, (outs, per, ky, kx) = int(node.groups), weight.shape
    x = np.pad(x, ((0, 0), (py, py), (px, px)))
    height = (x.shape[1] - dy * (ky - 1) - 1) // sy + 1
    width = (x.shape[2] - dx * (kx - 1) - 1) // sx + 1
    out = np.zeros((outs, height, width))
    for o, yy, xx in np.ndindex(out.shape):
        first = o // (outs // groups) * per
        part = x[first : first + per, yy * sy :, xx * sx :][:, ::dy, ::dx][:, :ky, :kx]
        out[o, yy, xx] = np.sum(part * weight[o])
    return out


def pool(node, x, kind):
    (ky, kx), (sy, sx), (py, px) = node.kernel_size, node.stride, node.padding
    x = np.pad(x, ((0, 0), (py, py), (px, px)))
    height, width = (x.shape[1] - ky) // sy + 1, (x.shape[2] - kx) // sx + 1
    out = np.zeros((x.shape[0], height, width))
    for c, yy, xx in np.ndindex(out.shape):
        out[c, yy, xx] = x[c, yy * sy : yy * sy + ky, xx * sx : xx * sx + kx].sum()
    return out if kind == "SumPool2d" else out / (ky * kx)
