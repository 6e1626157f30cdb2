"""The network of an estimator: fully connected layers, begun where most neurons fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snnfp.init import Normal
from snnfp.network import Network
from snnfp.neurons import LI, LIF
from snnfp.projections import Dense

__all__ = ["FIRST_SPIKES", "layered", "trained"]

FIRST_SPIKES = "first_spikes"
# What a neuron's input would lift V to, of its threshold, if all of it came at once: the mean over
# neurons, and the standard deviation of a weight as a multiple of its mean.
_LIFT, _SPREAD = 2.5, 1.5


def layered(
    channels: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    spikes: float,
    readout: str,
    tau_mem: float,
    tau_syn: float,
    t_refractory: float,
    dtype: Any,
    seed: int,
) -> Network:
    """A network ``channels - hidden ... - outputs``, its weights drawn.

    Args:
        channels: of the input.
        hidden: neurons of each hidden layer.
        outputs: spiking ones for first spikes, else such as only integrate.
        spikes: that a sample has, which the first weights are scaled by.
        readout: what is read off the outputs.
        tau_mem: of all neurons.
        tau_syn: of all neurons.
        t_refractory: of those that fire.
        dtype: float64 or float32.
        seed: of the weights.
    """
    net = Network(dtype=dtype)
    neuron = LIF(tau_mem=tau_mem, tau_syn=tau_syn, t_refractory=t_refractory)
    before: Any = net.input(channels, name="input")
    arrivals = max(spikes, 1.0)
    for k, size in enumerate(hidden):
        name = "hidden" if len(hidden) == 1 else f"hidden{k + 1}"
        group = net.population(size, neuron, name=name)
        net.connect(before, group, _weights(arrivals, tau_mem, tau_syn))
        before, arrivals = group, float(size)
    if readout == FIRST_SPIKES:
        output = net.population(outputs, neuron, name="output")
        net.connect(before, output, _weights(arrivals, tau_mem, tau_syn))
    else:
        leaky = LI(tau_mem=tau_mem, tau_syn=tau_syn, bias=np.zeros(outputs))
        reading = net.readout(outputs, leaky, name="output")
        net.connect(before, reading, Dense(weight=Normal(0.0, arrivals**-0.5)))
    return net.initialise(seed=seed)


def trained(net: Network) -> tuple[str, ...]:
    """Names of the parameters that are trained: weights, and what readouts add to all they say."""
    return net.select("*.weight") + tuple(f"{name}.bias" for name in net.readouts)


def _weights(arrivals: float, tau_mem: float, tau_syn: float) -> Dense:
    """Weights by which so many spikes lift V to some times a threshold of 1."""
    mean = _LIFT / (arrivals * _peak(tau_mem, tau_syn))
    return Dense(weight=Normal(mean, _SPREAD * mean))


def _peak(tau_mem: float, tau_syn: float) -> float:
    """The highest V that one arrival of weight 1 leads to."""
    slow, fast = max(tau_mem, tau_syn), min(tau_mem, tau_syn)
    if slow - fast < 1e-6 * slow:
        return slow / np.e
    # V(t) = (e^(-t / slow) - e^(-t / fast)) slow fast / (slow - fast), at its peak.
    return float(fast * (fast / slow) ** (fast / (slow - fast)))
