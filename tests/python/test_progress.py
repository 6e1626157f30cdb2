"""Where a training shows that it goes on: a bar on a terminal, few lines in a log."""

import re
import sys

import numpy as np
import pytest
from snnfp import Adam, EarlyStopping, _progress, fit
from snnfp.losses import SpikeTimeSquaredError
from test_training import OPTIONS, problem

SHOWN = {**OPTIONS, "progress": True}


def lines(capfd):
    shown = capfd.readouterr()
    assert shown.out == "" and "\r" not in shown.err
    return shown.err.splitlines()


def test_a_log_gets_a_line_an_epoch(capfd):
    net, data = problem()
    fit(net, data, optimiser=Adam(), epochs=3, validation=data, **SHOWN)
    written = lines(capfd)
    pattern = r"epoch {}/3  loss \d\.\d{{4}}  train \d\.\d{{4}}  validation \d\.\d{{4}}  .*s"
    assert len(written) == 3
    assert all(re.fullmatch(pattern.format(k + 1), line) for k, line in enumerate(written))


def test_a_log_of_many_epochs_is_thinned(capfd):
    with _progress.show_progress(1000, 0, True) as report:
        for epoch in range(1, 1001):
            report(epoch, {"loss": 0.5, "accuracy": 0.75, "seconds": 0.01})
    written = lines(capfd)
    assert 20 <= len(written) <= 60 and sum(map(len, written)) < 4000
    assert written[0] == "epoch    1/1000  loss 0.5000  train 0.7500  0.01 s"
    assert written[-1].startswith("epoch 1000/1000")


def test_the_last_epoch_of_one_that_stops_early_is_shown(capfd):
    net, (spikes, _) = problem()
    rule = EarlyStopping(metric="loss", patience=3)
    data = (spikes, np.full((60, 3), 2.0))
    options = {**SHOWN, "loss": SpikeTimeSquaredError(horizon=4.0)}
    history = fit(net, data, optimiser=Adam(lr=1e-300), epochs=500, early_stopping=rule, **options)
    assert 3 < len(history) < 500
    written = lines(capfd)
    assert [int(re.match(r"epoch +(\d+)/500  loss", line).group(1)) for line in written] == [
        1,
        len(history),
    ]
    assert "train" not in written[-1]  # it has no accuracy


def test_a_terminal_gets_a_bar(capfd, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(_progress, "_is_terminal", lambda: True)
    net, data = problem()
    fit(net, data, optimiser=Adam(), epochs=2, **SHOWN)
    shown = capfd.readouterr()
    assert "2/2" in shown.err and "loss=" in shown.err and "train=" in shown.err and shown.out == ""


def test_without_tqdm_a_terminal_gets_the_lines_and_is_told_once(capfd, monkeypatch):
    monkeypatch.setattr(_progress, "_is_terminal", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(_progress, "_told_about_tqdm", False)
    net, data = problem()
    for _ in range(2):
        fit(net, data, optimiser=Adam(), epochs=1, **SHOWN)
    shown = capfd.readouterr()
    assert (
        shown.out
        == "no progress bar: tqdm is not installed; it comes with: pip install 'snnfp[train]'\n"
    )
    assert shown.err.count("epoch 1/1") == 2


def test_nothing_is_shown_if_not_asked_for(capfd):
    net, data = problem()
    fit(net, data, optimiser=Adam(), epochs=1, **OPTIONS)
    assert lines(capfd) == []
