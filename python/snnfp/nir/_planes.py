"""Convolution and pooling of NIR as projections on planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from snnfp.convolution import AvgPool2D, Conv2D

if TYPE_CHECKING:
    from snnfp.nir._graph import Node

__all__ = ["Planes"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planes:
    """A convolution or pooling.

    Attributes:
        spec: what it is here; groups and dilation as zeros of its kernel.
        real: where the kernel has weights, if not everywhere.
    """

    spec: Conv2D | AvgPool2D
    real: NDArray[np.bool_] | None = None

    @classmethod
    def of_node(cls, node: Node, shape: tuple[int, ...] | None) -> Planes:
        """Of a Conv2d, SumPool2d or AvgPool2d that gets this shape.

        Raises:
            ValueError: names the node and what does not go together.
        """
        try:
            if node.kind == "Conv2d":
                return cls._convolution(node.nir, shape)
            kernel = _pair(node.nir.kernel_size, "kernel_size")
            weight = 1.0 if node.kind == "SumPool2d" else 1.0 / (kernel[0] * kernel[1])
            return cls(
                AvgPool2D(
                    shape_in=_three(shape),
                    kernel=kernel,
                    stride=_pair(node.nir.stride, "stride"),
                    padding=_pair(node.nir.padding, "padding"),
                    weight=weight,
                )
            )
        except ValueError as error:
            raise ValueError(f"{node}: {error}") from None

    @classmethod
    def _convolution(cls, nir: Any, shape: tuple[int, ...] | None) -> Planes:
        given = np.asarray(nir.weight, dtype=np.float64)
        if given.ndim != 4:
            raise ValueError(
                f"weight has shape {given.shape}, expected (channels, channels of the source, "
                "height, width)"
            )
        groups, dilation = int(nir.groups), _pair(nir.dilation, "dilation")
        channels, per_group, *taps = given.shape
        if groups < 1 or channels % groups:
            raise ValueError(f"groups is {groups}, expected a divisor of {channels} channels")
        if shape is None or len(shape) != 3:
            if nir.input_shape is None:
                raise ValueError(
                    f"what comes in has shape {shape}, expected (channels, height, width), or "
                    "input_shape"
                )
            height, width = _pair(nir.input_shape, "input_shape")
            shape = (per_group * groups, height, width)
        kernel = (dilation[0] * (taps[0] - 1) + 1, dilation[1] * (taps[1] - 1) + 1)
        weight = np.zeros((channels, per_group * groups, *kernel))
        real = np.zeros(weight.shape, dtype=bool)
        own = channels // groups
        for g in range(groups):
            part = np.s_[
                g * own : (g + 1) * own,
                g * per_group : (g + 1) * per_group,
                :: dilation[0],
                :: dilation[1],
            ]
            weight[part] = given[g * own : (g + 1) * own]
            real[part] = True
        spec = Conv2D(
            shape_in=_three(shape),
            weight=weight,
            stride=_pair(nir.stride, "stride"),
            padding=_padding(nir.padding, kernel, _pair(nir.stride, "stride")),
        )
        return cls(spec, None if real.all() else real)

    @property
    def shape_in(self) -> tuple[int, int, int]:
        """(channels, height, width) of the source."""
        return self.spec.shape_in

    @property
    def shape_out(self) -> tuple[int, int, int]:
        """(channels, height, width) of the target."""
        return self.spec.shape_out

    def times(self, factor: float) -> Planes:
        """With all weights multiplied."""
        weight = np.asarray(self.spec.weight, dtype=np.float64) * factor
        return replace(self, spec=replace(self.spec, weight=weight))

    def pairs(self) -> tuple[NDArray[Any], NDArray[Any], Array]:
        """(sources, targets, weights) of the synapses, by source."""
        layout = self.spec.layout("the synapses", self.spec.size_in, self.spec.size_out)
        assert layout.sparse is not None and layout.weight_of is not None
        weights = np.asarray(self.spec.weight, dtype=np.float64).reshape(-1)[layout.weight_of]
        sources, targets = layout.sparse.sources, layout.sparse.targets
        if self.real is None:
            return sources, targets, weights
        there = self.real.reshape(-1)[layout.weight_of]
        return sources[there], targets[there], weights[there]


def _pair(value: Any, name: str) -> tuple[int, int]:
    sizes = [int(n) for n in np.atleast_1d(np.asarray(value))]
    if len(sizes) not in (1, 2):
        raise ValueError(f"{name} is {value!r}, expected one number or two")
    return sizes[0], sizes[-1]


def _padding(given: Any, kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(given, (str, bytes)):
        return _pair(given, "padding")
    name = given.decode() if isinstance(given, bytes) else given
    if name == "valid":
        return 0, 0
    if name != "same" or stride != (1, 1) or kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
        raise ValueError(
            f"padding is {name!r}, kernel (with its dilation) {kernel} and stride {stride}, "
            "expected 'valid', numbers, or 'same' with odd kernels and stride 1"
        )
    return kernel[0] // 2, kernel[1] // 2


def _three(shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    if shape is None or len(shape) != 3:
        raise ValueError(f"what comes in has shape {shape}, expected (channels, height, width)")
    return shape[0], shape[1], shape[2]
