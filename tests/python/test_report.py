"""snnfp report: what stands on the page of a run, as a parser and its data have it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import snnfp
from report_pages import Page, camera_folder, digits_folder, mnist_folder, train
from snnfp.checkpoint import load_arrays, save_arrays
from snnfp.cli import main
from snnfp.plots._style import COLOURS
from snnfp.report import read_run, write_report
from snnfp.tasks import TASKS

pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")


@pytest.fixture(scope="module", autouse=True)
def _safetensors():
    pytest.importorskip("safetensors", reason="safetensors is not installed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with two runs of XOR that differ in a rate."""
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "a", "xor", "--epochs", "12")
    train(folder / "b", "xor", "--epochs", "12", "--lr", "0.02")
    return folder


@pytest.fixture(scope="module")
def page(runs) -> Page:
    assert main(["report", str(runs / "a")]) == 0
    return Page(runs / "a" / "report.html")


SECTIONS = [
    *("overview", "learning", "samples", "predictions", "activity", "parameters", "diagnosis"),
    *("settings", "what-is-left-out"),
]


def test_every_section_is_there_and_linked(page):
    assert list(page.sections) == SECTIONS
    assert [a["href"] for tag, a in page.elements if tag == "a"] == [f"#{s}" for s in SECTIONS]


def test_curves_are_the_history(runs, page):
    history = json.loads((runs / "a" / "history.json").read_text())
    lines = [line for panel in page.data["curves"] for line in panel["lines"]]
    assert len(lines) == sum(np.isfinite(v).any() for v in history.values()) >= 10
    loss = next(p for p in page.data["curves"] if p["title"] == "Loss")
    assert loss["main"] and [line["name"] for line in loss["lines"]] == ["training"]
    assert loss["lines"][0]["x"] == list(range(1, 13))
    assert loss["lines"][0]["y"] == pytest.approx(history["loss"], rel=1e-4)


def test_samples_are_what_a_simulation_says(runs, page):
    subject = read_run(runs / "a")
    spikes, labels = subject.samples
    drawn = page.data["samples"][0]
    assert sorted(s["index"] for s in drawn) == [0, 1, 2, 3]
    said = snnfp.predict(subject.net, spikes, subject.loss, until=subject.until).labels
    for sample in drawn:
        k = sample["index"]
        record = snnfp.simulate(subject.net, spikes[k], until=subject.until)
        assert (sample["label"], sample["said"]) == (labels[k], said[k])
        assert [g["name"] for g in sample["groups"]] == ["input", "hidden", "output"]
        for group in sample["groups"][1:]:
            own = record.spikes(group["name"])
            assert group["units"] == own.units.tolist()
            assert group["times"] == pytest.approx(own.times.tolist(), abs=1e-4)
        first = record.first_spikes("output")[0]
        assert sample["decided"] == pytest.approx(first.min(), rel=1e-12)
        assert [p["name"] for p in sample["voltages"]] == ["output", "hidden"]
        for panel in sample["voltages"]:
            exact = record.probe(panel["name"], panel["times"], units=panel["units"]).voltage[0]
            # But within what times are rounded to of a reset.
            near = np.min(np.abs(np.subtract.outer(panel["times"], [*record.times, 9.9])), axis=1)
            assert np.allclose(
                exact[:, near > 1e-3], np.array(panel["v"])[:, near > 1e-3], atol=2e-3
            )
            assert np.max(panel["v"]) <= panel["threshold"][0] * 1.001


def test_right_and_wrong_ones_come_in_turn(tmp_path):
    run = train(tmp_path / "run", "iris", "--epochs", "6")
    write_report(tmp_path / "page.html", read_run(run), samples=8)
    drawn = Page(tmp_path / "page.html").data["samples"][0]
    right = [s["label"] == s["said"] for s in drawn]
    assert len(drawn) == 8 and right[:2] == [True, False]
    assert len({s["label"] for s, r in zip(drawn, right) if r}) == 3


def test_histograms_count_everything(runs, page):
    before, _ = load_arrays(runs / "a" / "initial.safetensors")
    after, _ = load_arrays(runs / "a" / "model.safetensors")
    panels = {p["title"]: p for p in page.data["parameters"]}
    assert set(panels) == {"input_to_hidden.weight", "hidden_to_output.weight"}
    for name, panel in panels.items():
        by_when = {s["name"]: s["counts"] for s in panel["series"]}
        for when, arrays in (("before", before), ("after", after)):
            counts, _ = np.histogram(
                arrays[name], np.linspace(panel["edges"][0], panel["edges"][-1], 49)
            )
            assert sum(by_when[when]) == arrays[name].size
            assert np.abs(np.subtract(by_when[when], counts)).sum() <= 4  # edges are rounded
        row = next(r for r in page.rows["parameters"] if r[0] == name)
        change = np.abs(after[name] - before[name]).max()
        assert change > 0 and float(row[4]) == pytest.approx(change, rel=1e-3)
    assert ["input_to_hidden.delay", "one number", "0", "0", "0"] in page.rows["parameters"]
    for panel in page.data["spikes"]:
        series = panel["series"][0]
        assert sum(series["counts"]) + series["silent"] == series["of"]
    assert [p["title"] for p in page.data["spikes"]] == ["hidden", "output"]


def test_diagnosis_and_accuracy(runs, page):
    subject = read_run(runs / "a")
    found = snnfp.diagnose(subject.net, *subject.samples, until=subject.until, loss=subject.loss)
    rows = {r[0]: r for r in page.rows["diagnosis"]}
    for name, p in found.populations.items():
        assert rows[name][1:4] == [str(p.size), str(p.silent.size), str(p.runaway.size)]
    for finding in found.findings:
        assert finding in page.sections["diagnosis"]
    seen = snnfp.evaluate(subject.net, *subject.samples, subject.loss, until=subject.until)
    assert f"{seen.accuracy:.2%}" in page.sections["overview"]
    counts = [[int(c or 0) for c in row[1:]] for row in page.rows["predictions"][1:]]
    assert np.trace(np.array(counts)[:, :2]) == round(4 * seen.accuracy) and np.sum(counts) == 4


def test_settings_and_versions(runs, page):
    config = json.loads((runs / "a" / "config.json").read_text())
    rows = {r[0]: r[1:] for r in page.rows["settings"]}
    assert set(config) - {"snnfp", "task"} <= set(rows)
    assert rows["hidden"] == ["8", "usually 4"] and rows["tau0"] == ["0.1", ""]
    assert rows["snnfp"] == [snnfp.__version__] and np.__version__ in rows["Python, NumPy"][0]


def test_the_page_asks_for_nothing(page):
    """No address, and a policy that forbids whatever is not this very script and style."""
    kinds = {tag for tag, _ in page.elements}
    assert not kinds & {"img", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.elements:
        assert not {"src", "style", "onclick", "onload", "onerror"} & set(attributes), tag
        target = attributes.get("href") or "#"
        assert target.startswith("#") or target == "data:,"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.source)
    assert not re.search(r"@import|url\((?!#)", page.style)
    script = page.scripts[1]
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv"))
    for text, rule in ((page.style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(", script)


def test_colours_are_those_of_the_other_pictures(page):
    for k, colour in enumerate(COLOURS):
        assert f"--c{k}: {colour.lower()};" in page.style


def test_the_same_run_makes_the_same_bytes(runs, tmp_path, page):
    write_report(tmp_path / "again.html", read_run(runs / "a"))
    assert (tmp_path / "again.html").read_text() == page.source


HOSTILE = "</script><img src=x onerror=alert(1)>&\"'<!--"


def test_all_text_from_a_run_is_escaped(runs, tmp_path):
    """A name of a folder, of a figure, of a parameter, a setting and a version, all of them bad."""
    run = tmp_path / HOSTILE.replace("/", "")
    shutil.copytree(runs / "a", run)
    history = json.loads((run / "history.json").read_text())
    title = HOSTILE.replace("/", "")  # what comes after a slash is the name of a line
    history |= {f"silent/{HOSTILE}": [0.5] * 12, title: [0.5] * 12}
    (run / "history.json").write_text(json.dumps(history))
    config = json.loads((run / "config.json").read_text()) | {"snnfp": HOSTILE}
    (run / "config.json").write_text(json.dumps(config))
    arrays, metadata = load_arrays(run / "initial.safetensors")
    save_arrays(
        run / "initial.safetensors", arrays | {f"{HOSTILE}.weight": np.arange(3.0)}, metadata
    )
    subject = replace(read_run(run), facts={HOSTILE: HOSTILE}, settings={HOSTILE: HOSTILE})
    write_report(tmp_path / "page.html", [subject, replace(subject, name=HOSTILE)])
    page = Page(tmp_path / "page.html")
    assert len(page.scripts) == 2 and not any(tag == "img" for tag, _ in page.elements)
    for section in ("overview", "parameters", "settings"):
        assert HOSTILE in page.sections[section], section
    assert title in [p["title"] for p in page.data["curves"]]


# -- every task ----------------------------------------------------------------------------------

KINDS = {
    "xor": [],
    "iris": [],
    "yin-yang": ["--train-samples", "60"],
    "yin-yang --delays": ["--train-samples", "60"],
    "mnist": [],
    "mnist --augment": ["--copies", "1"],
    "mnist --convolution": ["--copies", "1", "--kernels", "2,3,2"],
    "spoken-digits": ["--recurrent", "0,0.05", "--recurrent-delay", "0.01"],
    "spoken-digits --readout max": ["--delays", "0,0.02", "--delay-lr", "0.001"],
    "n-mnist": [],
    "n-mnist --readout first_spikes": [],
}
FOLDERS = {"mnist": mnist_folder, "spoken-digits": digits_folder, "n-mnist": camera_folder}


def test_every_task_and_variant_is_among_them():
    assert {kind.split()[0] for kind in KINDS} == set(TASKS)
    for task in TASKS.values():
        for variant in task.variants:
            assert f"{task.name} --{variant}" in KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_every_task(tmp_path, capsys, kind):
    task, *options = kind.split()
    data = []
    if task in FOLDERS:
        data = ["--data", str(FOLDERS[task](tmp_path / "data"))]
    run = train(tmp_path / "run", task, *options, *KINDS[kind], *data)
    last = capsys.readouterr().out.splitlines()[-1]
    assert main(["report", str(run), *data, "--samples", "2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1 and told[0].startswith(f"{run / 'report.html'} (")
    page = Page(run / "report.html")
    assert list(page.sections) == SECTIONS
    # The accuracy is the one that the training printed.
    accuracy = float(re.search(r"test accuracy (\S+)", last)[1])
    assert f"{accuracy:.2%}" in page.sections["overview"]
    samples = page.data["samples"][0]
    first_spikes = json.loads((run / "config.json").read_text())["readout"] == "first_spikes"
    assert len(samples) == 2
    for sample in samples:
        assert sample["voltages"][0]["name"] == sample["output"] == "output"
        assert (sample["voltages"][0]["threshold"] is not None) == first_spikes
        assert first_spikes or sample["decided"] is None
    delays = {p["title"] for p in page.data["parameters"] if p["title"].endswith(".delay")}
    assert bool(delays) == ("--delays" in (*options, *KINDS[kind]))
