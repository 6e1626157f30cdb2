"""More images of those there are: turned, scaled, slanted and moved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._arrays import plain
from snnfp._numbers import real_number
from snnfp._spike_operations import Seed, generator

__all__ = ["warp_images"]

_BLOCK = 1 << 19  # pixels computed at once


def warp_images(
    images: NDArray[Any],
    rng: Seed,
    *,
    rotation: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
    shift: float = 0.0,
) -> NDArray[Any]:
    """A copy of each image under an affine map of its own, drawn uniformly, about its centre.

    Between pixels it is bilinear; what comes from outside the image is 0.

    Args:
        images: ``[n, rows, columns]``, unsigned bytes or floats.
        rng: a NumPy generator, or the seed of one.
        rotation: degrees, up to which it is turned either way.
        scale: larger or smaller by a factor of 1 - scale ... 1 + scale, for rows and columns apart.
        shear: slanted by up to this many columns a row, either way.
        shift: pixels, up to which it is moved along both axes.

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError, ValueError: images of another shape or dtype, or amounts that are below 0.
    """
    given = plain(images, "images")
    if given.ndim != 3 or 0 in given.shape:
        raise ValueError(f"images have shape {given.shape}, expected [n, rows, columns]")
    if given.dtype != np.uint8 and given.dtype.kind != "f":
        raise TypeError(f"images have dtype {given.dtype}, expected uint8 or floats")
    amounts = {"rotation": rotation, "scale": scale, "shear": shear, "shift": shift}
    for name, value in amounts.items():
        if not 0 <= real_number(value, name) < math.inf:
            raise ValueError(f"{name} is {value}, expected a finite number >= 0")
    if scale >= 1:
        raise ValueError(f"scale is {scale}, expected below 1")
    n = len(given)
    draw = generator(rng).uniform(-1.0, 1.0, (n, 6))
    angle = np.deg2rad(rotation) * draw[:, 0]
    rows, columns, slant = 1 + scale * draw[:, 1], 1 + scale * draw[:, 2], shear * draw[:, 3]
    # Where in the image a pixel of the copy comes from: moved back, turned back, scaled back.
    back = np.empty((n, 2, 2))
    back[:, 0, 0], back[:, 0, 1] = np.cos(angle) / rows, np.sin(angle) / rows
    back[:, 1, 0] = (-np.sin(angle) - slant * np.cos(angle)) / columns
    back[:, 1, 1] = (np.cos(angle) - slant * np.sin(angle)) / columns
    out = np.empty_like(given)
    step = max(1, _BLOCK // given[0].size)
    for k in range(0, n, step):
        part = slice(k, k + step)
        warped = _warp(given[part], back[part], shift * draw[part, 4:])
        out[part] = np.rint(warped) if given.dtype == np.uint8 else warped
    return out


def _warp(
    images: NDArray[Any], back: NDArray[np.float64], moved: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Images at the points that their pixels come from.

    Args:
        images: ``[n, rows, columns]``.
        back: from a place in the copy to one in the image, about the centre, ``[n, 2, 2]``.
        moved: rows and columns that the copy is moved by, ``[n, 2]``.
    """
    n, rows, columns = images.shape
    centre = np.array([(rows - 1) / 2, (columns - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    place = grid.reshape(2, -1) - centre[:, None]  # [2, pixels]
    a, b = (place[axis] - moved[:, axis, None] for axis in (0, 1))
    at = [back[:, axis, 0, None] * a + back[:, axis, 1, None] * b + centre[axis] for axis in (0, 1)]
    # An empty margin: what lies further outside is moved there.
    wide = np.zeros((n, rows + 2, columns + 2))
    wide[:, 1:-1, 1:-1] = images
    flat = wide.reshape(-1)
    first = np.arange(n)[:, None] * ((rows + 2) * (columns + 2))
    row, column = np.clip(at[0] + 1, 0, rows + 1), np.clip(at[1] + 1, 0, columns + 1)
    top = np.minimum(row.astype(np.int64), rows)
    left = np.minimum(column.astype(np.int64), columns)
    down, right = row - top, column - left
    corner = first + top * (columns + 2) + left
    below = corner + columns + 2
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[below] * (1 - right) + flat[below + 1] * right
    return (upper * (1 - down) + lower * down).reshape(images.shape)  # type: ignore[no-any-return]
