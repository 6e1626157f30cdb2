"""snnTorch: Synaptic and RSynaptic neurons, reset to zero, ATan surrogate (its default)."""

from __future__ import annotations

import math
from importlib.metadata import version as _version
from typing import Any

import snntorch as snn
import torch
from torch import Tensor

from bench.peers.codes import grid
from bench.peers.prepared import Prepared

NAME = "snnTorch"


def version() -> str:
    """Of the package."""
    return _version("snntorch")


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """``layered`` or ``recurrent``."""
    return grid.prepare(_build, kind, options)


def _linear(weight: Tensor) -> torch.nn.Linear:
    layer = torch.nn.Linear(*weight.shape, bias=False)
    layer.weight.data = weight.t().contiguous()
    return layer


def _build(g: grid.Grid) -> tuple[grid.Forward, list[Tensor]]:
    gain = g.dt / g.tau_mem  # of an input in tau_mem dV/dt = -V + I
    common = {
        "alpha": math.exp(-g.dt / g.tau_syn),
        "beta": math.exp(-g.dt / g.tau_mem),
        "reset_mechanism": "zero",
    }
    fc1 = _linear(gain * g.first)
    if g.recurrent:
        n = g.later.shape[0]
        lif = snn.RSynaptic(**common, all_to_all=True, linear_features=n)
        lif.recurrent = _linear(gain * g.later)

        def recurrent(x: Tensor, keep: bool) -> tuple[Tensor | None, Tensor]:
            spk, syn, mem = lif.init_rsynaptic()
            out = []
            for step in x:
                spk, syn, mem = lif(fc1(step), spk, syn, mem)
                out.append(spk)
            spikes = torch.stack(out)
            return spikes, spikes

        return recurrent, [fc1.weight, lif.recurrent.weight]
    lif1, lif2 = snn.Synaptic(**common), snn.Synaptic(**common)
    fc2 = _linear(gain * g.later)

    def layered(x: Tensor, keep: bool) -> tuple[Tensor | None, Tensor]:
        syn1, mem1 = lif1.init_synaptic()
        syn2, mem2 = lif2.init_synaptic()
        hidden, out = [], []
        for step in x:
            spk1, syn1, mem1 = lif1(fc1(step), syn1, mem1)
            spk2, syn2, mem2 = lif2(fc2(spk1), syn2, mem2)
            out.append(spk2)
            if keep:
                hidden.append(spk1)
        return torch.stack(hidden) if keep else None, torch.stack(out)

    return layered, [fc1.weight, fc2.weight]
