"""Where simulators could part: touching, inhibition that a bias overcomes, order at one time."""

import itertools

import numpy as np
import pytest
import snnfp
from exact_networks import FORMS
from mpmath import mp, mpf
from networks import quiet
from reference.membrane import Neuron
from reference.oracle import first_spike

BIG = 2.0**60  # absorbs a 1, so that a sum tells the order of its terms


def projection(form, weight, delay):
    """The same synapses as each simulator takes them."""
    weight = np.asarray(weight, dtype=float)
    n, m = weight.shape
    shapes = {"dense": (), "a source": (n, 1), "a target": (1, m)}
    if form in shapes:
        return snnfp.Dense(weight=weight, delay=np.full(shapes[form], delay))
    sources, targets = np.divmod(np.arange(weight.size), weight.shape[1])
    each = np.full(weight.size, delay) if form == "delays" else delay
    return snnfp.Sparse(sources=sources, targets=targets, weight=weight.reshape(-1), delay=each)


def records(make, spikes, **options):
    """Of every form and engine; all the same to the bit."""
    found = []
    for form in (*FORMS, "a source", "a target"):
        for engine in ("automatic", "queue"):
            record = quiet(make(form), spikes, engine=engine, **options)
            found.append(record)
            for name in ("times", "neurons", "offsets", "slopes"):
                assert np.array_equal(getattr(record, name), getattr(found[0], name)), (
                    form,
                    engine,
                    name,
                )
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_touching_is_no_spike(dtype):
    """Weights ulp by ulp around the one whose V touches the threshold: every spike has V' > 0."""
    rng = np.random.default_rng(0)
    n, ulps = 150, np.arange(-20, 21)
    tau_mem, tau_syn = rng.uniform(0.5, 4, n), rng.uniform(0.5, 4, n)
    tau_syn[:30] = tau_mem[:30]
    tau_syn[30:60] = tau_mem[30:60] / 2
    with mp.workdps(40):
        critical = []
        for m, s in zip(tau_mem.astype(dtype), tau_syn.astype(dtype)):
            a, b = 1 / mpf(float(s)), 1 / mpf(float(m))
            top = 1 / a if a == b else mp.log(a / b) / (a - b)
            peak = (
                top * mp.exp(-a * top)
                if a == b
                else (mp.exp(-b * top) - mp.exp(-a * top)) / (a - b)
            )
            critical.append(float(1 / peak))
    critical = np.array(critical, dtype=dtype)
    weight = (critical[:, None] + ulps * np.spacing(critical)[:, None]).reshape(1, -1)

    def make(form):
        net = snnfp.Network(dtype=dtype)
        x = net.input(1)
        lif = snnfp.LIF(
            tau_mem=np.repeat(tau_mem.astype(dtype), ulps.size),
            tau_syn=np.repeat(tau_syn.astype(dtype), ulps.size),
        )
        h = net.population(weight.size, lif, name="h")
        net.connect(x, h, projection(form, weight, 0.0))
        return net

    for record in records(make, snnfp.Spikes([0.0], [0], [0, 1], size=1), until=30.0):
        fires = record.fires("h").reshape(n, ulps.size)
        assert not fires[:, :8].any() and fires[:, -8:].all()
        assert record.slopes.min() > 0.0


@pytest.mark.parametrize("excess", [9e-4, 1e-4, 1e-6, 1e-9])
def test_a_bias_hardly_above_threshold_overcomes_inhibition(excess):
    """Inhibited neurons end up less than 0.1 % above threshold: late, and exactly when they should."""
    tau_mem, tau_syn = np.array([2.0, 1.0, 1.5, 3.0, 0.5]), np.array([1.0, 2.0, 1.5, 0.3, 5.0])
    bias = (1.0 + excess) / tau_mem

    def make(form):
        net = snnfp.Network()
        x = net.input(2)
        h = net.population(5, snnfp.LIF(tau_mem=tau_mem, tau_syn=tau_syn, bias=bias), name="h")
        weight = [[-0.5, -1.0, -2.0, -0.1, -0.7], [-0.4, 0.2, -0.1, 0.1, -0.3]]
        net.connect(x, h, projection(form, weight, 0.25))
        return net

    arrivals = [(0.5, 0), (2.0, 1)]
    spikes = snnfp.Spikes([t for t, _ in arrivals], [u for _, u in arrivals], [0, 2], size=2)
    record = records(make, spikes, until=120.0)[0]
    first = record.first_spikes("h")[0]
    weight = make("dense").parameters["input_to_h.weight"]
    with mp.workdps(40):
        for j in range(5):
            neuron = Neuron.of(
                tau_mem=tau_mem[j],
                tau_syn=tau_syn[j],
                threshold=1,
                v_reset=0,
                t_refractory=0,
                bias=bias[j],
                capacitance=1,
            )
            heard = [(mpf(t) + mpf(0.25), mpf(float(weight[u, j]))) for t, u in arrivals]
            time, _ = first_spike(neuron, heard, mpf(120))
            slope = record.slopes[record.first_indices("h")[0, j]]
            assert time is not None
            assert abs(first[j] - float(time)) <= 1e-14 * (1 + 1 / slope), j


def one_listener(arrivals, groups=1):
    """Makes networks whose neuron h0 hears these weights; it has neither leak nor decay."""

    def make(form):
        net = snnfp.Network()
        inputs = [net.input(len(w), name=f"x{g}") for g, w in enumerate(arrivals[:groups])]
        h = net.population(1, snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf), name="h")
        for k, weight in enumerate(arrivals):
            source = inputs[min(k, groups - 1)]
            net.connect(source, h, projection(form, np.reshape(weight, (-1, 1)), 0.5), name=f"p{k}")
        return net

    return make


def heard(order):
    """When the neuron fires after these arrivals at 1.5, added up in this order; None: never."""
    total = 0.0
    for weight in order:
        total += weight
    return [1.5 + 1.0 / total] if total > 0.5 else []


@pytest.mark.parametrize("weights", [*itertools.permutations([BIG, 1.0, -BIG])])
def test_arrivals_at_one_time_come_by_sender(weights):
    """However the spikes of the input are listed."""
    for listed in itertools.permutations(range(3)):
        spikes = snnfp.Spikes([1.0] * 3, list(listed), [0, 3], size=3)
        record = records(one_listener([weights]), spikes, until=3.0)[0]
        assert record.times.tolist() == heard(weights)


@pytest.mark.parametrize("weights", [*itertools.permutations([BIG, 1.0, -BIG, 0.0])])
def test_arrivals_at_one_time_come_by_sender_before_projection(weights):
    """Two projections from two channels: both of the first channel, then both of the second."""
    first, second = weights[:2], weights[2:]  # of the projections
    spikes = snnfp.Spikes([1.0] * 2, [1, 0], [0, 2], size=2)
    record = records(one_listener([first, second]), spikes, until=3.0)[0]
    assert record.times.tolist() == heard([first[0], second[0], first[1], second[1]])


@pytest.mark.parametrize("weights", [*itertools.permutations([BIG, 1.0, -BIG])])
def test_arrivals_at_one_time_come_by_group(weights):
    """Input groups in the order in which they were added."""
    make = one_listener([weights[:1], weights[1:]], groups=2)
    spikes = {
        "x0": snnfp.Spikes([1.0], [0], [0, 1], size=1),
        "x1": snnfp.Spikes([1.0, 1.0], [1, 0], [0, 2], size=2),
    }
    record = records(make, spikes, until=3.0)[0]
    assert record.times.tolist() == heard(weights)


@pytest.mark.parametrize("weights", [*itertools.permutations([BIG, 1.0, -BIG])])
def test_arrivals_at_one_time_come_by_synapse(weights):
    """Three synapses between the same two."""
    for delay in (0.5, np.full(3, 0.5)):
        net = snnfp.Network()
        x = net.input(1)
        h = net.population(1, snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf), name="h")
        net.connect(
            x, h, snnfp.Sparse(sources=[0] * 3, targets=[0] * 3, weight=weights, delay=delay)
        )
        for engine in ("automatic", "queue"):
            spikes = snnfp.Spikes([1.0], [0], [0, 1], size=1)
            record = quiet(net, spikes, until=3.0, engine=engine)
            assert record.times.tolist() == heard(weights)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("weights", [*itertools.permutations([BIG, 1.0, -BIG])])
def test_arrivals_at_one_time_come_from_inputs_first(weights, loop):
    """One input and two neurons that fired at 1, arriving at 1.5; with the listener in a loop too."""

    def make(form):
        net = snnfp.Network()
        x = net.input(2)
        lif = snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf)
        h = net.population(1, lif, name="h")
        # It fires once: its own spike holds it until after the end.
        g = net.population(
            2, snnfp.LIF(tau_mem=np.inf, tau_syn=np.inf, t_refractory=20.0), name="g"
        )
        net.connect(g, h, projection(form, [[weights[1]], [weights[2]]], 0.5))
        net.connect(x, h, projection(form, [[weights[0]], [0.0]], 0.5))
        net.connect(x, g, projection(form, [[0.0, 0.0], [1.0, 1.0]], 0.0))
        if loop:
            net.connect(h, g, projection(form, [[0.25, 0.25]], 0.5))
        return net

    spikes = snnfp.Spikes([0.0, 1.0], [1, 0], [0, 2], size=2)
    for record in records(make, spikes, until=3.0):
        assert record.spikes("h")[0].times[:1].tolist() == heard(weights)


@pytest.mark.parametrize("form", FORMS)
def test_what_arrives_in_refractory_time_alone(form):
    """The second spike hears nothing new but what arrived while it was held: its derivatives."""

    def make():
        net = snnfp.Network()
        a, b = net.input(1, name="a"), net.input(1, name="b")
        lif = snnfp.LIF(tau_mem=2.0, tau_syn=0.5, t_refractory=1.0, v_reset=-0.1)
        h = net.population(1, lif, name="h")
        o = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=0.5, t_refractory=0.2), name="o")
        net.connect(a, h, projection(form, [[4.0]], 0.0), name="first")
        net.connect(b, h, projection(form, [[20.0]], 0.0), name="held")
        net.connect(h, o, projection(form, [[4.0]], 0.1), name="on")
        return net

    spikes = {
        "a": snnfp.Spikes([0.5], [0], [0, 1], size=1),
        "b": snnfp.Spikes([1.25], [0], [0, 1], size=1),
    }
    net = make()
    record = quiet(net, spikes, until=12.0)
    f, g = record.spikes("h")[0].times[:2]
    assert f < 1.25 < f + 1.0 < g
    for wrt in ("held.weight", "held.delay", "b.times", "h.t_refractory", "h.tau_syn"):
        jacobian = record.jacobian(of=np.arange(record.n_spikes), wrt=wrt)[wrt].reshape(-1)
        moved = []
        for sign in (1, -1):
            other, changed, h = make(), dict(spikes), 1e-6
            if wrt == "b.times":
                changed["b"] = snnfp.Spikes([1.25 + sign * h], [0], [0, 1], size=1)
            elif wrt == "held.delay":
                # From 0 a delay grows only: as well move the spike that it delays.
                changed["b"] = snnfp.Spikes([1.25 + sign * h], [0], [0, 1], size=1)
            else:
                other.parameters[wrt] = other.parameters[wrt] + sign * h
            again = quiet(other, changed, until=12.0)
            assert np.array_equal(again.neurons, record.neurons)
            moved.append(again.times)
        expected = (moved[0] - moved[1]) / 2e-6
        assert np.count_nonzero(expected) >= 2
        np.testing.assert_allclose(jacobian, expected, atol=1e-8)
        for k in range(record.n_spikes):
            u = np.eye(record.n_spikes)[k]
            for mode in ("forward", "reverse"):
                got = record.vjp(u, wrt=wrt, mode=mode)[wrt].reshape(-1)[0]
                assert got == pytest.approx(jacobian[k], rel=1e-12, abs=1e-14)
            alone = record.jacobian(of=[k], wrt=wrt)[wrt].reshape(-1)[0]
            assert alone == pytest.approx(jacobian[k], rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("tau_mem, tau_syn", [(10.0, 0.25), (0.25, 10.0), (0.5, 0.5)])
def test_near_tangent_is_measured_in_the_shorter_time_constant(tau_mem, tau_syn):
    """V' tau < 0.001 (threshold - v_reset), tau the smaller one; neurons on both sides of it."""
    excess = 10.0 ** np.linspace(-13, -1, 400)
    a, b = 1 / tau_syn, 1 / tau_mem
    top = 1 / a if a == b else np.log(a / b) / (a - b)
    peak = top * np.exp(-a * top) if a == b else (np.exp(-b * top) - np.exp(-a * top)) / (a - b)
    net = snnfp.Network()
    x = net.input(1)
    lif = snnfp.LIF(tau_mem=tau_mem, tau_syn=tau_syn, v_reset=-3.0, t_refractory=99.0)
    h = net.population(400, lif, name="h")
    net.connect(x, h, snnfp.Dense(weight=(1 / peak * (1 + excess))[None]))
    record = snnfp.simulate(net, snnfp.Spikes([0.0], [0], [0, 1], size=1), until=90.0)
    assert record.n_spikes == 400

    def count(tau, span):
        return int(np.sum(record.slopes * tau < 1e-3 * span))

    expected = count(min(tau_mem, tau_syn), 4.0)
    assert record.near_tangent == expected
    assert 0 < expected < 400
    others = {count(min(tau_mem, tau_syn), 1.0)}
    if tau_mem != tau_syn:
        others |= {count(max(tau_mem, tau_syn), 4.0), count(tau_mem + tau_syn, 4.0)}
    assert expected not in others


@pytest.mark.parametrize("engine", ["automatic", "queue"])
@pytest.mark.parametrize("form", [*FORMS, "layer"])
def test_spike_limit_is_exact(form, engine):
    """As many spikes as it says are no error, in every sample of a batch; one more is."""
    net = snnfp.Network()
    x = net.input(2)
    lif = snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=0.55)
    h = net.population(3, lif, name="h")
    own = "dense" if form == "layer" else form
    net.connect(x, h, projection(own, [[0.0, 2.0, 0.1], [0.1, 0.0, 0.5]], 0.25))
    if form != "layer":
        net.connect(h, h, projection(own, np.full((3, 3), 0.01), 0.5))
    pairs = [([0.5, 1.0, 1.5], [0, 1, 0]), ([0.5] * 6, [0] * 6), ([0.25], [1])]
    spikes = snnfp.Spikes.from_pairs(pairs, size=2)
    options = {"until": 20.0, "engine": engine, "n_threads": 1}
    record = quiet(net, spikes, **options)
    counts = record.counts("h")
    most = int(counts.max())
    assert 3 < most < counts.sum() / 2
    same = quiet(net, spikes, spike_limit=most, **options)
    assert np.array_equal(same.times, record.times)
    with pytest.raises(snnfp.errors.EventLimitError) as caught:
        quiet(net, spikes, spike_limit=most - 1, **options)
    sample, neuron = (int(i) for i in np.argwhere(counts == most)[0])
    error = caught.value
    assert (error.sample, error.neuron, error.count) == (sample, neuron, most)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_probe_long_after_the_last_arrival(dtype):
    """V and I near the smallest numbers there are, of neurons that nothing more arrives at."""
    end = 700.0 if dtype == np.float64 else 84.0
    net = snnfp.Network(dtype=dtype)
    x = net.input(2)
    h = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    # The second channel moves all three on, and two of them hear nothing of it.
    net.connect(x, h, snnfp.Dense(weight=[[0.5, 0.25, 0.0], [0.0, 0.0, 0.01]]))
    times = np.append(0.0, np.linspace(end - 10.0, end - 6.0, 9))
    spikes = snnfp.Spikes(times, np.append(0, np.ones(9, int)), [0, 10], size=2)
    record = quiet(net, spikes, until=end)
    at = np.linspace(end - 9.0, end, 7).astype(dtype).astype(float)
    probed = record.probe("h", at)
    tolerance = {"rtol": 1e-12 if dtype == np.float64 else 1e-4, "atol": 0.0}
    for j, weight in enumerate([0.5, 0.25]):
        current = weight * np.exp(-at)
        np.testing.assert_allclose(probed.current[0, j], current, **tolerance)
        np.testing.assert_allclose(probed.voltage[0, j], current * at, **tolerance)
