"""Processes that work together, as those that ``mpiexec -n 4`` starts, each of which is a *rank*.

Batches are dealt out to the ranks, and what they give is added in the order of the batches, so that
a training has the same bits for any number of ranks, and those that it has without them. What is
raised on one rank is raised on all: none is left waiting for the others.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from snnfp._settings import differences
from snnfp.errors import RankError

__all__ = ["Communicator", "Ranks"]

Gradients = dict[str, NDArray[Any]]
T = TypeVar("T")

_MOST_WORDS = 4000


class Communicator(Protocol):
    """What is asked of a communicator: four methods of those that mpi4py's ``MPI.Comm`` has."""

    def Get_rank(self) -> int:
        """The number of this rank, from 0."""
        ...

    def Get_size(self) -> int:
        """How many ranks there are."""
        ...

    def alltoall(self, sendobj: Sequence[Any], /) -> Sequence[Any]:
        """Sends an object to each rank, in their order; returns what each has sent to this one.

        The objects are numbers, texts, tuples, lists, dicts and arrays. Called by all ranks, as
        often on each; nothing else is said between them.
        """
        ...

    def Abort(self, errorcode: int = 0, /) -> Any:
        """Ends all ranks; called where an exchange itself has failed."""
        ...


class _Failure(NamedTuple):
    """What a rank sends to all instead of what they expect."""

    error: str


class _Piece(NamedTuple):
    """What one batch gives to one rank: slices of its gradients, their shapes, and the rest."""

    slices: Gradients
    shapes: dict[str, tuple[int, ...]]
    rest: Any


class Ranks:
    """The ranks of a communicator, as a context: an error within on one ends it on all.

    What they tell each other goes through one method of the communicator, called as often by each.
    A rank that fails calls it once more, to tell the others, who see that in whatever they are
    exchanging.

    Args:
        comm: a :class:`Communicator`; None: this process is alone.

    Attributes:
        rank: number of this process.
        size: how many there are.
        first: whether this is rank 0, which reads, writes and speaks for all.

    Raises:
        RankError: within, and at its end: another rank has raised something.
    """

    def __init__(self, comm: Communicator | None) -> None:
        self._comm = comm
        self.rank, self.size = (0, 1) if comm is None else _place(comm)
        self.first = self.rank == 0
        self._over = self.size == 1  # nobody is to be told of an error, or all know

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._over:
            return
        if error is None:
            # Nobody leaves before all have come so far: who fails until then finds all listening.
            self._exchange([None] * self.size, last=True)
            return
        with contextlib.suppress(RankError):
            self._exchange([_Failure(_words(error))] * self.size, last=True)

    # -- what is done together -------------------------------------------------------------------

    def from_first(self, value: T) -> T:
        """What rank 0 gives, on every rank."""
        if self.size == 1:
            return value
        said: T = self._exchange([value if self.first else None] * self.size)[0]
        return said

    def compare(self, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Makes sure that all ranks are about the same.

        Args:
            describe: says what this one is about, as :func:`snnfp._settings.describe` puts it;
                not called where there are no others.

        Raises:
            ValueError: on every rank: which one differs from rank 0, and in what.
        """
        if self.size == 1:
            return
        said = self._exchange([dict(describe())] * self.size)
        for rank, other in enumerate(said):
            lines = differences(said[0], other)
            if lines:
                self._over = True
                raise ValueError(
                    f"the ranks are not about the same, rank 0 -> rank {rank}: {'; '.join(lines)}"
                )

    def each(self, n: int, work: Callable[[int], T]) -> list[T]:
        """What ``work`` gives for 0 ... n - 1, each done by one of the ranks, on every rank."""
        if self.size == 1:
            return [work(k) for k in range(n)]
        own = [work(k) for k in range(self.rank, n, self.size)]
        said = self._exchange([own] * self.size)
        return [said[k % self.size][k // self.size] for k in range(n)]

    def check_accumulate(self, batches: int) -> None:
        """Raises unless a step has a batch for each rank."""
        if batches < self.size:
            raise ValueError(
                f"comm has {self.size} ranks, which share the batches of a step, and accumulate is "
                f"{batches}: expected accumulate of at least {self.size}, best a multiple, and "
                "smaller batches (batch_size times accumulate are the samples of a step)"
            )

    def add(
        self, shares: Sequence[float], work: Callable[[int], tuple[Gradients, T]]
    ) -> tuple[Gradients, list[T]]:
        """The sum of gradients, each times its share, and the other things that ``work`` gives.

        Each rank adds a slice of every parameter, in the order of the batches, and hands it on.

        Args:
            shares: of each batch.
            work: gives the gradients of a batch, and something else.
        """
        total: Gradients = {}
        rest: list[T] = []
        if self.size == 1:
            for k, share in enumerate(shares):
                gradients, more = work(k)
                total = _plus(total, _times(gradients, share))
                rest.append(more)
            return total, rest
        made = [(k, work(k)) for k in range(self.rank, len(shares), self.size)]
        cut = [(self._cut(_times(g, shares[k])), _shapes(g), more) for k, (g, more) in made]
        said = self._exchange(
            [[_Piece(parts[j], shapes, more) for parts, shapes, more in cut]
             for j in range(self.size)]
        )  # fmt: skip
        pieces: list[_Piece] = [said[k % self.size][k // self.size] for k in range(len(shares))]
        for piece in pieces:
            total = _plus(total, piece.slices)
            rest.append(piece.rest)
        slices = self._exchange([total] * self.size)
        whole = {
            name: np.concatenate([part[name] for part in slices]).reshape(shape)
            for name, shape in pieces[0].shapes.items()
        }
        return whole, rest

    # -- inside ----------------------------------------------------------------------------------

    def _cut(self, gradients: Gradients) -> list[Gradients]:
        """A slice of every gradient for each rank."""
        flat = {name: np.asarray(g).reshape(-1) for name, g in gradients.items()}
        return [
            {n: g[g.size * j // self.size : g.size * (j + 1) // self.size] for n, g in flat.items()}
            for j in range(self.size)
        ]

    def _exchange(self, parts: list[Any], *, last: bool = False) -> list[Any]:
        """One object for each rank, and one from each."""
        assert self._comm is not None
        with _interrupted_afterwards():
            try:
                said = list(self._comm.alltoall(parts))
            except BaseException as error:
                # Who has got what is not known, and the others may be waiting.
                self._over = True
                words = f"{_words(error)} in the middle of an exchange: all ranks are ended"
                print(f"snnfp: rank {self.rank}: {words}", file=sys.stderr, flush=True)
                self._comm.Abort(1)
                raise
            failed = [k for k, s in enumerate(said) if isinstance(s, _Failure) and k != self.rank]
            self._over = last or bool(failed)
        if failed:
            also = f" (and rank {', '.join(map(str, failed[1:]))} failed too)" if failed[1:] else ""
            told = RankError(f"rank {failed[0]} raised {said[failed[0]].error}{also}")
            told.rank = failed[0]
            raise told
        return said


def _place(comm: Any) -> tuple[int, int]:
    """Rank and size of a communicator."""
    missing = [n for n in ("Get_rank", "Get_size", "alltoall", "Abort") if not hasattr(comm, n)]
    if missing or isinstance(comm, type):
        raise TypeError(
            f"comm is {comm!r}, expected mpi4py's MPI.COMM_WORLD or another communicator with "
            "Get_rank, Get_size, alltoall and Abort (see snnfp.ranks.Communicator)"
        )
    return int(comm.Get_rank()), int(comm.Get_size())


def _words(error: BaseException) -> str:
    """An error in one text."""
    said = str(error)
    return f"{type(error).__name__}{': ' if said else ''}{said}"[:_MOST_WORDS]


def _times(gradients: Gradients, share: float) -> Gradients:
    return gradients if share == 1.0 else {k: g * share for k, g in gradients.items()}


def _plus(total: Gradients, more: Gradients) -> Gradients:
    return {k: total[k] + g for k, g in more.items()} if total else more


def _shapes(gradients: Gradients) -> dict[str, tuple[int, ...]]:
    return {name: np.shape(g) for name, g in gradients.items()}


@contextlib.contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Ctrl-C comes right after what is done within, which would else be half done."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if before is None:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
