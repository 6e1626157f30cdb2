"""Golden cases of readouts, whole networks: see tests/golden/README.md for what a red test means."""

import json
from pathlib import Path

import numpy as np
import pytest
import snnfp
from mpmath import mp
from networks import quiet
from reference.readout_cases import CASES as CASES_OF_COMMAND
from reference.readout_cases import DIGITS, digits, run

CASES = sorted((Path(__file__).parents[1] / "golden" / "readouts").glob("*.json"))
# Of what is read, and of each derivative, to the largest number of the same kind.
VALUES, DERIVATIVES = 1e-14, 1e-12


def numbers(given):
    """Of a list of decimals; nan where there is none."""
    return np.array(given, dtype=np.float64)


class Joined:
    """Some synapses as a projection, and where each of the file's numbers is in its parameters.

    Dense where asked for and no two synapses join the same: those that are not in the file have a
    weight of 0, and what a sender has one delay for is one parameter.
    """

    def __init__(self, rows, n_source, n_target, dense):
        sources, targets = (np.array([r[k] for r in rows]) for k in (1, 3))
        weight, delay = (np.array([r[k] for r in rows], dtype=float) for k in (4, 5))
        place = sources * n_target + targets
        if not dense or np.unique(place).size < place.size:
            self.at = dict.fromkeys(("weight", "delay"), np.arange(len(rows)))
            self.kind = snnfp.Sparse(sources=sources, targets=targets, weight=weight, delay=delay)
            return
        weights, delays = np.zeros((2, n_source, n_target))
        weights[sources, targets] = weight
        delays[sources, targets] = delay
        self.at = {"weight": place, "delay": place}
        a_sender = np.zeros((n_source, 1))
        a_sender[sources, 0] = delay
        if np.array_equal(a_sender[sources, 0], delay):
            delays, self.at["delay"] = a_sender, sources
        self.kind = snnfp.Dense(weight=weights, delay=delays)


class Case:
    """A network with its input, and where each number of the file is in it.

    Args:
        path: of the file.
        apart: a readout group for each of them, which go through other loops than several in one.
        dense: projections are where they can be.
    """

    def __init__(self, path, apart, dense):
        self.data = data = json.loads(path.read_text())
        self.names = {}  # of a parameter: its key in the file, elements there, and where they are
        synapses = data["synapses"]
        channels = 1 + max(max(u for _, u in data["inputs"]), max(s[1] for s in synapses))
        net = self.net = snnfp.Network()
        net.input(channels, name="input")
        sizes = {"input": channels, "neuron": len(data["neurons"])}
        if data["neurons"]:
            net.population(len(data["neurons"]), self.neuron(snnfp.LIF, "neurons"), name="neuron")
        each = range(len(data["readouts"]))
        self.groups = groups = [[k] for k in each] if apart else [list(each)]
        for g, members in enumerate(groups):
            net.readout(len(members), self.neuron(snnfp.LI, "readouts", members, g), name=f"r{g}")
        into = [("neuron", "neuron", None)] + [
            ("readout", f"r{g}", m) for g, m in enumerate(groups)
        ]
        for source in ("input", "neuron"):
            for kind, target, members in into:
                rows = [
                    (k, [s[0], s[1], s[2], members.index(s[3]) if members else s[3], *s[4:]])
                    for k, s in enumerate(synapses)
                    if s[0] == source and s[2] == kind and (members is None or s[3] in members)
                ]
                if not rows:
                    continue
                n_target = len(members) if members else sizes["neuron"]
                joined = Joined([s for _, s in rows], sizes[source], n_target, dense)
                name = net.connect(source, target, joined.kind).name
                for key, at in joined.at.items():
                    self.names[f"{name}.{key}"] = (key, [k for k, _ in rows], at)
        times = np.array([float(t) for t, _ in data["inputs"]])
        units = np.array([u for _, u in data["inputs"]])
        self.names["input.times"] = ("input_time", list(range(times.size)), np.arange(times.size))
        self.spikes = snnfp.Spikes.from_pairs([(times, units)], size=channels)

    def neuron(self, model, kind, members=None, group=0):
        given = self.data[kind]
        members = list(range(len(given))) if members is None else members
        name = "neuron" if kind == "neurons" else f"r{group}"
        keys = given[0].keys()
        at = np.arange(len(members))
        self.names |= {f"{name}.{key}": (f"{kind}.{key}", members, at) for key in keys}
        return model(**{k: np.array([float(given[m][k]) for m in members]) for k in keys})

    def record(self):
        initial = {}
        for kind, groups in (("neurons", None), ("readouts", self.groups)):
            given = self.data["initial"][kind]
            if given is None:
                continue
            for g, members in enumerate(groups or [range(len(given))]):
                state = np.array([given[m] for m in members], dtype=float)
                name = f"r{g}" if groups else "neuron"
                initial[name] = (state[:, 0], state[:, 1])
        until = float(self.data["until"])
        return quiet(self.net, self.spikes, until=until, initial=initial)

    def expected(self, name, reading, value, size):
        """The derivatives by a parameter, nan where the file has none, and 0 by what it has not."""
        if name not in self.names:
            return np.zeros(size)
        key, elements, at = self.names[name]
        wanted = np.full(size, np.nan)
        wanted[at] = 0.0
        np.add.at(wanted, at, numbers(self.data["derivatives"][key][reading][value])[elements])
        return wanted

    def readings(self):
        """Each with the readouts that it reads, and where its values are in the file."""
        for r, asked in enumerate(self.data["readings"]):
            times = tuple(float(t) for t in asked.get("times", ()))
            scale = asked.get("time_scale")
            for g, members in enumerate(self.groups):
                reading = snnfp.Reading(
                    f"r{g}", asked["value"], times or None, float(scale) if scale else None
                )
                # In the file a reading has its times of one readout after those of another.
                n = max(1, len(times))
                at = np.array([[m * n + t for m in members] for t in range(n)])
                yield reading, r, at.reshape(-1)


@pytest.fixture(params=["together", "apart", "together, dense", "apart, dense"])
def case(request, path):
    return Case(path, "apart" in request.param, "dense" in request.param)


by_case = pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)


def test_all_cases_are_there():
    assert len(CASES) == 8
    assert sum(len(json.loads(p.read_text())["readings"]) for p in CASES) == 7 * 5 + 2


@by_case
def test_values(case):
    record = case.record()
    assert record.neurons.tolist() == case.data["fired"]
    for reading, r, at in case.readings():
        wanted = numbers(case.data["values"][r])
        found = record.readout(reading).reshape(-1)
        assert np.all(np.abs(found - wanted[at]) <= VALUES * np.max(np.abs(wanted))), reading


def close(found, wanted, where):
    """But where there is no derivative, by infinite constants and synapses that are not there."""
    assert found.shape == wanted.shape, where
    assert np.all(np.isfinite(found)), where
    there = np.isfinite(wanted)
    if "tau" in where[-1]:
        assert not np.any(found[~there]), where
    found, wanted = found[there], wanted[there]
    apart = np.max(np.abs(found - wanted), initial=0.0)
    assert apart <= DERIVATIVES * max(1.0, np.max(np.abs(wanted), initial=0.0)), where


@by_case
def test_derivatives(case):
    """Of every value by everything: both modes of vjp, the Jacobian, and along each direction."""
    record = case.record()
    checked = 0
    for reading, r, at in case.readings():
        jacobian = record.jacobian(of=reading, wrt="*")
        assert set(jacobian) == set(case.net.select("*"))
        shape = record.readout(reading).shape
        for v, where in enumerate(at):
            one = np.zeros(shape)
            one.reshape(-1)[v] = 1.0
            reverse = record.vjp({reading: one}, wrt="*")
            forward = record.vjp({reading: one}, wrt="*", mode="forward")
            for name, found in jacobian.items():
                rows = found.reshape(at.size, -1)
                wanted = case.expected(name, r, where, rows.shape[1])
                for row in (rows[v], reverse[name].reshape(-1), forward[name].reshape(-1)):
                    close(row, wanted, (reading, v, name))
                    checked += 1
        for name in jacobian:
            along = record.readout_jvp(reading, tangents={name: np.ones(reverse[name].shape)})
            total = jacobian[name].reshape(at.size, -1).sum(axis=1)
            close(along.reshape(-1), total, (reading, name))
    values = sum(len(v) for v in case.data["values"])
    assert checked == 3 * values * len(case.net.select("*"))


def test_no_derivative_is_missing():
    """But by infinite constants, and those are few."""
    missing = there = 0
    for path in CASES:
        for rows in json.loads(path.read_text())["derivatives"].values():
            found = np.concatenate([numbers(values).reshape(-1) for values in rows])
            missing += np.count_nonzero(np.isnan(found))
            there += np.count_nonzero(np.isfinite(found))
    assert 0 < 20 * missing < there


@by_case
def test_the_files_are_those_of_the_command(path):
    """The networks of ``reference.readout_cases``, and what its simulation reads off some."""
    data = json.loads(path.read_text())
    case = json.loads(json.dumps(CASES_OF_COMMAND[path.stem]))
    assert data | case == data
    if len(data["fired"]) > 8:  # slow
        return
    with mp.workdps(DIGITS):
        fired, said = run(case)
        assert fired == data["fired"]
        assert [[digits(x) for x in row] for row in said] == data["values"]
