"""Neo spike trains both ways, and Elephant on what comes out."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import snnfp

neo = pytest.importorskip("neo", reason="neo is not installed: pip install 'snnfp[neo]'")
import quantities as pq  # noqa: E402

SPIKES = snnfp.Spikes.from_lists([[[2.5, 5.1], [], [3.3]], [[], [], []], [[1.7], [1.7], []]])


def train(times, unit="ms", **ends):
    return neo.SpikeTrain(times * getattr(pq, unit), **{"t_stop": 100.0, **ends})


def test_out_and_in():
    trains = snnfp.neo.to_neo(SPIKES, units="ms", t_stop=10.0)
    assert [type(t).__name__ for t in trains] == ["SpikeTrainList"] * 3
    assert [len(t) for t in trains] == [3] * 3
    first = trains[0][0]
    assert (
        first.times.tolist() == [2.5, 5.1] and first.units == pq.ms and first.t_stop == 10 * pq.ms
    )
    back, until = snnfp.neo.from_neo(trains, units="ms")
    assert back == SPIKES and until == 10.0


def test_units_and_beginnings():
    trains = snnfp.neo.to_neo(SPIKES, units=pq.ms, t_start=512.0, t_stop=10.0)
    assert trains[0][0].t_start == 512 * pq.ms and trains[0][0].t_stop == 522 * pq.ms
    back, until = snnfp.neo.from_neo(trains, units="s")
    np.testing.assert_allclose(back.times, SPIKES.times / 1000, rtol=1e-12)
    np.testing.assert_allclose(until, 0.01)
    later, until = snnfp.neo.from_neo(trains, units="ms", origin=500 * pq.ms)
    np.testing.assert_allclose(later.times, SPIKES.times + 12.0)
    assert until == 22.0


def test_everything_that_has_spike_trains():
    a, b = train([1.0, 2.0]), train([0.003], "s", t_stop=0.08)
    one = snnfp.Spikes.from_lists([[[1.0, 2.0]]])
    two = snnfp.Spikes.from_lists([[[1.0, 2.0], [3.0]]])
    assert snnfp.neo.from_neo(a, units="ms") == (one, 100.0)
    assert snnfp.neo.from_neo([a, b], units="ms") == (two, 100.0)
    segment = neo.Segment()
    segment.spiketrains.extend([a, b])
    for sample in (segment, segment.spiketrains):
        assert snnfp.neo.from_neo(sample, units="ms") == (two, 100.0)
    block = neo.Block()
    block.segments.extend([segment, segment])
    pair = snnfp.Spikes.concatenate([two, two])
    for batch in (block, [segment, segment], [[a, b], [a, b]]):
        assert snnfp.neo.from_neo(batch, units="ms") == (pair, 100.0)


def test_multiplexed_list():
    """One array of times and one of channels."""
    trains = neo.spiketrainlist.SpikeTrainList.from_spike_time_array(
        np.array([5.0, 1.0, 3.0]), np.array([7, 9, 7]), [7, 8, 9], t_stop=10 * pq.ms, units="ms"
    )
    spikes, _ = snnfp.neo.from_neo(trains, units="ms")
    assert spikes == snnfp.Spikes.from_lists([[[3.0, 5.0], [], [1.0]]])


def network():
    net = snnfp.Network()
    x = net.input(3, name="x")
    h = net.population(
        4, snnfp.LIF(tau_mem=20.0, tau_syn=5.0, bias=[0.08, 0.1, 0.12, 0.0]), name="h"
    )
    out = net.population(2, snnfp.LIF(tau_mem=20.0, tau_syn=5.0), name="out")
    net.connect(x, h, snnfp.Dense(weight=0.2))
    net.connect(h, out, snnfp.Dense(weight=0.3))
    return snnfp.simulate(net, SPIKES, until=100.0)


def test_record():
    record = network()
    block = snnfp.neo.record_to_neo(record, units="ms", dt=0.5)
    assert len(block.segments) == 3
    trains = block.segments[0].spiketrains
    assert [t.name for t in trains][3:5] == ["h[3]", "out[0]"]
    assert trains[4].annotations["population"] == "out" and trains[4].annotations["neuron"] == 0
    for s, segment in enumerate(block.segments):
        for k, times in enumerate(record.spikes("h").to_lists()[s]):
            assert np.array_equal(segment.spiketrains[k].times.magnitude, times)
    signal = block.segments[2].analogsignals[0]
    assert signal.shape == (201, 4) and signal.sampling_period == 0.5 * pq.ms
    at = record.probe("h", [7.5]).voltage[2, :, 0]
    assert np.array_equal(signal.magnitude[15], at)
    only = snnfp.neo.record_to_neo(record, units="ms", populations=["out"]).segments[0]
    assert len(only.spiketrains) == 2 and not only.analogsignals
    assert snnfp.neo.from_neo(only, units="ms")[0] == record.spikes("out")[0]
    with pytest.raises(KeyError, match="'z' is not a population"):
        snnfp.neo.record_to_neo(record, units="ms", populations=["z"])


# Elephant 1.2 makes quantities in a way that they no longer like.
@pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")
def test_elephant_works_on_it():
    reason = "elephant is not installed: pip install elephant"
    elephant = pytest.importorskip("elephant", reason=reason)
    from elephant import conversion, spike_train_correlation, statistics

    record = network()
    assert elephant is not None
    block = snnfp.neo.record_to_neo(record, units="ms")
    counts = record.counts("h")
    assert counts[:, :3].min() >= 3
    for s, segment in enumerate(block.segments):
        trains = segment.spiketrains
        for k in range(4):
            rate = statistics.mean_firing_rate(trains[k]).rescale("Hz")
            np.testing.assert_allclose(float(rate), counts[s, k] * 10.0)
        times = record.spikes("h").to_lists()[s][0]
        intervals = statistics.isi(trains[0])
        np.testing.assert_allclose(intervals.magnitude, np.diff(times))
        np.testing.assert_allclose(
            statistics.cv(intervals), np.std(np.diff(times)) / np.mean(np.diff(times))
        )
        binned = conversion.BinnedSpikeTrain(trains[:3], bin_size=5 * pq.ms)
        assert binned.to_array().sum() == counts[s, :3].sum()
        matrix = spike_train_correlation.correlation_coefficient(binned)
        assert matrix.shape == (3, 3) and np.allclose(np.diag(matrix), 1)
    lists = snnfp.neo.to_neo(record.spikes("h"), units="ms", t_stop=100.0)
    histogram = statistics.time_histogram(lists[0], bin_size=10 * pq.ms)
    assert histogram.magnitude.sum() == counts[0].sum()


def test_errors_name_sample_and_channel():
    with pytest.raises(ValueError, match="units is 'mV', expected a unit of time"):
        snnfp.neo.to_neo(SPIKES, units="mV", t_stop=10.0)
    with pytest.raises(ValueError, match="units is 'parsnip', expected a unit of time"):
        snnfp.neo.from_neo(train([1.0]), units="parsnip")
    with pytest.raises(
        ValueError, match=r"sample 0: a spike at 5\.1, expected none after t_stop = 5"
    ):
        snnfp.neo.to_neo(SPIKES, units="ms", t_stop=5.0)
    with pytest.raises(
        ValueError, match="sample 0: channel 1 begins at -3 and channel 0 at 0, expected"
    ):
        snnfp.neo.from_neo([train([1.0]), train([1.0], t_start=-3.0)], units="ms")
    with pytest.raises(ValueError, match=r"sample 0, channel 0: a spike at 1 ms, before time 0"):
        snnfp.neo.from_neo([train([1.0])], units="ms", origin=2 * pq.ms)
    with pytest.raises(ValueError, match="sample 1 has 1 spike trains, expected 2 as in sample 0"):
        snnfp.neo.from_neo([[train([1.0])] * 2, [train([1.0])]], units="ms")
    with pytest.raises(
        TypeError, match="sample 0, channel 1 is a float, expected a neo SpikeTrain"
    ):
        snnfp.neo.from_neo([[train([1.0]), 2.0]], units="ms")
    with pytest.raises(TypeError, match="data is a ndarray, expected a neo SpikeTrain"):
        snnfp.neo.from_neo(np.zeros(3), units="ms")
    with pytest.raises(TypeError, match="origin is 5, expected a quantity"):
        snnfp.neo.from_neo(train([1.0]), units="ms", origin=5)
    with pytest.raises(ValueError, match="data has no spike train"):
        snnfp.neo.from_neo(neo.Segment(), units="ms")
    net = snnfp.Network()
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="p", max_spikes=1)
    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        record = snnfp.simulate(net, None)
    with pytest.raises(ValueError, match="no finite until"):
        snnfp.neo.record_to_neo(record, units="ms")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "neo", None)
    monkeypatch.setitem(sys.modules, "quantities", None)
    with pytest.raises(snnfp.errors.MissingDependencyError, match=r"pip install 'snnfp\[neo\]'"):
        snnfp.neo.to_neo(SPIKES, units="ms", t_stop=10.0)
