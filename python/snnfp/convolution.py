"""Convolution and average pooling on planes of neurons: projections whose synapses share weights.

Groups of units stay flat: unit ``(channel * height + y) * width + x`` of a group of shape
(channels, height, width), as of an array in C order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain
from snnfp._layout import Geometry, Layout, SparseLayout
from snnfp._memory import need_memory
from snnfp._numbers import MOST_UNITS, count
from snnfp.init import Initialiser

__all__ = ["AvgPool2D", "Conv2D"]

Shape = tuple[int, int, int]  # channels, height, width


class _OnPlanes:
    """What projections between planes of neurons have in common."""

    shape_in: Shape

    @property
    def shape_out(self) -> Shape:
        """(channels, height, width) of the target."""
        raise NotImplementedError

    @property
    def size_in(self) -> int:
        """Units of the source."""
        return math.prod(self.shape_in)

    @property
    def size_out(self) -> int:
        """Neurons of the target."""
        return math.prod(self.shape_out)


@dataclass(frozen=True, kw_only=True)
class Conv2D(_OnPlanes):
    """A convolution (cross-correlation, as deep learning calls it) with a shared kernel.

    Neuron (o, y, x) of the target hears unit (i, y * stride + ky - padding, x * stride + kx -
    padding) of the source with ``weight[o, i, ky, kx]``. The parameter and its derivative, a sum
    over all places, have the kernel's shape. A spike costs as much as in a :class:`Sparse`
    projection with these synapses, of which 16 bytes each are kept in double precision (24 with
    delays one a weight).

    Args:
        shape_in: (channels, height, width) of the source.
        weight: an array ``[channels, channels of the source, height, width of the kernel]``, one
            number or an initialiser.
        channels: of the target; needed unless ``weight`` is an array.
        kernel: size of the kernel, one number or (height, width); needed likewise.
        stride: places that the kernel moves on, one number or (vertical, horizontal).
        padding: places beyond each edge that the kernel reaches, from which nothing comes.
        delay: one time, one a weight (an array of the kernel's shape, or an initialiser), one a
            synapse, a source unit or a target neuron, as for :class:`Sparse`.

    Raises:
        ValueError: sizes that do not go together.
    """

    kind: ClassVar[str] = "conv2d"
    shape_in: Shape
    weight: ArrayLike | Initialiser
    channels: int | None = None
    kernel: int | tuple[int, int] | None = None
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    delay: ArrayLike | Initialiser = 0.0

    def __post_init__(self) -> None:
        shape = _shape_in(self.shape_in)
        channels, kernel = self.channels, self.kernel
        given = None
        if not isinstance(self.weight, (type, Initialiser)):
            given = plain(self.weight, "weight").shape
        if given:
            if len(given) != 4 or given[1] != shape[0] or not all(given):
                raise ValueError(
                    f"weight has shape {given}, expected (channels, {shape[0]}, height, width), "
                    f"since shape_in is {shape}"
                )
            channels = given[0] if channels is None else channels
            kernel = (given[2], given[3]) if kernel is None else kernel
        if channels is None or kernel is None:
            missing = "channels" if channels is None else "kernel"
            raise ValueError(f"{missing} is None, expected a size, since weight is not an array")
        sizes = {
            "shape_in": shape,
            "channels": count(channels, "channels", most=MOST_UNITS),
            "kernel": _two(kernel, "kernel"),
            "stride": _two(self.stride, "stride"),
            "padding": _padding(self.padding, _two(kernel, "kernel")),
        }
        for name, value in sizes.items():
            object.__setattr__(self, name, value)
        if given and given != self.kernel_shape:
            raise ValueError(f"weight has shape {given}, expected {self.kernel_shape}")
        _ = self.shape_out

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """Of the weights: (channels, channels of the source, height, width of the kernel)."""
        assert self.channels is not None
        return (self.channels, self.shape_in[0], *_pair(self.kernel))

    @property
    def shape_out(self) -> Shape:
        """(channels, height, width) of the target."""
        return (self.kernel_shape[0], *_places(self))

    def layout(self, name: str, n_source: int, n_target: int) -> Layout:
        """Its synapses between groups of these sizes."""
        _check_sizes(self, name, n_source, n_target)
        plane = _Plane.of(self, name, self.kernel_shape[0] * self.shape_in[0])
        c_out, c_in, height, width = self.kernel_shape
        # The rows of one channel of the source: what its units send to each channel in turn.
        per_row = np.diff(plane.offsets)
        rows = np.concatenate(([0], np.cumsum(c_out * per_row)))
        row = np.repeat(np.arange(per_row.size), c_out * per_row)
        within = np.arange(rows[-1]) - rows[row]
        to, at = np.divmod(within, per_row[row])
        at += plane.offsets[row]
        targets = (to * plane.n_out + plane.targets[at]).astype(np.int32)
        taps = to * (c_in * height * width) + plane.taps[at]
        own = np.arange(c_in)[:, None]  # of each channel of the source
        weight_of = (taps + own * (height * width)).astype(np.int32).reshape(-1)
        offsets = np.concatenate(((rows[:-1] + own * rows[-1]).reshape(-1), [c_in * rows[-1]]))
        sparse = SparseLayout(np.tile(targets, c_in), offsets.astype(np.int64), None)
        shape = weight_of.shape
        return Layout(shape, self.kernel_shape, sparse, weight_of, planes=_geometry(self))


@dataclass(frozen=True, kw_only=True)
class AvgPool2D(_OnPlanes):
    """Pooling: each neuron hears a window of its own channel, all with one and the same weight.

    Spikes add up, so a weight of ``w / (height * width)`` of the window averages what reaches it
    with ``w``. The parameter is one number, and so is its derivative.

    Args:
        shape_in: (channels, height, width) of the source.
        kernel: size of the window, one number or (height, width).
        weight: of every synapse: one number, or an initialiser.
        stride: places from window to window, one number or (vertical, horizontal); None: those of
            ``kernel``, so that windows lie side by side.
        padding: places beyond each edge that windows reach, from which nothing comes.
        delay: one time, one a synapse, a source unit or a target neuron, as for :class:`Sparse`.

    Raises:
        ValueError: sizes that do not go together.
    """

    kind: ClassVar[str] = "avg_pool2d"
    shape_in: Shape
    kernel: int | tuple[int, int]
    weight: ArrayLike | Initialiser
    stride: int | tuple[int, int] | None = None
    padding: int | tuple[int, int] = 0
    delay: ArrayLike | Initialiser = 0.0

    def __post_init__(self) -> None:
        kernel = _two(self.kernel, "kernel")
        sizes = {
            "shape_in": _shape_in(self.shape_in),
            "kernel": kernel,
            "stride": kernel if self.stride is None else _two(self.stride, "stride"),
            "padding": _padding(self.padding, kernel),
        }
        for name, value in sizes.items():
            object.__setattr__(self, name, value)
        _ = self.shape_out

    @property
    def shape_out(self) -> Shape:
        """(channels, height, width) of the target."""
        return (self.shape_in[0], *_places(self))

    def layout(self, name: str, n_source: int, n_target: int) -> Layout:
        """Its synapses between groups of these sizes."""
        _check_sizes(self, name, n_source, n_target)
        channels = self.shape_in[0]
        plane = _Plane.of(self, name, channels)
        own = np.arange(channels)[:, None]
        n = plane.targets.size
        targets = (plane.targets + own * plane.n_out).astype(np.int32).reshape(-1)
        offsets = np.concatenate(((plane.offsets[:-1] + own * n).reshape(-1), [channels * n]))
        sparse = SparseLayout(targets, offsets.astype(np.int64), None)
        shared = np.zeros(targets.size, np.int32)
        return Layout(targets.shape, (), sparse, shared, planes=_geometry(self))


@dataclass(frozen=True)
class _Plane:
    """The synapses from one channel to another, sorted by source unit, then target."""

    n_out: int
    offsets: NDArray[np.int64]  # [units of the source's channel + 1]
    targets: NDArray[np.int64]
    taps: NDArray[np.int64]  # flat place in the kernel

    @classmethod
    def of(cls, spec: Conv2D | AvgPool2D, name: str, times: int) -> _Plane:
        """Raises MemoryError unless so many times their number fit."""
        out, kernel = _places(spec), _pair(spec.kernel)
        axes = [
            _along(
                spec.shape_in[1 + k],
                out[k],
                kernel[k],
                _pair(spec.stride)[k],
                _pair(spec.padding)[k],
            )
            for k in (0, 1)
        ]
        n = axes[0][0].size * axes[1][0].size
        need_memory(40 * n * times, f"the {n * times} synapses of {name}")
        (y_in, y_out, y_tap), (x_in, x_out, x_tap) = axes
        source = np.add.outer(y_in * spec.shape_in[2], x_in).reshape(-1)
        target = np.add.outer(y_out * out[1], x_out).reshape(-1)
        tap = np.add.outer(y_tap * kernel[1], x_tap).reshape(-1)
        order = np.lexsort((target, source))
        per_unit = np.bincount(source, minlength=spec.shape_in[1] * spec.shape_in[2])
        offsets = np.concatenate(([0], np.cumsum(per_unit)))
        return cls(out[0] * out[1], offsets, target[order], tap[order])


def _along(
    n_in: int, n_out: int, kernel: int, stride: int, padding: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(place in the source, in the target, in the kernel) of all pairs along one axis."""
    out, tap = np.divmod(np.arange(n_out * kernel), kernel)
    place = out * stride + tap - padding
    inside = (place >= 0) & (place < n_in)
    return place[inside], out[inside], tap[inside]


def _places(spec: Conv2D | AvgPool2D) -> tuple[int, int]:
    """Height and width of the target."""
    sizes = zip(
        ("height", "width"),
        spec.shape_in[1:],
        _pair(spec.kernel),
        _pair(spec.stride),
        _pair(spec.padding),
        strict=True,
    )
    out = []
    for what, n, kernel, stride, padding in sizes:
        if n + 2 * padding < kernel:
            raise ValueError(
                f"the {what} of the kernel is {kernel}, expected at most {n + 2 * padding}: "
                f"shape_in is {spec.shape_in} and padding {spec.padding}"
            )
        out.append((n + 2 * padding - kernel) // stride + 1)
    return out[0], out[1]


def _geometry(spec: Conv2D | AvgPool2D) -> Geometry:
    sizes = (_pair(spec.kernel), _pair(spec.stride), _pair(spec.padding))
    return Geometry(spec.shape_in, spec.shape_out, *sizes)


def _check_sizes(spec: Conv2D | AvgPool2D, name: str, n_source: int, n_target: int) -> None:
    for what, shape, size in (
        ("shape_in", spec.shape_in, n_source),
        ("shape_out", spec.shape_out, n_target),
    ):
        if math.prod(shape) != size:
            group = "source" if what == "shape_in" else "target"
            raise ValueError(
                f"{name}: {what} is {shape}, {math.prod(shape)} units, expected as many as the "
                f"{group} has, {size}"
            )


def _shape_in(given: Any) -> Shape:
    if not isinstance(given, (tuple, list)) or len(given) != 3:
        raise ValueError(f"shape_in is {given!r}, expected (channels, height, width)")
    sizes = [count(n, f"shape_in[{k}]", most=MOST_UNITS) for k, n in enumerate(given)]
    return sizes[0], sizes[1], sizes[2]


def _two(given: Any, name: str) -> tuple[int, int]:
    """One size for both directions, or one each."""
    if isinstance(given, (tuple, list)):
        if len(given) != 2:
            raise ValueError(f"{name} is {given!r}, expected one number or two")
        sizes = [count(n, f"{name}[{k}]", most=MOST_UNITS) for k, n in enumerate(given)]
        return sizes[0], sizes[1]
    size = count(given, name, most=MOST_UNITS, instead="a pair of them")
    return size, size


def _padding(given: Any, kernel: tuple[int, int]) -> tuple[int, int]:
    sizes = tuple(given) if isinstance(given, (tuple, list)) else (given, given)
    if len(sizes) != 2:
        raise ValueError(f"padding is {given!r}, expected one number or two")
    for n, most in zip(sizes, kernel, strict=True):
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"padding is {given!r}, expected an integer or two")
        if not 0 <= n < most:
            raise ValueError(
                f"padding is {given!r}, expected at least 0 and less than the kernel, {kernel}"
            )
    return int(sizes[0]), int(sizes[1])


def _pair(sizes: Any) -> tuple[int, int]:
    """What has been made two sizes."""
    first, second = sizes
    return first, second
