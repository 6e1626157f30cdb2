"""Dense projections in which some synapses are not there: what is 0 stays 0."""

import copy
import pickle

import numpy as np
import pytest
import snnfp
from snnfp import init, testing

UNTIL = 12.0
MASK = np.random.default_rng(7).random((5, 8)) < 0.6


def network(mask=MASK, weight=None, dtype=np.float64):
    net = snnfp.Network(dtype)
    x = net.input(5, name="x")
    neuron = snnfp.LIF(tau_mem=5.0, tau_syn=2.0, t_refractory=0.5)
    h = net.population(8, neuron, name="h")
    y = net.population(3, neuron, name="y")
    weight = init.Normal(1.5, 0.8) if weight is None else weight
    net.connect(x, h, snnfp.Dense(weight=weight, mask=mask, delay=0.2), name="in")
    loops = ~np.eye(8, dtype=bool)
    net.connect(h, h, snnfp.Dense(weight=init.Normal(0.0, 0.3), mask=loops, delay=0.5), name="back")
    net.connect(h, y, snnfp.Dense(weight=init.Normal(0.8, 0.4)), name="out")
    return net.initialise(seed=3)


def spikes(samples=4):
    return snnfp.Spikes.from_latencies(np.random.default_rng(1).uniform(0, 6, (samples, 5)))


def sparse_twin(net):
    """The same with lists of synapses."""
    twin = snnfp.Network(net.dtype)
    for g in net.inputs.values():
        twin.input(g.size, name=g.name)
    for p in net.populations.values():
        twin.population(p.size, snnfp.LIF(tau_mem=5.0, tau_syn=2.0, t_refractory=0.5), name=p.name)
    for q in net.projections.values():
        there = np.ones(q.shape, bool) if q.mask is None else q.mask
        sources, targets = np.nonzero(there)
        weight = net.parameters[f"{q.name}.weight"][there]
        delay = net.parameters[f"{q.name}.delay"]
        kind = snnfp.Sparse(sources=sources, targets=targets, weight=weight, delay=delay)
        twin.connect(q.source, q.target, kind, name=q.name)
    return twin


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_is_the_sparse_network(dtype):
    net = network(dtype=dtype)
    twin = sparse_twin(net)
    records = [snnfp.simulate(n, spikes(), until=UNTIL) for n in (net, twin)]
    # A weight of 0 is an arrival too, so that the digits differ.
    close = 1e-11 if dtype == np.float64 else 1e-3
    assert np.array_equal(records[0].neurons, records[1].neurons) and records[0].counts("y").any()
    assert np.allclose(records[0].times, records[1].times, rtol=close, atol=0)
    assert [c.adjoint for c in records[0].components] == ["loop", "layer"]
    u = np.cos(np.arange(records[0].n_spikes)).astype(dtype)
    for mode in ("reverse", "forward"):
        got, each = (r.vjp(u, wrt="*", mode=mode) for r in records)
        for name in ("in.weight", "back.weight"):
            mask = net.projections[name.split(".")[0]].mask
            assert got[name].shape == mask.shape
            assert np.all(got[name][~mask] == 0) and np.count_nonzero(got[name][mask]) > 15
            scale = np.max(np.abs(got[name]))
            assert np.max(np.abs(got[name][mask] - each[name])) <= close * scale
    rows = records[0].jacobian(of="y", wrt="in.weight")["in.weight"]
    assert np.all(rows[:, ~MASK] == 0) and np.any(rows[:, MASK] != 0)
    along = np.where(MASK, 0.5, 1e6).astype(dtype)  # what is not there cannot move
    moved = [r.jvp({"in.weight": t}) for r, t in zip(records, (along, along[MASK]), strict=True)]
    assert np.allclose(moved[0], moved[1], rtol=close, atol=close)


def loss(record, labels):
    u = np.cos(np.arange(record.n_spikes))
    return float(u @ record.times), u


def test_by_differences():
    found = testing.check_gradient(
        network(), spikes(2), None, loss, wrt=["in.weight", "back.weight"], until=UNTIL
    )
    assert found.ok and found.checked + found.left_out == MASK.sum() + 56
    assert found.checked >= 60


def test_stays_dense_and_fast():
    # A mask leaves the projection on the kernels of dense ones.
    rng = np.random.default_rng(0)
    mask = rng.random((5, 8)) < 0.5
    records = []
    for m in (mask, None):
        net = snnfp.Network()
        x, h = net.input(5), net.population(8, snnfp.LIF(tau_mem=5.0, tau_syn=2.0), name="h")
        weight = np.where(mask, 2.0, 0.0)
        net.connect(x, h, snnfp.Dense(weight=weight, mask=m), name="in")
        records.append(snnfp.simulate(net, spikes(), until=UNTIL))
    assert records[0].components == records[1].components
    assert np.array_equal(records[0].times, records[1].times)


def test_values_are_zero_where_nothing_is():
    net = network()
    assert np.all(net.parameters["in.weight"][~MASK] == 0)
    assert np.all(net.parameters["in.weight"][MASK] != 0)
    net.parameters["in.weight"] = 2.0  # one number for all that are there
    assert np.array_equal(net.parameters["in.weight"], np.where(MASK, 2.0, 0.0))
    assert not net.parameters["in.weight"].flags.writeable
    net.parameters["in.weight"] = np.where(MASK, -1.0, -0.0)
    with pytest.raises(
        ValueError, match=r"in.weight\[\d, \d\] is 1.0, expected 0: the mask has no"
    ):
        net.parameters["in.weight"] = np.ones(MASK.shape)
    with pytest.raises(
        ValueError, match=r"in.weight\[\d, \d\] is 1.0, expected 0: the mask has no"
    ):
        network(weight=np.ones(MASK.shape))
    flat = net.flatten("in.weight")
    net.unflatten(2 * flat, "in.weight")
    assert np.array_equal(net.parameters["in.weight"], np.where(MASK, -2.0, 0.0))
    bad = np.where(MASK, 1.0, 0.0)
    at = np.argwhere(MASK)[3]
    bad[tuple(at)] = np.inf
    with pytest.raises(ValueError, match=rf"in.weight\[{at[0]}, {at[1]}\] is inf, expected a fin"):
        net.parameters["in.weight"] = bad


@pytest.mark.parametrize("keep_zero", [False, True])
@pytest.mark.parametrize(
    "optimiser", [snnfp.Adam(lr=1e-2, weight_decay=1e-2), snnfp.SGD(lr=1e-2, momentum=0.9)]
)
def test_training_leaves_them_alone(optimiser, keep_zero):
    net = network(weight=init.Normal(0.5, 0.3))
    remedies = [
        snnfp.remedies.WeightBump(amount=0.1, keep_zero=keep_zero),
        snnfp.remedies.LabelBump(amount=0.1, keep_zero=keep_zero),
    ]
    before = net.parameters["in.weight"]
    snnfp.fit(
        net,
        (spikes(12), np.arange(12) % 3),
        loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=UNTIL),
        optimiser=optimiser,
        epochs=3,
        batch_size=4,
        clip_norm=1.0,
        remedies=remedies,
        progress=False,
    )
    after = net.parameters["in.weight"]
    assert np.all(after[~MASK] == 0) and np.all(after[MASK] != before[MASK])
    assert np.all(np.diag(net.parameters["back.weight"]) == 0)


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_remedies_ask_only_for_what_is_there():
    net = network(weight=0.0)
    record = snnfp.simulate(net, spikes(), until=UNTIL)
    assert record.is_silent("h")
    bump = snnfp.remedies.WeightBump(amount=1.0, populations=("h",), keep_zero=False)
    changed, helped = bump(net, record, None, {"in.weight": np.zeros(MASK.shape)})
    assert np.array_equal(changed["in.weight"] != 0, MASK)
    assert helped == np.count_nonzero(MASK.any(axis=0))


def test_kept_and_copied(tmp_path):
    net = network()
    times = snnfp.simulate(net, spikes(), until=UNTIL).times
    net.save(tmp_path / "net.safetensors")
    for same in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), network()):
        same.load(tmp_path / "net.safetensors")
        assert same.fingerprint() == net.fingerprint()
        assert np.array_equal(snnfp.simulate(same, spikes(), until=UNTIL).times, times)
        with pytest.raises(ValueError, match="the mask has no synapse there"):
            same.parameters["in.weight"] = np.ones(MASK.shape)
    others = (network(mask=None), network(mask=~MASK))
    for other in others:
        with pytest.raises(snnfp.errors.FormatError, match="of another network: projections there"):
            other.load(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((5, 8)), TypeError, "in: mask has dtype float64, expected bool"),
        (np.ones((8, 5), bool), ValueError, r"in: mask has shape \(8, 5\), expected \(5, 8\)"),
    ],
)
def test_bad_masks(mask, error, message):
    with pytest.raises(error, match=message):
        network(mask=mask)
