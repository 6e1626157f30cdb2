"""What the tests of reports share: small runs of every task, and a parser that trusts no page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from snnfp.cli import main
from test_event_readers import recording, write_folder
from test_files import idx
from test_sound_readers import wav

# What has no end tag.
VOID = {"meta", "link", "br", "img", "hr", "input"}
SMALL = ("--hidden", "8", "--epochs", "2", "--threads", "1")


class Page(HTMLParser):
    """A page: its sections, tables, scripts and data, every element closed in its turn."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}  # text by id
        self.rows: dict[str, list[list[str]]] = {}  # of all tables by section
        self.scripts: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self._section = ""
        self.feed(self.source)
        self.close()
        assert self._open == []
        self.data = json.loads(self.scripts[0], parse_constant=_no_constant)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "section":
            self._section = dict(attrs)["id"]
            self.sections[self._section] = ""
        elif tag == "script":
            self.scripts.append("")
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self.rows[self._section][-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        within = self._open[-1] if self._open else ""
        if within == "script":
            self.scripts[-1] += data
        elif within == "style":
            self.style += data
        elif self._section:
            self.sections[self._section] += data
            if "td" in self._open or "th" in self._open:
                self.rows[self._section][-1][-1] += data

    def handle_decl(self, decl):
        assert decl == "doctype html"

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def _no_constant(name):
    raise AssertionError(f"{name} in JSON")


def train(folder: Path, task: str, *options: str) -> Path:
    """A run of ``snnfp train`` in this folder."""
    command = ["train", task, *SMALL, *options, "--out", str(folder), "--no-progress", "--no-plots"]
    assert main(command) == 0
    return folder


def mnist_folder(folder: Path) -> Path:
    """Sixty and ten images of 8 x 8 in the files of MNIST."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 10)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx((n, 8, 8), rng.bytes(64 * n)))
        labels = bytes(k % 10 for k in range(n))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx((n,), labels))
    return folder


def digits_folder(folder: Path) -> Path:
    """A speaker says each digit seven times, a tone of its own."""
    (folder / "recordings").mkdir(parents=True)
    time = np.arange(1600) / 8000
    for digit in range(10):
        tone = np.sin(2 * np.pi * 200 * (digit + 1) * time) * np.hanning(1600)
        for index in range(7):
            samples = np.round(20000 * tone * (1 + 0.02 * index)).astype(int).tolist()
            (folder / "recordings" / f"{digit}_ann_{index}.wav").write_bytes(wav(samples))
    return folder


def camera_folder(folder: Path) -> Path:
    """Twenty recordings to train on, ten to test."""
    rng = np.random.default_rng(1)
    for part, each in (("Train", 2), ("Test", 1)):
        named = {
            f"{d}/{10 * d + k:05}.bin": recording(rng, 200) for d in range(10) for k in range(each)
        }
        write_folder(folder / part, named)
    return folder
