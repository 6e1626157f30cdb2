"""What a code hands to the worker: calls to time, and what a check of them found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Prepared", "need"]


@dataclass
class Prepared:
    """Work that is ready to be timed.

    Attributes:
        calls: by name; a call takes nothing and leaves nothing behind.
        facts: spikes a sample, loss, compile time and the like, all numbers or words.
    """

    calls: dict[str, Callable[[], Any]]
    facts: dict[str, Any] = field(default_factory=dict)


def need(condition: bool, what: str) -> None:
    """Raises where a result is not what it must be: a time without a result says nothing."""
    if not condition:
        raise AssertionError(what)
