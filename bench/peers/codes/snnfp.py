"""snnfp, through its public interface only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import snnfp
from snnfp.losses import FirstSpikeCrossEntropy
from snnfp.tasks import TASKS

from bench.accuracy import mnist, yin_yang
from bench.peers import work
from bench.peers.prepared import Prepared, need

NAME = "snnfp"


def version() -> str:
    """Of the package."""
    return snnfp.__version__


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """``layered``, ``recurrent``, ``balanced``, ``yin_yang_training`` or ``mnist_epoch``."""
    kinds: dict[str, Callable[..., Prepared]] = {
        "layered": _layered,
        "recurrent": _recurrent,
        "balanced": _balanced,
        "yin_yang_training": _yin_yang_training,
        "mnist_epoch": _mnist_epoch,
    }
    return kinds[kind](**options)


def _neuron(w: work.Layered | work.Recurrent | work.Balanced) -> snnfp.LIF:
    return snnfp.LIF(tau_mem=w.tau_mem, tau_syn=w.tau_syn, capacitance=w.tau_mem)


def _layered(
    which: str, samples: int, dtype: str = "float64", threads: int = 1, isa: str = "best"
) -> Prepared:
    w = work.layered[which](samples)
    net = snnfp.Network(dtype=dtype)
    source = net.input(w.latencies.shape[1], name="input")
    hidden = net.population(w.first.shape[1], _neuron(w), name="hidden")
    output = net.population(w.later.shape[1], _neuron(w), name="output")
    net.connect(source, hidden, snnfp.Dense(weight=w.first))
    net.connect(hidden, output, snnfp.Dense(weight=w.later))
    spikes = snnfp.Spikes.from_latencies(w.latencies)
    loss = FirstSpikeCrossEntropy(tau0=1.0, tau1=10.0, gamma=0.01, horizon=w.until)
    options = {"until": w.until, "n_threads": threads, "isa": isa}
    value, gradients, record = snnfp.value_and_grad(
        net, spikes, w.labels, loss, return_record=True, **options
    )
    _check(value, gradients)
    cotangents = loss(record, w.labels)[1]
    counts = {p: record.counts(p).sum(axis=1) for p in ("hidden", "output")}
    first = record.first_spikes("output")
    last = np.where(np.isfinite(first), first, w.until).max(axis=1)

    def needed(population: str) -> int:
        """Spikes up to the last output's first, of the sample with most."""
        took = (np.array(record.spikes(population)[s].times) for s in range(samples))
        return max(int((t <= last[s]).sum()) for s, t in enumerate(took))

    def every() -> None:
        snnfp.value_and_grad(net, spikes, w.labels, loss, return_record=True, **options)

    return Prepared(
        {
            "every spike": every,
            "gradient": lambda: snnfp.value_and_grad(net, spikes, w.labels, loss, **options),
            "simulate": lambda: snnfp.simulate(net, spikes, **options),
            "reverse": lambda: record.vjp(cotangents),
        },
        {
            "hidden": float(counts["hidden"].mean()),
            "output": float(counts["output"].mean()),
            "most hidden": int(counts["hidden"].max()),
            "most output": int(counts["output"].max()),
            "needed hidden": needed("hidden"),
            "needed output": needed("output"),
            "silent outputs": float(np.mean(record.counts("output") == 0)),
            "loss": value,
        },
    )


def _recurrent(
    strength: float = 1.0, dtype: str = "float64", threads: int = 1, isa: str = "best"
) -> Prepared:
    w = work.recurrent(strength)
    net = snnfp.Network(dtype=dtype)
    source = net.input(w.first.shape[0], name="input")
    neurons = net.population(w.later.shape[0], _neuron(w), name="neurons")
    net.connect(source, neurons, snnfp.Dense(weight=w.first))
    net.connect(neurons, neurons, snnfp.Dense(weight=w.later))
    spikes = snnfp.Spikes.from_pairs((w.times, w.units), size=source.size)
    options = {"until": w.until, "n_threads": threads, "isa": isa}

    def loss(record: snnfp.Record, labels: None) -> tuple[float, Any]:
        """The mean spike time."""
        n = record.n_spikes
        return float(record.times.mean()), np.full(n, 1.0 / n, record.times.dtype)

    value, gradients, record = snnfp.value_and_grad(
        net, spikes, None, loss, return_record=True, **options
    )
    _check(value, gradients)
    every = np.arange(record.n_spikes)
    cotangents = loss(record, None)[1]
    # The Jacobian must give back the adjoint's gradient; 8 spikes are enough to see that.
    some = record.jacobian(of=every[-8:])
    one = np.zeros(record.n_spikes, record.times.dtype)
    one[-1] = 1.0
    allowed = 1e-9 if dtype == "float64" else 1e-2
    for name, row in record.vjp(one).items():
        error = float(np.abs(some[name][-1] - row).max() / np.abs(row).max())
        need(error <= allowed, f"jacobian and adjoint differ by {error} in {name}")
    out = np.empty((record.n_spikes, w.first.size + w.later.size), record.times.dtype)
    last = np.full(neurons.size, -np.inf)
    np.maximum.at(last, record.neurons, record.times)
    return Prepared(
        {
            "gradient": lambda: snnfp.value_and_grad(net, spikes, None, loss, **options),
            "simulate": lambda: snnfp.simulate(net, spikes, **options),
            "reverse": lambda: record.vjp(cotangents),
            "jacobian": lambda: record.jacobian(of=every),
            "given": lambda: record.jacobian(of=every, out=out),
            "blocks": lambda: [None for _ in record.jacobian_blocks(of=every, columns=2048)],
        },
        {
            "hidden": float(record.n_spikes),
            "input": int(w.times.size),
            "loss": value,
            "columns": int(w.first.size + w.later.size),
            # of a neuron's spike to a neuron that fires after it
            "deliveries": int(np.sum(record.times[:, None] < last[None, :])),
        },
    )


def _balanced(until: float = 200.0, threads: int = 1) -> Prepared:
    w = work.balanced(until)
    rng = np.random.default_rng(5)
    n, n_excitatory = w.neurons, w.neurons * 4 // 5
    net = snnfp.Network()
    drive = net.input(n, name="drive")
    neurons = net.population(n, _neuron(w), name="neurons")
    sources = np.hstack(
        [
            rng.integers(0, n_excitatory, (n, w.excitatory)),
            rng.integers(n_excitatory, n, (n, w.inhibitory)),
        ]
    )
    targets = np.repeat(np.arange(n), w.excitatory + w.inhibitory)
    weights = np.where(sources < n_excitatory, w.weight, w.weight * w.inhibition)
    synapses = snnfp.Sparse(
        sources=sources.reshape(-1), targets=targets, weight=weights.reshape(-1), delay=w.delay
    )
    net.connect(drive, neurons, snnfp.OneToOne(weight=w.drive_weight))
    net.connect(neurons, neurons, synapses)
    counts = rng.poisson(w.drive_rate * until, n)
    spikes = snnfp.Spikes.from_pairs(
        (rng.uniform(0.0, until, counts.sum()), np.repeat(np.arange(n), counts)), size=n
    )
    initial = {"neurons": (rng.uniform(0.0, 1.0, n), 0.0)}

    def simulate() -> snnfp.Record:
        return snnfp.simulate(net, spikes, until=until, initial=initial, n_threads=threads)

    record = simulate()
    fan_out = np.bincount(sources.reshape(-1), minlength=n)
    return Prepared(
        {"simulate": simulate},
        {
            "rate": record.n_spikes / n / until * 1e3,
            "deliveries": int(fan_out[record.neurons].sum()),
            "spikes": record.n_spikes,
        },
    )


def _yin_yang_training(seed: int, target: float = 0.97) -> Prepared:
    """Nothing to time again: the facts are the result."""
    settings = replace(yin_yang.FAST, seed=seed)
    data = TASKS["yin-yang"].load(settings, None)
    got = yin_yang.train(settings, data, target=target, stop=None, n_threads=1)
    facts = {"seconds": got.seconds, "accuracy": got.test, "epochs": got.epochs}
    return Prepared({}, {**facts, "reached": got.test >= target})


def _mnist_epoch(threads: int) -> Prepared:
    """Nothing to time again: the facts are the result."""
    return Prepared({}, dict(mnist.run(1, threads)[0]))


def _check(value: float, gradients: dict[str, Any]) -> None:
    need(bool(np.isfinite(value)), f"the loss is {value}")
    for name, g in gradients.items():
        need(bool(np.isfinite(g).all()), f"the gradient by {name} is not finite")
        need(bool(np.any(g)), f"the gradient by {name} is zero")
