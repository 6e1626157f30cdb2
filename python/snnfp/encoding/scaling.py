"""Features scaled to 0 ... 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import real_array, spot
from snnfp.encoding.latency import feature_table

__all__ = ["scale_min_max"]


def scale_min_max(
    features: ArrayLike, low: ArrayLike | None = None, high: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Features scaled to [0, 1] column by column; a constant column becomes 0.

    Args:
        features: ``[samples, d]``.
        low: what becomes 0, ``[d]``; None: the smallest value of each column.
        high: what becomes 1, ``[d]``; None: the largest. Values beyond are clipped.

    Raises:
        TypeError: features that are not real numbers.
        ValueError: a value that is missing or not finite, a wrong shape, or a column's ``low``
            above its ``high``.
    """
    x = feature_table(features).astype(np.float64)
    ends = []
    for name, given, smallest in (("low", low, True), ("high", high, False)):
        if given is None:
            if not len(x):
                raise ValueError(
                    f"features have shape {x.shape}: without samples give low and high"
                )
            ends.append(x.min(axis=0) if smallest else x.max(axis=0))
            continue
        end = real_array(given, name, x.dtype)
        if end.shape not in ((), x.shape[1:]):
            raise ValueError(f"{name} has shape {end.shape}, expected () or {x.shape[1:]}")
        ends.append(end)
    a, b = ends
    bad = np.argwhere(~np.isfinite(x))
    if bad.size:
        at = tuple(bad[0])
        raise ValueError(f"{spot('features', at)} is {x[at]}, expected a finite number")
    bad = np.argwhere(np.atleast_1d(a > b))
    if bad.size:
        k = int(bad[0, 0])
        ends = [np.broadcast_to(v, np.shape(a > b)).reshape(-1)[k] for v in (a, b)]
        raise ValueError(f"low[{k}] is {ends[0]} and high[{k}] is {ends[1]}, expected low <= high")
    span = np.where(b > a, b - a, 1.0)
    scaled: NDArray[np.float64] = np.clip((x - a) / span, 0.0, 1.0)
    return scaled
