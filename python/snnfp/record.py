"""The record of a simulation: spikes, voltages, and their exact derivatives."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import freeze, integer_array, real_array, spot
from snnfp._execution import execution
from snnfp._memory import free_memory, need_memory

if TYPE_CHECKING:
    from snnfp.network import Network, Population, Projection, Selection
    from snnfp.spikes import Spikes

__all__ = ["Probed", "Record"]

_NEAR_TANGENT = 1e-3


class Probed(NamedTuple):
    """Exact voltage and current, ``[samples, units, times]``, at ``times`` of neurons ``units``."""

    voltage: NDArray[Any]
    current: NDArray[Any]
    units: NDArray[np.int32]
    times: NDArray[Any]


class Record:
    """All spikes of a batch, with what is needed to differentiate every one of them.

    The arrays run through the samples; within a sample spikes are ordered by (time, neuron).

    Attributes:
        times: spike times, ``[n_spikes]``.
        neurons: neuron of each spike, numbered through the populations (``Population.offset``).
        offsets: the spikes of sample s are ``offsets[s]:offsets[s + 1]``.
        slopes: V'(f-) of each spike, what its derivatives are divided by.
        residuals: V - threshold at each spike, for spikes recorded elsewhere; empty otherwise.
        n_samples: number of samples.
        n_spikes: number of spikes.
        until: end of the simulation; samples that ``stop_after`` ends earlier: see :attr:`ends`.
    """

    def __init__(
        self,
        core: Any,
        net: Network,
        groups: tuple[Spikes, ...],
        until: float,
        n_threads: int | None,
        isa: str,
    ) -> None:
        self._core = core
        self._net = net
        self._groups = groups
        self._execution = (n_threads, isa)
        self._slots = dict(net._slots)
        self._values = dict(net._values)
        self._probed: dict[str, Probed] = {}
        self._first: dict[str, NDArray[np.int64]] = {}
        self.until = until
        self.times: NDArray[Any] = core.times
        self.neurons: NDArray[np.int32] = core.neurons
        self.offsets: NDArray[np.int64] = core.offsets
        self.slopes: NDArray[Any] = core.slopes
        self.residuals: NDArray[Any] = core.residuals
        self.n_samples = self.offsets.size - 1
        self.n_spikes = self.times.size

    def __repr__(self) -> str:
        return f"Record({self.n_samples} samples, {self.n_spikes} spikes, until {self.until})"

    @property
    def ends(self) -> NDArray[Any]:
        """Up to when each sample was simulated, ``[samples]``: see ``stop_after``."""
        ends: NDArray[Any] = self._core.ends()
        return ends

    # -- spikes ----------------------------------------------------------------------------------

    @property
    def samples(self) -> NDArray[np.int64]:
        """Sample of each spike, ``[n_spikes]``."""
        return np.repeat(np.arange(self.n_samples), np.diff(self.offsets))

    def indices(self, population: str | Population) -> NDArray[np.int64]:
        """Where the spikes of a population are in the record's arrays."""
        return np.flatnonzero(self._among(self._population(population), self.neurons))

    def spikes(self, population: str | Population) -> Spikes:
        """The spikes of a population, as a batch (to analyse, or to feed to another network)."""
        from snnfp.spikes import Spikes

        p = self._population(population)
        at = self.indices(p)
        offsets = np.searchsorted(at, self.offsets).astype(np.int64)
        times = np.asarray(self.times[at], dtype=np.float64)
        return Spikes(times, self.neurons[at] - np.int32(p.offset), offsets, size=p.size)

    def first_indices(self, population: str | Population) -> NDArray[np.int64]:
        """Index of each neuron's first spike in each sample, ``[samples, n]``; -1 where silent."""
        p = self._population(population)
        if p.name not in self._first:
            first = self._core.first_spikes(p.index)
            self._first[p.name] = freeze(first.reshape(self.n_samples, p.size))
        return self._first[p.name]

    def first_spikes(self, population: str | Population) -> NDArray[Any]:
        """Time of each neuron's first spike in each sample, ``[samples, n]``; inf where silent."""
        at = self.first_indices(population)
        if not self.n_spikes:
            return np.full(at.shape, np.inf, dtype=self.times.dtype)
        return np.where(at >= 0, self.times.take(at), self.times.dtype.type(np.inf))

    def counts(self, population: str | Population) -> NDArray[np.int64]:
        """Number of spikes of each neuron in each sample, ``[samples, n]``."""
        p = self._population(population)
        at = self.indices(p)
        rows = np.searchsorted(self.offsets, at, side="right") - 1
        flat = rows * p.size + (self.neurons[at] - p.offset)
        return np.bincount(flat, minlength=self.n_samples * p.size).reshape(-1, p.size)

    def sent(self, group: str | Population) -> NDArray[np.int64]:
        """Number of spikes of each unit of a population or input, ``[samples, n]``."""
        name = getattr(group, "name", group)
        if name not in self._net.inputs:
            return self.counts(name)
        batch = self._groups[self._net.inputs[name].index]
        flat = np.repeat(np.arange(len(batch)), np.diff(batch.offsets)) * batch.size + batch.units
        return np.bincount(flat, minlength=len(batch) * batch.size).reshape(-1, batch.size)

    def fires(self, population: str | Population) -> NDArray[np.bool_]:
        """Whether each neuron fires in any sample, ``[n]``."""
        p = self._population(population)
        fires: NDArray[np.bool_] = self._counts[p.offset : p.offset + p.size] > 0
        return fires

    def is_silent(self, population: str | Population) -> bool:
        """Whether the population fires no spike in the whole batch."""
        silent: bool = self._core.silent(self._population(population).index)
        return silent

    def silent_fraction(self, population: str | Population | None = None) -> Any:
        """Fraction of a population's neurons that fire in no sample; of all, as a dict, if None."""
        if population is None:
            return {name: self.silent_fraction(name) for name in self._net.populations}
        return float(np.mean(~self.fires(population)))

    @property
    def min_slope(self) -> float:
        """The smallest V'(f-); derivatives grow like its inverse. inf without spikes."""
        return float(self.slopes.min(initial=np.inf))

    @property
    def near_tangent(self) -> int:
        """Spikes whose crossing is nearly tangent: V'(f-) tau < 0.001 (threshold - v_reset).

        tau is the smaller of the neuron's two time constants.
        """
        bounds = np.empty(sum(p.size for p in self._net.populations.values()))
        for p in self._net.populations.values():
            tau_mem, tau_syn, threshold, v_reset = (
                np.asarray(self._values[f"{p.name}.{q}"])
                for q in ("tau_mem", "tau_syn", "threshold", "v_reset")
            )
            tau = np.minimum(tau_mem, tau_syn)
            span = threshold - v_reset
            bounds[p.offset : p.offset + p.size] = _NEAR_TANGENT * span / tau
        if self.min_slope >= bounds.max(initial=0.0):
            return 0
        return int(np.count_nonzero(self.slopes < bounds[self.neurons]))

    # -- voltages --------------------------------------------------------------------------------

    def probe(
        self, population: str | Population, times: ArrayLike, *, units: ArrayLike | None = None
    ) -> Probed:
        """Exact V and I of chosen neurons at chosen times.

        Args:
            population: of the neurons.
            times: ascending, within 0 ... ``until`` and no later than any sample's end; at a
                spike's time V is already reset.
            units: neurons within the population; None: all.
        """
        p = self._population(population)
        if units is None:
            chosen = np.arange(p.size, dtype=np.int32)
        else:
            raw = np.atleast_1d(integer_array(units, "units")).reshape(-1)
            bad = np.flatnonzero((raw < 0) | (raw >= p.size))
            if bad.size:
                raise ValueError(
                    f"units[{bad[0]}] is {raw[bad[0]]}, expected 0 <= unit < {p.size} ({p.name})"
                )
            chosen = raw.astype(np.int32)
        at = np.atleast_1d(real_array(times, "times", self.times.dtype, underflow=True))
        if at.ndim != 1:
            raise ValueError(f"times has shape {at.shape}, expected one dimension")
        need_memory(
            2 * self.n_samples * chosen.size * at.size * at.dtype.itemsize,
            f"V and I of {self.n_samples} samples x {chosen.size} neurons of {p.name} x "
            f"{at.size} times",
            "probe fewer neurons or times at once",
        )
        voltage, current = self._core.probe(
            (chosen + p.offset).tolist(), at.tolist(), execution(*self._execution)
        )
        shape = (self.n_samples, chosen.size, at.size)
        probed = Probed(voltage.reshape(shape), current.reshape(shape), chosen, at)
        self._probed[p.name] = probed
        return probed

    def voltage(self, population: str | Population) -> NDArray[Any]:
        """V of the last probe of a population, ``[samples, units, times]``."""
        return self._last_probe(population).voltage

    def current(self, population: str | Population) -> NDArray[Any]:
        """I of the last probe of a population, ``[samples, units, times]``."""
        return self._last_probe(population).current

    # -- derivatives -----------------------------------------------------------------------------

    def vjp(
        self,
        cotangents: ArrayLike | Mapping[Any, ArrayLike],
        *,
        wrt: Selection = "*.weight",
        mode: str = "reverse",
    ) -> dict[str, NDArray[Any]]:
        """Gradient of a loss, given its derivative by each spike time.

        Args:
            cotangents: dL/dt of every spike, ``[n_spikes]``, or ``{population: dL/dt}`` with
                ``[samples, n]`` for first spikes (ignored where silent) or one a spike of it.
            wrt: names or patterns; ``"*"`` for every parameter and the input times.
            mode: ``"reverse"`` (the adjoint) or ``"forward"`` (forward propagation); the same
                numbers to round-off.

        Returns:
            dL/dp by name, each of the shape of its parameter; ``"<input>.times"`` one a spike.
        """
        flat = self._cotangents(cotangents)
        names = self._net.select(wrt)
        codes = self._codes(names)
        run = execution(*self._execution)
        if mode == "reverse":
            gradient = self._core.vjp(flat, codes, run)
        elif mode == "forward":
            gradient = self._core.forward_gradient(flat, codes, run)
        else:
            raise ValueError(f"mode is {mode!r}, expected 'reverse' or 'forward'")
        return self._named(names, gradient)

    def jvp(self, tangents: Mapping[str, ArrayLike]) -> NDArray[Any]:
        """Derivative of every spike time along one direction of parameters, ``[n_spikes]``.

        Args:
            tangents: by name, each of the shape of its parameter; zero for the others.
        """
        names = self._net.select(tuple(tangents))
        parts = []
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
            parts.append(owner.to_core(value) if owner else value.reshape(-1))
        flat = np.ascontiguousarray(np.concatenate(parts)) if parts else self.times[:0]
        result: NDArray[Any] = self._core.jvp(self._codes(names), flat, execution(*self._execution))
        return result

    def jacobian(
        self,
        *,
        of: str | Population | ArrayLike,
        wrt: Selection = "*.weight",
        out: NDArray[Any] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Derivatives of chosen spikes by chosen parameters, by forward propagation.

        Args:
            of: a population (all its spikes), or an integer array of indices into the record of
                any shape (:meth:`indices`, :meth:`first_indices`); rows of index -1 are zero.
            wrt: names or patterns.
            out: where to work, ``[spikes, parameters]``, C-contiguous and of the record's dtype;
                what is returned are views of it, or copies where the synapses of a sparse
                projection were not given in order. Saves time where one Jacobian follows another.

        Returns:
            By name, arrays of shape ``of.shape + parameter.shape``.

        Raises:
            MemoryError: before the work starts, if the result does not fit; see
                :meth:`jacobian_blocks`.
        """
        rows = self._rows(of)
        names = self._net.select(wrt)
        width = sum(math.prod(self._shape(n)) for n in names)
        if out is None:
            needed, free = rows.size * width * self.times.dtype.itemsize, free_memory()
            if needed > free:
                raise MemoryError(
                    f"the Jacobian of {rows.size} spikes by {width} parameters needs "
                    f"{needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free: choose fewer "
                    "spikes or parameters, or take it block by block with jacobian_blocks"
                )
            out = np.empty((rows.size, width), dtype=self.times.dtype)
        else:
            _check_out(out, (rows.size, width), self.times.dtype)
        self._core.jacobian(rows.reshape(-1), self._codes(names), out, execution(*self._execution))
        return {k: v.reshape(rows.shape + v.shape[1:]) for k, v in self._named(names, out).items()}

    def jacobian_blocks(
        self,
        *,
        of: str | Population | ArrayLike,
        wrt: Selection = "*.weight",
        columns: int = 4096,
    ) -> Iterator[tuple[str, NDArray[np.int64], NDArray[Any]]]:
        """The Jacobian in blocks of columns, one after the other.

        The memory of a block that nobody holds any more serves a later one.

        Args:
            of: as for :meth:`jacobian`.
            wrt: as for :meth:`jacobian`.
            columns: at most this many parameters a block.

        Yields:
            ``(name, elements, block)``: ``block[..., k]`` is the derivative by element
            ``elements[k]`` of the flattened parameter ``name``.
        """
        if columns < 1:
            raise ValueError(f"columns is {columns}, expected at least 1")
        rows = self._rows(of)
        names = self._net.select(wrt)
        core = self._core.jacobian_columns(
            rows.reshape(-1), self._codes(names), execution(*self._execution)
        )
        blocks = _Blocks(self.times.dtype)
        first = 0  # column of the parameter
        for name in names:
            width = math.prod(self._shape(name))
            owner = self._projection(name)
            elements = np.arange(width)
            if owner and owner.sparse and owner.sparse.order is not None and width > 1:
                elements = owner.sparse.order
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

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """Spikes of each neuron in the whole batch."""
        n = sum(p.size for p in self._net.populations.values())
        return np.bincount(self.neurons, minlength=n)

    def _among(self, p: Population, neurons: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these are neurons of the population."""
        # As unsigned numbers, those below the offset are large.
        among: NDArray[np.bool_] = (neurons - np.int32(p.offset)).view(np.uint32) < p.size
        return among

    def _population(self, key: str | Population) -> Population:
        from snnfp.simulate import population_of

        return population_of(self._net, key)

    def _last_probe(self, population: str | Population) -> Probed:
        name = self._population(population).name
        if name not in self._probed:
            raise KeyError(f"{name} was not probed: call record.probe({name!r}, times)")
        return self._probed[name]

    def _projection(self, name: str) -> Projection | None:
        from snnfp.network import Projection

        slot = self._slots.get(name)
        return slot.owner if slot and isinstance(slot.owner, Projection) else None

    def _codes(self, names: tuple[str, ...]) -> list[tuple[int, int, int]]:
        inputs = list(self._net.inputs)
        return [
            self._slots[n].code if n in self._slots else (3, inputs.index(n[: -len(".times")]), 0)
            for n in names
        ]

    def _shape(self, name: str) -> tuple[int, ...]:
        value = self._values.get(name)
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
                part = owner.from_core(part)
            out[name] = part.reshape(flat.shape[:-1] + shape)
            begin = end
        return out

    def _rows(self, of: str | Population | ArrayLike) -> NDArray[np.int64]:
        from snnfp.network import Population

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
            flat = np.zeros(self.n_spikes, dtype=dtype)
            for key, value in given.items():
                p = self._population(key)
                array = real_array(value, f"cotangents of {p.name}", dtype, underflow=True)
                if array.shape == (self.n_samples, p.size):
                    at = self.first_indices(p)
                    fires = np.flatnonzero(at >= 0)
                    flat[at.take(fires)] += array.take(fires)
                elif array.shape == self.indices(p).shape:
                    flat[self.indices(p)] += array
                else:
                    raise ValueError(
                        f"cotangents of {p.name} have shape {array.shape}, expected "
                        f"{(self.n_samples, p.size)} (first spikes) or "
                        f"{self.indices(p).shape} (all its spikes)"
                    )
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
