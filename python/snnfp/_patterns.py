"""Patterns of names of trained parameters."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from snnfp.network import Network, Selection

__all__ = ["matched", "trainable"]


def matched(net: Network, names: tuple[str, ...], pattern: Any, what: str) -> list[str]:
    """The trained parameters that match a pattern of a setting, which errors call ``what``.

    Raises:
        TypeError: no text.
        KeyError: there is none.
    """
    if not isinstance(pattern, str):
        raise TypeError(f"{what}: {pattern!r} is no text, expected a name or a pattern")
    found = [n for n in names if fnmatchcase(n, pattern)]
    if not found:
        untrained = [n for n in net.parameters if fnmatchcase(n, pattern)]
        why = f"matches {', '.join(untrained)}, not trained" if untrained else "matches nothing"
        raise KeyError(
            f"{what}: {pattern!r} {why}; expected patterns of trained parameters: "
            f"{', '.join(names)}"
        )
    return found


def trainable(net: Network, wrt: Selection) -> tuple[str, ...]:
    """The parameters that ``wrt`` selects, without input times.

    Raises:
        KeyError: a pattern that matches nothing.
        ValueError: a pattern that matches nothing but input times, or no pattern.
    """
    for pattern in (wrt,) if isinstance(wrt, str) else wrt:
        if not any(n in net.parameters for n in net.select(pattern)):
            raise ValueError(
                f"wrt = {pattern!r} names no parameter of the network that can be trained"
            )
    names = tuple(n for n in net.select(wrt) if n in net.parameters)
    if not names:
        raise ValueError("wrt is empty, expected names or patterns of parameters")
    return names
