"""Hashes of what snnfp computes, for tests of "the same bits"; run as a program it prints one."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import numpy as np
import snnfp
from networks import quiet, random_network

UNTIL = 8.0


def digest(*arrays: Any) -> str:
    """A hash of the bytes of arrays."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def derivatives(record: snnfp.Record) -> str:
    """A hash of spikes, the gradient by everything in both modes, a jvp and a Jacobian."""
    u = np.cos(np.arange(record.n_spikes))
    parts = [record.times, record.neurons, record.offsets, record.slopes]
    gradient = record.vjp(u, wrt="*")
    parts += gradient.values()
    parts += record.vjp(u, wrt="*", mode="forward").values()
    parts.append(record.jvp({k: np.ones_like(v) for k, v in gradient.items()}))
    parts += record.jacobian(of="output", wrt="*").values()
    return digest(*parts)


def network_digest(seed: int = 3, *, recurrent: bool = True, **options: Any) -> str:
    """Of a batch of 13 samples of a random network."""
    net, spikes = random_network(
        np.random.default_rng(seed), hidden=20, recurrent=recurrent, samples=13
    )
    return derivatives(quiet(net, spikes, until=UNTIL, **options))


def trained(**options: Any) -> snnfp.Network:
    """A network after 20 steps of training on Yin-Yang."""
    features, labels = snnfp.data.yin_yang(200, seed=1)
    spikes = snnfp.encoding.latency(features, t_min=0.5, t_max=2.0, bias_time=0.9)
    net = snnfp.Network()
    x = net.input(5)
    h = net.population(25, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="hidden")
    y = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="output")
    net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(1.5, 0.8)))
    net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.5, 0.1)))
    net.initialise(seed=4)
    history = snnfp.fit(
        net,
        (spikes, labels),
        loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=0.2, gamma=0.01, horizon=3.0),
        optimiser=snnfp.Adam(lr=5e-3),
        epochs=2,
        batch_size=20,
        until=3.0,
        progress=False,
        wrt=("*.weight", "*.delay", "*.threshold"),
        **options,
    )
    assert len(history) == 2
    return net


def trained_digest(**options: Any) -> str:
    """Of every parameter after 20 steps of training."""
    return digest(*trained(**options).parameters.values())


def wide_digest(**options: Any) -> str:
    """Of every parameter after four steps whose gradients are large, clipped and remedied."""
    rng = np.random.default_rng(5)
    spikes = snnfp.Spikes.from_latencies(rng.uniform(0.0, 1.0, (64, 300)))
    net = snnfp.Network()
    x = net.input(300)
    h = net.population(500, snnfp.LIF(tau_mem=1.0, tau_syn=0.5), name="hidden")
    y = net.population(10, snnfp.LIF(tau_mem=1.0, tau_syn=0.5), name="output")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.03, 0.1, (300, 500))))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.0, 0.05, (500, 10))))
    history = snnfp.fit(
        net,
        (spikes, rng.integers(0, 10, 64)),
        loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=0.2, horizon=2.0),
        optimiser=snnfp.Adam(lr=1e-3),
        epochs=2,
        batch_size=32,
        remedies=[snnfp.remedies.LabelBump(amount=0.1)],
        clip_norm=1e-3,
        until=2.0,
        progress=False,
        **options,
    )
    assert min(history["remedied"]) > 0 and min(history["clipped"]) > 0
    return digest(*net.parameters.values())


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else None
    print(network_digest(n_threads=n), trained_digest(n_threads=n))
