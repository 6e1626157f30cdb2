"""Losses of spike times against plain formulas and differences: distances, latency, order."""

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network
from snnfp import Spikes
from snnfp.losses import (
    FirstSpikeHinge,
    FirstSpikeLatency,
    SpikeTimeSquaredError,
    VanRossumDistance,
)
from test_losses import Given, first


def trains(rng, samples=4, neurons=3, most=6, dtype=float):
    return [
        [sorted(rng.uniform(0.2, 3.8, rng.integers(0, most)).tolist()) for _ in range(neurons)]
        for _ in range(samples)
    ]


def differences(loss, lists, labels, h=1e-6):
    """By each spike time, in the order of the record."""
    record = Given(lists)
    out = np.zeros(record.n_spikes)
    seen = {}
    for k, (s, j) in enumerate(zip(record.samples, record.neurons)):
        i = seen[s, j] = seen.get((s, j), -1) + 1
        moved = []
        for by in (h, -h):
            lists[s][j][i] += by
            moved.append(loss(Given(lists), labels)[0])
            lists[s][j][i] -= by
        out[k] = (moved[0] - moved[1]) / (2 * h)
    return out


def flat(record, cotangents):
    return record._cotangents(cotangents)


def van_rossum(mine, theirs, tau):
    """The integral itself, by the trapezoidal rule on a fine grid."""
    t = np.linspace(0.0, 12.0, 400_001)
    f = np.zeros(t.size)
    for sign, times in ((1, mine), (-1, theirs)):
        for at in times:
            f += sign * np.where(t >= at, np.exp(-np.maximum(t - at, 0.0) / tau), 0.0)
    return float(np.trapezoid(f * f, t)) / tau


def test_van_rossum_is_the_integral():
    tau = 0.4
    mine, theirs = [[0.5, 1.2, 3.0], []], [[0.7, 1.1], [2.0]]
    value, _ = VanRossumDistance(tau=tau)(Given([mine]), Spikes.from_lists([theirs]))
    assert value == pytest.approx(
        sum(van_rossum(a, b, tau) for a, b in zip(mine, theirs)), rel=2e-4
    )
    # A spike alone is 1/2, equal trains are 0.
    alone, _ = VanRossumDistance(tau=tau)(Given([[[1.0]]]), Spikes.from_lists([[[]]]))
    assert alone == 0.5
    value, by_time = VanRossumDistance(tau=tau)(
        Given([[[1.0, 2.0]]]), Spikes.from_lists([[[1.0, 2.0]]])
    )
    assert value == 0.0 and not by_time["y"].any()


def plain_van_rossum(mine, theirs, tau):
    """All pairs."""
    t = np.array([*mine, *theirs])
    s = np.array([1.0] * len(mine) + [-1.0] * len(theirs))
    d = t[:, None] - t
    pairs = s[:, None] * s * np.exp(-np.abs(d) / tau)
    return 0.5 * pairs.sum(), -np.sum(np.sign(d) * pairs, axis=1)[: len(mine)] / tau


@pytest.mark.parametrize("tau", [0.02, 0.5, 1e3])
def test_van_rossum_against_all_pairs(tau):
    rng = np.random.default_rng(0)
    mine, theirs = trains(rng, most=40), trains(rng, most=40)
    theirs[0][0] = mine[0][0][:2] + theirs[0][0][2:]  # some meet exactly
    theirs[0][0].sort()
    record = Given(mine)
    value, by_time = VanRossumDistance(tau=tau)(record, Spikes.from_lists(theirs))
    total, want = 0.0, np.zeros(record.n_spikes)
    for s in range(4):
        for j in range(3):
            part, derivative = plain_van_rossum(mine[s][j], theirs[s][j], tau)
            total += part
            want[(record.samples == s) & (record.neurons == j)] = derivative
    assert value == pytest.approx(total / 4, rel=1e-12)
    np.testing.assert_allclose(flat(record, by_time), want / 4, rtol=1e-11, atol=1e-13 / tau)


@pytest.mark.parametrize("first_k", [None, 1, 2, 5])
def test_squared_error_of_the_first_k(first_k):
    rng = np.random.default_rng(1)
    mine, theirs = trains(rng), trains(rng)
    loss = SpikeTimeSquaredError(horizon=5.0, first=first_k)
    record = Given(mine)
    value, by_time = loss(record, Spikes.from_lists(theirs))
    total, terms = 0.0, 0
    for a, b in zip((t for s in mine for t in s), (t for s in theirs for t in s)):
        n = min(max(len(a), len(b)), first_k or 99)
        a, b = (np.array([*x, *[5.0] * n][:n]) for x in (a, b))
        total += 0.5 * np.sum((a - b) ** 2)
        terms += n
    assert terms > 10 and value == pytest.approx(total / 4, rel=1e-13)
    by_difference = differences(loss, mine, Spikes.from_lists(theirs))
    np.testing.assert_allclose(by_time, by_difference, atol=1e-7)
    if first_k == 1:
        late = Given([[[1.0, 9.0]]])  # the second is not looked at
        loss(late, Spikes.from_lists([[[1.0]]]))
        with pytest.raises(ValueError, match=r"output 0 fires at 9, after horizon = 5.0"):
            SpikeTimeSquaredError(horizon=5.0)(late, Spikes.from_lists([[[1.0]]]))
    with pytest.raises(ValueError, match="first is 0, expected at least 1"):
        SpikeTimeSquaredError(horizon=5.0, first=0)


@pytest.mark.parametrize("squared", [False, True])
def test_hinge(squared):
    t = np.array([[1.0, 1.3, np.inf], [2.0, 1.0, 2.05], [np.inf, np.inf, 1.0], [1.0, 3.0, 3.0]])
    labels = [0, 0, 1, 0]
    loss = FirstSpikeHinge(margin=0.5, horizon=4.0, squared=squared)
    missing = [[0.2], [1.5, 0.45], [0.5, 3.5], []]
    each = [sum(0.5 * x * x if squared else x for x in row) for row in missing]
    value, dt = loss(first(t), labels)
    assert value == pytest.approx(sum(each) / 4, rel=1e-14)
    assert not dt["y"][~np.isfinite(t)].any()
    lists = [[[] if np.isinf(x) else [float(x)] for x in row] for row in t]
    np.testing.assert_allclose(
        flat(first(t), dt), differences(loss, lists, labels), rtol=1e-6, atol=1e-9
    )
    # At the kink, exactly by the margin, nothing is asked.
    assert not loss(first([[1.0, 1.5]]), [0])[1]["y"].any()
    assert (
        loss.predict(first(t)).tolist() == [0, 1, 2, 0] and loss.accuracy(first(t), labels) == 0.5
    )


def test_latency():
    t = np.array([[1.0, 3.0, np.inf], [2.0, np.inf, 0.5]])
    value, dt = FirstSpikeLatency(horizon=4.0)(first(t), None)
    assert value == pytest.approx((1 + 3 + 4 + 2 + 4 + 0.5) / 6, rel=1e-15)
    assert np.array_equal(dt["y"], np.where(np.isinf(t), 0.0, 1 / 6))
    value, dt = FirstSpikeLatency(horizon=4.0, units=(2, 0))(first(t), None)
    assert value == pytest.approx((1 + 4 + 2 + 0.5) / 4, rel=1e-15)
    assert dt["y"].tolist() == [[0.25, 0.0, 0.0], [0.25, 0.0, 0.25]]
    # A neuron that is not chosen may fire as late as it likes.
    assert FirstSpikeLatency(horizon=4.0, units=[0])(first([[1.0, 9.0]]), None)[0] == 1.0


def test_what_is_refused():
    record = first([[1.0, 9.0]])
    for loss, labels, message in (
        (FirstSpikeHinge(margin=1.0, horizon=4.0), [0], "output 1 fires at 9, after horizon = 4.0"),
        (FirstSpikeHinge(margin=1.0, horizon=9.0), [2], r"labels\[0\] is 2"),
        (FirstSpikeLatency(horizon=4.0), None, "output 1 fires at 9"),
        (
            FirstSpikeLatency(horizon=4.0, units=(0, 2)),
            None,
            r"units\[1\] is 2, expected 0 <= unit",
        ),
        (VanRossumDistance(tau=1.0), Spikes.from_lists([[[]]]), "1 samples of 1 neurons"),
    ):
        with pytest.raises(ValueError, match=message):
            loss(record, labels)
    with pytest.raises(TypeError, match=r"labels are a list, expected snnfp.Spikes"):
        VanRossumDistance(tau=1.0)(record, [0])
    with pytest.raises(TypeError, match=r"labels are snnfp.Spikes, expected classes"):
        FirstSpikeHinge(margin=1.0, horizon=9.0).check(record._net, Spikes.from_lists([[[]]]), 1)
    for make in (
        lambda: FirstSpikeHinge(margin=0.0, horizon=1.0),
        lambda: FirstSpikeHinge(margin=np.nan, horizon=1.0),
        lambda: FirstSpikeLatency(horizon=np.inf),
        lambda: VanRossumDistance(tau=-1.0),
        lambda: FirstSpikeLatency(horizon=1.0, units=()),
        lambda: FirstSpikeLatency(horizon=1.0, units=(1, 1)),
    ):
        with pytest.raises(ValueError, match="expected"):
            make()
    for loss in (FirstSpikeHinge(margin=1.0, horizon=2.0), FirstSpikeLatency(horizon=2.0)):
        with pytest.raises(ValueError, match=r"before until = 3.0"):
            loss.check_until(3.0)


@pytest.mark.parametrize("kind", ["hinge", "latency", "van Rossum", "first 2", "sum"])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_gradients_of_networks(kind, mode):
    net, spikes = random_network(np.random.default_rng(5), samples=3)
    record = quiet(net, spikes, until=8.0)
    assert record.counts("output").max() > 1
    wanted = Spikes.from_lists([[[1.0, 2.5], [], [4.0]], [[0.5], [2.0], []], [[], [1.0], [3.0]]])
    loss, labels = {
        "hinge": (FirstSpikeHinge(margin=2.0, horizon=8.0, squared=True), [0, 1, 2]),
        "latency": (FirstSpikeLatency(horizon=8.0, population="hidden"), [0, 1, 2]),
        "van Rossum": (VanRossumDistance(tau=1.0), wanted),
        "first 2": (SpikeTimeSquaredError(horizon=8.0, first=2), wanted),
        "sum": (
            0.7 * VanRossumDistance(tau=1.0)
            + 0.3 * FirstSpikeLatency(horizon=8.0, population="hidden")
            + SpikeTimeSquaredError(horizon=8.0),
            wanted,
        ),
    }[kind]
    found = snnfp.testing.check_gradient(
        net, spikes, labels, loss, until=8.0, mode=mode, max_elements=12, tolerance=1e-7
    )
    assert found.ok and found.checked > 100, found


def test_order_does_not_depend_on_the_number_of_pairs():
    """Long trains: quick, and as exact as all pairs."""
    rng = np.random.default_rng(2)
    mine = [[np.sort(rng.uniform(0, 300, 1000)).tolist()]]
    theirs = [[np.sort(rng.uniform(0, 300, 800)).tolist()]]
    record = Given(mine)
    value, by_time = VanRossumDistance(tau=0.3)(record, Spikes.from_lists(theirs))
    want, derivative = plain_van_rossum(mine[0][0], theirs[0][0], 0.3)
    assert value == pytest.approx(want, rel=1e-11)
    np.testing.assert_allclose(by_time["y"], derivative, rtol=1e-8, atol=1e-9)
