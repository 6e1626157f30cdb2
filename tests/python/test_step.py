"""What fit does with a gradient: frozen elements, averages, accumulation, warm-up."""

import math

import numpy as np
import pytest
import snnfp
from snnfp import SGD, Adam, EarlyStopping, Group, fit, schedules
from snnfp.remedies import LabelBump, WeightBump
from test_training import LOSS, OPTIONS, problem

W1, W2 = "input_to_hidden.weight", "hidden_to_output.weight"
BUMPS = [WeightBump(amount=0.01), LabelBump(amount=0.1)]


def recorded(net, data, **options):
    """The parameters after each step, by a plain loss that looks at the network."""
    seen = []

    def loss(record, labels):
        seen.append({n: net.parameters[n] for n in (W1, W2)})
        return LOSS(record, labels)

    history = fit(net, data, **{**OPTIONS, **options, "loss": loss})
    return seen[1:], history


# -- frozen elements -------------------------------------------------------------------------------


def masks(net, share=0.4, seed=1):
    rng = np.random.default_rng(seed)
    return {n: rng.random(net.parameters[n].shape) < share for n in (W1, W2)}


def push(net, record, labels, gradients):
    """A remedy that asks for larger weights everywhere."""
    return {k: g - 0.01 for k, g in gradients.items()}, 1


OPTIMISERS = [
    SGD(lr=0.05),
    SGD(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    Adam(lr=0.02, weight_decay=0.5),
]


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentOutputWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda o: type(o).__name__)
def test_frozen_elements_stay_whatever_comes(optimiser, dtype):
    """Gradient, remedies, decay, bounds that they break and an average leave them alone."""
    net, data = problem(weight=0.9, dtype=dtype)
    limits = {W1: (-0.5, 2.0), W2: (0.6, 1.0)}
    frozen, before = masks(net), dict(net.parameters)
    history = fit(
        net, data, optimiser=optimiser, epochs=2, remedies=[*BUMPS, push], frozen=frozen, average=0.9,
        bounds=limits, clip_norm=0.5, **OPTIONS,
    )  # fmt: skip
    assert history["remedied"][0] > 0
    for name, mask in frozen.items():
        after = net.parameters[name]
        assert np.array_equal(after[mask], before[name][mask])
        low, high = (dtype(x) for x in limits[name])
        assert np.any((after[mask] < low) | (after[mask] > high))
        assert np.mean(after[~mask] != before[name][~mask]) > 0.9
        assert after[~mask].min() >= low and after[~mask].max() <= high


def test_frozen_elements_do_not_count_in_the_norm():
    net, data = problem()
    frozen = masks(net)
    order = np.random.default_rng([0, 0]).permutation(60)
    _, gradient = snnfp.value_and_grad(
        net, data[0].take(order), data[1][order], LOSS, until=4.0, n_threads=1
    )
    expected = math.sqrt(sum(np.sum(g[~frozen[n]] ** 2) for n, g in gradient.items()))
    before = dict(net.parameters)
    options = {**OPTIONS, "batch_size": 60}
    history = fit(
        net, data, optimiser=SGD(lr=1.0), epochs=1, frozen=frozen, clip_norm=expected / 2, **options
    )
    assert history["norm"] == [pytest.approx(expected, rel=1e-12)] and history["clipped"] == [1]
    for n, g in gradient.items():
        np.testing.assert_allclose(
            net.parameters[n], before[n] - np.where(frozen[n], 0, g / 2), rtol=1e-12
        )


def test_frozen_by_an_optimiser_of_ones_own():
    from test_parameter_groups import Mine

    net, data = problem()
    theirs, frozen = problem()[0], masks(net)
    fit(net, data, optimiser=Mine(), epochs=1, frozen=frozen, remedies=BUMPS, **OPTIONS)
    fit(theirs, data, optimiser=SGD(lr=0.1), epochs=1, frozen=frozen, remedies=BUMPS, **OPTIONS)
    for name in frozen:
        np.testing.assert_allclose(net.parameters[name], theirs.parameters[name], rtol=1e-13)


def test_frozen_thresholds_leave_the_distance_to_the_others():
    """Of two neurons one threshold and the other's v_reset are frozen, while they meet."""
    net = snnfp.Network()
    h = net.population(
        2,
        snnfp.LIF(tau_mem=2.0, tau_syn=1.0, threshold=np.ones(2), v_reset=np.array([0.0, 0.5])),
        name="h",
    )
    net.connect(net.input(1, name="x"), h, snnfp.Dense(weight=3.0), name="w")

    class Meet:
        lr = 1.0

        def init(self, parameters):
            return {}

        def update(self, parameters, gradients, state, *, factor=1.0):
            by = {"h.threshold": -0.7, "h.v_reset": 0.7}
            return {k: p + by[k] for k, p in parameters.items()}, state

    spikes = snnfp.Spikes.from_lists([[[0.1]]])
    fit(
        net, (spikes, np.array([[1.0, 1.0]])), optimiser=Meet(), epochs=2, until=5.0, progress=False,
        loss=snnfp.losses.SpikeTimeSquaredError(horizon=5.0), wrt=["h.threshold", "h.v_reset"],
        frozen={"h.threshold": np.array([True, False]), "h.v_reset": np.array([False, True])},
    )  # fmt: skip
    assert net.parameters["h.threshold"].tolist() == pytest.approx([1.0, 0.505])
    assert net.parameters["h.v_reset"].tolist() == pytest.approx([0.995, 0.5])


def test_what_any_pattern_freezes_is_frozen():
    net, data = problem()
    before, first = net.parameters[W1], np.zeros((5, 15), bool)
    second = first.copy()
    first[0], second[1] = True, True
    fit(net, data, optimiser=SGD(lr=0.1), epochs=1, frozen={W1: first, "input*": second}, **OPTIONS)
    still = net.parameters[W1] == before
    assert still[:2].all() and not still[2:].all()


@pytest.mark.parametrize(
    "frozen, error, message",
    [
        ([], TypeError, r"frozen is \[\], expected a mapping"),
        ({W1: np.zeros((5, 15))}, TypeError, f"frozen: '{W1}' has dtype float64, expected bool"),
        ({W1: True}, ValueError, rf"shape \(\), expected \(5, 15\) as {W1} \(what is wholly"),
        ({"*.weight": np.ones((5, 15), bool)}, ValueError, rf"expected \(15, 3\) as {W2}"),
        ({"*.delay": np.ones(1, bool)}, KeyError, "matches input_to_hidden.delay.*not trained"),
        ({1: np.ones(1, bool)}, TypeError, "frozen: 1 is no text"),
    ],
)
def test_frozen_that_does_not_fit(frozen, error, message):
    net, data = problem()
    with pytest.raises(error, match=message):
        fit(net, data, optimiser=Adam(), epochs=1, frozen=frozen, **OPTIONS)


# -- averages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("average", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_average_by_its_definition(average, dtype):
    """The mean at first; never of the parameters before the first step."""
    plain, data = problem(dtype=dtype)
    steps, _ = recorded(plain, data, optimiser=Adam(lr=0.03), epochs=3)
    steps.append({n: plain.parameters[n] for n in (W1, W2)})
    assert len(steps) == 9
    net, _ = problem(dtype=dtype)
    fit(net, data, optimiser=Adam(lr=0.03), epochs=3, average=average, **OPTIONS)
    for name in (W1, W2):
        expected = np.zeros_like(plain.parameters[name], dtype=np.float64)
        for n, values in enumerate(steps, 1):
            keep = min(average, 1 - 1 / n)
            expected = keep * expected + (1 - keep) * values[name]
        np.testing.assert_allclose(net.parameters[name], expected, rtol=100 * np.finfo(dtype).eps)


def test_an_average_changes_nothing_of_the_training_itself():
    plain, data = problem()
    steps, history = recorded(plain, data, optimiser=Adam(lr=0.03), epochs=3)
    net, _ = problem()
    averaged, with_average = recorded(net, data, optimiser=Adam(lr=0.03), epochs=3, average=0.9)
    assert len(steps) == len(averaged) == 8
    for a, b in zip(steps, averaged, strict=True):
        assert all(np.array_equal(a[n], b[n]) for n in a)
    assert history["loss"] == with_average["loss"]
    assert not np.array_equal(plain.parameters[W1], net.parameters[W1])


def test_between_epochs_the_network_has_the_average():
    net, data = problem()
    shown = []
    history = fit(
        net, data, optimiser=Adam(lr=0.03), epochs=4, average=0.8, validation=data,
        callbacks=[lambda h, n: shown.append({k: n.parameters[k] for k in (W1, W2)}) or None],
        early_stopping=EarlyStopping(metric="validation_loss"), **OPTIONS,
    )  # fmt: skip
    other, _ = problem()
    for parameters, loss in zip(shown, history["validation_loss"], strict=True):
        for name, value in parameters.items():
            other.parameters[name] = value
        assert snnfp.evaluate(other, *data, LOSS, until=4.0).loss == loss
    best = int(np.argmin(history["validation_loss"]))
    assert all(np.array_equal(net.parameters[n], shown[best][n]) for n in (W1, W2))


def test_what_ends_the_training_leaves_the_average():
    class Stop(Exception):
        pass

    net, data = problem()
    calls = []

    def loss(record, labels):
        calls.append(1)
        if len(calls) == 6:
            raise Stop
        return LOSS(record, labels)

    with pytest.raises(Stop):
        fit(net, data, optimiser=Adam(lr=0.03), epochs=4, average=0.8, **{**OPTIONS, "loss": loss})
    plain, _ = problem()
    steps, _ = recorded(plain, data, optimiser=Adam(lr=0.03), epochs=2)
    expected = 0.0
    for n, values in enumerate(steps, 1):
        keep = min(0.8, 1 - 1 / n)
        expected = keep * expected + (1 - keep) * values[W1]
    np.testing.assert_allclose(net.parameters[W1], expected, rtol=1e-13)


def test_what_a_callback_changes_is_gone_on_from():
    net, data = problem()

    def zero(history, net):
        net.parameters[W1] = np.zeros((5, 15))

    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        fit(net, data, optimiser=Adam(), epochs=2, average=0.9, callbacks=[zero], **OPTIONS)
    assert not net.parameters[W1].any()


@pytest.mark.parametrize("average", [1.0, -0.1, "0.9", math.nan])
def test_an_average_that_cannot_be(average):
    net, data = problem()
    with pytest.raises((ValueError, TypeError), match=r"average is .*, expected"):
        fit(net, data, optimiser=Adam(), epochs=1, average=average, **OPTIONS)


# -- accumulation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", [SGD(lr=0.05), Adam(lr=0.02)], ids=repr)
def test_batches_of_a_step_are_those_of_a_larger_batch(optimiser):
    """56 samples: steps of 24, 24 and 8, in batches of 8 and in one of each."""
    (small, data), (large, _) = problem(n=56), problem(n=56)
    options = {**OPTIONS, "optimiser": optimiser, "epochs": 2, "clip_norm": 0.3}
    a = fit(small, data, **{**options, "batch_size": 8, "accumulate": 3})
    b = fit(large, data, **{**options, "batch_size": 24})
    for name in (W1, W2):
        np.testing.assert_allclose(small.parameters[name], large.parameters[name], rtol=1e-10)
    for key in ("loss", "norm", "clipped", "accuracy", "min_slope", "lr"):
        assert a[key] == pytest.approx(b[key], rel=1e-10), key


def test_a_smaller_last_batch_counts_by_its_samples():
    """22 samples in batches of 8: 8, 8 and 6 make one step."""
    net, data = problem(n=22)
    before = net.flatten()
    options = {**OPTIONS, "batch_size": 8, "accumulate": 5}
    fit(net, data, optimiser=SGD(lr=1.0), epochs=1, **options)
    whole, _ = problem(n=22)
    _, gradient = snnfp.value_and_grad(whole, *data, LOSS, until=4.0)
    moved = before - net.flatten()
    np.testing.assert_allclose(
        moved, np.concatenate([g.reshape(-1) for g in gradient.values()]), rtol=1e-10, atol=1e-13
    )


def test_an_error_in_a_batch_of_a_step_names_the_step_and_the_sample():
    net, (spikes, labels) = problem(n=56)
    seen = []

    def loss(record, labels):
        seen.append(len(labels))
        value, dt = LOSS(record, labels)
        return (math.nan if len(seen) == 5 else value), dt

    options = {**OPTIONS, "loss": loss, "batch_size": 8, "accumulate": 3}
    with pytest.raises(ValueError, match=r"epoch 1, step 2 of 3: the loss is nan"):
        fit(net, (spikes, labels), optimiser=Adam(), epochs=1, **options)
    with pytest.raises(ValueError, match="accumulate is 0, expected at least 1"):
        fit(net, (spikes, labels), optimiser=Adam(), epochs=1, **{**options, "accumulate": 0})


# -- schedules -------------------------------------------------------------------------------------


def test_schedules_by_step_go_on_within_epochs():
    """The factor that an optimiser is given at each step."""
    for schedule in (
        schedules.Cosine(3, final=0.1, by_step=True),
        schedules.Linear(2, final=0.5, by_step=True),
        schedules.ExponentialDecay(0.5, by_step=True),
        schedules.Warmup(4, schedules.Cosine(3, by_step=True)),
        schedules.Warmup(4, schedules.Cosine(3)),
        schedules.Warmup(5),
    ):

        class Watch:
            lr = 1.0

            def init(self, parameters):
                self.factors = []
                return {}

            def update(self, parameters, gradients, state, *, factor=1.0):
                self.factors.append(factor)
                return parameters, state

        net, data = problem()
        watch = Watch()
        history = fit(net, data, optimiser=watch, epochs=3, schedule=schedule, **OPTIONS)
        expected = []
        for step in range(9):
            epoch = step / 3 if getattr(schedule, "by_step", False) else step // 3
            expected.append(schedule(step, epoch))
        assert watch.factors == pytest.approx(expected, rel=1e-15), schedule
        assert history["lr"] == watch.factors[2::3]


def test_warm_up_and_linear():
    assert [schedules.Warmup(4)(k, 0) for k in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    warm = schedules.Warmup(2, schedules.Linear(4, final=0.2))
    assert [warm(k, k / 2) for k in range(4)] == pytest.approx([0.5, 0.9, 0.8, 0.7])
    assert schedules.Linear(4)(0, 9) == 0
    assert schedules.Cosine(4, by_step=True)(0, 0.5) == pytest.approx(
        0.5 * (1 + math.cos(math.pi / 8))
    )


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: schedules.Warmup(0), ValueError, "steps is 0, expected at least 1"),
        (lambda: schedules.Warmup(3, 0.5), TypeError, "then is 0.5, expected one of"),
        (lambda: schedules.Cosine(3, by_step=1), TypeError, "by_step is 1, expected True or False"),
        (lambda: schedules.Linear(0), ValueError, "epochs is 0"),
    ],
)
def test_schedules_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_groups_and_averages_together_have_the_bits_of_any_number_of_threads():
    results = []
    for n_threads in (1, 2, None):
        net, data = problem()
        fit(
            net, data, optimiser=Adam(lr=0.03), epochs=2, average=0.9, accumulate=2,
            groups={W1: Group(lr=0.1, clip_norm=0.1)}, **{**OPTIONS, "n_threads": n_threads},
        )  # fmt: skip
        results.append(net.flatten().tobytes())
    assert len(set(results)) == 1
