"""Threads, instruction sets, interrupts: how a call to the core runs."""

from __future__ import annotations

import threading
from functools import lru_cache

from snnfp import _core
from snnfp._numbers import count

__all__ = ["ISAS", "default_threads", "execution"]

ISAS = tuple(_core.Isa.__members__)
MOST_THREADS = 4096  # each costs memory


def default_threads() -> int:
    """Threads where ``n_threads`` is None: OMP_NUM_THREADS, or the processors of this process."""
    return int(_core.default_threads())


def execution(n_threads: int | None, isa: str = "best") -> _core.Execution:
    """Checks the two options; Ctrl-C is looked for when the caller is the main thread."""
    if n_threads is not None:
        n_threads = count(n_threads, "n_threads", most=MOST_THREADS, instead="None for all")
    if isa not in ISAS:
        raise ValueError(f"isa is {isa!r}, expected one of {', '.join(ISAS)}")
    return _made(n_threads or 0, isa, threading.current_thread() is threading.main_thread())


@lru_cache(maxsize=64)
def _made(n_threads: int, isa: str, main: bool) -> _core.Execution:
    return _core.Execution(n_threads, _core.Isa[isa], main)
