"""Data sets and encoders."""

import hashlib

import numpy as np
import pytest
from snnfp import Spikes, data
from snnfp.encoding import latency, scale_min_max
from snnfp.tasks import TASKS


@pytest.mark.parametrize(
    "size, seed, expected",
    [
        (5000, 42, "f5a4054d56f2a058"),
        (1000, 41, "5eac358bdf212276"),
        (1000, 40, "7bab3ed668ed4992"),
    ],
)
def test_yin_yang_is_the_published_one(size, seed, expected):
    x, y = data.yin_yang(size, seed=seed)
    assert hashlib.sha256(x.astype("<f8").tobytes()).hexdigest()[:16] == expected
    assert x.shape == (size, 4) and y.shape == (size,)
    assert np.array_equal(x[:, 2:], 1 - x[:, :2])
    shares = np.bincount(y) / size
    assert shares.size == 3 and np.all(np.abs(shares - 1 / 3) < 0.05)


def test_yin_yang_labels():
    """By the geometry of the picture, written again."""
    x, y = data.yin_yang(500, seed=1)
    for (a, b, *_), label in zip(x, y):
        right, left = np.hypot(a - 0.75, b - 0.5), np.hypot(a - 0.25, b - 0.5)
        assert np.hypot(a - 0.5, b - 0.5) <= 0.5
        if min(right, left) < 0.1:
            assert label == 2
        elif left <= 0.25:
            assert label == 1
        elif right <= 0.25:
            assert label == 0
        else:
            assert label == int(b > 0.5)


def test_iris_is_that_of_scikit_learn():
    try:
        from sklearn.datasets import load_iris
    except ImportError:
        pytest.skip("scikit-learn is not installed")
    x, y = data.iris()
    theirs = load_iris()
    assert np.array_equal(x, theirs.data) and np.array_equal(y, theirs.target)


def test_iris():
    """Means that Fisher's paper gives."""
    x, y = data.iris()
    assert x.shape == (150, 4) and np.bincount(y).tolist() == [50, 50, 50]
    means = [
        [5.006, 3.428, 1.462, 0.246],
        [5.936, 2.770, 4.260, 1.326],
        [6.588, 2.974, 5.552, 2.026],
    ]
    np.testing.assert_allclose([x[y == k].mean(axis=0) for k in range(3)], means, rtol=1e-12)


def test_xor():
    x, y = data.xor()
    assert np.array_equal(y, x[:, 0].astype(int) ^ x[:, 1].astype(int))
    assert len({tuple(row) for row in x}) == 4


def test_mnist(data_folder):
    sets = data.mnist(data_folder / "mnist")
    assert sets.train_images.shape == (60000, 28, 28) and sets.test_images.shape == (10000, 28, 28)
    assert sets.train_images.dtype == np.uint8 and sets.train_labels.dtype == np.int64
    assert np.bincount(sets.train_labels).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert sets.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert sets.train_images.max() == 255


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("bias_time", [None, 0.25])
def test_latency(invert, bias_time):
    x = np.array([[0.0, 1.0, 0.25], [0.5, 0.5, 0.0]])
    spikes = latency(x, t_min=1.0, t_max=3.0, bias_time=bias_time, invert=invert)
    for s in range(2):
        t = np.full(spikes.size, np.nan)
        t[spikes[s].units] = spikes[s].times
        expected = 1.0 + 2.0 * (1 - x[s] if invert else x[s])
        assert t[:3].tolist() == expected.tolist()
        if bias_time is not None:
            assert t[3:].tolist() == [bias_time]
        assert np.all(np.diff(spikes[s].times) >= 0)
    assert spikes.size == 3 + (bias_time is not None)


def test_dark_pixels_are_silent():
    spikes = latency(
        [[0.0, 1.0], [0.0, 0.0]], t_min=0.0, t_max=2.0, invert=True, silent_at_zero=True
    )
    assert spikes == Spikes([0.0], [1], [0, 1, 1], size=2)


def test_integers_are_features_too():
    assert latency(np.array([[0, 1]]), t_min=1, t_max=2) == Spikes(
        [1.0, 2.0], [0, 1], [0, 2], size=2
    )


def test_scale_min_max():
    x = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])
    assert scale_min_max(x).tolist() == [[0, 0], [1, 0], [0.5, 0]]
    assert scale_min_max([[0.0], [9.0]], low=[1.0], high=[5.0]).tolist() == [[0], [1]]


@pytest.mark.parametrize("name", ["yin-yang", "xor", "iris"])
def test_tasks(name):
    task = TASKS[name]
    loaded = task.load(task.settings, None)
    for part in (loaded.train, loaded.validation, loaded.test):
        if part is not None:
            spikes, labels = part
            assert len(spikes) == len(labels) and spikes.size == loaded.channels
            assert set(labels) == set(range(loaded.classes))
            assert spikes.times.max() <= task.settings.until
    if name == "yin-yang":
        assert [len(p[1]) for p in (loaded.train, loaded.validation, loaded.test)] == [
            5000,
            1000,
            1000,
        ]


def test_scale_min_max_with_ends_the_wrong_way_round():
    with pytest.raises(
        ValueError, match=r"low\[1\] is 3.0 and high\[1\] is 2.0, expected low <= high"
    ):
        scale_min_max([[0.0, 1.0]], [0.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"low\[0\] is 1.0 and high\[0\] is 0.0"):
        scale_min_max([[0.0, 1.0]], 1.0, 0.0)


def test_latency_with_ends_the_wrong_way_round():
    with pytest.raises(ValueError, match="t_min is 3 and t_max 1, expected t_min <= t_max"):
        latency([[0.5]], t_min=3.0, t_max=1.0)
    assert latency([[0.5]], t_min=1.0, t_max=1.0).times.tolist() == [1.0]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "options, message",
    [
        ({"r_small": 0.0}, r"r_small is 0.0, expected > 0 and at most r_big / 2 = 0.25"),
        ({"r_small": 0.6}, r"r_small is 0.6, expected > 0"),
        ({"r_small": np.nan}, r"r_small is nan, expected > 0"),
        ({"r_big": 0.0}, r"r_big is 0.0, expected a finite radius > 0"),
        ({"r_big": np.inf}, r"r_big is inf, expected a finite radius > 0"),
        ({"size": 0}, r"size is 0, expected at least 1"),
    ],
)
def test_yin_yang_without_room_for_a_class(options, message):
    """Rather than looking for a point of that class for ever."""
    with pytest.raises(ValueError, match=message):
        data.yin_yang(**{"size": 10, "seed": 0} | options)
