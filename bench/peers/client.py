"""The parent's side of a worker, and interleaved timing."""

from __future__ import annotations

import contextlib
import ctypes.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Failed", "Handle", "Missing", "Worker", "interleaved", "workers"]

_ROOT = Path(__file__).resolve().parents[2]
_LEAST = 0.25  # seconds a measurement lasts: a busy neighbour slows a machine for shorter times too


class Missing(Exception):
    """The package of a code is not installed."""


class Failed(Exception):
    """A code raised an error, or its result was wrong."""


class Worker:
    """A code in a process of its own.

    Args:
        code: module of ``bench.peers.codes``.
        threads: it may use, and processors it may run on.
        library: loaded before all others, such as another allocator.
    """

    def __init__(self, code: str, threads: int, library: str | None = None) -> None:
        self.code = code
        count = str(threads)
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), count),
            "BENCH_THREADS": count,
            "JAX_PLATFORMS": "cpu",
        }
        # NumPy's BLAS chooses its kernels by the processor, not by what somebody set for another.
        environment.pop("OPENBLAS_CORETYPE", None)
        if library:
            environment["LD_PRELOAD"] = library
        if threads == 1:
            environment["XLA_FLAGS"] = (
                "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.worker", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=_ROOT,
            env=environment,
        )
        if hasattr(os, "sched_setaffinity"):
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(self._process.pid, set(allowed[-threads:]))

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failed(f"the process of {self.code} ended (exit code {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise Missing(answer["missing"])
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def prepare(self, kind: str, **options: Any) -> Handle:
        """Gets a piece of work ready."""
        key = json.dumps([kind, options], sort_keys=True)
        facts = self.ask(do="prepare", key=key, kind=kind, options=options)["facts"]
        return Handle(self, key, facts)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@dataclass
class Handle:
    """Work that is ready in a worker, with what its check found."""

    worker: Worker
    key: str
    facts: dict[str, Any]

    def seconds(self, call: str, number: int = 1) -> float:
        """Seconds a call."""
        answer = self.worker.ask(do="time", key=self.key, call=call, number=number)
        return float(answer["seconds"])


@contextlib.contextmanager
def workers(threads: int) -> Iterator[Any]:
    """Yields ``get(code, copy)``, which starts each worker once; ends them all.

    A copy called ``tcmalloc`` has that allocator; :class:`Missing` where it is not installed.
    """
    running: dict[tuple[str, str], Worker] = {}

    def get(code: str, copy: str = "") -> Worker:
        if (code, copy) not in running:
            library = tcmalloc() if copy == "tcmalloc" else None
            running[code, copy] = Worker(code, threads, library)
        return running[code, copy]

    try:
        yield get
    finally:
        for worker in running.values():
            worker.close()


def tcmalloc() -> str:
    """The allocator's library, under either of its names."""
    for name in ("tcmalloc", "tcmalloc_minimal"):
        found = ctypes.util.find_library(name)
        if found:
            return found
    raise Missing("tcmalloc")


def interleaved(
    calls: dict[str, tuple[Handle, str]], repeats: int, slow: float = 60.0
) -> dict[str, tuple[float, int]]:
    """Median seconds of each call and the number of measurements, in turn: A B C A B C ...

    A call whose ``repeats`` measurements last longer than ``slow`` seconds is measured less often
    but at least three times (or ``repeats`` times, if that is less).
    """
    numbers, counts = {}, {}
    for name, (handle, call) in calls.items():
        once = handle.seconds(call)  # also warms up
        numbers[name] = max(1, round(_LEAST / once))
        counts[name] = min(repeats, max(3, int(slow / (once * numbers[name]))))
    measured: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(repeats):
        for name, (handle, call) in calls.items():
            if k < counts[name]:
                measured[name].append(handle.seconds(call, numbers[name]))
    return {name: (statistics.median(v), len(v)) for name, v in measured.items()}
