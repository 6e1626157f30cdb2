"""From the gradient of a batch to new parameters: clipping, the optimiser, domain, average."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._execution import execution
from snnfp._free_variables import FreeVariable
from snnfp.bounds import Domain
from snnfp.network import Network
from snnfp.optim import Optimiser, is_of_core
from snnfp.parameter_groups import Group, Groups, group_of
from snnfp.schedules import Schedule

__all__ = ["Moved", "Stepper"]

Arrays = dict[str, NDArray[Any]]


class Moved(NamedTuple):
    """What a step has made, taken as a whole or not at all.

    Attributes:
        parameters: the new ones.
        fresh: whether nobody else has these arrays.
        free: free variables of those with a transform.
        averages: of all, if an average is kept.
        state: of the optimiser, where it is not changed in place.
        norms: of the gradient of each group, by its pattern, before it is clipped.
        clipped: patterns of the groups that were.
        lr: the learning rate of those in no group.
    """

    parameters: Arrays
    fresh: bool
    free: Arrays
    averages: Arrays
    state: Arrays
    norms: Mapping[str, float]
    clipped: frozenset[str]
    lr: float


@dataclass
class _Parameter:
    """A trained parameter: what is fixed of it, and what goes from step to step."""

    name: str
    pattern: str  # of its group
    group: Group
    variable: FreeVariable | None  # of those with a transform
    frozen: NDArray[np.bool_] | None
    late: bool  # the domain and the average are not the core's
    decay: float = 0.0
    slot: Any = None


@dataclass
class Stepper:
    """Takes steps of a network's trained parameters.

    Args:
        net: the network.
        names: of its trained parameters.
        optimiser: an :class:`Optimiser`; those of this library move all in one pass of the core.
        schedule: of those in no group that has its own.
        clip_norm: of groups that have none of their own.
        groups: by pattern.
        domain: where parameters may be.
        frozen: elements that stay, by parameter.
        average: decay of the average; None: none is kept.
        n_threads: None: all.

    Attributes:
        transformed: names of the parameters with a transform.
    """

    net: Network
    names: tuple[str, ...]
    optimiser: Optimiser
    schedule: Schedule
    clip_norm: float | None
    groups: Groups
    domain: Domain
    frozen: Mapping[str, NDArray[np.bool_]]
    average: float | None
    n_threads: int | None
    transformed: list[str] = field(init=False, default_factory=list)
    _rows: list[_Parameter] = field(init=False, default_factory=list)
    _variables: list[FreeVariable] = field(init=False)
    _state: Arrays = field(init=False, default_factory=dict)
    _made: Arrays = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        spanned = self.domain.spanned
        for name in self.names:
            pattern, group = group_of(self.groups, name)
            own, held = group.transform, self.frozen.get(name)
            variable = None if own is None else FreeVariable(name, own, held)
            late = variable is not None or name in spanned
            self._rows.append(_Parameter(name, pattern, group, variable, held, late))
        alone = any(not row.pattern for row in self._rows)
        self._patterns = (*([""] if alone else []), *self.groups)
        self._limits = {p: self._limit(p) for p in self._patterns}
        self._variables = [row.variable for row in self._rows if row.variable is not None]
        self.transformed = [variable.name for variable in self._variables]
        self._masks = [row.frozen for row in self._rows]
        self._some_late = any(row.late for row in self._rows)
        self._run = execution(self.n_threads)
        self._of_core = is_of_core(self.optimiser)
        for group in self.groups.values():
            if group.of_optimiser and not self._of_core:
                raise TypeError(
                    f"groups have {', '.join(group.of_optimiser)} of their own, which the "
                    f"optimiser {type(self.optimiser).__name__} does not know: expected snnfp.Adam "
                    "or snnfp.SGD"
                )

    def released(self) -> Arrays:
        """The free variables of parameters with a transform."""
        own = self.net.parameters
        return {v.name: v.release(own[v.name]) for v in self._variables}

    def resumed(self, parameters: Mapping[str, Any], free: Arrays) -> Arrays:
        """The free variables of a run that is gone on from.

        Anew where they are not those of the parameters: transforms or what is frozen are others
        now.
        """
        return {v.name: v.again(free[v.name], parameters[v.name]) for v in self._variables}

    def moved(
        self,
        gradients: Mapping[str, Any],
        state: Arrays,
        free: Arrays,
        averages: Arrays,
        averaged: int,
        step: int,
        epoch: float,
    ) -> Moved:
        """The parameters after a step.

        Args:
            gradients: by the parameters; left as they are.
            state: of the optimiser, which ours change in place.
            free: free variables, of parameters with a transform.
            averages: of all parameters, if an average is kept.
            averaged: steps that are in them.
            step: steps done so far.
            epoch: epochs done so far, with its fraction.
        """
        rows = self._rows
        values = self.net._values
        old: Any = {name: values[name] for name in self.names}
        free = self.free_now(old, free) if free else free
        at = [free.get(row.name, old[row.name]) for row in rows]
        slopes = [
            self._slope(row, gradients[row.name], value)
            for row, value in zip(rows, at, strict=True)
        ]
        norms = self._norms(slopes)
        scales = {p: min(1.0, self._limits[p] / norm) if norm else 1.0 for p, norm in norms.items()}
        clipped = frozenset(p for p, norm in norms.items() if norm > self._limits[p])
        blend = 0.0
        if averages:
            assert self.average is not None
            # The plain mean of the first steps: the beginning is not in it.
            blend = 1.0 - min(self.average, 1.0 - 1.0 / (averaged + 1))
        factor = _factor_of(self.schedule, step, epoch)
        lr = self.optimiser.lr * factor
        made: Arrays = {}
        if self._of_core:
            rates = {"": lr}
            for pattern, group in self.groups.items():
                own = _factor_of(group.schedule, step, epoch) if group.schedule else factor
                rates[pattern] = (group.lr or self.optimiser.lr) * own
            new, made = self._by_core(at, slopes, scales, rates, averages, blend, state)
        else:
            new, state = self._by_user(at, slopes, scales, state, factor)
        parameters, free = self._finish(old, new, free)
        for name in averages.keys() - made.keys():
            average = averages[name]
            part = average.dtype.type(blend)
            made[name] = np.asarray(average + (parameters[name] - average) * part)
        for variable in self._variables if averages else ():
            made[variable.name] = variable.within(made[variable.name])
        return Moved(parameters, self._of_core, free, made, state, norms, clipped, lr)

    def taken(self) -> None:
        """Takes note of what the network has now: the free variables are of these."""
        if self.transformed:
            self._made = {name: self.net.parameters[name] for name in self.transformed}

    def free_now(self, parameters: Arrays, free: Arrays) -> Arrays:
        """The free variables; anew where somebody else has replaced the parameter."""
        made = self._made
        return {
            v.name: free[v.name]
            if v.name not in made or parameters[v.name] is made[v.name]
            else v.release(parameters[v.name])
            for v in self._variables
        }

    # -- inside ----------------------------------------------------------------------------------

    def _slope(self, row: _Parameter, gradient: Any, value: NDArray[Any]) -> NDArray[Any]:
        """The gradient by what the optimiser moves, as the core takes it."""
        array = np.asarray(gradient, dtype=value.dtype, order="C")
        if array.shape != value.shape:
            raise ValueError(
                f"the gradient by {row.name} has shape {array.shape}, expected {value.shape}"
            )
        return array if row.variable is None else row.variable.chain(value, array)

    def _norms(self, slopes: list[NDArray[Any]]) -> dict[str, float]:
        sums = dict.fromkeys(self._patterns, 0.0)
        squares = _core.square_sums(slopes, self._masks, self._run)
        for row, square in zip(self._rows, squares, strict=True):
            sums[row.pattern] += square
        return {p: math.sqrt(total) for p, total in sums.items()}

    def _limit(self, pattern: str) -> float:
        own = self.groups[pattern].clip_norm if pattern else None
        limit = self.clip_norm if own is None else own
        return math.inf if limit is None else limit

    def _by_core(
        self,
        at: list[NDArray[Any]],
        slopes: list[NDArray[Any]],
        scales: Mapping[str, float],
        rates: Mapping[str, float],
        averages: Arrays,
        blend: float,
        state: Arrays,
    ) -> tuple[Arrays, Arrays]:
        """New values of what is moved, and averages that are done."""
        optimiser: Any = self.optimiser
        if state is not self._state:
            self._fit_slots(at, state)
        rows = self._rows
        pairs = optimiser.step(
            [row.slot for row in rows],
            at,
            slopes,
            [None if row.late else averages.get(row.name) for row in rows],
            [(scales[r.pattern], rates[r.pattern], r.decay, blend) for r in rows],
            state,
            self._run,
        )
        new = {row.name: made for row, (made, _) in zip(rows, pairs, strict=True)}
        done = {row.name: a for row, (_, a) in zip(rows, pairs, strict=True) if a is not None}
        return new, done

    def _fit_slots(self, at: list[NDArray[Any]], state: Arrays) -> None:
        """Slots on the arrays of a state, which is new."""
        optimiser: Any = self.optimiser
        for row, value in zip(self._rows, at, strict=True):
            limits = (None, None) if row.late else self.domain.limits.get(row.name, (None, None))
            low, high = (None if x is None else np.array(x, value.dtype, order="C") for x in limits)
            own = row.group.weight_decay
            row.decay = optimiser.decay_of(row.name) if own is None else own
            row.slot = optimiser.slot(row.name, value, state, low=low, high=high, frozen=row.frozen)
        self._state = state

    def _by_user(
        self,
        at: list[NDArray[Any]],
        slopes: list[NDArray[Any]],
        scales: Mapping[str, float],
        state: Arrays,
        factor: float,
    ) -> tuple[Arrays, Arrays]:
        """New values of what is moved, and the state, by an optimiser of the user's own."""
        given = {}
        for row, slope in zip(self._rows, slopes, strict=True):
            scale = scales[row.pattern]
            scaled = slope if scale == 1.0 else slope * scale
            given[row.name] = scaled if row.frozen is None else np.where(row.frozen, 0, scaled)
        old = {row.name: value for row, value in zip(self._rows, at, strict=True)}
        new, state = self.optimiser.update(old, given, state, factor=factor)
        values = {}
        for row in self._rows:
            value = np.asarray(new[row.name])
            values[row.name] = (
                value if row.frozen is None else np.where(row.frozen, old[row.name], value)
            )
        return values, state

    def _finish(self, old: Arrays, new: Arrays, free: Arrays) -> tuple[Arrays, Arrays]:
        """Parameters within the domain, and the free variables that are theirs."""
        if self._of_core and not self._some_late:
            return new, free
        parameters = dict(new)
        moved = {}
        for row in self._rows:
            if row.variable is not None:
                moved[row.name] = new[row.name]
                parameters[row.name] = row.variable.constrain(new[row.name], old[row.name])
        if self._of_core:
            late = {row.name: parameters[row.name] for row in self._rows if row.late}
            inside = self.domain.put_back(self.net, late, self.frozen)
        else:
            inside = self.domain.put_back(self.net, parameters, self.frozen)
        for row in self._rows:
            if row.variable is None or row.name not in inside:
                continue
            put = inside[row.name] != parameters[row.name]
            if put.any():
                again = row.variable.release(inside[row.name], put)
                moved[row.name] = np.where(put, again, moved[row.name])
        return {**parameters, **inside}, moved


def _factor_of(schedule: Schedule, step: int, epoch: float) -> float:
    """The factor at a step, by the epoch with its fraction for those that are ``by_step``."""
    return schedule(step, epoch if getattr(schedule, "by_step", False) else int(epoch))
