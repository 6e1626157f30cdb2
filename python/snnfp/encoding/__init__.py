"""From features, signals and sound to spikes, and back as far as the spikes tell."""

from snnfp.encoding.crossings import from_level_crossings, level_crossings
from snnfp.encoding.integrate import from_integrate_and_fire, integrate_and_fire
from snnfp.encoding.latency import from_latency, latency
from snnfp.encoding.scaling import scale_min_max
from snnfp.encoding.sound import log_mel, mel_filterbank, mel_level_crossings

__all__ = [
    "from_integrate_and_fire",
    "from_latency",
    "from_level_crossings",
    "integrate_and_fire",
    "latency",
    "level_crossings",
    "log_mel",
    "mel_filterbank",
    "mel_level_crossings",
    "scale_min_max",
]
