"""Data sets: features and labels as arrays. :mod:`snnfp.encoding` turns features into spikes."""

from snnfp.data.iris import iris
from snnfp.data.mnist import MNIST, mnist, read_idx
from snnfp.data.xor import xor
from snnfp.data.yin_yang import yin_yang

__all__ = ["MNIST", "iris", "mnist", "read_idx", "xor", "yin_yang"]
