"""Latencies: made in blocks, the same as all at once, in little memory; and back to features."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snnfp import Spikes
from snnfp.encoding import from_latency, latency, scale_min_max
from snnfp.encoding import latency as encode
from snnfp.encoding.latency import _BLOCK

OPTIONS = st.fixed_dictionaries(
    {
        "bias_time": st.sampled_from([None, 0.0, 0.7]),
        "invert": st.booleans(),
        "silent_at_zero": st.booleans(),
    }
)


@given(OPTIONS, st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_blocks_are_the_whole(options, d, seed):
    """Against one time a channel, sorted at once; many equal values and zeros."""
    rng = np.random.default_rng(seed)
    n = 3 * (_BLOCK // (d + 1)) // 40 + 2 if seed % 7 else 2 * _BLOCK // d + 3
    x = rng.integers(0, 5, (min(n, 4000), d)) / 4
    times = 0.5 + 1.5 * ((1 - x) if options["invert"] else x)
    if options["silent_at_zero"]:
        times = np.where(x == 0, np.inf, times)
    if options["bias_time"] is not None:
        times = np.concatenate([times, np.full((len(x), 1), options["bias_time"])], axis=1)
    spikes = latency(x, t_min=0.5, t_max=2.0, **options)
    assert spikes == Spikes.from_latencies(times)
    assert Spikes(spikes.times, spikes.units, spikes.offsets, size=spikes.size) == spikes
    assert spikes.units.dtype == np.int32 and spikes.offsets.dtype == np.int64
    back = from_latency(spikes, t_min=0.5, t_max=2.0, **options)
    np.testing.assert_allclose(back, x, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64, bool])
def test_other_numbers(dtype):
    x = np.array([[0, 1, 1], [1, 0, 0]], dtype=dtype if dtype is not bool else np.uint8)
    assert latency(x, t_min=0, t_max=1) == latency(x.astype(float), t_min=0, t_max=1)
    half = np.float32([[0.1, 0.7]])
    assert latency(half, t_min=0, t_max=1).times.tolist() == half[0].astype(float).tolist()


def test_memory_is_that_of_the_spikes():
    """Features of which few fire: the blocks and the result, not several copies of the features."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((20000, 200)) < 0.9, 0.0, rng.random((20000, 200)))
    tracemalloc.start()
    spikes = encode(x, t_min=0.0, t_max=1.0, silent_at_zero=True)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = spikes.times.nbytes + spikes.units.nbytes + spikes.offsets.nbytes
    assert most < 4 * kept + 8 * 10 * _BLOCK < x.nbytes


def test_a_value_out_of_range_is_named_in_any_block():
    x = np.zeros((3 * _BLOCK, 1))
    x[2 * _BLOCK + 5] = 1.5
    with pytest.raises(
        ValueError, match=rf"features\[{2 * _BLOCK + 5}, 0\] is 1.5, expected 0 ... 1"
    ):
        latency(x, t_min=0, t_max=1)
    x[2 * _BLOCK + 5] = np.nan
    with pytest.raises(ValueError, match=rf"features\[{2 * _BLOCK + 5}, 0\] is nan"):
        latency(x, t_min=0, t_max=1)


def test_only_a_bias():
    spikes = latency(np.empty((3, 0)), t_min=0, t_max=1, bias_time=0.5)
    assert spikes == Spikes([0.5] * 3, [0] * 3, [0, 1, 2, 3], size=1)
    assert from_latency(spikes, t_min=0, t_max=1, bias_time=0.5).shape == (3, 0)


BACK = {
    "two": (Spikes([0.1, 0.2], [0, 0], [0, 2], size=1), {"silent_at_zero": True}, "sample 0, channel 0: 2 spikes, expected at most one"),
    "none": (Spikes([0.1, 0.2], [0, 1], [0, 1, 2], size=2), {}, "sample 0, channel 1: 0 spikes, expected one"),
    "late": (Spikes([0.1, 1.2], [0, 1], [0, 2], size=2), {}, "sample 0, channel 1: time 1.2, expected 0 ... 1"),
    "no span": (Spikes([0.1], [0], [0, 1], size=1), {"t_max": 0.0}, "t_min and t_max are 0, from which no value can be told"),
}  # fmt: skip


@pytest.mark.parametrize("case", BACK)
def test_spikes_that_are_no_latencies(case):
    spikes, options, message = BACK[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        from_latency(spikes, **{"t_min": 0.0, "t_max": 1.0, **options})
    with pytest.raises(TypeError, match="spikes is a list, expected"):
        from_latency([1], t_min=0, t_max=1)


def test_scaling_takes_float32():
    scaled = scale_min_max(np.float32([[0.0], [3.0], [1.5]]))
    assert scaled.dtype == np.float64 and scaled.tolist() == [[0.0], [1.0], [0.5]]
