"""``RESULTS.md`` and its picture."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

import numpy as np

from bench.peers.answers import Answer, Row, duration

__all__ = ["draw", "machine", "markdown", "table"]


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    processor = platform.processor() or "unknown"
    memory = "unknown"
    widest = ""
    try:
        of_first = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        said = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in of_first)}
        processor = said.get("model name", processor)
        if "cpu family" in said:
            processor += f" (family {said['cpu family']}, model {said.get('model', 'unknown')})"
        flags = said.get("flags", "").split()
        widest = next((f", {k}" for k in ("avx512f", "avx2") if k in flags), "")
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f"{pages / 2**30:.0f} GiB"
    except (OSError, ValueError):
        pass
    busy = "unknown"
    if hasattr(os, "getloadavg"):
        busy = f"{os.getloadavg()[0]:.2f}"
    return {
        "Processor": f"{processor}, {os.cpu_count()} processors{widest}",
        "Memory": memory,
        "System": f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}",
        "Load at the start": busy,
        "Date": date.today().isoformat(),
    }


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return ""
    text = f"{row.ratio:.3g}"
    return f"**{text}**" if row.aim is not None else text


def _aim(row: Row) -> str:
    if row.aim is None:
        return ""
    if row.aim < 0:
        met = row.ratio is not None and row.ratio <= -row.aim
        return f"<= {-row.aim:g}{', met' if met else ', missed'}"
    met = row.ratio is not None and row.ratio >= row.aim
    return f">= {row.aim:g}{', met' if met else ', missed'}"


def table(answer: Answer) -> list[str]:
    """The rows in Markdown; columns that nothing fills are left out."""
    columns = {
        "": [r.who for r in answer.rows],
        "median": [duration(r.seconds) if r.seconds else "" for r in answer.rows],
        "of": [str(r.measurements) if r.measurements else "" for r in answer.rows],
        answer.ratio: [_ratio(r) for r in answer.rows],
        "aim (AVX-512)": [_aim(r) for r in answer.rows],
        "spikes": [r.spikes for r in answer.rows],
        "remarks": [r.remark for r in answer.rows],
    }
    kept = {k: v for k, v in columns.items() if any(v)}
    lines = ["| " + " | ".join(kept) + " |", "|" + "---|" * len(kept)]
    lines += ["| " + " | ".join(cells) + " |" for cells in zip(*kept.values(), strict=True)]
    return lines


def markdown(answers: list[Answer], about: dict[str, str], command: str, others: list[str]) -> str:
    """The whole page; ``others`` are pages of other runs beside it."""
    lines = [
        "# snnfp beside others",
        "",
        f"Written by `{command}`. Each code runs in a process of its own; the calls compared take",
        "turns (A B C A B C ...), and the times are medians of the number of measurements given.",
        "Every result was checked: loss and gradient finite, spikes a sample counted. Aims are for",
        "one core of a processor with AVX-512; which processor this was is said here:",
        "",
        "| | |",
        "|---|---|",
        *(f"| {k} | {v} |" for k, v in about.items()),
        "",
        *(f"An earlier run, perhaps on another processor: [{p}]({p})" for p in others),
        "",
        "![Ratios](results.png)",
    ]
    for a in answers:
        count = f"{a.threads} thread{'s' * (a.threads > 1)}".capitalize()
        lines += ["", f"## {a.question.strip()}", "", f"{a.method} {count} each.", ""]
        lines += table(a)
    return "\n".join(lines) + "\n"


def draw(answers: list[Answer], path: Path) -> None:
    """Bars of how many times longer others take, one panel a question, on one logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [
        (a, [r for r in a.rows if r.ratio is not None and not r.who.startswith("snnfp")])
        for a in answers
        if a.ratio.endswith("over snnfp's")
    ]
    shown = [(a, rows) for a, rows in shown if rows]
    if not shown:
        return
    heights = [len(rows) + 0.8 for _, rows in shown]
    figure, axes = plt.subplots(
        len(shown),
        1,
        sharex=True,
        squeeze=False,
        figsize=(8.0, 0.42 * sum(heights) + 0.8),
        height_ratios=heights,
        layout="constrained",
    )
    for ax, (a, rows) in zip(axes[:, 0], shown, strict=True):
        places = np.arange(len(rows))[::-1]
        ratios = [r.ratio or 0.0 for r in rows]
        ax.barh(places, ratios, height=0.65, color="#4878a8")
        for place, row in zip(places, rows, strict=True):
            assert row.ratio is not None
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            label = f"{row.ratio:.3g} x"
            ax.text(row.ratio * 1.06, place, label, va="center", fontsize=8, bbox=box)
            if row.aim is not None:
                ax.plot([row.aim] * 2, [place - 0.4, place + 0.4], color="#c04040", lw=1.5)
        ax.set_yticks(places, [r.who for r in rows], fontsize=8)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.axvline(1.0, color="black", lw=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        plural = f"{a.threads} thread{'s' * (a.threads > 1)}"
        ax.set_title(f"{a.name}: {a.ratio}, {plural}", fontsize=9, loc="left")
    low, high = axes[0, 0].get_xlim()
    axes[0, 0].set_xlim(min(low, 0.8), high * 2.0)
    axes[-1, 0].set_xlabel("times longer than snnfp (red: the aim)")
    figure.savefig(path, dpi=130)
    plt.close(figure)
