"""Transforms where not all of a parameter may move, or where it has come to the end of the range."""

import numpy as np
import pytest
import snnfp
from snnfp import SGD, Adam, Group, fit
from snnfp.errors import FormatError
from snnfp.transforms import Exp, Sigmoid, Softplus
from test_parameter_groups import Mine
from test_training import OPTIONS, everything, problem

NAME = "input_to_hidden.weight"
REALS = [np.float64, np.float32]


class Own:
    """A user's own transform, with limits: NumPy alone, and float64 whatever it is given."""

    def constrain(self, free):
        return np.exp(np.asarray(free, np.float64))

    def release(self, parameter, name):
        if not np.all(parameter > 0):
            raise ValueError(f"{name} is not positive")
        return np.log(np.asarray(parameter, np.float64))

    def chain(self, free, gradient):
        return gradient * np.exp(np.asarray(free, np.float64))


def positive(dtype=np.float64, masked=True):
    """A network whose weights are > 0, but for the absent ones."""
    net, data = problem(dtype=dtype)
    rng = np.random.default_rng(1)
    there = rng.random((5, 15)) < 0.6
    there[0, 0], there[0, 1] = True, False
    weight = rng.uniform(0.5, 2.5, (5, 15))
    if masked:
        other = snnfp.Network(dtype=dtype)
        x = other.input(5)
        neuron = snnfp.LIF(tau_mem=1.0, tau_syn=1.0)
        h, y = (other.population(n, neuron, name=k) for n, k in ((15, "hidden"), (3, "output")))
        other.connect(x, h, snnfp.Dense(weight=np.where(there, weight, 0), mask=there))
        other.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.8, 0.2)))
        return other.initialise(0), data, there
    net.parameters[NAME] = np.where(there, weight, -0.3)
    return net, data, there


CASES = {
    "a mask": {},
    "frozen elements": {"masked": False},
    "an average": {"options": {"average": 0.7}},
    "an average of frozen elements": {"masked": False, "options": {"average": 0.7}},
    "bounds": {"options": {"bounds": {NAME: (0.7, 1.5)}}},
}


def settings(there, masked, transform, **options):
    frozen = {} if masked else {"frozen": {NAME: ~there}}
    wrt = ("*.weight", "hidden.tau_mem")
    groups = {NAME: Group(transform=transform)}
    return {**OPTIONS, "wrt": wrt, "groups": groups, **frozen, **options}


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize(
    "optimiser",
    [Adam(lr=0.05, weight_decay=0.1), SGD(lr=0.05), Mine()],
    ids=["adam", "sgd", "mine"],
)
@pytest.mark.parametrize(
    "transform", [Exp(), Sigmoid(0.01, 3.0), Own()], ids=["exp", "sigmoid", "own"]
)
@pytest.mark.parametrize("case", CASES)
def test_what_is_frozen_stays_to_the_bit_and_the_rest_learns(case, transform, optimiser, dtype):
    masked, options = CASES[case].get("masked", True), CASES[case].get("options", {})
    net, data, there = positive(dtype, masked)
    before = net.parameters[NAME]
    fit(net, data, optimiser=optimiser, epochs=2, **settings(there, masked, transform, **options))
    after = net.parameters[NAME]
    assert after.dtype == dtype
    assert np.array_equal(after[~there], before[~there])
    assert np.all(before[~there] == (0 if masked else dtype(-0.3)))
    assert np.all(after[there] > 0) and np.mean(after[there] != before[there]) > 0.7
    if "bounds" in options:
        assert np.all((after[there] >= dtype(0.7)) & (after[there] <= dtype(1.5)))


def test_free_elements_move_as_they_do_where_nothing_is_frozen():
    """The same gradient and the chain rule of each element by itself, to the bit."""
    results = []
    for value, masked in ((-0.3, False), (1.25, False)):
        net, data, there = positive(masked=masked)
        # Frozen weights from a silent channel: the gradients of the others are the same.
        there = np.ones((5, 15), bool)
        there[4] = False
        spikes = data[0].take(np.arange(20))
        spikes = snnfp.Spikes.from_lists(
            [[[t for t in np.asarray(c)] if k < 4 else [] for k, c in enumerate(s)]
             for s in lists_of(spikes)],
            size=5,
        )  # fmt: skip
        weight = np.array(net.parameters[NAME])
        weight[:4], weight[4] = np.abs(weight[:4]) + 0.5, value
        net.parameters[NAME] = weight
        options = settings(there, False, Exp())
        fit(net, (spikes, data[1][:20]), optimiser=Adam(lr=0.05), epochs=2, **options)
        results.append(net.parameters[NAME])
        assert np.all(results[-1][4] == value)
    assert np.array_equal(results[0][:4], results[1][:4])


def lists_of(spikes):
    return [
        [spikes.times[(spikes.samples == s) & (spikes.units == u)] for u in range(spikes.size)]
        for s in range(len(spikes))
    ]


def test_all_of_it_frozen():
    net, data, there = positive(masked=False)
    before = net.parameters[NAME]
    for transform in (Exp(), Own()):
        options = settings(there, True, transform, frozen={NAME: np.ones((5, 15), bool)})
        fit(net, data, optimiser=Adam(lr=0.05), epochs=1, **options)
        assert np.array_equal(net.parameters[NAME], before)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("average", [None, 0.7])
def test_resumed_to_the_bit(tmp_path, masked, average, dtype):
    (net, data, there), (part, _, _), (again, _, _) = (positive(dtype, masked) for _ in range(3))
    options = settings(there, masked, Softplus(0.3), optimiser=Adam(lr=0.05), average=average)
    options |= {"bounds": {NAME: (None, 2.0)}}
    whole = fit(net, data, epochs=4, **options)
    fit(part, data, epochs=2, checkpoint=tmp_path / "c", **options)
    resumed = fit(again, data, epochs=4, resume=tmp_path / "c", **options)
    assert everything(net, whole) == everything(again, resumed)


def test_what_is_frozen_may_change_where_it_is_gone_on(tmp_path, capsys):
    """Elements that were frozen have no variable in the file: theirs is that of the parameter."""
    net, data, there = positive(masked=False)
    net.parameters[NAME] = np.abs(net.parameters[NAME])
    before = net.parameters[NAME]
    options = settings(there, False, Exp(), optimiser=SGD(lr=0.01))
    fit(net, data, epochs=1, checkpoint=tmp_path / "c", **options)
    halfway = net.parameters[NAME]
    assert np.array_equal(halfway[~there], before[~there])
    fit(net, data, epochs=2, resume=tmp_path / "c", **options | {"frozen": {NAME: there}})
    after = net.parameters[NAME]
    assert np.array_equal(after[there], halfway[there])
    assert np.mean(after[~there] != before[~there]) > 0.7
    np.testing.assert_allclose(after, halfway, rtol=0.2)
    assert "resume: frozen" in capsys.readouterr().out


def test_a_transform_that_cannot_go_on_leaves_the_network_as_it_was(tmp_path):
    net, data, there = positive()
    options = settings(there, True, Exp(), optimiser=SGD(lr=0.01))
    fit(net, data, epochs=1, checkpoint=tmp_path / "c", **options)
    other, _, _ = positive()
    before = other.flatten()
    narrow = {NAME: Group(transform=Sigmoid(1.0, 1.5))}
    with pytest.raises(ValueError, match=r"weight\[\d+, \d+\] is .* > 1 and < 1.5"):
        fit(other, data, epochs=2, resume=tmp_path / "c", **options | {"groups": narrow})
    assert np.array_equal(other.flatten(), before)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("average", [None, 0.5])
@pytest.mark.parametrize(
    "transform, away", [(Sigmoid(0.1, 0.3), -1), (Sigmoid(0.1, 0.3), 1), (Softplus(0.01), 1)]
)
def test_what_came_to_the_end_of_the_range_is_gone_on_from(
    tmp_path, transform, away, average, dtype
):
    """A further fit, one that resumes, and a model that was saved."""

    def push(net, record, labels, gradients):
        return {k: np.full_like(g, 100.0 * away) for k, g in gradients.items()}, 1

    net, data = problem(dtype=dtype)
    name = "input_to_hidden.delay"
    net.parameters[name] = 0.2
    options = {
        **OPTIONS, "wrt": name, "optimiser": SGD(lr=10.0), "average": average,
        "groups": {name: Group(transform=transform)},
    }  # fmt: skip
    fit(net, data, epochs=3, checkpoint=tmp_path / "c", remedies=[push], **options)
    value = net.parameters[name]
    end = transform._ends(value)[away < 0]
    low, high = transform._range()
    assert low < float(value) < high
    if average is None:
        assert value == end
    net.save(tmp_path / "model")
    loaded, _ = problem(seed=5, dtype=dtype)
    loaded.load(tmp_path / "model")
    for options["epochs"], more in ((1, {}), (4, {"resume": tmp_path / "c", "remedies": [push]})):
        fit(loaded, data, **options, **more)
        assert low < float(loaded.parameters[name]) < high
        assert abs(float(loaded.parameters[name]) - float(value)) < 0.05 * 0.3


class Wrong(Own):
    def release(self, parameter, name):
        free = np.log(parameter)
        free[0, 1] += 0.01
        return free


class Nothing(Own):
    def release(self, parameter, name):
        return np.full_like(parameter, np.nan)


class Misshapen(Own):
    def constrain(self, free):
        return np.exp(free)[0]


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize(
    "own, message",
    [
        (Wrong(), r"weight\[0, 1\] is 1\.5\d*, but the transform .*Wrong.* has constrain\(release\(1\.5.*\) "
                  r"= 1\.51.*, expected the same value"),
        (Nothing(), r"weight\[0, 0\] is 1\.5\d*, for which release of .* gives nan"),
        (Misshapen(), r"weight: constrain of .* returned an array of shape \(15,\), expected \(5, 15\)"),
    ],
)  # fmt: skip
def test_a_transform_of_ones_own_must_lead_back(own, message, dtype):
    net, data = problem(dtype=dtype)
    net.parameters[NAME] = np.full((5, 15), 1.5)
    before = net.flatten()
    with pytest.raises(ValueError, match=message) as e:
        fit(net, data, optimiser=Adam(), epochs=1, groups={NAME: Group(transform=own)}, **OPTIONS)
    assert not isinstance(e.value, FormatError) and not hasattr(e.value, "history")
    assert np.array_equal(net.flatten(), before)


class Logistic(Own):
    """Saturates at 1, whose free variable is infinite."""

    def constrain(self, free):
        return 1 / (1 + np.exp(-free))

    def release(self, parameter, name):
        with np.errstate(divide="ignore"):
            return np.log(parameter) - np.log1p(-parameter)

    def chain(self, free, gradient):
        value = self.constrain(free)
        return gradient * value * (1 - value)


def test_what_saturates_does_not_stop_what_meets_a_bound():
    net, data = problem()
    net.parameters[NAME] = np.full((5, 15), 0.6)
    bound = np.full((5, 15), 2.0)
    bound[1] = 0.7
    pushed = np.full((5, 15), -6.0)
    pushed[0] = -2000.0
    groups = {NAME: Group(transform=Logistic(), bounds=(None, bound))}
    options = {**OPTIONS, "wrt": NAME, "groups": groups, "optimiser": SGD(lr=0.1)}
    push = [lambda net, record, labels, gradients: ({NAME: pushed}, 1)]
    fit(net, data, epochs=6, remedies=push, **options)
    assert np.all(net.parameters[NAME][0] == 1.0) and np.all(net.parameters[NAME][1] == 0.7)
    with pytest.raises(ValueError, match=r"weight\[0, 0\] is 1.0, for which release .* gives inf"):
        fit(net, data, epochs=1, **options)


@pytest.mark.parametrize(
    "bounds, message",
    [
        (
            (0.5, None),
            r"bounds: input_to_hidden.weight is to be at least 0.5, expected more .* its transform",
        ),
        ((None, 0.1), "weight is to be at most 0.1, expected more than 0.1 and less than 0.3,"),
        ((np.linspace(0, 0.5, 75).reshape(5, 15), None), r"weight\[3, 0\] is to be at least 0.304"),
    ],
)
def test_bounds_that_the_transform_cannot_meet(bounds, message):
    """Known before the first step, not when the bound is first met."""
    net, data = problem()
    net.parameters[NAME] = np.full((5, 15), 0.2)
    groups = {NAME: Group(transform=Sigmoid(0.1, 0.3), bounds=bounds)}
    with pytest.raises(ValueError, match=message) as e:
        fit(net, data, optimiser=Adam(), epochs=1, groups=groups, **OPTIONS)
    assert not hasattr(e.value, "history")
