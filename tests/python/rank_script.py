"""What tests/python/test_mpi.py runs under mpiexec: one training, and what may befall a rank.

    mpiexec -n 4 python -m snnfp.mpi rank_script.py WHAT [CHECKPOINT]

Each rank prints one line: its number, and a digest of network and history or its error.
"""

import os
import signal
import sys
import time
from pathlib import Path

from mpi4py import MPI
from snnfp import fit
from test_ranks import OPTIONS
from test_training import LOSS, everything, problem

FAILING = 1  # the rank that something befalls, in its fourth batch


def befallen(what, rank):
    """A loss that does to one rank what is asked for."""
    calls = []

    def loss(record, labels):
        calls.append(1)
        if rank == FAILING and len(calls) == 4:
            if what == "raises":
                raise ZeroDivisionError("no")
            if what in ("interrupted", "killed", "terminated"):
                number = {"interrupted": "SIGINT", "killed": "SIGKILL", "terminated": "SIGTERM"}
                os.kill(os.getpid(), getattr(signal, number[what]))
                time.sleep(60.0)
            if what == "sleeps":
                print("sleeping", flush=True)
                time.sleep(60.0)
            if what == "leaves":
                os._exit(0)
        return LOSS(record, labels)

    return loss


def main():
    what, checkpoint = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    comm = MPI.COMM_WORLD
    rank = comm.Get_rank()
    if what == "before" and rank == FAILING:
        raise ZeroDivisionError("before fit")
    net, data = problem()
    options = {**OPTIONS, "checkpoint": checkpoint}
    if what == "half":
        options["epochs"] = 2
    elif what == "resumed":
        options["resume"] = checkpoint
    elif what == "trained":
        options["checkpoint"] = None
    else:
        options["loss"] = befallen(what, rank)
    try:
        said = " ".join(everything(net, fit(net, data, validation=data, comm=comm, **options)))
    except BaseException as error:
        said = f"{type(error).__name__} {error} | {error.__notes__[0]}"
    # One write, so that lines of ranks stay apart.
    os.write(1, f"{rank} {said}\n".encode())


if __name__ == "__main__":
    main()
