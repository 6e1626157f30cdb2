"""Losses: against plain formulas and differences, silent outputs, users' own functions."""

import numpy as np
import pytest
import snnfp
from networks import quiet
from snnfp import Spikes
from snnfp.losses import (
    FirstSpikeCrossEntropy,
    FirstSpikeFunction,
    SpikeTimeFunction,
    SpikeTimeSquaredError,
)


class Given:
    """A record of chosen spikes: what a loss sees of a real one."""

    def __new__(cls, lists):
        spikes = Spikes.from_lists(lists)
        net = snnfp.Network()
        net.input(1)
        net.population(spikes.size, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=0.7), name="y")
        nothing = Spikes([], [], [0] * (len(spikes) + 1), size=1)
        return snnfp.record_from_spikes(net, nothing, {"y": spikes}, tolerance=np.inf)


def first(rows):
    return Given([[[] if np.isinf(t) else [t] for t in row] for row in rows])


def cross_entropy(t, labels, tau0, tau1, gamma, horizon):
    """Spec 10, sample by sample."""
    total = 0.0
    for row, label in zip(t, labels):
        row = [min(x, horizon) if np.isinf(x) else x for x in row]
        p = np.exp([-x / tau0 for x in row])
        total += -np.log(p[label] / sum(p)) + gamma * (np.exp(row[label] / tau1) - 1)
    return total / len(labels)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_cross_entropy(gamma):
    rng = np.random.default_rng(0)
    t = rng.uniform(0.5, 3.0, (6, 4))
    t[1, 2] = t[4, 0] = np.inf
    labels = np.array([0, 1, 2, 3, 0, 1])
    options = {"tau0": 0.4, "tau1": 1.7, "gamma": gamma, "horizon": 5.0}
    value, dt = FirstSpikeCrossEntropy(**options)(first(t), labels)
    assert value == pytest.approx(cross_entropy(t, labels, **options), rel=1e-13)
    (got,) = dt.values()
    for at in np.ndindex(t.shape):
        if np.isinf(t[at]):
            assert got[at] == 0
            continue
        up, down = t.copy(), t.copy()
        up[at] += 1e-6
        down[at] -= 1e-6
        difference = (
            cross_entropy(up, labels, **options) - cross_entropy(down, labels, **options)
        ) / 2e-6
        assert got[at] == pytest.approx(difference, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 0.1])
def test_a_later_spike_of_the_label_costs_more(gamma):
    loss = FirstSpikeCrossEntropy(tau0=0.5, tau1=1.0, gamma=gamma, horizon=9.0)
    values = [loss(first([[t, 2.0]]), [0])[0] for t in (0.5, 1.0, 2.0, 4.0, np.inf)]
    assert values == sorted(values) and len(set(values)) == 5
    alone = [loss(first([[t]]), [0])[0] for t in (0.5, 1.0, 4.0)]
    assert alone == sorted(alone)
    assert (alone[-1] > alone[0]) == (gamma > 0)
    assert (
        loss(first([[1.0, 2.0]]), [0])[1]["y"][0, 0]
        > 0
        > loss(first([[1.0, 2.0]]), [0])[1]["y"][0, 1]
    )


def test_silent_outputs():
    loss = FirstSpikeCrossEntropy(tau0=0.5, tau1=2.0, gamma=0.1, horizon=4.0)
    value, dt = loss(first([[np.inf, np.inf, np.inf]]), [1])
    assert value == pytest.approx(np.log(3) + 0.1 * np.expm1(2.0), rel=1e-14)
    assert not dt["y"].any()
    assert loss.predict(first([[np.inf, np.inf], [np.inf, 1.0], [2.0, 2.0]])).tolist() == [-1, 1, 0]
    assert loss.accuracy(first([[np.inf, np.inf], [np.inf, 1.0]]), [0, 1]) == 0.5


def test_large_times_do_not_overflow():
    loss = FirstSpikeCrossEntropy(tau0=1e-3, horizon=1e4)
    value, dt = loss(first([[1.0, np.inf], [np.inf, 1.0]]), [0, 0])
    assert value == pytest.approx(9999.0 / 1e-3 / 2, rel=1e-12)
    assert np.isfinite(dt["y"]).all()


def test_first_spike_squared_error():
    target = np.array([[1.0, np.nan], [2.0, 3.0]])
    value, dt = SpikeTimeSquaredError(horizon=5.0)(first([[1.5, 9.0], [np.inf, 2.5]]), target)
    assert value == pytest.approx(0.5 * (0.5**2 + (5.0 - 2.0) ** 2 + 0.5**2) / 2)
    assert dt["y"].tolist() == [[0.25, 0.0], [0.0, -0.25]]


def test_squared_error_of_all_spikes():
    record = Given([[[1.0, 3.0], [2.0]], [[], [1.0]]])
    target = Spikes.from_lists([[[1.5], [2.5, 4.0]], [[2.0], [1.0]]])
    value, dt = SpikeTimeSquaredError(horizon=5.0)(record, target)
    # Matched: 1 - 1.5, 2 - 2.5, 1 - 1; missing: 4 and 2; one too many, at 3.
    assert value == pytest.approx(0.5 * (0.25 + 0.25 + 0 + 1 + 9 + 4) / 2)
    by_spike = dict(zip(zip(record.samples, record.neurons, record.times), dt))
    assert by_spike == {(0, 0, 1.0): -0.25, (0, 1, 2.0): -0.25, (0, 0, 3.0): -1.0, (1, 1, 1.0): 0.0}
    with pytest.raises(ValueError, match="targets are 1 samples of 2 neurons, expected 2 of 2"):
        SpikeTimeSquaredError(horizon=5.0)(record, target[0])


def test_bad_targets():
    loss = SpikeTimeSquaredError(horizon=5.0)
    with pytest.raises(ValueError, match=r"targets have shape \(2,\), expected \(1, 2\)"):
        loss(first([[1.0, 2.0]]), [1.0, 2.0])
    for bad in (np.inf, -np.inf, -0.1, 5.1):
        with pytest.raises(
            ValueError,
            match=rf"^targets\[0, 1\] is {bad}, expected 0 <= time <= horizon = 5.0, or NaN for any",
        ):
            loss(first([[1.0, 2.0]]), [[1.0, bad]])
    assert loss(first([[1.0, 2.0]]), [[0.0, 5.0]])[0] == pytest.approx(0.5 * (1 + 9))


def test_bad_targets_for_all_spikes():
    loss = SpikeTimeSquaredError(horizon=5.0)
    target = Spikes.from_lists([[[1.5], []], [[2.0], [1.0, 5.5]]])
    with pytest.raises(
        ValueError,
        match=r"^targets of sample 1, spike 2: time 5.5, expected at most horizon = 5.0",
    ):
        loss(Given([[[1.0, 3.0], [2.0]], [[], [1.0]]]), target)


def two_layers():
    net = snnfp.Network()
    x = net.input(2)
    h = net.population(4, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="hidden")
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="output")
    net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(3.0, 0.5)))
    net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(2.0, 0.5)))
    return net.initialise(2), Spikes([0.0, 0.5, 0.2, 0.3], [0, 1, 1, 0], [0, 2, 4], size=2)


TARGET = Spikes.from_lists([[[1.0, 2.0], [1.5]], [[1.0], [1.2, 2.4, 3.0]]])


@pytest.mark.parametrize(
    "loss, labels",
    [
        (FirstSpikeCrossEntropy(tau0=0.5, tau1=2.0, gamma=0.1, horizon=8.0), np.array([0, 1])),
        (FirstSpikeCrossEntropy(tau0=0.5, horizon=8.0, population="hidden"), np.array([3, 2])),
        (SpikeTimeSquaredError(horizon=8.0), np.array([[1.0, np.nan], [2.0, 1.0]])),
        (SpikeTimeSquaredError(horizon=8.0), TARGET),
        (FirstSpikeFunction(function=lambda t, _: (float(np.sum(np.sin(t))), np.cos(t))), None),
        (SpikeTimeFunction(function=lambda r, _: (float(np.sum(r.times**2)), 2 * r.times)), None),
        (lambda r, _: (float(np.sum(r.first_spikes("output"))), {"output": np.ones((2, 2))}), None),
    ],
)
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_gradients_of_losses(loss, labels, mode):
    net, spikes = two_layers()
    result = snnfp.testing.check_gradient(
        net, spikes, labels, loss, until=8.0, mode=mode, step=1e-6
    )
    assert result.ok and result.checked > 20, result


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda t, _: (np.nan, t), "returned the value nan, expected a finite number"),
        (lambda t, _: (1.0, t[0]), r"returned a derivative of shape \(2,\), expected \(2, 2\)"),
        (
            lambda t, _: (1.0, np.full_like(t, np.inf)),
            r"returned dL/dt\[0, 0\] = inf, expected a finite",
        ),
    ],
)
def test_what_users_functions_return(function, message):
    net, spikes = two_layers()
    loss = FirstSpikeFunction(function=function)
    with pytest.raises(ValueError, match=message):
        snnfp.value_and_grad(net, spikes, None, loss)
    with pytest.raises(ValueError, match="the loss is nan, expected a finite number"):
        snnfp.value_and_grad(net, spikes, None, lambda r, _: (np.nan, r.times))
    every = SpikeTimeFunction(function=lambda r, _: (1.0, r.times[1:]))
    with pytest.raises(ValueError, match=r"derivative of shape \(\d+,\), expected \(\d+,\)"):
        snnfp.value_and_grad(net, spikes, None, every)


def test_value_and_grad():
    net, spikes = two_layers()
    loss = FirstSpikeCrossEntropy(tau0=0.5, horizon=8.0)
    value, gradient, record = snnfp.value_and_grad(
        net, spikes, [0, 1], loss, wrt="*", until=8.0, return_record=True
    )
    again, dt = loss(quiet(net, spikes, until=8.0), [0, 1])
    assert value == again
    assert all(np.array_equal(gradient[k], v) for k, v in record.vjp(dt, wrt="*").items())


def layered(feedback=False):
    net = snnfp.Network()
    x = net.input(5, name="x")
    h = net.population(30, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    y = net.population(3, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    rng = np.random.default_rng(3)
    net.connect(x, h, snnfp.Dense(weight=rng.normal(1.5, 1.0, (5, 30))))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.4, 0.3, (30, 3))))
    if feedback:
        net.connect(y, h, snnfp.Dense(weight=rng.normal(-0.3, 0.2, (3, 30)), delay=0.5))
    return net


@pytest.mark.parametrize(
    "loss",
    [
        FirstSpikeCrossEntropy(tau0=0.5, horizon=6.0),
        FirstSpikeFunction(function=lambda t, labels: (np.minimum(t, 6).sum(), 1.0 * (t < 6))),
    ],
)
@pytest.mark.parametrize("feedback", [False, True])
def test_not_following_outputs_beyond_their_first_spikes(loss, feedback):
    net = layered(feedback)
    spikes = snnfp.Spikes.from_latencies(np.random.default_rng(4).uniform(0, 3, (8, 5)))
    labels = np.arange(8) % 3
    options = {"until": 6.0, "wrt": "*"}
    whole = snnfp.value_and_grad(net, spikes, labels, loss, return_record=True, **options)
    short = snnfp.value_and_grad(net, spikes, labels, loss, **options)
    assert whole[2].counts("y").max() > 1
    assert short[0] == whole[0]
    for name, gradient in whole[1].items():
        np.testing.assert_allclose(short[1][name], gradient, rtol=1e-11, atol=1e-13)
    record = snnfp.simulate(net, spikes, until=6.0, first_spikes_of=["y"])
    assert record.counts("y").max() == 1
    if not feedback:
        np.testing.assert_array_equal(record.first_spikes("y"), whole[2].first_spikes("y"))
        np.testing.assert_array_equal(record.counts("h"), whole[2].counts("h"))
    early = snnfp.simulate(net, spikes, until=6.0, stop_after=["y"])
    firsts = whole[2].first_spikes("y")
    np.testing.assert_array_equal(early.first_spikes("y"), firsts)
    np.testing.assert_array_equal(early.ends, np.minimum(firsts.max(axis=1), 6.0))
    assert (early.ends < 6.0).sum() > 2
    assert early.n_spikes < whole[2].n_spikes
    before = whole[2].times <= early.ends[whole[2].samples]
    np.testing.assert_array_equal(early.times, whole[2].times[before])


def test_a_loss_derived_from_one_of_first_spikes_sees_all_spikes():
    class Busy(FirstSpikeCrossEntropy):
        def __call__(self, record, labels):
            value, cotangents = super().__call__(record, labels)
            return value + record.counts("y").sum(), cotangents

    net = layered()
    spikes = Spikes.from_latencies(np.random.default_rng(4).uniform(0, 3, (8, 5)))
    loss = Busy(tau0=0.5, horizon=6.0)
    labels = np.arange(8) % 3
    value = snnfp.value_and_grad(net, spikes, labels, loss, until=6.0)[0]
    assert (
        value == snnfp.value_and_grad(net, spikes, labels, loss, until=6.0, return_record=True)[0]
    )


def test_first_spikes_of_names_what_is_wrong():
    net = layered()
    spikes = snnfp.Spikes.from_latencies(np.ones((1, 5)))
    with pytest.raises(TypeError, match="first_spikes_of is 'y', expected a list of populations"):
        snnfp.simulate(net, spikes, first_spikes_of="y")
    with pytest.raises(KeyError, match="'z' is not a population of the network"):
        snnfp.simulate(net, spikes, first_spikes_of=["z"])
    with pytest.raises(TypeError, match="stop_after is 'y', expected a list of populations"):
        snnfp.simulate(net, spikes, stop_after="y")


def test_a_sample_that_ends_early_is_not_probed_beyond():
    spikes = snnfp.Spikes.from_latencies(np.random.default_rng(4).uniform(0, 3, (2, 5)))
    record = snnfp.simulate(layered(), spikes, until=6.0, stop_after=["y"])
    assert record.ends.max() < 6.0
    record.probe("h", [0.5 * record.ends.min()])
    with pytest.raises(
        ValueError, match=r"probe time 0 is 6, expected a time <= .* \(stop_after\)"
    ):
        record.probe("h", [6.0])


def test_a_population_silent_up_to_the_end_of_the_samples_is_said_to_be_so():
    net = snnfp.Network()
    x = net.input(1)
    y = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    late = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="late")
    net.connect(x, y, snnfp.Dense(weight=[[5.0]]))
    net.connect(x, late, snnfp.Dense(weight=[[5.0]], delay=3.0))
    spikes = snnfp.Spikes.from_latencies([[0.5]])
    with pytest.warns(
        snnfp.errors.SilentPopulationWarning, match="late .* end once all of y have fired"
    ):
        snnfp.simulate(net, spikes, until=6.0, stop_after=["y"])


def test_a_spike_after_the_horizon_is_an_error():
    """Silence would count as earlier: the loss falls by losing the spike. The record says it."""
    late = first([[1.5, 2.0], [np.inf, 2.5]])
    message = (
        r"^sample 1: output 1 fires at 2.5, after horizon = 2.25 of the loss: silence would count "
        r"as earlier, expected a horizon after all spikes, or until <= horizon$"
    )
    entropy = FirstSpikeCrossEntropy(tau0=0.5, horizon=2.25)
    squared = SpikeTimeSquaredError(horizon=2.25)
    wanted = Spikes.from_lists([[[1.0], [1.0]], [[], [1.0]]])
    calls = (
        lambda: entropy(late, [0, 1]),
        lambda: entropy.probabilities(late),
        lambda: squared(late, [[1.0, np.nan], [np.nan, 2.0]]),
        lambda: squared(late, wanted),
    )
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    # What no target is for, plays no part; a spike at the horizon is none after it.
    assert squared(late, [[1.0, 2.0], [np.nan, np.nan]])[0] == (0.5**2 / 2) / 2
    assert np.isfinite(FirstSpikeCrossEntropy(tau0=0.5, horizon=2.5)(late, [0, 1])[0])
    # A second spike of a neuron is late as well, if all are looked at.
    twice = Given([[[1.0, 3.0]]])
    assert np.isfinite(entropy(twice, [0])[0]) and np.isfinite(squared(twice, [[1.0]])[0])
    with pytest.raises(ValueError, match=r"^sample 0: output 0 fires at 3, after horizon = 2.25"):
        squared(twice, Spikes.from_lists([[[1.0]]]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("k", range(1, 10))
def test_until_and_horizon_are_rounded_alike(dtype, k):
    """A bias drives the output up to the threshold at ``until``, which is also the horizon."""
    end = k / 10
    net = snnfp.Network(dtype=dtype)
    net.population(1, snnfp.LIF(tau_mem=np.inf, tau_syn=1.0, bias=1.0, threshold=end), name="y")
    record = snnfp.simulate(net, None, until=end)
    assert record.n_spikes == 1 and record.times[0] == dtype(end)
    for loss in (FirstSpikeCrossEntropy(tau0=0.5, horizon=end), SpikeTimeSquaredError(horizon=end)):
        labels = [0] if isinstance(loss, FirstSpikeCrossEntropy) else [[0.05]]
        assert np.isfinite(snnfp.value_and_grad(net, None, labels, loss, until=end, wrt="*")[0])
    assert np.isfinite(
        SpikeTimeSquaredError(horizon=end)(record, Spikes([], [], [0, 0], size=1))[0]
    )


def test_a_horizon_before_the_spikes_is_seen_without_until():
    net, spikes = snnfp.Network(), Spikes.from_latencies([[np.inf], [0.0], [0.0]])
    x = net.input(1)
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    net.connect(x, y, snnfp.Dense(weight=[[3.0, 2.9]]))
    loss = FirstSpikeCrossEntropy(tau0=0.1, horizon=0.1)
    message = r"sample 1: output 0 fires at 0.\d+, after horizon = 0.1 of the loss"
    with pytest.raises(ValueError, match="^" + message):
        snnfp.value_and_grad(net, spikes, [0, 1, 0], loss)
    with pytest.raises(ValueError, match="^evaluate: " + message):
        snnfp.evaluate(net, spikes, [0, 1, 0], loss, batch_size=1)
    with pytest.raises(ValueError, match="^predict: " + message):
        snnfp.predict(net, spikes, loss)
    with pytest.raises(ValueError, match=r"^epoch 1, step \d of 3: sample [12]: output 0 fires at"):
        snnfp.fit(
            net, (spikes, [0, 1, 0]), loss=loss, optimiser=snnfp.Adam(), epochs=1, batch_size=1,
            progress=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        ((1.0, np.ones(9)), ValueError, r"returned dL/dt: cotangents have shape \(9,\), expected"),
        ((np.ones(1), None), TypeError, r"returned the value array\(\[1.\]\), expected one number"),
        ((np.ones(2), None), TypeError, r"returned the value array\(\[1., 1.\]\), expected one"),
        (("a", None), TypeError, "returned the value 'a', expected one number"),
        ((1j, None), TypeError, "returned the value 1j, expected one number"),
    ],
)
def test_a_loss_of_ones_own_that_returns_something_else(returned, error, message):
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=4.0))
    spikes = snnfp.Spikes.from_latencies([[0.3]])
    with pytest.raises(error, match="the loss " + message):
        snnfp.value_and_grad(net, spikes, None, lambda record, labels: returned, until=3.0)


def test_early_spikes_term_out_of_range_names_tau1():
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=4.0))
    spikes = snnfp.Spikes.from_latencies([[0.3], [0.4]])
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.1, tau1=1e-4, gamma=1.0, horizon=3.0)
    with pytest.raises(ValueError, match=r"sample 0: exp\(t / tau1\) is out of range with t = 0.*"):
        snnfp.value_and_grad(net, spikes, [0, 0], loss, until=3.0)
