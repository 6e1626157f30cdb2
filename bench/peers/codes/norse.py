"""Norse: LIFCell in a loop, LIFRecurrent; SuperSpike surrogate (its default)."""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import Any

import norse.torch as norse
import torch
from torch import Tensor

from bench.peers.codes import grid
from bench.peers.prepared import Prepared

NAME = "Norse"


def version() -> str:
    """Of the package."""
    return _version("norse")


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """``layered`` or ``recurrent``."""
    return grid.prepare(_build, kind, options)


def _build(g: grid.Grid) -> tuple[grid.Forward, list[Tensor]]:
    p = norse.LIFParameters(
        tau_syn_inv=torch.as_tensor(1.0 / g.tau_syn), tau_mem_inv=torch.as_tensor(1.0 / g.tau_mem)
    )
    if g.recurrent:
        layer = norse.LIFRecurrent(
            *g.first.shape,
            p=p,
            dt=g.dt,
            input_weights=torch.nn.Parameter(g.first.t().contiguous()),
            recurrent_weights=torch.nn.Parameter(g.later.t().contiguous()),
        )

        def recurrent(x: Tensor, keep: bool) -> tuple[Tensor | None, Tensor]:
            spikes, _ = layer(x)
            return spikes, spikes

        return recurrent, [layer.input_weights, layer.recurrent_weights]
    fc1 = torch.nn.Linear(*g.first.shape, bias=False)
    fc2 = torch.nn.Linear(*g.later.shape, bias=False)
    fc1.weight.data, fc2.weight.data = g.first.t().contiguous(), g.later.t().contiguous()
    lif1, lif2 = norse.LIF(p=p, dt=g.dt), norse.LIF(p=p, dt=g.dt)

    def layered(x: Tensor, keep: bool) -> tuple[Tensor | None, Tensor]:
        hidden, _ = lif1(fc1(x))
        output, _ = lif2(fc2(hidden))
        return hidden, output

    return layered, [fc1.weight, fc2.weight]
