"""Derivatives of the spikes of a record: vector products, Jacobians."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import freeze, integer_array, real_array, spot
from snnfp._memory import need_memory
from snnfp._numbers import count
from snnfp.groups import core_parameter
from snnfp.network import Population, Projection, Selection
from snnfp.readings import Reading, readout_named
from snnfp.readout_record import ReadoutRecord

__all__ = ["DifferentiableRecord"]


class DifferentiableRecord(ReadoutRecord):
    """The part of :class:`snnfp.Record` that is about derivatives."""

    def vjp(
        self,
        cotangents: ArrayLike | Mapping[Any, ArrayLike],
        *,
        wrt: Selection = "*.weight",
        mode: str = "reverse",
        n_threads: int | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Gradient of a loss, given its derivative by each spike time.

        Args:
            cotangents: dL/dt of every spike, ``[n_spikes]``, or ``{population: dL/dt}`` with
                ``[samples, n]`` for first spikes (ignored where silent) or one a spike of it. A
                key may be a :class:`snnfp.Reading`, with dL/d(what is read off its readout) in the
                shape of :meth:`readout`.
            wrt: names or patterns; ``"*"`` for every parameter and the input times.
            mode: ``"reverse"`` (the adjoint) or ``"forward"`` (forward propagation); the same
                numbers to round-off.
            n_threads: None: as for the simulation. The result is the same for any number.

        Returns:
            dL/dp by name, each of the shape of its parameter; ``"<input>.times"`` one a spike.
        """
        if mode not in ("reverse", "forward"):
            raise ValueError(f"mode is {mode!r}, expected 'reverse' or 'forward'")
        flat = self._cotangents(cotangents)
        selected = self._net.select(wrt)
        names, own = self._without_readouts(selected)
        gradients: dict[str, NDArray[Any]] = {}
        inputs: dict[str, NDArray[Any]] = {}
        readings = self._readings(cotangents)
        if own or readings:
            gradients, flat, inputs = self._read_vjp(readings, own, flat, n_threads)
        if names:
            solve = self._core.vjp if mode == "reverse" else self._core.forward_gradient
            solved = solve(flat, self._parameters(names), self._run(n_threads))
            gradients |= self._named(names, solved)
        for name, by_time in inputs.items():
            if f"{name}.times" in gradients:
                gradients[f"{name}.times"] = gradients[f"{name}.times"] + by_time
        return {name: gradients[name] for name in selected} if own else gradients

    def jvp(
        self, tangents: Mapping[str, ArrayLike], *, n_threads: int | None = None
    ) -> NDArray[Any]:
        """Derivative of every spike time along one direction of parameters, ``[n_spikes]``.

        Args:
            tangents: by name, each of the shape of its parameter; zero for the others.
            n_threads: as for :meth:`vjp`.
        """
        flat = self._tangents(tangents)
        return self._jvp({n: v for n, v in flat.items() if not self._net._listens(n)}, n_threads)

    def _jvp(self, flat: Mapping[str, NDArray[Any]], n_threads: int | None) -> NDArray[Any]:
        """Of tangents that were checked, in the order of the core."""
        if not flat:
            return np.zeros_like(self.times)
        along = np.ascontiguousarray(np.concatenate(list(flat.values())))
        return self._core.jvp(self._parameters(tuple(flat)), along, self._run(n_threads))

    def _tangents(self, tangents: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Flat, in the order of the core, by name."""
        names = self._net.select(tuple(tangents))
        for key in tangents:
            if key not in names:
                raise KeyError(
                    f"tangents has {key!r}, expected names: a tangent for each of "
                    f"{', '.join(self._net.select(key))}"
                )
        parts = {}
        for name in names:
            value = real_array(
                tangents[name], f"tangent of {name}", self.times.dtype, underflow=True
            )
            if value.shape != self._shape(name):
                raise ValueError(
                    f"tangent of {name} has shape {value.shape}, expected {self._shape(name)}"
                )
            bad = np.argwhere(~np.isfinite(value))
            if bad.size:
                at = tuple(bad[0])
                raise ValueError(
                    f"{spot(f'tangent of {name}', at)} is {value[at]}, expected a finite number"
                )
            owner = self._projection(name)
            flat = owner.to_core(value) if owner else value.reshape(-1)
            parts[name] = np.ascontiguousarray(flat)
        return parts

    def jacobian(
        self,
        *,
        of: str | Population | Reading | ArrayLike,
        wrt: Selection = "*.weight",
        out: NDArray[Any] | None = None,
        n_threads: int | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Derivatives of chosen spikes, or of what is read, by chosen parameters.

        Args:
            of: a population (all its spikes), or an integer array of indices into the record of
                any shape (:meth:`indices`, :meth:`first_indices`); rows of index -1 are zero. Or a
                :class:`snnfp.Reading`: every value that :meth:`readout` gives.
            wrt: names or patterns; parameters of readouts, on which no spike depends, are left out
                of derivatives of spikes.
            out: where to work, ``[spikes, parameters]``, C-contiguous and of the record's dtype;
                what is returned are views of it, or copies where the synapses of a sparse
                projection were not given in order. Saves time where one Jacobian follows another.
            n_threads: as for :meth:`vjp`.

        Returns:
            By name, arrays of shape ``of.shape + parameter.shape``; of a reading, of the shape of
            :meth:`readout` and then that of the parameter.

        Raises:
            ValueError: ``out`` with a reading.
            MemoryError: before the work starts, if the result does not fit; see
                :meth:`jacobian_blocks`. Of a reading also if its derivatives by the spikes that
                ``wrt`` moves do not, or, before these are taken, theirs by ``wrt``.
        """
        if isinstance(of, Reading):
            if out is not None:
                raise ValueError("out is for derivatives of spikes, expected None with a reading")
            return self._jacobian_of_reading(of, wrt, n_threads)
        rows = self._rows(of)
        names = self._of_spikes(wrt)
        width = self._width(names)
        if out is None:
            blocks = ", or take them in blocks with jacobian_blocks"
            self._need_room(rows.size, "spikes", width, blocks)
            out = np.empty((rows.size, width), dtype=self.times.dtype)
        else:
            _check_out(out, (rows.size, width), self.times.dtype)
        self._core.jacobian(rows.reshape(-1), self._parameters(names), out, self._run(n_threads))
        return {k: v.reshape(rows.shape + v.shape[1:]) for k, v in self._named(names, out).items()}

    def jacobian_blocks(
        self,
        *,
        of: str | Population | ArrayLike,
        wrt: Selection = "*.weight",
        columns: int = 4096,
        n_threads: int | None = None,
    ) -> Iterator[tuple[str, NDArray[np.int64], NDArray[Any]]]:
        """The Jacobian in blocks of columns, one after the other.

        The memory of a block that nobody holds any more serves a later one.

        Args:
            of: as for :meth:`jacobian`.
            wrt: as for :meth:`jacobian`.
            columns: at most this many parameters a block.
            n_threads: as for :meth:`vjp`.

        Yields:
            ``(name, elements, block)``: ``block[..., k]`` is the derivative by element
            ``elements[k]`` of the flattened parameter ``name``.
        """
        columns = count(columns, "columns")
        rows = self._rows(of)
        names = self._of_spikes(wrt)
        core = self._core.jacobian_columns(
            rows.reshape(-1), self._parameters(names), self._run(n_threads)
        )
        blocks = _Blocks(self.times.dtype)
        first = 0  # column of the parameter
        for name in names:
            width = math.prod(self._shape(name))
            owner = self._projection(name)
            order = owner.order(self._shape(name)) if owner else None
            elements = np.arange(width) if order is None else order
            begin = 0
            while begin < width:
                end = min(width, begin + columns)
                if end < width and columns >= _SOLVED_TOGETHER:
                    end -= (first + end) % _SOLVED_TOGETHER
                block = blocks.get(rows.size * (end - begin))
                core.solve(first + begin, first + end, block)
                yield name, elements[begin:end], block.reshape(*rows.shape, end - begin)
                del block
                begin = end
            first += width

    # -- inside ----------------------------------------------------------------------------------

    def _jacobian_of_reading(
        self, reading: Reading, wrt: Selection, n_threads: int | None
    ) -> dict[str, NDArray[Any]]:
        """By the readout's own parameters, and through the spikes that it heard."""
        selected = self._net.select(wrt)
        names, own = self._without_readouts(selected)
        shape = reading.shape(self.n_samples, readout_named(self._net, reading.readout).size)
        rows, width = math.prod(shape), self._width(names)
        values = rows // max(self.n_samples, 1)  # of a sample
        inputs = [g for g in self._net.inputs if f"{g}.times" in names]
        fired = {p: self.indices(p) for p in self._net.populations} if names else {}
        self._need_room_on_the_way(rows, values, width + self._width(own), (*inputs, *fired))
        by_own, by_times = self._read_jacobian(reading, own, (*inputs, *fired), n_threads)
        found = self._named(own, by_own.reshape(rows, -1)) if own else {}
        if names:
            through = np.zeros((self.n_samples, values, width), dtype=self.times.dtype)
            heard = [(fired[p], by) for p, by in by_times.items() if p in fired]
            self._add_through_spikes(through, names, heard, n_threads)
            found |= self._named(names, through.reshape(rows, width))
        for group in inputs:
            by_time = by_times.get(group)
            if by_time is not None:
                batch = self._groups[self._net.inputs[group].index]
                sample = np.repeat(np.arange(self.n_samples), np.diff(batch.offsets))
                whole = found[f"{group}.times"].reshape(self.n_samples, values, -1)
                whole[sample, :, np.arange(sample.size)] += by_time.T
        return {n: found[n].reshape(shape + self._shape(n)) for n in selected}

    def _add_through_spikes(
        self,
        through: NDArray[Any],
        names: tuple[str, ...],
        heard: list[tuple[NDArray[np.int64], NDArray[Any]]],
        n_threads: int | None,
    ) -> None:
        """Adds what values owe to parameters by way of spikes.

        Args:
            through: ``[samples, values, parameters]``.
            names: of the parameters.
            heard: indices of spikes, and derivatives by their times ``[values, spikes]``.
        """
        used = [(indices, rows, np.flatnonzero(rows.any(axis=0))) for indices, rows in heard]
        at = np.sort(np.concatenate([self.neurons[:0], *(i[use] for i, _, use in used)]))
        if not at.size:
            return
        width = through.shape[-1]
        self._need_room(at.size, "spikes", width, copies=2)
        of_spikes = np.empty((at.size, width), dtype=self.times.dtype)
        self._core.jacobian(at, self._parameters(names), of_spikes, self._run(n_threads))
        fired, begin = np.unique(self.samples[at], return_index=True)
        by_spike = np.empty(at.size, dtype=self.times.dtype)
        places = [(np.searchsorted(at, i[use]), rows, use) for i, rows, use in used]
        for k in range(through.shape[1]):
            for place, rows, use in places:
                by_spike[place] = rows[k, use]
            shares = by_spike[:, None] * of_spikes
            through[fired, k] = np.add.reduceat(shares, begin, axis=0)

    def _need_room_on_the_way(
        self, rows: int, values: int, width: int, senders: Collection[str]
    ) -> None:
        """For derivatives by parameters, and those by what is heard of these groups."""
        sent = 0
        for name in self._net._listeners.heard:
            if name in self._net.inputs and name in senders:
                sent += self._groups[self._net.inputs[name].index].times.size
            elif name in senders:
                sent += self.indices(name).size
        on_the_way = f" and {values} by the times of {sent} spikes" if sent else ""
        need_memory(
            (rows * width + values * sent) * self.times.dtype.itemsize,
            f"the derivatives of {rows} values by {width} parameters{on_the_way}",
            "choose fewer values or parameters, or fewer samples at a time",
        )

    def _width(self, names: tuple[str, ...]) -> int:
        return sum(math.prod(self._shape(n)) for n in names)

    def _need_room(
        self, rows: int, what: str, width: int, instead: str = "", copies: int = 1
    ) -> None:
        need_memory(
            copies * rows * width * self.times.dtype.itemsize,
            f"the derivatives of {rows} {what} by {width} parameters",
            f"choose fewer {what} or parameters{instead}",
        )

    def _without_readouts(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The parameters on which spikes depend, and those of readouts."""
        if not self._net.readouts:
            return names, ()
        own = tuple(n for n in names if self._net._listens(n))
        return tuple(n for n in names if n not in own), own

    def _of_spikes(self, wrt: Selection) -> tuple[str, ...]:
        names, own = self._without_readouts(self._net.select(wrt))
        if own and not names:
            raise ValueError(
                f"wrt = {wrt!r} names parameters of readouts only ({', '.join(own)}), on which no "
                "spike depends: what is read off one does, see jacobian(of=snnfp.Reading(...))"
            )
        return names

    def _projection(self, name: str) -> Projection | None:
        slot = self._net._slots.get(name)
        return slot.owner if slot and isinstance(slot.owner, Projection) else None

    def _parameters(self, names: tuple[str, ...]) -> list[_core.Parameter]:
        slots, inputs = self._net._slots, self._net.inputs
        return [
            slots[n].parameter
            if n in slots
            else core_parameter("input_times", inputs[n[: -len(".times")]].index)
            for n in names
        ]

    def _shape(self, name: str) -> tuple[int, ...]:
        value = self._net._values.get(name)
        if value is not None:
            return value.shape
        group = list(self._net.inputs).index(name[: -len(".times")])
        return self._groups[group].times.shape

    def _named(self, names: tuple[str, ...], flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Columns (the last axis) cut up by name, in the user's order and shape."""
        out = {}
        begin = 0
        for name in names:
            shape = self._shape(name)
            end = begin + math.prod(shape)
            part = flat[..., begin:end]
            owner = self._projection(name)
            if owner:
                part = owner.from_core(part, shape)
            out[name] = part.reshape(flat.shape[:-1] + shape)
            begin = end
        return out

    def _rows(self, of: str | Population | Reading | ArrayLike) -> NDArray[np.int64]:
        if isinstance(of, Reading):
            raise TypeError(
                f"of is {of!r}, expected spikes: jacobian has the derivatives of what is read"
            )
        name = getattr(of, "name", of)
        if isinstance(name, str) and name in self._net.readouts:
            raise ValueError(
                f"of is readout {name}, which has no spikes: jacobian(of=snnfp.Reading({name!r}, "
                "...)) has the derivatives of what is read off it"
            )
        if isinstance(of, (str, Population)):
            return self.indices(of)
        rows = integer_array(of, "of")
        bad = np.flatnonzero((rows < -1) | (rows >= self.n_spikes))
        if bad.size:
            raise ValueError(
                f"of: spike {bad[0]} is {rows.reshape(-1)[bad[0]]}, expected -1 or "
                f"0 <= spike < {self.n_spikes}"
            )
        return rows

    def _cotangents(self, given: ArrayLike | Mapping[Any, ArrayLike]) -> NDArray[Any]:
        dtype = self.times.dtype
        if isinstance(given, Mapping):
            flat: Any = None
            for key, value in given.items():
                if isinstance(key, Reading):
                    continue
                p = self._population(key)
                array = real_array(value, f"cotangents of {p.name}", dtype, underflow=True)
                if array.shape == (self.n_samples, p.size):
                    own = _core.of_first_spikes(self._core, p.index, array)
                elif array.shape == self.indices(p).shape:
                    own = np.zeros(self.n_spikes, dtype=dtype)
                    own[self.indices(p)] = array
                else:
                    raise ValueError(
                        f"cotangents of {p.name} have shape {array.shape}, expected "
                        f"{(self.n_samples, p.size)} (first spikes) or "
                        f"{self.indices(p).shape} (all its spikes)"
                    )
                flat = own if flat is None else flat + own
            if flat is None:
                flat = np.zeros(self.n_spikes, dtype=dtype)
        else:
            flat = real_array(given, "cotangents", dtype, underflow=True)
            if flat.shape != (self.n_spikes,):
                raise ValueError(
                    f"cotangents have shape {flat.shape}, expected ({self.n_spikes},), "
                    "one a spike of the record"
                )
        finite = np.isfinite(flat)
        if not finite.all():
            bad = np.argmin(finite)
            raise ValueError(f"cotangents[{bad}] is {flat[bad]}, expected a finite number")
        return freeze(flat)


# Columns that the core solves in one go, in single precision; in double half as many.
_SOLVED_TOGETHER = 64


class _Blocks:
    """Memory for blocks, lent again when no array refers to it any more."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        # Two: the caller mostly still holds the last block when it asks for the next.
        self._lent: list[tuple[NDArray[Any], Callable[[], Any]]] = []

    def get(self, size: int) -> NDArray[Any]:
        """A flat array of this size with any content."""
        free = (m for m, lent in self._lent if lent() is None and m.size >= size)
        memory = next(free, None)
        if memory is None:
            memory = np.empty(max(size, 1), dtype=self._dtype)
        # Through a memoryview: arrays made from the block then refer to the block, not to `memory`.
        block = np.frombuffer(memory.data, dtype=self._dtype, count=size)
        others = [(m, lent) for m, lent in self._lent if m is not memory]
        self._lent = [*others[-1:], (memory, weakref.ref(block))]
        return block


def _check_out(out: NDArray[Any], shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        given = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out is {given}, expected an array of {dtype} {shape}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out is not C-contiguous and writeable")
