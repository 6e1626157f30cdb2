"""Each component of the graph by its own solver, told in the record."""

import numpy as np
import pytest
import snnfp
from networks import quiet, same_bits


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


# -- windows: the record of the queue, to the bit ----------------------------------------------------


def as_the_queue(net, spikes, **options):
    """The record of a network that is to run in windows, which is that of the queue."""
    record = quiet(net, spikes, n_threads=1, **options)
    assert "windows" in [c.solver for c in record.components]
    queue = quiet(net, spikes, n_threads=1, engine="queue", **options)
    assert same_bits(record, queue)
    assert record._core.release_currents.tobytes() == queue._core.release_currents.tobytes()
    return record


def some_spikes(rng, size, until, count=60):
    """In one sample of an input."""
    pairs = [(rng.uniform(0, until, count), rng.integers(0, size, count))]
    return snnfp.Spikes.from_pairs(pairs, size=size)


def test_neurons_that_are_reset_to_different_voltages():
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(8, name="x")
    lif = snnfp.LIF(tau_mem=4.0, tau_syn=2.0, t_refractory=0.3, v_reset=np.linspace(0.0, -0.5, 20))
    h = net.population(20, lif, name="h")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.5, 0.3, (8, 20)), delay=0.5))
    net.connect(h, h, snnfp.Dense(weight=0.02, delay=1.0), name="r")
    assert as_the_queue(net, some_spikes(rng, 8, 8.0), until=10.0).n_spikes > 100


def test_a_release_at_the_moment_at_which_a_sample_ends():
    rng = np.random.default_rng(0)
    released = 0
    for _ in range(2000):
        net = snnfp.Network()
        x = net.input(2, name="x")
        held = float(rng.choice([0.25, 0.5, 1.0]))
        lif = snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf, t_refractory=held)
        h = net.population(2, lif, name="h")
        weight = rng.choice([0.5, 1.0, 0.25], (2, 2))
        net.connect(x, h, snnfp.Dense(weight=weight, delay=0.25))
        net.connect(h, h, snnfp.Dense(weight=0.25, delay=1.0), name="r")
        times = 0.25 * rng.integers(0, 12, 12)
        spikes = snnfp.Spikes.from_pairs([(times, rng.integers(0, 2, 12))], size=2)
        record = as_the_queue(net, spikes, until=4.0, stop_after=["h"])
        released += bool(np.any(np.isin(record.times + held, record.ends)))
    assert released > 5


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("delay", [1.0, 1e-14, 1e-20, 1e-35])
def test_delays_of_any_size_from_outside(dtype, delay):
    """A loop without a synapse: windows have no end of their own."""
    rng = np.random.default_rng(0)
    net = snnfp.Network(dtype=dtype)
    x, h = net.input(4, name="x"), net.population(3, snnfp.LIF(tau_mem=4.0, tau_syn=2.0), name="h")
    sources, targets = np.divmod(np.arange(12), 3)
    delays = delay * rng.uniform(0.5, 1.0, 12)
    into = snnfp.Sparse(sources=sources, targets=targets, weight=0.5, delay=delays)
    net.connect(x, h, into)
    net.connect(h, h, snnfp.Sparse(sources=[], targets=[], weight=0.1, delay=1.0), name="r")
    assert as_the_queue(net, some_spikes(rng, 4, 10.0), until=12.0).n_spikes > 50


def test_windows_end_long_after_the_last_input():
    """Portions of a short, dense input are short; what follows it is not gone through in them."""
    rng = np.random.default_rng(0)
    net = snnfp.Network(dtype=np.float32)
    x, h = net.input(1, name="x"), net.population(2, snnfp.LIF(tau_mem=4.0, tau_syn=2.0), name="h")
    into = snnfp.Sparse(sources=[0, 0], targets=[0, 1], weight=1e-9, delay=0.001)
    net.connect(x, h, into)
    itself = snnfp.Sparse(sources=[0, 1], targets=[0, 1], weight=0.1, delay=10.0)
    net.connect(h, h, itself, name="r")
    as_the_queue(net, some_spikes(rng, 1, 0.01, count=5000), until=1200.0)
