"""Calls that take longer than anybody waits, for tests of Ctrl-C."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import snnfp
from networks import quiet

LIF = {"tau_mem": 2.0, "tau_syn": 1.0}
ENDLESS = {"until": 1e6, "spike_limit": 10**9}


def recurrent(kind: str = "dense", n: int = 200, samples: int = 8) -> tuple[Any, Any]:
    """A population that fires for ever."""
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(10)
    h = net.population(n, snnfp.LIF(**LIF, bias=0.7), name="h")
    net.connect(x, h, snnfp.Dense(weight=np.zeros((10, n))))
    weight = rng.normal(0, 0.01, (n, n))
    if kind == "sparse":
        sources, targets = np.divmod(np.arange(0, n * n, 3), n)
        net.connect(h, h, snnfp.Sparse(sources=sources, targets=targets, weight=0.002, delay=0.5))
    else:
        delay = rng.uniform(0, 1, (n, n)) if kind == "delays" else 0.5
        net.connect(h, h, snnfp.Dense(weight=weight, delay=delay))
    return net, snnfp.Spikes.from_pairs([([0.1], [0])] * samples, size=10)


def layered(samples: int, bias: float = 0.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    net = snnfp.Network()
    x = net.input(50)
    h = net.population(300, snnfp.LIF(**LIF, bias=bias), name="h")
    y = net.population(3, snnfp.LIF(**LIF), name="y")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.3, 0.3, (50, 300))))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.05, 0.05, (300, 3))))
    pairs = [(rng.uniform(0, 20, 100), rng.integers(0, 50, 100)) for _ in range(samples)]
    return net, snnfp.Spikes.from_pairs(pairs, size=50)


def simulation(made: tuple[Any, Any], **options: Any) -> Callable[[int], Callable[[], Any]]:
    return lambda n: lambda: quiet(*made, n_threads=n, **{**ENDLESS, **options})


def derivative(call: Callable[[Any], Any]) -> Callable[[int], Callable[[], Any]]:
    """Of a long record, over and over where one call is soon done."""

    def make(n: int) -> Callable[[], Any]:
        net, spikes = recurrent("dense")
        record = quiet(net, spikes, until=60.0, n_threads=n)
        return lambda: [call(record) for _ in itertools.repeat(None, 10**4)]

    return make


def recording(n: int, samples: int = 40, until: float = 100.0) -> Callable[[], Any]:
    """Of spikes that take long to follow."""
    net, spikes = recurrent("dense", samples=samples)
    record = quiet(net, spikes, until=until, n_threads=n)
    recorded = {"h": record.spikes("h")}
    return lambda: snnfp.record_from_spikes(
        net, spikes, recorded, tolerance=1e-9, until=until, n_threads=n
    )


def large_recording(n: int) -> Callable[[], Any]:
    """Of so many spikes that it takes long to bring them into order."""
    samples, each = 1000, 5000
    net, spikes = recurrent("dense", samples=samples)
    times = np.tile(np.linspace(0.1, 90.0, each), samples)
    units = np.arange(times.size) % 200
    recorded = {"h": snnfp.Spikes(times, units, each * np.arange(samples + 1), size=200)}
    return lambda: snnfp.record_from_spikes(
        net, spikes, recorded, tolerance=np.inf, on_fault="keep", until=100.0, n_threads=n
    )


def training(n: int) -> Callable[[], Any]:
    net, spikes = layered(500)
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.2, horizon=30.0)
    labels = np.arange(500) % 3
    return lambda: snnfp.fit(
        net,
        (spikes, labels),
        loss=loss,
        optimiser=snnfp.Adam(lr=1e-4),
        epochs=10**6,
        batch_size=500,
        until=30.0,
        n_threads=n,
        progress=False,
    )


def ones(record: Any) -> Any:
    return np.ones(record.n_spikes)


CALLS: dict[str, Callable[[int], Callable[[], Any]]] = {
    "layers that fire on their own": simulation(layered(1, bias=1.0)),
    "sweep": simulation(recurrent("dense")),
    "windows": simulation(recurrent("sparse")),
    "queue": simulation(recurrent("delays")),
    "queue, whole rows": simulation(recurrent("dense"), engine="queue"),
    "vjp": derivative(lambda r: r.vjp(ones(r))),
    "vjp by everything": derivative(lambda r: r.vjp(ones(r), wrt="*")),
    "forward": derivative(lambda r: r.vjp(ones(r), mode="forward")),
    "jacobian": derivative(lambda r: r.jacobian(of=[r.n_spikes - 1])),
    "recorded": recording,
    "fit": training,
}
