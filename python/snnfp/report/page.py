"""The page: HTML with all it needs inside, and nothing from a run that is not escaped.

What is text and tables is written here; what is drawn is data, which the page's own script draws.
The page forbids itself everything else by its content security policy, so that neither it nor what
a damaged run may hold can ask the network for anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from snnfp import _core
from snnfp.report.look import Look
from snnfp.report.subject import Subject
from snnfp.report.tables import (
    confusion_tables,
    diagnosis_tables,
    overview,
    parameter_tables,
    settings_tables,
    table,
)

__all__ = ["Content", "page"]

_SCRIPTS = ("charts.js", "samples.js", "page.js")
_LEFT_OUT = "what-is-left-out"


@dataclass(frozen=True, kw_only=True)
class Content:
    """Everything on a page.

    Attributes:
        subjects: one or two.
        looks: what was seen of each; None: it could not be run.
        curves: panels of learning curves.
        samples: pictures of the samples of each subject.
        linked: whether both show the same samples.
        spikes: histograms of spikes a neuron.
        parameters: histograms of weights and delays.
        notes: what is left out.
    """

    subjects: list[Subject]
    looks: list[Look | None]
    curves: list[dict[str, Any]]
    samples: list[list[dict[str, Any]]]
    linked: bool
    spikes: list[dict[str, Any]]
    parameters: list[dict[str, Any]]
    notes: list[str]


def page(content: Content) -> str:
    """The text of the file."""
    subjects = content.subjects
    title = " and ".join(s.name for s in subjects)
    sections = [s for s in _sections(content) if s.body]
    links = "".join(f'<a href="#{s.key}">{escape(s.title)}</a>' for s in sections)
    kind = "comparison of two runs" if len(subjects) > 1 else "training report"
    body = [
        '<header class="top">',
        f'<div><p class="kind">snnfp {_core.version} · {kind}</p>',
        f"<h1>{_heading(subjects)}</h1></div>",
        '<button id="theme" type="button" hidden>Theme: as the system</button>',
        "</header>",
        f'<nav aria-label="Sections">{links}</nav>',
        '<noscript><p class="missing">Pictures are drawn by a script within this page, which is '
        "switched off; tables are complete without it.</p></noscript>",
        "<main>",
        *(
            f'<section id="{s.key}"><h2>{escape(s.title)}</h2>'
            + (f'<p class="lead">{s.lead}</p>' if s.lead else "")
            + f"{s.body}</section>"
            for s in sections
        ),
        "</main>",
    ]
    return _document(title, "\n".join(body), _data(content))


def _heading(subjects: list[Subject]) -> str:
    if len(subjects) == 1:
        return escape(subjects[0].name)
    return " <small>and</small> ".join(
        f'<span class="run{k}">{escape(s.name)}</span>' for k, s in enumerate(subjects)
    )


@dataclass(frozen=True)
class _Section:
    key: str
    title: str
    lead: str
    body: str


def _sections(content: Content) -> list[_Section]:
    subjects, looks = content.subjects, content.looks
    main = any(panel["main"] for panel in content.curves)
    more = any(not panel["main"] for panel in content.curves)
    curves = '<div class="panels" data-curves="main"></div>' if main else ""
    if more:
        curves += (
            "<details><summary>Gradients, learning rate, time</summary>"
            '<div class="panels" data-curves="more"></div></details>'
        )
    pictures = "".join(
        f'<div class="viewer" data-viewer="{k}"></div>'
        for k, drawn in enumerate(content.samples)
        if drawn
    )
    histograms = '<div class="panels" data-histograms="spikes"></div>' if content.spikes else ""
    parameters = parameter_tables(subjects)
    if content.parameters:
        parameters = '<div class="panels" data-histograms="parameters"></div>' + parameters
    drag = "Drag across a picture to zoom, double-click to see all again."
    return [
        _Section("overview", "Overview", "", overview(subjects, looks)),
        _Section("learning", "Learning", f"Over the epochs of the training. {drag}", curves),
        _Section(
            "samples",
            "Samples",
            f"Spikes of each group and exact voltages below them, on a common axis of time. {drag} "
            "With the picture in focus <kbd>+</kbd> <kbd>&minus;</kbd> <kbd>←</kbd> <kbd>→</kbd> "
            "<kbd>0</kbd> do the same. Voltages are those of up to ten outputs, and of the three "
            "neurons that fire most of up to four other populations.",
            pictures,
        ),
        _Section("predictions", "Predictions", "", confusion_tables(subjects, looks)),
        _Section(
            "activity",
            "Spikes a neuron",
            "Neurons by how often they fire in a sample, on average. Those that never fire, which "
            "no gradient reaches, stand apart on the left.",
            histograms,
        ),
        _Section(
            "parameters",
            "Weights and delays",
            "",
            parameters,
        ),
        _Section("diagnosis", "Diagnosis", "", diagnosis_tables(subjects, looks)),
        _Section("settings", "Settings and versions", "", settings_tables(subjects) + _versions()),
        _Section(
            _LEFT_OUT,
            "What is left out",
            "",
            f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in content.notes)}</ul>"
            if content.notes
            else "<p>Nothing.</p>",
        ),
    ]


def _versions() -> str:
    rows = [
        ("snnfp", _core.version),
        ("compiler", f"{_core.compiler}, {_core.build_type}"),
        ("instruction set", _core.resolve_isa(_core.Isa.best).name),
        ("Python, NumPy", f"{platform.python_version()}, {np.__version__}"),
        ("platform", platform.platform()),
    ]
    return "<h3>This page was made by</h3>" + table(("", ""), rows, "plain")


def _data(content: Content) -> dict[str, Any]:
    return {
        "runs": [s.name for s in content.subjects],
        "units": [s.time_unit for s in content.subjects],
        "curves": content.curves,
        "samples": content.samples,
        "linked": content.linked,
        "spikes": content.spikes,
        "parameters": content.parameters,
    }


def _document(title: str, body: str, data: dict[str, Any]) -> str:
    style = _asset("page.css")
    script = f"(() => {{\n{''.join(map(_asset, _SCRIPTS))}}})();\n"
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            body,
            f'<script type="application/json" id="data">{_json(data)}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _json(data: dict[str, Any]) -> str:
    """JSON that ends no script element and opens no comment, whatever is in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return files("snnfp.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
