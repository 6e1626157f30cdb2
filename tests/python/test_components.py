"""Each component of the graph by its own solver, told in the record."""

import numpy as np
import pytest
import snnfp


def _network(more=None):
    rng = np.random.default_rng(4)
    net = snnfp.Network()
    lif = snnfp.LIF(tau_mem=20.0, tau_syn=5.0, capacitance=20.0, t_refractory=40.0)
    x = net.input(30, name="x")
    h = net.population(40, lif, name="h")
    y = net.population(10, lif, name="y")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(1.0, 1.5, (30, 40))))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(1.0, 1.5, (40, 10))))
    if more:
        more(net, x, h, y)
    return net


def _batch():
    return snnfp.Spikes.from_latencies(np.random.default_rng(5).uniform(0, 20, (8, 30)))


def _sparse(net, x, h, y):
    net.connect(h, y, snnfp.Sparse(sources=[0], targets=[0], weight=0.1), name="one")


def _one_to_one(net, x, h, y):
    net.connect(y, y, snnfp.OneToOne(weight=-0.1, delay=1.0))


def _delays(net, x, h, y):
    net.parameters["h_to_y.delay"] = np.random.default_rng(6).uniform(0, 1, (40, 10))


@pytest.mark.parametrize(
    ("more", "solvers", "adjoints"),
    [
        (None, ["layer", "layer"], ["layer", "layer"]),
        (_sparse, ["layer", "layer"], ["layer", "layer"]),
        (_one_to_one, ["layer", "windows"], ["layer", "loop"]),
        (_delays, ["layer", "layer"], ["layer", "layer"]),
    ],
)
def test_a_projection_decides_on_its_own_component_only(more, solvers, adjoints):
    net = _network(more)
    record = snnfp.simulate(net, _batch(), until=40.0)
    assert [c.solver for c in record.components] == solvers
    assert [c.adjoint for c in record.components] == adjoints
    assert [c.populations for c in record.components] == [("h",), ("y",)]
    assert record.n_spikes > 100
    queue = snnfp.simulate(net, _batch(), until=40.0, engine="queue")
    assert [c.solver for c in queue.components] == ["queue", "queue"]
    assert np.array_equal(queue.times, record.times)
    assert np.array_equal(queue.neurons, record.neurons)


def test_a_record_names_the_instruction_set_that_ran():
    for isa in ("portable", "best"):
        record = snnfp.simulate(_network(), _batch(), until=40.0, isa=isa)
        assert record.isa in ("portable", "avx2", "avx512")
        assert isa == "best" or record.isa == isa


def test_nothing_ran_where_spikes_were_given():
    net = _network()
    record = snnfp.simulate(net, _batch(), until=40.0)
    recorded = snnfp.record_from_spikes(
        net,
        _batch(),
        {name: record.spikes(name) for name in ("h", "y")},
        tolerance=1e-9,
        until=40.0,
    )
    assert recorded.components == ()
