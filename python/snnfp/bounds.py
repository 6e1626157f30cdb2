"""Where parameters may be: the domain of the model, and bounds that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain, spot
from snnfp._patterns import matched
from snnfp.network import Network

__all__ = ["Bounds", "Domain", "domain_of"]

Bounds = Mapping[str, tuple[ArrayLike | None, ArrayLike | None]]
Arrays = dict[str, NDArray[Any]]

# Of the smallest value at the start of training, a population's time constants and capacitance,
# and its threshold above v_reset and above 0 (where V starts), stay at least this fraction.
_POSITIVE, _SPAN = 1e-3, 1e-2
_AT_LEAST_ZERO = ("delay", "t_refractory")
_FLOORED = ("tau_mem", "tau_syn", "capacitance")

_NONE: Mapping[str, NDArray[np.bool_]] = {}
_NO_RANGES: Mapping[str, tuple[float, float]] = {}
_FREE = np.asarray(False)


@dataclass(frozen=True)
class Domain:
    """What parameters are put back into after a step.

    Args:
        limits: (low, high) of a parameter; None: no limit.
        spans: smallest ``threshold - v_reset`` of a population, for those that train either.
        floors: what the run that was begun found, ``{parameter or population: smallest}``.
    """

    limits: Mapping[str, tuple[Any, Any]]
    spans: Mapping[str, float]
    floors: Mapping[str, float]

    def put_back(
        self, net: Network, parameters: Arrays, frozen: Mapping[str, NDArray[np.bool_]] = _NONE
    ) -> Arrays:
        """The parameters, each at the nearest point of the domain (arrays given stay as they are).

        Where a threshold came too near to v_reset, v_reset moves down, if it is trained and as far
        as its bounds allow, and then the threshold up.

        Args:
            net: the network, for what is not trained.
            parameters: by name.
            frozen: elements that stay.
        """
        inside = dict(parameters)
        for name in self.limits.keys() & inside.keys():
            inside[name] = self._within(name, parameters[name], frozen.get(name))
        return self.keep_spans(net, inside, frozen)

    def _within(
        self, name: str, value: NDArray[Any], frozen: NDArray[np.bool_] | None
    ) -> NDArray[Any]:
        low, high = self.limits[name]
        inside = np.asarray(np.clip(value, low, high), dtype=value.dtype)
        return inside if frozen is None else np.where(frozen, value, inside)

    def keep_spans(
        self, net: Network, parameters: Arrays, frozen: Mapping[str, NDArray[np.bool_]] = _NONE
    ) -> Arrays:
        """Only the part of :meth:`put_back` that is about thresholds and v_reset."""
        inside = dict(parameters)
        for population, span in self.spans.items():
            up, down = f"{population}.threshold", f"{population}.v_reset"
            v_reset = inside.get(down, net.parameters[down])
            threshold = inside.get(up, net.parameters[up])
            near = threshold - v_reset < span
            if not near.any():
                continue
            if down in inside:
                lower = threshold - span
                low = self.limits.get(down, (None, None))[0]
                lower = lower if low is None else np.maximum(lower, low)
                v_reset = np.where(near & ~frozen.get(down, _FREE), lower, v_reset)
                inside[down] = np.asarray(v_reset, dtype=parameters[down].dtype)
            if up in inside:
                near = (threshold - v_reset < span) & ~frozen.get(up, _FREE)
                raised = np.where(near, v_reset + span, threshold)
                inside[up] = np.asarray(raised, dtype=parameters[up].dtype)
        return inside

    @property
    def spanned(self) -> set[str]:
        """Names of the thresholds and v_resets that :meth:`keep_spans` looks at."""
        return {f"{p}.{kind}" for p in self.spans for kind in ("threshold", "v_reset")}


def domain_of(
    net: Network,
    names: tuple[str, ...],
    bounds: Bounds,
    floors: Mapping[str, float] | None = None,
    ranges: Mapping[str, tuple[float, float]] = _NO_RANGES,
    frozen: Mapping[str, NDArray[np.bool_]] = _NONE,
) -> Domain:
    """The domain of the trained parameters.

    Args:
        net: the network.
        names: of the trained parameters.
        bounds: ``{pattern: (low, high)}``, narrower than the domain of the model; numbers or
            arrays of the parameter's shape. Where several match, all hold.
        floors: of the run that is resumed; None: from the network as it is.
        ranges: smallest and largest values that transforms can give.
        frozen: elements that stay, which no range needs to hold.

    Raises:
        KeyError: a pattern that matches no trained parameter.
        ValueError: bounds that no value meets.
        TypeError: bounds that are no pairs of numbers.
    """
    given = {pattern: _pair(pattern, pair) for pattern, pair in _items(bounds)}
    for pattern in given:
        matched(net, names, pattern, "bounds")
    found = _floors(net, names)
    if floors is not None:
        if set(floors) != set(found):
            raise ValueError(f"floors of {sorted(floors)}, expected those of {sorted(found)}")
        found = dict(floors)
    limits: dict[str, tuple[Any, Any]] = {}
    for name in names:
        value = net.parameters[name]
        kind = name.rpartition(".")[2]
        low: Any = 0.0 if kind in _AT_LEAST_ZERO else found.get(name)
        high: Any = None
        for pattern, (lower, upper) in given.items():
            if not fnmatchcase(name, pattern):
                continue
            for side, bound in (("low", lower), ("high", upper)):
                if bound is not None and bound.shape not in ((), value.shape):
                    or_its_own = f" or {value.shape} as {name}" if value.shape else ""
                    raise ValueError(
                        f"bounds: {side} of {pattern!r} has shape {bound.shape}, expected ()"
                        f"{or_its_own}"
                    )
            if lower is not None:
                # A time constant may be held above 0 more loosely than it is by default.
                free = kind in _FLOORED and bool(np.all(lower > 0)) and low is found.get(name)
                low = lower if low is None or free else np.maximum(low, lower)
            if upper is not None:
                high = upper if high is None else np.minimum(high, upper)
        if low is not None and high is not None:
            bad = np.argwhere(np.asarray(low > high))
            if len(bad):  # of one number, bad has no columns
                at = tuple(bad[0].tolist())
                worst = [np.broadcast_to(b, np.asarray(low > high).shape)[at] for b in (low, high)]
                raise ValueError(
                    f"bounds of {name} are {worst[0]:g} ... {worst[1]:g}"
                    f"{f' at {list(at)}' if at else ''}, expected low <= high"
                )
        if name in ranges:
            low, high = _in_range(name, (low, high), ranges[name], frozen.get(name, _FREE))
        if low is not None or high is not None:
            limits[name] = (low, high)
    return Domain(limits, _spans(net, names, found, limits), found)


def _in_range(
    name: str,
    limits: tuple[Any, Any],
    ends: tuple[float, float],
    frozen: NDArray[np.bool_],
) -> tuple[Any, Any]:
    """The limits of a parameter, as far as its transform can go."""
    (low, high), (lowest, highest) = limits, ends
    low = -np.inf if low is None else low
    high = np.inf if high is None else high
    for side, limit, beyond in (
        ("at least", low, np.asarray(low > highest)),
        ("at most", high, np.asarray(high < lowest)),
    ):
        bad = np.argwhere(beyond & ~frozen)
        if len(bad):
            at = tuple(bad[0].tolist()) if beyond.ndim else ()
            raise ValueError(
                f"bounds: {spot(name, at)} is to be {side} {np.asarray(limit)[at]:g}, expected "
                f"more than {lowest:g} and less than {highest:g}, the range of its transform"
            )
    return np.maximum(low, lowest), np.minimum(high, highest)


def _items(bounds: Any) -> list[tuple[str, Any]]:
    if not isinstance(bounds, Mapping):
        raise TypeError(f"bounds is {bounds!r}, expected a mapping {{pattern: (low, high)}}")
    return list(bounds.items())


def _pair(pattern: str, pair: Any) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"bounds: {pattern!r} has {pair!r}, expected (low, high)")
    sides = zip(("low", "high"), pair, strict=True)
    ends = [
        None if end is None else plain(end, f"bounds: {side} of {pattern!r}") for side, end in sides
    ]
    for side, end in zip(("low", "high"), ends, strict=True):
        if end is None:
            continue
        if end.dtype.kind not in "fiu":
            raise TypeError(f"bounds: {side} of {pattern!r} is {end!r}, expected numbers or None")
        if np.isnan(end).any():
            raise ValueError(f"bounds: {side} of {pattern!r} is nan, expected numbers or None")
    return ends[0], ends[1]


def _floors(net: Network, names: tuple[str, ...]) -> dict[str, float]:
    """Smallest values that a training may lead to, by those at its start."""
    floors: dict[str, float] = {}
    for name in names:
        if net._listens(name) and name.rpartition(".")[2] in _FLOORED:
            floors[name] = _POSITIVE * float(np.min(net.parameters[name]))
    for population in net.populations:
        own = {k: f"{population}.{k}" for k in (*_FLOORED, "threshold", "v_reset")}
        for kind in _FLOORED:
            if own[kind] in names:
                floors[own[kind]] = _POSITIVE * float(np.min(net.parameters[own[kind]]))
        threshold, v_reset = (net.parameters[own[k]] for k in ("threshold", "v_reset"))
        if own["threshold"] in names or own["v_reset"] in names:
            floors[population] = _SPAN * float(np.min(threshold - v_reset))
        if own["threshold"] in names and float(np.min(threshold)) > 0:
            floors[own["threshold"]] = _SPAN * float(np.min(threshold))
    return floors


def _spans(
    net: Network,
    names: tuple[str, ...],
    floors: Mapping[str, float],
    limits: Mapping[str, tuple[Any, Any]],
) -> dict[str, float]:
    spans = {}
    for population in net.populations:
        up, down = f"{population}.threshold", f"{population}.v_reset"
        if population not in floors or not (up in names or down in names):
            continue
        span = spans[population] = floors[population]
        highest = limits.get(up, (None, None))[1] if up in names else net.parameters[up]
        lowest = limits.get(down, (None, None))[0] if down in names else net.parameters[down]
        if highest is not None and lowest is not None and np.any(highest - lowest < span):
            raise ValueError(
                f"bounds leave no room between {down} (at least {np.max(lowest):g}) and {up} "
                f"(at most {np.min(highest):g}), expected threshold - v_reset >= {span:g}"
            )
    return spans
