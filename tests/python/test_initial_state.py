"""Gradients of runs that begin in a state of their own: every parameter, both modes."""

import numpy as np
import pytest
import snnfp
from mpmath import mp, mpf
from networks import distance, quiet, random_network
from reference.sensitivities import NEURON, jacobian
from reference.simulation import simulate
from test_reference import build

UNTIL = 6.0


def states(rng, samples, n):
    return rng.uniform(-0.3, 0.6, (samples, n)), rng.uniform(-0.5, 1.5, (samples, n))


@pytest.mark.parametrize("seed", range(8))
def test_against_the_reference(seed):
    """Each sample's spikes and Jacobian at 40 digits, of a batch of two different states."""
    rng = np.random.default_rng(500 + seed)
    voltage, current = states(rng, 2, 3)
    neurons, synapses, inputs, net, spikes = build(seed)
    both = snnfp.Spikes.concatenate([spikes, spikes])
    record = quiet(net, both, until=UNTIL, initial={"h": (voltage, current)})
    got = record.jacobian(of=np.arange(record.n_spikes), wrt="*")
    u = np.cos(np.arange(record.n_spikes))
    sums = {mode: record.vjp(u, wrt="*", mode=mode) for mode in ("forward", "reverse")}
    total = {name: 0.0 for name in got}
    for sample in range(2):
        with mp.workdps(40):
            initial = [
                (mpf(float(v)), mpf(float(i))) for v, i in zip(voltage[sample], current[sample])
            ]
            result = simulate(neurons, synapses, inputs, mpf(UNTIL), initial)
            rows, columns = jacobian(neurons, synapses, inputs, result, initial)
            rows = np.array([[float(x) for x in row] for row in rows])
        part = slice(*record.offsets[sample : sample + 2])
        assert record.neurons[part].tolist() == [j for _, j, _ in result.spikes]
        condition = max(1.0, 1 / record.min_slope)
        times = np.array([float(t) for t, _, _ in result.spikes])
        np.testing.assert_allclose(record.times[part], times, rtol=4e-15 * condition)
        wanted = {
            "input_to_h.weight": columns.weight[:4],
            "input_to_h.delay": columns.delay[:4],
            "h_to_h.weight": columns.weight[4:],
            "h_to_h.delay": columns.delay[4:],
        } | {f"h.{k}": columns.neuron[k] for k in NEURON}
        assert {*wanted, "input.times"} == set(got)
        for name, of in wanted.items():
            of = np.where(np.isfinite(net.parameters[name]), of, -1)
            expected = np.where(of >= 0, rows[:, of], 0.0)
            scale = max(1.0, np.max(np.abs(expected)))
            mine = np.where(of >= 0, got[name][part], 0.0)
            np.testing.assert_allclose(
                mine, expected, atol=1e-12 * condition * scale, rtol=1e-7, err_msg=name
            )
            total[name] = total[name] + u[part] @ expected
        n = len(inputs)
        own = got["input.times"][part][:, sample * n : (sample + 1) * n]
        scale = max(1.0, np.max(np.abs(rows[:, columns.input])))
        np.testing.assert_allclose(
            own, rows[:, columns.input], atol=1e-12 * condition * scale, rtol=1e-7
        )
        for gradient in sums.values():
            part_sum = gradient["input.times"][sample * n : (sample + 1) * n]
            expected = u[part] @ rows[:, columns.input]
            np.testing.assert_allclose(part_sum, expected, atol=1e-11 * condition * scale)
    for mode, gradient in sums.items():
        for name, expected in total.items():
            if name == "input.times":
                continue
            mine = np.where(np.isfinite(net.parameters[name]), gradient[name], 0.0)
            scale = max(1.0, np.max(np.abs(expected)))
            np.testing.assert_allclose(
                mine, expected, atol=1e-11 * condition * scale, err_msg=f"{name} {mode}"
            )


@pytest.mark.parametrize("kind", ["layers", "loop", "delays"])
@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_against_differences(kind, mode):
    """Of graphs that each simulator takes, by everything the reverse sweep does and does not take."""
    worst, checked = [], 0
    for seed in range(4):
        rng = np.random.default_rng(40 + seed)
        net, spikes = graph(rng, kind)
        voltage, current = states(rng, 3, 6)
        initial = {"hidden": (voltage, current), "output": (voltage[:, :3], 0.2)}

        def loss(record, labels):
            u = np.cos(np.arange(record.n_spikes))
            return float(u @ record.times), u

        for wrt in (("*.tau_mem", "*.tau_syn"), ("*.weight", "*.bias", "*.threshold", "*.v_reset")):
            result = snnfp.testing.check_gradient(
                net,
                spikes,
                None,
                loss,
                wrt=wrt,
                until=UNTIL,
                mode=mode,
                initial=initial,
                n_threads=1,
                step=3e-6,
                max_elements=5,
                seed=seed,
                tolerance=1e-4,
            )
            assert result.ok, (seed, result)
            worst.append(result.max_error)
            checked += result.checked
    assert checked > 100
    assert np.median(worst) <= 1e-7


def graph(rng, kind):
    if kind == "delays":
        return random_network(rng, samples=3, until=UNTIL)
    net = snnfp.Network()
    x = net.input(4)
    sizes = {"hidden": 6, "output": 3}
    h, y = (
        net.population(
            n,
            snnfp.LIF(
                tau_mem=rng.uniform(1, 4, n),
                tau_syn=rng.uniform(0.5, 3, n),
                threshold=rng.uniform(0.8, 1.2, n),
                v_reset=rng.uniform(-0.2, 0.1, n),
                t_refractory=rng.uniform(0.1, 0.5, n),
                bias=rng.uniform(-0.05, 0.1, n),
            ),
            name=name,
        )
        for name, n in sizes.items()
    )
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.8, 0.5, (4, 6)), delay=0.2))
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.4, 0.4, (6, 3)), delay=0.1))
    if kind == "loop":
        net.connect(h, h, snnfp.Dense(weight=rng.normal(0, 0.3, (6, 6)), delay=0.3))
    pairs = [(rng.uniform(0, 4, 8), rng.integers(0, 4, 8)) for _ in range(3)]
    return net, snnfp.Spikes.from_pairs(pairs, size=4)


@pytest.mark.parametrize("kind", ["layers", "loop", "delays"])
def test_each_sample_has_its_own(kind):
    """A sample of a batch has the spikes and the gradient that it has alone."""
    rng = np.random.default_rng(3)
    net, spikes = graph(rng, kind)
    voltage, current = states(rng, 3, 6)
    record = quiet(net, spikes, until=UNTIL, initial={"hidden": (voltage, current)})
    swept = ("*.weight", "*.delay", "*.threshold", "*.v_reset", "*.t_refractory", "*.bias")
    for sample in range(3):
        initial = {"hidden": (voltage[sample], current[sample])}
        alone = quiet(net, spikes[sample], until=UNTIL, initial=initial)
        part = slice(*record.offsets[sample : sample + 2])
        assert np.array_equal(record.times[part], alone.times)
        u = np.zeros(record.n_spikes)
        u[part] = np.cos(np.arange(alone.n_spikes))
        for wrt in ("*", swept, "*.capacitance"):
            for mode in ("forward", "reverse"):
                wanted = alone.vjp(u[part], wrt=wrt, mode=mode)
                got = record.vjp(u, wrt=wrt, mode=mode)
                of_sample = slice(*spikes.offsets[sample : sample + 2])
                if "input.times" in got:
                    got["input.times"] = got["input.times"][of_sample]
                assert distance(got, wanted) <= 1e-13


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("unit", [1.0, 1e-2, 1e-3, 1e-6])
@pytest.mark.parametrize("how", ["parameter", "option", "kept"])
def test_a_current_that_outlives_the_last_spike(how, unit, dtype):
    """A neuron that is never released: what I would do then is no part of any derivative."""
    net = snnfp.Network(dtype=dtype)
    x = net.input(1, name="x")
    forever = np.inf if how != "option" else 0.0
    lif = snnfp.LIF(tau_mem=2 * unit, tau_syn=unit, t_refractory=forever)
    h = net.population(1, lif, name="h")
    net.connect(x, h, snnfp.Dense(weight=5 / unit))
    spikes = snnfp.Spikes.from_lists([[[0.1 * unit]]])
    options = {"until": 5 * unit, "initial": {h: (0.1, 0.3 / unit)}}
    first = ["h"] if how == "option" else []
    record = snnfp.simulate(net, spikes, first_spikes_of=first, **options)
    assert record.n_spikes == 1
    if how == "kept":
        times = [float(record.times[0]), 3 * unit]  # the second within the refractory time
        recorded = {h: snnfp.Spikes.from_lists([[times]])}
        record = snnfp.record_from_spikes(
            net, spikes, recorded, tolerance=np.inf, on_fault="keep", **options
        )
        assert record.n_spikes == 2
    both = [
        record.vjp(np.ones(record.n_spikes), wrt="*", mode=mode) for mode in ("reverse", "forward")
    ]
    for name in both[0]:
        assert np.all(np.isfinite(both[0][name])), name
        np.testing.assert_allclose(
            *(b[name] for b in both), rtol=1e-4 if dtype == np.float32 else 1e-11, err_msg=name
        )
    assert both[0]["h.tau_syn"] != 0
