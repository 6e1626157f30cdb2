"""The machine's multiply-add rate: a matrix product of NumPy's BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.prepared import Prepared

NAME = "NumPy DGEMM"


def version() -> str:
    """Of NumPy."""
    return np.__version__


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """The product of two square matrices of ``size``, float64."""
    n = options["size"]
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, n, n))
    out = np.empty((n, n))
    return Prepared({"multiply": lambda: np.matmul(a, b, out=out)}, {"multiply-adds": n**3})
