"""Times in different units, as they look from a silent population."""

from __future__ import annotations

import math

import numpy as np

from snnfp.network import Network
from snnfp.spikes import Spikes

__all__ = ["unit_question"]

_FAR = 10.0  # time constants between inputs, or simulations within one


def unit_question(net: Network, population: str, groups: tuple[Spikes, ...], until: float) -> str:
    """What to ask where input decays before more of it comes, or V has no time to follow.

    Args:
        net: the network.
        population: the one that is silent.
        groups: input of each group.
        until: end of the simulation.

    Returns:
        Words in brackets after a space; "" where time constants and times suit each other.
    """
    taus = [net.parameters[f"{population}.{key}"] for key in ("tau_mem", "tau_syn")]
    shortest = float(min(np.min(t) for t in taus))
    if until * _FAR < shortest < math.inf:
        return (
            f" (until is {until / shortest:.3g} tau: are both in the same unit of time? "
            f"tau = {shortest:.3g}, until = {until:.3g})"
        )
    tau = float(max(np.max(t) for t in taus))
    span, gaps = 0.0, 0
    for s in range(len(groups[0]) if groups else 0):
        times = np.concatenate([g.times[g.offsets[s] : g.offsets[s + 1]] for g in groups])
        if times.size:
            span += float(times.max() - times.min())
            gaps += times.size - 1
    if not gaps or not span / gaps > _FAR * tau:
        return ""
    return (
        f" (the gaps between inputs are {span / gaps / tau:.3g} tau: are both in the same unit of "
        f"time? tau = {tau:.3g}, mean gap {span / gaps:.3g})"
    )
