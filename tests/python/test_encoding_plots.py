"""Pictures of what an encoder keeps: what is drawn where, and mistakes."""

import re

import numpy as np
import pytest
from snnfp import Spikes, plots
from snnfp.encoding import from_level_crossings, level_crossings


def test_signal_and_spikes():
    x = np.linspace(0, 1, 30)[:, None] * [[1.0, 0.5]]
    levels = {"levels": [0.3, 0.6], "dt": 0.1, "t0": 2.0}
    spikes = level_crossings([x], **levels)
    kept = from_level_crossings(spikes, **levels, steps=30, low=0.0, high=1.0)[0]
    figure = plots.signal_and_spikes(x, spikes, dt=0.1, t0=2.0, kept=kept, time_unit="s")
    signal, raster, back = figure.axes
    assert np.array_equal(signal.images[0].get_array(), x.T)
    assert np.array_equal(back.images[0].get_array(), kept.T)
    assert signal.images[0].get_clim() == back.images[0].get_clim() == (0.0, 1.0)
    np.testing.assert_allclose(signal.images[0].get_extent(), (1.95, 4.95, -0.5, 1.5))
    points = raster.collections[0].get_offsets()
    assert np.array_equal(points, np.column_stack([spikes.times, spikes.units]))
    assert raster.get_ylabel() == "spikes (3)\nchannel" and back.get_xlabel() == "time [s]"
    assert len(plots.signal_and_spikes(x, spikes, dt=0.1).axes) == 2


def test_pixel_counts():
    spikes = Spikes([0.0, 0.1, 0.2, 0.3], [0, 0, 7, 12], [0, 4], size=13)
    figure = plots.pixel_counts({"all": spikes, "thin": spikes.thin(1.0)}, (2, 2, 3))
    images = [a.images[0].get_array().tolist() for a in figure.axes]
    assert images == [
        [[2, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [0, 0, 0]],
        [[0, 1, 0], [0, 0, 0]],
        [[0, 1, 0], [0, 0, 0]],
    ]
    assert [a.get_title() for a in figure.axes[:2]] == ["all\n3 spikes", "thin\n2 spikes"]


X, ONE, TWO = (
    np.zeros((3, 2)),
    Spikes([0.0], [0], [0, 1], size=4),
    Spikes([], [], [0, 0, 0], size=4),
)
MISTAKES = {
    "signal": (lambda: plots.signal_and_spikes(np.zeros(3), ONE, dt=1), ValueError, "signal has shape (3,), expected [steps, channels]"),
    "nan": (lambda: plots.signal_and_spikes(X + np.nan, ONE, dt=1), ValueError, "signal[0, 0] is nan"),
    "kept": (lambda: plots.signal_and_spikes(X, ONE, dt=1, kept=np.zeros((3, 1))), ValueError, "kept has 1 channels, expected 2"),
    "samples": (lambda: plots.signal_and_spikes(X, TWO, dt=1), ValueError, "spikes has 2 samples, expected one: choose it by spikes[k]"),
    "spikes": (lambda: plots.signal_and_spikes(X, X, dt=1), TypeError, "spikes is a ndarray"),
    "dt": (lambda: plots.signal_and_spikes(X, ONE, dt=0), ValueError, "dt is 0, expected"),
    "not by title": (lambda: plots.pixel_counts(ONE, (2, 2)), TypeError, "recordings is a Spikes, expected a mapping {title: Spikes}"),
    "none": (lambda: plots.pixel_counts({}, (2, 2)), ValueError, "0 recordings, expected 1 to 8"),
    "shape": (lambda: plots.pixel_counts({"a": ONE}, (4,)), ValueError, "shape is (4,), expected at least (rows, columns)"),
    "channels": (lambda: plots.pixel_counts({"a": ONE}, (3, 3)), ValueError, "recordings['a'] has 4 channels, expected at least 9"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, kind, message = MISTAKES[mistake]
    with pytest.raises(kind, match=re.escape(message)):
        call()
