"""Augmentations: what each does to a batch, and fit with them, resumed to the bit."""

import re

import numpy as np
import pytest
import snnfp
from snnfp import Adam, Spikes, augment, fit
from snnfp.augment import (
    Compose,
    Drop,
    Jitter,
    MergePairs,
    ShiftPixels,
    Stretch,
    TimeShift,
    _partners,
)
from test_resume import BARE, everything
from test_training import OPTIONS, problem

ALL = (
    TimeShift(most=0.1),
    Stretch(most=0.12),
    Jitter(sigma=0.01),
    Drop(probability=0.1),
    MergePairs(probability=0.4, share=0.3),
    ShiftPixels(shape=(2, 2)),
)


def digits(n=400, seed=0):
    """One spike a pixel of 2 x 4 x 5, and a channel after them."""
    rng = np.random.default_rng(seed)
    times = rng.random((n, 41))
    times[:, :40][rng.random((n, 40)) < 0.5] = np.inf
    return Spikes.from_latencies(times), rng.integers(0, 3, n)


def test_shift_pixels():
    """Each sample is moved as a whole, by each step about as often; what leaves is left out."""
    spikes, labels = digits()
    moved, same = ShiftPixels(shape=(2, 4, 5), most=1)(spikes, labels, np.random.default_rng(1))
    assert same is labels and moved.size == 41
    seen = np.zeros((3, 3), int)
    for before, after in zip(spikes.to_lists(), moved.to_lists()):
        image = np.array([t[0] if len(t) else np.inf for t in before[:40]]).reshape(2, 4, 5)
        found = np.array([t[0] if len(t) else np.inf for t in after[:40]]).reshape(2, 4, 5)
        fits = []
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), constant_values=np.inf)
                if np.array_equal(padded[:, 1 - dy : 5 - dy, 1 - dx : 6 - dx], found):
                    fits.append((dy + 1, dx + 1))
        assert len(fits) == 1
        seen[fits[0]] += 1
        assert np.array_equal(before[40], after[40])
    assert np.all(seen > 400 / 9 / 2)


def test_shift_pixels_of_rows_and_columns_by_numbers_of_their_own():
    """Bands of sound: nothing leaves a grid of one row by moving along it."""
    spikes = Spikes([0.1, 0.2, 0.3], [2, 7, 10], [0, 3], size=11)  # two planes of five bands
    shift = ShiftPixels(shape=(2, 1, 5), most=(0, 2))
    seen = set()
    for seed in range(40):
        moved, _ = shift(spikes, None, np.random.default_rng(seed))
        seen.add(tuple(moved.units))
    assert seen == {(0, 5, 10), (1, 6, 10), (2, 7, 10), (3, 8, 10), (4, 9, 10)}


def test_time_shift_and_stretch():
    spikes, labels = digits()
    spikes = spikes.merge(Spikes.from_latencies(np.full((400, 41), 0.5)))
    rng = np.random.default_rng(0)
    moved, _ = TimeShift(most=0.2)(spikes, labels, rng)
    first = spikes.times[spikes.offsets[:-1]]
    dt = moved.times[moved.offsets[:-1]] - first
    assert np.allclose(moved.times, spikes.times + dt[spikes.samples], atol=1e-12)
    assert dt.min() < 0 and dt.max() > 0.19 and moved.times.min() >= 0
    assert np.count_nonzero(moved.times == 0) > 10  # no earlier than that
    slower, _ = Stretch(most=0.12)(spikes, labels, rng)
    factor = slower.times[slower.offsets[:-1]] / first
    assert np.allclose(slower.times, spikes.times * factor[spikes.samples])
    assert 0.88 <= factor.min() < 0.9 and 1.1 < factor.max() <= 1.12


def test_jitter_and_drop_are_those_of_spikes():
    spikes, labels = digits()
    assert Jitter(sigma=0.1)(spikes, labels, np.random.default_rng(3))[0] == spikes.jitter(0.1, 3)
    assert Drop(probability=0.4)(spikes, labels, np.random.default_rng(3))[0] == spikes.drop(0.4, 3)


def test_pairs_are_of_one_class():
    """Every spike is of the sample or of one other of its class; shares and numbers as asked."""
    rng = np.random.default_rng(0)
    n = 300
    labels = rng.integers(0, 4, n)
    labels[17] = 9  # alone
    # A time says whose spike it is.
    spikes = Spikes(
        np.repeat(np.arange(n) + 1.0, 50), np.tile(np.arange(50), n), 50 * np.arange(n + 1), size=50
    )
    mixed, _ = MergePairs(probability=0.5, share=0.3)(spikes, labels, rng)
    changed, partners = 0, set()
    for s, one in enumerate(mixed):
        owners = (one.times - 1).astype(int)
        others = set(owners.tolist()) - {s}
        assert len(others) <= 1 and all(labels[o] == labels[s] for o in others)
        if others:
            changed += 1
            partners |= others
            assert 0.1 < np.mean(owners != s) < 0.6 and 25 < owners.size < 75
        else:
            assert one == spikes[s]
    assert 0.4 < changed / n < 0.6 and len(partners) > 80
    assert mixed[17] == spikes[17]
    with pytest.raises(TypeError, match="needs labels that are classes, one a sample"):
        MergePairs()(spikes, labels * 1.0, rng)
    with pytest.raises(TypeError, match="needs labels that are classes"):
        MergePairs()(spikes, spikes, rng)


def test_partners():
    """Another sample of the class, each about as often; itself where there is none."""
    classes = np.array([4, 1, 4, 4, 7, 1])
    seen = np.array([_partners(classes, np.random.default_rng(k)) for k in range(600)])
    assert np.all(classes[seen] == classes)
    for k, others in enumerate([{2, 3}, {5}, {0, 3}, {0, 2}, {4}, {1}]):
        assert set(seen[:, k].tolist()) == others
        assert np.bincount(seen[:, k])[list(others)].min() > 250 or len(others) == 1


def test_several_inputs_move_together():
    spikes, labels = digits(50)
    both = {"a": spikes, "b": spikes.shift(1.0), "c": spikes}
    made, _ = TimeShift(most=0.3, inputs=("a", "b"))(both, labels, np.random.default_rng(0))
    assert list(made) == ["a", "b", "c"] and made["c"] is spikes
    assert np.allclose(made["b"].times, made["a"].times + 1.0) and made["a"] != spikes
    with pytest.raises(KeyError, match="'d' is not an input, expected a, b, c"):
        Drop(probability=0.5, inputs=("d",))(both, labels, np.random.default_rng(0))
    for part in ALL:
        wide = {"a": spikes.pool((41,), (10,)), "b": spikes.pool((41,), (10,))}
        assert set(part(wide, labels, np.random.default_rng(0))[0]) == {"a", "b"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_resume_is_bitwise(tmp_path, dtype):
    """6 epochs, and 2 + save + load + 4; augmentations asked for again or left to the run."""
    options = {**OPTIONS, "augment": list(ALL), "seed": 5, "batch_size": 13}
    whole, data = problem(dtype=dtype)
    history = fit(whole, data, optimiser=Adam(lr=0.01), epochs=6, **options)
    plain, _ = problem(dtype=dtype)
    other = fit(plain, data, optimiser=Adam(lr=0.01), epochs=6, **{**options, "augment": None})
    assert everything(plain, other) != everything(whole, history)
    path = tmp_path / "checkpoint"
    half, _ = problem(dtype=dtype)
    fit(half, data, optimiser=Adam(lr=0.01), epochs=2, checkpoint=path, **options)
    for again in (options, {**options, "augment": Compose(ALL)}, BARE):
        on, _ = problem(seed=99, dtype=dtype)
        resumed = fit(on, data, optimiser=Adam(lr=0.01), epochs=6, resume=path, **again)
        assert everything(on, resumed) == everything(whole, history)


def test_what_was_changed_is_told(tmp_path, capsys):
    path = tmp_path / "checkpoint"
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.01)}
    fit(net, data, epochs=1, checkpoint=path, augment=Jitter(sigma=0.01), **options)
    fit(net, data, epochs=2, resume=path, augment=Jitter(sigma=0.02), **options)
    assert "augment.sigma: 0.01 -> 0.02" in capsys.readouterr().out
    fit(net, data, epochs=2, resume=path, augment=[], **options)
    assert "augment: Jitter(inputs=None, sigma=0.01) -> []" in capsys.readouterr().out
    own, _ = problem()
    fit(own, data, epochs=1, checkpoint=path, augment=lambda s, y, rng: (s, y), **options)
    with pytest.raises(ValueError, match=r"a file cannot hold: give augment=\.\.\. again"):
        fit(own, data, epochs=2, resume=path, **options)


def test_random_numbers_are_of_seed_epoch_and_batch():
    """And none of them is that which orders the samples."""
    drawn = []

    def note(spikes, labels, rng):
        drawn.append(rng.random())
        return spikes, labels

    net, data = problem()
    for seed in (0, 1):
        fit(net, data, optimiser=Adam(lr=0.01), epochs=2, augment=note, seed=seed, **OPTIONS)
    assert drawn[0] == drawn[1] and drawn[7] == drawn[8]  # tried before the first step
    del drawn[7], drawn[0]
    assert len(drawn) == len(set(drawn)) == 2 * 2 * 3
    order = [np.random.default_rng([s, e]).random() for s in (0, 1) for e in (0, 1)]
    assert not set(order) & set(drawn)
    again = list(drawn)
    drawn.clear()
    fit(net, data, optimiser=Adam(lr=0.01), epochs=2, augment=note, seed=0, **OPTIONS)
    assert drawn[1:] == again[:6]


def test_an_augmented_training_learns():
    net, data = problem()
    history = fit(
        net, data, optimiser=Adam(lr=0.03), epochs=15, augment=Jitter(sigma=0.01), validation=data,
        **OPTIONS,
    )  # fmt: skip
    assert history["validation_loss"][-1] < 0.8 * history["validation_loss"][0]


WRONG = {
    "a text": ("jitter", TypeError, "augment is 'jitter', expected one of snnfp.augment"),
    "the class": (Jitter, TypeError, "augment is <class"),
    "a list with a text": ([Jitter(sigma=0.1), "x"], TypeError, "augmentation 1 is 'x', expected"),
    "nothing comes back": (lambda s, y, rng: None, TypeError, "augment returned a NoneType, expected (spikes, labels)"),
    "fewer samples": (lambda s, y, rng: (s[:3], y[:3]), ValueError, "augment gave 3 samples for input, expected 20, one for each"),
    "fewer labels": (lambda s, y, rng: (s, y[:3]), ValueError, "augment returned 3 labels, int64, expected 20"),
    "other labels": (lambda s, y, rng: (s, y * 1.0), ValueError, "augment returned 20 labels, float64, expected 20"),
    "other channels": (lambda s, y, rng: (s.beside(s), y), ValueError, "augment gave something else"),
    "no spikes": (lambda s, y, rng: (3, y), TypeError, "augment gave something else: spikes is a int"),
    "no rng": (lambda s, y: (s, y), TypeError, "augment: too many positional arguments; expected f(spikes, labels, rng)"),
    "one without rng in a list": ([Jitter(sigma=0.1), lambda s, y: (s, y)], TypeError, "augment[1]: too many positional arguments; expected f(spikes, labels, rng)"),
    "one of a list returns labels": ([lambda s, y, rng: y], TypeError, "returned a ndarray, expected (spikes, labels)"),
    "an input that is not there": (Jitter(sigma=0.1, inputs=("nope",)), KeyError, "'nope' is not an input, expected input"),
    "and in a list": ([Drop(probability=0.1, inputs=["nope"])], KeyError, "'nope' is not an input, expected input"),
    "too large a picture": (ShiftPixels(shape=(3, 3)), ValueError, "shape is 9 channels, expected at most the 5 there are"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes(mistake):
    given, kind, message = WRONG[mistake]
    net, data = problem()
    before = net.parameters["input_to_hidden.weight"].copy()
    with pytest.raises(kind, match=re.escape(message)) as e:
        fit(net, data, optimiser=Adam(lr=0.01), epochs=1, augment=given, **OPTIONS)
    assert not hasattr(e.value, "history")  # said before the first step
    assert np.array_equal(net.parameters["input_to_hidden.weight"], before)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ShiftPixels(shape=(28,)), r"shape is (28,), expected at least (rows, columns)"),
        (lambda: ShiftPixels(shape=(2, 2), most=0), "most is 0, expected at least 1"),
        (
            lambda: ShiftPixels(shape=(2, 2), most=(1,)),
            "most is (1,), expected one number, or (row",
        ),
        (lambda: ShiftPixels(shape=(2, 2), most=(0, 0)), "most is (0, 0), expected one number, or"),
        (
            lambda: ShiftPixels(shape=(2, 2), most=(0, -1)),
            "most of columns is -1, expected at least 0",
        ),
        (lambda: TimeShift(most=0.0), "most is 0.0, expected a finite time > 0"),
        (lambda: Stretch(most=1.0), "most is 1.0, expected 0 < most < 1"),
        (lambda: Jitter(sigma=np.inf), "sigma is inf, expected a finite time > 0"),
        (lambda: Drop(probability=1.0), "probability is 1.0, expected 0 < probability < 1"),
        (lambda: MergePairs(probability=0.0), "probability is 0.0, expected 0 < probability <= 1"),
        (lambda: MergePairs(share=1), "share is 1, expected 0 < share < 1"),
    ],
)
def test_numbers_out_of_range(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


READY = {
    "shift pixels": lambda **k: ShiftPixels(shape=(2, 2), **k),
    "time shift": lambda **k: TimeShift(most=0.1, **k),
    "stretch": lambda **k: Stretch(most=0.1, **k),
    "jitter": lambda **k: Jitter(sigma=0.1, **k),
    "drop": lambda **k: Drop(probability=0.1, **k),
}


@pytest.mark.parametrize("kind", READY)
@pytest.mark.parametrize(
    "inputs, error, message",
    [
        ("abc", TypeError, "inputs is 'abc', expected a tuple of names, or None for all"),
        (3, TypeError, "inputs is 3, expected a tuple of names"),
        ((), ValueError, "inputs is (): none would be changed, expected names of inputs"),
        (("a", "a"), ValueError, "inputs is ('a', 'a'): a name is there twice"),
        (("a", 1), TypeError, "inputs has 1, expected names of inputs"),
    ],
)
def test_inputs_that_cannot_be(kind, inputs, error, message):
    with pytest.raises(error, match=re.escape(message)):
        READY[kind](inputs=inputs)


@pytest.mark.parametrize("kind", [*READY, "pairs"])
def test_batches_that_do_not_fit(kind):
    make = READY.get(kind, lambda **k: MergePairs(**k))
    one, rng = snnfp.Spikes.from_latencies([[0.0, 1.0, 2.0, 3.0]] * 4), np.random.default_rng(0)
    labels = np.zeros(4, int)
    for spikes, error, message in (
        ([1, 2], TypeError, "spikes is a list, expected snnfp.Spikes or a mapping"),
        ({}, ValueError, "there is no input whose spikes could be changed"),
        ({"a": 3}, TypeError, "the spikes of a are a int, expected snnfp.Spikes"),
        ({"a": one, "b": one.take([0])}, ValueError, "the spikes of b have 1 samples, expected 4"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            make()(spikes, labels, rng)
    if kind == "pairs":
        for spikes in (one, {"a": one}):
            with pytest.raises(ValueError, match="3 labels for 4 samples, expected one a sample"):
                make()(spikes, labels[:3], rng)
        return
    with pytest.raises(KeyError, match="'c' is not an input, expected a"):
        make(inputs=("c",))({"a": one}, labels, rng)
    with pytest.raises(TypeError, match="spikes have no names, expected a mapping"):
        make(inputs=("a", "c"))(one, labels, rng)
    assert len(make(inputs=["a"])(one, labels, rng)[0]) == 4


def test_all_are_public():
    assert {type(p).__name__ for p in ALL} | {"Compose", "Augmentation"} == set(augment.__all__)
    assert snnfp.augment is augment
