"""``snnfp check CASE.json ...``: golden cases through the public API, in both modes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.errors import FormatError, SilentPopulationWarning
from snnfp.network import Network
from snnfp.neurons import LIF, NEURON_PARAMETERS
from snnfp.projections import Sparse
from snnfp.record import Record
from snnfp.simulate import simulate
from snnfp.spikes import Spikes

__all__ = ["Case", "CaseErrors", "load_case", "run_case", "run_check"]


@dataclass(frozen=True)
class Case:
    """A golden case: a network with its input, and what must come out.

    Attributes:
        name: of the case.
        net: inputs ``"input"``, one population ``"neurons"``, projections ``"input_to_neurons"``
            and ``"neurons_to_neurons"`` (each only if the case has such synapses).
        spikes: one sample.
        until: end of the simulation.
        times: expected spike times.
        neurons: neuron of each.
        slopes: expected V'(f-).
        coefficients: of the loss, the sum of coefficients times spike times.
        gradient: expected, by parameter name of the network.
    """

    name: str
    net: Network
    spikes: Spikes
    until: float
    times: NDArray[np.float64]
    neurons: NDArray[np.int64]
    slopes: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    gradient: dict[str, NDArray[np.float64]]


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


def _floats(values: Iterable[Any]) -> NDArray[np.float64]:
    return np.array([float(v) for v in values], dtype=np.float64)


def load_case(path: str | Path, dtype: Any = np.float64) -> Case:
    """Reads a golden case.

    Raises:
        FormatError: not JSON, or a key is missing.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        return _case(data, dtype)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a JSON file: {error}") from error
    except KeyError as error:
        raise FormatError(f"{path}: the key {error} is missing, expected a golden case") from error


def _case(data: dict[str, Any], dtype: Any) -> Case:
    net = Network(dtype=dtype)
    neurons = data["neurons"]
    parameters = {k: _floats(n[k] for n in neurons) for k in NEURON_PARAMETERS}
    h_size = len(neurons)
    events = [(float(t), int(u)) for t, u in data["inputs"]]
    x_size = 1 + max(
        [u for _, u in events] + [int(s[1]) for s in data["synapses"] if s[0] == "input"] + [0]
    )
    x = net.input(x_size, name="input")
    h = net.population(h_size, LIF(**parameters), name="neurons")
    expected: dict[str, NDArray[np.float64]] = {}
    gradient = {k: _floats(v) for k, v in data["gradient"].items()}
    for kind, source in (("input", x), ("neuron", h)):
        at = [i for i, s in enumerate(data["synapses"]) if s[0] == kind]
        if not at:
            continue
        rows = [data["synapses"][i] for i in at]
        projection = net.connect(
            source,
            h,
            Sparse(
                sources=np.array([int(r[1]) for r in rows]),
                targets=np.array([int(r[2]) for r in rows]),
                weight=_floats(r[3] for r in rows),
                delay=_floats(r[4] for r in rows),
            ),
        )
        for key in ("weight", "delay"):
            if key in gradient:
                expected[f"{projection.name}.{key}"] = gradient[key][at]
    for key in NEURON_PARAMETERS:
        if key in gradient:
            expected[f"neurons.{key}"] = gradient[key]
    order = np.argsort([t for t, _ in events], kind="stable")
    if "input_time" in gradient:
        expected["input.times"] = gradient["input_time"][order]
    spikes = Spikes.from_pairs(
        [([events[i][0] for i in order], np.array([events[i][1] for i in order], dtype=np.int64))],
        size=x_size,
    )
    return Case(
        name=data["name"],
        net=net,
        spikes=spikes,
        until=float(data["t_end"]),
        times=_floats(s[0] for s in data["spikes"]),
        neurons=np.array([int(s[1]) for s in data["spikes"]], dtype=np.int64),
        slopes=_floats(s[2] for s in data["spikes"]),
        coefficients=_floats(data["loss_coefficients"]),
        gradient=expected,
    )


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
