"""Transforms: values and derivatives to rounding, inverses, and steps of the free variable."""

import math

import numpy as np
import pytest
from snnfp import SGD, Adam, Group, fit
from snnfp.transforms import Exp, Sigmoid, Softplus
from test_parameter_groups import Mine, one_step
from test_training import OPTIONS, problem

FREE = np.concatenate([np.linspace(-30, 30, 241), [-600.0, 600.0, 1e-9, -1e-9, 0.0]])
TRANSFORMS = [
    Exp(),
    Softplus(),
    Softplus(0.5),
    Softplus(scale=20.0),
    Sigmoid(-1, 3),
    Sigmoid(2.0, 2.5),
]


def exact(transform, u):
    """Value and derivative, to 60 digits of what is as small as 1e-300."""
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 400
    u = mp.mpf(u)

    def value(u):
        if isinstance(transform, Exp):
            return mp.exp(u)
        if isinstance(transform, Softplus):
            s = mp.mpf(transform.scale)
            return s * mp.log(1 + mp.exp(u / s))
        low, high = mp.mpf(transform.low), mp.mpf(transform.high)
        width = high - low
        return low + width / (1 + mp.exp(-4 * (u - low - width / 2) / width))

    h = mp.mpf(10) ** -20
    return value(u), (value(u + h) - value(u - h)) / (2 * h)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_against_60_digits(transform):
    values = transform.constrain(FREE)
    slopes = transform.chain(FREE, np.ones_like(FREE))
    checked, high = 0, transform._range()[1]
    for u, value, slope in zip(FREE, values, slopes, strict=True):
        p, d = exact(transform, u)
        if 1e-300 < abs(p) < 1e300:
            size = max(abs(float(p)), *(map(abs, transform._range()) if high < np.inf else (0.0,)))
            assert abs(value - float(p)) <= 5e-16 * size, u
            assert abs(slope - float(d)) <= 2e-15 * float(d) + 1e-300, u
            checked += 1
    assert checked >= 241


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_there_and_back(transform, dtype):
    low, high = transform._range()
    if high == np.inf:
        parameter = np.geomspace(1e-6, 1e4, 101)
    else:
        parameter = np.linspace(low, high, 103)[1:-1]
    parameter = parameter.astype(dtype).reshape(-1, 1)
    free = transform.release(parameter, "p")
    assert free.dtype == dtype and free.shape == parameter.shape
    back = transform.constrain(free)
    np.testing.assert_allclose(back, parameter, rtol=16 * np.finfo(dtype).eps)


def test_the_free_variable_is_the_parameter_where_that_is_said():
    far = np.array([50.0, 80.0])
    np.testing.assert_allclose(Softplus().release(far, "p"), far, rtol=1e-15)
    middle = np.array([0.99, 1.0, 1.01])
    np.testing.assert_allclose(Sigmoid(-1, 3).release(middle, "p"), middle, atol=1e-6)
    assert Exp().release(np.array([math.e]), "p") == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "transform", [*TRANSFORMS, Sigmoid(0.1, 0.3), Sigmoid(-1e6, 1e-3)], ids=repr
)
def test_ends_are_never_reached(transform, dtype):
    """Where a value would round to one it is the next number, which has a free variable again."""
    low, high = transform._range()
    lowest, highest = transform._ends(np.zeros((), dtype))
    far = [-1e9, 1e9] if high < np.inf else [-1e9]
    values = transform.constrain(np.array(far, dtype))
    assert values[0] == lowest and float(lowest) > low and values[-1] <= highest
    assert float(np.nextafter(dtype(lowest), dtype(-np.inf))) <= low
    if high < np.inf:
        assert values[1] == highest and float(highest) < high
        assert float(np.nextafter(dtype(highest), dtype(np.inf))) >= high
        free = np.random.default_rng(0).normal(0, high - low, 10000).astype(dtype)
        values = np.concatenate([values, transform.constrain(free)])
        assert low < values.astype(float).min() and values.astype(float).max() < high
    again = transform.release(values, "p")
    assert np.isfinite(again).all()
    eps = np.finfo(dtype).eps * (1000 if high == np.inf else max(abs(low), abs(high)))
    np.testing.assert_allclose(transform.constrain(again), values, rtol=0, atol=64 * eps)


@pytest.mark.parametrize("make", [SGD, Mine])
def test_a_step_is_one_of_the_free_variable(make):
    """Against the chain rule by differences of the whole loss in u."""
    optimiser = make(lr=0.1) if make is SGD else Mine()
    transforms = {
        "*.delay": Softplus(0.2),
        "hidden.tau_mem": Exp(),
        "input_*.weight": Sigmoid(-9, 9),
    }
    groups = {p: Group(transform=t) for p, t in transforms.items()}
    before, after, gradient, _ = one_step(optimiser, groups=groups)
    for name, t in (
        ("input_to_hidden.delay", transforms["*.delay"]),
        ("hidden.tau_mem", transforms["hidden.tau_mem"]),
        ("input_to_hidden.weight", transforms["input_*.weight"]),
    ):
        u, h = t.release(before[name], name), 1e-6
        slope = (t.constrain(u + h) - t.constrain(u - h)) / (2 * h)
        np.testing.assert_allclose(t.chain(u, gradient[name]), slope * gradient[name], rtol=1e-8)
        expected = t.constrain(u - 0.1 * t.chain(u, gradient[name]))
        np.testing.assert_allclose(after[name], expected, rtol=1e-13, err_msg=name)
        assert not np.array_equal(after[name], before[name])


def test_the_norm_is_that_by_the_free_variable():
    groups = {"hidden.tau_mem": Group(transform=Softplus(0.1), clip_norm=1e-4)}
    before, after, gradient, history = one_step(SGD(lr=1.0), groups=groups)
    u = Softplus(0.1).release(before["hidden.tau_mem"], "")
    norm = abs(float(Softplus(0.1).chain(u, gradient["hidden.tau_mem"])))
    assert history["norm/hidden.tau_mem"] == [pytest.approx(norm)] and norm > 1e-4
    moved = Softplus(0.1).release(after["hidden.tau_mem"], "") - u
    assert abs(moved) == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_positive_without_bounds_and_within_the_domain_too(dtype):
    """Steps far too long: the free variable comes back from where the domain holds it."""
    net, data = problem(dtype=dtype)
    start = {k: net.parameters[k] for k in ("hidden.tau_mem", "output.tau_syn")}
    groups = {"*.tau_*": Group(lr=5.0, transform=Exp())}
    wrt = ("*.weight", *start)
    fit(net, data, optimiser=Adam(lr=0.01), epochs=3, wrt=wrt, groups=groups, **OPTIONS)
    for name, value in start.items():
        assert net.parameters[name] >= np.asarray(1e-3 * value, dtype)
        assert np.isfinite(net.parameters[name])


def test_where_the_domain_holds_a_parameter_its_free_variable_is_held_too():
    """From where bounds stopped it the first step back leads away at once."""
    net, data = problem()
    towards = iter([100.0, 100.0, 100.0, -0.1, -0.1, -0.1])

    def push(net, record, labels, gradients):
        return {k: np.full_like(g, next(towards)) for k, g in gradients.items()}, 1

    seen = []
    fit(
        net, data, optimiser=SGD(lr=1.0), epochs=2, wrt="hidden.tau_mem", remedies=[push],
        groups={"hidden.tau_mem": Group(transform=Exp(), bounds=(0.5, None))},
        callbacks=[lambda h, n: seen.append(float(n.parameters["hidden.tau_mem"])) or None],
        **OPTIONS,
    )  # fmt: skip
    assert seen[0] == 0.5 and seen[1] > 0.55


def test_what_a_callback_sets_is_gone_on_from():
    net, data = problem()
    groups = {"hidden.tau_mem": Group(transform=Exp())}

    def double(history, net):
        net.parameters["hidden.tau_mem"] = 2.0

    fit(
        net, data, optimiser=SGD(lr=1e-6), epochs=2, wrt=("*.weight", "hidden.tau_mem"),
        groups=groups, callbacks=[double], **OPTIONS,
    )  # fmt: skip
    net.parameters["hidden.tau_mem"] = 2.0
    seen = []
    fit(
        net, data, optimiser=SGD(lr=1e-6), epochs=2, wrt=("*.weight", "hidden.tau_mem"),
        groups=groups, callbacks=[lambda h, n: seen.append(float(n.parameters["hidden.tau_mem"])) or double(h, n)],
        **OPTIONS,
    )  # fmt: skip
    assert seen == pytest.approx([2.0, 2.0], rel=1e-3)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Softplus(0), ValueError, "scale is 0, expected a finite number > 0"),
        (lambda: Softplus("x"), TypeError, "scale is 'x', expected a number"),
        (lambda: Sigmoid(1, 1), ValueError, "low is 1, expected less than high = 1"),
        (lambda: Sigmoid(0, math.inf), ValueError, "high is inf, expected a finite number"),
    ],
)
def test_transforms_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "transform, value, message",
    [
        (Softplus(), 0.0, r"input_to_hidden.delay is 0.0, expected a finite number > 0 for"),
        (Sigmoid(0, 0.5), 0.5, "delay is 0.5, expected a finite number > 0 and < 0.5 for"),
    ],
)
def test_a_start_out_of_range(transform, value, message):
    net, data = problem()
    net.parameters["input_to_hidden.delay"] = value
    groups = {"input_to_hidden.delay": Group(transform=transform)}
    with pytest.raises(ValueError, match=message):
        fit(
            net, data, optimiser=Adam(), epochs=1, wrt="input_to_hidden.*", groups=groups, **OPTIONS
        )
