"""Code blocks of the documentation's pages, run as they stand."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text and the line it begins at."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(text)]


def output_after(page: Path, language: str) -> tuple[Block, str]:
    """The first block of a language and the ``text`` block that follows it."""
    found = blocks(page)
    at = next(k for k, b in enumerate(found) if b.language == language)
    assert found[at + 1].language == "text", f"{page}:{found[at].line} shows no output"
    return found[at], found[at + 1].text


def check_python(page: Path) -> int:
    """Runs the ``python`` blocks in order in one namespace; compares what they print with the
    ``text`` block right after each (a block without one prints nothing). Returns how many ran."""
    found = blocks(page)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for block, after in zip(found, [*found[1:], Block("", "", 0)], strict=True):
        if block.language != "python":
            continue
        printed = io.StringIO()
        # Blank lines ahead, so that a traceback gives the line of the page.
        code = compile("\n" * block.line + block.text, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        expected = after.text if after.language == "text" else ""
        assert printed.getvalue() == expected, f"{page.name}:{block.line} prints something else"
        count += 1
    return count
