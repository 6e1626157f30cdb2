"""Readers of sound: WAV files, spoken digits, and HDF5 files in the layout of SHD."""

import re
import struct
import wave
import zipfile

import numpy as np
import pytest
from snnfp import Spikes, data
from snnfp.errors import FormatError, MissingDependencyError


def wav(numbers, *, rate=8000, width=2, channels=1):
    """A WAV file, byte by byte."""
    body = b"".join(
        struct.pack("B", n) if width == 1 else n.to_bytes(width, "little", signed=True)
        for n in numbers
    )
    form = struct.pack(
        "<HHIIHH", 1, channels, rate, rate * channels * width, channels * width, 8 * width
    )
    chunks = b"fmt " + struct.pack("<I", 16) + form
    chunks += b"LIST" + struct.pack("<I", 4) + b"INFO"  # one that is not for us
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_wav(tmp_path):
    file = tmp_path / "a.wav"
    for width in (2, 3, 4):
        top = 2 ** (8 * width - 1)
        numbers = [0, 1, -1, top - 1, -top]
        file.write_bytes(wav(numbers, width=width, rate=16000))
        sound, rate = data.read_wav(file)
        assert rate == 16000 and sound.tolist() == [n / top for n in numbers]
    file.write_bytes(wav([0, 128, 255], width=1))
    assert data.read_wav(str(file))[0].tolist() == [-1.0, 0.0, 127 / 128]
    file.write_bytes(wav([1, 2, 3, 4], channels=2))
    assert np.array_equal(data.read_wav(file)[0] * 2**15, [[1, 2], [3, 4]])
    with wave.open(str(file), "wb") as other:  # the standard library's own
        other.setnchannels(1)
        other.setsampwidth(2)
        other.setframerate(8000)
        other.writeframes(np.arange(-5, 5, dtype="<i2").tobytes())
    assert np.array_equal(data.read_wav(file)[0] * 2**15, np.arange(-5, 5))


GOOD = wav(range(100))
WAV_DAMAGED = {
    "empty": (b"", "not a whole WAV file of PCM sound: it ends too early"),
    "text": (b"hello, I am no sound at all", "not a whole WAV file of PCM sound: file does not start with RIFF"),
    "another RIFF": (GOOD.replace(b"WAVE", b"AVI "), "not a WAVE file"),
    "compressed": (GOOD[:20] + struct.pack("<H", 85) + GOOD[22:], "not a whole WAV file of PCM sound: unknown format: 85"),
    "no data": (GOOD[:48], "not a whole WAV file"),
    "cut": (GOOD[:-7], "193 bytes of sound, expected 200 for 100 frames: the file is cut short"),
    "width": (GOOD[:34] + struct.pack("<H", 64) + GOOD[36:], "64 bits a number, expected 8, 16, 24 or 32"),
    "rate": (GOOD[:24] + struct.pack("<I", 0) + GOOD[28:], "0 frames a second, expected at least 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WAV_DAMAGED)
def test_damaged_wav(tmp_path, case):
    content, message = WAV_DAMAGED[case]
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(FormatError, match=re.escape(message)) as error:
        data.read_wav(tmp_path / "a.wav")
    assert str(tmp_path / "a.wav") in str(error.value)


# -- spoken digits -------------------------------------------------------------------------------

DIGITS = {
    "9_ann_0.wav": [1, 2], "0_bob_11.wav": [3], "0_ann_5.wav": [4, 5, 6], "0_bob_2.wav": [7], "9_ann_4.wav": [],
}  # fmt: skip
IN_ORDER = ["0_ann_5.wav", "0_bob_2.wav", "0_bob_11.wav", "9_ann_0.wav", "9_ann_4.wav"]


def write_digits(folder, digits=DIGITS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in digits.items():
        (folder / name).write_bytes(wav(numbers))
    (folder / "readme.md").write_text("not a recording")
    return folder


def test_fsdd(tmp_path):
    """From a folder, the folder above and a zip; by digit, speaker and number, 2 before 11."""
    write_digits(tmp_path / "fsdd" / "recordings")
    with zipfile.ZipFile(tmp_path / "recordings.zip", "w") as archive:
        for name, numbers in DIGITS.items():
            archive.writestr(f"recordings/{name}", wav(numbers))
    for path in (tmp_path / "fsdd", tmp_path / "fsdd" / "recordings", tmp_path / "recordings.zip"):
        found = data.fsdd(path)
        assert [n.rpartition("/")[2] for n in found.names] == IN_ORDER and len(found) == 5
        assert found.labels.tolist() == [0, 0, 0, 9, 9] and found.rate == 8000
        assert found.speakers == ("ann", "bob", "bob", "ann", "ann")
        assert found.indices.tolist() == [5, 2, 11, 0, 4]
        assert found.is_test.tolist() == [False, True, False, True, True]
        assert [(s * 2**15).tolist() for s in found.sounds] == [DIGITS[n] for n in IN_ORDER]
    assert repr(found) == "FSDD(5 recordings by 2 speakers)"


def test_damaged_fsdd(tmp_path):
    folder = write_digits(tmp_path / "a")
    (folder / "9_ann_0.wav").write_bytes(wav([1, 2])[:-1])
    with pytest.raises(FormatError, match=r"a: 9_ann_0.wav: 3 bytes of sound, expected 4"):
        data.fsdd(folder)
    (folder / "9_ann_0.wav").write_bytes(wav([1, 2], rate=16000))
    with pytest.raises(
        FormatError, match=r"9_ann_0.wav: 16000 numbers a second, expected 8000 as in 0_ann_5.wav"
    ):
        data.fsdd(folder)
    (folder / "9_ann_0.wav").write_bytes(wav([1, 2], channels=2))
    with pytest.raises(FormatError, match=r"9_ann_0.wav: 2 channels, expected one"):
        data.fsdd(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(FormatError, match=r"none: holds no spoken digits"):
        data.fsdd(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no such file or folder, expected spoken digits"):
        data.fsdd(tmp_path / "nowhere")


def test_real_fsdd(data_folder):
    found = data.fsdd(data_folder / "fsdd" / "recordings.zip")
    assert len(found) == 3000 and found.is_test.sum() == 300 and found.rate == 8000
    assert np.bincount(found.labels).tolist() == [300] * 10
    assert len(set(found.speakers)) == 6
    lengths = [s.size for s in found.sounds]
    assert min(lengths) == 1148 and max(lengths) == 18262
    assert max(np.abs(s).max() for s in found.sounds) <= 1.0


# -- SHD -----------------------------------------------------------------------------------------

h5py = pytest.importorskip("h5py")
TIMES = [[0.25, 0.5, 0.5, 1.25], [], [0.125, 0.0625]]  # the last out of order, as real ones are
UNITS = [[699, 3, 2, 0], [], [5, 6]]


def write_shd(path, times=TIMES, units=UNITS, labels=(4, 19, 0), *, kinds=("f2", "u2"), leave=()):
    """As the published files are: variable lengths, float16 seconds, labels as u2."""
    with h5py.File(path, "w") as file:
        for key, values, kind in zip(("spikes/times", "spikes/units"), (times, units), kinds):
            if key in leave:
                continue
            rows = file.create_dataset(key, (len(values),), dtype=h5py.vlen_dtype(np.dtype(kind)))
            for k, row in enumerate(values):
                rows[k] = np.array(row, dtype=kind)
        if "labels" not in leave:
            file["labels"] = np.array(labels, dtype=kinds[1] if "labels" not in kinds else "f4")
        file["extra/speaker"] = np.array([0, 1, 1], dtype="u2")
        file["extra/keys"] = np.array([b"zero", b"null"])
        file["extra/meta_info/gender"] = np.array([b"f", b"m"])
    return path


def test_shd(tmp_path):
    found = data.shd(write_shd(tmp_path / "shd_train.h5"))
    assert len(found) == 3 and found.labels.tolist() == [4, 19, 0] and found.size == 700
    assert found.extra["speaker"].tolist() == [0, 1, 1]
    assert set(found.extra) == {"speaker", "keys", "meta_info/gender"}
    expected = Spikes.from_pairs(list(zip(TIMES, UNITS)), size=700)
    assert found.take([0, 1, 2]) == expected
    assert found.take([2, 0]) == expected.take([2, 0])


def test_shd_times_are_widened_before_they_are_scaled(tmp_path):
    """1.25 s in microseconds is beyond float16."""
    found = data.shd(write_shd(tmp_path / "shd.h5"), time_scale=1e6)
    assert found.take([0]).times.tolist() == [0.25e6, 0.5e6, 0.5e6, 1.25e6]


SHD_DAMAGED = {
    "nan": ({"times": [[0.25, np.nan], [], []], "units": [[1, 2], [], []]}, "spikes/times[0][1] is nan, expected a finite time >= 0"),
    "below 0": ({"times": [[], [-0.5], []], "units": [[], [1], []]}, "spikes/times[1][0] is -0.5, expected"),
    "channel": ({"units": [[699, 700, 2, 0], [], [5, 6]]}, "spikes/units[0][1] is 700, expected 0 ... 699"),
    "signed channel": ({"units": [[699, -1, 2, 0], [], [5, 6]], "kinds": ("f2", "i2")}, "spikes/units[0][1] is 1844674407"),
    "numbers": ({"units": [[699], [], [5, 6]]}, "recording 0 has 4 times and 1 units, expected the same number"),
    "kind of times": ({"kinds": ("i4", "u2"), "times": [[1, 2, 3, 4], [], [1, 2]]}, "spikes/times[0] is int32[4], expected floats [n]"),
    "kind of units": ({"kinds": ("f2", "f4")}, "labels are float32[3], expected integers [n]"),
    "no labels": ({"leave": ("labels",)}, "lacks labels, expected a file of SHD or SSC"),
    "no units": ({"leave": ("spikes/units",)}, "lacks spikes/units"),
    "fewer": ({"times": TIMES[:2]}, "spikes/times has shape (2,), expected (3,) as labels have"),
}  # fmt: skip


@pytest.mark.parametrize("case", SHD_DAMAGED)
def test_damaged_shd(tmp_path, case):
    changes, message = SHD_DAMAGED[case]
    file = write_shd(tmp_path / "shd.h5", **changes)
    with pytest.raises(FormatError, match=re.escape(message)) as error:
        data.shd(file).take([0, 1, 2])
    assert str(file) in str(error.value)


def test_files_that_are_no_shd(tmp_path):
    whole = write_shd(tmp_path / "shd.h5").read_bytes()
    for name, content in (
        ("cut.h5", whole[: len(whole) // 2]),
        ("text.h5", b"hello"),
        ("empty.h5", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=f"{name}: not a whole HDF5 file"):
            data.shd(tmp_path / name)
    with pytest.raises(
        FileNotFoundError, match=r"no such file, expected an .h5 file of SHD or SSC"
    ):
        data.shd(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="time_scale is -1, expected a finite number > 0"):
        data.shd(tmp_path / "shd.h5", time_scale=-1)


def test_without_h5py(tmp_path, monkeypatch):
    import sys

    file = write_shd(tmp_path / "shd.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        MissingDependencyError,
        match=r"h5py is not installed; it comes with: pip install 'snnfp\[data\]'",
    ):
        data.shd(file)
