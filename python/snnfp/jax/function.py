"""A network as a function for JAX."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snnfp._functional import NetworkFunction, Output, check_times
from snnfp._numbers import count
from snnfp.errors import require
from snnfp.jax.host import Host
from snnfp.network import Network, Selection
from snnfp.spikes import Spikes

if TYPE_CHECKING:
    import jax
    from jax.experimental import buffer_callback
else:
    jax = require("jax", extra="jax")
    buffer_callback = require("jax.experimental.buffer_callback", extra="jax")

__all__ = ["SNNFunction"]


class SNNFunction:
    """A spiking network as a function of parameters and input times, for JAX.

    It can be called under ``jax.jit``, ``jax.vmap``, ``jax.grad``, ``jax.vjp`` and ``jax.jacrev``,
    and with ``mode="forward"`` under ``jax.jvp`` and ``jax.jacfwd`` in their place. What is set in
    ``net`` afterwards changes nothing here. There are no second derivatives.

    Args:
        net: the network, all of whose parameters have values. One in float64 needs
            ``jax.config.update("jax_enable_x64", True)``.
        until: end of the simulation; None: until nothing more can happen.
        output: what a call returns: ``"first_spikes"`` of the last population, ``"voltage"`` of the
            last readout at the end of the sample; or :class:`FirstSpikes`, :class:`SpikeTimes`
            (with a width) or :class:`snnfp.Reading`, which say of which and more; or several of
            these in a list, for a tuple of arrays.
        mode: ``"reverse"`` or ``"forward"``, the kind of derivatives.
        samples: of a network without input.
        n_threads: None: all. The result is the same for any number.
        options: ``initial``, ``spike_limit``, ``engine`` and ``isa`` of :func:`snnfp.simulate`.

    Raises:
        ValueError: spike times without a width; an output that needs a finite ``until``.
        KeyError: a population or readout that is not there.
    """

    def __init__(
        self,
        net: Network,
        *,
        until: float | None = None,
        output: str | Output | Sequence[Any] = "first_spikes",
        mode: str = "reverse",
        samples: int | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        function = NetworkFunction(net, output, until=until, n_threads=n_threads, **options)
        function.shapes(1)  # all must be known before a call
        if function.inputs and samples is not None:
            raise ValueError(f"samples is {samples}, expected None: the input says how many")
        if mode not in ("reverse", "forward"):
            raise ValueError(f"mode is {mode!r}, expected 'reverse' or 'forward'")
        self._samples = 1 if samples is None else count(samples, "samples")
        self._function, self._several = function, isinstance(output, (list, tuple))
        self._mode = mode
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        """All but what it begins with: a copy has calls, and what they leave, of its own."""
        return {n: vars(self)[n] for n in ("_samples", "_function", "_several", "_mode")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def parameters(self, wrt: Selection = "*.weight") -> dict[str, jax.Array]:
        """Values of the network's parameters, by name, to begin with.

        Args:
            wrt: names or patterns (``"*.weight"``); what is left out of a call stays as it is in
                the network.

        Raises:
            KeyError: a pattern that matches nothing.
        """
        self._check_x64()
        values = self._known
        return {n: jax.numpy.asarray(values[n]) for n in self._function.select(wrt)}

    def __call__(self, parameters: Mapping[str, Any], times: Any = None) -> Any:
        """Simulates a batch.

        Args:
            parameters: by name, as :meth:`parameters` gives them; those left out are as they were
                in the network.
            times: of the input, ``[samples, n]``, one a channel, or ``[samples, n, k]``, up to k a
                channel in any order (:func:`padded` makes them of :class:`snnfp.Spikes`); inf for
                no spike. A mapping by name where there are several inputs; None for a network
                without.

        Returns:
            An array of the network's dtype, ``[samples, n]`` (first spikes, readouts),
            ``[samples, n, width]`` (spike times) or ``[samples, times, n]`` (voltages at times); or
            a tuple of them. Where a neuron is silent: inf, or the output's ``silent``.

        Raises:
            KeyError: a parameter or input that the network does not have.
            TypeError: another dtype than the network computes in.
            ValueError: another shape. What is wrong with values shows when it runs, as
                ``jax.errors.JaxRuntimeError``, or as a ValueError where it has run before.
        """
        self._check_x64()
        if not isinstance(parameters, Mapping):
            raise TypeError(
                f"parameters is a {type(parameters).__name__}, expected a mapping {{name: array}}: "
                "a call is f(parameters, times)"
            )
        given = {name: self._parameter(name, value) for name, value in parameters.items()}
        inputs = self._inputs(times)
        sizes = {name: array.shape[0] for name, array in inputs.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the times of inputs are of {sizes} samples, expected as many of all")
        given |= {f"{name}.times": array for name, array in inputs.items()}
        values = self._apply(given)
        return values if self._several else values[0]

    def _begin(self) -> None:
        self._known = self._function.parameters
        self._host = Host(self._function, None if self._function.inputs else self._samples)
        # JAX keeps what it has compiled, and the host with it, for longer than the function.
        weakref.finalize(self, self._host.forget)
        if self._mode == "reverse":
            self._apply: Any = jax.custom_vjp(self._values)
            self._apply.defvjp(self._recorded, self._pulled, symbolic_zeros=True)
        else:
            self._apply = jax.custom_jvp(self._values)
            self._apply.defjvp(self._pushed, symbolic_zeros=True)

    # -- what JAX traces -------------------------------------------------------------------------

    def _values(self, given: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(_call(_Job(self._host, "values"), self._results(given), given))

    def _recorded(self, given: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        """Values, and what their derivative needs."""
        plain = {name: leaf.value for name, leaf in given.items()}
        wanted = {name: None for name, leaf in given.items() if leaf.perturbed}
        values, token = self._record(plain)
        return values, (plain, token, wanted)

    def _record(self, given: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        token = jax.ShapeDtypeStruct((2,), np.int32)
        *values, token = _once(_Job(self._host, "record"), (*self._results(given), token), given)
        return tuple(values), token

    def _pulled(self, left: Any, cotangents: tuple[Any, ...]) -> tuple[dict[str, Any]]:
        given, token, wanted = left
        gradients: dict[str, Any] = dict.fromkeys(given)
        by = {k: c for k, c in enumerate(cotangents) if not _is_zero(c)}
        if wanted and by:
            results = {n: _like(given[n]) for n in wanted}
            job = _Job(self._host, "pull", tuple(sorted(wanted)))
            gradients |= _once(job, results, given, token, by)
        return (gradients,)

    def _pushed(self, primals: Any, tangents: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        (given,), (along,) = primals, tangents
        values, token = self._record(given)
        moved = {n: t for n, t in along.items() if not _is_zero(t)}
        results = self._results(given)
        return values, tuple(_once(_Job(self._host, "push"), results, given, token, moved))

    # -- inside ----------------------------------------------------------------------------------

    def _results(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes and dtype of the outputs."""
        times = [a for name, a in given.items() if name.endswith(".times")]
        shapes = self._function.shapes(times[0].shape[0] if times else self._samples)
        return tuple(jax.ShapeDtypeStruct(shape, self._function.dtype) for shape in shapes)

    def _check_x64(self) -> None:
        if jax.dtypes.canonicalize_dtype(self._function.dtype) != self._function.dtype:
            raise TypeError(
                "the network computes in float64, and JAX in float32 only: expected "
                'jax.config.update("jax_enable_x64", True) before arrays are made, or '
                "Network(dtype=numpy.float32)"
            )

    def _parameter(self, name: str, value: Any) -> Any:
        known = self._known
        if name not in known:
            raise KeyError(f"{name!r} is not a parameter, expected one of: {', '.join(known)}")
        array = jax.numpy.asarray(value, None if hasattr(value, "dtype") else known[name].dtype)
        if array.dtype != known[name].dtype:
            raise TypeError(
                f"parameter {name} has dtype {array.dtype}, expected {known[name].dtype}, that of "
                "the network"
            )
        if array.shape != known[name].shape:
            raise ValueError(
                f"parameter {name} has shape {array.shape}, expected {known[name].shape}"
            )
        return array

    def _inputs(self, times: Any) -> dict[str, Any]:
        """Times ``[samples, n, k]`` by name."""
        sizes = self._function.inputs
        if times is None:
            times = {}
        elif not isinstance(times, Mapping):
            if len(sizes) != 1:
                raise TypeError(
                    f"times is one array, expected a mapping: the inputs are {', '.join(sizes)}"
                )
            times = {next(iter(sizes)): times}
        if set(times) != set(sizes):
            raise KeyError(
                f"times of {', '.join(times) or 'no input'}, expected those of "
                f"{', '.join(sizes) or 'none'}"
            )
        for name, given in times.items():
            if isinstance(given, Spikes):
                raise TypeError(
                    f"times of {name} is snnfp.Spikes, expected an array [samples, n] or "
                    "[samples, n, k]: snnfp.jax.padded(spikes) makes one"
                )
        return {name: _times(name, times[name], n) for name, n in sizes.items()}


@dataclass(frozen=True)
class _Job:
    """One of the host's methods, equal to another where it does the same: JAX compiles it once."""

    host: Host
    method: str
    wrt: tuple[str, ...] | None = None

    def __call__(self, context: Any, results: Any, *arguments: Any) -> None:
        """Runs it on the memory of JAX's arrays, and writes into that of its results."""
        given = jax.tree.map(np.asarray, arguments)
        more = () if self.wrt is None else (self.wrt,)
        found = getattr(self.host, self.method)(*given, *more)
        jax.tree.map(lambda place, value: np.copyto(np.asarray(place), value), results, found)


def _call(job: _Job, results: Any, *arguments: Any) -> Any:
    """The job as a part of what JAX runs.

    ``jax.pure_callback`` would make arrays of JAX of the arguments first, for which it needs a
    thread of those that run callbacks: where there is one processor it waits for ever.
    """
    run = buffer_callback.buffer_callback(job, results, vmap_method="expand_dims")
    return run(*arguments)


def _once(job: _Job, results: Any, *arguments: Any) -> Any:
    """The job, of which there is no further derivative: an error says so."""

    run: Any = jax.custom_jvp(lambda arguments: _call(job, results, *arguments))
    run.defjvp(_refuse)
    return run(arguments)


def _refuse(primals: Any, tangents: Any) -> Any:
    raise NotImplementedError(
        "second derivatives of a spiking network are asked for, and there are only first ones"
    )


def _is_zero(derivative: Any) -> bool:
    return isinstance(derivative, jax.custom_derivatives.SymbolicZero)


def _like(array: Any) -> Any:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _times(name: str, given: Any, size: int) -> Any:
    array = jax.numpy.asarray(given)
    check_times(array, name, size)
    return array.reshape(*array.shape[:2], -1)
