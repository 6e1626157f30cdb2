"""Neuron models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from snnfp import _core
from snnfp.init import Initialiser

__all__ = ["LI", "LIF", "NEURON_PARAMETERS", "READOUT_PARAMETERS"]

NEURON_PARAMETERS = tuple(_core.NeuronParameter.__members__)
READOUT_PARAMETERS = ("tau_mem", "tau_syn", "bias", "capacitance")


@dataclass(frozen=True, kw_only=True)
class LIF:
    """Leaky integrate-and-fire neurons with exponential synapses.

    ``C dV/dt = -(C / tau_mem) V + I + bias``, ``dI/dt = -I / tau_syn``; an arriving spike adds its
    weight to ``I``; when ``V`` reaches ``threshold`` from below the neuron spikes, and ``V`` is
    held at ``v_reset`` for ``t_refractory``. ``V`` is measured from rest: where a model gives
    voltages like -70 mV, subtract the resting one from ``threshold`` and ``v_reset``. Each value is
    one number for the population, an array with one a neuron, or an initialiser of
    :mod:`snnfp.init`, which ``Network.initialise`` draws one value a neuron from. Any ratio of time
    constants is legal, equal and infinite ones included.

    Args:
        tau_mem: membrane time constant; ``inf``: no leak.
        tau_syn: synaptic time constant; ``inf``: step currents.
        threshold: above ``v_reset``.
        v_reset: voltage after a spike.
        t_refractory: time, >= 0; ``inf``: at most one spike a neuron.
        bias: constant current.
        capacitance: > 0. ``capacitance = tau_mem`` gives the convention
            ``tau_mem dV/dt = -V + I`` of the EventProp paper, Norse and NIR.

    Source: Lee, Haghighatshoar, Karbasi, AISTATS 2023 (arXiv 2210.15415), section 2.
    """

    tau_mem: ArrayLike | Initialiser
    tau_syn: ArrayLike | Initialiser
    threshold: ArrayLike | Initialiser = 1.0
    v_reset: ArrayLike | Initialiser = 0.0
    t_refractory: ArrayLike | Initialiser = 0.0
    bias: ArrayLike | Initialiser = 0.0
    capacitance: ArrayLike | Initialiser = 1.0

    def values(self) -> dict[str, Any]:
        """The parameters by name, in the order of ``NEURON_PARAMETERS``."""
        return {name: getattr(self, name) for name in NEURON_PARAMETERS}


@dataclass(frozen=True, kw_only=True)
class LI:
    """Leaky integrators with exponential synapses: the neurons of a readout.

    :class:`LIF` without threshold and reset: ``C dV/dt = -(C / tau_mem) V + I + bias``,
    ``dI/dt = -I / tau_syn``; they send no spikes. Each value is one number for the readout, an
    array with one a neuron, or an initialiser of :mod:`snnfp.init`. Any ratio of time constants is
    legal, equal and infinite ones included.

    Args:
        tau_mem: membrane time constant; ``inf``: no leak.
        tau_syn: synaptic time constant; ``inf``: step currents.
        bias: constant current.
        capacitance: > 0; what is read is proportional to its inverse.
    """

    tau_mem: ArrayLike | Initialiser
    tau_syn: ArrayLike | Initialiser
    bias: ArrayLike | Initialiser = 0.0
    capacitance: ArrayLike | Initialiser = 1.0

    def values(self) -> dict[str, Any]:
        """The parameters by name, in the order of ``READOUT_PARAMETERS``."""
        return {name: getattr(self, name) for name in READOUT_PARAMETERS}
