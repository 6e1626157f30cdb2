"""The Yin-Yang data set."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import count

__all__ = ["yin_yang", "yin_yang_class"]


def yin_yang_class(x: float, y: float, *, r_small: float = 0.1, r_big: float = 0.5) -> int:
    """Class of a point within the big circle: 0 yin, 1 yang, 2 dot."""
    right = math.hypot(x - 1.5 * r_big, y - r_big)
    left = math.hypot(x - 0.5 * r_big, y - r_big)
    if right < r_small or left < r_small:
        return 2
    is_yin = (
        right <= r_small or r_small < left <= 0.5 * r_big or (y > r_big and right > 0.5 * r_big)
    )
    return int(is_yin)


def yin_yang(
    size: int, *, seed: int, r_small: float = 0.1, r_big: float = 0.5
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points of the Yin-Yang data set, bit-equal to the published generator for a seed.

    A class is drawn, then points in the square until one lies in the circle and has that class.
    The customary splits are 5000 points of seed 42 (training), 1000 of 41 (validation) and 1000 of
    40 (test).

    Args:
        size: number of points.
        seed: of NumPy's legacy ``RandomState``.
        r_small: radius of the dots.
        r_big: radius of the circle.

    Returns:
        Features ``(x, y, 1 - x, 1 - y)``, ``[size, 4]``, and labels ``[size]``.

    Raises:
        ValueError: no points, or dots that leave no room for a class.

    Source: Kriener, Goeltz, Petrovici, "The Yin-Yang dataset", NICE 2022 (arXiv 2102.08211).
    """
    size = count(size, "size")
    if not (0 < r_big < math.inf):
        raise ValueError(f"r_big is {r_big}, expected a finite radius > 0")
    if not (0 < r_small <= 0.5 * r_big):  # beyond, points of a class are looked for without end
        raise ValueError(f"r_small is {r_small}, expected > 0 and at most r_big / 2 = {r_big / 2}")
    rng = np.random.RandomState(seed)
    points = np.empty((size, 2))
    labels = np.empty(size, dtype=np.int64)
    for k in range(size):
        goal = rng.randint(3)
        while True:
            x, y = (rng.rand(2) * 2.0 * r_big).tolist()
            if math.hypot(x - r_big, y - r_big) > r_big:
                continue
            if yin_yang_class(x, y, r_small=r_small, r_big=r_big) == goal:
                break
        points[k] = x, y
        labels[k] = goal
    return np.concatenate([points, 1.0 - points], axis=1), labels
