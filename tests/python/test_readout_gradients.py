"""Derivatives of what is read off readouts on random networks: forward equals reverse, and both the
differences of the whole simulation."""

import numpy as np
import pytest
import snnfp
from readout_networks import READINGS, UNTIL, listened, record_of

STEP = 1e-4
CENTRAL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


def cotangents(record, readings, seed=0):
    rng = np.random.default_rng(seed)
    return {r: rng.normal(size=record.readout(r).shape) for r in readings}


@pytest.mark.parametrize("recurrent", [False, True])
def test_forward_equals_reverse(recurrent):
    """Along random directions of all parameters and input times, in both modes of vjp."""
    checked = 0
    for seed in range(25):
        net, spikes = listened(seed, recurrent=recurrent)
        record = record_of(net, spikes)
        rng = np.random.default_rng(seed)
        gradient = {}
        for reading in READINGS:
            c = cotangents(record, [reading], seed)
            reverse = record.vjp(c, wrt="*")
            forward = record.vjp(c, wrt="*", mode="forward")
            tangents = {n: rng.normal(size=g.shape) for n, g in reverse.items()}
            along = np.sum(c[reading] * record.readout_jvp(reading, tangents=tangents))
            size = sum(np.sum(np.abs(g * tangents[n])) for n, g in reverse.items())
            for found in (reverse, forward):
                assert list(found) == list(net.select("*"))
                total = sum(np.sum(g * tangents[n]) for n, g in found.items())
                assert abs(total - along) <= 1e-12 * size
            gradient = {n: gradient.get(n, 0) + g for n, g in reverse.items()}
            checked += 1
        together = record.vjp(cotangents(record, READINGS, seed), wrt="*")
        assert set(together) == set(gradient)
    assert checked == 25 * len(READINGS)


def test_readings_and_spikes_add_up():
    """The gradient by several readings and the spikes of a population is the sum of theirs."""
    net, spikes = listened(3)
    record = record_of(net, spikes)
    parts = cotangents(record, READINGS) | {"output": np.ones(record.indices("output").size)}
    whole = record.vjp(parts, wrt="*")
    alone = [record.vjp({k: c}, wrt="*") for k, c in parts.items()]
    for name, gradient in whole.items():
        total = sum(a[name] for a in alone)
        assert np.allclose(gradient, total, rtol=1e-12, atol=1e-12 * np.max(np.abs(total)))
    assert np.array_equal(record.vjp(parts, wrt="out.*")["out.bias"], whole["out.bias"])


def value_of(net, spikes, readings, weights, pattern):
    record = record_of(net, spikes)
    if not np.array_equal(record.neurons, pattern):
        return None
    return sum(float(np.sum(weights[r] * record.readout(r))) for r in readings)


def test_against_differences():
    """Of order four, of a random element of each parameter; the maximum has kinks, and is apart."""
    errors, left_out, infinite = [], 0, 0
    readings = [r for r in READINGS if r.value != "max"]
    for seed in range(40):
        net, spikes = listened(seed, samples=1, recurrent=seed % 2 == 0)
        record = record_of(net, spikes)
        weights = cotangents(record, readings)
        gradient = record.vjp(weights, wrt="*")
        rng = np.random.default_rng(seed)
        for name in (n for n in gradient if n.startswith(("out", "alike", "again", "hidden_to"))):
            before = net.parameters[name]
            flat = before.reshape(-1)
            k = int(rng.integers(flat.size))
            if not np.isfinite(flat[k]):
                infinite += 1
                continue
            h = STEP * max(1.0, abs(flat[k]))
            if name.endswith(("delay", "t_refractory")) and flat[k] < 2 * h:
                continue  # one-sided
            total = 0.0
            for steps, share in CENTRAL:
                moved = flat.copy()
                moved[k] += steps * h
                net.parameters[name] = moved.reshape(before.shape)
                value = value_of(net, spikes, readings, weights, record.neurons)
                if value is None:
                    break
                total += share * value
            net.parameters[name] = before
            if value is None:
                left_out += 1
                continue
            exact = gradient[name].reshape(-1)
            scale = max(np.max(np.abs(exact)), 1.0)
            errors.append(abs(total / h - exact[k]) / scale)
    assert len(errors) > 500 and infinite > 5 and left_out <= 0.05 * len(errors)
    assert np.median(errors) <= 1e-10
    # What arrives or is read within a step of a kink is what is left.
    assert np.quantile(errors, 0.98) <= 1e-7


@pytest.mark.parametrize("reading", READINGS, ids=lambda r: f"{r.readout}-{r.value}")
def test_check_gradient(reading):
    """The user's own tool, by every parameter and the input times."""
    net, spikes = listened(11, samples=3)
    c = cotangents(record_of(net, spikes), [reading])

    def loss(record, labels):
        return float(np.sum(c[reading] * record.readout(reading))), c

    for mode in ("reverse", "forward"):
        found = snnfp.testing.check_gradient(
            net, spikes, None, loss, until=UNTIL, max_elements=6, mode=mode
        )
        assert found.ok and found.checked > 80


def test_one_sample_more_changes_nothing():
    """What is read of a sample, and its derivatives, do not depend on the others."""
    net, spikes = listened(5, samples=7)
    record = record_of(net, spikes)
    for k in (0, 3, 6):
        alone = record_of(net, spikes.take(np.array([k])))
        for reading in READINGS:
            assert np.array_equal(alone.readout(reading)[0], record.readout(reading)[k])


def test_spikes_after_the_end_are_not_heard():
    """Nor those whose delay takes them past it."""
    net = snnfp.Network()
    x = net.input(1)
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="idle")
    net.readout(1, snnfp.LI(tau_mem=2.0, tau_syn=1.0), name="out")
    net.connect(x, "out", snnfp.Dense(weight=1.0, delay=1.0))
    both = snnfp.Spikes([1.0, UNTIL - 0.5, UNTIL + 1], [0, 0, 0], [0, 3], size=1)
    one = snnfp.Spikes([1.0], [0], [0, 1], size=1)
    records = [record_of(net, spikes) for spikes in (both, one)]
    for reading in READINGS[:5]:
        said = [r.readout(reading) for r in records]
        assert np.array_equal(*said) and np.any(said[0])
        by = records[0].vjp({reading: np.ones_like(said[0])}, wrt="input.times")["input.times"]
        assert by[1] == by[2] == 0.0
