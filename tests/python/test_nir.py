"""NIR graphs: what they mean, and that a network comes back as it went."""

from __future__ import annotations

import numpy as np
import pytest
import snnfp

nir = pytest.importorskip("nir", reason="nir is not installed: pip install 'snnfp[nir]'")

from nir_graphs import chain, cuba_lif, node, planes, random_input, recurrent  # noqa: E402
from nir_steps import Steps  # noqa: E402

LIF = {"tau_mem": 0.02, "tau_syn": 0.005}


def spikes_of(given, size):
    times, units = zip(*given)
    return snnfp.Spikes.from_pairs([(np.array(times), np.array(units))], size=size)


def same_spikes(record, name, found, tolerance):
    """As many of each neuron, at the same times."""
    mine = record.spikes(name).to_lists()[0]
    for unit, times in enumerate(mine):
        theirs = np.array([t for t, u in found if u == unit])
        assert times.size == theirs.size, (name, unit)
        np.testing.assert_allclose(times, theirs, rtol=0, atol=tolerance)


# -- what a graph means: against NIR's equations in small steps ----------------------------------


@pytest.mark.parametrize("make, inputs, until", [(recurrent, 4, 0.06), (planes, 60, 0.02)])
def test_network_fires_as_the_equations_do(make, inputs, until):
    rng = np.random.default_rng(5)
    graph = make(nir, rng)
    given = random_input(rng, inputs, 40 if make is recurrent else 120, until)
    dt = 1e-5 if make is recurrent else 4e-5
    name = "in" if make is recurrent else "input"
    found, potentials = Steps(graph, dt).run({name: given}, until)
    model = snnfp.nir.from_nir(graph)
    record = snnfp.simulate(model.net, spikes_of(given, inputs), until=until, initial=model.initial)
    assert sum(map(len, found.values())) >= 20 and all(found.values())
    for population, theirs in found.items():
        same_spikes(record, population, theirs, tolerance=20 * dt)
    for readout, v in potentials.items():
        np.testing.assert_allclose(record.readout(readout, "end")[0], v, rtol=1e-3, atol=2e-3)
    assert model.outputs == (("out", "read") if make is recurrent else ("c",))
    if make is recurrent:  # before any spike reaches it
        assert np.array_equal(record.readout("read", "at", times=[0.0])[0, 0], [0.2, 0.0])


def neuron(kind, **fields):
    return node(nir, kind, 2, v_threshold=0.8, v_reset=-0.1, **fields)


MEMBRANES = {
    "LI, LIF": (
        node(nir, "LI", 2, tau=0.005, r=0.03, v_leak=[0.0, 0.1]),
        neuron("LIF", tau=0.02, r=1.5, v_leak=[0.0, 0.2]),
    ),
    "LI, IF": (node(nir, "LI", 2, tau=[0.005, 0.01], r=0.3, v_leak=0.0), neuron("IF", r=6.0)),
    "I, LIF": (node(nir, "I", 2, r=1.0), neuron("LIF", tau=0.02, r=0.6, v_leak=0.0)),
    "I, IF": (node(nir, "I", 2, r=4.0), neuron("IF", r=9.0)),
    "LIF that fires by itself": (
        node(nir, "LI", 2, tau=0.005, r=0.003, v_leak=0.0),
        neuron("LIF", tau=0.02, r=1.0, v_leak=[0.9, 0.0]),
    ),
}


@pytest.mark.parametrize("name", MEMBRANES)
def test_synapse_and_membrane_apart(name):
    synapse, membrane = MEMBRANES[name]
    graph = chain(
        nir,
        input=nir.Input(input_type=np.array([2])),
        w=nir.Linear(weight=np.array([[1.0, 0.3], [0.5, 2.0]])),
        synapse=synapse,
        neurons=membrane,
        output=nir.Output(output_type=np.array([2])),
    )
    given, until, dt = (
        [(0.001, 0), (0.004, 1), (0.012, 0), (0.02, 1)],
        0.08 if "itself" in name else 0.05,
        4e-6,
    )
    steps = Steps(graph, dt)
    model = snnfp.nir.from_nir(graph)
    if "itself" in name:
        steps.state["neurons"][1][0] = -0.1  # as after a spike
        assert "v_reset" in model.notes[-1]
    found, _ = steps.run({"input": given}, until)
    record = snnfp.simulate(model.net, spikes_of(given, 2), until=until, initial=model.initial)
    assert len(found["neurons"]) >= 2
    same_spikes(record, "neurons", found["neurons"], tolerance=3e-4)


@pytest.mark.parametrize("where", ["before CubaLIF", "before LI", "after LI"])
def test_bias_comes_on_through_the_synapse(where):
    affine = nir.Affine(weight=np.array([[0.005], [0.002]]), bias=np.array([0.7, 1.1]))
    if where == "before CubaLIF":
        parts = {"w": affine, "neurons": cuba_lif(nir, 2, w_in=1.0)}
    else:
        lif = node(nir, "LIF", 2, tau=0.02, r=2.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0)
        # One channel before the matrix, or two after it.
        n = 2 if where == "before LI" else 1
        synapse = node(nir, "LI", n, tau=0.005, r=1.0, v_leak=0.0)
        parts = {"w": affine, "synapse": synapse} if n == 2 else {"synapse": synapse, "w": affine}
        parts["neurons"] = lif
    graph = chain(
        nir, input=nir.Input(input_type=np.array([1])), **parts, output=nir.Output(np.array([2]))
    )
    given, until = [(0.003, 0), (0.03, 0)], 0.06
    found, _ = Steps(graph, 1e-5).run({"input": given}, until)
    model = snnfp.nir.from_nir(graph)
    assert any("bias" in note for note in model.notes)
    record = snnfp.simulate(model.net, spikes_of(given, 1), until=until, initial=model.initial)
    assert len(found["neurons"]) >= 4
    same_spikes(record, "neurons", found["neurons"], tolerance=3e-4)


def test_pools_and_convolutions_without_a_neuron_between():
    """Groups and dilation as well; a chain of them is a list of synapses."""
    rng = np.random.default_rng(2)
    conv = nir.Conv2d(
        input_shape=None,
        weight=rng.uniform(0.2, 1.0, (4, 1, 2, 2)),
        stride=1,
        padding=1,
        dilation=2,
        groups=2,
        bias=rng.uniform(0.0, 20.0, 4),
    )
    graph = chain(
        nir,
        input=nir.Input(input_type=np.array([2, 6, 6])),
        pool=nir.SumPool2d(
            kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])
        ),
        conv=conv,
        a=cuba_lif(nir, 4, 3, 3, w_in=0.03),
        output=nir.Output(np.array([4, 3, 3])),
    )
    given, until = random_input(rng, 72, 60, 0.02), 0.02
    found, _ = Steps(graph, 4e-5).run({"input": given}, until)
    model = snnfp.nir.from_nir(graph)
    assert any("weight of its own" in note for note in model.notes)
    record = snnfp.simulate(model.net, spikes_of(given, 72), until=until, initial=model.initial)
    assert len(found["a"]) >= 20
    same_spikes(record, "a", found["a"], tolerance=8e-4)


def test_jump_of_a_membrane_is_spread():
    """A LIF alone, approached as tau_syn goes to 0."""
    graph = chain(
        nir,
        input=nir.Input(np.array([1])),
        w=nir.Linear(np.array([[0.0075]])),
        neurons=node(nir, "LIF", 1, tau=0.02, r=1.0, v_leak=0.0, v_threshold=1.0, v_reset=0.0),
        output=nir.Output(np.array([1])),
    )
    given, until = [(t, 0) for t in (0.001, 0.002, 0.004, 0.005, 0.006)], 0.02
    found, _ = Steps(graph, 1e-5).run({"input": given}, until)
    with pytest.raises(ValueError, match=r"node neurons \(LIF\) has no synapse.*tau_syn="):
        snnfp.nir.from_nir(graph)
    for tau_syn in (1e-4, 1e-6):
        model = snnfp.nir.from_nir(graph, tau_syn=tau_syn)
        assert "does not jump" in model.notes[0] or "not jump" in model.notes[0]
        record = snnfp.simulate(model.net, spikes_of(given, 1), until=until)
        assert len(found["neurons"]) == 1
        same_spikes(record, "neurons", found["neurons"], tolerance=3 * tau_syn + 2e-5)


def test_pulse():
    """Gains for spikes that are 1 for a step, and for those that move the current by w_in."""
    graph = recurrent(nir, np.random.default_rng(5))
    weight = snnfp.nir.from_nir(graph).net.parameters["w1.weight"]
    step = snnfp.nir.from_nir(graph, pulse=1e-4).net.parameters["w1.weight"]
    np.testing.assert_allclose(step, 1e-4 * weight, rtol=1e-14)
    moved = snnfp.nir.from_nir(graph, pulse="tau_syn").net.parameters["w1.weight"]
    np.testing.assert_allclose(moved, weight * np.array([0.004, 0.005, 0.02]), rtol=1e-14)
    for bad in (0.0, -1, np.inf, "dt"):
        with pytest.raises(ValueError, match=r"pulse is .*, expected a time > 0, 1.0 or 'tau_syn'"):
            snnfp.nir.from_nir(graph, pulse=bad)
