"""Draws the pictures of docs/pictures.md, by the code that stands there."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def draw(app: Sphinx) -> None:
    """Runs the page's Python in ``docs/_pictures``."""
    page = Path(app.srcdir) / "pictures.md"
    folder = page.parent / "_pictures"
    folder.mkdir(exist_ok=True)
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            exec(compile(block, str(page), "exec"), namespace)


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the drawing."""
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True}
