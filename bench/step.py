"""What does a step of the optimiser cost, beside NumPy and beside the memory that it touches?

    python -m bench.step [--repeats 100] [--threads 1]

Adam on the parameters of 784-350-10, with the gradients of a batch in which 70 input units are
silent, as the border of MNIST's pictures is. NumPy: the same operations in blocks that stay in
cache, with the same bits, which is checked first. Memory: a step reads and writes eight arrays
(parameter, gradient, two moments, in and out); copying four has the same traffic. Each result has
its own line; the calls take turns, times are the smallest of the repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import snnfp
from snnfp import _core
from snnfp._execution import execution

from bench.costs import machine

SHAPES = ((784, 350), (350, 10))
SILENT, BLOCK = 70, 8192
ADAM = snnfp.Adam(lr=5e-3)


def numpy_step(p: Any, g: Any, mean: Any, square: Any, n: int) -> tuple[Any, Any, Any]:
    """Adam in NumPy, block by block."""
    new = [np.empty_like(p) for _ in range(3)]
    flat = [a.reshape(-1) for a in (p, g, mean, square, *new)]
    correction = float(np.sqrt(1 - ADAM.beta2**n))
    rate = ADAM.lr / (1 - ADAM.beta1**n)
    spare = np.empty(min(BLOCK, p.size), dtype=p.dtype)
    for begin in range(0, p.size, BLOCK):
        p_, g_, m_, s_, to, new_m, new_s = (a[begin : begin + BLOCK] for a in flat)
        t = spare[: to.size]
        np.multiply(m_, ADAM.beta1, out=new_m)
        new_m += np.multiply(g_, 1 - ADAM.beta1, out=t)
        np.multiply(s_, ADAM.beta2, out=new_s)
        np.multiply(g_, g_, out=t)
        t *= 1 - ADAM.beta2
        new_s += t
        np.sqrt(new_s, out=t)
        t /= correction
        t += ADAM.eps
        np.divide(new_m, t, out=t)
        t *= rate
        np.subtract(p_, t, out=to)
    return new[0], new[1], new[2]


class Case:
    """The parameters of a precision, and steps of them."""

    def __init__(self, dtype: Any, n_threads: int) -> None:
        rng = np.random.default_rng(0)
        self.parameters = [rng.normal(size=s).astype(dtype) for s in SHAPES]
        self.gradients = [rng.normal(size=s).astype(dtype) for s in SHAPES]
        self.gradients[0][: SILENT // 2] = 0
        self.gradients[0][-SILENT // 2 :] = 0
        self.averages: list[Any] = [None, None]
        self.run = execution(n_threads)
        self.limits: dict[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """Forgets all steps."""
        names = [str(k) for k in range(len(SHAPES))]
        self.now = list(self.parameters)
        self.state = ADAM.init(dict(zip(names, self.now, strict=True)))
        self.slots = [
            ADAM.slot(k, p, self.state, **self.limits) for k, p in zip(names, self.now, strict=True)
        ]

    def core(self) -> None:
        """A step in the core."""
        numbers = [(1.0, ADAM.lr, 0.0, 0.002)] * len(SHAPES)
        pairs = ADAM.step(
            self.slots, self.now, self.gradients, self.averages, numbers, self.state, self.run
        )
        self.now = [p for p, _ in pairs]
        if self.averages[0] is not None:
            self.averages = [a for _, a in pairs]

    def norm(self) -> None:
        """The norm that clipping asks for."""
        _core.square_sums(self.gradients, [None] * len(SHAPES), self.run)

    def with_all(self) -> Case:
        """The same with limits and an average."""
        own = object.__new__(Case)
        vars(own).update(vars(self))
        dtype = self.parameters[0].dtype
        own.limits = {"low": np.asarray(-9, dtype), "high": np.asarray(9, dtype)}
        own.averages = list(self.parameters)
        own.begin()
        return own


def check(case: Case) -> None:
    """Raises unless the core has NumPy's bits."""
    case.begin()
    states = [[p, np.zeros_like(p), np.zeros_like(p)] for p in case.parameters]
    for n in range(1, 6):
        case.core()
        for k, (p, mean, square) in enumerate(states):
            states[k] = list(numpy_step(p, case.gradients[k], mean, square, n))
    for k, (p, mean, square) in enumerate(states):
        assert np.array_equal(p, case.now[k])
        assert np.array_equal(mean, case.state[f"mean/{k}"])
        assert np.array_equal(square, case.state[f"square/{k}"])
    quiet = case.slots[0].quiet
    assert quiet == SILENT, quiet


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print("| Step of Adam | double, ms | times the memory's | single, ms | times the memory's |")
    print("|---|---|---|---|---|")
    columns = []
    for dtype in (np.float64, np.float32):
        case = Case(dtype, given.threads)
        check(case)
        case.begin()
        moments = [[np.ones_like(p), np.ones_like(p)] for p in case.parameters]
        spare = [[np.empty_like(p) for _ in range(4)] for p in case.parameters]

        def numpy_all(case: Case = case, moments: Any = moments) -> None:
            for k, (mean, square) in enumerate(moments):
                numpy_step(case.parameters[k], case.gradients[k], mean, square, 9)

        def copy(case: Case = case, moments: Any = moments, spare: Any = spare) -> None:
            for k, (mean, square) in enumerate(moments):
                for from_, to in zip(
                    (case.parameters[k], case.gradients[k], mean, square), spare[k], strict=True
                ):
                    np.copyto(to, from_)

        rows: dict[str, Callable[[], Any]] = {
            "the memory's traffic (four copies)": copy,
            "in NumPy, by blocks": numpy_all,
            "in the core": case.core,
            "with limits and an average": case.with_all().core,
            "the norm, for clipping": case.norm,
        }
        best = dict.fromkeys(rows, np.inf)
        for _ in range(given.repeats):
            for name, work in rows.items():
                begin = time.perf_counter()
                work()
                best[name] = min(best[name], time.perf_counter() - begin)
        columns.append(best)
    bound = [column["the memory's traffic (four copies)"] for column in columns]
    for name in columns[0]:
        cells = (
            f"{1e3 * column[name]:.3f} | {column[name] / b:.1f}"
            for column, b in zip(columns, bound, strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n{given.threads} threads, {machine()}, snnfp {snnfp.__version__}")


if __name__ == "__main__":
    main()
