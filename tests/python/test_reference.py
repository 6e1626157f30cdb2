"""Against the second, plain version of the equations in tests/reference."""

import os

import numpy as np
import pytest
import snnfp
from mpmath import mp, mpf
from networks import quiet
from reference.membrane import Neuron
from reference.oracle import first_spike
from reference.sensitivities import NEURON, jacobian
from reference.simulation import Synapse, simulate

N_ORACLE = int(os.environ.get("SNNFP_ORACLE_CASES", "10000"))


def build(seed):
    """The same small network for the reference and for snnfp."""
    rng = np.random.default_rng(seed)
    n, m, channels = 3, 8, 2
    values = {
        "tau_mem": rng.uniform(1, 4, n).round(3),
        "tau_syn": rng.uniform(0.5, 3, n).round(3),
        "threshold": rng.uniform(0.8, 1.2, n).round(3),
        "v_reset": rng.uniform(-0.2, 0.1, n).round(3),
        "t_refractory": np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.1, 0.6, n).round(3)),
        "bias": rng.uniform(-0.05, 0.15, n).round(3),
        "capacitance": rng.uniform(0.8, 1.5, n).round(3),
    }
    if seed % 3 == 0:
        values["tau_syn"][0] = values["tau_mem"][0]
    if seed % 3 == 1:
        values["tau_mem"][1] = np.inf
        values["bias"][1] = 0.0
    ends = rng.integers(0, [channels, n], (4, 2)), rng.integers(0, n, (m - 4, 2))
    weights = np.concatenate([rng.normal(1.5, 0.5, 4), rng.normal(0.3, 0.5, m - 4)]).round(3)
    delays = np.where(rng.random(m) < 0.3, 0.0, rng.uniform(0, 1, m).round(3))
    times = np.sort(rng.uniform(0, 4, 5).round(3))
    units = rng.integers(0, channels, 5)
    synapses = [
        Synapse("input" if k < 4 else "neuron", int(a), int(b), mpf(float(w)), mpf(float(d)))
        for k, ((a, b), w, d) in enumerate(zip(np.concatenate(ends), weights, delays, strict=True))
    ]
    neurons = [Neuron.of(**{k: float(v[j]) for k, v in values.items()}) for j in range(n)]
    net = snnfp.Network()
    x, h = net.input(channels), net.population(n, snnfp.LIF(**values), name="h")
    for group, pairs, part in ((x, ends[0], slice(0, 4)), (h, ends[1], slice(4, m))):
        net.connect(
            group,
            h,
            snnfp.Sparse(
                sources=pairs[:, 0], targets=pairs[:, 1], weight=weights[part], delay=delays[part]
            ),
        )
    spikes = snnfp.Spikes(times, units, [0, 5], size=channels)
    return (
        neurons,
        synapses,
        [(mpf(float(t)), int(u)) for t, u in zip(times, units, strict=True)],
        net,
        spikes,
    )


@pytest.mark.parametrize("seed", range(12))
def test_network(seed):
    """Spikes, and the whole Jacobian by every parameter and input time."""
    with mp.workdps(40):
        neurons, synapses, inputs, net, spikes = build(seed)
        result = simulate(neurons, synapses, inputs, mpf(6))
        rows, columns = jacobian(neurons, synapses, inputs, result)
        expected = np.array([[float(x) for x in row] for row in rows]).reshape(-1, columns.total)
    record = quiet(net, spikes, until=6.0)
    assert record.neurons.tolist() == [j for _, j, _ in result.spikes]
    if not result.spikes:
        return
    condition = max(1.0, 1 / record.min_slope)
    times = np.array([float(t) for t, _, _ in result.spikes])
    np.testing.assert_allclose(record.times, times, rtol=4e-15 * condition)
    got = record.jacobian(of=np.arange(record.n_spikes), wrt="*")
    wanted = {
        "input_to_h.weight": expected[:, columns.weight[:4]],
        "input_to_h.delay": expected[:, columns.delay[:4]],
        "h_to_h.weight": expected[:, columns.weight[4:]],
        "h_to_h.delay": expected[:, columns.delay[4:]],
        "input.times": expected[:, columns.input],
    } | {f"h.{k}": expected[:, columns.neuron[k]] for k in NEURON}
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        scale = max(1.0, np.max(np.abs(value)))
        if name == "h.tau_mem":
            keep = np.isfinite(net.parameters[name])
            value, got[name] = value[:, keep], got[name][:, keep]
        np.testing.assert_allclose(got[name], value, atol=1e-12 * condition * scale, err_msg=name)


def test_first_crossings_against_the_oracle():
    """Single neurons with lists of arrivals, half of them made to graze the threshold."""
    rng = np.random.default_rng(11)
    n, k = N_ORACLE, 5
    tau_mem, tau_syn = rng.uniform(0.5, 5, n), rng.uniform(0.5, 5, n)
    kind = rng.integers(0, 10, n)
    tau_syn = np.where(kind < 2, tau_mem, tau_syn)
    tau_syn = np.where(kind == 2, tau_mem * (1 + 10.0 ** rng.uniform(-15, -2, n)), tau_syn)
    tau_syn = np.where(kind == 3, tau_mem * 1000, tau_syn)
    tau_mem = np.where(kind == 4, 2 * tau_syn, tau_mem)
    bias = np.where(rng.random(n) < 0.3, rng.uniform(-0.3, 0.5, n), 0.0)
    times = np.sort(rng.uniform(0, 4, (n, k)), axis=1)
    weight = rng.normal(0.3, 0.8, (n, k))

    def run():
        net = snnfp.Network()
        x = net.input(k)
        h = net.population(n, snnfp.LIF(tau_mem=tau_mem, tau_syn=tau_syn, bias=bias), name="h")
        # Delays make the arrivals of each neuron its own.
        sources, targets = np.divmod(np.arange(k * n), n)
        net.connect(
            x,
            h,
            snnfp.Sparse(
                sources=sources,
                targets=targets,
                weight=weight.T.reshape(-1),
                delay=times.T.reshape(-1),
            ),
        )
        spikes = snnfp.Spikes(np.zeros(k), np.arange(k), [0, k], size=k)
        return quiet(net, spikes, until=12.0)

    # Scale the weights of half the neurons so that the highest point without a spike is (1 + e).
    high = run_peaks(tau_mem, tau_syn, times, weight)
    graze = (rng.random(n) < 0.5) & (high > 0.05) & (bias == 0)
    e = rng.choice([-1, 1], n) * 10.0 ** rng.uniform(-14, -2, n)
    weight = np.where(
        graze[:, None], weight * ((1 + e) / np.where(high > 0, high, 1))[:, None], weight
    )
    record = run()
    first = record.first_spikes("h")[0]
    silent = int(np.sum(np.isinf(first)))
    assert 0.1 * n < silent < 0.9 * n
    missed = spurious = unsure = 0
    worst = 0.0
    with mp.workdps(50):
        for j in range(n):
            neuron = Neuron.of(
                tau_mem=tau_mem[j],
                tau_syn=tau_syn[j],
                threshold=1,
                v_reset=0,
                t_refractory=0,
                bias=bias[j],
                capacitance=1,
            )
            arrivals = [(mpf(t), mpf(w)) for t, w in zip(times[j], weight[j], strict=True)]
            time, margin = first_spike(neuron, arrivals, mpf(12))
            if margin < 1e-13:
                unsure += 1
            elif time is None:
                spurious += bool(np.isfinite(first[j]))
            elif np.isinf(first[j]):
                missed += 1
            else:
                slope = record.slopes[record.first_indices("h")[0, j]]
                worst = max(worst, abs(first[j] - float(time)) / (1 + 1 / slope))
    assert (missed, spurious) == (0, 0)
    assert worst <= 4e-15
    assert unsure <= 0.1 * n


def run_peaks(tau_mem, tau_syn, times, weight):
    """Highest V of each neuron without spikes, on a fine grid refined by a parabola."""
    grid = np.linspace(0, 12, 6001)
    a, b = 1 / tau_syn[:, None], 1 / tau_mem[:, None]
    x = a - b
    v = np.zeros((tau_mem.size, grid.size))
    for k in range(times.shape[1]):
        d = np.maximum(grid[None] - times[:, k : k + 1], 0)
        y = np.abs(x) * d
        with np.errstate(invalid="ignore", divide="ignore"):
            kappa = d * np.exp(-np.minimum(a, b) * d) * np.where(y > 0, -np.expm1(-y) / y, 1.0)
        v += weight[:, k : k + 1] * kappa
    at = np.clip(np.argmax(v, axis=1), 1, grid.size - 2)
    rows = np.arange(v.shape[0])
    left, middle, right = v[rows, at - 1], v[rows, at], v[rows, at + 1]
    bend = left - 2 * middle + right
    return middle - np.where(bend < 0, (left - right) ** 2 / (8 * np.where(bend < 0, bend, 1)), 0)
