"""SGD, Adam and schedules against plain formulas and against PyTorch."""

import math

import numpy as np
import pytest
from snnfp import SGD, Adam, schedules
from snnfp.optim import clip_by_norm

PAIRS = [
    (SGD(lr=0.1), "SGD", {"lr": 0.1}),
    (SGD(lr=0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (
        SGD(lr=0.1, momentum=0.9, nesterov=True),
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    ),
    (Adam(lr=0.1), "Adam", {"lr": 0.1}),
    (
        Adam(lr=0.01, beta1=0.8, beta2=0.95, eps=1e-6),
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6},
    ),
    (Adam(lr=0.1, weight_decay=0.1, decay="*"), "AdamW", {"lr": 0.1, "weight_decay": 0.1}),
]


def steps(optimiser, n=20, dtype=np.float64):
    rng = np.random.default_rng(0)
    parameters = {"a": rng.normal(size=(3, 2)).astype(dtype), "b": np.asarray(1.0, dtype)}
    start = {k: v.copy() for k, v in parameters.items()}
    gradients = [
        {k: rng.normal(size=v.shape).astype(dtype) for k, v in parameters.items()} for _ in range(n)
    ]
    state = optimiser.init(parameters)
    for g in gradients:
        old, kept = parameters, {k: v.copy() for k, v in parameters.items()}
        parameters, state = optimiser.update(parameters, g, state)
        assert all(np.array_equal(old[k], kept[k]) for k in old)
    assert all(v.dtype == dtype and v.shape == start[k].shape for k, v in parameters.items())
    return start, gradients, parameters


@pytest.mark.parametrize("ours, name, options", PAIRS)
def test_against_torch(ours, name, options):
    try:
        import torch
    except ImportError:
        pytest.skip("PyTorch is not installed")
    start, gradients, got = steps(ours)
    theirs = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
    optimiser = getattr(torch.optim, name)(list(theirs.values()), **options)
    for g in gradients:
        for k, p in theirs.items():
            p.grad = torch.tensor(g[k])
        optimiser.step()
    for k, p in theirs.items():
        np.testing.assert_allclose(got[k], p.detach().numpy(), rtol=1e-12)


def test_momentum():
    """v <- m v + g, p <- p - lr v."""
    start, gradients, got = steps(SGD(lr=0.1, momentum=0.9))
    for k, p in start.items():
        v = np.zeros_like(p)
        for g in gradients:
            v = 0.9 * v + g[k]
            p = p - 0.1 * v
        np.testing.assert_allclose(got[k], p, rtol=1e-13)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam(decay):
    """Kingma and Ba, algorithm 1; the decay is taken from the parameter itself."""
    start, gradients, got = steps(Adam(lr=0.1, weight_decay=decay, decay=("a", "b")))
    for k, p in start.items():
        m = v = np.zeros_like(p)
        for n, g in enumerate(gradients, 1):
            m = 0.9 * m + 0.1 * g[k]
            v = 0.999 * v + 0.001 * g[k] ** 2
            p = p - 0.1 * decay * p
            p = p - 0.1 * (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        np.testing.assert_allclose(got[k], p, rtol=1e-12)


@pytest.mark.parametrize("ours", [p[0] for p in PAIRS])
def test_float_stays_float(ours):
    single, double = steps(ours, dtype=np.float32)[2], steps(ours)[2]
    for k in double:
        np.testing.assert_allclose(single[k], double[k], atol=1e-4)


def test_factor_scales_the_learning_rate():
    rng = np.random.default_rng(1)
    p, g = {"a": rng.normal(size=4)}, {"a": rng.normal(size=4)}
    for optimiser, twice in ((SGD(lr=0.1), SGD(lr=0.2)), (Adam(lr=0.1), Adam(lr=0.2))):
        a, _ = optimiser.update(p, g, optimiser.init(p), factor=2.0)
        b, _ = twice.update(p, g, twice.init(p))
        np.testing.assert_allclose(a["a"], b["a"], rtol=1e-15)


def test_decay_acts_on_weights_only():
    p = {"h.tau_mem": np.array([2.0]), "w.weight": np.array([2.0]), "w.delay": np.array([2.0])}
    zero = {k: np.zeros(1) for k in p}
    for decay, moved in (
        ("*.weight", {"w.weight"}),
        ("*", set(p)),
        (("w.*",), {"w.weight", "w.delay"}),
    ):
        adam = Adam(lr=0.1, weight_decay=0.5, decay=decay)
        new, _ = adam.update(p, zero, adam.init(p))
        assert {k for k in p if new[k] != p[k]} == moved
        assert all(new[k] == 2.0 * (1 - 0.1 * 0.5) for k in moved)
    assert Adam(decay=("*.weight",)) == Adam()
    with pytest.raises(ValueError, match=r"weight_decay acts on 'x.\*', which matches none of the"):
        Adam(weight_decay=0.1, decay="x.*").init(p)
    with pytest.raises(ValueError, match=r"weight_decay acts on '\*.bais', which matches none"):
        Adam(weight_decay=0.1, decay=("*.weight", "*.bais")).init(p)
    with pytest.raises(TypeError, match="decay is 3, expected a pattern or several"):
        Adam(decay=3)


def test_decay_under_a_schedule_is_that_of_the_step():
    p, zero = {"w.weight": np.array([2.0])}, {"w.weight": np.zeros(1)}
    adam = Adam(lr=0.1, weight_decay=0.5)
    new, _ = adam.update(p, zero, adam.init(p), factor=0.25)
    assert new["w.weight"] == 2.0 * (1 - 0.1 * 0.25 * 0.5)


def test_clip_by_norm():
    g = {"a": np.array([3.0, 0.0]), "b": np.array(4.0)}
    clipped, was = clip_by_norm(g, 1.0)
    assert (
        was
        and clipped["a"].tolist() == pytest.approx([0.6, 0.0])
        and clipped["b"] == pytest.approx(0.8)
    )
    same, was = clip_by_norm(g, 5.0)
    assert not was and same is g


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: Adam(lr={"w": 1}),
            TypeError,
            r"lr is {'w': 1}, expected a number: fit\(groups=",
        ),
        (lambda: Adam(lr="fast"), TypeError, "lr is 'fast', expected a number"),
        (lambda: Adam(beta1=None), TypeError, "beta1 is None, expected a number"),
        (lambda: SGD(lr=0.1, momentum="0.9"), TypeError, "momentum is '0.9', expected a number"),
        (lambda: clip_by_norm({}, "1"), TypeError, "clip_norm is '1', expected a number"),
        (lambda: schedules.StepDecay(0.5, 2.5), TypeError, "every is 2.5, expected an integer"),
        (lambda: schedules.Cosine(True), TypeError, "epochs is True, expected an integer"),
        (lambda: schedules.Cosine(3, final=2), ValueError, "final is 2, expected 0 <= final <= 1"),
        (lambda: schedules.Cosine(3, final=math.nan), ValueError, "final is nan"),
        (
            lambda: schedules.ExponentialDecay("0.9"),
            TypeError,
            "factor is '0.9', expected a number",
        ),
    ],
)
def test_settings_that_are_none(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_schedules():
    assert schedules.Constant()(10, 3) == 1
    assert schedules.ExponentialDecay(0.9)(100, 3) == pytest.approx(0.9**3)
    assert [schedules.StepDecay(0.5, 10)(k, 0) for k in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    cosine = schedules.Cosine(10, final=0.2)
    assert cosine(0, 0) == 1
    assert cosine(0, 5) == pytest.approx(0.6)
    assert cosine(0, 3) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(0.3 * math.pi)))
    assert cosine(0, 10) == cosine(0, 20) == pytest.approx(0.2)
