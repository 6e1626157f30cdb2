"""Checks that a user can run on any network and loss: is the gradient right, and does it help?"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._numbers import count, real_number
from snnfp._step_check import StepCheck, check_step
from snnfp.gradients import LossFunction
from snnfp.network import Network, Selection
from snnfp.record import Record
from snnfp.simulate import InputSpikes, check_network, input_groups, simulate
from snnfp.spikes import Spikes

__all__ = ["GradientCheck", "StepCheck", "check_gradient", "check_step"]

# A step shorter by these, where it reaches across a kink: spikes that keep their order while one of
# them changes place with an arrival.
_SHORTER = (1.0, 1e-1, 1e-2, 1e-3)

# What a loss may be off by, in parts of its size and of the terms it sums: some ulps of each spike
# time. One that takes logarithms or differences of numbers near 1 is off by as much of 1.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class GradientCheck:
    """What :func:`check_gradient` found.

    Attributes:
        checked: derivatives compared.
        left_out: derivatives not compared, since the spike pattern differs at +-h, however short h
            (there the derivative does not exist), or since the rounding of the loss may hide so
            small a difference. Where these are many, choose a loss of size 1 or more.
        infinite: derivatives not compared, since the parameter is infinite.
        max_error: largest ``|exact - difference| / max(|exact|, scale)``, where scale is the
            largest derivative by the same parameter.
        worst: (name, flat index, exact, difference) of that one; None if nothing was checked.
        tolerance: what was allowed.
    """

    checked: int
    left_out: int
    infinite: int
    max_error: float
    worst: tuple[str, int, float, float] | None
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether something was checked and every error is within the tolerance."""
        return self.checked > 0 and self.max_error <= self.tolerance


def check_gradient(
    net: Network,
    spikes: InputSpikes,
    labels: Any,
    loss: LossFunction,
    *,
    wrt: Selection = "*",
    until: float | None = None,
    mode: str = "reverse",
    step: float = 1e-5,
    tolerance: float = 1e-5,
    max_elements: int = 100,
    seed: int = 0,
    **options: Any,
) -> GradientCheck:
    """Compares the exact gradient with central differences of the whole simulation.

    At the edge of a parameter's domain (a delay of 0) the difference is one-sided, as is the
    derivative. Where spikes and arrivals fall on one time a step may bring them into another order
    than that in which derivatives are taken (the conventions of the documentation say which): such
    elements are left out if the spikes swap, and are errors if they do not. Equal neurons that
    fire together are the usual case; initial weights that differ end it.

    Args:
        net: a float64 network.
        spikes: its input.
        labels: for the loss.
        loss: as for :func:`snnfp.value_and_grad`.
        wrt: names or patterns; ``"*"`` takes every parameter and the input times.
        until: end of the simulation.
        mode: ``"reverse"`` or ``"forward"``.
        step: h of the differences, relative to the element's size or, if that is more, to the
            parameter's or 1, whichever is less. Where the two do not agree it is made up to 1000
            times shorter, as a spike and an arrival may change places within it.
        tolerance: for ``GradientCheck.ok``, > 0.
        max_elements: of each parameter, at most this many randomly chosen elements are checked.
        seed: of that choice.
        options: more for :func:`snnfp.simulate`.

    Raises:
        TypeError: the network is float32.
        ValueError: an option out of range.
    """
    for number, what in ((step, "step"), (tolerance, "tolerance")):
        if not real_number(number, what) > 0:
            raise ValueError(f"{what} is {number}, expected a number > 0")
    max_elements = count(max_elements, "max_elements")
    check_network(net)
    if net.dtype != np.float64:
        raise TypeError(
            f"the network is {net.dtype}, expected float64: differences need the digits"
        )
    record = simulate(net, spikes, until=until, **options)
    base_value, cotangents = loss(record, labels)
    gradients = record.vjp(cotangents, wrt=wrt, mode=mode)
    pattern = _pattern(record)
    rounding = _ROUNDING * _size(float(base_value), cotangents, record)
    groups = dict(zip(net.inputs, input_groups(net, spikes), strict=True))
    rng = np.random.default_rng(seed)
    checked = left_out = infinite = 0
    max_error, worst = 0.0, None

    def value(name: str, flat: NDArray[Any]) -> float | None:
        """The loss with parameter ``name`` replaced; None where the spike pattern differs.

        Raises:
            ValueError: a value outside the parameter's domain.
        """
        changed = dict(groups)
        before = None
        if name in net.parameters:
            before = net.parameters[name]
        else:
            group = name[: -len(".times")]
            old = groups[group]
            samples = np.repeat(np.arange(len(old)), np.diff(old.offsets))
            order = np.lexsort((flat, samples))
            changed[group] = Spikes(flat[order], old.units[order], old.offsets, size=old.size)
        try:
            if before is not None:
                net.parameters[name] = flat.reshape(before.shape)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                moved = simulate(net, changed, until=until, **options)
            return float(loss(moved, labels)[0]) if _pattern(moved) == pattern else None
        finally:
            if before is not None:
                net.parameters[name] = before

    for name, gradient in gradients.items():
        base = (
            net.parameters[name] if name in net.parameters else groups[name[: -len(".times")]].times
        )
        flat = base.reshape(-1)
        chosen = _present(net, name, flat.size)
        if chosen.size > max_elements:
            chosen = np.sort(rng.choice(chosen, max_elements, replace=False))
        scale = float(np.max(np.abs(gradient[np.isfinite(gradient)]), initial=0.0))
        unit = min(1.0, _unit(net, name, flat))
        for k in chosen.tolist():
            if not np.isfinite(flat[k]):
                infinite += 1
                continue
            step_along = partial(_moved, partial(value, name), flat, k)
            exact = float(gradient.reshape(-1)[k])
            size = max(abs(exact), scale, 1e-300)
            error, difference = math.inf, None
            for shorter in _SHORTER:
                h = shorter * step * max(abs(float(flat[k])), unit)
                found = _difference(step_along, h)
                if found is None:
                    continue
                apart = abs(exact - found)
                off = apart / size if math.isfinite(apart) else math.inf
                if off > tolerance and apart <= max(rounding, _ROUNDING) / h:
                    if size > rounding / h:
                        break  # it says nothing
                    off = 0.0  # as far as the loss can tell both are 0
                if difference is None or off < error:
                    error, difference = off, found
                if error <= tolerance or not math.isfinite(exact):
                    break
            if difference is None:
                left_out += 1
                continue
            checked += 1
            if worst is None or error > max_error:
                max_error, worst = error, (name, int(k), exact, difference)
    return GradientCheck(checked, left_out, infinite, max_error, worst, tolerance)


def _present(net: Network, name: str, size: int) -> NDArray[np.int64]:
    """The elements of a parameter that can differ: not the weights that a mask leaves out."""
    projection = net.projections.get(name.removesuffix(".weight"))
    if projection is None or projection.mask is None:
        return np.arange(size)
    return np.flatnonzero(projection.mask)


def _size(value: float, cotangents: Any, record: Record) -> float:
    """The loss, or what its terms are in all: spike times, and what is read, times derivatives."""
    terms = float(np.abs(record._cotangents(cotangents)) @ np.abs(record.times))
    for reading, by_value in record._readings(cotangents).items():
        terms += float(np.sum(np.abs(by_value * record.readout(reading))))
    return max(abs(value), terms)


def _unit(net: Network, name: str, values: NDArray[Any]) -> float:
    """How large a parameter is; one that is 0 throughout, in the units of the network's neurons."""

    def smallest(kind: str) -> float:
        own = [net.parameters[f"{p}.{kind}"] for p in net.populations]
        finite = [float(v) for array in own for v in np.abs(array).reshape(-1)]
        return min((v for v in finite if 0 < v < math.inf), default=1.0)

    largest = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
    if largest > 0:
        return largest
    tau = min(smallest("tau_mem"), smallest("tau_syn"))
    match name.rpartition(".")[2]:
        case "delay" | "t_refractory" | "times":
            return tau
        case "v_reset":
            return smallest("threshold")
        case "weight" | "bias":
            return smallest("threshold") * smallest("capacitance") / tau
        case _:
            return 1.0


def _moved(
    value: Callable[[NDArray[Any]], float | None], flat: NDArray[Any], k: int, by: float
) -> float | None:
    moved = flat.copy()
    moved[k] += by
    return value(moved)


def _difference(at: Callable[[float], float | None], h: float) -> float | None:
    """The central difference, or the one-sided one of second order at the edge of the domain."""
    # Of values that are equal each is exactly 0.
    central = ((1, -1, 0.5),)
    up = ((1, 0, 2.0), (2, 0, -0.5))
    down = ((-1, 0, -2.0), (-2, 0, 0.5))
    for stencil in (central, up, down):
        try:
            values = {k: at(k * h) for k in {k for term in stencil for k in term[:2]}}
        except ValueError:
            continue
        known = {k: v for k, v in values.items() if v is not None}
        if len(known) < len(values):
            return None
        return sum(weight * (known[a] - known[b]) for a, b, weight in stencil) / h
    return None


def _pattern(record: Record) -> tuple[bytes, bytes]:
    """Which neurons fire, in which order, in each sample."""
    return record.neurons.tobytes(), record.offsets.tobytes()
