"""Files that are whole at any moment: written beside their place, synced and moved there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from pathlib import Path

__all__ = ["check_writable", "write_atomically"]


def check_writable(path: str | Path) -> None:
    """Whether :func:`write_atomically` can write a file there; leaves none behind.

    For what takes long before it writes: rather an error now than an hour lost.

    Raises:
        OSError: it cannot: the folder is missing, or ``path`` is a folder or no ordinary file, or
            there is no permission, or the file system is read-only or full. The error names the
            folder or the file.
    """
    handle, temporary = _begin(path, _target(path))
    os.close(handle)
    temporary.unlink(missing_ok=True)


def write_atomically(path: str | Path, *data: bytes | memoryview) -> None:
    """Writes a file that is either the old or the new one at any moment.

    A temporary file in the same folder is written, synced and moved into place, and the folder
    synced. Links are followed, and a file that was there hands on its mode. What killed processes
    left of the same file is removed. Several processes may write the same file: the last one wins.

    Args:
        path: the file.
        data: its content, in pieces.

    Raises:
        OSError: as :func:`check_writable`, or the disk is full: names the file, which stays as it
            was.
    """
    target = _target(path)
    handle, temporary = _begin(path, target)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in data:
                file.write(piece)
            file.flush()
            _hand_on_mode(target, handle)
            os.fsync(handle)
            os.replace(temporary, target)
        with contextlib.suppress(PermissionError):  # of a folder that may be written, not read
            directory = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _target(path: str | Path) -> Path:
    """The file to be written, links followed, or the error that says why it cannot be."""

    def refuse(code: int, reason: str, name: str | Path) -> OSError:
        return OSError(code, f"cannot write {path}: {reason}", str(name))

    target = Path(os.path.realpath(path))
    folder = target.parent
    if target.is_symlink():
        raise refuse(errno.ELOOP, "a link that leads to itself", path)
    if target.is_dir():
        raise refuse(errno.EISDIR, "this is a folder, expected the name of a file", path)
    if not folder.exists():
        raise refuse(errno.ENOENT, "there is no such folder", folder)
    if not folder.is_dir():
        raise refuse(errno.ENOTDIR, "this is no folder", folder)
    if target.exists():
        if not target.is_file():
            raise refuse(errno.EINVAL, "this is no ordinary file", path)
        try:
            os.close(os.open(target, os.O_WRONLY))  # one that is write-protected stays
        except OSError as error:
            raise refuse(error.errno or 0, error.strerror or "", path) from error
    return target


def _begin(path: str | Path, target: Path) -> tuple[int, Path]:
    """A new temporary file beside the target, locked for as long as it is open."""
    _remove_left_over(target)
    # What replaces a private file is private from the start.
    mode = 0o600 if target.exists() else 0o666
    while True:
        temporary = target.parent / f"{_prefix(target)}{secrets.token_hex(8)}.tmp"
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            reason = f"cannot write {path}: {error.strerror}"
            raise OSError(error.errno, reason, str(target.parent)) from error
        if _lock(handle) is not False and temporary.exists():
            return handle, temporary
        # Another process took it for a left-over before it was locked.
        os.close(handle)
        temporary.unlink(missing_ok=True)


def _prefix(target: Path) -> str:
    return f".{target.name[:40]}.snnfp-"


def _remove_left_over(target: Path) -> None:
    """Removes temporary files of the target whose process is gone: nobody has them locked."""
    name = re.compile(re.escape(_prefix(target)) + r"[0-9a-f]{16}\.tmp")
    with contextlib.suppress(OSError):  # it is no harm if they stay
        for left in [e for e in os.listdir(target.parent) if name.fullmatch(e)]:
            with contextlib.suppress(OSError):
                handle = os.open(target.parent / left, os.O_WRONLY | os.O_NOFOLLOW)
                try:
                    if _lock(handle):
                        (target.parent / left).unlink()
                finally:
                    os.close(handle)


def _lock(handle: int) -> bool | None:
    """Locks an open file; False: somebody else has, None: the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _hand_on_mode(target: Path, handle: int) -> None:
    """Owner and mode of the file that is to be replaced, as far as is allowed."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = os.fstat(handle)
    with contextlib.suppress(PermissionError):
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(handle, old.st_uid, old.st_gid)
    with contextlib.suppress(PermissionError):
        os.fchmod(handle, stat.S_IMODE(old.st_mode))
