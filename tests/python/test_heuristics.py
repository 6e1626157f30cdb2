"""Bounds on rates: the pseudo-gradient as documented, where it acts, beside the exact gradient."""

import numpy as np
import pytest
import snnfp
from networks import quiet, random_network
from snnfp import Dense, Spikes
from snnfp._settings import describe, revive
from snnfp.heuristics import RateBounds

UNTIL = 8.0


@pytest.fixture
def case():
    return random_network(np.random.default_rng(5), samples=4)


def zeros(net):
    return {
        f"{q.name}.weight": np.zeros_like(net.parameters[f"{q.name}.weight"])
        for q in net.projections.values()
    }


def ends(q, at):
    """Source unit and target neuron of the synapse with this weight."""
    if q.kind == "sparse":
        return q.sources[at[0]], q.targets[at[0]]
    return at if q.kind == "dense" else (at[0], at[0])


def plain(net, record, r):
    """The documented pseudo-gradient, synapse by synapse."""
    p = net.populations[r.population]
    counts = record.counts(p.name)
    duration = r.duration or 1.0
    rate = counts.mean(axis=0) / duration
    if not r.each:
        rate = np.full(p.size, rate.mean())
    value = {k: np.broadcast_to(net.parameters[f"{p.name}.{k}"], p.size) for k in _NEEDED}
    out = zeros(net)
    acted = set()
    for q in net.projections.values():
        if q.target != p.name:
            continue
        sent = record.sent(q.source).mean(axis=0)
        weight = net.parameters[f"{q.name}.weight"]
        for at in np.ndindex(weight.shape):
            i, j = ends(q, at)
            excess = max(0.0, rate[j] - r.high) - max(0.0, r.low - rate[j])
            if excess == 0 or (excess > 0 and counts[:, j].sum() == 0):
                continue
            acted.add(j)
            tau, c, theta, v_r = (value[k][j] for k in _NEEDED)
            count_by_w = sent[i] * min(tau, UNTIL) / (c * (theta - v_r))
            if weight[at] != 0:
                out[f"{q.name}.weight"][at] = r.strength * excess * count_by_w / duration / p.size
    return out, len(acted)


_NEEDED = ("tau_syn", "capacitance", "threshold", "v_reset")


@pytest.mark.parametrize(
    "options",
    [
        {"high": 1.5},
        {"low": 4.0},
        {"low": 2.0, "high": 3.0, "each": True},
        {"high": 0.2, "duration": UNTIL, "each": True},
    ],
)
@pytest.mark.parametrize("population", ["hidden", "output"])
def test_pseudo_gradient(case, population, options):
    net, spikes = case
    net.parameters["output_to_output.weight"] = [0.0, -0.1, 0.2]
    record = quiet(net, spikes, until=UNTIL)
    r = RateBounds(population=population, strength=0.7, **options)
    r.check(net, tuple(zeros(net)))
    got, helped = r(net, record, None, zeros(net))
    wanted, n = plain(net, record, r)
    assert helped == n
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-12, atol=1e-16)
    changed = {k for k, v in got.items() if v.any()}
    assert all(net.projections[k.removesuffix(".weight")].target == population for k in changed)
    rate = record.counts(population).mean(axis=0) / (r.duration or 1.0)
    rate = rate if r.each else rate.mean()
    off = np.maximum(0, rate - r.high) + np.maximum(0, r.low - rate)
    assert r.penalty(record) == pytest.approx(0.35 * np.mean(off**2), rel=1e-13)
    assert bool(changed) == bool(np.any(off > 0))


def test_within_bounds_nothing_is_changed(case):
    net, spikes = case
    record = quiet(net, spikes, until=UNTIL)
    given = zeros(net)
    got, helped = RateBounds(population="hidden", high=100.0, strength=1.0)(
        net, record, None, given
    )
    assert got is given and helped == 0
    # What is not trained has no gradient and gets none.
    r = RateBounds(population="hidden", high=0.1, strength=1.0)
    assert r(net, record, None, {"hidden.tau_mem": np.zeros(6)})[0].keys() == {"hidden.tau_mem"}
    with pytest.raises(ValueError, match="none of which is trained"):
        r.check(net, ("hidden.tau_mem",))


def test_silent_neurons_are_not_made_more_so():
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, Dense(weight=[[9.0, 0.1]]))
    record = quiet(net, Spikes.from_lists([[[1.0]]]), until=UNTIL)
    assert record.fires("h").tolist() == [True, False]
    for options, acts in (({"high": 0.1}, [True, False]), ({"low": 50.0}, [True, True])):
        r = RateBounds(population="h", strength=1.0, **options)
        got, helped = r(net, record, None, zeros(net))
        assert (got["x_to_h.weight"][0] != 0).tolist() == acts and helped == sum(acts)


def test_it_is_the_derivative_of_a_count_without_leak():
    """Of a neuron that only adds up, the true count over large changes of a weight."""
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(1, snnfp.LIF(tau_mem=np.inf, tau_syn=0.5, capacitance=2.0), name="h")
    net.connect(x, h, Dense(weight=6.0))
    spikes = Spikes.from_lists([[np.linspace(0.1, 90.0, 200).tolist()]])
    counts = []
    for w in (5.0, 7.0):
        net.parameters["x_to_h.weight"] = [[w]]
        counts.append(snnfp.simulate(net, spikes, until=100.0).n_spikes)
    record = snnfp.simulate(net, spikes, until=100.0)
    r = RateBounds(population="h", high=0.0, strength=1.0)
    (got,) = r(net, record, None, zeros(net))[0].values()
    assert got.item() / record.n_spikes == pytest.approx((counts[1] - counts[0]) / 2.0, rel=0.02)


def test_in_a_training(case):
    """Applied as a remedy: counts fall, the exact gradient stays what it is, resumed settings."""
    net, spikes = case
    data = (spikes, np.zeros(4, int))
    loss = snnfp.losses.SpikeTimeFunction(function=nothing)
    options = {"until": UNTIL, "epochs": 30, "progress": False, "batch_size": 4}
    before = dict(net.parameters)
    r = RateBounds(population="hidden", high=1.0, strength=1.0)
    history = snnfp.fit(net, data, loss=loss, optimiser=snnfp.SGD(lr=0.03), remedies=[r], **options)
    assert history["spikes/hidden"][0] > 1.5 * history.last("spikes/hidden") > 1.5
    assert history["remedied"][0] == 6 and history["norm"][0] > 0
    for name, value in before.items():
        moved = not np.array_equal(value, net.parameters[name])
        assert moved == name.endswith(("_to_hidden.weight",))
    assert revive(describe(r)) == r


def test_frozen_weights_stay(case):
    net, spikes = case
    data = (spikes, np.zeros(4, int))
    before = net.parameters["input_to_hidden.weight"]
    frozen = np.zeros(before.shape, bool)
    frozen[0] = True
    snnfp.fit(
        net, data, loss=snnfp.losses.SpikeTimeFunction(function=nothing), until=UNTIL, epochs=2,
        optimiser=snnfp.SGD(lr=0.03), frozen={"input_to_hidden.weight": frozen}, progress=False,
        remedies=[RateBounds(population="hidden", high=1.0, strength=1.0)],
    )  # fmt: skip
    after = net.parameters["input_to_hidden.weight"]
    assert np.array_equal(before[0], after[0]) and (before[1:] != after[1:]).any()


def nothing(record, labels):
    return 0.0, np.zeros(record.n_spikes)


def test_shared_weights_gather_their_synapses():
    conv = snnfp.Conv2D(shape_in=(1, 3, 3), weight=np.full((2, 1, 2, 2), 0.6), padding=1)
    net = snnfp.Network()
    x = net.input(9, name="x")
    h = net.population(conv.size_out, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    q = net.connect(x, h, conv)
    rng = np.random.default_rng(0)
    spikes = Spikes.from_pairs([(rng.uniform(0, 3, 40), rng.integers(0, 9, 40))], size=9)
    record = snnfp.simulate(net, spikes, until=UNTIL)
    r = RateBounds(population="h", high=0.1, strength=1.0, each=True)
    (got,) = r(net, record, None, {"x_to_h.weight": np.zeros((2, 1, 2, 2))})[0].values()
    wanted = np.zeros(got.size)
    counts, sent = record.counts("h")[0], record.sent("x")[0]
    for k, (i, j) in enumerate(zip(q.sources, q.targets, strict=True)):
        if counts[j]:
            wanted[q.weight_of[k]] += (counts[j] - 0.1) * sent[i] / h.size
    assert wanted.any()
    np.testing.assert_allclose(got.reshape(-1), wanted, rtol=1e-12)


def test_what_is_refused(case):
    net, _ = case
    for bad, message in (
        ({"low": -1.0}, "low is -1.0 and high inf"),
        ({"low": 2.0, "high": 1.0}, "low is 2.0 and high 1.0"),
        ({"low": np.nan}, "low is nan"),
        ({"strength": 0.0}, "strength is 0.0"),
        ({"duration": 0.0}, "duration is 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            RateBounds(**{"population": "hidden", "strength": 1.0, **bad})
    with pytest.raises(KeyError, match="nobody"):
        RateBounds(population="nobody", strength=1.0).check(net, ())
    endless = snnfp.Network()
    x = endless.input(1, name="x")
    h = endless.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=np.inf, t_refractory=5.0), name="h")
    endless.connect(x, h, Dense(weight=1.05))
    record = snnfp.simulate(endless, Spikes.from_lists([[[1.0]]]), until=20.0)
    r = RateBounds(population="h", high=0.0, strength=1.0)
    assert r(endless, record, None, zeros(endless))[0]["x_to_h.weight"].item() > 0
    record.until = np.inf
    with pytest.raises(
        ValueError, match=r"h.tau_syn of neuron 0 is infinite and there is no until"
    ):
        r(endless, record, None, zeros(endless))
