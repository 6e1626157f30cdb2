"""Spikes just over threshold at any ratio of time constants, and the range of scales."""

import re

import numpy as np
import pytest
import snnfp
from mpmath import mp, mpf
from networks import quiet
from snnfp.errors import ClockError


def largest_kappa(tau_mem, tau_syn):
    """The largest response of V to a unit of current, in as many digits as it takes."""
    with mp.workdps(80):
        alpha, beta = 1 / mpf(tau_syn), 1 / mpf(tau_mem)
        if alpha == beta:
            return mp.exp(-1) / alpha
        return mp.exp(-beta * mp.log(alpha / beta) / (alpha - beta)) / alpha


def simulate(dtype, weight, time=0.0, until=np.inf, sparse=False, engine="automatic", **neuron):
    net = snnfp.Network(dtype=dtype)
    x = net.input(1, name="x")
    h = net.population(1, snnfp.LIF(t_refractory=np.inf, **neuron), name="h")
    if sparse:
        net.connect(x, h, snnfp.Sparse(sources=[0], targets=[0], weight=weight))
    else:
        net.connect(x, h, snnfp.Dense(weight=weight))
    spikes = snnfp.Spikes.from_lists([[[time]]])
    return quiet(net, spikes, until=until, engine=engine)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [0, 1, 4, 6, 8, 12, 16, 17, 20])
@pytest.mark.parametrize("slow", ["synapse", "membrane"])
def test_a_spike_just_over_threshold_at_any_ratio(dtype, exponent, slow):
    tau = dtype(10.0**exponent)
    taus = (
        {"tau_mem": 1.0, "tau_syn": tau} if slow == "synapse" else {"tau_mem": tau, "tau_syn": 1.0}
    )
    critical = 1 / largest_kappa(float(taus["tau_mem"]), float(taus["tau_syn"]))
    eps = np.finfo(dtype).eps
    for over in (1000 * eps, 1e-3, 0.1):
        for sparse in (False, True):
            for engine in ("automatic", "queue"):
                options = dict(taus, until=200.0, sparse=sparse, engine=engine)
                record = simulate(dtype, float(critical * (1 + over)), **options)
                assert record.n_spikes == 1, (over, sparse, engine)
                record = simulate(dtype, float(critical * (1 - over)), **options)
                assert record.n_spikes == 0, (over, sparse, engine)


def test_an_endless_synapse():
    for dtype in (np.float32, np.float64):
        for weight, n in ((1.001, 1), (0.999, 0)):
            assert simulate(dtype, weight, tau_mem=1.0, tau_syn=np.inf, until=50.0).n_spikes == n


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("over", [1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("weight", [-0.5, -3.0, -100.0])
@pytest.mark.parametrize("tau_syn", [0.1, 2.0, 20.0, 300.0])
def test_inhibited_and_driven_just_over_threshold(dtype, over, weight, tau_syn):
    """V dips, and rises to bias tau_mem in the end; the input comes before V is up."""
    for sparse in (False, True):
        for engine in ("automatic", "queue"):
            options = dict(tau_mem=2.0, tau_syn=tau_syn, until=1e4, sparse=sparse, engine=engine)
            fires = simulate(dtype, weight, bias=0.5 * (1 + over), time=0.5, **options)
            assert fires.n_spikes == 1
            silent = simulate(dtype, weight, bias=0.5 * (1 - over), time=0.5, **options)
            assert silent.n_spikes == 0


@pytest.mark.parametrize(
    ("dtype", "scales"),
    [
        (np.float64, (1e-200, 1e-160, 1e-50, 1.0, 1e50, 1e155, 1e200)),
        (np.float32, (1e-25, 1e-22, 1e-18, 1e-6, 1.0, 1e6, 1e18, 1e20, 1e29)),
    ],
)
def test_any_unit_of_voltage(dtype, scales):
    for scale in scales:
        record = simulate(dtype, 3 * scale, time=0.1, tau_mem=2.0, tau_syn=1.0, threshold=scale)
        # V = 2 w (y - y^2) with y = e^(-d / 2).
        expected = 0.1 - 2 * np.log((1 + np.sqrt(1 - 2 / 3)) / 2)
        assert record.times[0] == pytest.approx(expected, rel=float(8 * np.finfo(dtype).eps))
        y = (1 + np.sqrt(1 / 3)) / 2
        slope = 3 * y * (2 * y - 1)
        by_weight = -2 * (y - y * y) / slope
        gradient = record.vjp(np.ones(1, dtype))["x_to_h.weight"].item()
        assert gradient == pytest.approx(
            by_weight / scale, rel=1e-4 if dtype is np.float32 else 1e-12
        )


@pytest.mark.parametrize(
    ("dtype", "weights"),
    [(np.float64, (1e10, 1e100, 1e150)), (np.float32, (1e10, 1e15, 1e18))],
)
def test_a_huge_weight_fires_at_once_and_has_a_gradient(dtype, weights):
    for weight in weights:
        record = simulate(dtype, weight, tau_mem=2.0, tau_syn=1.0)
        assert record.times[0] == pytest.approx(1 / weight, rel=1e-6)
        gradient = record.vjp(np.ones(1, dtype))["x_to_h.weight"].item()
        assert gradient == pytest.approx(-1 / weight / weight, rel=1e-5)


@pytest.mark.parametrize(
    ("dtype", "neuron", "weight", "words"),
    [
        (np.float64, {"threshold": 3e280}, 9e280, ["h.threshold[0]", "e+280", "unit of voltage"]),
        (np.float64, {"threshold": 3e-280}, 9e-280, ["h.threshold[0]", "e-280", "unit of voltage"]),
        (np.float32, {"threshold": 3e35}, 9e35, ["h.threshold[0]", "e+35", "unit of voltage"]),
        (np.float32, {"threshold": 3e-35}, 9e-35, ["h.threshold[0]", "e-35", "unit of voltage"]),
        (np.float32, {}, 3e20, ["x_to_h.weight[0, 0]", "e+20", "out of proportion"]),
        (np.float64, {}, 3e200, ["x_to_h.weight[0, 0]", "e+200", "out of proportion"]),
        (np.float64, {"tau_mem": 3e-310}, 3.0, ["h.tau_mem[0]", "e-310", "unit of time"]),
        (np.float64, {"capacitance": 3e-320}, 3.0, ["h.capacitance[0]", "e-320", "unit of charge"]),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(dtype, neuron, weight, words):
    with pytest.raises(ValueError, match=r"\[0") as error:
        simulate(dtype, weight, **{"tau_mem": 2.0, "tau_syn": 1.0, **neuron})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("connectivity", "name"),
    [
        (snnfp.Dense(weight=[[1.0, 1.0], [1.0, 1e200]]), "weight[1, 1]"),
        (snnfp.Sparse(sources=[1, 0], targets=[0, 1], weight=[1.0, 1e200]), "weight[1]"),
    ],
    ids=["dense", "sparse"],
)
@pytest.mark.parametrize("recorded", [False, True])
def test_a_weight_out_of_range_is_named_as_it_was_given(connectivity, name, recorded):
    net = snnfp.Network()
    x = net.input(2, name="x")
    lif = snnfp.LIF(tau_mem=2.0, tau_syn=1.0)
    net.connect(x, net.population(2, lif, name="h"), connectivity)
    spikes = snnfp.Spikes([0.0], [0], [0, 1], size=2)
    with pytest.raises(ValueError, match=rf"^x_to_h\.{re.escape(name)} is \S+, expected at most"):
        if recorded:
            snnfp.record_from_spikes(net, spikes, {"h": spikes}, tolerance=1e-9)
        else:
            snnfp.simulate(net, spikes)


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [(np.float32, 8388608.0, 16777216.0), (np.float64, 4503599627370496.0, 9007199254740992.0)],
)
def test_a_clock_coarser_than_the_time_constants(dtype, good, bad):
    for sparse in (False, True):
        for engine in ("automatic", "queue"):
            options = dict(tau_mem=2.0, tau_syn=1.0, sparse=sparse, engine=engine)
            record = simulate(dtype, 3.0, time=good, **options)
            assert record.times.tolist() == [good + 1.0]
            for time in (bad, 4 * bad, 1000 * bad):
                with pytest.raises(ClockError, match="neuron 0 of population h") as error:
                    simulate(dtype, 3.0, time=time, **options)
                assert isinstance(error.value, ValueError)
                for word in ("sample 0", "tau_mem = 2", "tau_syn = 1", "does not resolve"):
                    assert word in str(error.value)
