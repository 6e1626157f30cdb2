"""What must change nothing: zero weights, units, orders, neighbours, silent neurons."""

import copy

import numpy as np
import pytest
import snnfp
from networks import lif, permuted, quiet, random_network, same_bits

UNTIL = 8.0


def scaled(net, time=0, voltage=0):
    """The network with times times 2^time and voltages times 2^voltage; capacitances follow times."""
    powers = {
        "tau_mem": time,
        "tau_syn": time,
        "t_refractory": time,
        "delay": time,
        "capacitance": time,
        "weight": voltage,
        "threshold": voltage,
        "v_reset": voltage,
        "bias": voltage,
    }
    other = copy.deepcopy(net)
    for group in net.populations:
        other.parameters[f"{group}.threshold"] = 1e300  # above v_reset at any moment
    for name, value in sorted(net.parameters.items(), reverse=True):
        other.parameters[name] = np.ldexp(value, powers[name.split(".")[-1]])
    return other


def stretched(spikes, power):
    return snnfp.Spikes(
        np.ldexp(spikes.times, power), spikes.units, spikes.offsets, size=spikes.size
    )


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_zero_weight_inputs(engine, recurrent, kind):
    """Anywhere, at the very spike times and one ulp around them."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net, spikes = random_network(rng, recurrent=recurrent, samples=1)
        nothing = net.input(2, name="nothing")
        for group in list(net.populations.values()):
            if kind == "dense":
                zeros = snnfp.Dense(weight=np.zeros((2, group.size)))
            else:
                every = np.arange(group.size)
                zeros = snnfp.Sparse(sources=every % 2, targets=every, weight=0.0)
            net.connect(nothing, group, zeros)
        empty = snnfp.Spikes([], [], [0, 0], size=2)
        before = quiet(net, {"input": spikes, "nothing": empty}, until=UNTIL, engine=engine)
        at = before.times
        times = np.concatenate(
            [at, np.nextafter(at, 0), np.nextafter(at, np.inf), rng.uniform(0, UNTIL, 20)]
        )
        zeros = snnfp.Spikes.from_pairs([(times, rng.integers(0, 2, times.size))], size=2)
        after = quiet(net, {"input": spikes, "nothing": zeros}, until=UNTIL, engine=engine)
        assert np.array_equal(after.neurons, before.neurons)
        assert np.all(np.abs(after.times - before.times) <= 2 * np.spacing(before.times)), seed


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("power", [-20, -1, 3, 20])
def test_unit_of_time(engine, power):
    """Seconds or milliseconds: no constant of the code has a unit."""
    for seed in range(10):
        net, spikes = random_network(np.random.default_rng(seed), recurrent=seed % 2 == 0)
        a = quiet(net, spikes, until=UNTIL, engine=engine)
        other = scaled(net, time=power)
        b = quiet(other, stretched(spikes, power), until=np.ldexp(UNTIL, power), engine=engine)
        assert np.array_equal(np.ldexp(a.times, power), b.times)
        assert np.array_equal(a.neurons, b.neurons)
        assert np.array_equal(np.ldexp(a.slopes, -power), b.slopes)
        u = np.cos(np.arange(a.n_spikes))
        for mode in ("reverse", "forward"):
            left, right = a.vjp(u, mode=mode), b.vjp(u, mode=mode)
            assert all(np.array_equal(np.ldexp(left[k], power), right[k]) for k in left)


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("power", [-20, -1, 3, 20])
def test_unit_of_voltage(engine, power):
    for seed in range(10):
        net, spikes = random_network(np.random.default_rng(seed), recurrent=seed % 2 == 0)
        a = quiet(net, spikes, until=UNTIL, engine=engine)
        b = quiet(scaled(net, voltage=power), spikes, until=UNTIL, engine=engine)
        assert np.array_equal(a.times, b.times)
        assert np.array_equal(a.neurons, b.neurons)
        assert np.array_equal(np.ldexp(a.slopes, power), b.slopes)
        assert a.near_tangent == b.near_tangent
        u = np.cos(np.arange(a.n_spikes))
        voltages = ("weight", "threshold", "v_reset", "bias")
        for mode in ("reverse", "forward"):
            left, right = a.vjp(u, mode=mode, wrt="*"), b.vjp(u, mode=mode, wrt="*")
            for k in left:
                shift = -power if k.endswith(voltages) else 0
                assert np.array_equal(np.ldexp(left[k], shift), right[k]), k


@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_order_of_inputs_at_one_time(engine):
    rng = np.random.default_rng(1)
    for seed in range(10):
        net, _ = random_network(np.random.default_rng(seed), channels=8)
        times = np.repeat(np.sort(rng.uniform(0, 5, 6)), 8)
        units = np.tile(np.arange(8), 6)
        a = quiet(net, snnfp.Spikes(times, units, [0, 48], size=8), until=UNTIL, engine=engine)
        mixed = np.concatenate([rng.permutation(8) for _ in range(6)])
        b = quiet(net, snnfp.Spikes(times, mixed, [0, 48], size=8), until=UNTIL, engine=engine)
        assert same_bits(a, b)


@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_order_of_neurons_and_channels(engine):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        net, spikes = random_network(rng, hidden=7, recurrent=True, samples=3)
        to, channel = rng.permutation(7), rng.permutation(4)  # new number of each
        other = snnfp.Network()
        x = other.input(4)
        back = np.argsort(to)
        value = {
            k: net.parameters[f"hidden.{k}"][back] for k in snnfp.LIF(tau_mem=1, tau_syn=1).values()
        }
        h = other.population(7, snnfp.LIF(**value), name="hidden")
        value = {k: net.parameters[f"output.{k}"] for k in value}
        y = other.population(3, snnfp.LIF(**value), name="output")
        p = net.parameters
        weight = p["input_to_hidden.weight"][np.ix_(np.argsort(channel), back)]
        delay = permuted(p["input_to_hidden.delay"], np.argsort(channel), back)
        other.connect(x, h, snnfp.Dense(weight=weight, delay=delay))
        delay = permuted(p["hidden_to_output.delay"], back, range(3))
        other.connect(h, y, snnfp.Dense(weight=p["hidden_to_output.weight"][back], delay=delay))
        sparse = net.projections["hidden_to_hidden"]
        other.connect(
            h,
            h,
            snnfp.Sparse(
                sources=to[sparse.sources],
                targets=to[sparse.targets],
                weight=p["hidden_to_hidden.weight"],
                delay=permuted(p["hidden_to_hidden.delay"], back, back),
            ),
        )
        other.connect(
            y,
            y,
            snnfp.OneToOne(weight=p["output_to_output.weight"], delay=p["output_to_output.delay"]),
        )
        moved = snnfp.Spikes(spikes.times, channel[spikes.units], spikes.offsets, size=4)
        a = quiet(net, spikes, until=UNTIL, engine=engine)
        b = quiet(other, moved, until=UNTIL, engine=engine)
        numbers = np.concatenate([to, np.arange(7, 10)])
        assert np.array_equal(a.times, b.times)
        assert np.array_equal(numbers[a.neurons], b.neurons)
        u = np.cos(np.arange(a.n_spikes))
        left, right = a.vjp(u, wrt="hidden_to_hidden.*"), b.vjp(u, wrt="hidden_to_hidden.*")
        for k in left:
            moved_back = permuted(left[k], back, back)
            np.testing.assert_allclose(moved_back, right[k], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_order_of_samples_and_batch_size(engine, recurrent):
    """A sample gives the same bits alone, in a batch of 256, and wherever it stands."""
    rng = np.random.default_rng(2)
    net, spikes = random_network(rng, recurrent=recurrent, samples=256)
    whole = quiet(net, spikes, until=UNTIL, engine=engine)
    order = rng.permutation(256)
    mixed = quiet(net, spikes.take(order), until=UNTIL, engine=engine)
    for new, old in enumerate(order[:40]):
        a, b = mixed.offsets[new : new + 2], whole.offsets[old : old + 2]
        alone = quiet(net, spikes[old], until=UNTIL, engine=engine)
        for left, right in ((mixed, slice(*a)), (whole, slice(*b))):
            assert np.array_equal(left.times[right], alone.times)
            assert np.array_equal(left.neurons[right], alone.neurons)
            assert np.array_equal(left.slopes[right], alone.slopes)


@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_a_runaway_sample_leaves_nothing_behind(engine):
    net, spikes = random_network(np.random.default_rng(3), samples=4)
    before = quiet(net, spikes, until=UNTIL, engine=engine)
    storm = snnfp.Spikes.from_pairs([(np.linspace(0, 7, 3000), np.zeros(3000, int))], size=4)
    weights = net.parameters["input_to_hidden.weight"]
    net.parameters["input_to_hidden.weight"] = np.full_like(weights, 1e6)
    with pytest.raises(snnfp.errors.EventLimitError):
        quiet(net, storm, until=UNTIL, engine=engine, spike_limit=500)
    net.parameters["input_to_hidden.weight"] = weights
    assert same_bits(before, quiet(net, spikes, until=UNTIL, engine=engine))


@pytest.mark.parametrize("engine", ["automatic", "queue"])
def test_silent_neurons(engine):
    """More neurons that never fire, in the same and in another population."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        net, spikes = random_network(rng, recurrent=False)
        a = quiet(net, spikes, until=UNTIL, engine=engine)
        p = net.parameters
        other = snnfp.Network()
        x = other.input(4)
        names = snnfp.LIF(tau_mem=1, tau_syn=1).values()
        value = {k: np.append(p[f"hidden.{k}"], [1.0, 2.0]) for k in names}
        value |= {"bias": np.append(p["hidden.bias"], [0, 0])}
        value |= {"v_reset": np.append(p["hidden.v_reset"], [0, 0])}
        h = other.population(8, snnfp.LIF(**value), name="hidden")
        y = other.population(3, snnfp.LIF(**{k: p[f"output.{k}"] for k in names}), name="output")
        more = other.population(5, lif(rng, 5), name="more")
        other.parameters["more.bias"] = 0.0
        weight = np.concatenate([p["input_to_hidden.weight"], np.zeros((4, 2))], axis=1)
        delay = p["input_to_hidden.delay"]
        if delay.shape in ((1, 6), (4, 6)):
            delay = np.concatenate([delay, np.ones((len(delay), 2))], axis=1)
        other.connect(x, h, snnfp.Dense(weight=weight, delay=delay))
        weight = np.concatenate([p["hidden_to_output.weight"], np.ones((2, 3))])
        delay = p["hidden_to_output.delay"]
        if delay.shape in ((6, 1), (6, 3)):
            delay = np.concatenate([delay, np.ones((2, delay.shape[1]))])
        other.connect(h, y, snnfp.Dense(weight=weight, delay=delay))
        other.connect(more, y, snnfp.Dense(weight=np.ones((5, 3))))
        other.connect(x, more, snnfp.Dense(weight=np.zeros((4, 5))))
        b = quiet(other, spikes, until=UNTIL, engine=engine)
        assert np.array_equal(a.times, b.times)
        assert np.array_equal(np.where(a.neurons < 6, a.neurons, a.neurons + 2), b.neurons)
        u = np.cos(np.arange(a.n_spikes))
        left, right = a.vjp(u), b.vjp(u)
        key = "input_to_hidden.weight"
        assert np.array_equal(left[key], right[key][:, :6])
        assert not np.any(right[key][:, 6:])
