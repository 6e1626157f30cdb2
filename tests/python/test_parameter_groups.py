"""Groups of parameters: settings by pattern, each clipped by itself; what does not fit is said."""

import numpy as np
import pytest
import snnfp
from snnfp import SGD, Adam, Group, fit, schedules
from snnfp.gradients import value_and_grad
from test_training import LOSS, OPTIONS, problem

WRT = ("*.weight", "*.delay", "hidden.tau_mem")
WEIGHTS = ("input_to_hidden.weight", "hidden_to_output.weight")


def one_step(optimiser, dtype=np.float64, **options):
    """Parameters before and after the one step of an epoch, and its gradient."""
    net, data = problem(dtype=dtype)
    for name in ("input_to_hidden.delay", "hidden_to_output.delay"):
        net.parameters[name] = 0.5
    before = dict(net.parameters)
    order = np.random.default_rng([0, 0]).permutation(60)
    _, gradient = value_and_grad(
        net, data[0].take(order), data[1][order], LOSS, wrt=WRT, until=4.0, n_threads=1
    )
    given = {**OPTIONS, "batch_size": 60, "epochs": 1, "wrt": WRT, **options}
    history = fit(net, data, optimiser=optimiser, **given)
    return before, dict(net.parameters), gradient, history


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_learning_rates_of_groups(dtype):
    groups = {"*.delay": Group(lr=0.3), "hidden.tau_mem": Group(lr=0.02)}
    before, after, gradient, _ = one_step(SGD(lr=0.1), dtype, groups=groups)
    for name, g in gradient.items():
        lr = 0.3 if name.endswith("delay") else 0.02 if name.endswith("tau_mem") else 0.1
        np.testing.assert_array_equal(after[name], before[name] - dtype(lr) * g, name)
    assert len(gradient) == 5


def test_each_group_is_clipped_by_its_own_norm():
    groups = {"*.delay": Group(clip_norm=1e-3), "hidden.tau_mem": Group(clip_norm=np.inf)}
    before, after, gradient, history = one_step(SGD(lr=1.0), clip_norm=1e-2, groups=groups)

    def norm(names):
        return np.sqrt(sum(np.sum(gradient[n] ** 2) for n in names))

    delays = [n for n in gradient if n.endswith("delay")]
    for names, limit in ((WEIGHTS, 1e-2), (delays, 1e-3), (["hidden.tau_mem"], np.inf)):
        whole = norm(names)
        assert names == ["hidden.tau_mem"] or whole > limit
        for n in names:
            moved = before[n] - after[n]
            np.testing.assert_allclose(moved, gradient[n] * min(1, limit / whole), rtol=1e-9)
    assert history["norm/*.delay"] == [pytest.approx(norm(delays), rel=1e-12)]
    assert history["norm"] == [pytest.approx(norm(gradient), rel=1e-12)]
    assert history["clipped/*.delay"] == [1] and history["clipped/hidden.tau_mem"] == [0]
    assert history["clipped"] == [1]


def test_figures_of_groups_are_known_to_early_stopping():
    rule = snnfp.EarlyStopping(metric="norm/*.delay", patience=50)
    assert rule.better(1.0, 2.0)
    history = one_step(SGD(lr=0.1), groups={"*.delay": Group()}, early_stopping=rule)[3]
    assert history.best("norm/*.delay") == history["norm/*.delay"][0]
    with pytest.raises(ValueError, match=r"looks at 'norm/\*.weight', expected one of: .*norm/"):
        rule = snnfp.EarlyStopping(metric="norm/*.weight")
        one_step(SGD(lr=0.1), groups={"*.delay": Group()}, early_stopping=rule)


def test_a_group_without_a_clip_of_its_own_has_that_of_all_by_its_own_norm():
    before, after, gradient, _ = one_step(SGD(lr=1.0), clip_norm=1e-2, groups={"*.delay": Group()})
    delays = [n for n in gradient if n.endswith("delay")]
    for names in (delays, [n for n in gradient if n not in delays]):
        moved = np.sqrt(sum(np.sum((after[n] - before[n]) ** 2) for n in names))
        assert moved == pytest.approx(1e-2, rel=1e-6)


def test_decay_of_a_group_acts_on_all_of_it_and_on_nothing_else():
    groups = {"*.delay": Group(weight_decay=0.25), "hidden_to_output.weight": Group(weight_decay=0)}
    optimiser = SGD(lr=0.1, weight_decay=0.5)
    before, after, gradient, _ = one_step(optimiser, groups=groups)
    for name, g in gradient.items():
        decay = {"input_to_hidden.weight": 0.5}.get(name, 0.25 if "delay" in name else 0.0)
        expected = before[name] * (1 - 0.1 * decay) - 0.1 * g
        np.testing.assert_allclose(after[name], expected, rtol=1e-13, err_msg=name)


def test_decay_of_sgd_is_no_part_of_its_momentum():
    p, g = {"w.weight": np.array([2.0])}, {"w.weight": np.array([1.0])}
    sgd = SGD(lr=0.1, momentum=0.9, weight_decay=0.5)
    state = sgd.init(p)
    for _ in range(2):
        p, state = sgd.update(p, g, state)
    assert state["velocity/w.weight"] == 1.9
    assert p["w.weight"] == pytest.approx((2 * 0.95 - 0.1) * 0.95 - 0.19)


def test_schedules_of_groups():
    groups = {"*.delay": Group(lr=0.3, schedule=schedules.Warmup(4)), "*.tau_mem": Group()}
    before, after, gradient, history = one_step(
        SGD(lr=0.1), schedule=lambda step, epoch: 0.5, groups=groups
    )
    for name, g in gradient.items():
        lr = 0.3 * 0.25 if name.endswith("delay") else 0.1 * 0.5
        np.testing.assert_allclose(after[name], before[name] - lr * g, rtol=1e-13)
    assert history["lr"] == [0.05]


def test_bounds_of_groups():
    groups = {
        "*.delay": Group(lr=10.0, bounds=(0.4, 0.6)),
        "hidden.tau_mem": Group(bounds=(0.9, 1.1)),
    }
    _, after, _, _ = one_step(SGD(lr=50.0), groups=groups)
    assert all(0.4 <= after[n] <= 0.6 for n in after if n.endswith(".delay"))
    assert 0.9 <= after["hidden.tau_mem"] <= 1.1


class Mine:
    """Plain descent by a user's own optimiser."""

    lr = 0.1

    def init(self, parameters):
        return {}

    def update(self, parameters, gradients, state, *, factor=1.0):
        return {k: p - self.lr * factor * gradients[k] for k, p in parameters.items()}, state


def test_an_optimiser_of_ones_own_has_clips_and_bounds_of_groups():
    groups = {"*.delay": Group(clip_norm=1e-3, bounds=(0.0, 0.6))}
    theirs = one_step(SGD(lr=0.1), groups=groups)[1]
    mine = one_step(Mine(), groups=groups)[1]
    for name, value in theirs.items():
        np.testing.assert_allclose(mine[name], value, rtol=1e-14)
    with pytest.raises(TypeError, match=r"groups have lr of their own, which the optimiser Mine"):
        one_step(Mine(), groups={"*.delay": Group(lr=0.1)})


@pytest.mark.parametrize(
    "groups, error, message",
    [
        ([], TypeError, r"groups is \[\], expected a mapping"),
        ({"*.delay": 0.3}, TypeError, r"groups: '\*.delay' has 0.3, expected snnfp.Group"),
        ({3: Group()}, TypeError, "groups: 3 is no text"),
        ({"*.bias": Group()}, KeyError, r"'\*.bias' matches hidden.bias, output.bias, not trained"),
        ({"*.dealy": Group()}, KeyError, r"groups: '\*.dealy' matches nothing; expected patterns"),
        (
            {"*.delay": Group(), "input_*": Group()},
            ValueError,
            r"groups: input_to_hidden.\w+ matches .*expected one pattern a parameter",
        ),
    ],
)
def test_groups_that_do_not_fit(groups, error, message):
    net, data = problem()
    with pytest.raises(error, match=message):
        fit(net, data, optimiser=Adam(), epochs=1, wrt=WRT, groups=groups, **OPTIONS)


def test_bounds_in_two_places():
    net, data = problem()
    both = {"bounds": {"*.delay": (0, 1)}, "groups": {"*.delay": Group(bounds=(0, 2))}}
    with pytest.raises(ValueError, match=r"bounds and groups both have bounds of '\*.delay'"):
        fit(net, data, optimiser=Adam(), epochs=1, wrt=WRT, **both, **OPTIONS)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"lr": 0}, ValueError, "lr is 0, expected a finite number > 0"),
        ({"lr": "x"}, TypeError, "lr is 'x', expected a number"),
        ({"clip_norm": -1}, ValueError, "clip_norm is -1, expected a number > 0"),
        ({"weight_decay": -1}, ValueError, "weight_decay is -1, expected a finite number >= 0"),
        ({"schedule": 3}, TypeError, "schedule is 3, expected one of snnfp.schedules"),
        ({"bounds": 3}, TypeError, r"bounds is 3, expected \(low, high\)"),
        ({"transform": "exp"}, TypeError, "transform is 'exp', expected one of snnfp.transforms"),
        ({"transform": snnfp.transforms.Exp}, TypeError, "expected one of snnfp.transforms"),
    ],
)
def test_settings_of_a_group_that_cannot_be(settings, error, message):
    with pytest.raises(error, match=message):
        Group(**settings)


def test_a_group_prints_what_is_set():
    assert repr(Group(lr=0.3, clip_norm=1.0)) == "Group(lr=0.3, clip_norm=1.0)"


def test_a_gradient_of_another_shape_is_an_error_that_names_it():
    net, data = problem()

    def remedy(net, record, labels, gradients):
        return {k: g[:1] for k, g in gradients.items()}, 0

    with pytest.raises(ValueError, match=r"gradient by input_to_hidden.weight has shape \(1, 15\)"):
        fit(net, data, optimiser=Adam(), epochs=1, remedies=[remedy], **OPTIONS)
