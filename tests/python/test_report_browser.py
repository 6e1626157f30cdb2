"""The page of snnfp report in a browser: what its script draws, read from the document and a picture."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from report_pages import Page, train
from snnfp.report import read_run, write_report

pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Runs a browser without a window; returns what it prints."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    home = tmp_path_factory.mktemp("browser")

    def run(address: str, *options: str) -> str:
        command = [
            *(found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={home}"),
            *("--virtual-time-budget=2000", "--window-size=1200,900", *options, address),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> tuple[Path, Page]:
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    folder = tmp_path_factory.mktemp("report")
    run = train(folder / "run", "iris", "--epochs", "20")
    write_report(folder / "page.html", read_run(run))
    return folder / "page.html", Page(folder / "page.html")


class Drawn(HTMLParser):
    """What is in a document once its script has run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def of(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        """Attributes of the elements of a tag and a class."""
        return [
            a
            for t, a in self.elements
            if t == tag and kind in (a.get("class") or "").split() + [""]
        ]


def draw(browser, path: Path, where: str = "") -> Drawn:
    drawn = Drawn(browser(path.as_uri() + where, "--dump-dom"))
    page = drawn.of("html")[0]
    assert page.get("data-error") is None and page["data-ready"] == "true"
    return drawn


def test_everything_is_drawn(browser, report):
    path, page = report
    drawn = draw(browser, path)
    lines = [line for panel in page.data["curves"] for line in panel["lines"]]
    curves = drawn.of("path", "line")
    assert len(curves) == len(lines) >= 10
    for curve in curves:
        assert re.fullmatch(r"(?:[ML]-?[\d.]+ -?[\d.]+)+", curve["d"]) and "NaN" not in curve["d"]
    bars = [s for kind in ("spikes", "parameters") for p in page.data[kind] for s in p["series"]]
    assert len(drawn.of("path", "bars")) == len(bars) >= 6
    assert len(drawn.of("figure")) == len(page.data["curves"]) + sum(
        len(page.data[k]) for k in ("spikes", "parameters")
    )
    first = page.data["samples"][0][0]
    raster, voltage = drawn.of("canvas", "raster")[0], drawn.of("canvas", "voltage")[0]
    assert int(raster["data-spikes"]) == sum(g["spikes"] for g in first["groups"]) > 5
    assert int(voltage["data-lines"]) == 3
    tabs = [a for a in drawn.of("button") if a.get("role") == "tab"]
    assert [a["aria-selected"] for a in tabs] == ["true"] + ["false"] * 5


def test_an_address_says_where_to_look(browser, report):
    """Zoom, as hands do it: what is drawn is what lies within."""
    path, page = report
    sample = page.data["samples"][0][2]
    low, high = 4.0, 14.0
    drawn = draw(browser, path, f"#sample=2&from={low}&to={high}&voltages=hidden&theme=dark")
    times = np.concatenate([g["times"] for g in sample["groups"]])
    within = np.count_nonzero((times >= low) & (times <= high))
    assert 0 < within < times.size
    assert int(drawn.of("canvas", "raster")[0]["data-spikes"]) == within
    hidden = next(p for p in sample["voltages"] if p["name"] == "hidden")
    assert int(drawn.of("canvas", "voltage")[0]["data-lines"]) == len(hidden["units"]) == 3
    assert drawn.of("html")[0]["data-theme"] == "dark"
    selected = [a["aria-selected"] for a in drawn.of("button") if a.get("role") == "tab"]
    assert selected == ["false"] * 2 + ["true"] + ["false"] * 3


def picture(browser, path: Path, where: str, size: str = "1200,900") -> np.ndarray:
    """A screenshot, ``[rows, columns, 3]`` within 0 ... 1."""
    file = path.with_name("screen.png")
    browser(path.as_uri() + where, f"--screenshot={file}", f"--window-size={size}")
    return matplotlib.image.imread(file)[..., :3]


def test_a_screenshot(browser, report):
    """Light and dark, with colours of lines in both; a canvas is painted too."""
    path, _ = report
    light, dark = (picture(browser, path, f"#theme={t}", "1200,2400") for t in ("light", "dark"))
    for shot in (light, dark):
        assert shot.shape == (2400, 1200, 3)
        saturation = shot.max(axis=2) - shot.min(axis=2)
        assert np.count_nonzero(saturation > 0.4) > 2000
    assert np.median(light) > 0.9 and np.median(dark) < 0.2
    # Blue of the training curve, and orange of the second class in the voltages.
    for colour in ("0072b2", "e69f00"):
        rgb = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        assert np.count_nonzero(np.abs(light - rgb).max(axis=2) < 0.02) > 50, colour


def test_two_runs_and_hostile_names(browser, report, tmp_path):
    """No name becomes an element, and two runs that share samples are zoomed together."""
    path, _ = report
    bad = "</script><img src=x onerror=document.title='caught'>"
    one = read_run(path.with_name("run"))
    history = one.history.epochs | {bad: one.history["loss"]}
    one = replace(one, name=bad, history=type(one.history)(history))
    write_report(tmp_path / "two.html", [one, replace(one, name="b")], samples=3)
    drawn = draw(browser, tmp_path / "two.html", "#sample=1&from=5&to=20")
    assert drawn.of("img") == [] and len(drawn.of("script")) == 2
    counts = [int(a["data-spikes"]) for a in drawn.of("canvas", "raster")]
    assert len(counts) == 2 and counts[0] == counts[1] > 0
    page = Page(tmp_path / "two.html")
    curves = drawn.of("path", "line")
    assert len(curves) == sum(len(p["lines"]) for p in page.data["curves"])


HANDS = """
const [one, two] = document.querySelectorAll(".viewer");
const raster = one.querySelector("canvas.raster");
const key = (name) => raster.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
const drag = (on, from, to) => {
  const { left } = on.getBoundingClientRect();
  for (const [kind, x] of [["down", from], ["move", to], ["up", to]]) {
    on.dispatchEvent(new PointerEvent(`pointer${kind}`, { clientX: left + x, button: 0 }));
  }
};
const seen = () => [one, two].map((v) => v.querySelector(".window").textContent);
const told = {};
one.querySelectorAll("[role=tab]")[1].click();
one.querySelector("select").value = "hidden";
one.querySelector("select").dispatchEvent(new Event("change"));
key("+");
told.key = seen();
key("ArrowRight");
told.right = seen();
raster.dispatchEvent(new MouseEvent("dblclick"));
told.all = seen();
drag(raster, 96 + 0.25 * (raster.clientWidth - 110), 96 + 0.5 * (raster.clientWidth - 110));
told.drag = seen();
raster.dispatchEvent(new PointerEvent("pointermove", { clientX: raster.getBoundingClientRect().left + 300 }));
told.hover = [...one.querySelectorAll(".legend")].pop().textContent;
told.tabs = [...two.querySelectorAll("[role=tab]")].map((tab) => tab.getAttribute("aria-selected"));
told.voltages = two.querySelector("select").value;
const chart = document.querySelector("[data-curves=main] figure");
const line = () => chart.querySelector(".line").getAttribute("d");
const whole = line();
chart.querySelector("button").click();
told.log = [chart.querySelector("button").textContent, line() !== whole];
chart.querySelector("button").click();
drag(chart.querySelector("svg"), 100, 250);
told.zoomed = line() !== whole;
chart.querySelector("svg").dispatchEvent(new MouseEvent("dblclick"));
told.back = line() === whole;
document.getElementById("theme").click();
told.theme = document.documentElement.dataset.theme;
document.body.dataset.told = JSON.stringify(told);
"""


def test_hands(browser, report, tmp_path):
    """Keys, drags, clicks; two runs that show the same samples move together."""
    path, _ = report
    one = read_run(path.with_name("run"))
    write_report(tmp_path / "two.html", [one, replace(one, name="b")], samples=3)
    text = (tmp_path / "two.html").read_text(encoding="utf-8")
    # The page's policy, which lets no other script run, has to go for this.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    text = text.replace("</body>", f"<script>{{{HANDS}}}</script></body>")
    (tmp_path / "hands.html").write_text(text, encoding="utf-8")
    told = json.loads(draw(browser, tmp_path / "hands.html").of("body")[0]["data-told"])
    assert told["key"] == ["12.5 … 37.5 ms"] * 2 and told["right"] == ["20 … 45 ms"] * 2
    assert told["all"] == ["0 … 50 ms"] * 2 and told["drag"] == ["12.5 … 25 ms"] * 2
    assert told["hover"].startswith("time ") and told["voltages"] == "hidden"
    assert told["tabs"] == ["false", "true", "false"]
    assert told["log"] == ["linear", True] and told["zoomed"] and told["back"]
    assert told["theme"] == "light"


def test_a_fault_of_the_script_is_said(browser, report, tmp_path):
    path, _ = report
    broken = path.read_text(encoding="utf-8").replace('"curves":', '"nothing":')
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    text = browser((tmp_path / "broken.html").as_uri(), "--dump-dom")
    drawn = Drawn(text)
    assert drawn.of("html")[0].get("data-ready") is None and drawn.of("html")[0]["data-error"]
    assert "The pictures could not be drawn: " in text
