"""Derivatives where events tie and a parameter can move to one side only (cpp/MATH.md E8)."""

from __future__ import annotations

import numpy as np
import pytest
import snnfp

MODES = ("reverse", "forward")
INTEGRATOR = {"tau_mem": np.inf, "tau_syn": np.inf}  # V' = I: all numbers here are exact
CONNECTIVITIES = (
    "dense",
    "dense delays",
    "dense source delays",
    "dense target delays",
    "sparse",
    "sparse delays",
    "sparse source delays",
    "sparse target delays",
    "one to one",
)


def delays(kind: str, delay: float, size: int, synapses: tuple[int, ...]) -> object:
    """The same delay for all, as often as the kind says."""
    if not kind.endswith("delays"):
        return delay
    shape = (size, 1) if "source" in kind else (1, size) if "target" in kind else synapses
    return np.full(shape, delay)


def connectivity(kind: str, weight: float, delay: float = 0.0, size: int = 1) -> object:
    """All synapses of a 1-to-1 or a diagonal pair of groups, in each form there is."""
    eye = np.eye(size)
    if kind.startswith("dense"):
        return snnfp.Dense(weight=weight * eye, delay=delays(kind, delay, size, (size, size)))
    if kind.startswith("sparse"):
        ids = np.arange(size)
        each = delays(kind, delay, size, (size,))
        return snnfp.Sparse(sources=ids, targets=ids, weight=weight, delay=each)
    return snnfp.OneToOne(weight=weight, delay=delay)


def rows(record: snnfp.Record, name: str, mode: str) -> np.ndarray:
    """The derivative of every spike by one number."""
    unit = np.eye(record.n_spikes)
    return np.array([record.vjp(u, wrt=name, mode=mode)[name].sum() for u in unit])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", CONNECTIVITIES)
def test_no_refractory_time_and_a_self_loop_without_delay(kind: str, mode: str) -> None:
    """For t_refractory > 0 the neuron's own spike arrives before its release: spike k moves by k."""
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(1, snnfp.LIF(**INTEGRATOR), name="h")
    net.connect(x, h, snnfp.Dense(weight=1.0))
    net.connect(h, h, connectivity(kind, 0.5))
    record = snnfp.simulate(net, snnfp.Spikes([0.0], [0], [0, 1], size=1), until=3.0, n_threads=1)
    assert record.n_spikes == 5
    np.testing.assert_allclose(rows(record, "h.t_refractory", mode), np.arange(5.0), atol=1e-14)
    jvp = record.jvp({"h.t_refractory": np.ones(net.parameters["h.t_refractory"].shape)})
    np.testing.assert_allclose(jvp, np.arange(5.0), atol=1e-14)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["dense", "dense delays", "sparse", "sparse delays"])
def test_no_refractory_time_and_a_cycle_without_delay(kind: str, mode: str) -> None:
    """Two equal neurons that fire at one moment and hear each other then."""
    net = snnfp.Network()
    x = net.input(1)
    a = net.population(1, snnfp.LIF(tau_mem=3.0, tau_syn=2.0), name="a")
    b = net.population(1, snnfp.LIF(tau_mem=3.0, tau_syn=2.0), name="b")
    for group in (a, b):
        net.connect(x, group, snnfp.Dense(weight=2.0))
    net.connect(a, b, connectivity(kind, 0.25))
    net.connect(b, a, connectivity(kind, 0.25))
    spikes = snnfp.Spikes([0.0], [0], [0, 1], size=1)
    record = snnfp.simulate(net, spikes, until=8.0, n_threads=1)
    assert record.counts("a")[0, 0] >= 3
    # Together: one alone is put off past the other's arrivals (the limit that is tested below).
    both = rows(record, "a.t_refractory", mode) + rows(record, "b.t_refractory", mode)

    def moved(h: float) -> np.ndarray:
        net.parameters["a.t_refractory"] = h
        net.parameters["b.t_refractory"] = h
        return snnfp.simulate(net, spikes, until=9.0, n_threads=1).times[: record.n_spikes]

    h = 1e-5
    expected = (4.0 * moved(h) - moved(2 * h) - 3.0 * record.times) / (2 * h)
    np.testing.assert_allclose(both, expected, atol=1e-7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["dense", "dense delays", "sparse", "sparse delays"])
def test_a_limit_where_one_of_two_that_fire_together_is_put_off(kind: str, mode: str) -> None:
    """Its spike then comes after an arrival that fell on it; derivatives keep the order of events.

    They are those of moves that keep the neurons together, and add up to them; one-sided ones by
    each alone, which differences see, do not.
    """
    net = snnfp.Network()
    x = net.input(1)
    lif = snnfp.LIF(**INTEGRATOR)
    a, b = net.population(1, lif, name="a"), net.population(1, lif, name="b")
    for one, other in ((a, b), (b, a)):
        net.connect(x, one, snnfp.Dense(weight=1.0))
        net.connect(one, other, connectivity(kind, 0.5))
    spikes = snnfp.Spikes([0.0], [0], [0, 1], size=1)
    record = snnfp.simulate(net, spikes, until=3.0, n_threads=1)
    of_a = record.neurons == 0
    np.testing.assert_allclose(record.times[of_a], np.cumsum(2 / np.arange(2.0, 7.0)), rtol=1e-14)
    by_a, by_b = (rows(record, f"{name}.t_refractory", mode) for name in "ab")
    # In the order of events, the other's arrival behind the spike it fell on, by hand:
    own, other = [0, 1, 7 / 4, 49 / 20, 47 / 15], [0, 0, 1 / 4, 11 / 20, 13 / 15]
    for rows_of, first in ((by_a, of_a), (by_b, ~of_a)):
        np.testing.assert_allclose(rows_of[first], own, atol=1e-14)
        np.testing.assert_allclose(rows_of[~first], other, atol=1e-14)

    def moved(**by: float) -> list[np.ndarray]:
        for name in "ab":
            net.parameters[f"{name}.t_refractory"] = by.get(name, 0.0)
        later = snnfp.simulate(net, spikes, until=4.0, n_threads=1)
        step = max(by.values())
        times = (later.times[later.neurons == n][:5] for n in (0, 1))
        return [(t - record.times[of_a]) / step for t in times]

    for difference in moved(a=2.0**-20, b=2.0**-20):
        np.testing.assert_allclose(difference, np.add(own, other), atol=1e-5)
    alone = moved(a=2.0**-20)
    np.testing.assert_allclose(alone[0], [0, 3 / 4, 23 / 16, 101 / 48, 2785 / 1008], atol=1e-5)
    np.testing.assert_allclose(alone[1], [0, 0, 3 / 16, 7 / 16, 103 / 144], atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_the_same_limit_by_the_delay_of_an_input(mode: str) -> None:
    """Each neuron's input has its own: the first spike is put off past the other's arrival."""
    net = snnfp.Network()
    x = net.input(1)
    h = net.population(2, snnfp.LIF(**INTEGRATOR, t_refractory=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=1.0, delay=[[0.0, 0.0]]), name="p")
    net.connect(h, h, snnfp.Dense(weight=[[0.0, 0.5], [0.5, 0.0]]))
    spikes = snnfp.Spikes([0.0], [0], [0, 1], size=1)
    record = snnfp.simulate(net, spikes, until=1.5, n_threads=1)
    np.testing.assert_array_equal(record.times, [1.0, 1.0])
    first = [record.vjp(u, wrt="p.delay", mode=mode)["p.delay"][0] for u in np.eye(2)]
    np.testing.assert_array_equal(first, [[1.0, 0.0], [0.0, 1.0]])

    def moved(*delays: float) -> list[float]:
        net.parameters["p.delay"] = [delays]
        later = snnfp.simulate(net, spikes, until=1.5, n_threads=1)
        return [float(later.times[later.neurons == n][0] - 1.0) for n in (0, 1)]

    assert moved(2.0**-20, 2.0**-20) == [2.0**-20, 2.0**-20]
    np.testing.assert_allclose(moved(2.0**-20, 0.0), [2.0**-20 * 2 / 3, 0.0], rtol=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", CONNECTIVITIES)
@pytest.mark.parametrize("wrt", ["delay", "times"])
def test_an_arrival_without_delay_at_a_release(wrt: str, kind: str, mode: str) -> None:
    """A longer delay brings it after the release. Its time may move both ways: in the order of events."""
    net = snnfp.Network()
    x = net.input(1, name="x")
    y = net.input(1, name="y")
    h = net.population(1, snnfp.LIF(**INTEGRATOR, t_refractory=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=1.0))
    net.connect(y, h, connectivity(kind, 1.0), name="p")
    at = {
        "x": snnfp.Spikes([0.0], [0], [0, 1], size=1),
        "y": snnfp.Spikes([2.0], [0], [0, 1], size=1),
    }
    record = snnfp.simulate(net, at, until=3.0, n_threads=1)
    # Fires at 1, is held until 2, where the second input arrives: V' = 2 from there on.
    np.testing.assert_array_equal(record.times, [1.0, 2.5])
    name = "p.delay" if wrt == "delay" else "y.times"
    np.testing.assert_array_equal(rows(record, name, mode), [0.0, 0.5 if wrt == "delay" else 0.0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", CONNECTIVITIES)
def test_an_input_at_the_time_of_a_spike(kind: str, mode: str) -> None:
    """It counts in V'(r+) by a refractory time of 0, whatever its delay, and by nothing else."""
    net = snnfp.Network()
    x = net.input(1, name="x")
    y = net.input(2, name="y")
    h = net.population(2, snnfp.LIF(**INTEGRATOR), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[1.0, 1.0]]))
    net.connect(y, h, connectivity(kind, 1.0, 0.5, size=2), name="p")
    at = {
        "x": snnfp.Spikes([0.0], [0], [0, 1], size=1),
        "y": snnfp.Spikes([0.5], [0], [0, 1], size=2),
    }
    record = snnfp.simulate(net, at, until=2.25, n_threads=1)
    # The first neuron has twice the current from its spike at 1 on; the second fires at 1 and 2.
    np.testing.assert_array_equal(record.times, [1.0, 1.0, 1.5, 2.0, 2.0])
    np.testing.assert_array_equal(record.neurons, [0, 1, 0, 0, 1])
    unit = np.eye(record.n_spikes)
    by_refractory = [
        record.vjp(u, wrt="h.t_refractory", mode=mode)["h.t_refractory"].sum() for u in unit
    ]
    np.testing.assert_array_equal(by_refractory, [0.0, 0.0, 1.0, 2.0, 1.0])
    by_delay = [record.vjp(u, wrt="p.delay", mode=mode)["p.delay"].sum() for u in unit]
    np.testing.assert_array_equal(by_delay, [0.0, 0.0, 0.5, 0.5, 0.0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", [*CONNECTIVITIES[:-1], "layer"])
def test_random_networks_against_one_sided_differences(kind: str, mode: str) -> None:
    """Self-loops and cycles without delay, no refractory time, several samples."""
    rng = np.random.default_rng(5)
    checked = left_out = 0
    for _ in range(8):
        n = 4
        net = snnfp.Network()
        x = net.input(3)
        h = net.population(
            n,
            snnfp.LIF(
                tau_mem=rng.uniform(2, 5, n), tau_syn=rng.uniform(1, 3, n), t_refractory=np.zeros(n)
            ),
            name="h",
        )
        net.connect(x, h, snnfp.Dense(weight=rng.uniform(0.4, 1.2, (3, n))))
        if kind == "layer":
            y = net.population(2, snnfp.LIF(tau_mem=3.0, tau_syn=2.0), name="y")
            net.connect(h, y, snnfp.Dense(weight=rng.uniform(0.3, 0.8, (n, 2))))
        elif kind.startswith("dense"):
            delay = delays(kind, 0.0, n, (n, n))
            net.connect(h, h, snnfp.Dense(weight=rng.uniform(-0.2, 0.3, (n, n)), delay=delay))
        else:
            sources, targets = np.nonzero(rng.random((n, n)) < 0.7)
            delay = delays(kind, 0.0, n, (sources.size,))
            weight = rng.uniform(-0.2, 0.3, sources.size)
            net.connect(
                h, h, snnfp.Sparse(sources=sources, targets=targets, weight=weight, delay=delay)
            )
        times = np.sort(rng.uniform(0, 4, (2, 6)), axis=1)
        spikes = snnfp.Spikes(times.ravel(), rng.integers(0, 3, 12), [0, 6, 12], size=3)
        loss = snnfp.losses.SpikeTimeFunction(
            function=lambda record, _: (
                float(np.sum(np.cos(record.times))),
                -np.sin(record.times),
            )
        )
        found = snnfp.testing.check_gradient(
            net,
            spikes,
            None,
            loss,
            wrt=("*.t_refractory", "*.delay"),
            until=8.0,
            mode=mode,
            step=1e-7,
            tolerance=1e-6,
            n_threads=1,
        )
        checked += found.checked
        left_out += found.left_out
        assert found.max_error <= 1e-6, found
    assert checked >= 40 and left_out <= 0.1 * checked
