"""Random networks with readouts, for their tests."""

import numpy as np
import snnfp
from networks import delays, quiet, random_network

UNTIL = 8.0
READINGS = (
    snnfp.Reading("out", "weighted_integral", time_scale=2.0),
    snnfp.Reading("out", "integral"),
    snnfp.Reading("out", "end"),
    snnfp.Reading("out", "max"),
    snnfp.Reading("out", "at", (UNTIL, 0.0, 3.25)),
    snnfp.Reading("alike", "weighted_integral", time_scale=5.0),
    snnfp.Reading("alike", "max"),
    snnfp.Reading("alike", "at", (2.0, 5.5)),
)


def li(rng, n, alike=False):
    """Of any time constants; equal, nearly equal and infinite ones among them."""
    tau_mem, tau_syn = rng.uniform(1.0, 6.0, (2, n))
    kind = rng.integers(0, 6, n)
    tau_syn = np.where(kind == 0, tau_mem, tau_syn)
    tau_syn = np.where(kind == 1, tau_mem * (1 + 1e-9), tau_syn)
    tau_mem = np.where(kind == 2, np.inf, tau_mem)
    if alike:
        tau_mem, tau_syn = tau_mem[0], tau_syn[0]
    return snnfp.LI(
        tau_mem=tau_mem,
        tau_syn=tau_syn,
        bias=0.0 if alike else rng.uniform(-0.1, 0.1, n),
        capacitance=rng.uniform(0.5, 2.0, () if alike else n),
    )


def listened(seed, *, n=3, samples=2, **options):
    """A random network whose hidden neurons, outputs and inputs two readouts listen to.

    Projections of every kind, delays of every kind, and several from one group.
    """
    rng = np.random.default_rng(40_000 + seed)
    net, spikes = random_network(rng, samples=samples, until=UNTIL, **options)
    hidden, output = (net.populations[k].size for k in ("hidden", "output"))
    channels = net.inputs["input"].size
    net.readout(n, li(rng, n), name="out")
    net.readout(output, li(rng, output, alike=True), name="alike")
    for source, size in (("hidden", hidden), ("input", channels)):
        weight = rng.normal(0.2, 0.6, (size, n))
        delay = delays(rng, 0.8, size, n)
        net.connect(source, "out", snnfp.Dense(weight=weight, delay=delay))
    synapses = 2 * hidden
    sources, targets = rng.integers(0, hidden, synapses), rng.integers(0, output, synapses)
    sparse = snnfp.Sparse(
        sources=sources,
        targets=targets,
        weight=rng.normal(0.2, 0.6, synapses),
        delay=delays(rng, 0.8, hidden, output, synapses),
    )
    net.connect("hidden", "alike", sparse)
    weight = rng.normal(0.3, 0.6, (hidden, output))
    net.connect("hidden", "alike", snnfp.Dense(weight=weight, delay=0.3), name="again")
    one = snnfp.OneToOne(weight=rng.normal(0.3, 0.6, output), delay=rng.uniform(0, 0.5, output))
    net.connect("output", "alike", one)
    return net, spikes


def record_of(net, spikes, **options):
    """Without a word of silent populations."""
    return quiet(net, spikes, until=UNTIL, **options)
