"""Events at one time, and derivatives there: every simulator against rational arithmetic."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from exact_networks import FORMS, HIDDEN, NEURONS, PARAMETERS, draw
from networks import quiet

N_NETWORKS = 120
POPULATIONS = {"h": slice(0, HIDDEN), "o": slice(HIDDEN, NEURONS)}


@pytest.fixture(scope="module")
def networks():
    """Without and with feedback, zero delays in loops, delays of each kind; and their runs."""
    found = {}
    for seed in range(N_NETWORKS):
        rng = np.random.default_rng(seed)
        per = ("projection", "source", "target")[seed // 6 % 3]
        net = draw(rng, feedback=seed % 3 != 0, zero_delay=seed % 2 == 0, per=per)
        if net.inputs:
            found[seed] = net, [net.run(s) for s in range(len(net.inputs))]
    return found


def check_spikes(record, runs, what):
    spikes = [spike for run in runs for spike in run.spikes]
    assert record.neurons.tolist() == [s.neuron for s in spikes], what
    assert np.diff(record.offsets).tolist() == [len(run.spikes) for run in runs], what
    times, slopes = (np.array([float(getattr(s, k)) for s in spikes]) for k in ("time", "slope"))
    np.testing.assert_allclose(record.times, times, rtol=1e-14, err_msg=what)
    np.testing.assert_allclose(record.slopes, slopes, rtol=1e-14, err_msg=what)
    exact = np.array([s.exact for s in spikes])
    assert np.array_equal(record.times[exact], times[exact]), what
    return int(exact.sum())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_order_at_one_time(networks, form, engine):
    """Crossings, then arrivals by (sender, projection, synapse), then releases."""
    exact, ties = 0, Counter()
    for seed, (net, runs) in networks.items():
        record = quiet(
            net.network(form),
            net.spikes(),
            until=net.until,
            initial=net.initial(),
            engine=engine,
        )
        exact += check_spikes(record, runs, f"network {seed}")
        for run in runs:
            ties += run.ties
    assert exact > 300
    assert min(ties.values()) >= 10, ties


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_early_end_at_one_time(networks, form, engine):
    """The readout feeds back: what comes after the end must not change what came before."""
    ended = 0
    for seed, (net, _) in networks.items():
        runs = [
            net.run(s, derivatives=False, stop_after=range(HIDDEN, NEURONS))
            for s in range(len(net.inputs))
        ]
        record = quiet(
            net.network(form),
            net.spikes(),
            until=net.until,
            initial=net.initial(),
            stop_after=["o"],
            engine=engine,
        )
        check_spikes(record, runs, f"network {seed}")
        np.testing.assert_allclose(record.ends, [float(run.end) for run in runs], rtol=1e-14)
        ended += sum(run.end < net.until for run in runs)
    assert ended >= 20


def expected_jacobian(net, runs, form):
    """Rows of the reference as the library lays them out."""
    synapses = net.synapses()
    n_spikes = sum(len(run.spikes) for run in runs)
    first_input = np.cumsum([0] + [len(times) for times, _ in net.inputs])
    out = {"x.times": np.zeros((n_spikes, first_input[-1]))}
    rows = [(k, spike.row) for k, run in enumerate(runs) for spike in run.spikes]

    def column(name, indices):
        return [[float(row.get((name, i), Fraction(0))) for i in indices] for _, row in rows]

    for r, (sample, row) in enumerate(rows):
        for (name, i), value in row.items():
            if name == "input":
                out["x.times"][r, first_input[sample] + i] = float(value)
    for p, (_, _, weight, given) in enumerate(net.projections):
        of = [k for k, s in enumerate(synapses) if s.projection == p]
        shape = weight.shape if form == "dense" else (weight.size,)
        out[f"p{p}.weight"] = np.reshape(column("weight", of), (n_spikes, *shape))
        delay = np.array(column("delay", of)).reshape(n_spikes, *weight.shape)
        if form == "delays":
            out[f"p{p}.delay"] = delay.reshape(n_spikes, -1)
        else:
            shared = tuple(a + 1 for a in range(2) if given.ndim == 0 or given.shape[a] == 1)
            out[f"p{p}.delay"] = delay.sum(axis=shared).reshape(n_spikes, *given.shape)
    for name, part in POPULATIONS.items():
        for key in PARAMETERS:
            out[f"{name}.{key}"] = np.array(column(key, range(NEURONS)[part]))
    return out


@pytest.mark.parametrize("form", FORMS)
def test_derivatives(networks, form):
    """With ties and without, of every spike, from initial states of their own."""
    ties = Counter()
    for seed, (net, runs) in networks.items():
        record = quiet(net.network(form), net.spikes(), until=net.until, initial=net.initial())
        wanted = expected_jacobian(net, runs, form)
        for run in runs:
            ties += run.ties
        jacobian = record.jacobian(of=np.arange(record.n_spikes), wrt=tuple(wanted))
        u = np.cos(np.arange(record.n_spikes))
        forward = record.vjp(u, wrt=tuple(wanted), mode="forward")
        reverse = record.vjp(u, wrt=tuple(wanted))
        for name, rows in wanted.items():
            scale = max(1.0, np.max(np.abs(rows)))
            what = f"network {seed}: {name}"
            rows = rows.reshape(jacobian[name].shape)
            np.testing.assert_allclose(jacobian[name], rows, atol=1e-12 * scale, err_msg=what)
            total = np.tensordot(u, rows, axes=1)
            np.testing.assert_allclose(forward[name], total, atol=1e-11 * scale, err_msg=what)
            np.testing.assert_allclose(reverse[name], total, atol=1e-11 * scale, err_msg=what)
    assert min(ties.values()) >= 10, ties


def test_the_reference_by_refractory_times_of_zero(networks):
    """Its rows against one-sided differences of itself: t_refractory can only grow from 0.

    Where there are other ties too the order of events may not stay, and then the rows are not those
    of differences (cpp/MATH.md E8, and test_one_sided.py where it is a limit).
    """
    step, checked = Fraction(1, 2**100), 0
    kind = "arrival at a spike without refractory time"
    for net, runs in networks.values():
        for sample, run in enumerate(runs):
            if run.ties[kind] == 0 or run.ties.total() > run.ties[kind]:
                continue
            for j in np.flatnonzero(net.neurons["t_refractory"] == 0.0).tolist():
                moved = net.run(sample, later=(j, step), derivatives=False)
                assert [s.neuron for s in moved.spikes] == [s.neuron for s in run.spikes]
                for a, b in zip(run.spikes, moved.spikes, strict=True):
                    row = a.row.get(("t_refractory", j), Fraction(0))
                    assert abs((b.time - a.time) / step - row) < Fraction(1, 2**50)
                    checked += row != 0
    assert checked > 20
