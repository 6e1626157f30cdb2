"""What a question is answered with: rows of times, ratios and spikes."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Answer", "Row", "duration"]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        who: the code, or what of it.
        seconds: median; None: not measured (``remark`` says why).
        measurements: how many the median is of.
        ratio: what the question asks for; see ``Answer.ratio``.
        aim: the least (or, if negative, the greatest) ratio wanted.
        spikes: a sample, in words.
        remark: anything else.
    """

    who: str
    seconds: float | None = None
    measurements: int = 0
    ratio: float | None = None
    aim: float | None = None
    spikes: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Answer:
    """A question, how it was put, and the table.

    Attributes:
        name: short, for the command line and the picture.
        question: the question.
        method: what exactly was run.
        ratio: what the column of ratios says.
        rows: the table.
        threads: each code had.
    """

    name: str
    question: str
    method: str
    ratio: str
    rows: list[Row] = field(default_factory=list)
    threads: int = 1


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
