"""SpikingJelly: SynapseFilter, Linear and LIFNode in multi-step mode, its default surrogate."""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor

from bench.peers.codes import grid
from bench.peers.prepared import Prepared

NAME = "SpikingJelly"


def version() -> str:
    """Of the package."""
    return _version("spikingjelly")


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """``layered`` or ``recurrent``."""
    return grid.prepare(_build, kind, options)


def _linear(weight: Tensor, mode: str) -> layer.Linear:
    linear = layer.Linear(*weight.shape, bias=False, step_mode=mode)
    linear.weight.data = weight.t().contiguous()
    return linear


def _build(g: grid.Grid) -> tuple[grid.Forward, list[Tensor]]:
    def lif(mode: str) -> neuron.LIFNode:
        return neuron.LIFNode(tau=g.tau_mem / g.dt, step_mode=mode)

    def synapse(mode: str) -> layer.SynapseFilter:
        return layer.SynapseFilter(tau=g.tau_syn / g.dt, step_mode=mode)

    if g.recurrent:
        fc_in, fc_back = _linear(g.first, "m"), _linear(g.later, "s")
        into, back, cell = synapse("m"), synapse("s"), lif("s")

        def recurrent(x: Tensor, keep: bool) -> tuple[Tensor | None, Tensor]:
            for module in (into, back, cell):
                functional.reset_net(module)
            current = fc_in(into(x))
            spk = torch.zeros(x.shape[1], g.later.shape[0])
            out = []
            for step in current:
                spk = cell(step + fc_back(back(spk)))
                out.append(spk)
            spikes = torch.stack(out)
            return spikes, spikes

        return recurrent, [fc_in.weight, fc_back.weight]
    first = torch.nn.Sequential(synapse("m"), _linear(g.first, "m"), lif("m"))
    later = torch.nn.Sequential(synapse("m"), _linear(g.later, "m"), lif("m"))

    def layered(x: Tensor, keep: bool) -> tuple[Tensor | None, Tensor]:
        functional.reset_net(first)
        functional.reset_net(later)
        hidden = first(x)
        return hidden, later(hidden)

    return layered, [first[1].weight, later[1].weight]
