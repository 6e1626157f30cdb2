"""Losses: a record and labels in, a value and its derivative by spike times or readouts out.

A loss is any ``f(record, labels) -> (value, cotangents)`` with cotangents as
:meth:`snnfp.Record.vjp` takes them; those here average over the samples of a batch. They can be
weighted and added: ``0.9 * a + 0.1 * b`` is a loss.
"""

from snnfp.losses.base import Loss, WeightedSum, value_and_derivative
from snnfp.losses.first_spikes import (
    FirstSpikeCrossEntropy,
    FirstSpikeFunction,
    FirstSpikeHinge,
    FirstSpikeLatency,
    FirstSpikeLoss,
)
from snnfp.losses.labels import check_labels, is_classes, readout_of
from snnfp.losses.readouts import (
    ReadoutCrossEntropy,
    ReadoutLoss,
    ReadoutSquaredError,
    output_of,
)
from snnfp.losses.spike_times import SpikeTimeFunction, SpikeTimeSquaredError
from snnfp.losses.van_rossum import VanRossumDistance

__all__ = [
    "FirstSpikeCrossEntropy",
    "FirstSpikeFunction",
    "FirstSpikeHinge",
    "FirstSpikeLatency",
    "FirstSpikeLoss",
    "Loss",
    "ReadoutCrossEntropy",
    "ReadoutLoss",
    "ReadoutSquaredError",
    "SpikeTimeFunction",
    "SpikeTimeSquaredError",
    "VanRossumDistance",
    "WeightedSum",
    "check_labels",
    "is_classes",
    "output_of",
    "readout_of",
    "value_and_derivative",
]
