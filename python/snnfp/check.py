"""``snnfp check CASE.json ...``: golden cases through the public API, in both modes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnfp._golden import Case, load_case
from snnfp.errors import SilentPopulationWarning
from snnfp.record import Record
from snnfp.simulate import simulate

__all__ = ["Case", "CaseErrors", "load_case", "run_case", "run_check"]


@dataclass(frozen=True)
class CaseErrors:
    """Largest errors of one case in one mode.

    Attributes:
        pattern: whether the same neurons fire in the same order.
        times: relative, of spike times.
        gradients: ``|g - expected| / max(1, |expected|)``.
        min_slope: the smallest V'(f-), what errors grow with the inverse of.
    """

    pattern: bool
    times: float
    gradients: float
    min_slope: float


def simulate_case(case: Case) -> Record:
    """Simulates a case; that all its neurons may be silent is no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilentPopulationWarning)
        return simulate(case.net, case.spikes, until=case.until)


def run_case(case: Case, mode: str) -> CaseErrors:
    """Simulates a case and compares spikes and gradients in one mode."""
    record = simulate_case(case)
    if not np.array_equal(record.neurons, case.neurons):
        return CaseErrors(False, np.inf, np.inf, record.min_slope)
    times = np.max(np.abs(record.times - case.times) / np.abs(case.times), initial=0.0)
    gradients = record.vjp(case.coefficients, wrt=tuple(case.gradient), mode=mode)
    errors = [
        np.max(np.abs(gradients[k] - v) / np.maximum(1.0, np.abs(v)), initial=0.0)
        for k, v in case.gradient.items()
    ]
    return CaseErrors(True, float(times), float(max(errors, default=0.0)), record.min_slope)


def run_check(paths: Iterable[str | Path], print: Callable[[str], object] = print) -> int:
    """Runs cases in double precision and prints a line a case and mode.

    Spike times must agree to 1e-12 relative and gradients to 1e-9, both times 1/min V' where that
    is larger than 1.

    Returns:
        The number of cases that fail.
    """
    failed = 0
    print(
        f"{'case':32} {'mode':8} {'spikes':>6} {'time error':>12} {'gradient error':>15}  verdict"
    )
    for path in paths:
        case = load_case(path)
        good = True
        for mode in ("forward", "reverse"):
            e = run_case(case, mode)
            factor = max(1.0, 1.0 / e.min_slope) if e.min_slope > 0 else np.inf
            ok = e.pattern and e.times <= 1e-12 * factor and e.gradients <= 1e-9 * factor
            good &= ok
            print(
                f"{case.name:32} {mode:8} {case.times.size:6} {e.times:12.2e} "
                f"{e.gradients:15.2e}  {'ok' if ok else 'FAILED'}"
            )
        failed += not good
    return failed
