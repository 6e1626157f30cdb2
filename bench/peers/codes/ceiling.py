"""What a second thread gains at most here: exponentials of values in cache."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.peers.prepared import Prepared

NAME = "NumPy"


def version() -> str:
    """Of NumPy."""
    return np.__version__


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """The same exponentials by one thread, ``one``, and by two, ``two``."""
    pool = ThreadPoolExecutor(2)

    def share(count: int) -> None:
        values = np.linspace(-1.0, 1.0, 16384)
        out = np.empty_like(values)
        for _ in range(count):
            np.exp(values, out=out)  # without the lock of the interpreter

    def work(threads: int) -> Callable[[], Any]:
        return lambda: list(pool.map(share, [options["count"] // threads] * threads))

    return Prepared({"one": work(1), "two": work(2)}, {})
