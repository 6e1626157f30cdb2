"""snnfp.h: from C with CMake and with pkg-config, and from ctypes; the same numbers as in Python."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_void_p
from pathlib import Path

import numpy as np
import pytest
import snnfp
from cpp_build import build, configure, run
from pages import output_after

CMAKE = """cmake_minimum_required(VERSION 3.25)
project(simulator LANGUAGES C CXX)
find_package(snnfp 0.1 REQUIRED)
add_executable(simulator main.c)
target_link_libraries(simulator PRIVATE snnfp::snnfp m)
"""


@pytest.fixture(scope="module")
def page(repository):
    """The program of the guide and what it prints."""
    program, printed = output_after(repository / "docs" / "c.md", "c")
    return program.text, printed


def test_with_cmake(page, cpp_library, tmp_path):
    program, printed = page
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    (tmp_path / "main.c").write_text(program)
    configure(tmp_path, tmp_path / "build", CMAKE_PREFIX_PATH=cpp_library.prefix)
    build(tmp_path / "build")
    assert run(tmp_path / "build" / "simulator", timeout=60) == printed


def pkg_config(prefix: Path) -> list[str]:
    """What pkg-config would say, from the file itself where it is not installed."""
    (file,) = prefix.rglob("snnfp.pc")
    if shutil.which("pkg-config"):
        found = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "snnfp"],
            *(),
            env={"PKG_CONFIG_PATH": str(file.parent), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return found.split()
    text = file.read_text().replace("${pcfiledir}", str(file.parent))
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        text = text.replace(f"${{{name}}}", value)
    return " ".join(re.findall(r"^(?:Cflags|Libs): (.*)$", text, re.MULTILINE)[::-1]).split()


@pytest.mark.parametrize("kind", ["static", "shared"])
def test_with_pkg_config(page, kind, request, tmp_path):
    prefix = (
        request.getfixturevalue("cpp_library").prefix
        if kind == "static"
        else request.getfixturevalue("shared_library")
    )
    program, printed = page
    (tmp_path / "main.c").write_text(program)
    compiled = tmp_path / "main"
    strict = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    said = pkg_config(prefix)
    rpath = f"-Wl,-rpath,{next(iter(prefix.rglob('libsnnfp.*'))).parent}"
    run("gcc", *strict, tmp_path / "main.c", *said, rpath, "-lm", "-o", compiled)
    assert run(compiled, timeout=60) == printed
    assert (b"libsnnfp.so" in compiled.read_bytes()) == (kind == "shared")


def test_ctypes_example(shared_library, repository):
    (library,) = shared_library.rglob("libsnnfp.so")
    _, printed = output_after(repository / "README.md", "cpp")
    example = repository / "cpp" / "examples" / "from_python.py"
    assert run(sys.executable, example, library, timeout=60) == printed


# -- every function, by ctypes ---------------------------------------------------------------------


class Spikes(ctypes.Structure):
    _fields_ = [
        ("times", POINTER(c_double)),
        ("units", POINTER(c_int32)),
        ("offsets", POINTER(c_int64)),
        ("samples", c_int64),
    ]


class Parameter(ctypes.Structure):
    _fields_ = [("kind", c_int32), ("index", c_int32), ("neuron", c_int32)]


POLL = ctypes.CFUNCTYPE(c_int32, c_void_p)


class Options(ctypes.Structure):
    _fields_ = [
        ("until", c_double),
        ("samples", c_int64),
        ("spike_limit", c_int64),
        ("first_spikes_of", POINTER(c_int32)),
        ("stop_after", POINTER(c_int32)),
        ("first_spikes_of_count", c_int32),
        ("stop_after_count", c_int32),
        ("n_threads", c_int32),
        ("poll", POLL),
        ("context", c_void_p),
    ]


NAMES = ("OK", "INVALID", "EVENT_LIMIT", "CLOCK", "RECORDED", "NO_MEMORY", "STOPPED", "FAILED")


class Failure(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{NAMES[status]}: {message}")


def pointer(array, kind):
    return array.ctypes.data_as(POINTER(kind)) if array is not None else None


class C:
    """The interface, with Python's numbers and NumPy's arrays for arguments."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.snnfp_last_error.restype = c_char_p
        self.library.snnfp_version.restype = c_char_p
        self.called: set[str] = set()

    def __call__(self, name, *arguments):
        self.called.add(name)
        status = getattr(self.library, name)(*arguments)
        if status:
            raise Failure(status, self.library.snnfp_last_error().decode())

    def new(self, name, *arguments, kind=c_int32):
        made = kind()
        self(name, *arguments, byref(made))
        return made if kind is c_void_p else made.value


def doubles(values):
    a = np.ascontiguousarray(values, dtype=np.float64).ravel()
    return pointer(a, c_double), c_int64(a.size)


@pytest.fixture(scope="module")
def c(shared_library):
    (library,) = shared_library.rglob("libsnnfp.so")
    return C(library)


class Example:
    """One network, in C and in Python: every kind of projection, delay and neuron parameter."""

    def __init__(self, c: C) -> None:
        self.c = c
        rng = np.random.default_rng(3)
        self.dense = rng.uniform(1.0, 4.0, (3, 4))
        self.offsets = np.array([0, 2, 3, 3, 4], np.int64)
        self.targets = np.array([0, 1, 1, 0], np.int32)
        self.shared = np.array([2.0, 3.0])
        self.weight_of = np.array([0, 1, 1, -1], np.int32)
        self.own = rng.uniform(0.1, 0.4, 2)
        self.threshold = np.array([1.0, 1.1, 0.9, 1.2])
        self.times = np.sort(rng.uniform(0, 2, 12).reshape(2, 6)).ravel()
        self.units = rng.integers(0, 3, 12).astype(np.int32)
        self.in_sample = np.array([0, 6, 12], np.int64)
        self.make()

    def make(self) -> None:
        c = self.c
        self.net = c.new("snnfp_network_new", kind=c_void_p)
        self.x = c.new("snnfp_add_input", self.net, b"x", 3)
        add = ("snnfp_add_population", self.net)
        self.h = c.new(*add, b"h", 4, c_double(2), c_double(1), c_int64(3))
        self.y = c.new(*add, b"y", 2, c_double(3), c_double(1.5), c_int64(0))
        between = (self.net, self.x, self.h)
        self.first = c.new(
            *("snnfp_connect_dense", *between, *doubles(self.dense), *doubles([0.1]), None)
        )
        self.second = c.new(
            *("snnfp_connect_sparse", self.net, self.h, self.y, pointer(self.offsets, c_int64)),
            *(pointer(self.targets, c_int32), *doubles(self.shared)),
            *(pointer(self.weight_of, c_int32), *doubles([0.2]), b"second"),
        )
        self.third = c.new(
            *("snnfp_connect_one_to_one", self.net, self.y, self.y, *doubles([-0.5])),
            *(*doubles([0.3]), None),
        )
        c("snnfp_set_neuron", self.net, self.h, 2, *doubles(self.threshold))
        c("snnfp_set_neuron", self.net, self.y, 0, *doubles([3.0, 3.0]))  # derivatives one each
        c("snnfp_set_delay", self.net, self.first, 2, *doubles(np.linspace(0.1, 0.4, 4)))
        c("snnfp_set_weight", self.net, self.third, *doubles([-0.25, -0.5]))

    def input(self):
        return Spikes(
            *(pointer(self.times, c_double), pointer(self.units, c_int32)),
            *(pointer(self.in_sample, c_int64), 2),
        )

    def options(self, **values):
        options = Options()
        self.c.library.snnfp_options_init(byref(options))
        self.c.called.add("snnfp_options_init")
        for name, value in {"until": 6.0, **values}.items():
            setattr(options, name, value)
        return options

    def simulate(self, **values):
        options = self.options(**values)
        return self.c.new(
            *("snnfp_simulate", self.net, byref(self.input()), 1, byref(options)), kind=c_void_p
        )

    def spikes(self, record):
        spikes = Spikes()
        self.c("snnfp_record_spikes", record, byref(spikes))
        n = spikes.offsets[spikes.samples]
        as_array = np.ctypeslib.as_array
        return (
            as_array(spikes.times, (n,)).copy(),
            as_array(spikes.units, (n,)).copy(),
            as_array(spikes.offsets, (spikes.samples + 1,)).copy(),
        )

    def wrt(self):
        kinds = [
            (1, self.first, 0),
            (1, self.second, 0),
            (2, self.first, 0),
            (0, self.h, 2),
            (0, self.y, 0),
            (3, self.x, 0),
        ]
        return (Parameter * len(kinds))(*(Parameter(*k) for k in kinds)), len(kinds)

    def close(self, record=None) -> None:
        self.c.library.snnfp_record_free(record)
        self.c.library.snnfp_network_free(self.net)


@pytest.fixture
def example(c):
    made = Example(c)
    yield made
    made.close()


WRT = ("x_to_h.weight", "second.weight", "x_to_h.delay", "h.threshold", "y.tau_mem", "x.times")


def in_python(example):
    net = snnfp.Network()
    x = net.input(3, name="x")
    h = net.population(
        *(4, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, threshold=example.threshold)),
        name="h",
        max_spikes=3,
    )
    y = net.population(2, snnfp.LIF(tau_mem=[3.0, 3.0], tau_syn=1.5), name="y")
    delay = np.linspace(0.1, 0.4, 4)[None]  # one a target neuron
    net.connect(x, h, snnfp.Dense(weight=example.dense, delay=delay))
    # The shared weights one by one: their derivatives are added up by the test.
    weight = example.shared[example.weight_of[:3]]
    net.connect(
        *(h, y),
        snnfp.Sparse(sources=[0, 0, 1], targets=[0, 1, 1], weight=weight, delay=0.2),
        name="second",
    )
    net.connect(y, y, snnfp.OneToOne(weight=[-0.25, -0.5], delay=0.3))
    spikes = snnfp.Spikes(example.times, example.units, example.in_sample, size=3)
    return snnfp.simulate(net, spikes, until=6.0)


def test_same_as_in_python(example, c):
    record, expected = example.simulate(), in_python(example)
    times, neurons, offsets = example.spikes(record)
    assert times.size > 15 and set(neurons) == {0, 1, 2, 3, 4, 5}
    assert np.array_equal(times, expected.times)
    assert np.array_equal(offsets, expected.offsets)

    wrt, n = example.wrt()
    layout = np.zeros(n + 1, np.int64)
    c("snnfp_layout", record, wrt, n, pointer(layout, c_int64))
    assert np.array_equal(np.diff(layout), [12, 2, 4, 4, 2, 12])
    rng = np.random.default_rng(1)
    cotangents = rng.normal(size=times.size)
    gradient = np.zeros(layout[-1])
    c("snnfp_vjp", record, *doubles(cotangents), wrt, n, 1, *doubles(gradient))
    found = np.split(gradient, layout[1:-1])
    want = expected.vjp(cotangents, wrt=WRT)
    one_by_one = want["second.weight"]
    want["second.weight"] = np.array([one_by_one[0], one_by_one[1] + one_by_one[2]])
    for name, value in zip(WRT, found, strict=True):
        np.testing.assert_allclose(value, np.ravel(want[name]), rtol=1e-12, atol=1e-15)

    rows = np.arange(times.size, dtype=np.int64)
    jacobian = np.zeros((times.size, layout[-1]))
    c(
        *("snnfp_jacobian", record, pointer(rows, c_int64), c_int64(rows.size), wrt, n, 1),
        *doubles(jacobian),
    )
    np.testing.assert_allclose(cotangents @ jacobian, gradient, rtol=1e-10, atol=1e-12)
    tangents, along = rng.normal(size=layout[-1]), np.zeros(times.size)
    c("snnfp_jvp", record, *doubles(tangents), wrt, n, 1, *doubles(along))
    np.testing.assert_allclose(along, jacobian @ tangents, rtol=1e-10, atol=1e-12)
    example.c.library.snnfp_record_free(record)


def test_what_is_read_off_a_record(example, c):
    record, expected = example.simulate(), in_python(example)
    times, neurons, _ = example.spikes(record)
    assert c.new("snnfp_first_neuron", record, example.y) == 4
    first = np.zeros((2, 2), np.int64)
    c("snnfp_first_spikes", record, example.y, pointer(first, c_int64), c_int64(4))
    table = np.where(first < 0, np.inf, times[first])
    assert np.array_equal(table, expected.first_spikes("y"))
    at, who = np.array([0.5, 1.5]), np.array([0, 5], np.int32)
    voltages = np.zeros((2, 2, 2))
    c(
        *("snnfp_voltages", record, pointer(who, c_int32), c_int64(2), *doubles(at)),
        *doubles(voltages),
    )
    for k, (population, unit) in enumerate([("h", 0), ("y", 1)]):
        probed = expected.probe(population, at, units=[unit]).voltage
        assert np.array_equal(voltages[:, k], probed.reshape(2, 2))

    _, _, offsets = example.spikes(record)
    recorded = Spikes(
        *(pointer(times, c_double), pointer(neurons, c_int32), pointer(offsets, c_int64), 2)
    )
    again = c.new(
        *("snnfp_record_from_spikes", example.net, byref(example.input()), 1, byref(recorded)),
        *(c_double(1e-9), byref(example.options())),
        kind=c_void_p,
    )
    assert np.array_equal(example.spikes(again)[0], times)
    times[0] *= 0.5
    with pytest.raises(Failure, match=r"^RECORDED: "):
        c.new(
            *("snnfp_record_from_spikes", example.net, byref(example.input()), 1),
            *(byref(recorded), c_double(1e-9), byref(example.options())),
            kind=c_void_p,
        )
    for made in (record, again):
        c.library.snnfp_record_free(made)


def test_samples_end_early(example):
    h = np.array([example.h], np.int32)
    early = {"stop_after": pointer(h, c_int32), "stop_after_count": 1}
    only = {"first_spikes_of": pointer(h, c_int32), "first_spikes_of_count": 1}
    records = [example.simulate(), example.simulate(**early), example.simulate(**only)]
    all_of, stopped, first = (example.spikes(r)[0].size for r in records)
    assert stopped < first < all_of
    for record in records:
        example.c.library.snnfp_record_free(record)


def test_a_record_outlives_its_network(example, c):
    record = example.simulate()
    before = example.spikes(record)[0]
    c("snnfp_set_weight", example.net, example.first, *doubles([0.0]))
    assert np.array_equal(example.spikes(record)[0], before)
    c.library.snnfp_record_free(record)


def test_errors_name_what_is_wrong(example, c):
    net, h, first = example.net, example.h, example.first
    record = example.simulate()
    n = example.spikes(record)[0].size
    wrt, count = example.wrt()
    out = np.zeros(36)
    bad_input = example.input()
    bad_input.samples = -1
    number = c_int32()
    cases = {
        r"network is NULL": ("snnfp_add_input", None, b"x", 1, byref(number)),
        r"group is NULL": ("snnfp_add_input", net, b"z", 1, None),
        r"name is NULL": ("snnfp_add_input", net, None, 1, byref(number)),
        r"the name of input x is taken": ("snnfp_add_input", net, b"x", 1, byref(number)),
        r"group is 9, expected 0 <= group < 3": (
            *("snnfp_set_neuron", net, 9, 0),
            *doubles([1.0]),
        ),
        r"group is 0, the input group 'x', expected a population": (
            *("snnfp_set_neuron", net, 0, 0),
            *doubles([1.0]),
        ),
        r"parameter is 7, expected": ("snnfp_set_neuron", net, h, 7, *doubles([1.0])),
        r"h.tau_mem\[0\] is -1": ("snnfp_set_neuron", net, h, 0, *doubles([-1.0])),
        r"values is NULL, expected 2 values": ("snnfp_set_weight", net, first, None, c_int64(2)),
        r"values has -2 values": ("snnfp_set_weight", net, first, None, c_int64(-2)),
        r"x_to_h.weight has 2 values": ("snnfp_set_weight", net, first, *doubles([1.0, 2.0])),
        r"projection is 77": ("snnfp_set_weight", net, 77, *doubles([1.0])),
        r"per is 5, expected": ("snnfp_set_delay", net, first, 5, *doubles([1.0])),
        r"inputs\[0\]\.samples is -1": (
            *("snnfp_simulate", net, byref(bad_input), 1, None),
            byref(c_void_p()),
        ),
        r"record is NULL": ("snnfp_simulate", net, byref(example.input()), 1, None, None),
        r"gradient has room for 35 values, expected 36": (
            *("snnfp_vjp", record, *doubles(np.ones(n)), wrt, count, 1),
            *(pointer(out, c_double), c_int64(35)),
        ),
        r"wrt\[0\]\.kind is 4, expected": (
            *("snnfp_layout", record, byref(Parameter(4, 0, 0)), 1),
            pointer(np.zeros(2, np.int64), c_int64),
        ),
        r"wrt\[0\]\.index is 1, the population 'h', expected an input": (
            *("snnfp_layout", record, byref(Parameter(3, 1, 0)), 1),
            pointer(np.zeros(2, np.int64), c_int64),
        ),
    }
    for expected, call in cases.items():
        with pytest.raises(Failure, match=rf"^INVALID: .*{expected}"):
            c(*call)
    assert len(cases) == 18
    assert np.array_equal(example.spikes(record)[0], in_python(example).times)
    c.library.snnfp_record_free(record)


def test_other_statuses(example):
    with pytest.raises(Failure, match=r"^EVENT_LIMIT: .*spike"):
        example.simulate(spike_limit=1)

    @POLL
    def stop(context):
        return 1

    with pytest.raises(Failure, match=r"^STOPPED: "):
        example.simulate(poll=stop, until=1e4, spike_limit=10**9, n_threads=1)
    example.times[:] = np.linspace(1e18, 1.1e18, 12)
    with pytest.raises(Failure, match=r"^CLOCK: "):
        example.simulate(until=np.inf)


def test_every_function_was_called(c, repository):
    """By the tests above: what the header declares, nothing left out."""
    header = (repository / "cpp/include/snnfp/snnfp.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^SNNFP_EXPORT [\w *]*?(snnfp_\w+)\(", header, re.MULTILINE))
    freed = {"snnfp_network_free", "snnfp_record_free", "snnfp_last_error", "snnfp_version"}
    assert len(declared) >= 24
    assert declared - freed == c.called
    assert c.library.snnfp_version().decode() == snnfp.__version__
