"""Trains a model with a spiking network on one process or several; see test_torch_parallel.py.

python ddp_training.py RANK RANKS STORE RESULT
"""

from __future__ import annotations

import sys

import numpy as np
import snnfp
import torch
from snnfp.torch import FirstSpikes, SNNModule

SAMPLES, STEPS = 16, 10


class Times(torch.nn.Module):
    """Features to times between 0.2 and 3.2."""

    def forward(self, x):
        return 0.2 + 3.0 * torch.sigmoid(x)


def model():
    """A linear layer, spikes at its outputs, and a network that hears them."""
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(4, name="x")
    h = net.population(12, snnfp.LIF(tau_mem=4.0, tau_syn=2.0), name="h")
    y = net.population(2, snnfp.LIF(tau_mem=4.0, tau_syn=2.0), name="y")
    net.connect(
        x, h, snnfp.Dense(weight=rng.normal(0.8, 0.4, (4, 12)), delay=rng.uniform(0.1, 0.3, (4, 1)))
    )
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.3, 0.2, (12, 2)), delay=[[0.1, 0.2]]))
    torch.manual_seed(1)
    snn = SNNModule(
        net,
        until=12.0,
        output=FirstSpikes("y", silent=12.0),
        wrt=["*.weight", "*.delay", "h.tau_mem"],
        n_threads=1,
    )
    return torch.nn.Sequential(torch.nn.Linear(3, 4, dtype=torch.float64), Times(), snn)


def train(rank=0, ranks=1, share=True):
    """The parameters after some steps on the samples of this rank; ``share``: with the others."""
    one = model()
    both = torch.nn.parallel.DistributedDataParallel(one) if ranks > 1 and share else one
    rng = torch.Generator().manual_seed(2)
    x = torch.randn(SAMPLES, 3, generator=rng, dtype=torch.float64)
    labels = (x.sum(dim=1) > 0).long()
    mine = slice(rank * SAMPLES // ranks, (rank + 1) * SAMPLES // ranks)
    optimiser = torch.optim.SGD(one.parameters(), lr=0.02, momentum=0.5)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(-both(x[mine]), labels[mine])
        loss.backward()
        optimiser.step()
    return {name: value.detach().clone() for name, value in one.named_parameters()}


if __name__ == "__main__":
    rank, ranks = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=ranks
    )
    torch.save(
        {"shared": train(rank, ranks), "alone": train(rank, ranks, share=False)}, sys.argv[4]
    )
    torch.distributed.destroy_process_group()
