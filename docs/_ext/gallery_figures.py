"""What the examples of the gallery draw.

The figures of ``snnfp.plots`` belong to no window, which is where sphinx-gallery looks for figures:
here they are those that an example has a name for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_shown: WeakSet[Figure] = WeakSet()


def _scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Saves the figures that a block of an example has made."""
    named = block_vars["example_globals"].values()
    figures = [v for v in named if isinstance(v, Figure) and v not in _shown]
    paths = []
    for figure in dict.fromkeys(figures):
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=110)
        paths.append(path)
        _shown.add(figure)
    plt.close("all")
    return str(figure_rst(paths, gallery_conf["src_dir"]))


def _get_sg_image_scraper() -> Callable[..., str]:
    """By this name sphinx-gallery asks a module for what finds its figures."""
    return _scrape
