"""NEST: iaf_psc_exp on a 0.1 ms grid, and its exact model iaf_psc_exp_ps_lossless."""

from __future__ import annotations

import os
from importlib.metadata import version as _version
from typing import Any

import nest

from bench.peers import work
from bench.peers.prepared import Prepared, need

NAME = "NEST"


def version() -> str:
    """Of the package."""
    return _version("nest-simulator")


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """``balanced``; each call simulates the next stretch of time, after one to settle."""
    need(kind == "balanced", f"NEST has no {kind} work here")
    w = work.balanced(options["until"])
    exact = options["exact"]
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus(
        {"resolution": 0.1, "local_num_threads": int(os.environ["BENCH_THREADS"]), "rng_seed": 5}
    )
    parameters = {
        "C_m": w.tau_mem,
        "tau_m": w.tau_mem,
        "E_L": 0.0,
        "V_th": 1.0,
        "V_reset": 0.0,
        "tau_syn_ex": w.tau_syn,
        "tau_syn_in": w.tau_syn,
        "t_ref": 0.1 if exact else 0.0,  # with 0 an exact neuron fires once and never again
    }
    model = "iaf_psc_exp_ps_lossless" if exact else "iaf_psc_exp"
    excitatory = nest.Create(model, w.neurons * 4 // 5, params=parameters)
    inhibitory = nest.Create(model, w.neurons // 5, params=parameters)
    neurons = excitatory + inhibitory
    neurons.V_m = nest.random.uniform(0.0, 1.0)
    drive = nest.Create(
        "poisson_generator_ps" if exact else "poisson_generator",
        params={"rate": w.drive_rate * 1e3},
    )
    recorder = nest.Create("spike_recorder", params={"record_to": "memory"})
    nest.Connect(drive, neurons, syn_spec={"weight": w.drive_weight, "delay": w.delay})
    for source, count, weight in (
        (excitatory, w.excitatory, w.weight),
        (inhibitory, w.inhibitory, w.weight * w.inhibition),
    ):
        nest.Connect(
            source,
            neurons,
            {"rule": "fixed_indegree", "indegree": count},
            {"weight": weight, "delay": w.delay},
        )
    nest.Connect(neurons, recorder)

    def simulate() -> None:
        nest.Simulate(w.until)

    simulate()
    spikes = recorder.n_events
    recorder.n_events = 0
    need(spikes > 0, "no neuron fired")
    return Prepared(
        {"simulate": simulate},
        {
            "rate": spikes / w.neurons / w.until * 1e3,
            "spikes": spikes,
            "deliveries": spikes * (w.excitatory + w.inhibitory),
        },
    )
