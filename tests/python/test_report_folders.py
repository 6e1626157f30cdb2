"""snnfp report: folders that lack something, two runs, networks of one's own, and what is too much."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import snnfp
from report_pages import Page, mnist_folder, train
from snnfp.checkpoint import load_arrays
from snnfp.cli import main
from snnfp.report import Subject, read_run, write_report

pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")


@pytest.fixture(scope="module", autouse=True)
def _safetensors():
    pytest.importorskip("safetensors", reason="safetensors is not installed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "a", "xor", "--epochs", "12")
    train(folder / "b", "xor", "--epochs", "9", "--lr", "0.02", "--seed", "3")
    return folder


@pytest.fixture
def run(runs, tmp_path) -> Path:
    """A copy of a run, to take something away from."""
    shutil.copytree(runs / "a", tmp_path / "run")
    return tmp_path / "run"


def report(capsys, *arguments):
    """Status, lines and errors of the command."""
    status = main(["report", *map(str, arguments)])
    shown = capsys.readouterr()
    return status, shown.out.splitlines(), shown.err


# -- what training leaves ------------------------------------------------------------------------


def test_training_keeps_what_it_began_from(run, tmp_path):
    from snnfp.task_settings import override
    from snnfp.tasks import TASKS, build_network

    config = json.loads((run / "config.json").read_text())
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    settings = override(
        TASKS["xor"].settings, {k: v for k, v in given.items() if k not in ("snnfp", "task")}
    )
    net = build_network(settings, 2, 2)
    initial, _ = load_arrays(run / "initial.safetensors")
    assert all(np.array_equal(net.parameters[k], initial[k]) for k in initial) and len(initial) > 10
    more = train(tmp_path / "more", "xor", "--epochs", "14", "--resume", str(run))
    assert (more / "initial.safetensors").read_bytes() == (run / "initial.safetensors").read_bytes()


def test_a_calibrated_run_keeps_what_it_was_calibrated_to(tmp_path):
    data = mnist_folder(tmp_path / "data")
    options = ["--data", str(data), "--copies", "1", "--kernels", "2,3,2", "--convolution"]
    run = train(tmp_path / "run", "mnist", *options)
    subject = read_run(run, data=data)
    subject.net.load(run / "initial.safetensors")
    found = snnfp.diagnose(subject.net, subject.samples[0], until=subject.until, loss=subject.loss)
    assert 0.2 < found.populations["hidden"].spikes.mean() < 0.9  # its level is 0.45


# -- what a folder lacks -------------------------------------------------------------------------

LACKS = {
    "initial.safetensors": "parameters before the training: initial.safetensors is not in the folder",
    "model.safetensors": None,  # the checkpoint has it
    "history.json": None,
    "checkpoint.safetensors": None,
    "model.safetensors checkpoint.safetensors": "parameters, spikes, voltages and the diagnosis: neither",
}


@pytest.mark.parametrize("files", LACKS)
def test_what_a_folder_lacks_is_said(capsys, run, files):
    for name in files.split():
        (run / name).unlink()
    status, lines, _ = report(capsys, run)
    page = Page(run / "report.html")
    assert status == 0 and page.data["curves"]
    if LACKS[files] is None:
        assert len(lines) == 1 and len(page.sections) == 9
        return
    assert len(lines) == 2 and lines[0].startswith(f"{run} has no {LACKS[files]}")
    assert LACKS[files] in page.sections["what-is-left-out"]
    assert ("samples" in page.sections) == ("model" not in files)
    assert [s["name"] for p in page.data["parameters"] for s in p["series"]] == (
        ["before"] * 2 if "model" in files else ["after"] * 2
    )


def test_a_run_that_still_goes_on(capsys, run, tmp_path):
    """Its checkpoint has history and parameters."""
    whole = report(capsys, run)[0], Page(run / "report.html")
    for name in ("model.safetensors", "history.json", "history.csv"):
        (run / name).unlink()
    assert report(capsys, run, "--out", tmp_path / "now.html")[0] == whole[0] == 0
    assert Page(tmp_path / "now.html").data == whole[1].data


def test_data_that_were_not_given(capsys, tmp_path):
    data = mnist_folder(tmp_path / "data")
    run = train(tmp_path / "run", "mnist", "--data", str(data))
    status, lines, _ = report(capsys, run)
    assert status == 0 and "the samples of mnist are read from files" in lines[-2]
    page = Page(run / "report.html")
    assert not {"samples", "diagnosis", "activity"} & set(page.sections)
    assert {"learning", "parameters", "settings"} <= set(page.sections)
    status, _, errors = report(capsys, run, "--data", tmp_path)
    assert status == 2 and "neither train-images-idx3-ubyte nor" in errors


@pytest.mark.parametrize(
    "change, message",
    [
        ("nothing there", "none: there is no run of that name, expected a run folder of snnfp train"),
        ("a file", "history.csv: this is a file, expected a run folder of snnfp train"),
        ("no config", "this folder is no run of snnfp train: no config.json in it"),
        ("config alone", "this run stopped in its first epoch: it has neither history.json nor model.safetensors"),
        ("another task", "config.json is of a run of chess, expected yin-yang or xor"),
        ("strange setting", "config.json has 'beauty', which is no setting of this version"),
        ("history of text", "history.json: loss is no list of numbers"),
        ("uneven history", "history.json: the figures have 2 and 12 entries, expected one an epoch in each"),
        ("huge history", "history.json: int too large to convert to float"),
        ("another network", "model.safetensors holds the parameters of another network"),
        ("damaged model", "model.safetensors: not a whole safetensors file"),
        ("data", "--data has no use with a task that reads no files"),
        ("too many samples", "samples is 13, expected at most 12"),
        ("no samples", "samples is 0, expected at least 1"),
        ("no run", "report shows one run, RUN, or two, --compare A B: expected one of these"),
        ("three runs", "report shows one run, RUN, or two, --compare A B: expected one of these"),
        ("nowhere", "nowhere"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(capsys, run, tmp_path, change, message):
    arguments = [run]
    config, history = run / "config.json", run / "history.json"
    if change == "nothing there":
        arguments = [tmp_path / "none"]
    elif change == "a file":
        arguments = [run / "history.csv"]
    elif change == "no config":
        config.unlink()
    elif change == "config alone":
        for file in run.iterdir():
            if file != config:
                file.unlink()
    elif change in ("another task", "strange setting", "another network"):
        more = {"another task": {"task": "chess"}, "strange setting": {"beauty": 1}}
        config.write_text(
            json.dumps(json.loads(config.read_text()) | more.get(change, {"hidden": [9]}))
        )
    elif "history" in change:
        loss = {"history of text": ["a"], "uneven history": [1.0, 2.0]}.get(change, [10**400] * 12)
        history.write_text(json.dumps(json.loads(history.read_text()) | {"loss": loss}))
    elif change == "damaged model":
        (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-9])
    elif change == "data":
        arguments += ["--data", tmp_path]
    elif change.endswith("samples"):
        arguments += ["--samples", 13 if change.startswith("too") else 0]
    elif change == "no run":
        arguments = []
    elif change == "three runs":
        arguments += ["--compare", run, run]
    elif change == "nowhere":
        arguments += ["--out", tmp_path / "nowhere" / "page.html"]
    status, lines, errors = report(capsys, *arguments)
    assert status == 2 and lines == [] and message in errors
    assert errors.startswith("snnfp: ") and errors.count("\n") == 1
    assert not list(tmp_path.rglob("*.html"))


# -- two runs ------------------------------------------------------------------------------------


def test_two_runs_side_by_side(capsys, runs):
    status, lines, _ = report(capsys, "--compare", runs / "a", runs / "b")
    path = runs / "a" / "compared-with-b.html"
    assert status == 0 and len(lines) == 1 and lines[0].startswith(str(path))
    page = Page(path)
    assert page.data["runs"] == ["a", "b"] and page.data["linked"]
    loss = next(p for p in page.data["curves"] if p["title"] == "Loss")
    assert [(len(line["x"]), line["run"], line["colour"]) for line in loss["lines"]] == [
        (12, 0, 0),
        (9, 1, 5),
    ]
    first, second = page.data["samples"]
    assert [s["index"] for s in first] == [s["index"] for s in second] and len(first) == 4
    right = [[s["label"] == s["said"] for s in samples] for samples in (first, second)]
    differ = [a != b for a, b in zip(*right)]
    assert differ[: sum(differ)] == [True] * sum(differ)
    differing = page.rows["settings"][: 1 + 3]
    assert {r[0] for r in differing} == {"setting", "epochs", "lr", "seed"}
    assert ["lr", "0.1", "0.02"] in differing
    for panel in page.data["parameters"]:
        assert [(s["run"], s["name"]) for s in panel["series"]] == [
            (0, "before"), (0, "after"), (1, "before"), (1, "after"),
        ]  # fmt: skip


def test_runs_of_one_name_are_told_apart(capsys, runs, tmp_path):
    shutil.copytree(runs / "b", tmp_path / "a")
    status, _, _ = report(
        capsys, "--compare", runs / "a", tmp_path / "a", "--out", tmp_path / "p.html"
    )
    names = Page(tmp_path / "p.html").data["runs"]
    assert status == 0 and names == [str(runs / "a"), str(tmp_path / "a")]


def test_other_spikes_of_the_same_classes_are_not_linked(tmp_path):
    subjects = []
    for shift in (0.0, 0.01):
        net = snnfp.Network()
        x, y = net.input(1), net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
        net.connect(x, y, snnfp.Dense(weight=[[4.0, 5.0]]))
        spikes = snnfp.Spikes([0.1 + shift, 0.2], [0, 0], [0, 1, 2], size=1)
        loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.3, horizon=5.0)
        subjects.append(
            snnfp.report.Subject(
                name=f"s{shift}", net=net, samples=(spikes, np.array([0, 1])), loss=loss, until=5.0
            )
        )
    for other, linked in ((subjects[0], True), (subjects[1], False)):
        snnfp.report.write_report(tmp_path / "p.html", (subjects[0], other))
        assert Page(tmp_path / "p.html").data["linked"] == linked


def test_runs_of_different_tasks(capsys, runs, tmp_path):
    iris = train(tmp_path / "iris", "iris")
    status, _, _ = report(capsys, "--compare", runs / "a", iris, "--out", tmp_path / "p.html")
    page = Page(tmp_path / "p.html")
    assert status == 0 and not page.data["linked"]
    assert [len(s) for s in page.data["samples"]] == [4, 6]
    assert ["task", "xor", "iris"] in page.rows["overview"]


# -- of one's own --------------------------------------------------------------------------------


def network(**neuron):
    net = snnfp.Network()
    x = net.input(3, name="x")
    h = net.population(4, snnfp.LIF(tau_mem=10.0, tau_syn=5.0, **neuron), name="h")
    out = net.readout(2, snnfp.LI(tau_mem=10.0, tau_syn=5.0), name="out")
    net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(0.4, 0.1)))
    net.connect(h, out, snnfp.Dense(weight=snnfp.init.Normal(0.1, 0.1)))
    return net.initialise(seed=0)


def test_regression_has_no_classes(tmp_path):
    times = (10.0, 20.0)
    loss = snnfp.losses.ReadoutSquaredError(times=times)
    spikes = snnfp.Spikes.from_latencies(np.random.default_rng(0).uniform(0, 10, (5, 3)))
    subject = Subject(
        name="curve",
        net=network(),
        samples=(spikes, np.zeros((5, 2, 2))),
        loss=loss,
        until=30.0,
        time_unit="ms",
    )
    notes = write_report(tmp_path / "page.html", subject, samples=3)
    page = Page(tmp_path / "page.html")
    assert notes == ("samples of curve: 3 of 5",)
    assert [s["index"] for s in page.data["samples"][0]] == [0, 2, 4]
    assert all(s["label"] is s["said"] is s["decided"] is None for s in page.data["samples"][0])
    assert "predictions" not in page.sections and "learning" not in page.sections
    assert "Test loss" in page.sections["overview"]


def test_a_network_alone_and_a_history_alone(tmp_path):
    history = snnfp.History({"loss": [1.0, 0.5]})
    both = [Subject(name="net", net=network()), Subject(name="history", history=history)]
    assert write_report(tmp_path / "page.html", both) == ()
    page = Page(tmp_path / "page.html")
    kept = ["overview", "learning", "parameters", "settings", "what-is-left-out"]
    assert list(page.sections) == kept


def test_without_until(tmp_path):
    spikes = snnfp.Spikes.from_latencies([[1.0, 2.0, 3.0]])
    subject = Subject(name="n", net=network(), samples=(spikes, [0]))
    write_report(tmp_path / "page.html", subject)
    end = Page(tmp_path / "page.html").data["samples"][0][0]["end"]
    assert 3.0 < end < 100.0


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"name": 3}, TypeError, "name is a int, expected text"),
        (
            {"history": [1]},
            TypeError,
            "history is a list, expected the snnfp.History of a training",
        ),
        ({"net": "x"}, TypeError, "net is a str, expected a snnfp.Network"),
        ({"samples": 3}, TypeError, r"samples are a int, expected \(spikes, labels\)"),
        ({"samples": (1, 2)}, ValueError, "samples are given and net is not"),
    ],
)
def test_what_no_subject_can_be(given, error, message):
    with pytest.raises(error, match=message):
        Subject(**{"name": "n", **given})


def test_how_many_subjects(tmp_path):
    one = Subject(name="n")
    with pytest.raises(ValueError, match="3 subjects, expected one, or two to compare"):
        write_report(tmp_path / "page.html", [one] * 3)
    with pytest.raises(TypeError, match=r"subjects\[1\] is a str, expected a snnfp.report.Subject"):
        write_report(tmp_path / "page.html", [one, "two"])
    assert not list(tmp_path.iterdir())


# -- what is too much ----------------------------------------------------------------------------


def test_much_is_bounded_and_what_is_left_out_is_said(tmp_path):
    """Ten thousand epochs, a million weights, and firing that fills the picture."""
    rng = np.random.default_rng(0)
    net = snnfp.Network()
    x = net.input(1000, name="x")
    h = net.population(1000, snnfp.LIF(tau_mem=10.0, tau_syn=5.0, bias=0.5), name="h")
    net.connect(x, h, snnfp.Dense(weight=rng.normal(0.0, 0.001, (1000, 1000)), delay=1.0))
    spikes = snnfp.Spikes.from_pairs(
        [(rng.uniform(0, 50, 6000), rng.integers(0, 1000, 6000)) for _ in range(2)], size=1000
    )
    many = snnfp.History({"loss": rng.random(10_000).tolist(), "accuracy": [0.5] * 10_000})
    subject = Subject(
        name="much", net=net, history=many, samples=(spikes, [0, 0]), until=50.0, n_threads=1
    )
    notes = write_report(tmp_path / "page.html", subject)
    page = Page(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    assert "learning curves of much: 1500 of 10000 epochs, evenly spread" in notes
    assert "spikes of x of much: up to 1000 of a sample are left out, evenly spread" in notes
    assert any(re.match(r"spikes of h of much: up to \d{4,} of a sample", note) for note in notes)
    assert all(note in page.sections["what-is-left-out"] for note in notes) and len(notes) == 3
    line = page.data["curves"][0]["lines"][0]
    assert (
        len(line["x"]) == len(line["y"]) == 1500 and line["x"][0] == 1 and line["x"][-1] == 10_000
    )
    for sample in page.data["samples"][0]:
        assert [len(g["times"]) for g in sample["groups"]] == [5000, 5000]
        assert [g["spikes"] > 5000 for g in sample["groups"]] == [True, True]


def test_many_populations_and_figures_are_bounded_too(tmp_path):
    net = snnfp.Network()
    x = net.input(1, name="x")
    neuron = snnfp.LIF(tau_mem=10.0, tau_syn=5.0, bias=2.0)
    for k in range(70):
        net.connect(x, net.population(10, neuron, name=f"h{k}"), snnfp.Dense(weight=[range(1, 11)]))
    history = snnfp.History({f"silent/h{k}": [0.0, 0.1] for k in range(70)})
    history.epochs |= {f"own{k}": [1.0, 2.0] for k in range(70)}
    spikes = snnfp.Spikes.from_latencies([[1.0]])
    subject = Subject(name="many", net=net, history=history, samples=(spikes, [0]), until=30.0)
    notes = write_report(tmp_path / "page.html", subject)
    page = Page(tmp_path / "page.html")
    assert {
        "silent of many: the first 20 lines",
        "learning curves: the first 60 of 71",
        "histograms of spikes: the first 60 of 70",
        "histograms of weights and delays: the first 60 of 70",
    } <= set(notes)
    (sample,) = page.data["samples"][0]
    assert len(sample["groups"]) == 71 and sum(len(g["times"]) for g in sample["groups"]) <= 20_000
    assert max(g["spikes"] for g in sample["groups"]) > 20_000 // 71
    assert len(page.data["curves"][0]["lines"]) == 20
