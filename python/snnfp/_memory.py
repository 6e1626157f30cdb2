"""How much memory there is, and errors by name before it is taken."""

from __future__ import annotations

import os

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

__all__ = ["free_memory", "need_memory"]

_SMALL = 1 << 26  # bytes that are taken without a look


def need_memory(needed: int, what: str, instead: str = "") -> None:
    """Raises unless so much memory is free.

    Args:
        needed: bytes.
        what: what needs them, in the plural: "the 3 x 4 weights of x_to_h".
        instead: what to do about it.

    Raises:
        MemoryError: names what needs how much, and how much there is.
    """
    if needed < _SMALL:
        return
    free = free_memory()
    if needed > free:
        raise MemoryError(
            f"{what} need {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
            + (f": {instead}" if instead else "")
        )


def free_memory() -> int:
    """Bytes that can be had without swapping and within this process's limit (RLIMIT_AS)."""
    return min(_of_machine(), _within_limit())


def _of_machine() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as info:
            for line in info:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**30


def _within_limit() -> int:
    if resource is None:
        return 2**63
    try:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return 2**63
        with open("/proc/self/statm", encoding="ascii") as statm:
            return max(0, limit - int(statm.read().split()[0]) * resource.getpagesize())
    except OSError:
        return 2**63
