"""Delays of each kind: one for the projection, a source unit, a target neuron, a synapse."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import snnfp
from networks import delays, quiet, same_bits
from snnfp import Dense, OneToOne, Sparse
from snnfp.init import PerSource, PerTarget, Uniform

UNTIL = 12.0
LIF = snnfp.LIF(tau_mem=3.0, tau_syn=1.0, t_refractory=0.5)


def layer(connectivity: Any, n_source: int = 5, n_target: int = 4) -> snnfp.Network:
    net = snnfp.Network()
    x = net.input(n_source, name="x")
    net.connect(x, net.population(n_target, LIF, name="h"), connectivity, name="p")
    return net


def all_to_all(
    rng: np.random.Generator, delay: Any, n_source: int = 5, n_target: int = 4
) -> tuple[Dense, Sparse]:
    """The same synapses twice: the sparse ones in any order, with the delays as given."""
    weight = rng.normal(1.5, 1.0, (n_source, n_target))
    order = rng.permutation(weight.size)
    sources, targets = (at[order] for at in np.divmod(np.arange(weight.size), n_target))
    each = delay[sources, targets] if np.shape(delay) == weight.shape else delay
    sparse = Sparse(sources=sources, targets=targets, weight=weight[sources, targets], delay=each)
    return Dense(weight=weight, delay=delay), sparse


def batch(rng: np.random.Generator, size: int = 5, spikes: int = 30) -> snnfp.Spikes:
    pairs = [(rng.uniform(0, 5, spikes), rng.integers(0, size, spikes)) for _ in range(3)]
    return snnfp.Spikes.from_pairs(pairs, size=size)


KINDS = {"source": (5, 1), "target": (1, 4), "flat source": (5,), "flat target": (4,)}


@pytest.mark.parametrize(
    ("form", "kind"),
    [*(("dense", kind) for kind in KINDS), ("sparse", "source"), ("sparse", "target")],
)
def test_the_same_as_a_delay_a_synapse(form: str, kind: str) -> None:
    """The same record to the bit, and derivatives that are sums of those by each synapse's."""
    rng = np.random.default_rng(0)
    shape = KINDS[kind]
    given = rng.uniform(0, 1, shape)
    matrix = np.broadcast_to(given[:, None] if kind == "flat source" else given, (5, 4))
    spikes = batch(rng)
    state = np.random.default_rng(1)
    a = quiet(layer(all_to_all(state, given)[form == "sparse"]), spikes, until=UNTIL)
    state = np.random.default_rng(1)
    b = quiet(layer(all_to_all(state, matrix)[0]), spikes, until=UNTIL)
    assert same_bits(a, b)
    assert [c.solver for c in a.components] == ["layer"]
    u = np.cos(np.arange(a.n_spikes))
    over = 1 if "source" in kind else 0
    names = ("p.delay", "h.tau_mem", "h.tau_syn", "x.times")
    for mode in ("reverse", "forward"):
        mine, each = (r.vjp(u, wrt=names, mode=mode) for r in (a, b))
        total = each["p.delay"].sum(axis=over).reshape(shape)
        np.testing.assert_allclose(mine["p.delay"], total, rtol=1e-11, atol=1e-12)
        for name in names[1:]:
            np.testing.assert_allclose(mine[name], each[name], rtol=1e-10, atol=1e-11)
    rows = a.jacobian(of=np.arange(a.n_spikes), wrt="p.delay")["p.delay"]
    assert rows.shape == (a.n_spikes, *shape)
    np.testing.assert_allclose(np.tensordot(u, rows, 1), mine["p.delay"], rtol=1e-11, atol=1e-12)
    tangent = rng.normal(size=shape)
    np.testing.assert_allclose(
        a.jvp({"p.delay": tangent}) @ u, np.sum(tangent * mine["p.delay"]), rtol=1e-11
    )


def test_as_many_synapses_as_source_units() -> None:
    """The order in which synapses were given is theirs alone, whatever has their number."""
    rng = np.random.default_rng(2)
    sources, targets = np.array([3, 0, 2, 1]), np.array([0, 1, 2, 3])
    given = rng.uniform(0, 1, (4, 1))
    weight = rng.uniform(2, 4, 4)
    nets = [
        layer(Sparse(sources=sources, targets=targets, weight=weight, delay=delay), 4, 4)
        for delay in (given, given[sources, 0])
    ]
    spikes = batch(rng, 4)
    a, b = (quiet(net, spikes, until=UNTIL) for net in nets)
    assert same_bits(a, b)
    u = np.cos(np.arange(a.n_spikes))
    by_source, by_synapse = (r.vjp(u, wrt="p.delay")["p.delay"] for r in (a, b))
    np.testing.assert_allclose(by_source[sources, 0], by_synapse, rtol=1e-12)
    blocks = list(a.jacobian_blocks(of="h", wrt="p.delay", columns=3))
    assert np.array_equal(np.concatenate([elements for _, elements, _ in blocks]), np.arange(4))


def test_one_to_one() -> None:
    """Source unit, target neuron and synapse are one."""
    rng = np.random.default_rng(3)
    given, spikes = rng.uniform(0, 1, 5), batch(rng)
    records = [
        quiet(layer(OneToOne(weight=3.0, delay=delay), 5, 5), spikes, until=UNTIL)
        for delay in (given, given[:, None], given[None, :])
    ]
    found = [r.vjp(np.ones(r.n_spikes), wrt="p.delay")["p.delay"] for r in records]
    assert [f.shape for f in found] == [(5,), (5, 1), (1, 5)]
    for record, gradient in zip(records, found, strict=True):
        assert same_bits(record, records[0])
        assert np.array_equal(gradient.ravel(), found[0])


def test_shapes_that_say_nothing() -> None:
    square = (
        r"p.delay has shape \(4,\), expected \(\) or \(4, 1\) or \(1, 4\) or \(4, 4\): one for the "
        r"projection, a source unit \(values\[:, None\]\), a target neuron \(values\[None, :\]\) or "
        "a synapse"
    )
    with pytest.raises(ValueError, match=square):
        layer(Dense(weight=1.0, delay=np.zeros(4)), 4, 4)
    net = layer(Dense(weight=1.0, delay=np.zeros((4, 1))), 4, 4)
    with pytest.raises(ValueError, match=square):
        net.parameters["p.delay"] = np.zeros(4)
    few = Sparse(sources=[0, 1], targets=[0, 1], weight=1.0, delay=np.zeros(5))
    with pytest.raises(
        ValueError, match=r"\(5,\), expected \(\) or \(5, 1\) or \(1, 4\) or \(2,\)"
    ):
        layer(few)
    with pytest.raises(ValueError, match=r"p.delay\[0, 2\] is -1, expected a finite time >= 0"):
        layer(Dense(weight=1.0, delay=np.array([[0.0, 1.0, -1.0, 0.0]])))
    with pytest.raises(ValueError, match=r"p.delay\[1\] is nan, expected a finite time >= 0"):
        layer(Dense(weight=1.0, delay=np.array([0.0, np.nan, 0.0, 0.0, 0.0])))


def test_initialisers() -> None:
    for per, shape in ((PerSource, (5, 1)), (PerTarget, (1, 4))):
        for connectivity in all_to_all(np.random.default_rng(0), per(Uniform(0.5, 1.0))):
            net = layer(connectivity).initialise(3)
            delay = net.parameters["p.delay"]
            assert delay.shape == shape and delay.min() >= 0.5 and np.unique(delay).size > 1
            assert np.array_equal(layer(connectivity).initialise(3).parameters["p.delay"], delay)
    what = (
        r"p.weight is PerSource\(values=Uniform\(low=0, high=1\)\), expected an initialiser of one"
    )
    with pytest.raises(TypeError, match=what):
        layer(Dense(weight=PerSource(Uniform(0, 1))))
    with pytest.raises(
        TypeError, match=r"values is 1\.0, expected an initialiser, such as Uniform"
    ):
        PerTarget(1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"is -0.*drawn from PerTarget\(values=Uniform"):
        layer(Dense(weight=1.0, delay=PerTarget(Uniform(-0.5, 0.0)))).initialise(0)


class Drawn:
    """An initialiser of somebody else's, that gives what it likes."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return self.values

    def __repr__(self) -> str:
        return f"Drawn({self.values})"


@pytest.mark.parametrize(("per", "shape"), [(PerSource, (5, 1)), (PerTarget, (1, 4))])
def test_somebody_elses_initialiser(per: Any, shape: tuple[int, int]) -> None:
    """One number is that of all units; it does not make the delay one for the projection."""
    for value in (0.25, np.float32(0.25), np.array(0.25)):
        net = layer(Dense(weight=1.0, delay=per(Drawn(value)))).initialise(0)
        assert np.array_equal(net.parameters["p.delay"], np.full(shape, 0.25))
    net = layer(Dense(weight=1.0, delay=per(Drawn([0.5, 0.25, 0.125]))))
    said = rf"drawn have shape \(3,\), expected \({shape[0]}, {shape[1]}\); drawn from {per.__name__}\("
    with pytest.raises(ValueError, match=said):
        net.initialise(0)


def test_from_one_unit_to_one() -> None:
    """All kinds are the same; a flat array says nothing unclear."""
    rng = np.random.default_rng(9)
    spikes = batch(rng, 1)
    records = []
    for delay in (0.5, [0.5], [[0.5]]):
        net = layer(Dense(weight=3.0, delay=delay), 1, 1)
        assert net.parameters["p.delay"].shape == np.shape(delay)
        records.append(quiet(net, spikes, until=UNTIL))
    assert records[0].n_spikes > 5
    found = [r.vjp(np.ones(r.n_spikes), wrt="p.delay")["p.delay"] for r in records]
    for record, gradient, shape in zip(records, found, [(), (1,), (1, 1)], strict=True):
        assert same_bits(record, records[0])
        assert gradient.shape == shape and np.array_equal(gradient.ravel(), found[0].ravel())


def test_to_one_neuron_a_delay_a_source_is_none_a_synapse() -> None:
    """Where a shape says both, rows arrive at once: the kernels of rows run."""
    rng = np.random.default_rng(10)
    weight, delay, spikes = rng.normal(1.5, 1.0, (5, 1)), rng.uniform(0, 1, (5, 1)), batch(rng)
    net = layer(Dense(weight=weight, delay=delay), 5, 1)
    net.connect("h", "h", Dense(weight=-0.1, delay=[[0.5]]), name="r")
    record = quiet(net, spikes, until=UNTIL)
    assert [c.solver for c in record.components] == ["loop"]
    few = Sparse(
        sources=np.arange(5), targets=np.zeros(5, int), weight=weight[:, 0], delay=delay[:, 0]
    )
    slow = layer(few, 5, 1)
    slow.connect("h", "h", Dense(weight=-0.1, delay=0.5), name="r")
    other = quiet(slow, spikes, until=UNTIL)
    assert record.n_spikes > 20 and same_bits(record, other)
    u = np.cos(np.arange(record.n_spikes))
    mine, its = (r.vjp(u, wrt="p.delay")["p.delay"] for r in (record, other))
    assert mine.shape == (5, 1)
    np.testing.assert_allclose(mine[:, 0], its, rtol=1e-11, atol=1e-12)


def test_kinds_change_and_travel(tmp_path: Any) -> None:
    """Any legal shape may replace another, and is kept by files, copies and records."""
    rng = np.random.default_rng(4)
    net, spikes = layer(all_to_all(rng, 0.5)[0]), batch(rng)
    plain = layer(all_to_all(rng, 0.5)[0])
    for shape in ((), (5, 1), (1, 4), (5,), (4,), (5, 4)):
        net.parameters["p.delay"] = rng.uniform(0, 1, shape)
        record = quiet(net, spikes, until=UNTIL)
        net.save(tmp_path / "net.safetensors")
        plain.load(tmp_path / "net.safetensors")
        for twin in (plain, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert twin.parameters["p.delay"].shape == shape
            assert same_bits(quiet(twin, spikes, until=UNTIL), record)
        again = pickle.loads(pickle.dumps(record))
        u = np.ones(record.n_spikes)
        mine, its = (r.vjp(u, wrt="p.delay")["p.delay"] for r in (record, again))
        assert mine.shape == shape and np.array_equal(mine, its)
        flat = net.flatten("*.delay")
        assert flat.shape == (int(np.prod(shape)),)
        net.unflatten(flat, "*.delay")
        assert np.array_equal(net.parameters["p.delay"], plain.parameters["p.delay"])


def test_training_keeps_the_shape_and_the_bounds() -> None:
    rng = np.random.default_rng(5)
    net = layer(all_to_all(rng, rng.uniform(0, 0.05, (5, 1)))[0])
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.5, horizon=UNTIL)
    before = net.parameters["p.delay"]
    snnfp.fit(
        net,
        (batch(rng), np.array([0, 1, 2])),
        loss=loss,
        optimiser=snnfp.Adam(lr=0.1),
        epochs=3,
        until=UNTIL,
        wrt=["*.weight", "*.delay"],
        bounds={"p.delay": (None, np.full((5, 1), 0.1))},
        progress=False,
    )
    after = net.parameters["p.delay"]
    assert after.shape == (5, 1) and not np.array_equal(after, before)
    assert after.min() >= 0.0 and after.max() <= 0.1
    check = snnfp.testing.check_gradient(
        net, batch(rng), np.array([0, 1, 2]), loss, until=UNTIL, wrt=["p.delay"]
    )
    assert check.ok and check.checked > 0


def test_neuron_parameters_have_no_ends() -> None:
    net = snnfp.Network()
    lif = snnfp.LIF(tau_mem=PerSource(Uniform(1.0, 2.0)), tau_syn=1.0)
    with pytest.raises(TypeError, match=r"h.tau_mem is PerSource.*one value a neuron"):
        net.population(3, lif, name="h")


def test_solvers_and_adjoints() -> None:
    """A delay a source unit takes no component from its solver; one a target sends rows to windows."""
    rng = np.random.default_rng(6)

    def solvers(per: str) -> list[str]:
        def each(least: float, n: int, m: int) -> Any:
            shape = {"projection": (1, 1), "source": (n, 1), "target": (1, m)}[per]
            delays = rng.uniform(least, 2.0, shape)
            delays[0, 0] = least  # windows of the same length
            return delays[0, 0] if per == "projection" else delays

        net = snnfp.Network()
        groups = [net.input(20, name="x")]
        groups += [net.population(30, LIF, name=name) for name in ("layer", "loop", "sparse")]
        for a, b in zip(groups, groups[1:], strict=False):
            dense = Dense(weight=rng.normal(0.2, 0.3, (a.size, 30)), delay=each(0.0, a.size, 30))
            net.connect(a, b, dense)
        loop, sparse = groups[2:]
        weight = rng.normal(0.0, 0.1, (30, 30))
        net.connect(loop, loop, Dense(weight=weight, delay=each(0.5, 30, 30)))
        sources, targets = np.nonzero(rng.random((30, 30)) < 0.3)
        few = Sparse(
            sources=sources,
            targets=targets,
            weight=weight[sources, targets],
            delay=each(0.5, 30, 30),
        )
        net.connect(sparse, sparse, few)
        times = rng.uniform(0, 8, 100)
        spikes = snnfp.Spikes.from_pairs([(times, rng.integers(0, 20, 100))], size=20)
        record = quiet(net, spikes, until=UNTIL)
        assert same_bits(record, quiet(net, spikes, until=UNTIL, engine="queue"))
        assert min(np.count_nonzero(record.counts(g.name)) for g in groups[1:]) > 5
        return [c.solver for c in record.components]

    assert solvers("projection") == solvers("source")
    assert solvers("source") == ["layer", "loop", "windows"]
    assert solvers("target") == ["layer", "windows", "windows"]


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrivals_that_rounding_brings_together(dtype: Any, zeros: bool) -> None:
    """Spikes an ulp apart arrive at once after a long delay: in the order of senders then."""
    rng = np.random.default_rng(7)
    ulp = np.finfo(dtype).eps
    for first in ("later sender", "earlier sender"):
        net = snnfp.Network(dtype=dtype)
        x = net.input(6, name="x")
        h = net.population(40, snnfp.LIF(tau_mem=3.0, tau_syn=1.0), name="h")
        weight = rng.normal(0.7, 1.0, (6, 40))
        weight[rng.random((6, 40)) < 0.2 * zeros] = 0.0
        net.connect(x, h, Dense(weight=weight, delay=rng.uniform(60.0, 90.0, (1, 40))), name="p")
        times = 1.0 + ulp * np.arange(6)
        units = np.arange(6)[::-1] if first == "later sender" else np.arange(6)
        spikes = snnfp.Spikes.from_pairs([(np.append(times, 2.0), np.append(units, 0))], size=6)
        records = [
            quiet(net, spikes, until=120.0, engine=engine) for engine in ("automatic", "queue")
        ]
        assert records[0].n_spikes > 20
        assert same_bits(*records)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_random_kinds_against_their_synapses(mode: str) -> None:
    """Loops of every kind with refractory times: sums of the derivatives by each synapse's delay."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        net, each = snnfp.Network(), snnfp.Network()
        n = 7
        given: dict[str, np.ndarray[Any, Any]] = {}
        for one in (net, each):
            one.input(n, name="x")
            one.population(n, LIF, name="h")
        for name, source in (("in", "x"), ("rec", "h")):
            weight = rng.normal(0.5 if source == "x" else 0.0, 0.4, (n, n))
            given[name] = np.asarray(delays(rng, 1.0, n, n))
            net.connect(source, "h", Dense(weight=weight, delay=given[name]), name=name)
            matrix = np.broadcast_to(given[name], (n, n))
            each.connect(source, "h", Dense(weight=weight, delay=matrix), name=name)
        spikes = batch(rng, n)
        a, b = (quiet(one, spikes, until=UNTIL) for one in (net, each))
        assert a.n_spikes == b.n_spikes and np.allclose(a.times, b.times, rtol=1e-13)
        u = np.cos(np.arange(a.n_spikes))
        wrt = ("*.weight", "*.delay", "x.times", "h.tau_mem", "h.t_refractory")
        mine, its = (r.vjp(u, wrt=wrt, mode=mode) for r in (a, b))
        for name, value in its.items():
            if name.endswith(".delay"):
                shape = mine[name].shape
                over = tuple(k for k in range(2) if not shape or shape[k] == 1)
                value = value.sum(axis=over).reshape(shape)
            scale = np.abs(value).max()
            assert np.abs(mine[name] - value).max() <= 1e-10 * scale, (seed, name)


@pytest.mark.parametrize("per", ["source", "target"])
def test_weights_of_zero(per: str) -> None:
    """A synapse of no weight brings no arrival where delays differ within a row."""
    rng = np.random.default_rng(8)
    weight = rng.normal(1.0, 1.0, (5, 24))
    weight[rng.random(weight.shape) < 0.3] = 0.0
    delay = rng.uniform(0, 1, (5, 1) if per == "source" else (1, 24))
    net = layer(Dense(weight=weight, delay=delay), 5, 24)
    spikes = batch(rng, spikes=60)
    records = [quiet(net, spikes, until=UNTIL, engine=e) for e in ("automatic", "queue")]
    assert records[0].n_spikes > 20 and same_bits(*records)


@pytest.mark.parametrize("outer", [PerSource, PerTarget])
@pytest.mark.parametrize("inner", [PerSource, PerTarget])
def test_an_initialiser_says_once_what_its_values_belong_to(outer, inner):
    with pytest.raises(TypeError, match=rf"values is {inner.__name__}\(values=Uniform.*expected"):
        outer(inner(Uniform(0.0, 1.0)))
