"""Spikes cut, moved, mapped, merged and thinned: against one spike at a time in plain Python."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snnfp import Spikes


@pytest.fixture
def batch():
    """Three samples, the second of them empty."""
    return Spikes([0.5, 1.0, 1.0, 2.5, 0.25], [2, 0, 1, 2, 1], [0, 4, 4, 5], size=3)


def rows(spikes):
    """[(time, unit), ...] a sample."""
    return [list(zip(s.times.tolist(), s.units.tolist())) for s in spikes]


def of_rows(samples, size):
    """Built by the checked constructor; rows must be in order."""
    flat = [pair for sample in samples for pair in sample]
    offsets = np.cumsum([0, *map(len, samples)])
    times, units = [t for t, _ in flat], np.array([u for _, u in flat], dtype=int)
    return Spikes(times, units, offsets, size=size)


@st.composite
def batches(draw, samples=None, size=None):
    """Small batches with many equal times."""
    n = samples or draw(st.integers(1, 4))
    size = size or draw(st.integers(1, 5))
    pair = st.tuples(st.integers(0, 24).map(lambda k: k / 8), st.integers(0, size - 1))
    sample = st.lists(pair, max_size=12).map(lambda r: sorted(r, key=lambda p: p[0]))
    return of_rows([draw(sample) for _ in range(n)], size)


def valid(spikes):
    """The same batch by way of all checks; its arrays as a batch keeps them."""
    assert Spikes(spikes.times, spikes.units, spikes.offsets, size=spikes.size) == spikes
    assert (spikes.times.dtype, spikes.units.dtype, spikes.offsets.dtype) == (
        np.float64,
        np.int32,
        np.int64,
    )
    assert not any(a.flags.writeable for a in (spikes.times, spikes.units, spikes.offsets))
    return spikes


@given(batches(), st.data())
@settings(max_examples=60, deadline=None)
def test_thin_is_a_loop_over_spikes(spikes, data):
    dead = data.draw(
        st.one_of(
            st.sampled_from([0.0, 0.125, 0.5, np.inf]),
            st.lists(st.floats(0, 3), min_size=spikes.size, max_size=spikes.size),
        )
    )
    expected = []
    for sample in rows(spikes):
        last, kept = {}, []
        for t, u in sample:
            if u not in last or t >= last[u] + np.broadcast_to(dead, spikes.size)[u]:
                last[u] = t
                kept.append((t, u))
        expected.append(kept)
    assert valid(spikes.thin(dead)) == of_rows(expected, spikes.size)


@given(batches(), st.data())
@settings(max_examples=40, deadline=None)
def test_between_shift_and_stretch(spikes, data):
    n = len(spikes)
    begin = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))) / 8
    cut = valid(spikes.between(begin, begin + 1.0))
    expected = [[(t, u) for t, u in r if b <= t < b + 1.0] for r, b in zip(rows(spikes), begin)]
    assert rows(cut) == expected
    moved = valid(cut.shift(-begin))
    assert rows(moved) == [[(t - b, u) for t, u in r] for r, b in zip(expected, begin)]
    slower = valid(moved.stretch(begin + 0.5))
    assert rows(slower) == [
        [((t - b) * (b + 0.5), u) for t, u in r] for r, b in zip(expected, begin)
    ]


@given(batches(), st.data())
@settings(max_examples=40, deadline=None)
def test_map_channels(spikes, data):
    channel = st.integers(-1, 3)
    new = data.draw(st.lists(channel, min_size=spikes.size, max_size=spikes.size))
    expected = [[(t, new[u]) for t, u in r if new[u] >= 0] for r in rows(spikes)]
    assert rows(valid(spikes.map_channels(new, size=4))) == expected
    assert spikes.map_channels(new).size == max(1, max(new) + 1)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_beside_and_merge(data):
    a, b, c = (data.draw(batches(samples=2, size=k)) for k in (2, 3, 2))
    wide = valid(a.beside(b, c))
    assert wide.size == 7
    for s in range(2):  # equal times: a before b before c
        parts = [(t, 0, k, u) for k, (t, u) in enumerate(rows(a)[s])]
        parts += [(t, 1, k, u + 2) for k, (t, u) in enumerate(rows(b)[s])]
        parts += [(t, 2, k, u + 5) for k, (t, u) in enumerate(rows(c)[s])]
        assert rows(wide)[s] == [(t, u) for t, _, _, u in sorted(parts)]
    both = valid(a.merge(c))
    assert both == a.beside(c).map_channels([0, 1, 0, 1])
    assert a.beside() == a == a.merge()


def test_pool():
    """Against an image pooled by hand; a last block that is smaller."""
    rng = np.random.default_rng(0)
    units = rng.integers(0, 2 * 5 * 7, 300)
    spikes = Spikes(np.sort(rng.random(300)), units, [0, 100, 300], size=70)
    pooled = valid(spikes.pool((2, 5, 7), (1, 2, 3)))
    assert pooled.size == 2 * 3 * 3
    image = spikes.counts().reshape(2, 2, 5, 7)
    padded = np.pad(image, ((0, 0), (0, 0), (0, 1), (0, 2)))
    expected = padded.reshape(2, 2, 3, 2, 3, 3).sum(axis=(3, 5))
    assert np.array_equal(pooled.counts().reshape(2, 2, 3, 3), expected)
    assert np.array_equal(pooled.times, spikes.times)
    assert spikes.pool((70,), (70,)).size == 1


def test_counts_and_samples(batch):
    assert batch.counts().tolist() == [[1, 1, 2], [0, 0, 0], [0, 1, 0]]
    assert batch.samples.tolist() == [0, 0, 0, 0, 2]


def test_jitter():
    spikes = Spikes(np.linspace(0, 1, 4000), np.arange(4000) % 7, [0, 1000, 4000], size=7)
    moved = valid(spikes.jitter(0.01, 3))
    assert moved == spikes.jitter(0.01, np.random.default_rng(3)) != spikes.jitter(0.01, 4)
    noise = np.random.default_rng(3).standard_normal(4000)
    expected = np.abs(spikes.times + 0.01 * noise)
    for s in range(2):
        own = slice(*spikes.offsets[s : s + 2])
        order = np.argsort(expected[own], kind="stable")
        assert np.array_equal(moved[s].times, expected[own][order])
        assert np.array_equal(moved[s].units, spikes.units[own][order])
    assert spikes.jitter(0.0, 0) == spikes
    assert np.count_nonzero(spikes.times + 0.01 * noise < 0) > 0  # the reflection was seen


def test_drop():
    spikes = Spikes(np.linspace(0, 1, 4000), np.arange(4000) % 7, [0, 1000, 4000], size=7)
    kept = np.random.default_rng(5).random(4000) >= 0.3
    some = valid(spikes.drop(0.3, 5))
    assert np.array_equal(some.times, spikes.times[kept])
    assert some.offsets.tolist() == [0, kept[:1000].sum(), kept.sum()]
    assert spikes.drop(0.0, 0) == spikes and spikes.drop(1.0, 0).times.size == 0


def test_many_samples():
    """More than 2**16, whose numbers are sorted in another way."""
    n = 70000
    spikes = Spikes(np.tile([0.5, 1.0], n), np.tile([0, 1], n), 2 * np.arange(n + 1), size=2)
    both = valid(spikes.merge(spikes.map_channels([1, 0])))
    assert both.units.tolist() == [0, 1, 1, 0] * n


def test_a_burst_of_a_million_is_thinned_at_once():
    """Not one round a spike that is kept."""
    spikes = Spikes(np.arange(1_000_000.0), np.zeros(1_000_000, int), [0, 1_000_000], size=1)
    assert np.array_equal(spikes.thin(10.0).times, np.arange(0, 1e6, 10))


def test_no_spikes():
    none = Spikes([], [], [0, 0, 0], size=4)
    for made in (
        none.thin(1.0),
        none.between(0, 1),
        none.shift(-1.0),
        none.stretch(2.0),
        none.jitter(0.1, 0),
        none.drop(0.5, 0),
        none.map_channels([0, 1, 2, 3]),
        none.merge(none),
    ):
        assert valid(made) == none


MISTAKES = {
    "between: order": (lambda s: s.between([0, 2, 0], 1), ValueError, "sample 1: begin is 2 and end 1, expected begin <= end"),
    "between: nan": (lambda s: s.between(np.nan, 1), ValueError, "begin is nan, expected a time"),
    "between: shape": (lambda s: s.between([0, 1], 1), ValueError, r"begin has shape (2,), expected () or (3,), one a sample"),
    "shift: too early": (lambda s: s.shift([-0.5, 0, -0.5]), ValueError, "sample 2, spike 0: time 0.25 later by -0.5 is -0.25, expected a finite time >= 0"),
    "shift: inf": (lambda s: s.shift([0, np.inf, 0]), ValueError, "dt[1] is inf, expected a finite number"),
    "shift: text": (lambda s: s.shift("1"), TypeError, "dt has dtype <U1, expected real numbers"),
    "stretch: 0": (lambda s: s.stretch([1, 1, 0]), ValueError, "factor[2] is 0, expected a factor > 0"),
    "stretch: one": (lambda s: s.stretch(-1.0), ValueError, "factor is -1, expected a factor > 0"),
    "stretch: beyond": (lambda s: s.stretch(1.7e308), ValueError, "sample 0, spike 3: time 2.5 stretched is beyond float64"),
    "jitter": (lambda s: s.jitter(-1.0, 0), ValueError, "sigma is -1.0, expected a finite time >= 0"),
    "jitter: no rng": (lambda s: s.jitter(1.0, None), TypeError, "rng is None, expected a numpy.random.Generator or a seed"),
    "drop": (lambda s: s.drop(1.5, 0), ValueError, "probability is 1.5, expected 0 ... 1"),
    "thin": (lambda s: s.thin([1, -1, 0]), ValueError, "dead_time[1] is -1.0, expected a time >= 0"),
    "thin: nan": (lambda s: s.thin(np.nan), ValueError, "dead_time is nan, expected a time >= 0"),
    "thin: shape": (lambda s: s.thin([1.0, 1.0]), ValueError, "dead_time has shape (2,), expected () or (3,), one a channel"),
    "map: too few": (lambda s: s.map_channels([0, 1]), ValueError, "channels has 2 numbers, expected 3, one a channel"),
    "map: beyond": (lambda s: s.map_channels([0, 1, 2], size=2), ValueError, "channels[2] is 2, expected 0 <= channel < 2, or -1"),
    "map: below": (lambda s: s.map_channels([0, -2, 2]), ValueError, "channels[1] is -2, expected 0 <= channel < 3, or -1"),
    "map: floats": (lambda s: s.map_channels([0.0, 1.0, 2.0]), TypeError, "channels has dtype float64, expected integers"),
    "pool: shape": (lambda s: s.pool((2, 2), (1, 1)), ValueError, "shape is (2, 2), which is 4 channels, expected 3"),
    "pool: by": (lambda s: s.pool((3,), (1, 1)), ValueError, "by has 2 numbers, expected 1 as in shape"),
    "pool: zero": (lambda s: s.pool((3,), (0,)), ValueError, "by[0] is 0, expected at least 1"),
    "pool: a number": (lambda s: s.pool(3, 1), TypeError, "shape is 3, expected a tuple of numbers"),
    "beside: samples": (lambda s: s.beside(s, s[0]), ValueError, "batch 2 has 1 samples, expected 3 as in batch 0"),
    "beside: a list": (lambda s: s.beside([s]), TypeError, "batch 1 is a list, expected snnfp.Spikes"),
    "merge: size": (lambda s: s.merge(s.beside(s)), ValueError, "batch 1 has size 6, expected 3 as in batch 0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(batch, mistake):
    call, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=re.escape(message)):
        call(batch)
