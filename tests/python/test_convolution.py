"""Conv2D and AvgPool2D against the same networks with a weight a synapse, written down by loops."""

import copy
import pickle

import numpy as np
import pytest
import snnfp
from snnfp import testing

NEURON = {"tau_mem": 5.0, "tau_syn": 2.0, "t_refractory": 0.5, "capacitance": 2.0}
UNTIL = 10.0

CONVOLUTIONS = {
    "plain": {"shape_in": (1, 6, 5), "kernel": (3, 3), "channels": 2},
    "strides and padding": {
        "shape_in": (2, 7, 6),
        "kernel": (3, 2),
        "channels": 3,
        "stride": (2, 1),
        "padding": (2, 1),
    },
    "wide stride": {"shape_in": (3, 6, 8), "kernel": (2, 2), "channels": 2, "stride": 3},
    "one place": {"shape_in": (2, 4, 4), "kernel": (4, 4), "channels": 4},
    "one tap": {"shape_in": (2, 3, 3), "kernel": (1, 1), "channels": 3},
}


def both(value):
    return value if isinstance(value, tuple) else (value, value)


def written_down(shape_in, channels, kernel, stride=1, padding=0):
    """(shape of the target, sources, targets, index into the kernel) by loops over everything."""
    (c_in, height, width), (sy, sx), (py, px) = shape_in, both(stride), both(padding)
    out = ((height + 2 * py - kernel[0]) // sy + 1, (width + 2 * px - kernel[1]) // sx + 1)
    rows = []
    for o, yo, xo in np.ndindex(channels, *out):
        for i, ky, kx in np.ndindex(c_in, *kernel):
            y, x = yo * sy + ky - py, xo * sx + kx - px
            if 0 <= y < height and 0 <= x < width:
                source = np.ravel_multi_index((i, y, x), shape_in)
                target = np.ravel_multi_index((o, yo, xo), (channels, *out))
                rows.append((source, target, o, i, ky, kx))
    table = np.array(rows)
    return (channels, *out), table[:, 0], table[:, 1], tuple(table[:, 2:].T)


def network(sizes, connections, dtype=np.float64):
    """A chain of populations; `connections`: one connectivity a step."""
    net = snnfp.Network(dtype)
    group = net.input(sizes[0], name="x")
    for k, (size, connectivity) in enumerate(zip(sizes[1:], connections, strict=True)):
        following = net.population(size, snnfp.LIF(**NEURON), name=f"h{k}")
        net.connect(group, following, connectivity, name=f"p{k}")
        group = following
    return net


def pair(case, *, delays, dtype=np.float64):
    """The same network with a convolution and with one weight a synapse, and its input."""
    rng = np.random.default_rng(3)
    shape = (case["channels"], case["shape_in"][0], *case["kernel"])
    weight = rng.normal(1.2, 0.8, shape).astype(dtype)
    delay = rng.uniform(0, 1, shape).astype(dtype) if delays else dtype(0.25)
    options = {k: v for k, v in case.items() if k in ("shape_in", "stride", "padding")}
    conv = snnfp.Conv2D(weight=weight, delay=delay, **options)
    shape_out, sources, targets, at = written_down(**case)
    assert conv.kernel_shape == shape and conv.shape_out == shape_out
    later = snnfp.Dense(weight=rng.normal(0.5, 0.3, (conv.size_out, 2)))
    sizes = [conv.size_in, conv.size_out, 2]
    apart = snnfp.Sparse(
        sources=sources, targets=targets, weight=weight[at], delay=delay[at] if delays else delay
    )
    spikes = snnfp.Spikes.from_latencies(rng.uniform(0, 5, (4, conv.size_in)))
    return network(sizes, [conv, later], dtype), network(sizes, [apart, later], dtype), spikes, at


def summed(each, at, shape):
    total = np.zeros(shape)
    np.add.at(total, at, each.astype(np.float64))
    return total


@pytest.mark.parametrize("delays", [False, True], ids=["one delay", "delays one a weight"])
@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_is_the_sparse_network(case, delays):
    shared, apart, spikes, at = pair(case, delays=delays)
    record = snnfp.simulate(shared, spikes, until=UNTIL)
    other = snnfp.simulate(apart, spikes, until=UNTIL)
    assert np.array_equal(record.times, other.times) and record.counts("h1").any()
    assert np.array_equal(record.neurons, other.neurons)
    u = np.random.default_rng(4).normal(size=record.n_spikes)
    reverse, forward = record.vjp(u, wrt="*"), record.vjp(u, wrt="*", mode="forward")
    each = other.vjp(u, wrt="*")
    for name, gradient in reverse.items():
        sums = name == "p0.weight" or (name == "p0.delay" and delays)
        expected = summed(each[name], at, gradient.shape) if sums else each[name]
        scale = np.max(np.abs(gradient), initial=0.0)
        assert np.max(np.abs(gradient - expected), initial=0.0) <= 1e-12 * scale, name
        assert np.max(np.abs(gradient - forward[name]), initial=0.0) <= 1e-12 * scale, name
    # Rows of the Jacobian, in one piece and in blocks, have the kernel's elements too.
    matrix = record.jacobian(of="h1", wrt="p0.weight")["p0.weight"]
    assert matrix.shape == record.indices("h1").shape + shared.parameters["p0.weight"].shape
    blocks = list(record.jacobian_blocks(of="h1", wrt="p0.weight", columns=4))
    flat = matrix.reshape(matrix.shape[0], -1)
    for name, elements, block in blocks:
        assert name == "p0.weight" and np.array_equal(block, flat[:, elements])


@pytest.mark.parametrize("delays", [False, True])
def test_single_precision(delays):
    shared, apart, spikes, at = pair(
        CONVOLUTIONS["strides and padding"], delays=delays, dtype=np.float32
    )
    record, other = (snnfp.simulate(net, spikes, until=UNTIL) for net in (shared, apart))
    assert record.times.dtype == np.float32 and np.array_equal(record.times, other.times)
    u = np.ones(record.n_spikes, np.float32)
    got, each = (r.vjp(u, wrt="p0.weight")["p0.weight"] for r in (record, other))
    expected = summed(each, at, got.shape)
    # Rounded once, at the end.
    assert np.max(np.abs(got - expected)) <= 1e-7 * np.max(np.abs(expected))


def test_threads():
    shared, _, spikes, _ = pair(CONVOLUTIONS["strides and padding"], delays=True)
    found = []
    for n in (1, 3):
        record = snnfp.simulate(shared, spikes, until=UNTIL, n_threads=n)
        u = np.cos(np.arange(record.n_spikes))
        found.append((record.times, *record.vjp(u, wrt="p0.*", n_threads=n).values()))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def loss(record, labels):
    u = np.cos(np.arange(record.n_spikes))
    return float(u @ record.times), u


def test_by_differences():
    conv = snnfp.Conv2D(
        shape_in=(1, 6, 6),
        channels=2,
        kernel=3,
        weight=snnfp.init.Normal(1.0, 0.6),
        delay=snnfp.init.Uniform(0.0, 1.0),
    )
    pool = snnfp.AvgPool2D(shape_in=conv.shape_out, kernel=2, weight=2.5, delay=0.1)
    net = network([36, conv.size_out, pool.size_out], [conv, pool]).initialise(seed=2)
    spikes = snnfp.Spikes.from_latencies(np.random.default_rng(0).uniform(0, 4, (2, 36)))
    found = testing.check_gradient(net, spikes, None, loss, wrt=["p*"], until=6.0)
    assert found.ok and found.checked >= 30 and found.max_error < 1e-6, found


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"kernel": 2}, (3, 2, 3)),
        ({"kernel": (3, 2), "stride": 1, "padding": (1, 0)}, (3, 5, 5)),
        ({"kernel": 2, "stride": (1, 2)}, (3, 4, 3)),
    ],
)
def test_pooling(options, shape):
    pool = snnfp.AvgPool2D(shape_in=(3, 5, 6), weight=0.75, **options)
    assert pool.shape_out == shape
    kernel = both(options["kernel"])
    found = [
        written_down((1, 5, 6), 1, kernel, options.get("stride", kernel), options.get("padding", 0))
    ] * 3
    sources = np.concatenate([f[1] + 30 * c for c, f in enumerate(found)])
    targets = np.concatenate([f[2] + shape[1] * shape[2] * c for c, f in enumerate(found)])
    later = snnfp.Dense(weight=1.0)
    sizes = [90, pool.size_out, 1]
    apart = snnfp.Sparse(sources=sources, targets=targets, weight=0.75)
    spikes = snnfp.Spikes.from_latencies(np.random.default_rng(1).uniform(0, 5, (3, 90)))
    nets = [network(sizes, [first, later]) for first in (pool, apart)]
    records = [snnfp.simulate(net, spikes, until=UNTIL) for net in nets]
    assert np.array_equal(records[0].times, records[1].times) and records[0].n_spikes > 50
    u = np.cos(np.arange(records[0].n_spikes))
    one, each = (r.vjp(u, wrt="p0.weight")["p0.weight"] for r in records)
    assert one.shape == () and abs(one - each.sum()) <= 1e-12 * np.abs(each).sum()
    nets[0].parameters["p0.weight"] = 0.5
    assert nets[0].parameters["p0.weight"] == 0.5


def test_delays_of_every_kind():
    shared, apart, spikes, at = pair(CONVOLUTIONS["plain"], delays=False)
    rng = np.random.default_rng(8)
    n = shared.projections["p0"].shape[0]
    n_in, n_out = shared.projections["p0"].ends
    assert shared.projections["p0"].targets.shape == (n,)
    for shape in ((), (n_in, 1), (1, n_out), (2, 1, 3, 3)):
        delay = rng.uniform(0, 1, shape)
        shared.parameters["p0.delay"] = delay
        apart.parameters["p0.delay"] = delay[at] if delay.ndim == 4 else delay
        records = [snnfp.simulate(net, spikes, until=UNTIL) for net in (shared, apart)]
        assert np.array_equal(records[0].times, records[1].times)
        u = np.ones(records[0].n_spikes)
        got, each = (r.vjp(u, wrt="p0.delay")["p0.delay"] for r in records)
        expected = summed(each, at, shape) if delay.ndim == 4 else each
        assert got.shape == shape
        assert np.allclose(got, expected, rtol=1e-12, atol=1e-12 * np.abs(each).sum())
    shared.parameters["p0.delay"] = rng.uniform(0, 1, n)
    assert snnfp.simulate(shared, spikes, until=UNTIL).n_spikes > 20
    with pytest.raises(ValueError, match=r"p0.delay has shape \(2, 9\), expected \(\) or"):
        shared.parameters["p0.delay"] = np.zeros((2, 9))


def test_kept_and_copied(tmp_path):
    shared, apart, spikes, _ = pair(CONVOLUTIONS["strides and padding"], delays=True)
    times = snnfp.simulate(shared, spikes, until=UNTIL).times
    for same in (copy.deepcopy(shared), pickle.loads(pickle.dumps(shared))):
        assert same.fingerprint() == shared.fingerprint()
        assert np.array_equal(snnfp.simulate(same, spikes, until=UNTIL).times, times)
    shared.save(tmp_path / "net.safetensors")
    flat = shared.flatten("p0.*")
    assert flat.size == 2 * 3 * 2 * 3 * 2
    shared.unflatten(0.5 * flat, "p0.*")
    assert not np.array_equal(snnfp.simulate(shared, spikes, until=UNTIL).times, times)
    shared.load(tmp_path / "net.safetensors")
    assert np.array_equal(snnfp.simulate(shared, spikes, until=UNTIL).times, times)
    with pytest.raises(snnfp.errors.FormatError, match="of another network: projections there"):
        apart.load(tmp_path / "net.safetensors")
    assert shared.structure()["projections"]["p0"]["weight"] == [3, 2, 3, 2]
    # The same synapses with weights shared in another way are another network.
    other, _, _, _ = pair(CONVOLUTIONS["strides and padding"], delays=True)
    assert other.fingerprint() == shared.fingerprint() != apart.fingerprint()


def test_trains_with_remedies():
    conv = snnfp.Conv2D(
        shape_in=(1, 6, 6), channels=2, kernel=3, stride=2, weight=snnfp.init.Normal(1.0, 0.3)
    )
    later = snnfp.Dense(weight=snnfp.init.Normal(1.0, 0.3))
    net = network([36, conv.size_out, 3], [conv, later]).initialise(seed=1)
    rng = np.random.default_rng(2)
    spikes = snnfp.Spikes.from_latencies(rng.uniform(0, 4, (12, 36)))
    before = net.parameters["p0.weight"]
    remedies = [snnfp.remedies.WeightBump(amount=0.01), snnfp.remedies.LabelBump(amount=0.01)]
    history = snnfp.fit(
        net,
        (spikes, np.arange(12) % 3),
        loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=UNTIL),
        optimiser=snnfp.Adam(lr=1e-2),
        epochs=2,
        batch_size=4,
        remedies=remedies,
        progress=False,
    )
    assert len(history.epochs["loss"]) == 2
    after = net.parameters["p0.weight"]
    assert after.shape == before.shape and np.all(after != before)


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_bump_of_a_shared_weight_is_the_mean_over_its_synapses():
    conv = snnfp.Conv2D(shape_in=(1, 1, 4), channels=1, kernel=(1, 2), weight=[[[[1e-3, 1e-3]]]])
    net = network([4, 3], [conv])
    # Units 0 and 1 fire, all three neurons are silent: tap 0 sees two of three, tap 1 one of three.
    spikes = snnfp.Spikes.from_lists([[[1.0], [1.0], [], []]])
    record = snnfp.simulate(net, spikes, until=UNTIL)
    bump = snnfp.remedies.WeightBump(amount=3.0)
    changed, helped = bump(net, record, None, {"p0.weight": np.zeros((1, 1, 1, 2))})
    assert helped == 3 and np.allclose(changed["p0.weight"].reshape(-1), [-2.0, -1.0])
    label = snnfp.remedies.LabelBump(amount=3.0)
    changed, helped = label(net, record, [1], {"p0.weight": np.zeros((1, 1, 1, 2))})
    assert helped == 1 and np.allclose(changed["p0.weight"].reshape(-1), [-1.0, 0.0])


def conv(**options):
    return snnfp.Conv2D(
        **{"shape_in": (2, 5, 5), "channels": 3, "kernel": 3, "weight": 0.1, **options}
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shape_in": (5, 5)}, ValueError, r"shape_in is \(5, 5\), expected \(channels, height"),
        ({"shape_in": (2, 0, 5)}, ValueError, r"shape_in\[1\] is 0, expected at least 1"),
        ({"channels": None}, ValueError, "channels is None, expected a size"),
        ({"kernel": None}, ValueError, "kernel is None, expected a size"),
        ({"kernel": 6}, ValueError, "the height of the kernel is 6, expected at most 5"),
        ({"kernel": (1, 2, 3)}, ValueError, r"kernel is \(1, 2, 3\), expected one number or two"),
        ({"kernel": 2.0}, TypeError, "kernel is 2.0, expected an integer or a pair"),
        ({"stride": 0}, ValueError, "stride is 0, expected at least 1"),
        ({"padding": 3}, ValueError, "padding is 3, expected at least 0 and less than the kernel"),
        ({"padding": 0.5}, TypeError, "padding is 0.5, expected an integer or two"),
        (
            {"weight": np.zeros((3, 1, 3, 3))},
            ValueError,
            r"weight has shape \(3, 1, 3, 3\), expected \(channels, 2, height, width\)",
        ),
        (
            {"weight": np.zeros((4, 2, 3, 3))},
            ValueError,
            r"weight has shape \(4, 2, 3, 3\), expected \(3, 2, 3, 3\)",
        ),
    ],
)
def test_bad_convolutions(options, error, message):
    with pytest.raises(error, match=message):
        conv(**options)


def test_bad_ends_and_values():
    with pytest.raises(
        ValueError, match=r"p0: shape_in is \(2, 5, 5\), 50 units, .* source has, 49"
    ):
        network([49, 27], [conv()])
    with pytest.raises(ValueError, match=r"p0: shape_out is \(3, 3, 3\), 27 units, .* has, 28"):
        network([50, 28], [conv()])
    net = network([50, 27], [conv()])
    value = np.zeros((3, 2, 3, 3))
    value[2, 1, 0, 1] = np.nan
    with pytest.raises(ValueError, match=r"p0.weight\[2, 1, 0, 1\] is nan, expected a finite"):
        net.parameters["p0.weight"] = value
    with pytest.raises(ValueError, match=r"p0.weight has shape \(450,\), expected \(3, 2, 3, 3\)"):
        net.parameters["p0.weight"] = np.zeros(450)
    with pytest.raises(TypeError, match="kernel is None"):
        snnfp.AvgPool2D(shape_in=(1, 4, 4), kernel=None, weight=1.0)
