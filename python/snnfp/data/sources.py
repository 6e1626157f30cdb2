"""Data sets that are made as they are asked for, for ``fit``, ``evaluate`` and ``predict``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp.conversions import vector

__all__ = ["Chosen", "Encoded", "Mapped", "SpikeSource", "chosen_samples"]


class SpikeSource(Protocol):
    """A data set whose spikes come when they are asked for: from files, from an encoder."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def take(self, samples: NDArray[np.int64], /) -> Any:
        """The spikes of these samples in this order: ``Spikes``, or a mapping of them by input.

        Asked for a sample again, it must give the same spikes.
        """
        ...


class Encoded:
    """Features that are encoded batch by batch, so that their spikes never lie in memory together.

    Args:
        features: an array, or anything with ``len`` that an array of indices chooses from.
        encode: makes spikes of some of them, a sample each.
    """

    def __init__(self, features: Any, encode: Callable[[Any], Any]) -> None:
        if not hasattr(features, "__len__") or not hasattr(features, "__getitem__"):
            raise TypeError(f"features is a {type(features).__name__}, expected an array")
        if not callable(encode) or isinstance(encode, type):
            raise TypeError(f"encode is {encode!r}, expected f(features) -> Spikes")
        self.features, self.encode = features, encode

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        return f"Encoded({len(self)} samples)"

    def take(self, samples: ArrayLike) -> Any:
        """The spikes of these samples."""
        return self.encode(self.features[chosen_samples(samples, len(self))])


class Mapped:
    """A data set whose batches a function changes: cuts, thins, pools.

    Args:
        source: anything with ``len`` and ``take(samples)``, ``Spikes`` too.
        function: makes spikes of spikes, sample by sample: of any batch it makes what it makes of
            its samples one by one. (What is drawn anew each time is an augmentation.)
    """

    def __init__(self, source: SpikeSource, function: Callable[[Any], Any]) -> None:
        if not hasattr(source, "__len__") or not callable(getattr(source, "take", None)):
            raise TypeError(
                f"source is a {type(source).__name__}, expected something with len and take"
            )
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"function is {function!r}, expected f(spikes) -> spikes")
        self.source, self.function = source, function

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"Mapped({self.source!r})"

    def take(self, samples: ArrayLike) -> Any:
        """The changed spikes of these samples."""
        return self.function(self.source.take(chosen_samples(samples, len(self))))


class Chosen:
    """Some samples of a data set, as a data set: a part to train on, a part held out.

    Args:
        source: anything with ``len`` and ``take(samples)``.
        samples: which, in this order.
    """

    def __init__(self, source: SpikeSource, samples: ArrayLike) -> None:
        self.source, self.samples = source, chosen_samples(samples, len(source))

    def __len__(self) -> int:
        return self.samples.size

    def __repr__(self) -> str:
        return f"Chosen({len(self)} samples of {self.source!r})"

    def take(self, samples: ArrayLike) -> Any:
        """The spikes of these samples."""
        return self.source.take(self.samples[chosen_samples(samples, len(self))])


def chosen_samples(samples: ArrayLike, n: int) -> NDArray[np.int64]:
    """Indices of samples as an array, or an error that names the one that is not there."""
    chosen = vector(samples, "samples", "i")
    bad = np.flatnonzero((chosen < 0) | (chosen >= n))
    if bad.size:
        raise ValueError(f"samples[{bad[0]}] is {chosen[bad[0]]}, expected 0 <= sample < {n}")
    if not chosen.size:
        raise ValueError("samples is empty, expected at least one")
    return chosen
