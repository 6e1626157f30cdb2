"""Encoders of signals and sound: against plain loops, and back as far as the spikes tell."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snnfp import Spikes, data
from snnfp.encoding import (
    from_integrate_and_fire,
    from_level_crossings,
    integrate_and_fire,
    level_crossings,
    log_mel,
    mel_filterbank,
    mel_level_crossings,
)

LEVELS = [0.25, 0.5, 0.75]


@st.composite
def signals(draw, low=0.0, high=1.0):
    """Samples of different lengths on a grid of eighths, so that levels are met exactly."""
    n, channels = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = np.linspace(low, high, 9)
    parts = [rng.choice(grid, (rng.integers(1, 12), channels)) for _ in range(n)]
    if draw(st.booleans()):
        parts = [p + rng.uniform(0, 0.1, p.shape) * (p < high - 0.1) for p in parts]
    return parts


def valid(spikes):
    assert Spikes(spikes.times, spikes.units, spikes.offsets, size=spikes.size) == spikes
    assert spikes.units.dtype == np.int32 and spikes.offsets.dtype == np.int64
    return spikes


def crossings_by_hand(x, onset):
    """(time, unit) of one sample, one step, level and channel after the other."""
    found = []
    n = len(LEVELS) * x.shape[1]
    for k, level in enumerate(LEVELS):
        for c in range(x.shape[1]):
            unit = k * x.shape[1] + c
            if onset and x[0, c] >= level:
                found.append((3.0, unit))
            for s in range(len(x) - 1):
                a, b = x[s, c], x[s + 1, c]
                if a < level <= b:
                    found.append((3.0 + 0.5 * (s + (level - a) / (b - a)), unit))
                if b < level <= a:
                    found.append((3.0 + 0.5 * (s + (a - level) / (a - b)), n + unit))
    return sorted(found)


@given(signals(), st.booleans(), st.sampled_from([None, 0.0, 4.0]))
@settings(max_examples=60, deadline=None)
def test_level_crossings(parts, onset, bias_time):
    spikes = valid(
        level_crossings(parts, levels=LEVELS, dt=0.5, t0=3.0, onset=onset, bias_time=bias_time)
    )
    size = 6 * parts[0].shape[1]
    assert spikes.size == size + (bias_time is not None)
    for one, x in zip(spikes, parts):
        expected = crossings_by_hand(x, onset)
        if bias_time is not None:
            expected = sorted([*expected, (bias_time, size)])
        got = sorted(zip(one.times.tolist(), one.units.tolist()))
        assert [u for _, u in got] == [u for _, u in expected]
        np.testing.assert_allclose([t for t, _ in got], [t for t, _ in expected], rtol=1e-14)


@given(signals())
@settings(max_examples=60, deadline=None)
def test_level_crossings_back(parts):
    """The band of every step, exactly; the value to half a band."""
    most = max(map(len, parts))
    whole = [np.concatenate([p, np.repeat(p[-1:], most - len(p), axis=0)]) for p in parts]
    for bias_time in (None, 0.0):
        spikes = level_crossings(parts, levels=LEVELS, dt=0.125, t0=1.0, bias_time=bias_time)
        back = from_level_crossings(
            spikes, levels=LEVELS, dt=0.125, t0=1.0, steps=most, low=0.0, high=1.0
        )
        assert np.array_equal(back, 0.125 + 0.25 * np.digitize(whole, LEVELS))
        assert np.all(np.abs(back - whole) <= 0.125 + 1e-12)


def test_crossings_do_not_run_from_sample_to_sample():
    a, b = np.zeros((3, 1)), np.ones((3, 1))
    spikes = level_crossings([a, b, a], levels=[0.5], dt=1.0)
    assert spikes == Spikes([0.0], [0], [0, 0, 1, 1], size=2)
    assert level_crossings([a, b, a], levels=[0.5], dt=1.0, onset=False).times.size == 0


@given(signals(), st.sampled_from([0.3, 0.0625, 2.0]))
@settings(max_examples=60, deadline=None)
def test_integrate_and_fire(parts, threshold):
    """Against the integral, sample by sample; what comes back meets it to one threshold."""
    dt = 0.25
    spikes = valid(integrate_and_fire(parts, threshold=threshold, dt=dt, t0=1.0))
    most = max(map(len, parts))
    back = from_integrate_and_fire(spikes, threshold=threshold, dt=dt, steps=most, t0=1.0)
    for s, x in enumerate(parts):
        integral = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x * dt, axis=0)])
        grid = 1.0 + dt * np.arange(len(x) + 1)
        for c, times in enumerate(spikes[s].to_lists()[0]):
            assert times.size in {int(integral[-1, c] / threshold + e) for e in (-1e-9, 1e-9)}
            reached = np.interp(times, grid, integral[:, c])
            np.testing.assert_allclose(reached, threshold * np.arange(1, times.size + 1), rtol=1e-9)
            again = np.concatenate([[0.0], np.cumsum(back[s, :, c] * dt)])[: len(x) + 1]
            assert np.all(np.abs(again - integral[:, c]) < threshold * (1 + 1e-9))
    assert np.all(back >= 0)


def test_a_constant_signal_spikes_regularly():
    spikes = integrate_and_fire(np.full((2, 100, 1), 4.0), threshold=0.5, dt=0.01)
    np.testing.assert_allclose(spikes[1].times, 0.125 * np.arange(1, 9), rtol=1e-12)
    back = from_integrate_and_fire(spikes, threshold=0.5, dt=0.01, steps=100)
    np.testing.assert_allclose(back[:, :98], 4.0, rtol=1e-9)
    burst = integrate_and_fire([[[10.0]]], threshold=1.0, dt=1.0)  # several within a step
    np.testing.assert_allclose(burst.times, 0.1 * np.arange(1, 11), rtol=1e-12)


def test_signed_signals():
    wave = np.sin(np.linspace(0, 4 * np.pi, 200))[:, None] * [[1.0, -2.0]]
    spikes = integrate_and_fire([wave], threshold=0.1, dt=0.05, signed=True, bias_time=0.0)
    assert spikes.size == 5
    plain = spikes.map_channels([0, 1, 2, 3, -1])
    back = from_integrate_and_fire(plain, threshold=0.1, dt=0.05, steps=200)
    assert np.abs(np.cumsum(back[0, :, :2] - back[0, :, 2:] - wave, axis=0) * 0.05).max() < 0.2
    parts = [np.maximum(wave, 0), np.maximum(-wave, 0)]
    assert plain == integrate_and_fire([np.concatenate(parts, axis=1)], threshold=0.1, dt=0.05)


def test_samples_are_encoded_alone():
    """The same spikes in any batch, to the bit."""
    rng = np.random.default_rng(0)
    parts = [rng.random((int(n), 3)) for n in rng.integers(5, 60, 8)]
    sounds = [rng.standard_normal(int(n)) for n in rng.integers(500, 4000, 8)]
    for encode, given_ in (
        (lambda p: level_crossings(p, levels=LEVELS, dt=0.1), parts),
        (lambda p: integrate_and_fire(p, threshold=0.05, dt=0.1), parts),
    ):
        assert encode(given_) == Spikes.concatenate([encode([p]) for p in given_])
    for one, x in zip(log_mel(sounds, rate=8000), sounds):
        assert np.array_equal(one, log_mel([x], rate=8000)[0])


# -- sound ---------------------------------------------------------------------------------------


def test_filterbank():
    """Every frequency between the first and the last peak is shared out whole."""
    bank = mel_filterbank(20, rate=8000, window=512, low=100.0, high=3500.0)
    assert bank.shape == (20, 257) and bank.max() <= 1.0 and bank.min() == 0.0
    frequency = np.arange(257) * 8000 / 512
    peaks = frequency[bank.argmax(axis=1)]
    between = (frequency >= peaks[0]) & (frequency <= peaks[-1])
    mel = 2595 * np.log10(1 + np.array([100.0, 3500.0]) / 700)
    centres = 700 * (10 ** (np.linspace(*mel, 22) / 2595) - 1)
    assert np.all(np.abs(peaks - centres[1:-1]) < 8000 / 512)
    whole = (frequency >= centres[1]) & (frequency <= centres[-2])
    assert between.sum() > 100
    np.testing.assert_allclose(bank.sum(axis=0)[whole], 1.0, atol=1e-12)
    assert not bank[:, (frequency <= 100) | (frequency >= 3500)].any()


def test_log_mel_by_hand():
    """One window at a time, with np.fft on a padded sound."""
    rng = np.random.default_rng(1)
    sounds = [rng.standard_normal(n) * np.linspace(0.01, 1, n) for n in (900, 400, 1)]
    made = log_mel(sounds, rate=4000, bands=8, window=0.064, hop=0.02, low=30.0, dynamic_range=50.0)
    bank = mel_filterbank(8, rate=4000, window=256, low=30.0)
    hann = np.hanning(257)[:-1]
    for sound, found in zip(sounds, made):
        padded_ = np.concatenate([np.zeros(128), sound, np.zeros(256)])
        power = []
        for k in range(1 + sound.size // 80):
            piece = padded_[80 * k : 80 * k + 256] * hann
            power.append(bank @ np.abs(np.fft.rfft(piece)) ** 2)
        decibels = 10 * np.log10(np.array(power) / np.max(power))
        np.testing.assert_allclose(found, np.clip(1 + decibels / 50.0, 0, 1), atol=1e-9)


def test_a_tone_is_loudest_in_its_band():
    rate = 8000
    time = np.arange(4000) / rate
    for frequency in (200.0, 1000.0, 3000.0):
        sound = np.sin(2 * np.pi * frequency * time)
        (energy,) = log_mel([sound], rate=rate)
        bank = mel_filterbank(32, rate=rate, window=256, low=50.0)
        assert bank[energy[10:40].sum(axis=0).argmax(), round(frequency / rate * 256)] > 0.3
        (louder,) = log_mel([7.0 * sound], rate=rate)
        np.testing.assert_allclose(louder, energy, atol=1e-9)
    assert not log_mel([np.zeros(500)], rate=rate)[0].any()


def test_mel_level_crossings():
    sounds = [np.random.default_rng(s).standard_normal(3000) * np.hanning(3000) for s in range(3)]
    spikes = valid(mel_level_crossings(sounds, rate=8000))
    assert spikes.size == 257 and spikes.counts()[:, 256].tolist() == [1, 1, 1]
    expected = level_crossings(
        log_mel(sounds, rate=8000), levels=(0.35, 0.5, 0.65, 0.8), dt=0.01, bias_time=0.0
    )
    assert spikes == expected
    ms = mel_level_crossings(sounds, rate=8000, time_scale=1e3, bias_time=None, bands=20)
    assert ms.size == 160 and 300 < ms.times.max() <= 375


def test_spoken_digits(data_folder):
    digits = data.fsdd(data_folder / "fsdd" / "recordings.zip")
    some = np.flatnonzero(digits.indices < 4)
    spikes = mel_level_crossings([digits.sounds[k] for k in some], rate=digits.rate)
    assert spikes.size == 257 and len(spikes) == 240
    assert 200 < spikes.times.size / 240 < 500
    levels = {"levels": (0.35, 0.5, 0.65, 0.8), "dt": 0.01}
    energies = log_mel([digits.sounds[k] for k in some[:20]], rate=digits.rate)
    most = max(map(len, energies))
    back = from_level_crossings(spikes[:20], **levels, steps=most, low=0.0, high=1.0)
    for kept, energy in zip(back, energies):
        between = (energy > 0.35) & (energy < 0.8)
        assert np.abs(kept[: len(energy)] - energy)[between].max() <= 0.075 + 1e-9


# -- mistakes ------------------------------------------------------------------------------------

X = np.zeros((2, 3, 1))
S = level_crossings(X, levels=LEVELS, dt=1.0)
BACK = {"levels": LEVELS, "dt": 1.0, "steps": 3, "low": 0.0, "high": 1.0}
NAN = np.array([[[0.0], [0.0]], [[0.0], [np.nan]]])
MISTAKES = {
    "shape": (lambda: level_crossings(np.zeros((3, 2)), levels=[1], dt=1), ValueError, "signals have shape (3, 2), expected [samples, steps, channels], or a list"),
    "one of a list": (lambda: level_crossings([np.zeros((3, 2)), np.zeros(3)], levels=[1], dt=1), ValueError, "signals[1] has shape (3,), expected [steps, 2], at least one of each"),
    "other channels": (lambda: level_crossings([np.zeros((3, 2)), np.zeros((3, 1))], levels=[1], dt=1), ValueError, "signals[1] has shape (3, 1), expected [steps, 2]"),
    "no steps": (lambda: level_crossings(np.zeros((2, 0, 1)), levels=[1], dt=1), ValueError, "signals[0] has shape (0, 1)"),
    "none": (lambda: level_crossings([], levels=[1], dt=1), ValueError, "signals are empty"),
    "nan": (lambda: level_crossings(NAN, levels=[1], dt=1), ValueError, "signals[1, 1, 0] is nan, expected a finite number"),
    "levels fall": (lambda: level_crossings(X, levels=[1, 2, 2], dt=1), ValueError, "levels[2] is 2.0, expected more than 2.0"),
    "no levels": (lambda: level_crossings(X, levels=[], dt=1), ValueError, "levels have shape (0,), expected at least one level"),
    "level nan": (lambda: level_crossings(X, levels=[np.nan], dt=1), ValueError, "levels[0] is nan"),
    "dt": (lambda: level_crossings(X, levels=[1], dt=0.0), ValueError, "dt is 0.0, expected a finite time > 0"),
    "t0": (lambda: level_crossings(X, levels=[1], dt=1.0, t0=-1), ValueError, "t0 is -1, expected a finite time >= 0"),
    "bias": (lambda: level_crossings(X, levels=[1], dt=1.0, bias_time=-1), ValueError, "bias_time is -1, expected a finite time >= 0"),
    "below 0": (lambda: integrate_and_fire(X - 1, threshold=1, dt=1), ValueError, "signals[0, 0, 0] is -1.0, expected a finite number >= 0"),
    "threshold": (lambda: integrate_and_fire(X, threshold=0, dt=1), ValueError, "threshold is 0, expected a finite number > 0"),
    "too many": (lambda: integrate_and_fire(X + 1e300, threshold=1, dt=1), ValueError, "signals[0]: 1e+300 spikes on channel 0 by step 0"),
    "much": (lambda: integrate_and_fire(X + 1e13, threshold=1, dt=1), MemoryError, "spikes"),
    "back: spikes": (lambda: from_level_crossings(X, **BACK), TypeError, "spikes is a ndarray"),
    "back: channels": (lambda: from_level_crossings(S.beside(S), **{**BACK, "levels": [1, 2, 3, 4, 5], "high": 5.0}), ValueError, "the spikes have 12 channels, expected 2 x 5 levels x some"),
    "back: low": (lambda: from_level_crossings(S, **{**BACK, "low": 0.5}), ValueError, "low is 0.5 and high 1.0, expected low <= 0.25"),
    "back: down first": (lambda: from_level_crossings(Spikes([1.0], [5], [0, 1], size=6), **BACK), ValueError, "sample 0, channel 0: -1 levels are below the signal at step 2"),
    "rate": (lambda: mel_filterbank(8, rate=8000, window=256, high=5000), ValueError, "low is 0.0 and high 5000, expected 0 <= low < high <= 4000.0"),
    "narrow": (lambda: mel_filterbank(80, rate=8000, window=64), ValueError, "lies between two frequencies of a window of 64"),
    "sounds: one": (lambda: log_mel(np.zeros(9), rate=8000), TypeError, "sounds is one array of numbers, expected a list"),
    "sounds: stereo": (lambda: log_mel([np.zeros((9, 2))], rate=8000), ValueError, "sounds[0] has shape (9, 2), expected [numbers]"),
    "sounds: inf": (lambda: log_mel([np.zeros(9), np.array([1.0, np.inf])], rate=8000), ValueError, "sounds[1][1] is inf"),
    "hop": (lambda: log_mel([np.zeros(9)], rate=8000, hop=1e-5), ValueError, "window is 0.032 s and hop 1e-05 s, 256 and 0 numbers"),
    "range": (lambda: log_mel([np.zeros(9)], rate=8000, dynamic_range=0), ValueError, "dynamic_range is 0, expected a finite number > 0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=re.escape(message)):
        call()
