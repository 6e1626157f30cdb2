"""Recordings of event cameras in the AEDAT formats 2.0 and 3.1."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnfp.checkpoint import check_ordinary
from snnfp.data.events import make_events
from snnfp.errors import FormatError

__all__ = ["read_aedat"]


_Field = tuple[int, int]  # bits of an address: the lowest, how many


class _Camera(NamedTuple):
    """Where a chip of format 2.0 puts x, y and polarity, and which bits mark other events."""

    width: int
    height: int
    x: _Field
    y: _Field
    p: _Field
    other: int


_DVS = ((1, 7), (8, 7), (0, 1), 0xFFFF8000)
_DAVIS = ((12, 10), (22, 9), (11, 1), 0x80000400)
_CAMERAS = {
    "dvs128": _Camera(128, 128, *_DVS),
    "davis240": _Camera(240, 180, *_DAVIS),
    "davis346": _Camera(346, 260, *_DAVIS),
}

_HEADER = np.dtype(
    [
        *(("type", "<i2"), ("source", "<i2"), ("size", "<i4"), ("ts_offset", "<i4")),
        *(("ts_overflow", "<i4"), ("capacity", "<i4"), ("number", "<i4"), ("valid", "<i4")),
    ]
)
_POLARITY = 1
_END = b"#!END-HEADER\r\n"


def read_aedat(path: str | Path, *, camera: str | None = None) -> NDArray[Any]:
    """Reads the brightness changes of a recording in AEDAT 2.0 or 3.1.

    Other events (frames, motion, external ones) are left out, and so are those of format 3.1 that
    are marked as not valid.

    Args:
        path: the file; its first line says which format it is.
        camera: format 2.0 does not say what an address means: "dvs128", "davis240" or "davis346".

    Returns:
        Events as :meth:`snnfp.Spikes.from_structured` takes them: x, y, t (int64 microseconds),
        p (1: brighter), in the order of the file. In format 2.0 y grows upwards, in 3.1 downwards.

    Raises:
        FormatError: another format, damaged or cut short; names the file, the offset, the value
            and what was expected.
        FileNotFoundError: there is no such file.
        ValueError: format 2.0 without a camera, or one that is not known.
    """
    path = Path(path)
    check_ordinary(path, "an AEDAT file")
    if camera is not None and camera not in _CAMERAS:
        raise ValueError(f"camera is {camera!r}, expected one of {', '.join(_CAMERAS)}")
    data = path.read_bytes()
    version = re.match(rb"#!AER-DAT(\d+\.\d+)[^\r\n]*\r?\n", data)
    if version is None:
        raise FormatError(
            f"{path}: starts with {data[:12]!r}, expected '#!AER-DAT2.0' or '#!AER-DAT3.1'"
        )
    if version[1] == b"3.1":
        return _read_3(data, path)
    if version[1] != b"2.0":
        raise FormatError(
            f"{path}: AEDAT {version[1].decode()}, expected 2.0 or 3.1 (others can be converted by "
            "the maker's tools)"
        )
    if camera is None:
        raise ValueError(
            f"{path} is AEDAT 2.0, which does not say what its addresses mean: expected "
            f"camera={' or '.join(map(repr, _CAMERAS))}"
        )
    return _read_2(data, path, _CAMERAS[camera], camera)


def _read_2(data: bytes, path: Path, camera: _Camera, name: str) -> NDArray[Any]:
    begin = 0
    # The first address may begin with a '#' too; a line of the header is text to its end.
    line = re.compile(rb"#[\t\x20-\x7e\x80-\xff]*\r?\n")
    while found := line.match(data, begin):
        begin = found.end()
    if (len(data) - begin) % 8:
        raise FormatError(
            f"{path}: {len(data) - begin} bytes from byte {begin} on, expected a multiple of 8: "
            "the last event is cut short"
        )
    words = np.frombuffer(data, dtype=">u4", offset=begin).astype(np.uint32).reshape(-1, 2)
    at = np.flatnonzero((words[:, 0] & np.uint32(camera.other)) == 0)
    address, ticks = words[at, 0], words[at, 1].astype(np.int64)
    x, y, p = (_bits(address, field) for field in (camera.x, camera.y, camera.p))
    for key, values, limit in (("x", x, camera.width), ("y", y, camera.height)):
        bad = np.flatnonzero(values >= limit)
        if bad.size:
            k = bad[0]
            raise FormatError(
                f"{path}: byte {begin + 8 * at[k]}: {key} is {values[k]}, expected 0 ... "
                f"{limit - 1} of a {name}"
            )
    return make_events(x, y, _unwrapped(ticks, path, begin + 8 * at + 4), p)


def _bits(address: NDArray[np.uint32], field: _Field) -> NDArray[np.uint32]:
    lowest, bits = field
    return (address >> np.uint32(lowest)) & np.uint32((1 << bits) - 1)


def _unwrapped(
    ticks: NDArray[np.int64], path: Path, places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Times of 32 bits that go on past their largest number; falls by less are errors."""
    steps = np.diff(ticks)
    wraps = steps < -(1 << 31)
    bad = np.flatnonzero((steps < 0) & ~wraps)
    if bad.size:
        k = bad[0] + 1
        raise FormatError(
            f"{path}: byte {places[k]}: time {ticks[k]} after {ticks[k - 1]}, expected times that "
            "do not decrease"
        )
    return ticks + (np.concatenate(([0], np.cumsum(wraps)))[: ticks.size] << 32)


def _read_3(data: bytes, path: Path) -> NDArray[Any]:
    end = data.find(_END)
    if end < 0:
        raise FormatError(f"{path}: the header has no line '#!END-HEADER', expected by AEDAT 3.1")
    form = re.search(rb"#Format: *([^\r\n]*)", data[:end])
    if form is not None and form[1].strip() != b"RAW":
        raise FormatError(
            f"{path}: packets are {form[1].decode(errors='replace')!r}, expected 'RAW'"
        )
    at = end + len(_END)
    pieces = []
    while at < len(data):
        at, piece = _packet(data, at, path)
        pieces.append(piece)
    return np.concatenate([make_events([], [], [], []), *pieces])


def _packet(data: bytes, at: int, path: Path) -> tuple[int, NDArray[Any]]:
    """Where the packet at this byte ends, and its brightness changes."""
    if len(data) - at < _HEADER.itemsize:
        raise FormatError(
            f"{path}: byte {at}: {len(data) - at} bytes are left, expected the "
            f"{_HEADER.itemsize} of a packet's header: the file is cut short"
        )
    head = np.frombuffer(data, dtype=_HEADER, count=1, offset=at)[0]
    kind, size, number = int(head["type"]), int(head["size"]), int(head["number"])
    overflow = int(head["ts_overflow"])
    polarity = kind == _POLARITY
    for key, value, fits, expected in (
        ("event type", kind, 0 <= kind, "at least 0"),
        ("event size", size, size == 8 if polarity else size >= 1, "8" if polarity else "> 0"),
        ("number of events", number, number >= 0, "at least 0"),
        ("capacity", int(head["capacity"]), int(head["capacity"]) >= number, f">= {number}"),
        ("time overflow", overflow, overflow >= 0, "at least 0"),
    ):
        if not fits:
            raise FormatError(
                f"{path}: byte {at}: the packet's {key} is {value}, expected {expected}"
            )
    begin = at + _HEADER.itemsize
    stop = begin + size * number
    if stop > len(data):
        raise FormatError(
            f"{path}: byte {at}: a packet of {number} events of {size} bytes, and "
            f"{len(data) - begin} bytes are left: the file is cut short"
        )
    if not polarity:
        return stop, make_events([], [], [], [])
    words = np.frombuffer(data, dtype="<u4", count=2 * number, offset=begin).reshape(-1, 2)
    ticks = words[:, 1].astype(np.int64)
    bad = np.flatnonzero(ticks >> 31)
    if bad.size:
        k = bad[0]
        raise FormatError(
            f"{path}: byte {begin + 8 * k + 4}: time {ticks[k] - (1 << 32)}, expected at least 0"
        )
    valid = (words[:, 0] & 1) == 1
    bits, t = words[valid, 0], ticks[valid] + (overflow << 31)
    return stop, make_events((bits >> 17) & 0x7FFF, (bits >> 2) & 0x7FFF, t, (bits >> 1) & 1)
