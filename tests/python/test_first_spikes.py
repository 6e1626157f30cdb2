"""What the core tells of first spikes, against NumPy's plain words and against 60 digits."""

import numpy as np
import pytest
import snnfp
from snnfp import _core
from snnfp.losses import FirstSpikeCrossEntropy
from test_training import problem


def table(seed=0, samples=40, outputs=6, dtype=np.float64):
    """First spikes with silence, ties and samples where nobody fires."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.1, 3.9, (samples, outputs)).astype(dtype)
    first[rng.random(first.shape) < 0.3] = np.inf
    first[3] = np.inf
    first[4] = 2.0
    return first, rng.integers(0, outputs, samples)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "tau0, tau1, gamma", [(0.3, 1.0, 0.0), (0.01, 2.0, 0.7), (5.0, 0.006, 1e-9)]
)
def test_cross_entropy_against_60_digits(tau0, tau1, gamma, dtype):
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 60
    first, labels = table(dtype=dtype)
    value, derivative, late, beyond = _core.cross_entropy(first, labels, tau0, tau1, gamma, 4.0)
    assert (late, beyond) == (-1, -1) and derivative.shape == first.shape
    n, total, checked = len(first), mp.mpf(0), 0
    for row, label, own in zip(first, labels, derivative, strict=True):
        t = [mp.mpf(float(x)) if np.isfinite(x) else mp.mpf(4.0) for x in row]
        e = [mp.exp(-x / mp.mpf(tau0)) for x in t]
        late_term = mp.exp(t[label] / mp.mpf(tau1))
        total += -mp.log(e[label] / sum(e)) + gamma * (late_term - 1)
        for k, x in enumerate(row):
            exact = -e[k] / sum(e) / mp.mpf(tau0)
            if k == label:
                exact += 1 / mp.mpf(tau0) + gamma / mp.mpf(tau1) * late_term
            exact = exact / n if np.isfinite(x) else mp.mpf(0)
            scale = max(abs(exact), (1 / mp.mpf(tau0) if k == label else 0) / n)
            # Exponents are rounded, and so are the exponentials relative to their size.
            rounding = 1e-14 * scale + 3e-16 * abs(exact) * (4 / tau0 + 4 / tau1)
            assert abs(own[k] - exact) <= rounding + 1e-300
            checked += 1
    assert checked == first.size
    assert value == pytest.approx(float(total / n), rel=1e-13)


def test_what_comes_too_late_or_out_of_range_is_told():
    first, labels = table()
    first[7, 2], first[9, 1] = 5.0, 6.0
    assert _core.cross_entropy(first, labels, 0.3, 1.0, 0.0, 4.0)[2:] == (7, -1)
    first, labels = table()
    labels[:] = np.argmin(first, axis=1)
    labels[11], first[11, :] = 0, 3.0
    assert _core.cross_entropy(first, labels, 0.3, 0.0042, 1.0, 4.0)[3] >= 0
    labels[5] = 6
    with pytest.raises(ValueError, match="label is 6, expected 0 <= label < 6"):
        _core.cross_entropy(first, labels, 0.3, 1.0, 0.0, 4.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_who_fires_first(dtype):
    first, _ = table(dtype=dtype)
    expected = np.where(np.isfinite(first).any(axis=1), np.argmin(first, axis=1), -1)
    assert np.array_equal(_core.first_to_fire(first, 6), expected)
    assert expected[3] == -1 and expected[4] == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_of_a_record(dtype):
    net, (spikes, labels) = problem(dtype=dtype)
    net.parameters["hidden.tau_mem"] = 1.5
    record = snnfp.simulate(net, spikes, until=4.0)
    for name in ("hidden", "output"):
        at = record.first_indices(name)
        times = np.where(at >= 0, record.times[at], np.inf)
        assert np.array_equal(record.first_spikes(name), times)
        assert record.first_spikes(name).dtype == dtype
        given = np.random.default_rng(0).normal(size=at.shape).astype(dtype)
        flat = np.zeros(record.n_spikes, dtype=dtype)
        flat[at[at >= 0]] = given[at >= 0]
        population = net.populations[name]
        assert np.array_equal(_core.of_first_spikes(record._core, population.index, given), flat)
        counted = record._counts[population.offset : population.offset + population.size]
        assert np.array_equal(counted, record.counts(name).sum(axis=0))
    # Two populations together, and a population's spikes one by one.
    both = {n: np.ones_like(record.first_spikes(n)) for n in ("hidden", "output")}
    apart = [record.vjp({n: v}) for n, v in both.items()]
    together = record.vjp(both)
    for name, value in together.items():
        np.testing.assert_allclose(value, apart[0][name] + apart[1][name], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="the derivative has 3 elements, expected"):
        _core.of_first_spikes(record._core, 0, np.zeros(3, dtype))
    with pytest.raises(ValueError, match="population is 2, expected 0 <= population < 2"):
        _core.first_times(record._core, 2)
    assert labels.size == record.n_samples


def test_near_tangent_by_neuron():
    """Each neuron by its own constants."""
    net, (spikes, _) = problem()
    rng = np.random.default_rng(0)
    for name in ("tau_mem", "tau_syn", "threshold"):
        net.parameters[f"hidden.{name}"] = rng.uniform(0.8, 1.2)
    record = snnfp.simulate(net, spikes, until=4.0)
    for fraction in (1e-3, 0.3, 1.0):
        least = []
        for p in net.populations.values():
            own = {
                k: np.broadcast_to(net.parameters[f"{p.name}.{k}"], p.size)
                for k in ("tau_mem", "tau_syn", "threshold", "v_reset")
            }
            tau = np.minimum(own["tau_mem"], own["tau_syn"])
            least.append(fraction * (own["threshold"] - own["v_reset"]) / tau)
        expected = np.count_nonzero(record.slopes < np.concatenate(least)[record.neurons])
        slope, near, _ = _core.figures(record._core, fraction)
        assert (slope, near) == (record.slopes.min(), expected)
    assert expected > 0


def test_batches_are_taken_as_by_hand():
    _, (spikes, _) = problem()
    chosen = np.array([5, 0, 59, 5])
    taken = spikes.take(chosen)
    assert taken == snnfp.Spikes.concatenate([spikes[int(k)] for k in chosen])
    with pytest.raises(ValueError, match="sample is 60, expected 0 <= sample < 60"):
        _core.take_samples(spikes.times, spikes.units, spikes.offsets, np.array([60]))


def test_the_loss_and_its_accuracy_are_those_of_the_core():
    net, (spikes, labels) = problem()
    record = snnfp.simulate(net, spikes, until=4.0)
    loss = FirstSpikeCrossEntropy(tau0=0.3, tau1=2.0, gamma=0.01, horizon=4.0)
    value, cotangents = loss(record, labels)
    first = record.first_spikes("output")
    t = np.where(np.isfinite(first), first, 4.0)
    p = np.exp(-t / 0.3)
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loss.probabilities(record), p, rtol=1e-12)
    mine = -np.log(p[np.arange(60), labels]) + 0.01 * np.expm1(t[np.arange(60), labels] / 2.0)
    assert value == pytest.approx(mine.mean(), rel=1e-13)
    assert cotangents["output"].shape == first.shape
    assert loss.accuracy(record, labels) == np.mean(loss.predict(record) == labels)
