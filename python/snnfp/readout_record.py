"""What is read off the readouts of a record, and its derivatives by the spikes that they heard."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp import _core
from snnfp._arrays import freeze, real_array, spot
from snnfp._memory import need_memory
from snnfp.groups import Projection, Readout
from snnfp.parameters import users_order
from snnfp.readings import Reading, no_end, readout_named
from snnfp.spike_record import SpikeRecord

__all__ = ["ReadoutRecord"]


class ReadoutRecord(SpikeRecord):
    """The part of :class:`snnfp.Record` that is about readouts."""

    _read: dict[Reading, NDArray[Any]]
    _readouts_begin: tuple[NDArray[Any], NDArray[Any]] | None

    def readout(
        self,
        readout: str | Readout | Reading,
        value: str = "weighted_integral",
        *,
        times: Any = None,
        time_scale: float | None = None,
        n_threads: int | None = None,
    ) -> NDArray[Any]:
        """What a readout says of each sample, exact.

        Args:
            readout: its name, or a :class:`snnfp.Reading`, which says all else.
            value: ``"weighted_integral"`` (of ``e^(-t / time_scale) V``), ``"integral"``,
                ``"end"``, ``"max"`` or ``"at"``; see :class:`snnfp.Reading`.
            times: of ``"at"``.
            time_scale: of ``"weighted_integral"``.
            n_threads: None: as for the simulation. The result is the same for any number.

        Returns:
            ``[samples, n]``; of ``"at"`` ``[samples, times, n]``. Read-only, and kept for the next
            one who asks.

        Raises:
            ValueError: the simulation had no finite ``until`` (``"at"`` needs none), or a sample
                ended before it (``stop_after``); only first spikes of a population that readouts
                hear are known (``first_spikes_of``); a time that is not within the sample.
            KeyError: there is no such readout.
        """
        reading = self._reading(readout, value, times, time_scale)
        if reading not in self._read:
            p = readout_named(self._net, reading.readout)
            shape = reading.shape(self.n_samples, p.size)
            need_memory(int(np.prod(shape)) * self.times.dtype.itemsize, f"what {p.name} says")
            said = _core.read(self._heard, *self._in_core(reading), execution=self._run(n_threads))
            self._read[reading] = freeze(said.reshape(shape))
        return self._read[reading]

    def readout_jvp(
        self,
        readout: str | Readout | Reading,
        value: str = "weighted_integral",
        *,
        tangents: Mapping[str, ArrayLike],
        times: Any = None,
        time_scale: float | None = None,
        n_threads: int | None = None,
    ) -> NDArray[Any]:
        """The derivative of what a readout says along one direction of parameters.

        Args:
            readout: as for :meth:`readout`.
            value: as for :meth:`readout`.
            tangents: by name, each of the shape of its parameter; zero for the others.
            times: as for :meth:`readout`.
            time_scale: as for :meth:`readout`.
            n_threads: as for :meth:`readout`.

        Returns:
            In the shape of :meth:`readout`.
        """
        reading = self._reading(readout, value, times, time_scale)
        flat = self._tangents(tangents)
        own = {n: v for n, v in flat.items() if self._net._listens(n)}
        others = {n: v for n, v in flat.items() if n not in own}
        of_spikes = self._jvp(others, n_threads)
        senders = []
        for name in self._net._listeners.heard:
            if name in self._net.inputs:
                senders.append(flat.get(f"{name}.times", self.times[:0]))
            else:
                senders.append(np.ascontiguousarray(of_spikes[self.indices(name)]))
        along = np.concatenate([*own.values(), self.times[:0]])
        wrt = [self._net._slots[n].parameter for n in own]
        run = self._run(n_threads)
        said = _core.read_jvp(
            self._heard,
            *self._in_core(reading),
            wrt=wrt,
            tangents=along,
            sender_tangents=senders,
            execution=run,
        )
        p = readout_named(self._net, reading.readout)
        return said.reshape(reading.shape(self.n_samples, p.size))

    # -- inside ----------------------------------------------------------------------------------

    @cached_property
    def _heard(self) -> _core._Record[Any]:
        """The spikes that the readouts hear, as the core's record."""
        net = self._net
        begin = self._readouts_begin or (self.times[:0], self.times[:0])
        return _core.listen(
            self._core,
            net._listeners.core,
            net._listeners.senders(net.inputs, net.populations),
            *begin,
        )

    def _reading(
        self,
        readout: str | Readout | Reading,
        value: str,
        times: Any,
        time_scale: float | None,
    ) -> Reading:
        if isinstance(readout, Reading):
            return readout
        name = readout_named(self._net, readout).name
        return Reading(name, value, times, time_scale)

    def _in_core(self, reading: Reading) -> tuple[int, _core.ReadoutValue, NDArray[Any], float]:
        p = readout_named(self._net, reading.readout)
        if reading.times is None and math.isinf(self.until):
            raise ValueError(no_end(reading.value, p.name))
        return reading.in_core(p.index, self.until, self.times.dtype)

    def _readings(self, cotangents: Any) -> dict[Reading, NDArray[Any]]:
        """The part of cotangents that is by what was read, checked."""
        if not isinstance(cotangents, Mapping):
            return {}
        readings = {}
        for reading, value in cotangents.items():
            if not isinstance(reading, Reading):
                continue
            p = readout_named(self._net, reading.readout)
            name = f"cotangents of readout {p.name}"
            array = real_array(value, name, self.times.dtype, underflow=True)
            shape = reading.shape(self.n_samples, p.size)
            if array.shape != shape:
                raise ValueError(f"{name} have shape {array.shape}, expected {shape}")
            bad = np.argwhere(~np.isfinite(array))
            if bad.size:
                at = tuple(bad[0].tolist())
                raise ValueError(f"{spot(name, at)} is {array[at]}, expected a finite number")
            readings[reading] = np.ascontiguousarray(array)
        return readings

    def _read_vjp(
        self,
        readings: Mapping[Reading, NDArray[Any]],
        names: tuple[str, ...],
        spikes: NDArray[Any],
        n_threads: int | None,
    ) -> tuple[dict[str, NDArray[Any]], NDArray[Any], dict[str, NDArray[Any]]]:
        """The adjoint of what was read.

        Returns:
            Gradients by the parameters ``names`` of readouts; ``spikes``, the cotangents of all
            spikes, and those by the times of inputs, with what comes from the readouts.
        """
        wrt = [self._net._slots[n].parameter for n in names]
        run = self._run(n_threads)
        values = {n: self._net.parameters[n] for n in names}
        gradient = np.zeros(sum(v.size for v in values.values()), self.times.dtype)
        inputs: dict[str, NDArray[Any]] = {}
        spikes = spikes.copy()
        for reading, cotangents in readings.items():
            with users_order(self._net):
                own, senders = _core.read_vjp(
                    self._heard,
                    *self._in_core(reading),
                    cotangents=cotangents.reshape(-1),
                    wrt=wrt,
                    execution=run,
                )
            gradient += own
            for name, by_time in zip(self._net._listeners.heard, senders, strict=True):
                if name in self._net.inputs:
                    inputs[name] = inputs[name] + by_time if name in inputs else by_time
                else:
                    spikes[self.indices(name)] += by_time
        out = {}
        begin = 0
        for name in names:
            shape = values[name].shape
            part = gradient[begin : begin + values[name].size]
            owner = self._net._slots[name].owner
            part = owner.from_core(part, shape) if isinstance(owner, Projection) else part
            out[name] = part.reshape(shape)
            begin += part.size
        return out, spikes, inputs

    def _read_jacobian(
        self,
        reading: Reading,
        names: tuple[str, ...],
        senders: Collection[str],
        n_threads: int | None,
    ) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Derivatives of each value.

        Returns:
            By the parameters ``names`` of readouts, a row a value; by the times of the spikes of
            those of the ``senders`` that are heard, ``[values of a sample, spikes]``, those of the
            spike's own sample.
        """
        heard = self._net._listeners.heard
        with users_order(self._net):
            own, by_time = _core.read_jacobian(
                self._heard,
                *self._in_core(reading),
                wrt=[self._net._slots[n].parameter for n in names],
                senders=[g for name, g in heard.items() if name in senders],
                execution=self._run(n_threads),
            )
        values = math.prod(reading.shape(1, readout_named(self._net, reading.readout).size))
        asked = {name: by_time[g] for name, g in heard.items() if name in senders}
        return own, {name: rows.reshape(values, -1) for name, rows in asked.items()}

    def _tangents(self, tangents: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        raise NotImplementedError

    def _jvp(self, flat: Mapping[str, NDArray[Any]], n_threads: int | None) -> NDArray[Any]:
        raise NotImplementedError
