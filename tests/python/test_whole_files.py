"""Files are written whole or not at all; what stands in the way is said beforehand, by name."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snnfp.checkpoint import check_writable, write_atomically

WRITERS = [check_writable, lambda path: write_atomically(path, b"new")]


@pytest.fixture(params=WRITERS, ids=["check_writable", "write_atomically"])
def writer(request):
    return request.param


def test_a_missing_folder_is_named(tmp_path, writer):
    missing = tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match="there is no such folder") as caught:
        writer(missing / "file")
    assert caught.value.filename == str(missing)
    assert str(missing / "file") in str(caught.value) and ".tmp" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="this is no folder") as caught:
        writer(tmp_path / "file" / "inner")
    assert caught.value.filename == str(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_is_no_file(tmp_path, writer):
    with pytest.raises(IsADirectoryError, match="this is a folder") as caught:
        writer(tmp_path)
    assert caught.value.filename == str(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_is_no_ordinary_file_stays(tmp_path, writer):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "fifo", Path("/dev/null")):
        before = path.stat()
        with pytest.raises(OSError, match=f"cannot write {path}: this is no ordinary file"):
            writer(path)
        assert (path.stat().st_mode, path.stat().st_ino) == (before.st_mode, before.st_ino)
    with pytest.raises(OSError, match="a link that leads to itself"):
        writer(tmp_path / "loop")
    assert sorted(os.listdir(tmp_path)) == ["fifo", "loop"]


FORBIDDEN = """
import os, tempfile
from pathlib import Path
from snnfp.checkpoint import check_writable, write_atomically
if os.geteuid() == 0:  # to whom nothing is forbidden
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
folder = Path(tempfile.mkdtemp())
kept = folder / "kept"
kept.write_text("old")
kept.chmod(0o444)
def refused(writer, path, named):
    try:
        writer(path)
        raise SystemExit("no error")
    except PermissionError as error:
        assert str(error) == (
            f"[Errno 13] cannot write {path}: Permission denied: '{named}'"), error
for writer in (check_writable, lambda path: write_atomically(path, b"new")):
    refused(writer, kept, kept)
    folder.chmod(0o555)
    refused(writer, folder / "new", folder)
    folder.chmod(0o755)
    assert kept.read_text() == "old" and os.listdir(folder) == ["kept"]
folder.chmod(0o333)  # to be written, not to be read
write_atomically(folder / "new", b"new")
folder.chmod(0o755)
assert (folder / "new").read_bytes() == b"new"
(folder / "new").unlink(), kept.unlink(), folder.rmdir()
"""


def test_forbidden_places():
    result = subprocess.run([sys.executable, "-c", FORBIDDEN], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_takes_no_file_is_named(tmp_path, writer, monkeypatch, code):
    """A read-only file system, say."""

    def refuse(name, *rest):
        raise OSError(code, os.strerror(code), str(name))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        writer(tmp_path / "file")
    assert caught.value.errno == code and caught.value.filename == str(tmp_path)
    assert ".tmp" not in str(caught.value) and str(tmp_path / "file") in str(caught.value)


def test_check_writable_leaves_all_as_it_was(tmp_path):
    check_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == []
    (tmp_path / "old").write_text("old")
    before = (tmp_path / "old").stat()
    check_writable(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old" and os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    code = errno.ENOSPC

    def full(*arguments):
        raise OSError(code, os.strerror(code))

    if step == "write":
        monkeypatch.setattr(os, "fdopen", lambda handle, mode: open_full(handle))
    else:
        monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(path, b"new" * 100_000)
    assert caught.value.errno == code and caught.value.filename == str(path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]
    monkeypatch.undo()
    write_atomically(path, b"new", memoryview(b"er"))
    assert path.read_bytes() == b"newer" and os.listdir(tmp_path) == ["file"]


def open_full(handle):
    """/dev/full instead of the file: what is written to it does not fit."""
    os.close(handle)
    return open("/dev/full", "wb")


def test_mode(tmp_path):
    mask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"1")
        assert oct((tmp_path / "file").stat().st_mode & 0o7777) == "0o640"
        for mode in (0o600, 0o644, 0o660, 0o755):
            (tmp_path / "file").chmod(mode)
            write_atomically(tmp_path / "file", b"2")
            assert oct((tmp_path / "file").stat().st_mode & 0o7777) == oct(mode)
    finally:
        os.umask(mask)


def test_a_private_file_is_never_open_to_others(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"secret")
    path.chmod(0o600)
    seen = []

    def look(real):
        def looking(*arguments):
            seen.extend(e.stat().st_mode & 0o077 for e in tmp_path.iterdir())
            return real(*arguments)

        return looking

    for step in ("fdopen", "fsync"):  # before and after it is written
        monkeypatch.setattr(os, step, look(getattr(os, step)))
    write_atomically(path, b"secret too")
    assert len(seen) >= 4 and not any(seen)


def test_links_stay(tmp_path):
    """A link keeps pointing where it did, and that file is what changes, in its own folder."""
    (tmp_path / "far").mkdir()
    real = tmp_path / "far" / "real"
    real.write_bytes(b"old")
    (tmp_path / "link").symlink_to(Path("far") / "real")
    (tmp_path / "second").symlink_to("link")
    (tmp_path / "dangling").symlink_to(tmp_path / "far" / "later")
    write_atomically(tmp_path / "second", b"new")
    assert real.read_bytes() == b"new" and not real.is_symlink()
    write_atomically(tmp_path / "dangling", b"made")
    assert (tmp_path / "far" / "later").read_bytes() == b"made"
    links = ["link", "second", "dangling"]
    assert all((tmp_path / name).is_symlink() for name in links)
    assert sorted(os.listdir(tmp_path)) == sorted(["far", *links])
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere" / "file")
    with pytest.raises(FileNotFoundError) as caught:
        write_atomically(tmp_path / "lost", b"x")
    assert caught.value.filename == str(tmp_path / "nowhere")


STOPPED = """
import os, signal, sys
from snnfp.checkpoint import write_atomically
def stop(handle):
    os.fsync = sync
    print("writing", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    sync(handle)
sync, os.fsync = os.fsync, stop
write_atomically(sys.argv[1], b"late")
"""


def stopped_writer(path):
    """A process that stops while it writes."""
    writer = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(path)], stdout=subprocess.PIPE, text=True
    )
    writer.stdout.readline()
    writer.stdout.close()
    return writer


def temporary(folder):
    return [name for name in os.listdir(folder) if name.endswith(".tmp")]


def test_what_a_killed_process_left_goes(tmp_path, writer):
    path = tmp_path / ("long name " * 20)
    others = [".notes.tmp", f".{path.name[:40]}.tmp", f".{path.name[:40]}.snnfp-mine.tmp"]
    for name in others:
        (tmp_path / name).write_text("of somebody else")
    killed = stopped_writer(path)
    assert len(temporary(tmp_path)) == 4
    killed.kill()
    killed.wait()
    assert len(temporary(tmp_path)) == 4
    writer(path)
    assert sorted(temporary(tmp_path)) == sorted(others)


def test_a_file_that_another_process_writes_is_left_alone(tmp_path, writer):
    """However long it takes; it then comes last."""
    path = tmp_path / "file"
    other = stopped_writer(path)
    writer(path)
    assert len(temporary(tmp_path)) == 1
    end = time.monotonic() + 30
    while other.poll() is None and time.monotonic() < end:
        other.send_signal(signal.SIGCONT)  # again and again: it may stop only after the line
        time.sleep(0.01)
    assert other.returncode == 0 and path.read_bytes() == b"late"
    assert temporary(tmp_path) == []


def test_many_processes_write_the_same_file(tmp_path):
    text = """
import sys
from snnfp.checkpoint import write_atomically
for k in range(100):
    write_atomically(sys.argv[1], sys.argv[2].encode() * 5000)
"""
    path = tmp_path / "file"
    writers = [
        subprocess.Popen([sys.executable, "-c", text, str(path), letter]) for letter in "abc"
    ]
    while any(w.poll() is None for w in writers):
        if path.exists():
            content = path.read_bytes()
            assert len(content) == 5000 and len(set(content)) == 1
    assert [w.returncode for w in writers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["file"]
