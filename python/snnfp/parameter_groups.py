"""Settings of their own for some of the trained parameters, by pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from snnfp._free_variables import range_of
from snnfp._numbers import real_number
from snnfp._patterns import matched
from snnfp.network import Network
from snnfp.optim import check_clip_norm
from snnfp.schedules import Schedule, check_schedule
from snnfp.transforms import Transform, check_transform

__all__ = ["Group", "Groups", "bounds_with", "check_groups", "group_of", "ranges_of"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """What is different for a group of parameters; what is None is as for all others.

    Args:
        lr: learning rate, > 0, instead of the optimiser's.
        clip_norm: the group's gradient is scaled down to this norm; inf: never. Also without it a
            group is clipped by itself: by its own norm, to ``fit``'s ``clip_norm``.
        weight_decay: each step takes ``lr * weight_decay`` of the group's parameters away.
        schedule: factor of the learning rate; see :mod:`snnfp.schedules`.
        bounds: (low, high), as for ``fit``.
        transform: see :mod:`snnfp.transforms`. Learning rate, clipping and decay are then about
            the free variable.
    """

    lr: float | None = None
    clip_norm: float | None = None
    weight_decay: float | None = None
    schedule: Schedule | None = None
    bounds: tuple[ArrayLike | None, ArrayLike | None] | None = None
    transform: Transform | None = None

    def __post_init__(self) -> None:
        if self.lr is not None and not (real_number(self.lr, "lr") > 0 and np.isfinite(self.lr)):
            raise ValueError(f"lr is {self.lr}, expected a finite number > 0")
        if self.clip_norm is not None:
            check_clip_norm(self.clip_norm)
        decay = self.weight_decay
        if decay is not None and not (
            real_number(decay, "weight_decay") >= 0 and np.isfinite(decay)
        ):
            raise ValueError(f"weight_decay is {decay}, expected a finite number >= 0")
        if self.schedule is not None:
            check_schedule(self.schedule)
        if self.bounds is not None and (
            not isinstance(self.bounds, (tuple, list)) or len(self.bounds) != 2
        ):
            raise TypeError(f"bounds is {self.bounds!r}, expected (low, high)")
        if self.transform is not None:
            check_transform(self.transform, "transform")

    @property
    def of_optimiser(self) -> list[str]:
        """What is set that only the optimisers of this library know."""
        return [n for n in ("lr", "weight_decay", "schedule") if getattr(self, n) is not None]

    def __repr__(self) -> str:
        given = ((f.name, getattr(self, f.name)) for f in fields(self))
        return f"Group({', '.join(f'{k}={v!r}' for k, v in given if v is not None)})"


Groups = Mapping[str, Group]


def check_groups(net: Network, names: tuple[str, ...], groups: Any) -> None:
    """Raises unless each pattern has parameters to itself.

    Raises:
        TypeError: no mapping of patterns to groups.
        KeyError: a pattern that matches no trained parameter.
        ValueError: a parameter that two patterns match.
    """
    if not isinstance(groups, Mapping):
        raise TypeError(f"groups is {groups!r}, expected a mapping {{pattern: snnfp.Group(...)}}")
    for pattern, group in groups.items():
        if not isinstance(group, Group):
            raise TypeError(f"groups: {pattern!r} has {group!r}, expected snnfp.Group(...)")
        matched(net, names, pattern, "groups")
    for name in names:
        both = [p for p in groups if fnmatchcase(name, p)]
        if len(both) > 1:
            raise ValueError(
                f"groups: {name} matches {' and '.join(map(repr, both))}, expected one pattern a "
                "parameter"
            )


def group_of(groups: Groups, name: str) -> tuple[str, Group]:
    """The pattern and group of a parameter; those in no group are one, whose pattern is empty."""
    return next(((p, g) for p, g in groups.items() if fnmatchcase(name, p)), ("", Group()))


def ranges_of(
    net: Network, names: tuple[str, ...], groups: Groups
) -> dict[str, tuple[float, float]]:
    """Smallest and largest values of the parameters whose transform says what they are."""
    ranges = {}
    for name in names:
        transform = group_of(groups, name)[1].transform
        ends = None if transform is None else range_of(transform, net.parameters[name])
        if ends is not None:
            ranges[name] = ends
    return ranges


def bounds_with(bounds: Any, groups: Groups) -> Any:
    """``fit``'s bounds and those of the groups.

    Raises:
        ValueError: both have a pattern.
    """
    own = {p: g.bounds for p, g in groups.items() if g.bounds is not None}
    if not own or not isinstance(bounds, Mapping):
        return bounds
    for pattern in own:
        if pattern in bounds:
            raise ValueError(
                f"bounds and groups both have bounds of {pattern!r}, expected them in one place"
            )
    return {**bounds, **own}
