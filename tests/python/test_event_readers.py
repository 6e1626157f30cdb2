"""Readers of event cameras: files written here in the real layout, damaged ones, other formats."""

import os
import pickle
import re
import struct
import zipfile

import numpy as np
import pytest
import snnfp
from snnfp import Spikes, data
from snnfp.errors import FormatError

# -- N-MNIST -------------------------------------------------------------------------------------


def bin_event(x, y, t, p):
    """Five bytes: x, y, then a bit of polarity and 23 bits of time, big-endian."""
    return bytes([x, y]) + struct.pack(">I", p << 23 | t)[1:]


def recording(rng, n):
    events = sorted(
        (int(t), int(x), int(y), int(p))
        for t, x, y, p in zip(
            rng.integers(0, 300_000, n),
            rng.integers(0, 34, n),
            rng.integers(0, 34, n),
            rng.integers(0, 2, n),
        )
    )
    return [(x, y, t, p) for t, x, y, p in events]


@pytest.fixture
def recordings():
    """By name within Train, not in the order of their numbers."""
    rng = np.random.default_rng(0)
    names = ["5/00001.bin", "0/00002.bin", "5/00010.bin", "0/00003.bin", "9/00004.bin"]
    return {name: recording(rng, int(rng.integers(0, 200))) for name in names}


def write_folder(path, recordings):
    for name, events in recordings.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"".join(bin_event(*e) for e in events))
    (path / "readme.txt").write_text("not a recording")
    return path


def write_zip(path, recordings):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/Train/5/00001.bin", b"junk")
        for name, events in recordings.items():
            archive.writestr(f"Train/{name}", b"".join(bin_event(*e) for e in events))
    return path


def test_nmnist(tmp_path, recordings):
    """From a folder, the folder above it and a zip: the same, by number, as from_structured makes it."""
    ordered = sorted(recordings, key=lambda n: n[-9:])
    expected = Spikes.from_structured(
        [
            np.array(recordings[n], dtype=[("x", int), ("y", int), ("t", int), ("p", int)])
            for n in ordered
        ],
        shape=(34, 34),
    )
    write_folder(tmp_path / "N" / "Train", recordings)
    write_zip(tmp_path / "Train.zip", recordings)
    for path in (
        tmp_path / "N" / "Train",
        tmp_path / "N",
        tmp_path / "Train.zip",
        str(tmp_path / "Train.zip"),
    ):
        found = data.nmnist(path)
        assert [n[-11:] for n in found.names] == ordered
        assert found.labels.tolist() == [int(n[0]) for n in ordered] and len(found) == 5
        assert found.size == 2 * 34 * 34 and found.shape == (2, 34, 34)
        assert found.take(np.arange(5)) == expected
        assert found.take([3, 0, 3]) == expected.take([3, 0, 3])
        again = pickle.loads(pickle.dumps(found))
        assert again.take([1]) == expected.take([1])
        events = found.events(2)
        assert events.dtype.names == ("x", "y", "t", "p")
        assert events.tolist() == recordings[ordered[2]]
    merged = data.nmnist(tmp_path / "N", polarities=1, time_scale=1e-3)
    one_plane = expected.map_channels(np.tile(np.arange(34 * 34), 2)).take(np.arange(5))
    assert merged.shape == (1, 34, 34)
    spikes = merged.take(np.arange(5))
    assert np.array_equal(spikes.units, one_plane.units)
    np.testing.assert_allclose(spikes.times, 1e3 * one_plane.times, rtol=1e-15)


def test_nmnist_overflow(tmp_path):
    """A row of 240 is no event: all that come later are 2**13 microseconds later."""
    events = [(1, 2, 100, 0), (0, 240, 200, 0), (3, 4, 150, 1), (7, 240, 0, 1), (5, 6, 10, 0)]
    write_folder(tmp_path, {"3/00001.bin": events, "4/00002.bin": [(9, 9, 5, 1)]})
    found = data.nmnist(tmp_path)
    assert found.events(0).tolist() == [
        (1, 2, 100, 0),
        (3, 4, 150 + 8192, 1),
        (5, 6, 10 + 2 * 8192, 0),
    ]
    assert found.take([0, 1]).times.tolist() == pytest.approx([1e-4, 8342e-6, 16394e-6, 5e-6])


def test_nmnist_trains(tmp_path, recordings):
    """As a data set of fit, cut and thinned on the way."""
    found = data.nmnist(write_zip(tmp_path / "Train.zip", recordings))
    source = data.Mapped(
        found, lambda s: s.between(0.0, 0.1).thin(0.02).pool(found.shape, (2, 17, 17))
    )
    net = snnfp.Network()
    x, y = (
        net.input(4, name="x"),
        net.population(10, snnfp.LIF(tau_mem=0.05, tau_syn=0.02), name="y"),
    )
    net.connect(x, y, snnfp.Dense(weight=snnfp.init.Normal(50.0, 10.0)))
    net.initialise(seed=0)
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=0.01, horizon=0.2)
    history = snnfp.fit(
        net,
        (source, found.labels),
        loss=loss,
        optimiser=snnfp.Adam(),
        epochs=2,
        until=0.2,
        progress=False,
    )
    assert len(history) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_zip_is_read_in_forked_processes(tmp_path, recordings):
    """Which share no file position."""
    found = data.nmnist(write_zip(tmp_path / "Train.zip", recordings))
    expected = found.take(np.arange(5))
    child = os.fork()
    if child == 0:
        same = found.take(np.arange(5)) == expected
        os._exit(0 if same and found._files._zip[0] == os.getpid() else 1)
    assert found.take(np.arange(5)) == expected
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_damaged_nmnist(tmp_path, recordings):
    def says(path, message, k=0):
        with pytest.raises(FormatError, match=message):
            data.nmnist(path).take([k])

    folder = write_folder(tmp_path / "cut", recordings)
    whole = (folder / "5/00001.bin").read_bytes()
    (folder / "5/00001.bin").write_bytes(whole[:-2])
    says(folder, rf"5/00001.bin: {len(whole) - 2} bytes, expected a multiple of 5")
    (folder / "5/00001.bin").write_bytes(whole[:10] + bytes([34]) + whole[11:])
    says(folder, r"5/00001.bin: byte 10: x is 34, expected 0 ... 33")
    (folder / "5/00001.bin").write_bytes(whole[:11] + bytes([99]) + whole[12:])
    says(folder, r"5/00001.bin: byte 11: y is 99, expected 0 ... 33")
    (folder / "5/00001.bin").write_bytes(whole)
    (folder / "9/00004.bin").write_bytes(bytes([0, 77, 0, 0, 0]))  # the third of a batch
    with pytest.raises(FormatError, match=r"9/00004.bin: byte 1: y is 77"):
        data.nmnist(folder).take([0, 1, 3, 2])
    zipped = write_zip(tmp_path / "Train.zip", recordings)
    content = zipped.read_bytes()
    at = content.index(b"Train/5/00001.bin", content.index(b"__MACOSX") + 40) + 30
    (tmp_path / "bits.zip").write_bytes(
        content[:at] + bytes(b ^ 0xFF for b in content[at : at + 20]) + content[at + 20 :]
    )
    says(tmp_path / "bits.zip", r"Train/5/00001.bin: damaged, or packed otherwise")
    (tmp_path / "half.zip").write_bytes(content[: len(content) // 2])
    says(
        tmp_path / "half.zip",
        r"half.zip: not a whole zip file .*, expected a folder or a zip of N-MNIST",
    )
    (tmp_path / "text.zip").write_text("hello")
    says(tmp_path / "text.zip", "not a whole zip file")


def test_what_is_no_nmnist(tmp_path, recordings):
    with pytest.raises(
        FileNotFoundError, match="nowhere: no such file or folder, expected N-MNIST recordings"
    ):
        data.nmnist(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="holds no N-MNIST recordings"):
        data.nmnist(tmp_path)
    write_folder(tmp_path / "Train", recordings)
    write_folder(tmp_path / "Test", recordings)
    with pytest.raises(
        FormatError, match=r"holds recordings in Test and Train, expected one part: .*Test"
    ):
        data.nmnist(tmp_path)
    with pytest.raises(ValueError, match="polarities is 3, expected 1 or 2"):
        data.nmnist(tmp_path / "Train", polarities=3)
    with pytest.raises(ValueError, match="time_scale is 0, expected a finite number > 0"):
        data.nmnist(tmp_path / "Train", time_scale=0)
    with pytest.raises(ValueError, match=r"samples\[0\] is 5, expected 0 <= sample < 5"):
        data.nmnist(tmp_path / "Train").take([5])


def test_real_nmnist(data_folder):
    train, test = (
        data.nmnist(data_folder / "nmnist-small" / f"{part}.zip") for part in ("Train", "Test")
    )
    assert (len(train), len(test)) == (1000, 100)
    assert train.labels[:6].tolist() == [5, 0, 4, 1, 9, 2]  # those of MNIST
    spikes = train.take(np.arange(1000))
    assert spikes.times.size == 4_133_231 and spikes.times.max() == pytest.approx(0.315109)
    assert spikes.counts().sum(axis=0).reshape(2, 34, 34)[:, 14:20, 14:20].min() > 500


# -- AEDAT ---------------------------------------------------------------------------------------

TEXT_2 = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# AEChip: DVS128 \xb5s\r\n"
DVS = [(0, 0, 5, 1), (127, 3, 5, 0), (64, 127, 2**31 + 7, 1)]


def aedat_2(events, address, text=TEXT_2):
    return text + b"".join(struct.pack(">II", address(x, y, p), t) for x, y, t, p in events)


def dvs128(x, y, p):
    return y << 8 | x << 1 | p


def davis(x, y, p):
    return y << 22 | x << 12 | p << 11


def packet(events, kind=1, overflow=0, invalid=()):
    """A packet of 3.1: its header of 28 bytes and 8 bytes an event."""
    body = b"".join(
        struct.pack("<Ii", x << 17 | y << 2 | p << 1 | (k not in invalid), t)
        for k, (x, y, t, p) in enumerate(events)
    )
    n = len(events)
    return struct.pack("<hhiiiiii", kind, 0, 8, 4, overflow, n, n, n - len(invalid)) + body


TEXT_3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-01-01\r\n#!END-HEADER\r\n"
FRAMES = struct.pack("<hhiiiiii", 2, 0, 36, 12, 0, 1, 1, 1) + b"f" * 36


def test_aedat_2(tmp_path):
    file = tmp_path / "a.aedat"
    file.write_bytes(aedat_2(DVS, dvs128))
    assert data.read_aedat(file, camera="dvs128").tolist() == DVS
    file.write_bytes(aedat_2(DVS, dvs128) + struct.pack(">II", 1 << 15, 9))  # an external event
    assert data.read_aedat(file, camera="dvs128").tolist() == DVS
    # The first address begins with a '#', as a line of the header does: y 140, x 10 of a DAVIS.
    sharp = [(10, 140, 1, 1), (239, 179, 2, 0)]
    text = aedat_2(sharp, davis)
    assert text[len(TEXT_2) : len(TEXT_2) + 1] == b"#"
    others = struct.pack(">IIII", 1 << 31 | 5, 3, 1 << 10, 4)  # of a frame, of motion
    file.write_bytes(text + others)
    assert data.read_aedat(file, camera="davis240").tolist() == sharp
    file.write_bytes(aedat_2([(345, 259, 2**32 - 1, 1), (0, 0, 4, 0)], davis))
    assert data.read_aedat(file, camera="davis346").tolist() == [
        (345, 259, 2**32 - 1, 1),
        (0, 0, 2**32 + 4, 0),
    ]
    file.write_bytes(TEXT_2)
    assert data.read_aedat(file, camera="dvs128").size == 0


def test_aedat_3(tmp_path):
    file = tmp_path / "a.aedat"
    first = [(1, 2, 10, 1), (300, 200, 12, 0), (3, 3, 13, 1)]
    later = [(5, 6, 7, 0)]
    file.write_bytes(
        TEXT_3 + packet(first, invalid=(1,)) + FRAMES + packet(later, overflow=2) + packet([])
    )
    events = data.read_aedat(file)
    assert events.tolist() == [first[0], first[2], (5, 6, 2 * 2**31 + 7, 0)]
    spikes = Spikes.from_structured([events], shape=(260, 346), time_scale=1e-6)
    assert len(spikes) == 1 and spikes.times.size == 3
    file.write_bytes(TEXT_3)
    assert data.read_aedat(file).size == 0


AEDAT_DAMAGED = {
    "another format": (b"\x89PNG\r\n", "starts with b'.x89PNG.*expected '#!AER-DAT2.0' or '#!AER-DAT3.1'"),
    "nothing": (b"", "starts with b''"),
    "format 1": (b"#!AER-DAT1.0\r\n", "AEDAT 1.0, expected 2.0 or 3.1"),
    "format 4": (b"#!AER-DAT4.0\r\n\0\0", "AEDAT 4.0, expected 2.0 or 3.1"),
    "2: cut": (aedat_2(DVS, dvs128)[:-3], f"21 bytes from byte {len(TEXT_2)} on, expected a multiple of 8"),
    "2: x": (aedat_2([(0, 0, 1, 0), (240, 0, 1, 0)], davis), f"byte {len(TEXT_2) + 8}: x is 240, expected 0 ... 239 of a davis240"),
    "2: y": (aedat_2([(0, 180, 1, 0)], davis), f"byte {len(TEXT_2)}: y is 180, expected 0 ... 179"),
    "2: time": (aedat_2([(0, 0, 9, 0), (0, 0, 8, 0)], davis), f"byte {len(TEXT_2) + 12}: time 8 after 9, expected times that do not decrease"),
    "3: no end": (TEXT_3[:-10], "no line '#!END-HEADER'"),
    "3: format": (TEXT_3.replace(b"RAW", b"SerializedTS"), "packets are 'SerializedTS', expected 'RAW'"),
    "3: header cut": (TEXT_3 + packet([])[:20], f"byte {len(TEXT_3)}: 20 bytes are left, expected the 28"),
    "3: events cut": (TEXT_3 + packet(DVS[:2])[:-1], f"byte {len(TEXT_3)}: a packet of 2 events of 8 bytes, and 15 bytes are left"),
    "3: many": (TEXT_3 + struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, 2**31 - 1, 2**31 - 1, 0), "a packet of 2147483647 events"),
    "3: size": (TEXT_3 + struct.pack("<hhiiiiii", 1, 0, 9, 4, 0, 0, 0, 0), "the packet's event size is 9, expected 8"),
    "3: size 0": (TEXT_3 + struct.pack("<hhiiiiii", 2, 0, 0, 4, 0, 5, 5, 0), "the packet's event size is 0, expected > 0"),
    "3: type": (TEXT_3 + struct.pack("<hhiiiiii", -1, 0, 8, 4, 0, 0, 0, 0), "the packet's event type is -1, expected at least 0"),
    "3: number": (TEXT_3 + struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, 0, -2, 0), "the packet's number of events is -2"),
    "3: capacity": (TEXT_3 + struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, 1, 2, 0), "the packet's capacity is 1, expected >= 2"),
    "3: overflow": (TEXT_3 + struct.pack("<hhiiiiii", 1, 0, 8, 4, -1, 0, 0, 0), "the packet's time overflow is -1"),
    "3: time": (TEXT_3 + packet([(0, 0, 1, 0), (0, 0, -4, 0)]), f"byte {len(TEXT_3) + 28 + 12}: time -4, expected at least 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", AEDAT_DAMAGED)
def test_damaged_aedat(tmp_path, case):
    content, message = AEDAT_DAMAGED[case]
    file = tmp_path / "a.aedat"
    file.write_bytes(content)
    with pytest.raises(FormatError, match=message) as error:
        data.read_aedat(file, camera="davis240")
    assert str(file) in str(error.value)


def test_aedat_is_told_the_camera(tmp_path):
    file = tmp_path / "a.aedat"
    file.write_bytes(aedat_2(DVS, dvs128))
    with pytest.raises(
        ValueError, match=r"is AEDAT 2.0, which does not say .* expected camera='dvs128' or"
    ):
        data.read_aedat(file)
    with pytest.raises(
        ValueError, match="camera is 'dvs', expected one of dvs128, davis240, davis346"
    ):
        data.read_aedat(file, camera="dvs")
    with pytest.raises(FileNotFoundError, match="no such file, expected an AEDAT file"):
        data.read_aedat(tmp_path / "none")


# -- arrays of NumPy -----------------------------------------------------------------------------

EVENTS = [(3, 1, 5, 1), (2**16 - 1, 0, 2**40, 0)]


def test_arrays(tmp_path):
    """In any order, beside others, under other names, signed or not; p as booleans."""
    names = {"x": "x", "y": "y", "t": "ts", "p": "pol"}
    for kind in ("i8", "u8", "i8"):
        dtype = [("z", "f8"), ("p", "?"), ("t", kind), ("y", "u2"), ("x", "i4")]
        array = np.zeros(2, dtype=dtype)
        for k, name in enumerate("xytp"):
            array[name] = [e[k] for e in EVENTS]
        np.save(tmp_path / "a.npy", array)
        assert data.read_events(tmp_path / "a.npy").tolist() == EVENTS
        np.savez_compressed(tmp_path / "a.npz", **{names[n]: array[n] for n in "xytp"}, label=3)
        assert data.read_events(tmp_path / "a.npz").tolist() == EVENTS
    assert data.read_events(tmp_path / "a.npz").dtype == np.dtype(
        [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "u1")]
    )


def structured(**columns):
    array = np.zeros(2, dtype=[(k, np.asarray(v).dtype) for k, v in columns.items()])
    for key, values in columns.items():
        array[key] = values
    return array


GOOD = {"x": [1, 2], "y": [3, 4], "t": [5, 6], "p": [0, 1]}
ARRAYS_DAMAGED = {
    "no field": (structured(**{k: v for k, v in GOOD.items() if k != "p"}), "lacks p, expected the fields x, y, t, p"),
    "no fields": (np.zeros((4, 4)), "lacks x, y, t, p"),
    "polarity": (structured(**{**GOOD, "p": [1, -1]}), "event 1: p is -1, expected 0 ... 1"),
    "x": (structured(**{**GOOD, "x": [1, 70000]}), "event 1: x is 70000, expected 0 ... 65535"),
    "seconds": (structured(**{**GOOD, "t": [0.5, 1.0]}), "t has dtype float64, expected integers"),
    "time": (structured(**{**GOOD, "t": np.array([0, 2**63], np.uint64)}), "event 1: t is 9223372036854775808, expected -4611"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS_DAMAGED)
def test_damaged_arrays(tmp_path, case):
    array, message = ARRAYS_DAMAGED[case]
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FormatError, match=re.escape(f"{tmp_path / 'a.npy'}: {message}")):
        data.read_events(tmp_path / "a.npy")


def test_files_that_are_no_arrays(tmp_path):
    np.save(tmp_path / "a.npy", structured(**GOOD))
    whole = (tmp_path / "a.npy").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}, print], dtype=object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes(whole[:-3])
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "a.npz", **GOOD)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    for name in ("objects.npy", "cut.npy", "text.npy", "empty.npy", "cut.npz"):
        with pytest.raises(FormatError, match=rf"{name}: not a whole .npy or .npz file of arrays"):
            data.read_events(tmp_path / name)
    np.savez(tmp_path / "ragged.npz", **{**GOOD, "x": [1]})
    with pytest.raises(
        FormatError, match=r"x has shape \(1,\), expected one number an event, \(2,\)"
    ):
        data.read_events(tmp_path / "ragged.npz")
