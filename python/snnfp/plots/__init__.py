"""Pictures of training and of spikes. Each function returns a matplotlib ``Figure``.

matplotlib comes with ``pip install 'snnfp[train]'`` and is asked for only when a picture is drawn.
The figures belong to no window and change no global setting; save one with
``figure.savefig("name.png", dpi=200)``, or as ``.svg`` or ``.pdf``. A class, and the output neuron
that stands for it, has the same colour in all of them, from a palette that colour-blind readers
can tell apart.
"""

from snnfp.plots.activity import activity
from snnfp.plots.curves import learning_curves
from snnfp.plots.encodings import pixel_counts, signal_and_spikes
from snnfp.plots.plane import decision_map
from snnfp.plots.samples import raster_and_voltage

__all__ = [
    "activity",
    "decision_map",
    "learning_curves",
    "pixel_counts",
    "raster_and_voltage",
    "signal_and_spikes",
]
