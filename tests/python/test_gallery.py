"""The examples of the gallery: each runs by itself, quickly, and draws something."""

from __future__ import annotations

import contextlib
import io
import runpy
import time
import warnings

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from test_docs import ROOT

EXAMPLES = sorted((ROOT / "docs" / "gallery").glob("plot_*.py"))
# What each prints at its end, as the figure that it is about.
SAYS = {
    "plot_1_exact_derivative": "exact",
    "plot_2_first_spikes": "validation accuracy",
    "plot_3_delays": "accuracy",
    "plot_4_wanted_times": "distance",
    "plot_5_curve": "loss",
    "plot_6_recorded_neuron": "tau_mem",
}


def test_there_are_some():
    assert [e.stem for e in EXAMPLES] == list(SAYS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    start = time.process_time()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        names = runpy.run_path(str(example))
    assert time.process_time() - start < 30
    figures = [v for v in names.values() if isinstance(v, Figure)]
    plt.close("all")
    assert figures and all(f.axes for f in figures)
    assert SAYS[example.stem] in printed.getvalue()
    assert not list(tmp_path.iterdir())
