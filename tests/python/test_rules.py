"""Rules that choose pairs: counts, distributions, distances, seeds."""

import numpy as np
import pytest
import snnfp
from snnfp import rules


def table(rule, n_source, n_target):
    """How often each pair was chosen, and that pairs are sorted."""
    sources, targets = rule.pairs(n_source, n_target)
    assert sources.dtype == targets.dtype == np.int32
    flat = sources.astype(np.int64) * n_target + targets
    assert np.all(np.diff(flat) > 0)
    chosen = np.zeros((n_source, n_target), dtype=int)
    np.add.at(chosen, (sources, targets), 1)
    return chosen


def mean_table(make, n_source, n_target, n):
    return sum(table(make(seed), n_source, n_target) for seed in range(n)) / n


@pytest.mark.parametrize("p", [0.0, 0.03, 0.4, 0.97, 1.0])
def test_fixed_probability(p):
    n = 400
    mean = mean_table(lambda s: rules.FixedProbability(probability=p, seed=s), 7, 11, n)
    # Each pair by itself, within five standard deviations.
    assert np.all(np.abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-12)
    sources, _ = rules.FixedProbability(probability=p, seed=3).pairs(2000, 3000)
    assert abs(sources.size - 6e6 * p) <= 5 * np.sqrt(6e6 * p * (1 - p))


def test_pairs_are_independent():
    n = 2000
    pairs = [table(rules.FixedProbability(probability=0.3, seed=s), 2, 3) for s in range(n)]
    flat = np.array(pairs).reshape(n, -1)
    off = np.corrcoef(flat.T) - np.eye(6)
    assert np.max(np.abs(off)) < 5 / np.sqrt(n)


def test_very_rare_pairs():
    most = 2**31 - 1
    sources, targets = rules.FixedProbability(probability=2e-18, seed=1).pairs(most, most)
    assert sources.size == targets.size < 40 and np.all(sources < most)


@pytest.mark.parametrize("loops", [True, False])
def test_fixed_in_degree(loops):
    chosen = table(rules.FixedInDegree(in_degree=3, seed=5, loops=loops), 9, 9)
    assert np.all(chosen <= 1) and np.all(chosen.sum(axis=0) == 3)
    n, others = 600, 9 - (not loops)
    mean = mean_table(lambda s: rules.FixedInDegree(in_degree=3, seed=s, loops=loops), 9, 9, n)
    p = np.full((9, 9), 3 / others)
    if not loops:
        p[np.diag_indices(9)] = 0
    assert np.all(np.abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-12)
    everyone = table(rules.FixedInDegree(in_degree=others, loops=loops), 9, 9)
    assert everyone.sum() == 9 * others


def test_in_degree_in_parts(monkeypatch):
    whole = rules.FixedInDegree(in_degree=4, seed=2).pairs(50, 70)
    monkeypatch.setattr(rules, "_PART", 120)
    parts = rules.FixedInDegree(in_degree=4, seed=2).pairs(50, 70)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    rare = rules.FixedProbability(probability=0.5, seed=2).pairs(50, 70)
    assert abs(rare[0].size - 1750) < 150


def test_blocks():
    probability = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.25]])
    rule = rules.Blocks(probability=probability, sources=[2, 4], targets=[3, 1, 40], seed=1)
    chosen = table(rule, 6, 44)
    assert chosen[:2, :3].all() and not chosen[:2, 3].any() and not chosen[2:, :3].any()
    assert chosen[2:, 3].all()
    assert 20 < chosen[:2, 4:].sum() < 60 and 15 < chosen[2:, 4:].sum() < 65
    equal = table(rules.Blocks(probability=np.eye(3)), 6, 9)
    assert np.array_equal(equal, np.kron(np.eye(3, dtype=int), np.ones((2, 3), dtype=int)))
    empty = table(rules.Blocks(probability=np.ones((2, 1)), sources=[0, 4]), 4, 2)
    assert empty.all()


def test_within():
    a, b = rules.grid(4, 5), rules.grid(3, 3, spacing=1.5)
    assert a.shape == (20, 2) and np.array_equal(a[6], [1, 1]) and np.array_equal(b[4], [1.5, 1.5])
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    chosen = table(rules.Within(radius=1.6, sources=a, targets=b), 20, 9)
    assert np.array_equal(chosen, distance <= 1.6)

    n = 800
    make = dict(radius=2.5, sources=a, targets=b, scale=1.2, probability=0.8)
    mean = mean_table(lambda s: rules.Within(seed=s, **make), 20, 9, n)
    p = np.where(distance <= 2.5, 0.8 * np.exp(-(distance**2) / (2 * 1.2**2)), 0)
    assert np.all(np.abs(mean - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-12)
    alone = table(rules.Within(radius=1.0, sources=a, targets=a, loops=False), 20, 20)
    assert not np.diag(alone).any() and alone.sum() == 62


def test_within_in_parts(monkeypatch):
    a = np.random.default_rng(0).random((40, 3))
    rule = rules.Within(radius=0.6, scale=0.4, sources=a, targets=a, seed=4)
    whole = rule.pairs(40, 40)
    monkeypatch.setattr(rules, "_PART", 90)
    assert all(np.array_equal(x, y) for x, y in zip(whole, rule.pairs(40, 40), strict=True))


RULES = [
    rules.FixedProbability(probability=0.4, seed=2),
    rules.FixedInDegree(in_degree=3, seed=2),
    rules.Blocks(probability=[[0.5, 0.1], [0.0, 0.9]], seed=2),
    rules.Within(radius=1.5, sources=rules.grid(2, 4), targets=rules.grid(2, 4), loops=False),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_a_network_by_rule_is_the_sparse_one(rule):
    sources, targets = rule.pairs(8, 8)
    again = rule.pairs(8, 8)
    assert np.array_equal(sources, again[0]) and np.array_equal(targets, again[1])
    nets = []
    weight, delay = snnfp.init.Normal(1.5, 0.5), snnfp.init.Uniform(0.0, 1.0)
    for connectivity in (
        snnfp.ByRule(rule=rule, weight=weight, delay=delay),
        snnfp.Sparse(sources=sources, targets=targets, weight=weight, delay=delay),
    ):
        net = snnfp.Network()
        x = net.input(8)
        h = net.population(8, snnfp.LIF(tau_mem=5.0, tau_syn=2.0, t_refractory=1.0), name="h")
        net.connect(x, h, connectivity, name="p")
        nets.append(net.initialise(seed=4))
    assert nets[0].fingerprint() == nets[1].fingerprint()
    assert np.array_equal(nets[0].projections["p"].sources, sources)
    assert np.array_equal(nets[0].projections["p"].targets, targets)
    assert nets[0].parameters["p.weight"].shape == sources.shape
    batch = snnfp.Spikes.from_latencies(np.random.default_rng(0).uniform(0, 5, (3, 8)))
    times = [snnfp.simulate(net, batch, until=10.0).times for net in nets]
    assert times[0].size > 5 and np.array_equal(*times)


def test_seeds_differ():
    for make in (
        lambda s: rules.FixedProbability(probability=0.5, seed=s),
        lambda s: rules.FixedInDegree(in_degree=5, seed=s),
        lambda s: rules.Blocks(probability=[[0.5]], seed=s),
        lambda s: rules.Within(
            radius=9, probability=0.5, sources=rules.grid(4, 5), targets=rules.grid(4, 5), seed=s
        ),
    ):
        assert not np.array_equal(table(make(0), 20, 20), table(make(1), 20, 20))


GRID = rules.grid(2, 2)


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (
            lambda: rules.FixedProbability(probability=1.5),
            ValueError,
            "probability is 1.5, expected",
        ),
        (
            lambda: rules.FixedProbability(probability="1"),
            TypeError,
            "probability is '1', expected a",
        ),
        (
            lambda: rules.FixedInDegree(in_degree=0),
            ValueError,
            "in_degree is 0, expected at least 1",
        ),
        (
            lambda: rules.FixedInDegree(in_degree=5),
            ValueError,
            "p: in_degree is 5, expected at most the number of source units, 4",
        ),
        (
            lambda: rules.FixedInDegree(in_degree=4, loops=False),
            ValueError,
            "p: in_degree is 4, expected at most the number of other source units, 3",
        ),
        (lambda: rules.Blocks(probability=[0.5]), ValueError, r"p: probability has shape \(1,\)"),
        (
            lambda: rules.Blocks(probability=[[0.5, -1.0]]),
            ValueError,
            r"p: probability\[0, 1\] is -1.0, expected a number from 0 to 1",
        ),
        (
            lambda: rules.Blocks(probability=np.ones((3, 1))),
            ValueError,
            "p: sources is None, expected the sizes of 3 groups: 4 units do not",
        ),
        (
            lambda: rules.Blocks(probability=np.ones((2, 1)), sources=[1, 2]),
            ValueError,
            r"p: sources is \[1, 2\], expected the sizes of 2 groups of 4 units in all",
        ),
        (
            lambda: rules.Within(radius=-1.0, sources=GRID, targets=GRID),
            ValueError,
            "radius is -1.0, expected a number >= 0",
        ),
        (
            lambda: rules.Within(radius=1.0, scale=0.0, sources=GRID, targets=GRID),
            ValueError,
            "scale is 0.0, expected a number > 0",
        ),
        (
            lambda: rules.Within(radius=1.0, sources=GRID[:3], targets=GRID),
            ValueError,
            r"p: sources has shape \(3, 2\), expected \(4, dimensions\)",
        ),
        (
            lambda: rules.Within(radius=1.0, sources=GRID, targets=GRID[:, :1]),
            ValueError,
            "p: sources have 2 dimensions and targets 1",
        ),
        (
            lambda: rules.Within(radius=1.0, sources=GRID, targets=GRID * np.nan),
            ValueError,
            r"p: targets\[0, 0\] is nan, expected a finite number",
        ),
        (lambda: "random", TypeError, "rule is 'random', expected a rule, such as"),
        (
            lambda: rules.FixedInDegree,
            TypeError,
            "rule is <class .*FixedInDegree'>, expected a rule",
        ),
    ],
)
def test_bad_rules(rule, error, message):
    net = snnfp.Network()
    x = net.input(4)
    net.population(4, snnfp.LIF(tau_mem=5.0, tau_syn=2.0), name="h")
    with pytest.raises(error, match=message):
        net.connect(x, "h", snnfp.ByRule(rule=rule(), weight=1.0), name="p")
    assert not net.projections


def test_a_rule_of_ones_own():
    class Ring:
        def pairs(self, n_source, n_target):
            units = np.arange(n_source)
            return units, (units + 1) % n_target

    net = snnfp.Network()
    net.population(4, snnfp.LIF(tau_mem=5.0, tau_syn=2.0), name="h")
    q = net.connect("h", "h", snnfp.ByRule(rule=Ring(), weight=1.0))
    assert q.targets.tolist() == [1, 2, 3, 0]
