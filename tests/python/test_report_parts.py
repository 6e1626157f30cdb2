"""snnfp report: what the page is made of, on small cases whose answer is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import snnfp
from report_pages import Page
from snnfp.report import Subject, write_report
from snnfp.report.activity import confusion, spike_counts
from snnfp.report.look import Look, look
from snnfp.report.numbers import evenly, rounded, said, significant
from snnfp.report.sample_pictures import choose
from snnfp.report.tables import table
from snnfp.report.weights import parameter_panels, parameter_rows


def seen(labels, answers) -> Look:
    """A look that has nothing but labels and answers."""
    samples = SimpleNamespace(size=len(labels))
    return Look(samples, np.array(labels), np.array(answers), None, None)


def test_samples_of_one_run_are_right_and_wrong_in_turn_and_of_all_classes():
    one = seen([0, 0, 1, 2, 2, 1], [0, 0, 1, 2, 0, 0])
    assert choose([one], 6) == [[0, 4, 2, 5, 3, 1]]
    assert choose([one, None], 3) == [[0, 4, 2], []]


def test_samples_of_two_runs_are_those_first_on_which_they_differ():
    labels = [0, 0, 1, 1, 0, 1]
    a, b = seen(labels, [0, 0, 1, 1, 1, 0]), seen(labels, [0, 1, 1, 0, 1, 0])
    chosen = choose([a, b], 6)
    assert chosen[0] == chosen[1] == [1, 0, 4, 3, 2, 5]
    # Other samples: each run its own.
    other = seen([1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1])
    assert choose([a, other], 2) == [[0, 4], [1, 0]]


def test_confusion_has_a_column_for_no_answer():
    counts = confusion(seen([0, 0, 0, 1, 2], [0, 1, -1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert confusion(seen([0], [0]), 31) is None


def test_silent_neurons_are_counted_apart():
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(3, snnfp.LIF(tau_mem=10.0, tau_syn=5.0, t_refractory=np.inf), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[0.01, 2.0, 3.0]]))
    spikes = snnfp.Spikes.from_latencies([[1.0], [2.0]])
    subject = Subject(name="n", net=net, samples=(spikes, [0, 0]), until=20.0)
    (panel,) = spike_counts([look(subject)])
    (series,) = panel["series"]
    assert (series["silent"], series["of"], sum(series["counts"])) == (1, 3, 2)
    assert series["counts"][-1] == 2 and panel["edges"][-1] == 1.0


def test_weights_before_and_after():
    before = {"p.weight": np.array([[0.0, 1.0]]), "p.delay": np.array(2.0), "q.weight": np.ones(3)}
    after = {"p.weight": np.array([[0.5, -1.0]]), "p.delay": np.array(2.0), "q.weight": np.ones(3)}
    subject = Subject(name="n", before=before, after=after)
    (panel,) = parameter_panels([subject])  # the others are one number each
    assert panel["title"] == "p.weight" and (panel["edges"][0], panel["edges"][-1]) == (-1.0, 1.0)
    assert [(s["name"], sum(s["counts"])) for s in panel["series"]] == [("before", 2), ("after", 2)]
    assert parameter_rows(subject) == [
        ("p.weight", "1 x 2", "0.5 ± 0.5", "-0.25 ± 0.75", "2"),
        ("q.weight", "3", "1", "1", "0"),
        ("p.delay", "one number", "2", "2", "0"),
    ]


def test_no_histogram_where_no_bins_are_so_wide():
    after = {"p.weight": np.array([1.0, 1e308, -1e308]), "q.weight": np.array([1.0, 2.0])}
    panels = parameter_panels([Subject(name="n", after=after)])
    assert [p["title"] for p in panels] == ["q.weight"]


def test_numbers_are_short_and_keep_what_can_be_seen():
    assert evenly(5, 9).tolist() == [0, 1, 2, 3, 4] and evenly(101, 3).tolist() == [0, 50, 100]
    assert rounded([0.123456, -0.00001, 7.0], 1e-3) == [0.123, 0.0, 7.0]
    assert rounded([123456.0], 1e2) == [123500.0] and rounded([1.5e-20], 1e-24) == [1.5e-20]
    assert significant([1.23456789, np.nan, np.inf, 1e-9]) == [1.2346, None, None, 1e-9]
    assert said((0.5, 2)) == "0.5, 2" and said(None) == "none" and said(True) == "True"
    assert said(1e-7) == "1e-07" and said(np.float32(0.25)) == "0.25"


@pytest.mark.parametrize("n, shown", [(60, 60), (75, 60)])
def test_long_tables_are_cut_and_say_so(n, shown):
    text = table(("a", "b"), [(f"<{k}>", "&") for k in range(n)])
    assert text.count("<td>&amp;</td>") == shown and "<0>" not in text
    assert ("15 more rows are left out" in text) == (n > shown)


def test_delays_and_weights_of_one_s_own_are_in_the_order_of_the_network(tmp_path):
    net = snnfp.Network()
    x = net.input(2, name="x")
    late = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="late")
    early = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="early")
    net.connect(
        x, late, snnfp.Dense(weight=[[1.0, 2.0], [3.0, 4.0]], delay=[[0.0, 1.0], [2.0, 3.0]])
    )
    net.connect(late, early, snnfp.Dense(weight=[[1.0, 2.0], [3.0, 4.0]]))
    write_report(tmp_path / "page.html", Subject(name="n", net=net))
    titles = [p["title"] for p in Page(tmp_path / "page.html").data["parameters"]]
    assert titles == ["x_to_late.weight", "late_to_early.weight", "x_to_late.delay"]
