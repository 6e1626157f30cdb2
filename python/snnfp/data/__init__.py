"""Data sets: features and labels as arrays, recordings of events, and their files.

:mod:`snnfp.encoding` turns features into spikes.
"""

from snnfp.data.iris import iris
from snnfp.data.mnist import MNIST, mnist, read_idx
from snnfp.data.sources import Chosen, Encoded, Mapped, SpikeSource
from snnfp.data.xor import xor
from snnfp.data.yin_yang import yin_yang

__all__ = [
    "MNIST",
    "Chosen",
    "Encoded",
    "Mapped",
    "SpikeSource",
    "iris",
    "mnist",
    "read_idx",
    "xor",
    "yin_yang",
]
