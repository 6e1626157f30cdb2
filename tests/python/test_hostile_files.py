"""Model files and checkpoints made to hurt: a FormatError, and nothing is taken."""

import copy
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import snnfp
from networks import quiet
from snnfp._model_files import take_parameters
from snnfp.checkpoint import ArrayFile, load_arrays, parse_json, save_arrays
from snnfp.errors import FormatError

pytest.importorskip("safetensors")


def network(value=1.5, dtype=np.float64):
    net = snnfp.Network(dtype=dtype)
    x = net.input(3)
    h = net.population(4, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, v_reset=-0.1), name="h")
    net.connect(x, h, snnfp.Dense(weight=np.full((3, 4), value), delay=0.1))
    net.connect(
        h,
        h,
        snnfp.Sparse(sources=[3, 0, 1], targets=[0, 2, 1], weight=[value, -0.2, 0.3], delay=0.2),
    )
    return net


SPIKES = snnfp.Spikes([0.1, 0.2, 0.4, 0.5, 0.6], [0, 1, 2, 0, 1], [0, 5], size=3)


def state(net):
    """What a network computes, of the arrays that Python holds and of those of the core."""
    record = quiet(net, SPIKES, until=6.0)
    gradient = record.vjp(np.cos(np.arange(record.n_spikes)), wrt="*")
    values = (net.flatten("*"), record.times, *(gradient[name] for name in sorted(gradient)))
    assert record.n_spikes > 4
    return [v.tobytes() for v in values]


class File:
    """A model file in parts, to be put together wrongly."""

    def __init__(self, path, net):
        net.save(path)
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        self.path, self.header, self.body = path, json.loads(data[8:end]), data[end:]

    def write(self, header=None, body=None):
        text = header if isinstance(header, bytes) else json.dumps(header or self.header).encode()
        self.path.write_bytes(len(text).to_bytes(8, "little") + text + (body or self.body))

    def text(self, **changes):
        header = copy.deepcopy(self.header)
        header["__metadata__"].update(changes)
        self.write({k: v for k, v in header.items() if v is not None})

    def entry(self, name, **changes):
        header = copy.deepcopy(self.header)
        header[name].update(changes)
        self.write(header)

    def values(self, name, value):
        begin, end = self.header[name]["data_offsets"]
        array = np.frombuffer(self.body[begin:end], np.float64).copy()
        array[-1] = value
        self.write(body=self.body[:begin] + array.tobytes() + self.body[end:])


WEIGHT = "input_to_h.weight"
OTHER = {"fingerprint": "0"}
HOSTILE = {
    "stored as I64": (lambda f: f.entry(WEIGHT, dtype="I64"), f"{WEIGHT} has dtype int64"),
    "stored as U64": (lambda f: f.entry("h.bias", dtype="U64"), "h.bias has dtype uint64"),
    "stored as C64": (lambda f: f.entry(WEIGHT, dtype="C64"), WEIGHT),
    "stored as bytes": (lambda f: f.entry(WEIGHT, dtype="U8", shape=[96]), r"\(96,\), expected"),
    "stored as F32": (lambda f: f.entry(WEIGHT, dtype="F32", shape=[3, 8]), r"\(3, 8\), expected"),
    "stored as BF16": (lambda f: f.entry(WEIGHT, dtype="BF16", shape=[3, 16]), "expected"),
    "stored as F8_E4M3": (
        lambda f: f.entry(WEIGHT, dtype="F8_E4M3", shape=[96]),
        "expected|float8",
    ),
    "stored as F8_E5M2": (
        lambda f: f.entry(WEIGHT, dtype="F8_E5M2", shape=[96]),
        "expected|float8",
    ),
    "stored as F8_E8M0": (
        lambda f: f.entry(WEIGHT, dtype="F8_E8M0", shape=[96]),
        "expected|float8",
    ),
    "stored as F4": (lambda f: f.entry(WEIGHT, dtype="F4", shape=[192]), "expected|float4"),
    "turned": (lambda f: f.entry(WEIGHT, shape=[4, 3]), r"has shape \(4, 3\), expected \(3, 4\)"),
    "nan": (lambda f: f.values(WEIGHT, np.nan), r"input_to_h.weight\[2, 3\] is nan"),
    "nan of one for all": (lambda f: f.values("h.tau_syn", np.nan), "h.tau_syn is nan"),
    "nan of a sparse one": (lambda f: f.values("h_to_h.weight", np.nan), r"weight\[2\] is nan"),
    "inf": (lambda f: f.values("h_to_h.weight", np.inf), "h_to_h.weight.* is inf"),
    "negative delay": (lambda f: f.values("h_to_h.delay", -1.0), "h_to_h.delay.* is -1"),
    "no time constant": (lambda f: f.values("h.tau_mem", 0.0), "h.tau_mem.* is 0"),
    "reset over threshold": (lambda f: f.values("h.v_reset", 1.0), "expected a value above"),
    "another network": (lambda f: f.text(**OTHER), "the file does not say where"),
    "no structure": (lambda f: f.write({**f.header, "__metadata__": OTHER}), "does not say which"),
    "no text": (lambda f: f.write({k: v for k, v in f.header.items() if k[0] != "_"}), "not say"),
    "structure list": (lambda f: f.text(structure="[1, 2]", **OTHER), "does not say which"),
    "structure text": (lambda f: f.text(structure='"abc"', **OTHER), "does not say which"),
    "structure null": (lambda f: f.text(structure="null", **OTHER), "does not say which"),
    "structure deep": (lambda f: f.text(structure="[" * 100_000, **OTHER), "does not say which"),
    "structure odd": (lambda f: f.text(structure='{"dtype": {}}', **OTHER), "dtype there: {}"),
    "structure long": (
        lambda f: f.text(structure=json.dumps({"dtype": "x" * 9999}), **OTHER),
        "dtype there: x{300} ..., here: float64$",
    ),
    "long header": (
        lambda f: f.write(json.dumps(f.header).encode().ljust(2**24 + 8)),
        "its header has 16777224 bytes, expected at most 16777216",
    ),
    "deep header": (lambda f: f.write(b"[" * 50_000), "not a whole safetensors file"),
    "training text": (lambda f: f.text(training="x"), "'training' in the header is not JSON"),
    "training list": (lambda f: f.text(training="[1]"), "is not a training checkpoint"),
    "training deep": (lambda f: f.text(training="[" * 200_000), "is not JSON: maximum recursion"),
    "training number": (lambda f: f.text(training='{"epoch":' + "9" * 6000 + "}"), "is not JSON"),
    "training twice": (lambda f: f.text(training='{"a": 1, "a": 2}'), "'a' is there twice"),
    "training many": (lambda f: f.text(training="[" + "0," * 2**20 + "0]"), "more than 1048576"),
    "no group": (lambda f: f.text(training="{}"), "the file lacks parameter h.bias"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model_files(tmp_path, name):
    make, message = HOSTILE[name]
    make(File(tmp_path / "model", network(2.0)))
    net = network()
    before = state(net)
    with pytest.raises(FormatError, match=rf"{re.escape(str(tmp_path / 'model'))}.*{message}"):
        net.load(tmp_path / "model")
    assert state(net) == before


def test_the_files_that_the_hostile_ones_are_made_of(tmp_path):
    file = File(tmp_path / "model", network(2.0))
    net = network()
    for write in (file.write, lambda: file.text(more="text"), lambda: file.values(WEIGHT, 2.0)):
        write()
        net.load(tmp_path / "model")
        assert state(net) == state(network(2.0))
        net = network()


def test_another_precision(tmp_path):
    network(dtype=np.float32).save(tmp_path / "single")
    with pytest.raises(FormatError, match="dtype there: float32, here: float64"):
        network().load(tmp_path / "single")
    arrays, _ = load_arrays(tmp_path / "single")
    network().save(tmp_path / "double")
    save_arrays(tmp_path / "mixed", arrays, load_arrays(tmp_path / "double")[1])
    with pytest.raises(FormatError, match=r"h\.bias has dtype float32, expected float64"):
        network().load(tmp_path / "mixed")


def test_equal_networks_give_equal_bytes(tmp_path):
    """Saved twice by one process, and by others."""
    text = """
import sys
from test_hostile_files import network
network().save(sys.argv[1])
"""
    for k in range(3):
        network().save(tmp_path / f"mine{k}")
        subprocess.run([sys.executable, "-c", text, str(tmp_path / f"other{k}")], check=True,
                       cwd=os.path.dirname(__file__))  # fmt: skip
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    many = {f"key{k}": str(k) for k in range(20)}
    for order in (1, -1):
        arrays = {f"a{k}": np.full(k, k) for k in range(20)[::order]}
        save_arrays(tmp_path / str(order), arrays, dict(list(many.items())[::order]))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "-1").read_bytes()
    assert load_arrays(tmp_path / "1")[1] == many


def trained(path):
    net = network()
    snnfp.fit(
        net,
        (snnfp.Spikes.from_latencies(np.eye(3)), np.arange(3)),
        loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=0.2, horizon=5.0),
        optimiser=snnfp.Adam(lr=0.01),
        epochs=2,
        until=5.0,
        progress=False,
        checkpoint=path,
    )
    return net


def test_a_checkpoint_gives_its_parameters(tmp_path):
    net = trained(tmp_path / "checkpoint")
    other = network(2.5)
    other.load(tmp_path / "checkpoint")
    assert state(other) == state(net) != state(network())


@pytest.mark.parametrize(
    "change, message",
    [
        ({f"parameter/{WEIGHT}": None}, f"the file lacks parameter {WEIGHT}"),
        ({"parameter/h.gain": np.array(1.0)}, "the file holds an unknown parameter h.gain"),
        ({f"parameter/{WEIGHT}": np.full((3, 4), np.nan)}, r"input_to_h.weight\[0, 0\] is nan"),
        ({f"parameter/{WEIGHT}": np.zeros((3, 4), "f4")}, "has dtype float32, expected float64"),
        ({f"parameter/{WEIGHT}": np.zeros((3, 4), "i8")}, "has dtype int64, expected float64"),
        ({f"parameter/{WEIGHT}": np.zeros((3, 5))}, r"has shape \(3, 5\), expected \(3, 4\)"),
    ],
)
def test_damaged_checkpoints(tmp_path, change, message):
    trained(tmp_path / "checkpoint")
    arrays, metadata = load_arrays(tmp_path / "checkpoint")
    arrays = {k: v for k, v in (arrays | change).items() if v is not None}
    save_arrays(tmp_path / "damaged", arrays, metadata)
    net = network()
    before = state(net)
    with pytest.raises(FormatError, match=message):
        net.load(tmp_path / "damaged")
    assert state(net) == before


def flipped(data, rng):
    at = int(rng.integers(0, len(data)))
    return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(0, 8)))]) + data[at + 1 :]


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_cut_and_flipped(tmp_path, kind):
    """Anywhere in the file: a FormatError, or a network that works."""
    path = tmp_path / kind
    if kind == "model":
        network(2.0).save(path)
    else:
        trained(path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(2), 0
    for n in {0, 7, 8, 9, len(whole) - 1, *rng.integers(0, len(whole), 60).tolist()}:
        path.write_bytes(whole[:n])
        with pytest.raises(FormatError, match=kind):
            network().load(path)
    for _ in range(400):
        path.write_bytes(flipped(whole, rng))
        net = network()
        try:
            net.load(path)
        except FormatError:
            refused += 1
            assert np.array_equal(net.flatten("*"), network().flatten("*"))
        else:
            assert np.all(np.isfinite(net.flatten("*.weight")))
    assert refused > 100


@pytest.mark.parametrize(
    "change, message",
    [
        ({"h.bias": np.array(1.0, "f4")}, "h.bias has dtype float32, expected float64"),
        ({WEIGHT: np.ones((3, 4), "i8")}, "weight has dtype int64, expected float64"),
        ({WEIGHT: np.ones((4, 3))}, r"weight has shape \(4, 3\), expected \(3, 4\)"),
        ({"h.bias": None}, "the file lacks parameter h.bias"),
    ],
)
def test_arrays_of_a_file(change, message):
    net = network()
    before = state(net)
    arrays = {k: v for k, v in (dict(network(2.0).parameters) | change).items() if v is not None}
    with pytest.raises(FormatError, match=f"^file: .*{message}"):
        take_parameters(net, arrays, "file")
    assert state(net) == before


def test_an_interrupt_leaves_nothing_half_loaded(tmp_path, monkeypatch):
    network(2.0).save(tmp_path / "model")
    net = network()
    before = state(net)
    put, calls = snnfp.Network._set, []

    def interrupted(self, name, value, *more):
        calls.append(name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        put(self, name, value, *more)

    monkeypatch.setattr(snnfp.Network, "_set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        net.load(tmp_path / "model")
    monkeypatch.undo()
    assert state(net) == before


def test_array_files(tmp_path):
    save_arrays(tmp_path / "a", {"x": np.array([[1.0, np.inf]]), "n": np.array(3)}, {"t": "[1]"})
    file = ArrayFile(tmp_path / "a")
    assert file.names == ["n", "x"] and file.json("t") == [1]
    assert file.read("x", dtype=np.float64, shapes=[(2,), (1, 2)]).tolist() == [[1.0, np.inf]]
    assert file.read("n", dtype=np.int64) == 3
    for arguments, message in (
        ({"name": "y"}, "the file lacks y"),
        ({"name": "x", "dtype": np.float32}, "x has dtype float64, expected float32"),
        ({"name": "x", "shapes": [(2, 1), ()]}, r"shape \(1, 2\), expected \(2, 1\) or \(\)"),
        ({"name": "x", "finite": True}, r"x\[0, 1\] is inf, expected a finite number"),
    ):
        with pytest.raises(FormatError, match=f"{tmp_path / 'a'}: .*{message}"):
            file.read(**arguments)
    with pytest.raises(FormatError, match=r"lacks 'u' in its header"):
        file.json("u")
    with pytest.raises(ValueError, match=r"names and text take .* bytes, expected at most"):
        save_arrays(tmp_path / "b", {}, {"t": "x" * 2**24})
    assert not (tmp_path / "b").exists()


MEMORY = """
import resource, sys
import numpy as np, snnfp
from snnfp.check import load_case
from snnfp.errors import FormatError
from test_hostile_files import network
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
path, before = sys.argv[1], peak()
def write(header, size=None):
    with open(path, "wb") as file:
        file.write((len(header) if size is None else size).to_bytes(8, "little") + header)
def refused(load):
    try:
        load(path)
    except FormatError:
        return
    raise SystemExit("no error")
most = 2**24 - 100
def text(key, value):
    return b'{"__metadata__":{"training":"{}","fingerprint":"%s","%s":"%s"}}' % (
        network().fingerprint().encode(), key, value)
entry = b'"%d":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}'
headers = [
    b"[" * most, b" " * most, b'{"a":' * (most // 5), text(b"structure", b"[" * (most - 200)),
    text(b"structure", b"{}," * (most // 3 - 100)), text(b"a", b"\\xf0\\x9f\\x98\\x80" * (most // 5)),
    text(b"structure", b"[" + b"1.5," * (1 << 19) + b"0]"),
    b"{" + b",".join(entry % k for k in range(most // 64)) + b"}",
]
for header in headers:
    write(header)
    refused(network().load)
for size in (2**25, 2**40, 2**63 + 5, 2**64 - 1):
    write(b"{}", size)
    refused(network().load)
# A hole of 2**40 bytes takes no room on the disk: what is declared to fill it is not read.
header = b'{"__metadata__":{"fingerprint":"%s"},"h.bias":{"dtype":"U8","shape":[%d],' \\
    b'"data_offsets":[0,%d]}}' % (network().fingerprint().encode(), 2**40, 2**40)
write(header)
with open(path, "r+b") as file:
    try:
        file.truncate(8 + len(header) + 2**40)
    except OSError:  # not on every file system
        pass
refused(network().load)
for data in (b"[" * most, b"{}," * (most // 3), b'"' + b"x" * 2**25 + b'"', b"[" + b"0," * 2**20):
    open(path, "wb").write(data)
    refused(load_case)
print(peak() - before < 256, peak() - before)
"""


def test_huge_headers_cost_little_memory(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(__file__),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("True"), result.stdout


def test_parse_json():
    assert parse_json('{"a": [1, NaN, {}]}', "it")["a"][0] == 1
    with pytest.raises(FormatError, match=r"^it is not JSON: Expecting value"):
        parse_json("[1, ", "it")
