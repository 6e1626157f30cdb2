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
    """Bytes that can be had without swapping, within the limits of this process and its groups."""
    return min(_of_machine(), _within_limit(), _within_groups())


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


def _within_groups(proc: str = "/proc/self/cgroup", mounted: str = "/sys/fs/cgroup") -> int:
    """What the control groups of this process leave, as batch systems and containers set them.

    Args:
        proc: says which groups they are, a line each: "0::/path" (version 2) or
            "4:memory:/path" (version 1).
        mounted: where their files are.
    """
    free = 2**63
    try:
        with open(proc, encoding="utf-8") as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
    except OSError:
        return free
    for hierarchy, controllers, path in (g for g in groups if len(g) == 3):
        if hierarchy == "0":
            root, limit, used, cache = mounted, "memory.max", "memory.current", ""
        elif "memory" in controllers.split(","):
            root = os.path.join(mounted, "memory")
            limit, used, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
        else:
            continue
        # Limits of all groups above hold too. In a container the path may be that of the host,
        # which is not there, while the container's own group is the root.
        parts = [p for p in path.split("/") if p]
        for n in range(len(parts) + 1):
            group = os.path.join(root, *parts[:n])
            try:
                most = int(_text(group, limit))  # "max": no limit
                taken = int(_text(group, used))
            except (OSError, ValueError):
                continue
            free = min(free, max(0, most - taken + _cached(group, cache)))
    return free


def _text(*path: str) -> str:
    with open(os.path.join(*path), encoding="ascii") as file:
        return file.read()


def _cached(group: str, prefix: str) -> int:
    """Bytes of files that a group holds in memory only until they are needed for something else."""
    names = (f"{prefix}active_file", f"{prefix}inactive_file")
    try:
        rows = [line.split() for line in _text(group, "memory.stat").splitlines()]
        return sum(int(value) for name, value in rows if name in names)
    except (OSError, ValueError):
        return 0
