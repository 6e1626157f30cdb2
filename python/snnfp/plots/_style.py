"""What the pictures have in common: figure, colours, axes."""

from __future__ import annotations

from typing import Any

from snnfp.errors import require
from snnfp.network import Network
from snnfp.record import Record
from snnfp.simulate import InputSpikes, simulate

__all__ = ["COLOURS", "SILENT", "bare", "colour", "new_figure", "simulate_quietly"]

# Okabe and Ito's palette, less its yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5D4A9C")
SILENT = "#BBBBBB"


def colour(k: int) -> str:
    """The colour of class k; after the last the first again."""
    return COLOURS[k % len(COLOURS)]


def new_figure(width: float, height: float) -> Any:
    """A figure that belongs to no window and changes no global setting; sizes in inches."""
    figure = require("matplotlib.figure", extra="train").Figure(
        figsize=(width, height), layout="constrained"
    )
    require("matplotlib.backends.backend_agg", extra="train").FigureCanvasAgg(figure)
    return figure


def bare(axes: Any) -> None:
    """No frame at the top and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def simulate_quietly(net: Network, spikes: InputSpikes, until: float) -> Record:
    """Without warnings of silent populations, which a picture shows; a later call still warns."""
    told = set(net._warned)
    net._warned |= set(net.populations)
    try:
        return simulate(net, spikes, until=until)
    finally:
        net._warned = (net._warned - set(net.populations)) | told
