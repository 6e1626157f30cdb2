"""Batches of spikes: conversions, round trips, taking apart and putting together."""

import copy
import pickle

import numpy as np
import pytest
import snnfp
from snnfp import Spikes


@pytest.fixture
def batch():
    """Three samples, the second of them empty."""
    return Spikes([0.5, 1.0, 1.0, 2.5, 0.25], [2, 0, 1, 2, 1], [0, 4, 4, 5], size=3)


def test_arrays_are_kept_read_only(batch):
    assert (batch.times.dtype, batch.units.dtype, batch.offsets.dtype) == (
        float,
        np.int32,
        np.int64,
    )
    for array in (batch.times, batch.units, batch.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert len(batch) == 3


def test_printed(batch):
    assert repr(batch) == "Spikes(3 samples, 3 channels, 5 spikes at 0.25 ... 2.5)"
    assert repr(batch[1]) == "Spikes(1 sample, 3 channels, no spikes)"
    assert str(batch).splitlines()[1:] == [
        "  0: 0.5 (2), 1 (0), 1 (1), 2.5 (2)",
        "  1: no spikes",
        "  2: 0.25 (1)",
    ]
    many = Spikes.from_latencies(np.arange(80.0).reshape(8, 10))
    assert str(many).splitlines()[1] == "  0: 0 (0), 1 (1), 2 (2), 3 (3), 4 (4), 5 (5), and 4 more"
    assert str(many).splitlines()[-1] == "  and 3 samples more"


def test_equality_and_hash(batch):
    same = Spikes(batch.times, batch.units, batch.offsets, size=3)
    assert same == batch and hash(same) == hash(batch)
    assert Spikes(batch.times, batch.units, batch.offsets, size=4) != batch
    assert Spikes(batch.times + 1, batch.units, batch.offsets, size=3) != batch
    assert Spikes(batch.times, batch.units, [0, 4, 5, 5], size=3) != batch
    assert batch != "spikes"


def test_zero_has_one_sign():
    """Equal batches have equal hashes, and equal bytes."""
    a, b = (Spikes([zero, 1.0], [0, 0], [0, 2], size=1) for zero in (-0.0, 0.0))
    assert a == b and hash(a) == hash(b) and len({a, b}) == 1
    assert not np.signbit(a.times).any()
    assert hash(Spikes.from_lists([[[-0.0]]])) == hash(Spikes.from_latencies([[0.0]]))


def test_lists(batch):
    lists = batch.to_lists()
    assert [[t.tolist() for t in sample] for sample in lists] == [
        [[1.0], [1.0], [0.5, 2.5]],
        [[], [], []],
        [[], [0.25], []],
    ]
    assert Spikes.from_lists(lists) == batch
    assert Spikes.from_lists([[[], [3, 1]]]) == Spikes([1, 3], [1, 1], [0, 2], size=2)
    assert Spikes.from_lists([[[], []]], size=2).times.size == 0


def test_pairs(batch):
    pairs = [(s.times, s.units) for s in batch]
    assert Spikes.from_pairs(pairs, size=3) == batch
    one = ([2.5, 1.0, 0.5, 1.0], [2, 0, 2, 1])
    assert Spikes.from_pairs(one, size=3) == batch[0]
    assert Spikes.from_pairs([one], size=3) == batch[0]
    two = ((np.array([1.0, 2.0]), np.array([0, 1])), (np.array([3.0]), np.array([1])))
    assert len(Spikes.from_pairs(two, size=2)) == 2


def test_dense_is_time_first(batch):
    grid = batch.to_dense(dt=0.25, steps=11)
    assert grid.shape == (11, 3, 3)
    assert grid.sum() == 5
    assert grid[2, 0, 2] == grid[4, 0, 0] == grid[4, 0, 1] == grid[10, 0, 2] == grid[1, 2, 1] == 1
    for dtype in (bool, np.uint8, np.int64, np.float32):
        assert Spikes.from_dense(grid.astype(dtype), dt=0.25) == batch
    shifted = Spikes.from_dense(grid, dt=0.25, t0=2.0)
    assert np.array_equal(shifted.times, batch.times + 2.0)
    assert np.array_equal(shifted.to_dense(dt=0.25, steps=11, t0=2.0), grid)


def test_dense_round_trip_of_random_grids():
    rng = np.random.default_rng(0)
    for _ in range(50):
        shape = rng.integers(1, 8, 3)
        grid = (rng.random(shape) < 0.3).astype(np.uint8)
        dt = float(rng.choice([1e-3, 0.1, 1.0]))
        assert np.array_equal(Spikes.from_dense(grid, dt=dt).to_dense(dt=dt, steps=shape[0]), grid)


def test_what_a_grid_cannot_hold(batch):
    with pytest.raises(
        ValueError, match=r"sample 0: the spike at 2.5 falls into step 10, expected 0 <= step < 10"
    ):
        batch.to_dense(dt=0.25, steps=10)
    with pytest.raises(ValueError, match=r"sample 0, unit 2: the spike at 2.5 shares step 0"):
        batch.to_dense(dt=10.0, steps=2)


def test_latencies():
    spikes = Spikes.from_latencies([[2.0, np.inf, 1.0], [np.inf] * 3, [0, 0, 5]])
    assert spikes == Spikes([1.0, 2.0, 0.0, 0.0, 5.0], [2, 0, 0, 1, 2], [0, 2, 2, 5], size=3)


def test_structured_events():
    dtype = [("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1")]
    events = np.array([(1, 0, 2_000_000, 1), (0, 1, 500_000, 0)], dtype=dtype)
    kept = Spikes.from_structured([events], shape=(2, 3))
    assert kept == Spikes([0.5, 2.0], [3, 7], [0, 2], size=12)
    merged = Spikes.from_structured(events, shape=(2, 3), polarities=1, time_scale=1e-3)
    assert merged == Spikes([500.0, 2000.0], [3, 1], [0, 2], size=6)
    wrong = events.copy()
    wrong["x"] = 3
    with pytest.raises(ValueError, match="sample 0, event 0: x is 3, expected 0 <= x < 3"):
        Spikes.from_structured([wrong], shape=(2, 3))
    with pytest.raises(TypeError, match=r"sample 0 lacks the fields \['t', 'p'\]"):
        Spikes.from_structured([np.zeros(1, [("x", int), ("y", int)])], shape=(2, 3))
    with pytest.raises(TypeError, match="sample 0: x has dtype object, expected integers"):
        Spikes.from_structured([np.zeros(1, [(f, object) for f in "xytp"])], shape=(2, 3))


def test_samples(batch):
    assert batch[0].times.tolist() == [0.5, 1.0, 1.0, 2.5]
    assert batch[-1] == batch[2]
    assert [len(s) for s in batch] == [1, 1, 1]
    for k in (3, -4):
        with pytest.raises(IndexError, match=f"sample {k} of a batch of 3 samples"):
            batch[k]
    assert batch.take([2, 0, 2]) == Spikes.concatenate([batch[2], batch[0], batch[2]])
    assert Spikes.concatenate(list(batch)) == batch
    assert Spikes.concatenate([batch, batch]).take([0, 1, 2]) == batch


def test_slices_and_masks(batch):
    assert batch[:2] == batch.take([0, 1])
    assert batch[1:] == batch.take([1, 2]) and batch[::-1] == batch.take([2, 1, 0])
    assert batch[np.array([True, False, True])] == batch.take([0, 2])
    assert batch[[True, False, True]] == batch[np.array([2, 0])].take([1, 0])
    assert batch[np.int64(-1)] == batch[2]
    for nothing in (slice(3, None), [False] * 3, []):
        with pytest.raises(IndexError, match="chooses none of 3 samples"):
            batch[nothing]
    with pytest.raises(
        IndexError, match=r"the mask has shape \(2,\), expected \(3,\), one a sample"
    ):
        batch[[True, False]]
    with pytest.raises(TypeError, match="samples has dtype float64, expected integers"):
        batch[[0.5]]
    with pytest.raises(ValueError, match=r"samples\[1\] is 3, expected 0 <= sample < 3"):
        batch[[0, 3]]
    assert batch[[-1]] == batch[-1] and batch[[-3, 1, -1]] == batch
    assert batch[np.array([-1, 0], dtype=np.int8)] == batch.take([2, 0])
    for k in (-4, np.int8(-128)):
        with pytest.raises(ValueError, match=rf"samples\[1\] is {k}, expected 0 <= sample < 3"):
            batch[[0, k]]
    for parts in ((0, 1), (0, slice(None)), (), (1,)):  # a list is meant otherwise than indices
        with pytest.raises(IndexError, match=rf"has {len(parts)} parts?, expected samples only"):
            batch[parts]


def test_samples_that_are_not_there(batch):
    with pytest.raises(ValueError, match=r"samples\[1\] is 3, expected 0 <= sample < 3"):
        batch.take([0, 3])
    with pytest.raises(ValueError, match=r"samples\[0\] is -1"):
        batch.take([-1])
    with pytest.raises(ValueError, match="samples is empty"):
        batch.take([])
    with pytest.raises(TypeError, match=r"samples has dtype bool.*spikes\[mask\] takes a mask"):
        batch.take([True, False, True])
    with pytest.raises(ValueError, match="batch 1 has size 4, expected 3 as in batch 0"):
        Spikes.concatenate([batch, Spikes([], [], [0, 0], size=4)])
    with pytest.raises(TypeError, match=r"batch 1 is a list, expected snnfp.Spikes"):
        Spikes.concatenate([batch, [0.5]])
    with pytest.raises(ValueError, match="batches is empty"):
        Spikes.concatenate([])


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_copies(batch, copied):
    other = copied(batch)
    assert other == batch
    assert not other.times.flags.writeable and not other.units.flags.writeable
    net = snnfp.Network()
    x = net.input(3)
    h = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=3.0))
    a, b = (snnfp.simulate(net, s, until=9.0) for s in (batch, other))
    assert a.times.tobytes() == b.times.tobytes()


@pytest.mark.parametrize("shape", [(2, 34, 34), (34,), 34, "ab3"])
def test_the_shape_of_a_sensor_is_height_and_width(shape):
    events = np.zeros(3, dtype=[("x", "i4"), ("y", "i4"), ("t", "i8"), ("p", "i1")])
    with pytest.raises(ValueError, match=r"shape is .*, expected \(height, width\) of the sensor"):
        snnfp.Spikes.from_structured([events], shape=shape)
