"""Networks: names, parameters, files, copies, and sparse projections in the user's order."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import snnfp
from digests import derivatives
from networks import quiet, random_network
from snnfp import LIF, Dense, Network, OneToOne, Sparse, Spikes
from snnfp.errors import FormatError

NEURON = LIF(tau_mem=2.0, tau_syn=1.0)


def small(**changes):
    net = Network()
    x = net.input(changes.get("channels", 4))
    h = net.population(changes.get("hidden", 5), NEURON, name=changes.get("name", "h"))
    net.connect(x, h, Dense(weight=snnfp.init.Normal(2.0, 0.5), delay=0.25))
    net.connect(h, h, changes.get("recurrent", OneToOne(weight=snnfp.init.Uniform(-0.2, 0.2))))
    return net.initialise(seed=changes.get("seed", 1))


def test_names_and_shapes():
    net = small()
    shapes = {k: v.shape for k, v in net.parameters.items()}
    assert shapes == {
        **{f"h.{k}": () for k in NEURON.values()},
        "input_to_h.weight": (4, 5),
        "input_to_h.delay": (),
        "h_to_h.weight": (5,),
        "h_to_h.delay": (),
    }
    assert repr(net) == "Network(float64: input[4], h[5], input_to_h (dense), h_to_h (one_to_one))"
    assert "h_to_h.weight: float64[5]" in repr(net.parameters)
    second = net.connect(net.inputs["input"], net.populations["h"], Dense(weight=0.0), name="again")
    assert second.name == "again" and "again.weight" in net.parameters
    with pytest.raises(ValueError, match="'input_to_h' is taken, expected a new one"):
        net.connect(net.inputs["input"], net.populations["h"], Dense(weight=0.0))


def test_parameters_are_replaced_as_a_whole():
    net = small()
    weight = net.parameters["input_to_h.weight"]
    with pytest.raises(ValueError, match="read-only"):
        weight[0] = 1.0
    net.parameters["input_to_h.weight"] = 2 * weight
    assert np.array_equal(net.parameters["input_to_h.weight"], 2 * weight)
    net.parameters["h.tau_mem"] = np.linspace(1, 2, 5)
    assert net.parameters["h.tau_mem"].shape == (5,)
    net.parameters["h.tau_mem"] = 3.0
    assert net.parameters["h.tau_mem"].shape == ()
    net.parameters["input_to_h.delay"] = np.full((4, 5), 0.5)
    spikes = Spikes([0.0], [0], [0, 1], size=4)
    gradient = quiet(net, spikes, until=5.0).vjp(
        np.ones(quiet(net, spikes, until=5.0).n_spikes), wrt="*"
    )
    assert {k: v.shape for k, v in gradient.items() if k in net.parameters} == {
        k: v.shape for k, v in net.parameters.items()
    }


def test_select():
    net = small()
    assert net.select("*.weight") == ("input_to_h.weight", "h_to_h.weight")
    assert net.select(["h_to_h.*", "h.bias"]) == ("h.bias", "h_to_h.weight", "h_to_h.delay")
    assert net.select("*") == (*net.parameters, "input.times")


def test_flatten_and_unflatten():
    net = small()
    vector = net.flatten("*")
    assert vector.size == sum(v.size for v in net.parameters.values())
    net.unflatten(2 * vector, "*")
    assert np.array_equal(net.flatten("*"), 2 * vector)
    weights = net.flatten()
    assert np.array_equal(
        weights, np.concatenate([net.parameters[k].ravel() for k in net.select("*.weight")])
    )


def test_initialise():
    a, b, c = small(), small(), small(seed=2)
    assert np.array_equal(a.flatten(), b.flatten())
    assert not np.array_equal(a.flatten(), c.flatten())
    a.initialise(seed=2)
    assert np.array_equal(a.flatten(), c.flatten())
    a.initialise(seed=np.random.default_rng(2))
    assert np.array_equal(a.flatten(), c.flatten())
    net = Network()
    h = net.population(1000, NEURON, name="h")
    net.connect(h, h, Dense(weight=snnfp.init.Normal(3.0, 0.5), delay=snnfp.init.Uniform(1.0, 2.0)))
    net.initialise(seed=0)
    weight, delay = net.parameters["h_to_h.weight"], net.parameters["h_to_h.delay"]
    assert weight.mean() == pytest.approx(3.0, abs=0.01) and weight.std() == pytest.approx(
        0.5, abs=0.01
    )
    assert delay.min() >= 1.0 and delay.max() < 2.0 and delay.mean() == pytest.approx(1.5, abs=0.01)


def test_save_and_load(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    a, b = small(), small(seed=2)
    a.parameters["h.tau_mem"] = np.linspace(1, 2, 5)
    a.save(path)
    b.load(path)
    assert all(np.array_equal(v, b.parameters[k]) for k, v in a.parameters.items())
    spikes = Spikes([0.0, 0.5], [0, 1], [0, 2], size=4)
    assert derivatives_of(a, spikes) == derivatives_of(b, spikes)


def derivatives_of(net, spikes):
    record = quiet(net, spikes, until=6.0)
    return {
        k: v.tobytes() for k, v in record.vjp(np.cos(np.arange(record.n_spikes)), wrt="*").items()
    }


@pytest.mark.parametrize(
    "changes, difference",
    [
        ({"hidden": 6}, "populations there: .*5.*, here: .*6"),
        ({"channels": 3}, "inputs there: .*4.*, here: .*3"),
        ({"name": "g"}, "populations there"),
        ({"recurrent": Dense(weight=0.0)}, "projections there"),
    ],
)
def test_a_file_of_another_network(tmp_path, changes, difference):
    pytest.importorskip("safetensors")
    path = tmp_path / "model.safetensors"
    small().save(path)
    other = small(**changes)
    before = other.flatten("*")
    with pytest.raises(FormatError, match=f"holds the parameters of another network: {difference}"):
        other.load(path)
    assert np.array_equal(other.flatten("*"), before)


def test_a_file_with_other_synapses(tmp_path):
    pytest.importorskip("safetensors")
    a = small(recurrent=Sparse(sources=[0, 1], targets=[1, 2], weight=0.1))
    b = small(recurrent=Sparse(sources=[0, 1], targets=[1, 3], weight=0.1))
    a.save(tmp_path / "a")
    with pytest.raises(FormatError, match="another network"):
        b.load(tmp_path / "a")


def child_digest(net, spikes):
    return derivatives(quiet(net, spikes, until=8.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_copies_give_the_same_bits(dtype):
    for seed in range(4):
        net, spikes = random_network(np.random.default_rng(seed), dtype=dtype)
        expected = child_digest(net, spikes)
        other = copy.deepcopy(net)
        assert child_digest(other, spikes) == expected
        assert child_digest(pickle.loads(pickle.dumps(net)), spikes) == expected
        other.parameters["hidden.bias"] = 0.5
        assert child_digest(net, spikes) == expected
        assert not other.parameters["input_to_hidden.weight"].flags.writeable


def test_spawned_processes_give_the_same_bits():
    net, spikes = random_network(np.random.default_rng(5))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(child_digest, (net, spikes)) == child_digest(net, spikes)


def test_a_network_without_values_can_be_copied():
    net = Network()
    h = net.population(2, NEURON, name="h")
    net.connect(h, h, Dense(weight=snnfp.init.Normal(0, 1)))
    a, b = copy.deepcopy(net).initialise(3), net.initialise(3)
    assert np.array_equal(a.flatten(), b.flatten())


def sparse(sources, targets, weight, delay):
    net = Network()
    x = net.input(3)
    h = net.population(4, NEURON, name="h")
    spec = Sparse(sources=sources, targets=targets, weight=weight, delay=delay)
    net.connect(x, h, spec)
    return net


@pytest.mark.parametrize("one_delay", [True, False])
def test_sparse_in_any_order(one_delay):
    """Parameters, gradients and Jacobians are in the order of the user's list; pairs may repeat."""
    rng = np.random.default_rng(6)
    sources = np.array([2, 0, 1, 2, 0, 0, 1, 2, 2])
    targets = np.array([3, 1, 0, 0, 1, 2, 3, 3, 1])
    weight, delay = rng.uniform(1, 3, 9), 0.5 if one_delay else rng.uniform(0, 1, 9)
    spikes = Spikes([0.0, 0.2, 0.3, 1.0, 1.5], [0, 1, 2, 2, 0], [0, 5], size=3)
    order = np.argsort(sources, kind="stable")
    a = sparse(sources, targets, weight, delay)
    b = sparse(sources[order], targets[order], weight[order], delay if one_delay else delay[order])
    ra, rb = (snnfp.simulate(n, spikes) for n in (a, b))
    assert ra.times.tobytes() == rb.times.tobytes()
    u = rng.normal(size=ra.n_spikes)
    keys = ["input_to_h.weight"] + ([] if one_delay else ["input_to_h.delay"])
    for mode in ("reverse", "forward"):
        ga, gb = ra.vjp(u, wrt=keys, mode=mode), rb.vjp(u, wrt=keys, mode=mode)
        assert all(np.array_equal(ga[k][order], gb[k]) for k in keys)
    ja, jb = ra.jacobian(of="h", wrt=keys), rb.jacobian(of="h", wrt=keys)
    assert all(np.array_equal(ja[k][:, order], jb[k]) for k in keys)
    tangent = rng.normal(size=9)
    left, right = ra.jvp({keys[0]: tangent}), rb.jvp({keys[0]: tangent[order]})
    assert np.array_equal(left, right)
    a.parameters["input_to_h.weight"] = weight[::-1]
    assert np.array_equal(a.parameters["input_to_h.weight"], weight[::-1])
    projection = a.projections["input_to_h"]
    assert np.array_equal(projection.sources, sources) and np.array_equal(
        projection.targets, targets
    )


def test_repeated_pairs_add_up():
    spikes = Spikes([0.0], [1], [0, 1], size=3)
    twice = snnfp.simulate(sparse([1, 1], [2, 2], [2.0, 1.5], 0.0), spikes)
    once = snnfp.simulate(sparse([1], [2], 3.5, 0.0), spikes)
    assert np.array_equal(twice.times, once.times)
    a, b = (r.vjp(np.ones(r.n_spikes))["input_to_h.weight"] for r in (twice, once))
    np.testing.assert_allclose(a, [b[0], b[0]], rtol=1e-14)


def test_csr():
    spec = Sparse.from_csr([0, 2, 2, 3], [1, 3, 0], weight=[1.0, 2.0, 3.0])
    assert np.array_equal(spec.sources, [0, 0, 2]) and np.array_equal(spec.targets, [1, 3, 0])


@pytest.mark.parametrize("kind", ["sparse", "one_to_one"])
def test_every_kind_of_projection_is_the_same_as_dense(kind):
    rng = np.random.default_rng(7)
    w, d = rng.uniform(2, 4, 3), rng.uniform(0, 1, 3)
    nets = []
    for which in (kind, "dense"):
        net = Network()
        x, h = net.input(3), net.population(3, NEURON, name="h")
        spec = {
            "sparse": Sparse(sources=[0, 1, 2], targets=[0, 1, 2], weight=w, delay=d),
            "one_to_one": OneToOne(weight=w, delay=d),
            "dense": Dense(weight=np.diag(w), delay=np.diag(d)),
        }[which]
        net.connect(x, h, spec)
        nets.append(net)
    spikes = Spikes([0.0, 0.5, 1.0], [0, 1, 2], [0, 3], size=3)
    a, b = (snnfp.simulate(n, spikes) for n in nets)
    np.testing.assert_allclose(a.times, b.times, rtol=1e-15)
    u = np.cos(np.arange(a.n_spikes))
    for k in ("weight", "delay"):
        left, right = (r.vjp(u, wrt=f"*.{k}")[f"input_to_h.{k}"] for r in (a, b))
        np.testing.assert_allclose(left, np.diag(right), rtol=1e-12)


def test_the_delay_of_a_projection_has_one_derivative():
    one = sparse([0, 1, 2], [0, 1, 2], 3.0, 0.5)
    each = sparse([0, 1, 2], [0, 1, 2], 3.0, [0.5] * 3)
    spikes = Spikes([0.0, 0.5, 1.0], [0, 1, 2], [0, 3], size=3)
    a, b = (snnfp.simulate(n, spikes) for n in (one, each))
    assert np.array_equal(a.times, b.times)
    u = np.cos(np.arange(a.n_spikes))
    for mode in ("reverse", "forward"):
        left = a.vjp(u, wrt="*.delay", mode=mode)["input_to_h.delay"]
        right = b.vjp(u, wrt="*.delay", mode=mode)["input_to_h.delay"]
        assert left.shape == () and right.shape == (3,)
        assert left == pytest.approx(right.sum(), rel=1e-13)


def test_groups_are_connected_by_name():
    a, b = small(), Network()
    b.input(4)
    b.population(5, NEURON, name="h")
    projection = b.connect("input", "h", Dense(weight=snnfp.init.Normal(2.0, 0.5), delay=0.25))
    assert (projection.source, projection.target) == ("input", "h")
    b.connect(b.populations["h"], "h", OneToOne(weight=snnfp.init.Uniform(-0.2, 0.2)))
    assert a.structure() == b.structure()
    assert np.array_equal(a.flatten(), b.initialise(1).flatten())


def drawn():
    net = Network()
    net.input(2)
    neuron = LIF(
        tau_mem=snnfp.init.Uniform(1.5, 2.5),
        tau_syn=1.0,
        threshold=snnfp.init.Normal(1.0, 0.05),
        v_reset=snnfp.init.Uniform(-3.0, -2.0),
        capacitance=snnfp.init.Constant(2.0),
    )
    net.population(40, neuron, name="h")
    net.connect("input", "h", Dense(weight=snnfp.init.Normal(8.0, 0.5)))
    return net


DRAWN = ("h.tau_mem", "h.threshold", "h.v_reset", "h.capacitance", "input_to_h.weight")
SPIKES = Spikes([0.0, 0.5], [0, 1], [0, 2], size=2)


def test_neuron_parameters_are_drawn():
    """In the order of the parameters, before the projections that were added later."""
    net = drawn()
    assert [k for k in net.parameters if "not initialised" in f"{net._values[k]}"] == []
    assert repr(net.parameters).count("not initialised") == 5
    for name in DRAWN[:2]:
        with pytest.raises(snnfp.errors.SnnfpError, match=f"{name} has no value yet: call network"):
            net.parameters[name]
    with pytest.raises(snnfp.errors.SnnfpError, match=r"h.tau_mem has no value yet: call network"):
        snnfp.simulate(net, SPIKES)
    net.initialise(7)
    rng = np.random.default_rng(7)
    assert np.array_equal(net.parameters["h.tau_mem"], rng.uniform(1.5, 2.5, 40))
    assert np.array_equal(net.parameters["h.threshold"], rng.normal(1.0, 0.05, 40))
    assert np.array_equal(net.parameters["h.v_reset"], rng.uniform(-3.0, -2.0, 40))
    assert np.array_equal(net.parameters["h.capacitance"], np.full(40, 2.0))
    assert np.array_equal(net.parameters["input_to_h.weight"], rng.normal(8.0, 0.5, (2, 40)))
    # The core has them too: the same as given as arrays.
    other = Network()
    other.input(2)
    values = {k: net.parameters[f"h.{k}"] for k in NEURON.values()}
    other.population(40, LIF(**values), name="h")
    other.connect("input", "h", Dense(weight=net.parameters["input_to_h.weight"]))
    assert derivatives_of(other, SPIKES) == derivatives_of(net, SPIKES)
    assert other.structure() == net.structure()


def test_networks_with_drawn_neurons_are_copied():
    net = drawn()
    early = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    expected = derivatives_of(net.initialise(3), SPIKES)
    for other in (*early, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        if other in early:
            other.initialise(3)
        assert derivatives_of(other, SPIKES) == expected
        assert np.array_equal(
            other.initialise(4).parameters["h.tau_mem"],
            drawn().initialise(4).parameters["h.tau_mem"],
        )


def test_a_drawn_parameter_may_be_given_instead():
    net = drawn()
    for name in DRAWN:
        given = {"h.tau_mem": 2.0, "h.threshold": 1.0, "h.v_reset": -1e6}
        net.parameters[name] = given.get(name, net._legal(name))
    net.parameters["input_to_h.weight"] = 9.0
    assert snnfp.simulate(net, SPIKES).n_spikes == 40


class Ramp:
    """An initialiser of somebody else's."""

    def __init__(self, *values):
        self.values = values

    def draw(self, rng, shape):
        return np.resize(self.values, shape)

    def __repr__(self):
        return f"Ramp{self.values}"


@pytest.mark.parametrize(
    "neuron, error, message",
    [
        ({"tau_mem": Ramp(1.0, 0.0)}, ValueError, r"h.tau_mem\[1\] is 0, .*; drawn from Ramp\(1.0"),
        (
            {"tau_mem": snnfp.init.Uniform(-2.0, -1.0)},
            ValueError,
            r"h.tau_mem\[0\] is -1.\d+, expected a time > 0 .*; drawn from Uniform\(low=-2.0, high=",
        ),
        (
            {"threshold": snnfp.init.Constant(-1.0)},
            ValueError,
            r"h.threshold\[0\] is -1, expected a value above v_reset = 0; drawn from Constant",
        ),
        (
            {"v_reset": Ramp(0.0, 0.0, 3.0)},
            ValueError,
            r"h.threshold\[2\] is 1, expected a value above v_reset = 3; drawn from Ramp",
        ),
        ({"bias": Ramp("a")}, TypeError, "h.bias has dtype <U1, expected real numbers"),
    ],
)
def test_values_drawn_that_cannot_be(neuron, error, message):
    """All are drawn or none, and what could be drawn later still can."""
    net = Network()
    net.population(3, LIF(**{"tau_mem": 2.0, "tau_syn": Ramp(1.0, 2.0), **neuron}), name="h")
    net.connect("h", "h", Dense(weight=Ramp(1.0)))
    with pytest.raises(error, match="^" + message):
        net.initialise()
    assert repr(net.parameters).count("not initialised") == 3
    name = next(iter(neuron))
    net.parameters[f"h.{name}"] = 1.5 if name != "v_reset" else 0.5
    assert net.parameters[f"h.{name}"] in (1.5, 0.5)


def test_initialisers_in_the_wrong_place():
    with pytest.raises(
        TypeError, match=r"h.tau_mem is the class Uniform, expected an object of it"
    ):
        Network().population(1, LIF(tau_mem=snnfp.init.Uniform, tau_syn=1.0), name="h")
    net = drawn()
    with pytest.raises(
        TypeError, match=r"h.bias is Constant\(value=1.0\), expected numbers: an init"
    ):
        net.parameters["h.bias"] = snnfp.init.Constant(1.0)
    with pytest.raises(ValueError, match="seed is -1, expected an integer >= 0 or a generator"):
        net.initialise(-1)
