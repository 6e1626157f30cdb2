"""Files of a folder or a zip archive, read one by one when they are asked for."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnfp.errors import FormatError

__all__ = ["Files"]

_MOST_BYTES = 1 << 28  # of one recording, unpacked: a false size costs no more


class Files:
    """The files of a folder (and its folders) or a zip whose names a pattern matches, sorted.

    Args:
        path: the folder or the zip.
        pattern: of the whole name within it, with ``/`` between folders.
        expected: what errors call the files.

    Attributes:
        path: the folder or the zip.
        names: of the files, by their last part and then by the whole name.

    Raises:
        FileNotFoundError: there is nothing of that path.
        FormatError: no folder and no zip, or none of the files in it.
    """

    def __init__(self, path: str | Path, pattern: str, expected: str) -> None:
        self.path = Path(path)
        self._zip: tuple[int, zipfile.ZipFile] | None = None
        if self.path.is_dir():
            found = [p for p in self.path.rglob("*") if p.is_file()]
            names = [p.relative_to(self.path).as_posix() for p in found]
        elif not self.path.exists():
            raise FileNotFoundError(f"{self.path}: no such file or folder, expected {expected}")
        else:
            names = self._archive(expected).namelist()
        names = [n for n in names if re.fullmatch(pattern, n) and not n.startswith("__MACOSX/")]
        self.names = sorted(names, key=lambda n: (n.rpartition("/")[2], n))
        if not names:
            raise FormatError(f"{self.path}: holds no {expected}")
        for one, other in zip(self.names, self.names[1:], strict=False):
            if one == other:
                raise FormatError(f"{self.path}: holds {one} twice")

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """A match of each name, all of which the pattern of the files fits."""
        return [m for m in (re.fullmatch(pattern, n) for n in self.names) if m is not None]

    def place(self, k: int) -> str:
        """What errors call the k-th file."""
        return f"{self.path}: {self.names[k]}"

    def read(self, chosen: Sequence[int]) -> list[bytes]:
        """What is in these files.

        Raises:
            FormatError: one is damaged or larger than any recording.
            OSError: one cannot be read.
        """
        return [self._read(int(k)) for k in chosen]

    def _read(self, k: int) -> bytes:
        name = self.names[k]
        if self.path.is_dir():
            with (self.path / name).open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        else:
            damaged = (zipfile.BadZipFile, zlib.error, EOFError)
            odd = (NotImplementedError, RuntimeError, KeyError)  # packed otherwise, encrypted, gone
            try:
                with self._archive("a zip file").open(name) as packed:
                    data = packed.read(_MOST_BYTES + 1)
            except (*damaged, *odd) as error:
                raise FormatError(
                    f"{self.place(k)}: damaged, or packed otherwise: {error}"
                ) from error
        if len(data) > _MOST_BYTES:
            raise FormatError(
                f"{self.place(k)}: more than {_MOST_BYTES} bytes, expected a recording"
            )
        return data

    def _archive(self, expected: str) -> zipfile.ZipFile:
        """The zip, opened once in each process: a file position is not shared with a fork."""
        if self._zip is None or self._zip[0] != os.getpid():
            if not self.path.is_file():
                raise FormatError(f"{self.path}: no ordinary file, expected {expected}")
            try:
                self._zip = (os.getpid(), zipfile.ZipFile(self.path))
            except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
                raise FormatError(
                    f"{self.path}: not a whole zip file ({error}), expected a folder or a zip of "
                    f"{expected}"
                ) from error
        return self._zip[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zip": None}
