"""Times in different units, as they look from a silent population."""

from __future__ import annotations

import math

import numpy as np

from snnfp.network import Network
from snnfp.spikes import Spikes

__all__ = ["unit_question"]

_FAR = 10.0  # time constants between inputs, or simulations within one
_EARLY = 100.0  # inputs that all come within so small a part of the time constants


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
    late = _shortest_delay(net, population)
    if math.isfinite(until) and late > until:
        return (
            f" (until is {until:.3g}, what reaches it is delayed by {late:.3g} or more: are both "
            "in the same unit of time?)"
        )
    taus = [net.parameters[f"{population}.{key}"] for key in ("tau_mem", "tau_syn")]
    shortest = float(min(np.min(t) for t in taus))
    if until * _FAR < shortest < math.inf:
        return (
            f" (until is {until / shortest:.3g} tau: are both in the same unit of time? "
            f"tau = {shortest:.3g}, until = {until:.3g})"
        )
    tau = float(max(np.max(t) for t in taus))
    span, gaps, last = 0.0, 0, 0.0
    for s in range(len(groups[0]) if groups else 0):
        times = np.concatenate([g.times[g.offsets[s] : g.offsets[s + 1]] for g in groups])
        if times.size:
            span += float(times.max() - times.min())
            gaps += times.size - 1
            last = max(last, float(times.max()))
    if 0 < last * _EARLY < shortest and last * _EARLY < until < math.inf:
        return (
            f" (all inputs come within {last:.3g}, which is {last / shortest:.3g} tau: are both in "
            f"the same unit of time? tau = {shortest:.3g}, until = {until:.3g})"
        )
    if not gaps or not span / gaps > _FAR * tau:
        return ""
    return (
        f" (the gaps between inputs are {span / gaps / tau:.3g} tau: are both in the same unit of "
        f"time? tau = {tau:.3g}, mean gap {span / gaps:.3g})"
    )


def _shortest_delay(net: Network, population: str) -> float:
    """Of all that reaches a population; 0 if nothing does."""
    into = [p.name for p in net.projections.values() if p.target == population]
    delays = (net.parameters[f"{name}.delay"] for name in into)
    return min((float(np.min(d)) for d in delays if d.size), default=0.0)
