"""NIR's data: events, events with a value, grids, both ways."""

from __future__ import annotations

import numpy as np
import pytest
import snnfp

nir = pytest.importorskip("nir", reason="nir is not installed: pip install 'snnfp[nir]'")

SPIKES = snnfp.Spikes.from_lists(
    [[[0.002, 0.005], [], [0.003]], [[], [], []], [[0.001], [0.001], []]]
)


def test_events():
    data = snnfp.nir.spikes_to_data(SPIKES, t_max=0.01)
    assert type(data) is nir.EventData and data.n_neurons == 3 and data.t_max == 0.01
    assert data.idx.tolist() == [[0, 2, 0], [-1, -1, -1], [0, 1, -1]]
    assert data.time.tolist() == [[0.002, 0.003, 0.005], [np.inf] * 3, [0.001, 0.001, np.inf]]
    assert snnfp.nir.spikes_from_data(data) == SPIKES


def test_events_in_any_order_and_place():
    index = np.array([[-1, 1, 0, 2], [0, -1, -1, -1]])
    times = np.array(
        [[np.inf, 0.3, 0.1, 0.2], [0.5, 7.0, np.inf, np.inf]]
    )  # jaxsnn: -1 at any time
    spikes = snnfp.nir.spikes_from_data(nir.EventData(index, times, 3, 1.0))
    assert spikes.times.tolist() == [0.1, 0.2, 0.3, 0.5] and spikes.units.tolist() == [0, 2, 1, 0]


def test_no_spike_at_all():
    silent = snnfp.Spikes.from_lists([[[], []]])
    data = snnfp.nir.spikes_to_data(silent, t_max=1.0)
    assert data.idx.tolist() == [[-1]] and snnfp.nir.spikes_from_data(data) == silent


def test_events_with_values():
    values = np.array([0.5, -1.0, 2.0, 3.0, 4.0])
    data = snnfp.nir.spikes_to_data(SPIKES, t_max=0.01, values=values)
    assert type(data) is nir.ValuedEventData
    assert data.value.tolist() == [[0.5, -1.0, 2.0], [0, 0, 0], [3.0, 4.0, 0]]
    back, theirs = snnfp.nir.values_from_data(data)
    assert back == SPIKES and np.array_equal(theirs, values)
    with pytest.raises(ValueError, match=r"sample 0 at 0\.002 has the value 0\.5, expected 1"):
        snnfp.nir.spikes_from_data(data)
    ones = snnfp.nir.spikes_to_data(SPIKES, t_max=0.01, values=np.ones(5))
    assert snnfp.nir.spikes_from_data(ones) == SPIKES
    with pytest.raises(TypeError, match=r"data is a EventData, expected nir.ValuedEventData"):
        snnfp.nir.values_from_data(snnfp.nir.spikes_to_data(SPIKES, t_max=0.01))


def test_grid_is_read_as_nir_reads_it():
    grid = np.random.default_rng(0).random((3, 20, 4)) < 0.2
    data = nir.TimeGriddedData(grid, 0.001)
    spikes = snnfp.nir.spikes_from_data(data)
    theirs = snnfp.nir.spikes_from_data(data.to_event(n_events=60))
    assert spikes.times.size == grid.sum() >= 30
    assert np.array_equal(spikes.units, theirs.units) and np.array_equal(
        spikes.offsets, theirs.offsets
    )
    np.testing.assert_allclose(spikes.times, theirs.times, rtol=1e-14, atol=1e-17)


@pytest.mark.parametrize("before, time", [(True, 1.5), (False, 1.0)])
def test_grid_that_says_what_a_step_stands_for(before, time):
    """As NIR has it after 1.0.8."""
    grid = np.zeros((1, 4, 1), dtype=bool)
    grid[0, 2, 0] = True
    fields = {"data": grid, "dt": 0.5, "dynamic_before_transition": before}
    spikes = snnfp.nir.spikes_from_data(type("TimeGriddedData", (), fields)())
    assert spikes.times.tolist() == [time]


def test_grid_and_back():
    grid = np.random.default_rng(1).random((2, 30, 5)) < 0.3
    spikes = snnfp.nir.spikes_from_data(nir.TimeGriddedData(grid, 0.001))
    data = snnfp.nir.spikes_to_data(spikes, t_max=0.03, dt=0.001)
    assert type(data) is nir.TimeGriddedData and data.data.dtype == bool
    assert np.array_equal(data.data, grid) and data.dt == 0.001
    assert np.array_equal(snnfp.nir.spikes_from_data(data).times, spikes.times)
    between = snnfp.Spikes.from_lists([[[0.0001, 0.0029]]])
    steps = snnfp.nir.spikes_to_data(between, t_max=0.004, dt=0.001).data
    assert np.flatnonzero(steps).tolist() == [0, 2]


def test_grids_of_others():
    """hxtorch keeps spikes as floats; signals are no spikes."""
    grid = np.zeros((1, 4, 2))
    grid[0, 1, 1] = 1.0
    assert snnfp.nir.spikes_from_data(nir.TimeGriddedData(grid, 0.5)).times.tolist() == [0.5]
    grid[0, 2, 0] = 0.3
    with pytest.raises(ValueError, match=r"array\[2, 0, 0\] is 0\.3, expected 0 or 1"):
        snnfp.nir.spikes_from_data(nir.TimeGriddedData(grid, 0.5))


def event(**changes):
    given = {
        "idx": np.array([[0, 1]]),
        "time": np.array([[0.1, 0.2]]),
        "n_neurons": 2,
        "t_max": 1.0,
    }
    return nir.EventData(**{**given, **changes})


def test_errors_name_the_event():
    with pytest.raises(
        ValueError, match=r"idx\[0, 1\] is 2 and time\[0, 1\] 0\.2, expected an index from 0 to 1"
    ):
        snnfp.nir.spikes_from_data(event(idx=np.array([[0, 2]])))
    with pytest.raises(ValueError, match=r"idx\[0, 0\] is 0 and time\[0, 0\] nan"):
        snnfp.nir.spikes_from_data(event(time=np.array([[np.nan, 0.2]])))
    with pytest.raises(
        ValueError, match=r"sample 0, spike 0: time -0.1, expected a finite time >= 0"
    ):
        snnfp.nir.spikes_from_data(event(time=np.array([[-0.1, 0.2]])))
    with pytest.raises(ValueError, match=r"idx has shape \(2,\)"):
        snnfp.nir.spikes_from_data(event(idx=np.array([0, 1]), time=np.array([0.1, 0.2])))
    with pytest.raises(TypeError, match=r"data is a list, expected nir.EventData"):
        snnfp.nir.spikes_from_data([1])
    with pytest.raises(
        ValueError, match=r"sample 0: a spike at 0\.005, expected none after t_max = 0\.004"
    ):
        snnfp.nir.spikes_to_data(SPIKES, t_max=0.004)
    with pytest.raises(ValueError, match=r"values has shape \(2,\), expected \(5,\), one a spike"):
        snnfp.nir.spikes_to_data(SPIKES, t_max=0.01, values=[1.0, 2.0])
    with pytest.raises(ValueError, match="values and dt are both given"):
        snnfp.nir.spikes_to_data(SPIKES, t_max=0.01, values=np.ones(5), dt=0.001)
    with pytest.raises(ValueError, match="t_max is 0, expected a finite time > 0"):
        snnfp.nir.spikes_to_data(SPIKES, t_max=0)
    with pytest.raises(ValueError, match="shares step 0 with another"):
        snnfp.nir.spikes_to_data(SPIKES, t_max=0.01, dt=0.01)


def test_record_and_its_file(tmp_path):
    net = snnfp.Network()
    x = net.input(3, name="x")
    h = net.population(2, snnfp.LIF(tau_mem=0.02, tau_syn=0.005), name="h")
    net.connect(x, h, snnfp.Dense(weight=300.0))
    record = snnfp.simulate(net, SPIKES, until=0.02)
    data = snnfp.nir.record_to_data(record, dt=0.001)
    assert data.nodes["h"].check_observables(snnfp.nir.to_nir(net).nodes["h"])
    nir.write_data(tmp_path / "run.nird", data)
    there = nir.read_data(tmp_path / "run.nird").nodes["h"].observables
    assert (
        snnfp.nir.spikes_from_data(there["spikes"]) == record.spikes("h") and record.n_spikes >= 4
    )
    at = record.probe("h", [0.004]).voltage
    np.testing.assert_array_equal(there["v"].data[:, 3], at[:, :, 0])
    # Whole steps alone: V is not known after the record's end.
    coarse = snnfp.nir.record_to_data(record, dt=0.007).nodes["h"].observables["v"].data
    np.testing.assert_array_equal(coarse.swapaxes(1, 2), record.probe("h", [0.007, 0.014]).voltage)
    assert list(snnfp.nir.record_to_data(record, populations=[]).nodes) == []
    with pytest.raises(KeyError, match="'z' is not a population"):
        snnfp.nir.record_to_data(record, populations=["z"])
    with pytest.raises(ValueError, match="no finite until"):
        snnfp.nir.record_to_data(snnfp.simulate(net, SPIKES))
