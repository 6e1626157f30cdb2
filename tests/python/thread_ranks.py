"""Ranks in threads of one process: a communicator with what snnfp asks of mpi4py's, for tests."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

_PATIENCE = 60.0  # seconds; a rank that waits so long for the others has been left alone


class ThreadComm:
    """A communicator of one rank; objects are pickled on their way, as mpi4py does."""

    def __init__(self, rank: int, barrier: threading.Barrier, post: dict[Any, bytes]) -> None:
        self._rank, self._barrier, self._post = rank, barrier, post
        self.exchanges = 0
        self.aborted = False

    def Get_rank(self) -> int:
        return self._rank

    def Get_size(self) -> int:
        return self._barrier.parties

    def alltoall(self, sendobj: Any) -> list[Any]:
        assert len(sendobj) == self.Get_size()
        for to, part in enumerate(sendobj):
            self._post[self._rank, to] = pickle.dumps(part)
        self._barrier.wait(_PATIENCE)
        got = [pickle.loads(self._post[k, self._rank]) for k in range(self.Get_size())]
        self._barrier.wait(_PATIENCE)
        self.exchanges += 1
        return got

    def Abort(self, errorcode: int = 0) -> None:
        self.aborted = True
        self._barrier.abort()


def on_ranks(size: int, work: Callable[[ThreadComm], Any]) -> list[Any]:
    """What ``work(comm)`` returns or raises on each rank."""
    barrier, post = threading.Barrier(size), {}
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadComm(rank, barrier, post))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * _PATIENCE)
        assert not thread.is_alive(), "a rank waits for ever"
    return results


def all_of(results: list[Any]) -> list[Any]:
    """The results, none of which may be an error."""
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
