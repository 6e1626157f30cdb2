"""Random networks for the tests, and what to do with them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import snnfp

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))


def lif(rng: np.random.Generator, n: int) -> snnfp.LIF:
    """Neurons with every parameter at random; some with equal, some with infinite time constants."""
    tau_mem = rng.uniform(1.0, 4.0, n)
    tau_syn = rng.uniform(0.5, 3.0, n)
    kind = rng.integers(0, 8, n)
    tau_syn = np.where(kind == 0, tau_mem, tau_syn)
    tau_syn = np.where(kind == 1, tau_mem * (1 + 1e-9), tau_syn)
    tau_mem = np.where(kind == 2, np.inf, tau_mem)
    return snnfp.LIF(
        tau_mem=tau_mem,
        tau_syn=tau_syn,
        threshold=rng.uniform(0.8, 1.2, n),
        v_reset=rng.uniform(-0.2, 0.1, n),
        t_refractory=np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.1, 0.6, n)),
        bias=np.where(np.isinf(tau_mem), 0.0, rng.uniform(-0.05, 0.1, n)),
        capacitance=rng.uniform(0.8, 1.5, n),
    )


def delays(
    rng: np.random.Generator, most: float, n_source: int, n_target: int, each: int | None = None
) -> Any:
    """Delays of any kind; ``each``: how many those a synapse are, if they have one dimension."""
    synapses = (n_source, n_target) if each is None else (each,)
    shape = [(), (n_source, 1), (1, n_target), synapses][rng.integers(4)]
    given = rng.uniform(0, most, shape)
    return np.where(rng.random(shape) < 0.2, 0.0, given)


def permuted(delay: np.ndarray[Any, Any], sources: Any, targets: Any) -> np.ndarray[Any, Any]:
    """The same with source units and target neurons in another order."""
    if delay.ndim < 2:
        return delay
    rows = sources if delay.shape[0] > 1 else [0]
    return delay[np.ix_(rows, targets if delay.shape[1] > 1 else [0])]


def random_network(
    rng: np.random.Generator,
    *,
    hidden: int = 6,
    output: int = 3,
    channels: int = 4,
    recurrent: bool = True,
    samples: int = 2,
    dtype: Any = np.float64,
    until: float = 8.0,
) -> tuple[snnfp.Network, snnfp.Spikes]:
    """A small network with projections and delays of every kind, and input for it."""
    net = snnfp.Network(dtype=dtype)
    x = net.input(channels)
    h = net.population(hidden, lif(rng, hidden), name="hidden")
    y = net.population(output, lif(rng, output), name="output")
    net.connect(
        x,
        h,
        snnfp.Dense(
            weight=rng.normal(0.8, 0.5, (channels, hidden)),
            delay=delays(rng, 0.5, channels, hidden),
        ),
    )
    net.connect(
        h,
        y,
        snnfp.Dense(
            weight=rng.normal(0.4, 0.4, (hidden, output)), delay=delays(rng, 1.0, hidden, output)
        ),
    )
    if recurrent:
        n = 2 * hidden
        net.connect(
            h,
            h,
            snnfp.Sparse(
                sources=rng.integers(0, hidden, n),
                targets=rng.integers(0, hidden, n),
                weight=rng.normal(0, 0.3, n),
                delay=delays(rng, 1.0, hidden, hidden, each=n),
            ),
        )
        net.connect(y, y, snnfp.OneToOne(weight=rng.normal(-0.2, 0.2, output), delay=0.3))
    pairs = []
    for _ in range(samples):
        n = int(rng.integers(3, 12))
        pairs.append((rng.uniform(0, until * 0.7, n), rng.integers(0, channels, n)))
    return net, snnfp.Spikes.from_pairs(pairs, size=channels)


def quiet(net: snnfp.Network, spikes: Any, **options: Any) -> snnfp.Record:
    """Simulates; that a population is silent is no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", snnfp.errors.SilentPopulationWarning)
        return snnfp.simulate(net, spikes, **options)


def distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Largest difference between two gradients, relative to the largest entry of each parameter."""
    assert a.keys() == b.keys()
    worst = 0.0
    for k in a:
        assert a[k].shape == b[k].shape
        scale = np.max(np.abs(b[k]), initial=0.0)
        apart = np.max(np.abs(a[k] - b[k]), initial=0.0)
        worst = np.maximum(worst, apart / scale if scale else apart)  # nan stays nan
    return float(worst)


def same_bits(a: snnfp.Record, b: snnfp.Record) -> bool:
    """Whether two records hold the same spikes to the bit."""
    return (
        a.times.tobytes() == b.times.tobytes()
        and a.neurons.tobytes() == b.neurons.tobytes()
        and a.offsets.tobytes() == b.offsets.tobytes()
        and a.slopes.tobytes() == b.slopes.tobytes()
    )
