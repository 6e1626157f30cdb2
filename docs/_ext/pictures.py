"""Draws the pictures that pages show, by the code that stands there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def draw(app: Sphinx) -> None:
    """Runs the Python of pages with pictures in ``docs/_pictures``."""
    source = Path(app.srcdir)
    folder = source / "_pictures"
    folder.mkdir(exist_ok=True)
    for page in sorted(source.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if "](_pictures/" not in text:
            continue
        namespace: dict[str, Any] = {"__name__": "__main__"}
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
                exec(compile(block, str(page), "exec"), namespace)


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the drawing."""
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True}
