"""What is read off a readout: which value, when, with which weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import real_array
from snnfp._numbers import real_number
from snnfp.groups import Readout

if TYPE_CHECKING:
    from snnfp.network import Network

__all__ = ["VALUES", "Reading", "no_end", "readout_named"]

VALUES = ("weighted_integral", "integral", "end", "max", "at")


@dataclass(frozen=True)
class Reading:
    """A value of a readout, for :meth:`snnfp.Record.readout` and as a key of cotangents.

    Args:
        readout: its name.
        value: ``"weighted_integral"`` of ``e^(-t / time_scale) V`` over the sample, ``"integral"``
            of V, V at the ``"end"`` of the sample, its ``"max"``, the highest V within the sample
            (the exact extremum), or V ``"at"`` ``times``.
        times: of ``"at"``: times within the sample, in any order.
        time_scale: of ``"weighted_integral"``: a time > 0.

    Raises:
        ValueError: a value that there is not, or one without what it needs.
    """

    readout: str
    value: str = "weighted_integral"
    times: tuple[float, ...] | None = None
    time_scale: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.readout, Readout):
            object.__setattr__(self, "readout", self.readout.name)
        if not isinstance(self.readout, str):
            raise TypeError(f"readout is {self.readout!r}, expected the name of a readout")
        if self.value not in VALUES:
            raise ValueError(f"value is {self.value!r}, expected one of {', '.join(VALUES)}")
        for name, of in (("times", "at"), ("time_scale", "weighted_integral")):
            if (getattr(self, name) is not None) != (self.value == of):
                need = "needs" if self.value == of else "has no"
                raise ValueError(f"the value {self.value!r} {need} {name}")
        if self.times is not None:
            object.__setattr__(self, "times", _times(self.times))
        if self.time_scale is not None:
            scale = float(real_number(self.time_scale, "time_scale"))
            if not (scale > 0 and math.isfinite(scale)):
                raise ValueError(f"time_scale is {self.time_scale}, expected a finite time > 0")
            object.__setattr__(self, "time_scale", scale)

    def shape(self, n_samples: int, size: int) -> tuple[int, ...]:
        """Of what is read: ``[samples, n]``, of ``"at"`` ``[samples, times, n]``."""
        if self.times is None:
            return (n_samples, size)
        return (n_samples, len(self.times), size)

    def grows_until(self, net: Network) -> NDArray[np.float64]:
        """The age up to which what a spike gives to the value grows, ``[n]``; inf: for ever.

        Integrals grow with the age of a spike at any time constants. V does up to the peak of its
        response, ``ln(tau_mem / tau_syn) / (1 / tau_syn - 1 / tau_mem)``. Where a value takes in
        spikes older than that, the gradient asks for later spikes: docs/readouts.md says what
        comes of it.
        """
        p = readout_named(net, self.readout)
        if self.value in ("integral", "weighted_integral"):
            return np.full(p.size, np.inf)
        tau_mem, tau_syn = (
            np.broadcast_to(net.parameters[f"{p.name}.{k}"], p.size).astype(np.float64)
            for k in ("tau_mem", "tau_syn")
        )
        slow, fast = np.maximum(tau_mem, tau_syn), np.minimum(tau_mem, tau_syn)
        endless = np.isinf(slow)
        with np.errstate(invalid="ignore", divide="ignore"):
            x = (slow - fast) / fast
            age = np.where(x > 0, slow * np.log1p(x) / x, fast)
        return np.where(endless, np.inf, age)

    def in_core(
        self, index: int, until: float, dtype: np.dtype[Any]
    ) -> tuple[int, _core.ReadoutValue, NDArray[Any], float]:
        """The reading as the core takes it: readout, value, times, time scale."""
        kinds = _core.ReadoutValue
        kind = {"max": kinds.maximum, "end": kinds.voltage, "at": kinds.voltage}.get(
            self.value, kinds.integral
        )
        times = (until,) if self.value == "end" else self.times or ()
        scale = math.inf if self.time_scale is None else self.time_scale
        return index, kind, np.asarray(times, dtype=dtype), scale


def _times(given: ArrayLike) -> tuple[float, ...]:
    array = np.atleast_1d(real_array(given, "times", np.dtype(np.float64)))
    if array.ndim != 1 or not array.size:
        raise ValueError(f"times have shape {array.shape}, expected one dimension and a time in it")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if bad.size:
        raise ValueError(f"times[{bad[0]}] is {array[bad[0]]}, expected a finite time >= 0")
    return tuple(array.tolist())


def no_end(value: str, readout: str | None) -> str:
    """What an error says of a value of a whole sample where samples have no end."""
    name = "the readout" if readout is None else f"readout {readout}"
    return (
        f"{value!r} of {name} is what it says up to the end of a sample, and until is not given or "
        "infinite: expected a finite until, the end of the samples (the value 'at' needs none, but "
        "times)"
    )


def readout_named(net: Network, key: Any) -> Readout:
    """A readout by handle or name; None: the last one.

    Raises:
        KeyError: the network has none such; says which there are.
    """
    if key is None:
        if not net.readouts:
            raise KeyError("the network has no readout: add one with net.readout(...)")
        return next(reversed(net.readouts.values()))
    name = key.name if isinstance(key, Readout) else key
    if name not in net.readouts:
        there = ", ".join(net.readouts) or "(there is none: net.readout(...) adds one)"
        raise KeyError(f"{name!r} is not a readout of the network, expected one of: {there}")
    return net.readouts[name]
