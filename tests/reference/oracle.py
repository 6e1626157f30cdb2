"""When does a single neuron, given its arrivals, first cross the threshold? In mpmath."""

from __future__ import annotations

from mpmath import mpf

from reference.membrane import Neuron, current, extremum, first_crossing, voltage


def first_spike(n: Neuron, arrivals: list[tuple[mpf, mpf]], until: mpf) -> tuple[mpf | None, mpf]:
    """First spike time, and the distance from the threshold of the highest local maximum.

    Args:
        n: the neuron.
        arrivals: (time, weight) in order.
        until: the end.

    Returns:
        The time (None if silent) and the smallest ``|V_max - threshold|`` of all intervals up to
        there: how sure the answer is.
    """
    v = i = at = mpf(0)
    margin = mpf("inf")
    for time, weight in [*arrivals, (until, mpf(0))]:
        span = time - at
        if span > 0:
            turn = extremum(n, v, i)
            if turn is not None and turn < span:
                margin = min(margin, abs(voltage(n, v, i, turn) - n.threshold))
            margin = min(margin, abs(voltage(n, v, i, span) - n.threshold))
            d = first_crossing(n, v, i, span)
            if d is not None:
                return at + d, margin
            v, i, at = voltage(n, v, i, span), current(n, i, span), time
        i += weight
    return None, margin
