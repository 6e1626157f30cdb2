"""``mpiexec -n 4 python -m snnfp.mpi PROGRAM``: a rank that does not end unseen.

As ``python -m mpi4py PROGRAM``, which ends all ranks where one raises an error that nobody catches.
Beside that each rank is watched by the process that mpiexec has started: if it is killed, say for
want of memory, that says which rank it was and by what, and then lets mpiexec end the others.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from snnfp.errors import require

__all__ = ["main"]

# Where MPICH and those like it, Open MPI, PMIx and Slurm say which rank a process is.
_NUMBERS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
_INSIDE = "--inside"
_PR_SET_PDEATHSIG = 1
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def main(arguments: Sequence[str]) -> int:
    """Runs a program as a rank.

    Args:
        arguments: what would follow ``python``: a file, or ``-m`` and a module, and theirs.

    Returns:
        The exit status.
    """
    if not arguments:
        print("usage: mpiexec -n RANKS python -m snnfp.mpi PROGRAM ...", file=sys.stderr)
        return 2
    require("mpi4py", extra="mpi")
    (reads, word), (life, alive) = os.pipe(), os.pipe()
    command = [sys.executable, "-m", "snnfp.mpi", _INSIDE, str(word), str(life), *arguments]
    for end in (word, life):
        os.set_inheritable(end, True)
    # What mpiexec has opened for its ranks is for the program. Signals reach it from here alone:
    # a second interrupt would hit it while it tells the others of the first.
    with subprocess.Popen(command, close_fds=False, process_group=0) as program:
        passed: set[int] = set()

        def pass_on(number: int, frame: object) -> None:
            passed.add(number)
            program.send_signal(number)

        for name in _PASSED_ON:
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), pass_on)
        os.close(word)
        status = program.wait()
    os.close(alive)
    if -status in passed:  # whoever ends all knows why
        return 128 - status
    if status < 0:
        name = signal.Signals(-status).name
        why = ": not enough memory?" if name == "SIGKILL" else ""
        _tell(program.pid, f"was killed by {name}{why}")
        return 128 - status
    os.set_blocking(reads, False)  # children of the program may still have the other end
    farewell = b""
    with contextlib.suppress(BlockingIOError):
        farewell = os.read(reads, 1)
    if status == 0 and not farewell:
        _tell(program.pid, "has left without a word (os._exit?)")
        return 1
    return status


def _tell(process: int, what: str) -> None:
    rank = next((os.environ[name] for name in _NUMBERS if name in os.environ), "?")
    where = f"process {process} on {platform.node()}"
    print(f"snnfp: rank {rank} ({where}) {what}", file=sys.stderr, flush=True)


def _inside(word: int, life: int, arguments: Sequence[str]) -> None:
    """The program itself, in the process that is watched."""
    for end in (word, life):
        os.set_inheritable(end, False)
    # After MPI's own farewell, which is registered later.
    atexit.register(os.write, word, b".")
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    _end_by_system()
    run = require("mpi4py.run", extra="mpi")
    sys.argv = ["mpi4py", *arguments]
    run.main()


def _end_with(life: int) -> None:
    """Ends this process with the one that watches it, which mpiexec may kill."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _end_by_system() -> None:
    """Linux ends this process too, also where no thread runs any more: within MPI_Finalize."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        _inside(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(main(sys.argv[1:]))
