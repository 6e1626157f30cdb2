"""Augmentation: what :func:`snnfp.fit` changes in each batch, drawn anew for every epoch.

An augmentation is any ``f(spikes, labels, rng) -> (spikes, labels)`` that leaves the number of
samples and of channels as they are. The random numbers are those of (seed, epoch, batch), so a
training that is resumed goes on to the bit. Those here take several inputs as well (a mapping of
``Spikes``) and draw once a sample, for all its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import count, real_number
from snnfp._spike_operations import grid_shape
from snnfp.network import Network
from snnfp.spikes import Spikes

__all__ = [
    "Augmentation",
    "Compose",
    "Drop",
    "Jitter",
    "MergePairs",
    "ShiftPixels",
    "Stretch",
    "TimeShift",
]

Batch = Spikes | Mapping[str, Spikes]


class Augmentation(Protocol):
    """Changes a batch."""

    def __call__(self, spikes: Any, labels: Any, rng: np.random.Generator, /) -> tuple[Any, Any]:
        """The batch to train on.

        Args:
            spikes: of the batch; a mapping ``{input: Spikes}`` where there are several.
            labels: of the batch.
            rng: where random numbers come from, and from nowhere else.

        Returns:
            Spikes and labels of as many samples.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class _OfInputs:
    """An augmentation that changes spikes alone.

    Attributes:
        inputs: names of the inputs that are changed; None: all.
    """

    inputs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        given: Any = self.inputs
        if given is None:
            return
        if isinstance(given, str) or not isinstance(given, (tuple, list)):
            raise TypeError(f"inputs is {given!r}, expected a tuple of names, or None for all")
        for name in given:
            if not isinstance(name, str):
                raise TypeError(f"inputs has {name!r}, expected names of inputs")
        if not given or len(set(given)) < len(given):
            what = "a name is there twice" if given else "none would be changed"
            raise ValueError(
                f"inputs is {given!r}: {what}, expected names of inputs, or None for all"
            )
        object.__setattr__(self, "inputs", tuple(given))

    def check(self, net: Network) -> None:
        """Raises KeyError if an input is not one of the network."""
        self._look_for(net.inputs)

    def __call__(
        self, spikes: Batch, labels: Any, rng: np.random.Generator, /
    ) -> tuple[Batch, Any]:
        """The changed spikes, and the labels as they are.

        Raises:
            KeyError: an input that is not there.
            TypeError: no ``Spikes``, and no mapping of them.
            ValueError: no input, or inputs that differ in the number of samples.
        """
        if isinstance(spikes, Spikes):
            if self.inputs is not None and len(self.inputs) > 1:
                raise TypeError(f"{self!r}: spikes have no names, expected a mapping of Spikes")
            return self._change((spikes,), rng)[0], labels
        _check_batch(self, spikes)
        self._look_for(spikes)
        names = tuple(spikes) if self.inputs is None else self.inputs
        changed = self._change(tuple(spikes[n] for n in names), rng)
        return {**spikes, **dict(zip(names, changed, strict=True))}, labels

    def _look_for(self, there: Mapping[str, Any]) -> None:
        for name in self.inputs or ():
            if name not in there:
                raise KeyError(f"{self!r}: {name!r} is not an input, expected {', '.join(there)}")

    def _change(self, groups: tuple[Spikes, ...], rng: np.random.Generator) -> tuple[Spikes, ...]:
        """Each group changed, as others of its sample are."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ShiftPixels(_OfInputs):
    """Each sample moved by whole pixels, up to ``most`` along rows and columns.

    What is moved over the edge is left out. Bands of sound are a grid too: with
    ``shape=(8, 1, 32), most=(0, 1)`` all of (2, 4 levels, 32 bands) move a band up or down.

    Attributes:
        shape: of the channels as a grid, rows and columns last: (28, 28), or (2, 34, 34) with a
            plane for each polarity. Channels after these (that of ``bias_time``) stay.
        most: pixels; -most ... most are drawn alike, for rows and for columns; two numbers: that of
            rows, that of columns.
    """

    shape: tuple[int, ...]
    most: int | tuple[int, int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(grid_shape(self.shape, "shape")) < 2:
            raise ValueError(f"shape is {self.shape}, expected at least (rows, columns)")
        if isinstance(self.most, (tuple, list)):
            if len(self.most) != 2 or not any(self.most):
                raise ValueError(
                    f"most is {self.most}, expected one number, or (rows, columns), one of which "
                    "may be 0"
                )
            for k, axis in enumerate(("rows", "columns")):
                count(self.most[k], f"most of {axis}", least=0)
        else:
            count(self.most, "most")

    def _change(self, groups: tuple[Spikes, ...], rng: np.random.Generator) -> tuple[Spikes, ...]:
        most = np.broadcast_to(np.asarray(self.most), 2)
        moves = rng.integers(-most, most + 1, size=(len(groups[0]), 2))
        return tuple(self._move(g, moves) for g in groups)

    def _move(self, spikes: Spikes, moves: NDArray[np.int64]) -> Spikes:
        pixels = math.prod(self.shape)
        if pixels > spikes.size:
            raise ValueError(
                f"{self!r}: shape is {pixels} channels, expected at most the {spikes.size} there "
                "are"
            )
        rows, columns = self.shape[-2:]
        by = moves[spikes.samples]
        plane, place = np.divmod(spikes.units.astype(np.int64), rows * columns)
        row, column = np.divmod(place, columns)
        row, column = row + by[:, 0], column + by[:, 1]
        fixed = spikes.units >= pixels
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        moved = (plane * rows + row) * columns + column
        units = np.where(fixed, spikes.units, moved).astype(np.int32)
        return spikes._on(units, inside | fixed, spikes.size)


@dataclass(frozen=True, kw_only=True)
class TimeShift(_OfInputs):
    """Each sample earlier or later by up to ``most``.

    Never so much earlier that its first spike would come before 0: then it comes at 0.

    Attributes:
        most: -most ... most is drawn, in the unit of the times.
    """

    most: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_time("most", self.most)

    def _change(self, groups: tuple[Spikes, ...], rng: np.random.Generator) -> tuple[Spikes, ...]:
        n = len(groups[0])
        dt = rng.uniform(-self.most, self.most, n)
        for spikes in groups:  # times rise within a sample, so the first is that of its offset
            fires = np.diff(spikes.offsets) > 0
            dt[fires] = np.maximum(dt[fires], -spikes.times[spikes.offsets[:-1][fires]])
        return tuple(g.shift(dt) for g in groups)


@dataclass(frozen=True, kw_only=True)
class Stretch(_OfInputs):
    """Each sample faster or slower: its times multiplied by 1 - most ... 1 + most.

    Attributes:
        most: below 1.
    """

    most: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < real_number(self.most, "most") < 1:
            raise ValueError(f"most is {self.most}, expected 0 < most < 1")

    def _change(self, groups: tuple[Spikes, ...], rng: np.random.Generator) -> tuple[Spikes, ...]:
        factor = rng.uniform(1.0 - self.most, 1.0 + self.most, len(groups[0]))
        return tuple(g.stretch(factor) for g in groups)


@dataclass(frozen=True, kw_only=True)
class Jitter(_OfInputs):
    """Normal noise on each time; see :meth:`snnfp.Spikes.jitter`.

    Attributes:
        sigma: its standard deviation, in the unit of the times.
    """

    sigma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_time("sigma", self.sigma)

    def _change(self, groups: tuple[Spikes, ...], rng: np.random.Generator) -> tuple[Spikes, ...]:
        return tuple(g.jitter(self.sigma, rng) for g in groups)


@dataclass(frozen=True, kw_only=True)
class Drop(_OfInputs):
    """Each spike left out with the same probability.

    Attributes:
        probability: below 1.
    """

    probability: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < real_number(self.probability, "probability") < 1:
            raise ValueError(f"probability is {self.probability}, expected 0 < probability < 1")

    def _change(self, groups: tuple[Spikes, ...], rng: np.random.Generator) -> tuple[Spikes, ...]:
        return tuple(g.drop(self.probability, rng) for g in groups)


@dataclass(frozen=True, kw_only=True)
class MergePairs:
    """Some samples mixed with another one of their class in the batch.

    Of its own spikes such a sample keeps each with probability 1 - share, and of the other's it
    takes each with probability share, so that it has about as many as before. A sample that is
    alone in its class stays as it is.

    Attributes:
        probability: that a sample is mixed.
        share: of the other one.
    """

    probability: float = 0.5
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < real_number(self.probability, "probability") <= 1:
            raise ValueError(f"probability is {self.probability}, expected 0 < probability <= 1")
        if not 0 < real_number(self.share, "share") < 1:
            raise ValueError(f"share is {self.share}, expected 0 < share < 1")

    def __call__(
        self, spikes: Batch, labels: Any, rng: np.random.Generator, /
    ) -> tuple[Batch, Any]:
        """The mixed spikes, and the labels as they are.

        Raises:
            TypeError: labels that are not classes ``[samples]``.
        """
        classes = np.asarray(labels) if not isinstance(labels, Spikes) else np.empty(0)
        if classes.ndim != 1 or classes.dtype.kind not in "iu":
            raise TypeError(f"{self!r} needs labels that are classes, one a sample")
        other = _partners(classes, rng)
        mixed = (rng.random(classes.size) < self.probability) & (other != np.arange(classes.size))
        if isinstance(spikes, Spikes):
            _check_number(self, len(spikes), classes.size)
            return self._mix(spikes, other, mixed, rng), labels
        _check_batch(self, spikes)
        for batch in spikes.values():
            _check_number(self, len(batch), classes.size)
        return {k: self._mix(v, other, mixed, rng) for k, v in spikes.items()}, labels

    def _mix(
        self,
        spikes: Spikes,
        other: NDArray[np.int64],
        mixed: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Spikes:
        mine, theirs = spikes, spikes.take(other)
        leave = mixed[mine.samples] & (rng.random(mine.times.size) < self.share)
        take = mixed[theirs.samples] & (rng.random(theirs.times.size) < self.share)
        return mine._keep(~leave).merge(theirs._keep(take))


@dataclass(frozen=True)
class Compose:
    """Several augmentations, one after the other; ``fit(augment=[...])`` makes one of a list.

    Attributes:
        parts: the augmentations.
    """

    parts: tuple[Augmentation, ...]

    def __post_init__(self) -> None:
        if callable(self.parts) or not isinstance(self.parts, (tuple, list)):
            raise TypeError(f"parts is {self.parts!r}, expected a tuple of augmentations")
        for k, part in enumerate(self.parts):
            if not callable(part) or isinstance(part, type):
                raise TypeError(
                    f"augmentation {k} is {part!r}, expected one of snnfp.augment or "
                    "f(spikes, labels, rng) -> (spikes, labels)"
                )
        object.__setattr__(self, "parts", tuple(self.parts))

    def __call__(self, spikes: Any, labels: Any, rng: np.random.Generator, /) -> tuple[Any, Any]:
        """What all of them make of the batch.

        Raises:
            TypeError: one of them returned something else; says which.
        """
        for k, part in enumerate(self.parts):
            made: Any = part(spikes, labels, rng)
            if not isinstance(made, tuple) or len(made) != 2:
                raise TypeError(
                    f"augmentation {k} ({part!r}) returned a {type(made).__name__}, expected "
                    "(spikes, labels)"
                )
            spikes, labels = made
        return spikes, labels


def composed(augment: Any) -> Augmentation | None:
    """What is given to ``fit`` as one augmentation; None: nothing is changed.

    Raises:
        TypeError: no augmentation, and no list of them.
    """
    if augment is None or (isinstance(augment, (tuple, list)) and not augment):
        return None
    if isinstance(augment, (tuple, list)):
        return Compose(tuple(augment))
    if not callable(augment) or isinstance(augment, type):
        raise TypeError(
            f"augment is {augment!r}, expected one of snnfp.augment, "
            "f(spikes, labels, rng) -> (spikes, labels), or a list of such"
        )
    return augment  # type: ignore[no-any-return]


def _check_batch(augmentation: Any, spikes: Any) -> None:
    """Raises unless these are spikes of several inputs, of as many samples each."""
    if not isinstance(spikes, Mapping):
        raise TypeError(
            f"{augmentation!r}: spikes is a {type(spikes).__name__}, expected snnfp.Spikes or a "
            "mapping {input: Spikes}"
        )
    if not spikes:
        raise ValueError(f"{augmentation!r}: there is no input whose spikes could be changed")
    first = next(iter(spikes))
    for name, batch in spikes.items():
        if not isinstance(batch, Spikes):
            raise TypeError(
                f"{augmentation!r}: the spikes of {name} are a {type(batch).__name__}, expected "
                "snnfp.Spikes"
            )
        if len(batch) != len(spikes[first]):
            raise ValueError(
                f"{augmentation!r}: the spikes of {name} have {len(batch)} samples, expected "
                f"{len(spikes[first])} as those of {first}"
            )


def _check_number(augmentation: Any, samples: int, labels: int) -> None:
    if samples != labels:
        raise ValueError(
            f"{augmentation!r}: {labels} labels for {samples} samples, expected one a sample"
        )


def _check_time(name: str, value: Any) -> None:
    if not 0 < real_number(value, name) < math.inf:
        raise ValueError(f"{name} is {value}, expected a finite time > 0")


def _partners(classes: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """Another sample of each one's class, drawn; itself where there is none."""
    n = classes.size
    order = np.lexsort((rng.random(n), classes))  # the samples of a class together, shuffled
    ranked = classes[order]
    first = np.searchsorted(ranked, ranked, side="left")
    size = np.searchsorted(ranked, ranked, side="right") - first
    step = rng.integers(1, np.maximum(size, 2))  # 1 ... size - 1 places further in the ring
    place = first + (np.arange(n) - first + step) % size
    other = np.empty(n, dtype=np.int64)
    other[order] = order[place]
    return other
