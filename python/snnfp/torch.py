"""Networks as PyTorch modules, with exact gradients through ``torch.autograd``.

It needs PyTorch: ``pip install 'snnfp[torch]'``. The work is done by the core, on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from snnfp._functional import FirstSpikes, NetworkFunction, Output, SpikeTimes, Trace
from snnfp.conversions import check_step
from snnfp.errors import require
from snnfp.network import Network, Selection
from snnfp.spikes import Spikes

if TYPE_CHECKING:
    import torch
else:
    torch = require("torch", extra="torch")

__all__ = ["FirstSpikes", "SNNModule", "SpikeTimes", "collate"]

_DTYPES = {"float64": torch.float64, "float32": torch.float32}
_GRIDS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class SNNModule(torch.nn.Module):
    """A spiking network as a module.

    Its parameters are those of the network, under their names: ``"hidden.tau_mem"``,
    ``"input_to_hidden.weight"``. They belong to the module: what is set in ``net`` afterwards
    changes nothing here. A call uses their memory, without a copy where it is contiguous.

    Args:
        net: the network, all of whose parameters have values.
        until: end of the simulation; None: until nothing more can happen.
        output: what a call returns: ``"first_spikes"`` or ``"spike_times"`` of the last population,
            ``"voltage"`` of the last readout at the end of the sample; or :class:`FirstSpikes`,
            :class:`SpikeTimes` or :class:`snnfp.Reading`, which say of which and more; or several
            of these in a list, for a tuple of tensors.
        wrt: names or patterns of the parameters that are trained. The others have
            ``requires_grad=False``.
        dt: step of inputs that are grids ``[T, samples, n]``; None: there are none.
        n_threads: None: all. The result is the same for any number.
        options: ``initial``, ``spike_limit``, ``engine`` and ``isa`` of :func:`snnfp.simulate`.

    Raises:
        ValueError: a group with a name that every module has, such as ``"train"``; an output that
            needs a finite ``until``.
        KeyError: a name or pattern that is not there.
    """

    def __init__(
        self,
        net: Network,
        *,
        until: float | None = None,
        output: str | Output | Sequence[Any] = "first_spikes",
        wrt: Selection = "*.weight",
        dt: float | None = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        function = NetworkFunction(net, output, until=until, n_threads=n_threads, **options)
        if dt is not None:
            check_step(dt)
        self._function, self._dt = function, dt
        self._several = isinstance(output, (list, tuple))
        trained = function.select(wrt)
        for name, value in function.parameters.items():
            group, _, key = name.rpartition(".")
            if group not in self._modules:
                if hasattr(self, group):
                    raise ValueError(
                        f"the name {group!r} is an attribute of every module, expected another "
                        "name for that part of the network"
                    )
                self.add_module(group, _Group())
            tensor = torch.from_numpy(value.copy())
            parameter = torch.nn.Parameter(tensor, requires_grad=name in trained)
            self._modules[group].register_parameter(key, parameter)

    def forward(self, spikes: Any = None, *, samples: int | None = None) -> Any:
        """Simulates a batch.

        Args:
            spikes: the input: times ``[samples, n]``, one a channel, or ``[samples, n, k]``, up to
                k a channel in any order, inf for no spike; :class:`snnfp.Spikes`; with ``dt`` a
                grid of 0 and 1, ``[T, samples, n]``; a mapping of these by name where there are
                several inputs; None for a network without. Gradients by times are exact; ``Spikes``
                and grids have none.
            samples: number of samples of a network without input.

        Returns:
            A tensor of the network's dtype, ``[samples, n]`` (first spikes, voltages), or
            ``[samples, n, k]`` (spike times) or ``[samples, times, n]`` (voltages at times); inf
            for no spike. A tuple of them if several outputs are asked for.

        Raises:
            TypeError: a dtype or device that the network does not compute with.
            RuntimeError: under ``torch.autocast``.
            ValueError: a shape or value that cannot be; what :func:`snnfp.simulate` raises.
        """
        if torch.compiler.is_dynamo_compiling():  # NumPy and the core are not for it to look into
            return _not_compiled()(self, spikes, samples)
        return self._simulated(spikes, samples)

    def network(self) -> Network:
        """A network with copies of the parameters of now, to simulate, diagnose or save."""
        tensors = self._parameters_by_name().items()
        return self._function.network({n: t.detach().cpu().numpy() for n, t in tensors})

    def extra_repr(self) -> str:
        """The network and what is asked of it."""
        return f"{self._function}"

    # -- inside ----------------------------------------------------------------------------------

    def _simulated(self, spikes: Any, samples: int | None) -> Any:
        _refuse_autocast()
        tensors = self._parameters_by_name()
        for name, tensor in tensors.items():
            self._check_parameter(name, tensor)
        call = _Call(self._function, tuple(tensors), samples)
        inputs = [*tensors.values()]
        for name, given in self._named(spikes).items():
            if isinstance(given, Spikes):
                call.fixed[name] = given
            else:
                inputs.append(self._input(call, name, given))
        _, *values = _Run.apply(call, *inputs)
        return tuple(values) if self._several else values[0]

    def _parameters_by_name(self) -> dict[str, torch.Tensor]:
        # As attributes, so that parametrizations are heard.
        groups = ((name, *name.rpartition(".")) for name in self._function.parameters)
        return {name: getattr(self._modules[g], key) for name, g, _, key in groups}

    def _check_parameter(self, name: str, tensor: torch.Tensor) -> None:
        expected = _DTYPES[self._function.dtype.name]
        if tensor.dtype != expected:
            raise TypeError(
                f"parameter {name} has dtype {tensor.dtype}, expected {expected}: a network "
                "computes in the precision that it was made with, snnfp.Network(dtype=...)"
            )
        _check_device(tensor, f"parameter {name}")

    def _named(self, spikes: Any) -> Mapping[str, Any]:
        names = tuple(self._function.inputs)
        if isinstance(spikes, Mapping):
            return {getattr(k, "name", k): v for k, v in spikes.items()}
        if spikes is None:
            return {}
        if len(names) != 1:
            raise ValueError(
                f"the network has {len(names)} inputs ({', '.join(names)}), expected "
                + ("a mapping {name: spikes}" if names else "None")
            )
        return {names[0]: spikes}

    def _input(self, call: _Call, name: str, given: Any) -> torch.Tensor:
        """A tensor as the core takes it; the call is told what it is."""
        if not isinstance(given, torch.Tensor):
            raise TypeError(
                f"spikes of {name} is a {type(given).__name__}, expected a tensor of times or "
                "snnfp.Spikes"
            )
        _check_device(given, f"spikes of {name}")
        grid = self._dt is not None and given.ndim == 3
        if given.dtype not in (*_DTYPES.values(), *(_GRIDS if grid else ())):
            hint = "" if grid else ", or a grid [T, samples, n] and SNNModule(dt=...)"
            raise TypeError(
                f"spikes of {name} has dtype {given.dtype}, expected times as torch.float64 or "
                f"torch.float32{hint}"
            )
        if not grid:
            call.inputs[name] = None
            return given.to(_DTYPES[self._function.dtype.name])
        if given.requires_grad:
            raise ValueError(
                f"the grid of {name} requires a gradient, which only times have: expected "
                "[samples, n], the time of each channel's spike"
            )
        call.inputs[name] = self._dt
        return given


class _Group(torch.nn.Module):
    """The parameters of a population, readout or projection."""

    def extra_repr(self) -> str:
        return ", ".join(f"{name} {list(p.shape)}" for name, p in self.named_parameters())


class _Call:
    """One call of a module: all that is no tensor, and the traces that it leaves.

    There are several traces where ``torch.vmap`` is at work. Which of them a derivative is of says
    a tensor, their number, so that transforms keep track of it.

    Attributes:
        fixed: inputs given as spikes.
        inputs: those given as tensors, in their order; the step of those that are grids.
    """

    def __init__(
        self, function: NetworkFunction, parameters: tuple[str, ...], samples: int | None
    ) -> None:
        self.function, self.samples = function, samples
        self.fixed: dict[str, Spikes] = {}
        self.inputs: dict[str, float | None] = {}
        self._parameters = parameters
        self._traces: list[Trace] = []

    @property
    def names(self) -> tuple[str, ...]:
        """What derivatives by each tensor are called."""
        return (*self._parameters, *(f"{name}.times" for name in self.inputs))

    def run(self, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The number of the new trace, and its values."""
        arrays = [t.detach().numpy() for t in tensors]
        n = len(self._parameters)
        given: dict[str, Any] = dict(self.fixed)
        for (name, dt), array in zip(self.inputs.items(), arrays[n:], strict=True):
            given[name] = array if dt is None else Spikes.from_dense(array, dt=dt)
        parameters = dict(zip(self._parameters, arrays, strict=False))
        trace = self.function(parameters, given, samples=self.samples)
        self._traces.append(trace)
        number = torch.tensor(len(self._traces) - 1)
        return number, *(torch.from_numpy(value) for value in trace.values)

    def trace(self, number: torch.Tensor) -> Trace:
        """The trace of that number."""
        return self._traces[int(number)]

    def stacked(self, results: Sequence[Any], filler: Sequence[float]) -> tuple[torch.Tensor, ...]:
        """Results of several calls, output by output; spike times as wide as the widest."""
        columns = []
        for parts, value in zip(zip(*results, strict=True), filler, strict=True):
            width = max((p.shape[-1] for p in parts if p.ndim), default=0)
            pad = torch.nn.functional.pad
            columns.append(
                torch.stack(
                    [
                        pad(p, (0, width - p.shape[-1]), value=value)
                        if p.ndim and p.shape[-1] < width
                        else p
                        for p in parts
                    ]
                )
            )
        return tuple(columns)

    @property
    def silent(self) -> tuple[float, ...]:
        """What stands in each output where there is no spike."""
        return tuple(getattr(output, "silent", 0.0) for output in self.function.outputs)


class _Run(torch.autograd.Function):
    """Tensors to the number of a trace and its values."""

    @staticmethod
    def forward(call: _Call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return call.run(tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        call, *tensors = inputs
        number = output[0]
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(number)
        # Saved though the trace has their values: torch then refuses a backward pass after they
        # have been changed in place, which would change the trace too.
        ctx.save_for_backward(number, *tensors)
        ctx.save_for_forward(number, *tensors)

    @staticmethod
    def backward(ctx: Any, _: Any, *cotangents: Any) -> Any:
        number, *tensors = ctx.saved_tensors
        wanted = tuple(ctx.needs_input_grad[1:])
        found = iter(_Pullback.apply(ctx.call, wanted, number, *cotangents, *tensors))
        return None, *(next(found) if w else None for w in wanted)

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Any) -> Any:
        number, *tensors = ctx.saved_tensors
        return None, *_Pushforward.apply(ctx.call, number, *tangents, *tensors)

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: _Call, *tensors: torch.Tensor) -> Any:
        results = [_Run.apply(call, *parts) for parts in _parts(info, in_dims[1:], tensors)]
        return _mapped(call.stacked(results, (0.0, *call.silent)))


class _First(torch.autograd.Function):
    """First derivatives, which have none of their own."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        raise NotImplementedError(_NO_SECOND)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(_NO_SECOND)


_NO_SECOND = (
    "snnfp.torch has first derivatives only, and a second derivative of spike times or voltages "
    "was asked for (by a gradient of a gradient, gradgradcheck or torch.func.hessian)"
)


class _Pullback(_First):
    """The gradient by the tensors that are wanted, given that by each output."""

    @staticmethod
    def forward(call: _Call, wanted: tuple[bool, ...], number: Any, *rest: Any) -> Any:
        trace = call.trace(number)
        cotangents = []
        # The tensors after the cotangents say that the gradient is a function of them too.
        for value, given in zip(trace.values, rest, strict=False):
            array = None if given is None else given.detach().numpy()
            if array is not None and array.shape != value.shape:  # widened by stacked()
                array = array[..., : value.shape[-1]]
            cotangents.append(array)
        names = [name for name, want in zip(call.names, wanted, strict=True) if want]
        gradients = trace.pullback(cotangents, names)
        return tuple(torch.from_numpy(gradients[name]) for name in names)

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: _Call, wanted: tuple[bool, ...], *rest: Any) -> Any:
        each = _parts(info, in_dims[2:], rest)
        results = [_Pullback.apply(call, wanted, *parts) for parts in each]
        return _mapped(tuple(torch.stack(parts) for parts in zip(*results, strict=True)))


class _Pushforward(_First):
    """The derivative of each output along tangents of the tensors."""

    @staticmethod
    def forward(call: _Call, number: Any, *rest: Any) -> Any:
        given = zip(call.names, rest, strict=False)  # and the tensors after them
        tangents = {name: t.detach().numpy() for name, t in given if t is not None}
        values = call.trace(number).pushforward(tangents)
        return tuple(torch.from_numpy(value) for value in values)

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: _Call, *rest: Any) -> Any:
        each = _parts(info, in_dims[1:], rest)
        results = [_Pushforward.apply(call, *parts) for parts in each]
        return _mapped(call.stacked(results, (0.0,) * len(results[0])))


def collate(batch: Sequence[Any]) -> Any:
    """Makes a batch of samples, for ``torch.utils.data.DataLoader(collate_fn=...)``.

    As torch does it, and :class:`snnfp.Spikes` within tuples, lists and mappings become one batch
    of spikes.
    """
    of_torch = torch.utils.data._utils.collate
    return of_torch.collate(
        batch, collate_fn_map={Spikes: _concatenated, **of_torch.default_collate_fn_map}
    )


def _concatenated(batch: Sequence[Spikes], *, collate_fn_map: Any = None) -> Spikes:
    return Spikes.concatenate(batch)


@cache
def _not_compiled() -> Any:
    """The work of a call as torch.compile leaves it alone; made where it is met."""
    return torch.compiler.disable(SNNModule._simulated)


def _parts(info: Any, dims: Sequence[int | None], given: Sequence[Any]) -> list[list[Any]]:
    """What each of the mapped calls gets."""
    pairs = list(zip(given, dims, strict=True))
    return [
        [x if dim is None else x.select(dim, k) for x, dim in pairs] for k in range(info.batch_size)
    ]


def _mapped(results: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], tuple[int, ...]]:
    return results, (0,) * len(results)


def _refuse_autocast() -> None:
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            raise RuntimeError(
                f"SNNModule does not run under torch.autocast({device!r}), since spike times need "
                "the digits of float32 or float64: call it on such tensors within "
                f"torch.autocast({device!r}, enabled=False)"
            )


def _check_device(tensor: torch.Tensor, what: str) -> None:
    if tensor.device.type != "cpu":
        raise TypeError(f"{what} is on {tensor.device}, expected the CPU: move it with .cpu()")
