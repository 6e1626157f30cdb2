"""How far samples are simulated: no further than what reads their record asks for.

What looks at nothing but first spikes, be it a loss or a remedy, has a method ``looks_at(net)``
that names the populations. A sample then ends as soon as each of their neurons has fired; where one
is silent, it goes on to the end, so that silence is never a matter of when a sample ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from snnfp.network import Network

__all__ = ["looked_at", "no_further_than"]


def looked_at(what: Any, net: Network, *methods: str) -> tuple[str, ...]:
    """Populations whose first spikes are all that some methods of an object look at.

    Args:
        what: a loss or a remedy.
        net: the network.
        methods: by name; ``looks_at`` speaks for none that a derived class has changed.

    Returns:
        Their names; none: it looks at all spikes, or does not say.
    """
    for kind in type(what).__mro__:
        if "looks_at" in vars(kind):
            return tuple(what.looks_at(net))
        if any(m in vars(kind) for m in methods):
            break
    return ()


def no_further_than(net: Network, needed: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Options of :func:`snnfp.simulate` for a record that serves all that read it.

    Args:
        net: the network.
        needed: what :func:`looked_at` says of each.
    """
    parts = list(needed)
    if not parts or not all(parts):
        return {}
    names = tuple(dict.fromkeys(name for part in parts for name in part))
    heard = {p.source for p in (*net.projections.values(), *net.readout_projections.values())}
    # Later spikes of a population that feeds none matter to nobody.
    return {"stop_after": names, "first_spikes_of": tuple(n for n in names if n not in heard)}
