"""From features and signals to spikes, and back as far as the spikes tell."""

from snnfp.encoding.latency import from_latency, latency
from snnfp.encoding.scaling import scale_min_max

__all__ = ["from_latency", "latency", "scale_min_max"]
