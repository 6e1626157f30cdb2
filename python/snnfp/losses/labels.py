"""What labels and times of a loss must be, and what errors about them say."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import plain, spot
from snnfp._numbers import real_number
from snnfp.network import Network, Population, population_of
from snnfp.spikes import Spikes

__all__ = [
    "check_classes",
    "check_horizon",
    "check_labels",
    "check_late",
    "check_targets",
    "check_times",
    "is_classes",
    "readout_of",
    "too_late",
]


def check_labels(labels: ArrayLike, n_samples: int, n_classes: int) -> NDArray[np.int64]:
    """Class labels ``[samples]`` as int64, or an error that names the sample and the value."""
    # What fit takes of labels that it has checked needs no second look but for their range.
    plainly = type(labels) is np.ndarray and np.asarray(labels).dtype == np.int64
    array = np.asarray(labels) if plainly else plain(labels, "labels")
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels have dtype {array.dtype}, expected integers{_numbered(array)}")
    if array.shape != (n_samples,):
        hint = ""
        if array.ndim == 2 and array.shape[0] == n_samples:
            one = array.shape[1] == 1
            hint = f": labels.{'reshape(-1)' if one else 'argmax(axis=1)'} makes them so"
        raise ValueError(
            f"labels have shape {array.shape}, expected ({n_samples},), one a sample{hint}"
        )
    classes = array.astype(np.int64, order="C", copy=not plainly)
    # As unsigned numbers, those below 0 are large.
    wrong = classes.view(np.uint64) >= n_classes
    if wrong.any():
        bad = np.flatnonzero(wrong)
        raise ValueError(
            f"labels[{bad[0]}] is {array[bad[0]]}, expected 0 <= label < {n_classes} "
            "(the size of the output population)"
        )
    return classes


def _numbered(array: NDArray[Any]) -> str:
    """How labels of another kind become integers."""
    if array.dtype.kind in "USO" and array.size:
        return ": classes, labels = np.unique(labels, return_inverse=True) numbers them"
    if array.dtype.kind == "b":
        return ": labels.astype(int) makes them 0 and 1"
    whole = array.dtype.kind == "f" and bool(np.all(np.mod(array, 1) == 0))
    return ": labels.astype(int) makes them so" if whole and array.size else ""


def is_classes(labels: NDArray[Any], n_classes: int) -> bool:
    """Whether labels are classes, one a sample: integers ``0 <= label < n_classes``."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return False
    return bool(np.all((labels >= 0) & (labels < n_classes)))


def readout_of(net: Network, name: str | None) -> Population:
    """The population of that name, or the last one."""
    if not net.populations:
        hint = ": readouts have losses of their own, such as ReadoutCrossEntropy"
        raise ValueError(
            f"{net!r} has no population, expected at least one{hint if net.readouts else ''}"
        )
    return population_of(net, name if name is not None else next(reversed(net.populations)))


def check_classes(net: Network, population: str | None, labels: Any, n_samples: int) -> None:
    """Raises unless labels are classes of that readout, one a sample."""
    if isinstance(labels, Spikes):
        raise TypeError("labels are snnfp.Spikes, expected classes, one integer a sample")
    check_labels(labels, n_samples, readout_of(net, population).size)


def check_times(loss: Any, *names: str) -> None:
    """Raises unless these fields of a loss are finite times > 0."""
    for name in names:
        value = real_number(getattr(loss, name), name)
        if not (value > 0 and np.isfinite(value)):
            raise ValueError(f"{name} is {value}, expected a finite time > 0")


def check_horizon(horizon: float, until: float) -> None:
    """Raises if spikes may come after the horizon, where silence would look better."""
    if until > horizon and np.isfinite(until):
        raise ValueError(
            f"the loss has horizon = {horizon}, before until = {until}: silence would count as "
            "earlier than a spike after the horizon, expected horizon >= until"
        )


def check_late(first: NDArray[Any], horizon: float) -> None:
    """Raises if a first spike ``[samples, n]`` comes after the horizon, rounded as times are."""
    late = np.argwhere((first > first.dtype.type(horizon)) & np.isfinite(first))
    if late.size:
        sample, k = late[0]
        too_late(sample, k, first[sample, k], horizon)


def too_late(sample: Any, neuron: Any, time: Any, horizon: float) -> NoReturn:
    """Raises for that spike."""
    raise ValueError(
        f"sample {sample}: output {neuron} fires at {time:g}, after horizon = {horizon} of the "
        "loss: silence would count as earlier, expected a horizon after all spikes, or until <= "
        "horizon"
    )


def check_targets(targets: Any, n_samples: int, size: int, horizon: float) -> None:
    """Raises unless targets are times up to the horizon, a batch of spikes or of first spikes."""
    if isinstance(targets, Spikes):
        if targets.size != size or len(targets) != n_samples:
            raise ValueError(
                f"targets are {len(targets)} samples of {targets.size} neurons, expected "
                f"{n_samples} of {size}"
            )
        late = np.flatnonzero(targets.times > horizon)
        if late.size:
            k = int(late[0])
            sample = int(np.searchsorted(targets.offsets, k, side="right")) - 1
            raise ValueError(
                f"targets of sample {sample}, spike {k - targets.offsets[sample]}: time "
                f"{targets.times[k]}, expected at most horizon = {horizon}, the time of a spike "
                "that is missing"
            )
        return
    array = plain(targets, "targets")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"targets have dtype {array.dtype}, expected times (real numbers)")
    if array.shape != (n_samples, size):
        raise ValueError(f"targets have shape {array.shape}, expected {(n_samples, size)}")
    bad = np.argwhere((array < 0) | (array > horizon))
    if bad.size:
        at = tuple(bad[0])
        raise ValueError(
            f"{spot('targets', at)} is {array[at]}, expected 0 <= time <= horizon = {horizon}, or "
            "NaN for any time"
        )
