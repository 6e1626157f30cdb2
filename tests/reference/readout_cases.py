"""Writes the golden cases of readouts: ``PYTHONPATH=tests python -m reference.readout_cases FOLDER``,
or those of the names that follow.

Whole networks: an event simulation at 60 digits, what is read off the neurons that listen to it, and
central differences of both together, by everything that can move. Takes some minutes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from mpmath import mp, mpf

from reference.membrane import Neuron
from reference.readouts import Listener
from reference.simulation import Synapse, simulate

Case = dict[str, Any]

DIGITS = 60
LISTENER = ("tau_mem", "tau_syn", "bias", "capacitance")
NEURON = (*LISTENER, "threshold", "v_reset", "t_refractory")
# Differences of order 4 at this step; those that go to earlier times only are for events at the end.
STEP = mpf(10) ** -11
CENTRAL = {-2: 1, -1: -8, 1: 8, 2: -1}
BACKWARD = {0: 25, -1: -48, -2: 36, -3: -16, -4: 3}
READINGS: tuple[dict[str, Any], ...] = (
    {"value": "integral"},
    {"value": "weighted_integral", "time_scale": "3.5"},
    {"value": "end"},
    {"value": "max"},
    {"value": "at", "times": ["2.75", "0.0", "5.5"]},
)


def neuron(text: str) -> dict[str, str]:
    """Of numbers in the order of NEURON, or of LISTENER."""
    numbers = text.split()
    return dict(zip(NEURON if len(numbers) == len(NEURON) else LISTENER, numbers, strict=True))


def case(note: str, **parts: Any) -> Case:
    """Synapses and inputs as text: ``source kind, source, target kind, target, weight, delay``."""
    synapses = [
        [kind, int(source), to, int(target), weight, delay]
        for kind, source, to, target, weight, delay in map(str.split, parts.pop("synapses"))
    ]
    return {
        "note": note,
        "until": parts.pop("until", "7.0"),
        "neurons": [neuron(n) for n in parts.pop("neurons", ())],
        "readouts": [neuron(n) for n in parts.pop("readouts")],
        "inputs": [[t, int(u)] for t, u in map(str.split, parts.pop("inputs"))],
        "synapses": synapses,
        "initial": parts.pop("initial", {"neurons": None, "readouts": None}),
        "readings": parts.pop("readings", READINGS),
        **parts,
    }


FEEDFORWARD = dict(
    neurons=[
        "2.9 1.3 0.0 1.0 0.9 0.0 0.0",
        "1.7 1.7 0.08 1.2 0.8 -0.1 0.35",
        "inf 2.1 0.0 0.9 1.1 0.1 0.2",
    ],
    inputs=["0.4 0", "0.9 1", "1.8 0", "2.2 1", "3.7 0", "4.1 0"],
)
INTO = [
    "input 0 neuron 0 1.9 0.1",
    "input 0 neuron 1 1.1 0.45",
    "input 1 neuron 0 0.8 0.3",
    "input 1 neuron 1 1.6 0.0",
    "input 1 neuron 2 0.7 0.2",
    "input 0 neuron 2 0.3 0.6",
]
OUT = [
    "neuron 0 readout 0 0.9 0.25",
    "neuron 1 readout 0 -0.6 0.0",
    "neuron 2 readout 0 0.7 0.5",
    "neuron 0 readout 1 -0.4 0.15",
    "neuron 1 readout 1 0.8 0.6",
    "input 0 readout 1 0.5 0.35",
]

CASES: dict[str, Case] = {
    "feedforward": case(
        "two readouts that hear neurons and an input; refractory times, a reset value, a neuron "
        "without leak",
        synapses=INTO + OUT,
        readouts=["4.1 1.9 0.05 1.3", "1.6 2.7 -0.04 0.8"],
        **FEEDFORWARD,
    ),
    "one-delay-a-sender": case(
        "whatever a neuron or an input sends arrives at all readouts at once, whose time constants "
        "are three pairs",
        until="6.5",
        neurons=["2.9 1.3 0.0 1.0 0.9 0.0 0.0", "1.7 1.7 0.08 1.2 0.8 -0.1 0.35"],
        inputs=["0.4 0", "0.9 1", "1.8 0", "2.2 1"],
        synapses=[
            *INTO[:4],
            *(
                f"{sender} readout {k} {w} {delay}"
                for sender, delay, weights in (
                    ("neuron 0", "0.25", "0.9 -0.4 0.3"),
                    ("neuron 1", "0.0", "-0.6 0.8 0.5"),
                    ("input 0", "0.5", "0.2 0.5 -0.7"),
                    ("input 1", "0.35", "0.4 -0.3 0.6"),
                )
                for k, w in enumerate(weights.split())
            ),
        ],
        readouts=["4.1 1.9 0.05 1.3", "2.2 2.2 0.0 0.8", "inf 3.1 -0.03 1.1"],
    ),
    "equal-tau": case(
        "readouts with tau_mem = tau_syn, and with nearly that",
        synapses=[*INTO[:4], *(s for s in OUT if "neuron 2" not in s)],
        readouts=["2.3 2.3 0.0 1.0", "3.1 3.1000000031 0.02 1.4"],
        neurons=FEEDFORWARD["neurons"][:2],
        inputs=FEEDFORWARD["inputs"],
    ),
    "infinite-tau": case(
        "readouts without leak, with currents that never end, and with both",
        synapses=[*INTO[:4], *OUT[:2], *OUT[3:], "neuron 1 readout 2 0.3 0.2"],
        readouts=["inf 1.9 0.05 1.3", "2.4 inf 0.03 0.9", "inf inf -0.02 1.1"],
        neurons=FEEDFORWARD["neurons"][:2],
        inputs=FEEDFORWARD["inputs"],
    ),
    "recurrent": case(
        "a loop of two neurons with self-loops, delays, refractory times and bias; everything "
        "begins with a voltage and a current",
        until="6.0",
        neurons=["2.6 2.1 0.09 1.2 0.9 -0.14 0.43", "1.7 0.9 0.17 1.3 0.95 0.18 0.0"],
        inputs=["0.3 0", "1.1 0", "1.9 0", "3.2 0"],
        synapses=[
            "input 0 neuron 0 2.1 0.08",
            "input 0 neuron 1 1.3 0.6",
            "neuron 0 neuron 1 0.9 0.17",
            "neuron 1 neuron 0 0.5 0.41",
            "neuron 0 neuron 0 -0.25 0.3",
            "neuron 1 neuron 1 0.2 0.75",
            "neuron 0 readout 0 0.8 0.2",
            "neuron 1 readout 0 -0.5 0.0",
            "neuron 1 readout 1 0.6 0.45",
        ],
        readouts=["3.3 1.4 0.06 1.2", "1.5 2.2 -0.05 0.7"],
        initial={
            "neurons": [["0.3", "0.25"], ["-0.2", "0.4"]],
            "readouts": [["0.45", "-0.2"], ["-0.15", "0.35"]],
        },
    ),
    "no-neuron": case(
        "readouts of inputs only, the last of which hears nothing",
        inputs=["0.4 0", "1.3 1", "2.2 0", "4.9 1"],
        synapses=[
            "input 0 readout 0 0.9 0.2",
            "input 1 readout 0 -0.4 0.0",
            "input 1 readout 1 0.7 0.55",
        ],
        readouts=["4.1 1.9 0.05 1.3", "1.6 1.6 0.0 0.8", "2.7 1.1 0.07 0.9"],
    ),
    "at-the-end": case(
        "an arrival exactly at the end, and at a time that is read; derivatives are those to "
        "earlier times",
        until="3.0",
        readings=[*READINGS[:4], {"value": "at", "times": ["1.5", "3.0"]}],
        neurons=["2.9 1.3 0.0 1.0 0.9 0.0 0.0"],
        inputs=["0.4 0", "1.25 1", "2.5 1"],
        synapses=[
            "input 0 neuron 0 1.9 0.1",
            "neuron 0 readout 0 0.9 0.25",
            "input 1 readout 0 0.7 0.5",
            "input 1 readout 1 -0.6 0.25",
            "input 1 readout 1 0.8 0.5",
        ],
        readouts=["4.1 1.9 0.0 1.3", "1.6 2.7 0.05 0.8"],
        differences="backward",
    ),
    "maximum-at-start": case(
        "V is highest at 0: it falls from where it begins, or from rest by bias and inhibition",
        neurons=["2.9 1.3 0.0 1.0 0.9 0.0 0.0"],
        inputs=["0.4 0", "1.2 0", "2.9 0"],
        synapses=[
            "input 0 neuron 0 1.9 0.1",
            "neuron 0 readout 0 0.2 0.25",
            "neuron 0 readout 1 -0.7 0.5",
            "input 0 readout 1 -0.3 0.2",
        ],
        readouts=["1.4 1.9 0.0 1.3", "1.6 2.7 -0.05 0.8"],
        initial={"neurons": None, "readouts": [["1.5", "0.0"], ["0.0", "0.0"]]},
        readings=[{"value": "max"}, {"value": "end"}],
    ),
}


def states(given: list[list[str]] | None, count: int) -> list[tuple[mpf, mpf]]:
    return [(mpf(v), mpf(i)) for v, i in given or [["0", "0"]] * count]


def run(c: Case) -> tuple[list[int], list[list[mpf]]]:
    """The neurons that fired, in order; and of each reading what each readout says."""
    neurons = [Neuron.of(**n) for n in c["neurons"]]
    synapses = [(s, mpf(s[4]), mpf(s[5])) for s in c["synapses"]]
    inputs = [(mpf(t), u) for t, u in c["inputs"]]
    until = mpf(c["until"])
    among = [Synapse(s[0], s[1], s[3], w, d) for s, w, d in synapses if s[2] == "neuron"]
    initial = states(c["initial"]["neurons"], len(neurons))
    spikes = simulate(neurons, among, inputs, until, initial).spikes if neurons else []
    sent = {"input": inputs, "neuron": [(t, j) for t, j, _ in spikes]}
    begin = states(c["initial"]["readouts"], len(c["readouts"]))
    said: list[list[mpf]] = [[] for _ in c["readings"]]
    for k, values in enumerate(c["readouts"]):
        arrivals = tuple(
            (t + d, w)
            for s, w, d in synapses
            if s[2] == "readout" and s[3] == k
            for t, unit in sent[s[0]]
            if unit == s[1] and t + d <= until
        )
        n = Listener(*(mpf(values[key]) for key in LISTENER), arrivals, *begin[k])
        for out, reading in zip(said, c["readings"], strict=True):
            scale = mpf(reading.get("time_scale", "inf"))
            for at in reading.get("times", [0]):
                out.append(n.read(reading["value"], until, mpf(at), scale))
    return [j for _, j, _ in spikes], said


def parameters(c: Case) -> Iterator[tuple[str, tuple[Any, ...], int, str]]:
    """Everything that can move: its name, where it stands in the case, which element it is."""
    for name, column in (("weight", 4), ("delay", 5)):
        for k, synapse in enumerate(c["synapses"]):
            yield name, ("synapses", k, column), k, synapse[column]
    for k, spike in enumerate(c["inputs"]):
        yield "input_time", ("inputs", k, 0), k, spike[0]
    for group, keys in (("neurons", NEURON), ("readouts", LISTENER)):
        for key in keys:
            for k, values in enumerate(c[group]):
                yield f"{group}.{key}", (group, k, key), k, values[key]


def stencil(c: Case, name: str, value: str) -> dict[int, int]:
    """How a parameter moves: an infinite one not at all, a time of 0 to one side only."""
    if value == "inf":
        return {}
    if mpf(value) == 0 and name in ("delay", "neurons.t_refractory"):
        return {-k: -weight for k, weight in BACKWARD.items()}
    return BACKWARD if c.get("differences") == "backward" else CENTRAL


def derivatives(c: Case, pattern: list[int]) -> dict[str, list[list[list[str | None]]]]:
    """By name, ``[reading][value][element]``; null by an infinite constant."""
    out: dict[str, list[list[list[str | None]]]] = {}
    for name, (*path, last), k, value in parameters(c):
        total = [[mpf(0)] * len(row) for row in c["values"]]
        steps = stencil(c, name, value)
        for step, weight in steps.items():
            moved = deepcopy(c)
            part: Any = moved
            for key in path:
                part = part[key]
            part[last] = mpf(value) + step * STEP
            fired, said = run(moved)
            assert fired == pattern, (name, k)
            for row, more in zip(total, said, strict=True):
                row[:] = [a + weight * b for a, b in zip(row, more, strict=True)]
        columns = out.setdefault(name, [[[] for _ in row] for row in total])
        for of, row in zip(columns, total, strict=True):
            for elements, x in zip(of, row, strict=True):
                elements.append(digits(x / (12 * STEP)) if steps else None)
    return out


def digits(x: mpf) -> str:
    return "0.0" if abs(x) < mpf(10) ** -30 else mp.nstr(x, 25)


def main(folder: Path, *names: str) -> None:
    with mp.workdps(DIGITS):
        for name in names or CASES:
            c = CASES[name]
            pattern, said = run(c)
            c["fired"] = pattern
            c["values"] = [[digits(x) for x in row] for row in said]
            c["derivatives"] = derivatives(c, pattern)
            text = json.dumps({"name": name, **c}, indent=1)
            (folder / f"{name}.json").write_text(compact(text) + "\n", encoding="utf-8")


def compact(text: str) -> str:
    """Innermost lists and tables on one line, and no line of brackets alone."""
    text = re.sub(r"\[[^\[\]{}]*\]|\{[^\[\]{}]*\}", lambda m: " ".join(m.group().split()), text)
    text = re.sub(r"([\[{])\s+", r"\1", text)
    return re.sub(r"\s+([\]}])", r"\1", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
