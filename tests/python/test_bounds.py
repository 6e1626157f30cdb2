"""Where fit lets parameters go: the domain of the model by itself, and the user's bounds."""

import numpy as np
import pytest
import snnfp
from snnfp import SGD, Adam, Spikes, fit
from snnfp.bounds import domain_of
from snnfp.losses import SpikeTimeSquaredError
from test_training import OPTIONS, problem


def test_parameters_stay_in_their_domain():
    net, data = problem()
    options = {**OPTIONS, "wrt": ("*.weight", "*.delay", "hidden.tau_mem")}
    fit(
        net, data, optimiser=SGD(lr=5.0), epochs=2,
        bounds={"input_to_hidden.weight": (-1.0, 2.0), "*.tau_mem": (0.5, 1.5)}, **options
    )  # fmt: skip
    p = net.parameters
    assert p["input_to_hidden.delay"] >= 0 and p["hidden_to_output.delay"] >= 0
    assert 0.5 <= p["hidden.tau_mem"] <= 1.5
    assert p["input_to_hidden.weight"].min() >= -1.0 and p["input_to_hidden.weight"].max() <= 2.0


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("lr", [0.05, 0.1])
def test_everything_can_be_trained(lr, dtype):
    """wrt="*" with large steps: no parameter leaves the domain, no step is refused."""
    net, data = problem(dtype=dtype)
    start = {k: float(np.min(v)) for k, v in net.parameters.items()}
    options = {**OPTIONS, "wrt": "*", "optimiser": Adam(lr=lr), "epochs": 10}
    history = fit(net, data, remedies=[snnfp.remedies.WeightBump(amount=0.1)], **options)
    assert len(history) == 10
    p = net.parameters
    for name in ("hidden", "output"):
        assert (
            p[f"{name}.threshold"] - p[f"{name}.v_reset"] >= 0.99e-2 and p[f"{name}.threshold"] > 0
        )
        assert p[f"{name}.t_refractory"] >= 0
        for kind in ("tau_mem", "tau_syn", "capacitance"):
            assert p[f"{name}.{kind}"] >= 0.99e-3 * start[f"{name}.{kind}"]


def one_neuron(**neuron):
    net = snnfp.Network()
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, **neuron), name="h")
    net.connect(net.input(1, name="x"), h, snnfp.Dense(weight=3.0), name="w")
    return net, Spikes.from_lists([[[0.1]]])


class Down:
    """Moves everything down by so much, whatever the gradient."""

    lr = 1.0

    def __init__(self, by):
        self.by = by

    def init(self, parameters):
        return {}

    def update(self, parameters, gradients, state, *, factor=1.0):
        return {k: v - self.by for k, v in parameters.items()}, state


def moved(net, spikes, by, wrt, epochs=1, **options):
    loss = SpikeTimeSquaredError(horizon=5.0)
    fit(
        net, (spikes, np.array([[1.0]])), loss=loss, optimiser=Down(by), epochs=epochs, until=5.0,
        wrt=wrt, progress=False, **options,
    )  # fmt: skip
    return {k.rpartition(".")[2]: float(np.squeeze(net.parameters[k])) for k in net.select(wrt)}


@pytest.mark.parametrize("order", [["h.threshold", "h.v_reset"], ["h.v_reset", "h.threshold"]])
def test_threshold_and_v_reset_move_together(order):
    """From (1, 0.9) to (0.8, 0.7): legal before and after, whatever is set first."""
    net, spikes = one_neuron(v_reset=0.9)
    assert moved(net, spikes, 0.2, ["w.weight", *order]) == {
        "weight": 2.8, "threshold": pytest.approx(0.8), "v_reset": pytest.approx(0.7),
    }  # fmt: skip
    net, spikes = one_neuron(v_reset=0.9)
    assert moved(net, spikes, -0.2, order) == {
        "threshold": pytest.approx(1.2), "v_reset": pytest.approx(1.1),
    }  # fmt: skip


def test_a_threshold_stays_above_v_reset_and_0():
    net, spikes = one_neuron(v_reset=0.9)  # a span of 0.1
    assert moved(net, spikes, 0.5, ["h.threshold"])["threshold"] == pytest.approx(0.9 + 0.001)
    net, spikes = one_neuron()
    assert moved(net, spikes, 0.3, ["h.threshold"], epochs=9)["threshold"] == pytest.approx(0.01)
    net, spikes = one_neuron(v_reset=-3.0)  # V starts at 0: below it there is no simulation
    assert moved(net, spikes, 0.3, ["h.threshold"], epochs=9)["threshold"] == pytest.approx(0.01)


def test_a_v_reset_stays_below_the_threshold():
    net, spikes = one_neuron()
    assert moved(net, spikes, -0.7, ["h.v_reset"], epochs=3)["v_reset"] == pytest.approx(0.99)
    net, spikes = one_neuron()
    got = moved(
        net,
        spikes,
        -0.7,
        ["h.v_reset", "h.threshold"],
        epochs=2,
        bounds={"h.threshold": (None, 1.2)},
    )
    assert got == {"threshold": pytest.approx(1.2), "v_reset": pytest.approx(1.19)}
    net, spikes = one_neuron()
    got = moved(
        net, spikes, 0.9, ["h.v_reset", "h.threshold"], epochs=2, bounds={"h.v_reset": (-0.2, None)},
    )  # fmt: skip
    assert got == {"threshold": pytest.approx(0.01), "v_reset": pytest.approx(-0.2)}


def test_where_v_reset_may_go_no_lower_the_threshold_stays_up():
    net, spikes = one_neuron(v_reset=0.9)
    got = moved(
        net, spikes, 0.6, ["h.v_reset", "h.threshold"], bounds={"h.v_reset": (0.5, None)},
    )  # fmt: skip
    assert got == {"threshold": pytest.approx(0.501), "v_reset": 0.5}


def test_a_long_training_of_a_threshold_ends_well():
    net, spikes = one_neuron()
    history = fit(
        net, (spikes, np.array([[0.15]])), loss=SpikeTimeSquaredError(horizon=5.0),
        optimiser=Adam(lr=0.02), epochs=200, until=5.0, wrt="h.threshold", progress=False,
    )  # fmt: skip
    assert history.last("loss") < 1e-4


def test_the_domain_has_no_unit():
    """Seconds or microseconds, volts or nanovolts: the same fraction of what it was at the start."""
    for scale in (1e-9, 1.0, 1e6):
        net = snnfp.Network()
        neuron = snnfp.LIF(tau_mem=2.0 * scale, tau_syn=scale, threshold=scale, capacitance=scale)
        h = net.population(2, neuron, name="h")
        net.connect(net.input(1), h, snnfp.Dense(weight=3.0 * scale), name="w")
        names = ("h.tau_mem", "h.tau_syn", "h.threshold", "h.capacitance")
        domain = domain_of(net, names, {})
        far = {n: net.parameters[n] - 10 * scale for n in names}
        got = {n: float(np.min(v)) / scale for n, v in domain.put_back(net, far).items()}
        assert got == pytest.approx(
            {"h.tau_mem": 2e-3, "h.tau_syn": 1e-3, "h.threshold": 1e-2, "h.capacitance": 1e-3}
        )
        near = {n: net.parameters[n] * 0.9 for n in names}
        assert all(np.array_equal(v, near[n]) for n, v in domain.put_back(net, near).items())


def test_bounds_replace_the_floor_of_a_time_constant_but_not_the_domain():
    net, spikes = one_neuron()
    assert (
        moved(net, spikes, 9.0, ["h.tau_mem"], bounds={"h.tau_mem": (1e-5, None)})["tau_mem"]
        == 1e-5
    )
    net, spikes = one_neuron()
    assert moved(net, spikes, 9.0, ["h.tau_mem"], bounds={"*": (-50.0, 50.0)})["tau_mem"] == 2e-3
    net, spikes = one_neuron()
    assert moved(net, spikes, 9.0, ["w.delay"], bounds={"*": (-50.0, 50.0)})["delay"] == 0.0


def test_bounds_may_be_arrays():
    net, data = problem()
    start = net.parameters["input_to_hidden.weight"]
    rng = np.random.default_rng(0)
    held = rng.random(start.shape) < 0.5
    bounds = {
        "input_to_hidden.weight": (np.where(held, start, -np.inf), np.where(held, start, np.inf))
    }
    fit(net, data, optimiser=Adam(lr=0.05), epochs=2, bounds=bounds, **OPTIONS)
    end = net.parameters["input_to_hidden.weight"]
    assert np.array_equal(end[held], start[held]) and np.mean(end[~held] != start[~held]) > 0.9


def test_bounds_that_leave_no_room_for_a_threshold():
    net, spikes = one_neuron()
    with pytest.raises(
        ValueError, match=r"no room between h.v_reset \(at least 1\) and h.threshold \(at most 1\)"
    ):
        moved(net, spikes, -0.1, ["h.v_reset"], bounds={"h.v_reset": (1.0, None)})
    with pytest.raises(ValueError, match=r"expected threshold - v_reset >= 0.01"):
        moved(
            net, spikes, 0.1, ["h.threshold", "h.v_reset"],
            bounds={"h.threshold": (None, 0.5), "h.v_reset": (0.495, None)},
        )  # fmt: skip


def test_a_threshold_just_above_a_v_reset_that_cannot_move_is_raised_to_the_margin():
    """Not only one that fell below it."""
    net = snnfp.Network()
    net.input(1, name="x")
    net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, threshold=2.5, v_reset=0.5), name="h")
    domain = domain_of(net, ("h.threshold", "h.v_reset"), {"*.v_reset": (0.5, None)})
    given = {"h.threshold": np.array([0.505, 0.2, 1.5]), "h.v_reset": np.full(3, 0.5)}
    inside = domain.put_back(net, given)
    np.testing.assert_allclose(inside["h.threshold"], [0.52, 0.52, 1.5], rtol=1e-12)
    np.testing.assert_array_equal(inside["h.v_reset"], given["h.v_reset"])
