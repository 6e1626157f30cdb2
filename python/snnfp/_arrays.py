"""The door: where arrays come in, are checked and converted, and what an error says.

What is taken is taken for what it holds. A masked entry, an integer that float64 does not hold, a
number beyond float32, an object that is no number: an error that names the argument, the index and
the value.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["freeze", "integer_array", "plain", "real_array", "spot"]

_EXACT = 2**53  # float64 holds every integer up to here


def real_array(
    values: Any, name: str, dtype: np.dtype[Any], *, underflow: bool = False
) -> NDArray[Any]:
    """A C-contiguous copy of real numbers in ``dtype``.

    Float32 rounds, as whoever chose it expects; but no number becomes infinite or 0 in it.

    Args:
        values: anything that NumPy takes as an array of real numbers.
        name: what errors call it.
        dtype: float64 or float32.
        underflow: whether numbers too small for float32 may become 0, as derivatives may.

    Raises:
        TypeError: not real numbers, or wider than float64.
        ValueError: a masked entry, or a number that ``dtype`` does not hold.
    """
    array = plain(values, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} has dtype {array.dtype}, expected real numbers (float or int)"
            f"{_odd_one(array, name)}"
        )
    if array.dtype.itemsize > 8:
        raise TypeError(
            f"{name} has dtype {array.dtype}, expected at most float64: convert with "
            ".astype(np.float64) if its digits may be lost"
        )
    if array.dtype == dtype:
        out = np.array(array, order="C")
    else:
        with np.errstate(over="ignore"):
            out = np.array(array, dtype=dtype, order="C")
        _refuse_beyond(array, out, name, underflow)
    if array.dtype.kind != "f" or isinstance(values, (list, tuple)):
        _refuse_inexact(values, array, out, name)
    return out


def integer_array(
    values: Any, name: str, dtype: type[np.signedinteger[Any]] = np.int64, *, copy: bool = True
) -> NDArray[Any]:
    """Integers as a contiguous array of ``dtype``; a copy unless ``copy`` is false.

    Raises:
        TypeError: not integers (an empty list is taken).
        ValueError: a masked entry, or a number that ``dtype`` does not hold.
    """
    array = plain(values, name)
    if array.size == 0 and array.dtype == np.float64:
        array = array.astype(dtype)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} has dtype {array.dtype}, expected integers{_odd_one(array, name)}")
    info = np.iinfo(dtype)
    if array.size and not np.can_cast(array.dtype, dtype, "safe"):
        beyond = (array < info.min) | (array > info.max)
        if beyond.any():
            at = _first(beyond)
            raise ValueError(
                f"{spot(name, at)} is {array[at]}, expected an integer from {info.min} to "
                f"{info.max}"
            )
    return np.array(array, dtype=dtype, order="C", copy=True if copy else None)


def plain(values: Any, name: str) -> NDArray[Any]:
    """The values as NumPy sees them, of any dtype: no masked entry, no ragged rows."""
    # Without numpy.ma, which NumPy loads when asked for, nobody has a masked array.
    if "numpy.ma" in sys.modules:
        _refuse_masked(values, name, ())
    try:
        array = np.asarray(values)
    except ValueError as error:
        if not isinstance(values, (list, tuple)):
            what = f"is a {type(values).__name__}"
        elif "inhomogeneous" in str(error):
            what = "is a list whose parts have different lengths"
        else:
            what = f"is a list that is no array ({error})"
        raise ValueError(f"{name} {what}, expected an array of numbers") from None
    return array


def spot(name: str, index: tuple[Any, ...]) -> str:
    """How errors name an element: ``weight[1, 2]``."""
    return f"{name}[{', '.join(str(int(i)) for i in index)}]" if index else name


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Makes an array read-only: records keep it, so it must never change."""
    array.flags.writeable = False
    return array


def _first(where: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))


def _refuse_masked(values: Any, name: str, index: tuple[int, ...]) -> None:
    if isinstance(values, np.ma.MaskedArray):
        mask: Any = np.ma.getmaskarray(values)
        if mask.dtype.names:  # a structured array has one a field
            mask = np.any([mask[field] for field in mask.dtype.names], axis=0)
        if mask.any():
            raise ValueError(
                f"{spot(name, (*index, *_first(mask)))} is masked, expected a value "
                "(fill it in with .filled(value), or leave it out)"
            )
    elif isinstance(values, (list, tuple)) and len(index) < 32:
        for i, part in enumerate(values):
            if isinstance(part, (list, tuple, np.ndarray)):
                _refuse_masked(part, name, (*index, i))


def _odd_one(array: NDArray[Any], name: str) -> str:
    """The first of an array of objects that is no number."""
    if array.dtype != object:
        return ""
    for at, value in np.ndenumerate(array):
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
            return f": {spot(name, at)} is {value}, an integer of more than 64 bits"
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            return f": {spot(name, at)} is {value!r} ({type(value).__name__})"
    return ": convert with .astype(float)"


def _refuse_beyond(array: NDArray[Any], out: NDArray[Any], name: str, underflow: bool) -> None:
    if array.dtype.kind != "f" or array.dtype.itemsize <= out.dtype.itemsize:
        return
    lost = np.isinf(out) & np.isfinite(array)
    if not underflow:
        lost |= (out == 0) & (array != 0)
    if lost.any():
        at = _first(lost)
        limits = np.finfo(out.dtype)
        raise ValueError(
            f"{spot(name, at)} is {array[at]}, which does not fit {out.dtype} "
            f"({limits.smallest_subnormal:.2g} ... {limits.max:.2g})"
        )


def _refuse_inexact(values: Any, array: NDArray[Any], out: NDArray[Any], name: str) -> None:
    """Of integers that float64 should hold, those that it does not."""
    if out.dtype.itemsize < 8 or array.dtype.itemsize < 8 or not array.size:
        return
    if array.max() < _EXACT and array.min() > -_EXACT:
        return
    if array.dtype.kind == "f":
        # NumPy has made floats of a list of both; the integers are still in the list.
        given = np.asarray(values, dtype=object)
        whole = ((isinstance(v, (int, np.integer)), v) for v in given.flat)
        lost = np.array([is_int and int(v) != float(v) for is_int, v in whole], dtype=bool)
        lost = lost.reshape(given.shape)
    else:
        given = array
        # The end of the range rounds up to what the dtype does not hold.
        over = out >= float(np.iinfo(array.dtype).max)
        lost = over | (np.where(over, 0.0, out).astype(array.dtype) != array)
    if lost.any():
        at = _first(lost)
        raise ValueError(
            f"{spot(name, at)} is {given[at]}, expected a number that float64 holds exactly "
            f"(the nearest is {int(out[at])})"
        )
