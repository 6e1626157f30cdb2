"""Forward mode, reverse mode and differences of one record."""

import os

import numpy as np
import pytest
import snnfp
from networks import distance, quiet, random_network

N_NETWORKS = int(os.environ.get("SNNFP_RANDOM_NETWORKS", "200"))


def test_forward_equals_reverse():
    """Many random networks: recurrent, with delays and refractory times, several spikes a neuron."""
    worst = 0.0
    several = 0
    for seed in range(N_NETWORKS):
        rng = np.random.default_rng(seed)
        net, spikes = random_network(rng, hidden=int(rng.integers(2, 8)), recurrent=seed % 4 != 0)
        record = quiet(net, spikes, until=8.0)
        several += bool(np.max(record.counts("hidden")) > 1)
        u = rng.normal(size=record.n_spikes)
        reverse = record.vjp(u, wrt="*")
        forward = record.vjp(u, wrt="*", mode="forward")
        worst = max(worst, distance(forward, reverse))
    assert several > N_NETWORKS // 2
    assert worst <= 1e-12


def test_adjoint_identity():
    """<J v, u> = <v, J' u>."""
    for seed in range(50):
        rng = np.random.default_rng(1000 + seed)
        net, spikes = random_network(rng)
        record = quiet(net, spikes, until=8.0)
        u = rng.normal(size=record.n_spikes)
        gradient = record.vjp(u, wrt="*")
        v = {k: rng.normal(size=g.shape) for k, g in gradient.items()}
        along = record.jvp(v)
        left = float(u @ along)
        right = sum(float(np.sum(v[k] * gradient[k])) for k in v)
        scale = float(np.abs(u) @ np.abs(along)) + 1e-300
        assert abs(left - right) <= 1e-12 * scale


def test_jacobian_holds_jvp_and_vjp():
    rng = np.random.default_rng(5)
    net, spikes = random_network(rng, samples=3)
    record = quiet(net, spikes, until=8.0)
    jacobian = record.jacobian(of=np.arange(record.n_spikes), wrt="*")
    v = {k: rng.normal(size=j.shape[1:]) for k, j in jacobian.items()}
    along = sum(j.reshape(record.n_spikes, -1) @ v[k].reshape(-1) for k, j in jacobian.items())
    np.testing.assert_allclose(record.jvp(v), along, rtol=1e-11, atol=1e-13)
    u = rng.normal(size=record.n_spikes)
    gradient = record.vjp(u, wrt="*")
    for k, j in jacobian.items():
        np.testing.assert_allclose(np.tensordot(u, j, axes=1), gradient[k], rtol=1e-10, atol=1e-12)


def test_jacobian_of_chosen_spikes():
    net, spikes = random_network(np.random.default_rng(6), samples=3)
    record = quiet(net, spikes, until=8.0)
    every = record.jacobian(of=np.arange(record.n_spikes), wrt="*.weight")
    of_output = record.jacobian(of="output", wrt="*.weight")
    first = record.first_indices("output")
    of_first = record.jacobian(of=first, wrt="*.weight")
    for k, full in every.items():
        # Which rows are asked for decides which are summed together, and so their last bits.
        scale = 1e-13 * np.max(np.abs(full))
        np.testing.assert_allclose(of_output[k], full[record.indices("output")], rtol=0, atol=scale)
        assert of_first[k].shape == first.shape + full.shape[1:]
        np.testing.assert_allclose(
            of_first[k][first >= 0], full[first[first >= 0]], rtol=0, atol=scale
        )
        assert not np.any(of_first[k][first < 0])


def test_jacobian_of_a_spike_whose_cause_waited_in_a_refractory_time():
    net = snnfp.Network()
    x = net.input(2)
    once = snnfp.LIF(tau_mem=1.0, tau_syn=1.0, t_refractory=np.inf)
    a = net.population(1, once, name="a")
    b = net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0, t_refractory=1.0), name="b")
    net.connect(x, a, snnfp.Dense(weight=[[4.0], [0.0]]), name="to_a")
    net.connect(x, b, snnfp.Dense(weight=[[0.0], [6.0]]), name="to_b")
    net.connect(a, b, snnfp.Dense(weight=3.0, delay=0.3), name="ab")
    record = snnfp.simulate(net, snnfp.Spikes([0.0, 0.1], [1, 0], [0, 2], size=2))
    (first, second), (sent,) = record.indices("b")[:2], record.indices("a")
    assert record.times[first] < record.times[sent] < record.times[first] + 1.0 - 0.3
    alone = record.jacobian(of=[second], wrt="*")
    u = np.zeros(record.n_spikes)
    u[second] = 1.0
    assert distance({k: j[0] for k, j in alone.items()}, record.vjp(u, wrt="*")) <= 1e-12
    assert alone["to_a.weight"][0, 0, 0] != 0.0


def test_jacobian_blocks_are_the_jacobian():
    net, spikes = random_network(np.random.default_rng(7))
    record = quiet(net, spikes, until=8.0)
    whole = record.jacobian(of="output", wrt="*")
    rebuilt = {k: np.full((v.shape[0], v[0].size), np.nan) for k, v in whole.items()}
    for name, elements, block in record.jacobian_blocks(of="output", wrt="*", columns=5):
        assert block.shape[-1] <= 5
        rebuilt[name][:, elements] = block
    for k, v in whole.items():
        assert np.array_equal(rebuilt[k].reshape(v.shape), v)


def test_blocks_keep_their_content_while_somebody_holds_them():
    rng = np.random.default_rng(12)
    net, spikes = random_network(rng, hidden=30, samples=3)
    record = quiet(net, spikes, until=8.0)
    whole = record.jacobian(of="output", wrt="*")
    every = [
        (name, elements, block[:, ::2], block.copy())
        for name, elements, block in record.jacobian_blocks(of="output", wrt="*", columns=70)
    ]
    assert len(every) > len(whole)
    for name, elements, held, copied in every:
        expected = whole[name].reshape(len(whole[name]), -1)[:, elements]
        assert np.array_equal(held, expected[:, ::2])
        assert np.array_equal(copied, expected)
    # Nothing held: blocks share memory.
    places = {
        block.__array_interface__["data"][0]
        for _, _, block in record.jacobian_blocks(of="output", wrt="*.weight", columns=7)
    }
    assert len(places) <= 3


def test_jacobian_into_given_memory():
    net, spikes = random_network(np.random.default_rng(13), samples=3)
    record = quiet(net, spikes, until=8.0)
    first = record.first_indices("hidden").copy()
    first[1, 2] = -1
    fresh = record.jacobian(of=first, wrt="*")
    out = np.full((first.size, sum(v[0, 0].size for v in fresh.values())), np.nan)
    given = record.jacobian(of=first, wrt="*", out=out)
    for name, value in fresh.items():
        assert np.array_equal(given[name], value)
        assert not np.any(value[1, 2])
    assert np.shares_memory(given["hidden.bias"], out)
    assert np.all(np.isfinite(out))


def test_jacobian_that_does_not_fit_says_so_first():
    net = snnfp.Network()
    x = net.input(3000)
    h = net.population(3000, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=2.0), name="hidden")
    net.connect(x, h, snnfp.Dense(weight=np.zeros((3000, 3000))))
    record = snnfp.simulate(net, snnfp.Spikes([], [], [0, 0], size=3000), until=30.0)
    assert record.n_spikes > 30_000
    with pytest.raises(MemoryError, match=r"need .* GiB.*jacobian_blocks"):
        record.jacobian(of="hidden", wrt="*.weight")


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_any_subset_of_parameters(mode):
    net, spikes = random_network(np.random.default_rng(8))
    record = quiet(net, spikes, until=8.0)
    u = np.cos(np.arange(record.n_spikes))
    every = record.vjp(u, wrt="*", mode=mode)
    assert set(every) == {*net.parameters, "input.times"}
    for name, value in every.items():
        alone = record.vjp(u, wrt=name, mode=mode)
        assert list(alone) == [name]
        assert np.array_equal(alone[name], value)
        shape = spikes.times.shape if name == "input.times" else net.parameters[name].shape
        assert value.shape == shape


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_against_differences():
    """Central differences on random networks; cases whose spike pattern changes are left out."""
    errors, checked, left_out = [], 0, 0
    loss = snnfp.losses.SpikeTimeFunction(
        function=lambda record, labels: (
            float(np.cos(np.arange(record.n_spikes)) @ record.times),
            np.cos(np.arange(record.n_spikes)),
        )
    )
    for seed in range(60):
        net, spikes = random_network(np.random.default_rng(2000 + seed), samples=1, until=6.0)
        result = snnfp.testing.check_gradient(
            net, spikes, None, loss, until=6.0, step=1e-6, tolerance=1e-4, max_elements=6, seed=seed
        )
        checked += result.checked
        left_out += result.left_out
        if result.checked:
            errors.append(result.max_error)
    assert checked > 2000
    assert left_out <= 0.05 * (checked + left_out)
    assert np.median(errors) <= 1e-7


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_check_gradient_finds_a_wrong_gradient():
    net, spikes = random_network(np.random.default_rng(9))

    def wrong(record, labels):
        u = np.ones(record.n_spikes)
        return float(np.sum(record.times)), 1.01 * u

    result = snnfp.testing.check_gradient(net, spikes, None, wrong, until=6.0)
    assert not result.ok
    assert result.worst is not None


@pytest.mark.parametrize("wrong", [0.0, 1.5])
def test_check_gradient_sees_small_derivatives_of_a_large_loss(wrong):
    net, spikes = random_network(np.random.default_rng(9))

    def loss(record, labels):
        small = 1e-5 * np.ones(record.n_spikes)
        return float(small @ record.times) + 10.0, wrong * small

    result = snnfp.testing.check_gradient(net, spikes, None, loss, until=6.0, wrt="*.weight")
    assert not result.ok and result.max_error > 0.3, result


def test_check_gradient_does_not_step_across_an_arrival():
    """An input just before a spike: moved by the step it comes after it, and changes nothing."""
    net = snnfp.Network()
    x = net.input(2, name="x")
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, t_refractory=np.inf), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[3.0], [0.5]]))
    alone = quiet(net, snnfp.Spikes([0.0], [0], [0, 1], size=2), until=6.0).times[0]
    spikes = snnfp.Spikes([0.0, alone - 2e-6], [0, 1], [0, 2], size=2)
    assert 1e-6 < quiet(net, spikes, until=6.0).times[0] - spikes.times[1] < 2e-6

    def when(record, labels):
        return float(np.sum(record.times)), np.ones(record.n_spikes)

    options = {"wrt": "x.times", "until": 6.0, "tolerance": 1e-4}
    result = snnfp.testing.check_gradient(net, spikes, None, when, **options)
    assert result.ok and result.checked == 2 and result.left_out == 0, result
    with pytest.raises(ValueError, match="step is 0, expected a number > 0"):
        snnfp.testing.check_gradient(net, spikes, None, when, step=0, **options)


def test_float_gradients_follow_double():
    for seed in range(20):
        net, spikes = random_network(np.random.default_rng(seed), recurrent=False)
        single, _ = random_network(np.random.default_rng(seed), recurrent=False, dtype=np.float32)
        a, b = quiet(net, spikes, until=6.0), quiet(single, spikes, until=6.0)
        if a.min_slope < 0.05 or not np.array_equal(a.neurons, b.neurons):
            continue
        u = np.cos(np.arange(a.n_spikes))
        assert distance(b.vjp(u, wrt="*"), a.vjp(u, wrt="*")) <= 2e-2


def test_gradient_of_one_neuron_by_hand():
    """tau_mem = inf, step current: V = w (t - s) / C, so f = s + C theta / w."""
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(
        1, snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf, threshold=1.5, capacitance=2.0), name="h"
    )
    net.connect(x, h, snnfp.Dense(weight=[[4.0]], delay=0.25))
    record = snnfp.simulate(net, snnfp.Spikes([1.0], [0], [0, 1], size=1), until=2.25)
    assert record.times.tolist() == [2.0]
    gradient = record.vjp([1.0], wrt="*")
    expected = {
        "h.threshold": 2.0 / 4.0,
        "h.capacitance": 1.5 / 4.0,
        "h.v_reset": 0.0,
        "h.bias": -0.75 * 0.75 / 1.5 / 1.0 * 1.0 / (4.0 / 2.0) * 2.0,
        "h.t_refractory": 0.0,
        "input_to_h.weight": -2.0 * 1.5 / 16.0,
        "input_to_h.delay": 1.0,
        "input.times": 1.0,
    }
    expected["h.bias"] = -(2.0 / 2.0) / (4.0 / 2.0)  # dV/db = t / C at t = 2, V' = w / C
    for name, value in expected.items():
        assert gradient[name].reshape(-1)[0] == pytest.approx(value, rel=1e-14, abs=1e-15), name


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e-6, 1e-7])
def test_check_gradient_in_any_unit_of_time(unit):
    """A wrong gradient is told from a right one however small times and loss are in their unit."""
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(3)
    lif = snnfp.LIF(tau_mem=2 * unit, tau_syn=unit, t_refractory=0.1 * unit)
    h = net.population(5, lif, name="h")
    delay = rng.uniform(0.1, 1, (1, 5)) * unit
    net.connect(x, h, snnfp.Dense(weight=rng.normal(1.5, 0.5, (3, 5)) / unit, delay=delay))
    spikes = snnfp.Spikes.from_latencies(rng.random((2, 3)) * unit)

    def check(factor):
        def loss(record, labels):
            return 0.5 * float(record.times @ record.times), factor * record.times

        return snnfp.testing.check_gradient(net, spikes, None, loss, until=5 * unit)

    right = check(1.0)
    assert right.ok and right.checked >= 25, right
    wrong = check(-3.0)
    assert not wrong.ok, wrong
    # What the rounding of the loss may hide is not counted as compared.
    assert wrong.checked == 0 or wrong.max_error > 1


def test_check_gradient_leaves_out_what_rounding_hides():
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=4.0))
    spikes = snnfp.Spikes.from_latencies([[0.3]])

    def check(loss):
        return snnfp.testing.check_gradient(net, spikes, None, loss, until=1.0, wrt="*.weight")

    def loss(record, labels):
        return 1e-10 * float(record.times[0]), -1e-10 * np.ones(record.n_spikes)

    hidden = check(loss)  # the sign is wrong, but a loss of size 1 would be off by as much
    assert (hidden.checked, hidden.left_out, hidden.ok) == (0, 1, False)
    # Beside a loss of size 1 both are 0.
    small = check(lambda r, _: (1.0 + 1e-12 * float(r.times[0]), 1e-12 * np.ones(r.n_spikes)))
    assert (small.checked, small.left_out, small.max_error) == (1, 0, 0.0)
    for bad in ({"tolerance": -1.0}, {"tolerance": np.nan}, {"max_elements": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} is"):
            snnfp.testing.check_gradient(net, spikes, None, loss, until=1.0, **bad)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_check_gradient_refuses_what_is_not_finite(monkeypatch, wrong):
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(2)
    h = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=rng.uniform(2, 3, (2, 3))))
    spikes = snnfp.Spikes.from_latencies([[0.3, 0.5]])

    def loss(record, labels):
        return float(record.times.sum()), np.ones(record.n_spikes)

    def check():
        return snnfp.testing.check_gradient(net, spikes, None, loss, until=3.0)

    assert check().ok
    vjp = snnfp.Record.vjp

    def broken(self, *args, **options):
        gradients = vjp(self, *args, **options)
        gradients["h.tau_syn"] = np.full_like(gradients["h.tau_syn"], wrong)
        return gradients

    monkeypatch.setattr(snnfp.Record, "vjp", broken)
    found = check()
    assert not found.ok and found.max_error == np.inf and found.worst[0] == "h.tau_syn"


@pytest.mark.parametrize("wrt", ["h.t_refractory", "*.delay"])
def test_check_gradient_of_what_does_not_matter_at_the_edge_of_its_domain(wrt):
    """One spike each and a loss that shifts with all of them: the derivative is 0, one-sided."""
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, t_refractory=0.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[2.3, 2.7, 3.1]]))
    spikes = snnfp.Spikes.from_latencies([[0.3], [0.4]])
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.3, horizon=3.0)
    record = snnfp.simulate(net, spikes, until=1.2)
    assert record.counts("h").max() == 1
    found = snnfp.testing.check_gradient(net, spikes, [0, 2], loss, until=1.2, wrt=wrt)
    assert found.ok and found.left_out == 0, found
