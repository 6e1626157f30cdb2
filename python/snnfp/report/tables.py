"""The tables of a page, as HTML in which all text is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from snnfp.report.activity import confusion
from snnfp.report.look import Look
from snnfp.report.numbers import listed, said
from snnfp.report.subject import Subject
from snnfp.report.weights import parameter_rows

__all__ = [
    "confusion_tables",
    "diagnosis_tables",
    "overview",
    "parameter_tables",
    "settings_tables",
    "table",
]

_MOST_ROWS = 60


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table; of cells that look like numbers the page aligns columns by ``kind``."""
    every = list(rows)
    shown = every[:_MOST_ROWS]
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = [f"<thead><tr>{top}</tr></thead>"] if any(head) else []
    for first, *others in shown:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f"<tr><th>{escape(first)}</th>{cells}</tr>")
    more = len(every) - len(shown)
    note = f'<p class="note">{more} more rows are left out.</p>' if more else ""
    return f'<div class="scroll"><table class="{kind}">{"".join(lines)}</table></div>{note}'


def overview(subjects: list[Subject], looks: list[Look | None]) -> str:
    """The figures that matter most: tiles of one subject, a table of two."""
    figures = [_figures(s, seen) for s, seen in zip(subjects, looks, strict=True)]
    facts = [_facts(s) for s in subjects]
    if len(subjects) == 1:
        tiles = "".join(_tile(name, value) for name, value in figures[0].items())
        lines = table(("", ""), facts[0].items(), "plain")
        return f'<dl class="tiles">{tiles}</dl>{lines}'
    names = list(dict.fromkeys(k for part in (*figures, *facts) for k in part))
    rows = [
        [name, *(f.get(name, fact.get(name, "—")) for f, fact in zip(figures, facts, strict=True))]
        for name in names
    ]
    return table(("", *(s.name for s in subjects)), rows, "pair")


def _tile(name: str, value: str) -> str:
    main, _, more = value.partition(" (")
    small = f" <small>({escape(more)}</small>" if more else ""
    return f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(main)}{small}</dd></div>'


def _figures(subject: Subject, seen: Look | None) -> dict[str, str]:
    out = {}
    evaluation = None if seen is None else seen.evaluation
    if evaluation is not None and not math.isnan(evaluation.accuracy):
        out["Test accuracy"] = f"{evaluation.accuracy:.2%}"
    if evaluation is not None:
        out["Test loss"] = said(evaluation.loss)
    history = subject.history
    if history is not None and len(history):
        for figure in ("validation_accuracy", "accuracy"):
            values = np.asarray(history[figure] if figure in history else [])
            if np.isfinite(values).any():
                at = int(np.nanargmax(values))
                name = "validation" if figure.startswith("v") else "training"
                out[f"Best {name} accuracy"] = f"{values[at]:.2%} (epoch {at + 1})"
        out["Epochs"] = str(len(history))
        if "seconds" in history:
            out["Training time"] = _duration(float(np.nansum(history["seconds"])))
    trained = subject.trained()
    if trained:
        n = sum(np.size(v) for k, v in trained.items() if k.endswith((".weight", ".delay")))
        out["Weights and delays"] = f"{n:,}".replace(",", " ")
    if seen is not None and seen.diagnosis.populations:
        spikes = sum(float(p.spikes.sum()) for p in seen.diagnosis.populations.values())
        out["Spikes a sample"] = said(spikes)
    return out


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _facts(subject: Subject) -> dict[str, str]:
    out = dict(subject.facts)
    net = subject.net
    if net is not None:
        groups: dict[str, Any] = {**net.inputs, **net.populations, **net.readouts}
        out["network"] = listed([f"{name} {g.size}" for name, g in groups.items()])
        joined = (*net.projections.values(), *net.readout_projections.values())
        out["projections"] = listed([f"{p.name} ({p.kind})" for p in joined])
        out["precision"] = net.dtype.name
    if subject.loss is not None:
        out["loss"] = repr(subject.loss)
    return out


def confusion_tables(subjects: list[Subject], looks: list[Look | None]) -> str:
    """How often each class is taken for which, a table a subject."""
    parts = []
    for k, (subject, seen) in enumerate(zip(subjects, looks, strict=True)):
        net = subject.net
        if seen is None or net is None:
            continue
        output = seen.diagnosis.output
        group = net.populations.get(output) or net.readouts[output]
        counts = confusion(seen, group.size)
        if counts is None:
            continue
        if not counts[:, -1].any():
            counts = counts[:, :-1]
        # Of the samples of a class: half of them are a half, whatever its size.
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        head = "".join(
            f"<th>{'none' if c == group.size else c}</th>" for c in range(counts.shape[1])
        )
        rows = "".join(
            f"<tr><th>{label}</th>"
            + "".join(
                f'<td class="h{math.ceil(9 * share)}{" ok" if c == label else ""}">{n or ""}</td>'
                for c, (n, share) in enumerate(zip(counts[label], shares[label], strict=True))
            )
            + "</tr>"
            for label in range(group.size)
        )
        parts.append(
            f'{_of(subjects, k)}<div class="scroll"><table class="confusion"><caption>test samples '
            "of each class (rows), by what the network says (columns)</caption>"
            f"<thead><tr><th></th>{head}</tr></thead>{rows}</table></div>"
        )
    return "".join(parts)


def parameter_tables(subjects: list[Subject]) -> str:
    """Weights and delays in numbers, a table a subject."""
    head = ("", "shape", "before", "after", "largest change")
    parts = []
    for k, subject in enumerate(subjects):
        rows = parameter_rows(subject)
        if rows:
            parts.append(f"{_of(subjects, k)}{table(head, rows, 'numbers')}")
    note = '<p class="note">Mean ± standard deviation; one number where all are equal.</p>'
    return "".join(parts) + (note if parts else "")


def diagnosis_tables(subjects: list[Subject], looks: list[Look | None]) -> str:
    """What :func:`snnfp.diagnose` found, a table a subject."""
    head = (
        *("", "neurons", "silent", "run away", "spikes a neuron", "arrivals a sample"),
        *("V missing", "smallest V'"),
    )
    parts = []
    for k, seen in enumerate(looks):
        if seen is None:
            continue
        found = seen.diagnosis
        rows = [
            (
                p.name,
                str(p.size),
                str(p.silent.size),
                str(p.runaway.size),
                said(float(p.spikes.mean())),
                said(p.deliveries),
                _range(p.missing_voltage[p.silent]),
                said(p.min_slope) if math.isfinite(p.min_slope) else "",
            )
            for p in found.populations.values()
        ]
        findings = [f"<li>{escape(line)}</li>" for line in found.findings[:_MOST_ROWS]]
        more = len(found.findings) - len(findings)
        findings += [f"<li>and {more} more</li>"] if more else []
        told = (
            f'<ul class="findings">{"".join(findings)}</ul>'
            if findings
            else '<p class="good">Nothing that deserves attention was found.</p>'
        )
        parts.append(
            f"{_of(subjects, k)}{told}{table(head, rows, 'numbers') if rows else ''}"
            f'<p class="note">On {found.n_samples} test samples. V missing: how far the highest V '
            "of silent neurons stays below the threshold.</p>"
        )
    return "".join(parts)


def _range(values: Any) -> str:
    return f"{said(float(values.min()))} … {said(float(values.max()))}" if values.size else ""


def settings_tables(subjects: list[Subject]) -> str:
    """Settings; of two subjects those first that differ."""
    names = list(dict.fromkeys(k for s in subjects for k in s.settings))
    if not names:
        return ""
    rows = {n: [said(s.settings[n]) if n in s.settings else "—" for s in subjects] for n in names}
    if len(subjects) == 1:
        usual = subjects[0].usual
        changed = {n for n in names if n in usual and usual[n] != subjects[0].settings[n]}
        table_rows = [
            (n, *rows[n], f"usually {said(usual[n])}" if n in changed else "") for n in names
        ]
        return table(("setting", "value", ""), table_rows, "settings")
    head = ("setting", *(s.name for s in subjects))
    differ = [n for n in names if len(set(rows[n])) > 1]
    same = [n for n in names if n not in differ]
    out = "<h3>Settings that differ</h3>"
    out += table(head, [(n, *rows[n]) for n in differ], "pair") if differ else "<p>None.</p>"
    if same:
        alike = table(("setting", "both"), [(n, rows[n][0]) for n in same], "settings")
        out += f"<details><summary>{len(same)} that are the same</summary>{alike}</details>"
    return out


def _of(subjects: list[Subject], k: int) -> str:
    """A heading that says of which subject, where there are two."""
    return f'<h3 class="run{k}">{escape(subjects[k].name)}</h3>' if len(subjects) > 1 else ""
