"""Files: whole at any moment, and never trusted."""

import gzip
import os
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import snnfp
from snnfp.check import load_case
from snnfp.checkpoint import load_arrays, save_arrays
from snnfp.data import mnist, read_idx
from snnfp.errors import FormatError

WRITER = """
import sys, numpy as np
from snnfp.checkpoint import save_arrays
path = sys.argv[1]
k = 0
while True:
    save_arrays(path, {"a": np.full(20000, k), "b": np.full(20000, k)}, {"k": str(k)})
    k += 1
    if k == 1:
        print("writing", flush=True)
"""


def test_killed_at_any_moment(tmp_path):
    """SIGKILL leaves a whole file, the old one or the new one."""
    pytest.importorskip("safetensors")
    path = tmp_path / "checkpoint"
    rng = np.random.default_rng(0)
    seen, kills, end = set(), 0, time.monotonic() + 60
    while kills < 6 or (len(seen) <= 3 and time.monotonic() < end):  # the machine may be busy
        kills += 1
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        writer.stdout.readline()
        for _ in range(5):  # five moments of each process: stopped, looked at, and the last killed
            time.sleep(rng.uniform(0, 0.01))
            writer.send_signal(signal.SIGSTOP)
            arrays, metadata = load_arrays(path)
            assert np.all(arrays["a"] == int(metadata["k"])) and np.all(arrays["b"] == arrays["a"])
            seen.add(metadata["k"])
            writer.send_signal(signal.SIGCONT)
        time.sleep(rng.uniform(0, 0.01))
        writer.kill()
        writer.wait()
        writer.stdout.close()
        arrays, metadata = load_arrays(path)
        assert np.all(arrays["a"] == int(metadata["k"])) and np.all(arrays["b"] == arrays["a"])
    assert len(seen) > 3


def network():
    net = snnfp.Network()
    x, h = net.input(3), net.population(4, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=np.arange(12.0).reshape(3, 4)))
    return net


def test_round_trip(tmp_path):
    pytest.importorskip("safetensors")
    arrays = {
        "f8": np.array([np.nan, -0.0, np.inf]),
        "f4": np.zeros((2, 0, 3), np.float32),
        "i8": np.array(7),
        "T": np.arange(6.0).reshape(2, 3).T,
    }
    save_arrays(tmp_path / "a", arrays, {"who": "ä"})
    back, metadata = load_arrays(tmp_path / "a")
    assert metadata == {"who": "ä"}
    assert set(back) == set(arrays)
    for k, v in arrays.items():
        assert back[k].dtype == v.dtype and back[k].shape == v.shape
        assert back[k].tobytes() == v.tobytes()


def test_damaged_models(tmp_path):
    """Cut short at any length, any header byte changed: FormatError, or the very same network."""
    pytest.importorskip("safetensors")
    path = tmp_path / "model"
    net = network()
    net.save(path)
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for n in [*range(0, 40), *range(40, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(FormatError, match="model"):
            network().load(path)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        at, bit = int(rng.integers(0, 8 + header)), int(rng.integers(0, 8))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
        other = network()
        try:
            other.load(path)
        except FormatError:
            refused += 1
            assert np.array_equal(other.flatten("*"), net.flatten("*"))
    assert refused > 250


FOREIGN = {
    "empty": b"",
    "text": b"hello world, this is no model",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "zip": b"PK\x03\x04" + bytes(60),
    "huge header": (2**62).to_bytes(8, "little") + b"{}",
    "no json": (4).to_bytes(8, "little") + b"abcd",
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "overlong": (100).to_bytes(8, "little")
    + b'{"a":{"dtype":"F64","shape":[9999999999],"data_offsets":[0,79999999992]}}'.ljust(100),
    "negative": (70).to_bytes(8, "little")
    + b'{"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}'.ljust(70)
    + bytes(8),
    "strange type": (70).to_bytes(8, "little")
    + b'{"a":{"dtype":"OBJ","shape":[1],"data_offsets":[0,8]}}'.ljust(70)
    + bytes(8),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files(tmp_path, name):
    pytest.importorskip("safetensors")
    path = tmp_path / name
    path.write_bytes(FOREIGN[name])
    net = network()
    with pytest.raises(FormatError, match=re.escape(str(path))):
        net.load(path)
    with pytest.raises(FormatError, match=re.escape(str(path))):
        snnfp.fit(
            net, (snnfp.Spikes([], [], [0, 0], size=3), [0]), optimiser=snnfp.Adam(), epochs=1, resume=path,
            loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=1.0), progress=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"h.tau_mem": np.array(-1.0)}, "tau_mem"),
        ({"h.tau_mem": np.zeros(9)}, "tau_mem"),
        ({"input_to_h.weight": np.full((3, 4), np.nan)}, "weight"),
        ({"input_to_h.weight": None}, "input_to_h.weight"),
        ({"g.bias": np.array(1.0)}, "g.bias"),
    ],
)
def test_values_that_do_not_fit(tmp_path, changed, message):
    """The right fingerprint with wrong arrays: refused, and nothing of it is taken."""
    pytest.importorskip("safetensors")
    net = network()
    net.save(tmp_path / "a")
    arrays, metadata = load_arrays(tmp_path / "a")
    arrays = {k: 2.0 * v for k, v in arrays.items()} | changed
    save_arrays(tmp_path / "b", {k: v for k, v in arrays.items() if v is not None}, metadata)
    before = net.flatten("*")
    with pytest.raises(FormatError, match=message):
        net.load(tmp_path / "b")
    assert np.array_equal(net.flatten("*"), before)


def test_missing_files(tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(FileNotFoundError, match="no such file, expected a safetensors file"):
        network().load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such file, expected an idx file"):
        read_idx(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such file, expected a golden case"):
        load_case(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")  # which would be waited for for ever
    for read in (network().load, read_idx, load_case):
        for path, kind in ((tmp_path, "a folder"), (tmp_path / "pipe", "no ordinary file")):
            with pytest.raises(FormatError, match=f"{path}: this is {kind}, expected a"):
                read(path)


def test_no_file_can_run_code(repository):
    """Nothing in the package unpickles, evaluates or loads YAML."""
    sources = sorted((repository / "python").rglob("*.py"))
    assert len(sources) > 20
    for path in sources:
        text = path.read_text()
        found = re.search(
            r"\bpickle\b|\beval\(|\bexec\(|yaml|allow_pickle|marshal|shelve|np\.load\(", text
        )
        assert found is None, (path, found)


def idx(shape, data=None, kind=0x08):
    head = bytes([0, 0, kind, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return head + (bytes(range(256)) * 999)[: int(np.prod(shape))] if data is None else head + data


@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, zipped):
    path = tmp_path / "file"
    for shape in ((5,), (2, 3, 4), (0, 3)):
        raw = idx(shape)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
        got = read_idx(path)
        assert got.dtype == np.uint8 and got.shape == shape
        assert got.ravel().tolist() == list(range(int(np.prod(shape))))
    values = np.array([[1.5, -2.0]])
    for kind, dtype in ((0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8"), (0x09, ">i1")):
        raw = idx((1, 2), values.astype(dtype).tobytes(), kind)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
        assert np.array_equal(read_idx(path), values.astype(dtype))
        assert read_idx(path).dtype.isnative


@pytest.mark.parametrize(
    "raw, message",
    [
        (b"", "0 bytes, expected at least the 4 of an idx header"),
        (b"\0\0", "2 bytes, expected at least the 4"),
        (
            b"<!DOCTYPE html>",
            "starts with b'<!DO', expected two zero bytes: this is not an idx file",
        ),
        (b"\0\1\x08\1\0\0\0\1a", "starts with"),
        (idx((1,), b"a", kind=0x07), "byte 2 is 0x07, expected a type of 0x08"),
        (b"\0\0\x08\0", "byte 3 is 0, expected 1 ... 8 dimensions"),
        (b"\0\0\x08\x63" + bytes(400), "byte 3 is 99"),
        (b"\0\0\x08\3\0\0\0\1", "the header ends after 8 bytes, expected 16"),
        (idx((10,))[:-1], r"17 bytes, expected 18 for shape \(10,\)|9 bytes of data"),
        (idx((10,)) + b"x", r"19 bytes, expected 18 for shape \(10,\)|more bytes of data"),
        (idx((2**31, 2**31, 2**31), b"abc"), r"expected .* for shape"),
        (idx((0, 2**31, 2**31, 2**31), b""), r"shape \(0, 2147483648, .* cannot be"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_bad_idx(tmp_path, raw, message, zipped):
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    with pytest.raises(FormatError, match=message):
        read_idx(path)


def test_bad_gzip(tmp_path):
    path = tmp_path / "file.gz"
    whole = gzip.compress(
        np.random.default_rng(0).bytes(3000) and idx((3000,), np.random.default_rng(0).bytes(3000))
    )
    for n in range(2, len(whole), 101):
        path.write_bytes(whole[:n])
        with pytest.raises(FormatError, match=r"file\.gz"):
            read_idx(path)
    rng = np.random.default_rng(1)
    for _ in range(200):
        at = int(rng.integers(2, len(whole)))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(0, 8)))]) + whole[at + 1 :]
        )
        try:
            assert read_idx(path).shape == (3000,)  # a bit of the name or date
        except FormatError:
            pass
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(FormatError, match="not an idx file"):
        read_idx(path)


def test_a_false_header_costs_no_memory(tmp_path):
    """A gzip bomb stops at the size its header declares; a huge header allocates nothing."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(idx((100,), bytes(500_000_000)), 1))
    del_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match="more bytes of data, expected 100"):
        read_idx(path)
    path.write_bytes(gzip.compress(idx((2**31 - 1, 1000), b"abc")))
    with pytest.raises(FormatError, match="bytes of gzip data, expected 2147483647000 in it"):
        read_idx(path)
    path.write_bytes(gzip.compress(idx((20, 1000), b"abc")))
    with pytest.raises(FormatError, match="3 bytes of data, expected 20000"):
        read_idx(path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - max(before, del_peak) < 50_000  # KiB


def test_images_and_labels_belong_together(tmp_path):
    def write(**changes):
        files = {
            "train-images-idx3-ubyte": idx((3, 2, 2)),
            "train-labels-idx1-ubyte": idx((3,)),
            "t10k-images-idx3-ubyte": idx((2, 2, 2)),
            "t10k-labels-idx1-ubyte": idx((2,)),
        }
        for name, raw in (files | changes).items():
            (tmp_path / name).unlink(missing_ok=True)
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(raw))

    write()
    data = mnist(tmp_path)
    assert data.train_images.shape == (3, 2, 2) and data.test_labels.tolist() == [0, 1]
    write(**{"train-labels-idx1-ubyte": idx((4,))})
    with pytest.raises(FormatError, match="train has 3 images and labels of shape"):
        mnist(tmp_path)
    write(**{"train-labels-idx1-ubyte": idx((3,), np.zeros(3, ">f4").tobytes(), 0x0D)})
    with pytest.raises(FormatError, match="train labels are float32, expected integers"):
        mnist(tmp_path)
    write(**{"t10k-images-idx3-ubyte": idx((2,))})
    with pytest.raises(FormatError, match=r"t10k images are uint8\[2\], expected uint8 \[n, rows"):
        mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="neither t10k-images-idx3-ubyte nor"):
        mnist(tmp_path)
