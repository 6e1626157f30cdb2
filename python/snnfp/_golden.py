"""Golden cases: files that say what must come out of a simulation, and are not trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.checkpoint import read_json_table
from snnfp.errors import FormatError
from snnfp.network import Network
from snnfp.neurons import LIF, NEURON_PARAMETERS
from snnfp.projections import Sparse
from snnfp.spikes import Spikes

__all__ = ["Case", "load_case"]

_MOST_UNITS = 1 << 16  # a large index costs memory, too


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


def load_case(path: str | Path, dtype: Any = np.float64) -> Case:
    """Reads a golden case.

    Raises:
        FormatError: not JSON, a key is missing or unknown, or a value is not what belongs there;
            names it.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    net = Network(dtype=dtype)
    data = read_json_table(path, "a golden case")
    try:
        return _case(_Part(path, "", data), net)
    except FormatError:
        raise
    except (TypeError, ValueError) as error:  # of the network and the spikes
        raise FormatError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _Part:
    """A part of the file, by its name: each look at it says what is wrong there."""

    path: Path
    name: str
    value: Any

    def wrong(self, expected: str) -> FormatError:
        text = repr(self.value)
        shown = text if len(text) <= 60 else f"{text[:60]} ..."
        return FormatError(f"{self.path}: {self.name} is {shown}, expected {expected}")

    def key(self, name: str) -> _Part:
        if not isinstance(self.value, dict):
            raise self.wrong("keys and values")
        if name not in self.value:
            where = f" of {self.name}" if self.name else ""
            raise FormatError(
                f"{self.path}: the key {name!r}{where} is missing, expected a golden case"
            )
        return _Part(self.path, f"{self.name}.{name}" if self.name else name, self.value[name])

    def items(self, count: int | None = None) -> list[_Part]:
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        if count is not None and len(self.value) != count:
            raise FormatError(
                f"{self.path}: {self.name} has {len(self.value)} entries, expected {count}"
            )
        return [_Part(self.path, f"{self.name}[{k}]", v) for k, v in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("text")
        return self.value

    def number(self, *, infinite: bool = False) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, (str, int, float)):
            raise self.wrong("a number")
        try:
            number = float(self.value)
        except (ValueError, OverflowError):
            raise self.wrong("a number") from None
        if math.isnan(number) or (math.isinf(number) and not infinite):
            raise self.wrong("a finite number")
        return number

    def index(self, below: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.wrong("an integer")
        if not 0 <= self.value < below:
            raise self.wrong(f"0 <= index < {below}")
        return self.value


def _numbers(parts: list[_Part], *, infinite: bool = False) -> NDArray[np.float64]:
    return np.array([p.number(infinite=infinite) for p in parts], dtype=np.float64)


def _case(data: _Part, net: Network) -> Case:
    neurons = data.key("neurons").items()
    parameters = {
        k: _numbers([n.key(k) for n in neurons], infinite=True) for k in NEURON_PARAMETERS
    }
    rows = [s.items(5) for s in data.key("synapses").items()]
    events = [e.items(2) for e in data.key("inputs").items()]
    times = _numbers([e[0] for e in events])
    units = np.array([e[1].index(_MOST_UNITS) for e in events], dtype=np.int64)
    most = {"input": _MOST_UNITS, "neuron": len(neurons)}
    for row in rows:
        if row[0].text() not in most:
            raise row[0].wrong("'input' or 'neuron'")
    sources = np.array([r[1].index(most[r[0].value]) for r in rows], dtype=np.int64)
    targets = np.array([r[2].index(len(neurons)) for r in rows], dtype=np.int64)
    weight, delay = _numbers([r[3] for r in rows]), _numbers([r[4] for r in rows])
    from_input = np.array([r[0].value == "input" for r in rows], dtype=bool)
    channels = 1 + int(max(np.max(units, initial=0), np.max(sources[from_input], initial=0)))
    gradient = _gradient(data.key("gradient"), len(neurons), len(rows), len(events))

    x = net.input(channels, name="input")
    h = net.population(len(neurons), LIF(**parameters), name="neurons")
    expected: dict[str, NDArray[np.float64]] = {}
    for source, at in ((x, from_input), (h, ~from_input)):
        if not np.any(at):
            continue
        projection = net.connect(
            source,
            h,
            Sparse(sources=sources[at], targets=targets[at], weight=weight[at], delay=delay[at]),
        )
        for key in ("weight", "delay"):
            if key in gradient:
                expected[f"{projection.name}.{key}"] = gradient[key][at]
    for key in NEURON_PARAMETERS:
        if key in gradient:
            expected[f"neurons.{key}"] = gradient[key]
    order = np.argsort(times, kind="stable")
    if "input_time" in gradient:
        expected["input.times"] = gradient["input_time"][order]
    spikes = [s.items(3) for s in data.key("spikes").items()]
    return Case(
        name=data.key("name").text(),
        net=net,
        spikes=Spikes.from_pairs([(times[order], units[order])], size=channels),
        until=data.key("t_end").number(),
        times=_numbers([s[0] for s in spikes]),
        neurons=np.array([s[1].index(len(neurons)) for s in spikes], dtype=np.int64),
        slopes=_numbers([s[2] for s in spikes]),
        coefficients=_numbers(data.key("loss_coefficients").items(len(spikes))),
        gradient=expected,
    )


def _gradient(
    part: _Part, neurons: int, synapses: int, inputs: int
) -> dict[str, NDArray[np.float64]]:
    counts = {"weight": synapses, "delay": synapses, "input_time": inputs}
    counts |= dict.fromkeys(NEURON_PARAMETERS, neurons)
    if not isinstance(part.value, dict):
        raise part.wrong("keys and values")
    for key in part.value:
        if key not in counts:
            raise FormatError(
                f"{part.path}: the gradient is by {key!r}, expected one of: {', '.join(counts)}"
            )
    return {k: _numbers(part.key(k).items(counts[k])) for k in part.value}
