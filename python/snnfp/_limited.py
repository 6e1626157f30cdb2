"""A network as it is, but for how often its neurons may fire: to look at it while it runs away."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from snnfp.network import Network

__all__ = ["with_limits"]


def with_limits(net: Network, limits: Mapping[str, int]) -> Network:
    """A network of the same parameters; neurons of these populations fire at most so many spikes.

    Limits that a population has already stay if they are lower. No warning of silent populations
    comes from it.
    """
    state: dict[str, Any] = {
        k: v.copy() if isinstance(v, (dict, set)) else v for k, v in net.__getstate__().items()
    }
    for name, limit in limits.items():
        p = net.populations[name]
        most = limit if p.max_spikes is None else min(limit, p.max_spikes)
        state["populations"][name] = dataclasses.replace(p, max_spikes=most)
    state["_warned"] |= set(net.populations)
    other: Network = object.__new__(Network)
    other.__setstate__(state)
    return other
