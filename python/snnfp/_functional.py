"""A network as a pure function of arrays, for the adapters to frameworks that differentiate.

A call takes parameters and inputs and leaves a :class:`Trace`: the values, and what their
derivatives need. It depends on nothing else, so that calls from several threads, of several ranks
or in any order are the same; the framework owns the parameters.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from snnfp._arrays import spot
from snnfp._execution import execution
from snnfp._first_spikes import no_further_than
from snnfp._outputs import FirstSpikes, Output, SpikeTable, SpikeTimes, outputs_of, shape_of
from snnfp.conversions import check_some, of_latencies
from snnfp.network import Network, Selection
from snnfp.readings import Reading, no_end
from snnfp.record import Record
from snnfp.simulate import check_network, end_of, simulate
from snnfp.spike_record import snapshot
from snnfp.spikes import Spikes

__all__ = [
    "FirstSpikes",
    "NetworkFunction",
    "Output",
    "SpikeTimes",
    "Trace",
    "check_times",
    "outputs_of",
    "spikes_of_times",
]

Arrays = dict[str, NDArray[Any]]
Shape = tuple[int, ...]

_OPTIONS = ("initial", "spike_limit", "engine", "isa")  # of simulate, beside those with a name
_REALS = (np.dtype(np.float64), np.dtype(np.float32))


class NetworkFunction:
    """The network as it is now, as a function of its parameters and inputs.

    What is set in the network afterwards changes nothing here. It can be copied and pickled.

    Args:
        net: the network, all of whose parameters have values.
        output: what it gives: see :func:`outputs_of`. Where first spikes are all that is asked for,
            samples end with the last of them.
        until: end of the simulation; None: until nothing more can happen.
        n_threads: None: all. The result is the same for any number.
        options: ``initial``, ``spike_limit``, ``engine`` and ``isa`` of :func:`snnfp.simulate`.

    Attributes:
        dtype: of parameters and values.
        outputs: what it gives, in order.

    Raises:
        ValueError: a value that needs a finite ``until``.
        SnnfpError: a parameter without value.
    """

    def __init__(
        self,
        net: Network,
        output: str | Output | Sequence[Any],
        *,
        until: float | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        check_network(net)
        self.dtype = net.dtype
        self.outputs = outputs_of(net, output)
        end = end_of(until, net.dtype)
        execution(n_threads)
        for name in options:
            if name not in _OPTIONS:
                raise TypeError(f"there is no option {name!r}, expected {', '.join(_OPTIONS)}")
        for asked in self.outputs:
            if isinstance(asked, Reading) and asked.times is None and math.isinf(end):
                raise ValueError(no_end(asked.value, asked.readout))
        firsts = [(o.population,) if isinstance(o, FirstSpikes) else () for o in self.outputs]
        self._net = _copy(net)
        self._options = {"until": until, "n_threads": n_threads, **options}
        self._options |= no_further_than(net, firsts)

    @property
    def parameters(self) -> Arrays:
        """The values that parameters have where a call gives none, by name; read-only."""
        return dict(self._net.parameters)

    @property
    def inputs(self) -> dict[str, int]:
        """The number of channels of each input."""
        return {name: group.size for name, group in self._net.inputs.items()}

    def select(self, wrt: Selection) -> tuple[str, ...]:
        """The parameters that names or patterns choose; see :meth:`snnfp.Network.select`.

        Raises:
            KeyError: one that matches no parameter, or only the times of an input.
        """
        single = isinstance(wrt, str) or not isinstance(wrt, Iterable)
        patterns: Any = (wrt,) if single else tuple(wrt)
        for pattern in patterns:
            if not self._net._stored(pattern):
                raise KeyError(
                    f"{pattern!r} matches no parameter but the times of an input, expected one "
                    f"of: {', '.join(self.parameters)}"
                )
        return tuple(self._net._stored(patterns))

    def shapes(self, n_samples: int) -> tuple[Shape, ...]:
        """Of the values for so many samples.

        Raises:
            ValueError: spike times without a width, whose shape a call decides.
        """
        return tuple(shape_of(self._net, output, n_samples) for output in self.outputs)

    def network(self, parameters: Mapping[str, ArrayLike]) -> Network:
        """A network of one's own with copies of these parameters."""
        net = copy.deepcopy(self._net)
        net._replace({net._known(name): np.array(v) for name, v in parameters.items()})
        return net

    def __repr__(self) -> str:
        asked = ", ".join(map(repr, self.outputs))
        return f"{self._net}, until={self._options['until']}, output: {asked}"

    def __call__(
        self,
        parameters: Mapping[str, ArrayLike],
        inputs: Mapping[str, Spikes | ArrayLike],
        *,
        samples: int | None = None,
    ) -> Trace:
        """Simulates a batch.

        Args:
            parameters: by name, in the network's dtype; those left out are as they were. They are
                not copied where they are C-contiguous: leave them as they are until derivatives
                are taken.
            inputs: by name, spikes or times a channel; see :func:`spikes_of_times`.
            samples: as for :func:`snnfp.simulate`.

        Raises:
            TypeError: a parameter of another dtype.
            KeyError: a parameter or input that the network does not have.
            ValueError: a shape or value that cannot be; what :func:`snnfp.simulate` raises.
        """
        net = _copy(self._net)
        values = {n: _parameter(net, n, v) for n, v in parameters.items()}
        net._set_each(values, values.items(), True)  # nobody else has the network: no way back
        spikes, places = {}, {}
        for name, given in inputs.items():
            if isinstance(given, Spikes):
                spikes[name] = given
                continue
            if name not in net.inputs:
                there = ", ".join(net.inputs) or "(there is none)"
                raise KeyError(f"{name!r} is not an input of the network, expected: {there}")
            spikes[name], place = spikes_of_times(given, name, net.inputs[name].size)
            places[name] = (place, np.shape(given))
        record = simulate(net, spikes or None, samples=samples, **self._options)
        return Trace(self.outputs, record, places)


class Trace:
    """What a call leaves: its values, and their derivatives, as often as asked for.

    Args:
        outputs: what was asked for.
        record: of the simulation.
        places: by input that was given as times: where in the flat array the time of each spike
            is, and the shape of the array.

    Attributes:
        record: as given.
    """

    def __init__(
        self,
        outputs: tuple[Output, ...],
        record: Record,
        places: Mapping[str, tuple[NDArray[np.int64], Shape]],
    ) -> None:
        self.record = record
        self._outputs, self._places = outputs, places
        self._tables = {o: SpikeTable(record, o) for o in outputs if isinstance(o, SpikeTimes)}

    @cached_property
    def values(self) -> tuple[NDArray[Any], ...]:
        """An array an output, of the network's dtype, writeable and nobody else's."""
        return tuple(self._value(output) for output in self._outputs)

    def pullback(
        self, cotangents: Sequence[ArrayLike | None], wrt: Iterable[str]
    ) -> dict[str, NDArray[Any]]:
        """The gradient of a loss.

        Args:
            cotangents: its derivative by each output, None for 0. What it says of silent neurons
                is ignored.
            wrt: names of parameters, and ``"<input>.times"``.

        Returns:
            dL/dp by name, of the shapes of the parameters and of the arrays of times (0 where there
            is no spike); of an input given as ``Spikes`` one a spike.

        Raises:
            ValueError: a derivative that is not finite, or has another shape.
        """
        given: dict[Any, NDArray[Any]] = {}
        for output, value, cotangent in zip(self._outputs, self.values, cotangents, strict=True):
            if cotangent is None:
                continue
            array = np.asarray(cotangent, dtype=self.record.times.dtype)
            if array.shape != value.shape:
                raise ValueError(
                    f"the derivative by {output} has shape {array.shape}, expected {value.shape}"
                )
            self._add(given, output, array)
        gradients = self.record.vjp(given, wrt=tuple(wrt))
        for name, (place, shape) in self._places.items():
            by_spike = gradients.get(f"{name}.times")
            if by_spike is not None:
                by_time = np.zeros(math.prod(shape), by_spike.dtype)
                by_time[place] = by_spike
                gradients[f"{name}.times"] = by_time.reshape(shape)
        return gradients

    def pushforward(self, tangents: Mapping[str, ArrayLike]) -> tuple[NDArray[Any], ...]:
        """The derivative of each output along one direction.

        Args:
            tangents: by name of parameters and ``"<input>.times"``, of the shapes of
                :meth:`pullback`'s gradients; zero for the others.

        Returns:
            In the shapes of the values; 0 where a neuron is silent.
        """
        along = dict(tangents)
        for name, (place, shape) in self._places.items():
            by_time = along.get(f"{name}.times")
            if by_time is not None:
                flat = np.asarray(by_time).reshape(-1)
                if np.shape(by_time) != shape:
                    raise ValueError(
                        f"the tangent of the times of {name} has shape {np.shape(by_time)}, "
                        f"expected {shape}"
                    )
                along[f"{name}.times"] = flat[place]
        return tuple(self._along(output, along) for output in self._outputs)

    # -- inside ----------------------------------------------------------------------------------

    def _value(self, output: Output) -> NDArray[Any]:
        if isinstance(output, Reading):
            return self.record.readout(output).copy()
        if isinstance(output, SpikeTimes):
            return self._tables[output].filled(self.record.times, output.silent)
        first = self.record.first_spikes(output.population)
        if output.silent != math.inf:  # -inf is a value as any
            first[np.isinf(first)] = output.silent
        return first

    def _along(self, output: Output, along: Mapping[str, ArrayLike]) -> NDArray[Any]:
        if isinstance(output, Reading):
            return self.record.readout_jvp(output, tangents=along)
        of_spikes = self.record.jvp(along)
        if isinstance(output, SpikeTimes):
            return self._tables[output].filled(of_spikes, 0.0)
        first = self.record.first_indices(output.population)
        value = np.zeros(first.shape, of_spikes.dtype)
        value[first >= 0] = of_spikes[first[first >= 0]]
        return value

    def _add(self, given: dict[Any, NDArray[Any]], output: Output, array: NDArray[Any]) -> None:
        """Adds the derivative by an output to what :meth:`Record.vjp` is given."""
        key = output if isinstance(output, Reading) else output.population
        if isinstance(output, SpikeTimes):
            array = self._tables[output].gathered(array)
        if key in given:
            before = given[key]
            if before.shape != array.shape:  # one says first spikes, the other all
                before, array = (self._a_spike(str(key), a) for a in (before, array))
            array = before + array
        given[key] = array

    def _a_spike(self, population: str, array: NDArray[Any]) -> NDArray[Any]:
        """A derivative by first spikes, or one a spike, as one a spike of the population."""
        if array.ndim == 1:
            return array
        first = self.record.first_indices(population)
        at = self.record.indices(population)
        out = np.zeros(at.size, array.dtype)
        out[np.searchsorted(at, first[first >= 0])] = array[first >= 0]
        return out


def check_times(array: Any, name: str, size: int) -> None:
    """Raises unless an array, of any framework, has the dtype and shape of an input's times."""
    if array.dtype not in _REALS:
        raise TypeError(f"times of {name} have dtype {array.dtype}, expected float64 or float32")
    if array.ndim not in (2, 3) or array.shape[1] != size:
        raise ValueError(
            f"times of {name} have shape {array.shape}, expected [samples, {size}] or "
            f"[samples, {size}, spikes]"
        )
    check_some(f"times of {name} have", array.shape, sample=0)
    if array.ndim == 3:
        check_some(f"times of {name} have", array.shape, spike=2)


def spikes_of_times(times: ArrayLike, name: str, size: int) -> tuple[Spikes, NDArray[np.int64]]:
    """Spikes of the times of each channel.

    Args:
        times: ``[samples, size]``, or ``[samples, size, k]`` for up to k spikes a channel, in any
            order; inf: no spike.
        name: of the input, for errors.
        size: its number of channels.

    Returns:
        The spikes, and where in the flat array the time of each is.

    Raises:
        TypeError: not float64 or float32.
        ValueError: another shape, or a time that is NaN or below 0.
    """
    array = np.asarray(times)
    check_times(array, name, size)
    if not np.all(array >= 0):
        at = tuple(np.argwhere(~(array >= 0))[0])
        raise ValueError(
            f"{spot(f'times of {name}', at)} is {array[at]}, expected a time >= 0, or inf for no "
            "spike"
        )
    a_channel = math.prod(array.shape[2:])
    row = size * a_channel
    (in_order, column, offsets), _ = of_latencies(array.reshape(array.shape[0], row))
    place = np.repeat(np.arange(offsets.size - 1) * row, np.diff(offsets)) + column
    channels = (column // a_channel).astype(np.int32)
    # -0.0 becomes 0.0, as in every batch.
    return Spikes._new(in_order + 0.0, channels, offsets, size), place


def _copy(net: Network) -> Network:
    """The network with the values of now: arrays and structure are shared, what is set is not."""
    kept, core = snapshot(net)
    kept._core = core
    return kept


def _parameter(net: Network, name: str, given: ArrayLike) -> NDArray[Any]:
    """The value as an array that may be made read-only, in the memory of ``given`` if it can be."""
    slot = net._slots[net._known(name)]
    array = np.asarray(given, order="C").view()
    if array.dtype != net.dtype:
        raise TypeError(
            f"parameter {name} has dtype {array.dtype}, expected {net.dtype}, that of the network"
        )
    return slot.there(array, name, fill=False)
