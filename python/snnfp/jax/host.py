"""What runs outside of JAX: NumPy arrays in, NumPy arrays out, with or without axes of ``vmap``."""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._functional import NetworkFunction, Trace

__all__ = ["Host"]

Arrays = Mapping[str, NDArray[Any]]
Index = tuple[int, ...]

# Calls whose traces are kept for the derivatives that may follow. More of them at once, as in a
# long scan, only cost a second simulation.
_KEPT = 4


class Host:
    """Calls of a network, and their derivatives by what an earlier call has left.

    Each method is a function of its arguments alone: what is kept of earlier calls saves time, and
    is computed again where it is missing. All arguments may have further axes in front, those of
    ``vmap``, of size 1 or all of one size.

    Args:
        function: the network.
        samples: of a network without input.

    Attributes:
        function: as given.
        ranks: number of axes, without those of ``vmap``, by name of parameters and inputs.
    """

    def __init__(self, function: NetworkFunction, samples: int | None) -> None:
        self.function, self._samples = function, samples
        self.ranks = {n: v.ndim for n, v in function.parameters.items()}
        self.ranks |= {f"{name}.times": 3 for name in function.inputs}
        self._kept: OrderedDict[int, dict[int, Trace]] = OrderedDict()
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def values(self, given: Arrays) -> tuple[NDArray[Any], ...]:
        """The outputs.

        Args:
            given: parameters by name, and times by ``"<input>.times"``.
        """
        lead = self._lead(given)
        varied = [n for n in given if math.prod(self._own(given, n)) > 1]
        if any(not self._is_times(n) for n in varied) or not varied:
            return _stacked([self._trace(given, at).values for at in np.ndindex(lead)], lead)
        # Only times vary: one batch of all samples.
        flat = {n: self._at(given, n, (0,) * len(lead)) for n in given}
        for name in filter(self._is_times, given):
            shape = given[name].shape[-3:]
            flat[name] = np.broadcast_to(given[name], lead + shape).reshape(-1, *shape[1:])
        return tuple(v.reshape((*lead, -1, *v.shape[1:])) for v in self._trace(flat, ()).values)

    def record(self, given: Arrays) -> tuple[NDArray[Any], ...]:
        """The outputs, and a token by which derivatives find what this call has left."""
        lead = self._lead(given)
        # The memory of arguments is JAX's and may serve another purpose after the call.
        own = {n: np.array(v) for n, v in given.items()}
        traces = [self._trace(own, at) for at in np.ndindex(lead)]
        token = np.empty((len(traces), 2), np.int32)
        token[:, 0], token[:, 1] = self._keep(traces), np.arange(len(traces))
        return *_stacked([t.values for t in traces], lead), token.reshape(*lead, 2)

    def pull(
        self,
        given: Arrays,
        token: NDArray[np.int32],
        cotangents: Mapping[int, NDArray[Any]],
        wrt: tuple[str, ...],
    ) -> dict[str, NDArray[Any]]:
        """The gradient of a loss.

        Args:
            given: as for :meth:`record`.
            token: that of the call.
            cotangents: the derivative of the loss by the outputs, by their number.
            wrt: names among those of ``given``.
        """
        ranks = {k: self._rank_of_output(k) for k in cotangents}
        lead = self._lead(given, (token, 1), *((c, ranks[k]) for k, c in cotangents.items()))
        outputs = range(len(self.function.outputs))
        gradients = []
        traces = _Found(self, given, token)
        for at in np.ndindex(lead):
            by = [_at(cotangents[k], ranks[k], at) if k in cotangents else None for k in outputs]
            found = traces.at(at).pullback(by, wrt)
            gradients.append(tuple(found[n] for n in wrt))
        stacked = _stacked(gradients, lead)
        return {n: g.astype(given[n].dtype, copy=False) for n, g in zip(wrt, stacked, strict=True)}

    def push(
        self, given: Arrays, token: NDArray[np.int32], tangents: Arrays
    ) -> tuple[NDArray[Any], ...]:
        """The derivative of each output along one direction.

        Args:
            given: as for :meth:`record`.
            token: that of the call.
            tangents: by name, of the shapes of ``given``.
        """
        lead = self._lead(given, (token, 1), *((t, self.ranks[n]) for n, t in tangents.items()))
        along = []
        traces = _Found(self, given, token)
        for at in np.ndindex(lead):
            direction = {n: self._at(tangents, n, at) for n in tangents}
            along.append(traces.at(at).pushforward(direction))
        return _stacked(along, lead)

    def forget(self) -> None:
        """Lets go of all that is kept."""
        # Without the lock: garbage collection may call this where the lock is held. Who holds it
        # goes on with the mapping that was there.
        self._kept = OrderedDict()

    # -- inside ----------------------------------------------------------------------------------

    def _keep(self, traces: list[Trace]) -> int:
        with self._lock:
            number, kept = next(self._numbers) % 2**31, self._kept
            kept[number] = dict(enumerate(traces))
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        return number

    def _taken(self, number: int, which: int) -> Trace | None:
        """What a call has left, which is then no longer kept."""
        with self._lock:
            kept = self._kept
            traces = kept.get(number, {})
            trace = traces.pop(which, None)
            if not traces:
                kept.pop(number, None)
        return trace

    def _trace(self, given: Arrays, at: Index) -> Trace:
        parameters, inputs = {}, {}
        for name in given:
            value = self._at(given, name, at)
            if self._is_times(name):
                inputs[name.removesuffix(".times")] = value
            else:
                parameters[name] = value
        return self.function(parameters, inputs, samples=self._samples)

    def _is_times(self, name: str) -> bool:
        return name.endswith(".times")

    def _rank_of_output(self, k: int) -> int:
        return len(self.function.shapes(1)[k])

    def _own(self, given: Arrays, name: str) -> tuple[int, ...]:
        """The axes of ``vmap`` that an array has."""
        return given[name].shape[: given[name].ndim - self.ranks[name]]

    def _lead(self, given: Arrays, *others: tuple[NDArray[Any], int]) -> tuple[int, ...]:
        """The axes of ``vmap`` that all have together."""
        own = [self._own(given, name) for name in given]
        own += [array.shape[: array.ndim - rank] for array, rank in others]
        return np.broadcast_shapes(*own)

    def _at(self, given: Arrays, name: str, at: Index) -> NDArray[Any]:
        return _at(given[name], self.ranks[name], at)


class _Found:
    """The traces of a call, each taken or computed once."""

    def __init__(self, host: Host, given: Arrays, token: NDArray[np.int32]) -> None:
        self._host, self._given, self._token = host, given, token
        self._found: dict[tuple[int, int], Trace] = {}

    def at(self, index: Index) -> Trace:
        """That of one element of the axes of ``vmap``."""
        number, which = _at(self._token, 1, index).tolist()
        if (number, which) not in self._found:
            trace = self._host._taken(number, which) or self._host._trace(self._given, index)
            self._found[number, which] = trace
        return self._found[number, which]


def _at(array: NDArray[Any], rank: int, index: Index) -> NDArray[Any]:
    """The element at this index of the axes in front, which all may have or be without."""
    own = array.shape[: array.ndim - rank]
    element: NDArray[Any] = array[
        tuple(0 if n == 1 else k for n, k in zip(own, index, strict=False))
    ]
    return element


def _stacked(each: Iterable[tuple[NDArray[Any], ...]], lead: tuple[int, ...]) -> tuple[Any, ...]:
    """Results of the elements of axes in front, as arrays with these axes."""
    if not lead:
        (only,) = each
        return only
    columns = zip(*each, strict=True)
    return tuple(np.stack(c).reshape(lead + np.shape(c[0])) for c in columns)
