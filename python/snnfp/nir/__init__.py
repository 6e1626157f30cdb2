"""Networks and spikes to and from NIR, the Neuromorphic Intermediate Representation.

Times are in seconds there: a network that comes from NIR is in seconds, and one that goes there
should be. ``pip install 'snnfp[nir]'``.
"""

from snnfp.nir.events import record_to_data, spikes_from_data, spikes_to_data, values_from_data
from snnfp.nir.export import to_nir, write
from snnfp.nir.imports import Imported, from_nir, read

__all__ = [
    "Imported",
    "from_nir",
    "read",
    "record_to_data",
    "spikes_from_data",
    "spikes_to_data",
    "to_nir",
    "values_from_data",
    "write",
]
