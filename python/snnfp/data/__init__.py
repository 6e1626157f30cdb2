"""Data sets: features and labels as arrays, recordings of events, and their files.

:mod:`snnfp.encoding` turns features into spikes.
"""

from snnfp.data.aedat import read_aedat
from snnfp.data.events import read_events
from snnfp.data.fsdd import FSDD, fsdd
from snnfp.data.images import warp_images
from snnfp.data.iris import iris
from snnfp.data.mnist import MNIST, mnist, read_idx
from snnfp.data.nmnist import NMNIST, nmnist
from snnfp.data.shd import SHD, shd
from snnfp.data.sources import Chosen, Encoded, Mapped, SpikeSource
from snnfp.data.wav import read_wav
from snnfp.data.xor import xor
from snnfp.data.yin_yang import yin_yang

__all__ = [
    "FSDD",
    "MNIST",
    "NMNIST",
    "SHD",
    "Chosen",
    "Encoded",
    "Mapped",
    "SpikeSource",
    "fsdd",
    "iris",
    "mnist",
    "nmnist",
    "read_aedat",
    "read_events",
    "read_idx",
    "read_wav",
    "shd",
    "warp_images",
    "xor",
    "yin_yang",
]
