"""The size of what is read off a readout, brought to 1 on data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from snnfp._numbers import real_number
from snnfp._silence import silence_untold
from snnfp.network import Network
from snnfp.readings import Reading, readout_named
from snnfp.simulate import InputSpikes, check_network, simulate

__all__ = ["scale_readout"]


def scale_readout(
    net: Network,
    spikes: InputSpikes,
    reading: Reading | Any,
    *,
    until: float | None = None,
    rms: float = 1.0,
    n_threads: int | None = None,
) -> float:
    """Sets a readout's capacitance so that what is read has a root mean square of ``rms``.

    What is read is proportional to 1 / capacitance, so that
    ``C <- C sqrt(mean(value^2)) / rms``, one factor for all neurons of the readout, the mean over
    samples and neurons. An integral over a second and a voltage at its end are of very different
    size; after this one learning rate and one initialisation of the weights fit all of them.

    Args:
        net: an initialised network; its ``<readout>.capacitance`` is replaced.
        spikes: input, as for :func:`simulate`: the first batch, say.
        reading: a :class:`snnfp.Reading`, or a loss that has one (``reading(net)``).
        until: end of the simulation.
        rms: what is wanted, > 0.
        n_threads: None: all; the result is the same for any number.

    Returns:
        The factor of the capacitance.

    Raises:
        ValueError: the readout says 0 throughout, so that no factor would do.
    """
    if not (real_number(rms, "rms") > 0 and math.isfinite(rms)):
        raise ValueError(f"rms is {rms}, expected a finite number > 0")
    check_network(net)
    asked = reading.reading(net) if hasattr(reading, "reading") else reading
    if not isinstance(asked, Reading):
        raise TypeError(f"reading is {reading!r}, expected snnfp.Reading(...) or a loss with one")
    p = readout_named(net, asked.readout)
    with silence_untold(net):
        record = simulate(net, spikes, until=until, n_threads=n_threads)
    said = np.asarray(record.readout(asked), dtype=np.float64)
    largest = float(np.max(np.abs(said), initial=0.0))
    if largest == 0:
        raise ValueError(
            f"readout {p.name} says 0 for every sample: no spike reaches it, expected projections "
            "from groups that fire, with weights"
        )
    found = largest * math.sqrt(float(np.mean((said / largest) ** 2)))
    name = f"{p.name}.capacitance"
    net.parameters[name] = net.parameters[name] * (found / rms)
    return found / rms
