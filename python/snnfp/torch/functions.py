"""The functions that autograd knows: a call of the core, and its first derivatives."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnfp._functional import NetworkFunction, Trace
from snnfp.errors import require
from snnfp.spikes import Spikes

if TYPE_CHECKING:
    import torch
else:
    torch = require("torch", extra="torch")

__all__ = ["Call", "Run", "refuse_trace", "transformed"]


# torch's own, which is not public: without it everything is taken for transformed.
_active = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)


# Neither are these. Without them a trace is not noticed.
_mode_of = getattr(torch._C, "_get_dispatch_mode", lambda key: None)
_TRACE = getattr(getattr(torch._C, "_TorchDispatchModeKey", None), "PROXY", None)


def transformed() -> bool:
    """Whether torch.func is at work, so that tensors may not be what they seem."""
    return bool(_active())


def refuse_trace() -> None:
    """Raises where torch records operations on tensors, of which NumPy's would be left out.

    Raises:
        NotImplementedError: names what does so.
    """
    if _TRACE is not None and _mode_of(_TRACE) is not None:
        raise NotImplementedError(
            "snnfp.torch computes outside of PyTorch, so a call cannot be traced as by "
            "torch.func.linearize or make_fx: use torch.func.jvp or vjp"
        )


class Call:
    """One call of a module: all that is no tensor, and the traces that it leaves.

    There are several traces where ``torch.vmap`` is at work. Which of them a derivative is of says
    a tensor, their number, so that transforms keep track of it.

    Args:
        function: the network.
        parameters: names of those given as tensors.
        values: of other parameters, where they are not what the network has.
        samples: of a network without input.

    Attributes:
        fixed: inputs given as spikes.
        inputs: those given as tensors, in their order; the step of those that are grids.
    """

    def __init__(
        self,
        function: NetworkFunction,
        parameters: tuple[str, ...],
        values: dict[str, Any],
        samples: int | None,
    ) -> None:
        self.function = function
        self.fixed: dict[str, Spikes] = {}
        self.inputs: dict[str, float | None] = {}
        self._parameters, self._values, self._samples = parameters, values, samples
        self._traces: list[Trace] = []

    @property
    def names(self) -> tuple[str, ...]:
        """What derivatives by each tensor are called."""
        return (*self._parameters, *(f"{name}.times" for name in self.inputs))

    def run(self, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """The number of the new trace, and its values."""
        arrays = [_array(t) for t in tensors]
        n = len(self._parameters)
        given: dict[str, Any] = dict(self.fixed)
        for (name, dt), array in zip(self.inputs.items(), arrays[n:], strict=True):
            given[name] = array if dt is None else Spikes.from_dense(array, dt=dt)
        parameters = self._values | dict(zip(self._parameters, arrays, strict=False))
        trace = self.function(parameters, given, samples=self._samples)
        number = torch.from_numpy(np.array(len(self._traces)))
        self._traces.append(trace)
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


class Run(torch.autograd.Function):
    """Tensors to the number of a trace and its values."""

    @staticmethod
    def forward(call: Call, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
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
        given = (ctx.call, wanted, number, *cotangents, *tensors)
        # Where no graph of the gradient is asked for, autograd need not know the function.
        plain = not torch.is_grad_enabled() and not transformed()
        found = iter(_Pullback.forward(*given) if plain else _Pullback.apply(*given))
        return None, *(next(found) if w else None for w in wanted)

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Any) -> Any:
        number, *tensors = ctx.saved_tensors
        return None, *_Pushforward.apply(ctx.call, number, *tangents, *tensors)

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: Call, *tensors: torch.Tensor) -> Any:
        results = [Run.apply(call, *parts) for parts in _parts(info, in_dims[1:], tensors)]
        return _mapped(call.stacked(results, (0.0, *call.silent)))


# Function.apply asks for it in every call, and Python takes long to find out.
Run.forward.__signature__ = inspect.signature(Run.forward)  # type: ignore[attr-defined]


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
    def forward(call: Call, wanted: tuple[bool, ...], number: Any, *rest: Any) -> Any:
        trace = call.trace(number)
        cotangents = []
        # The tensors after the cotangents say that the gradient is a function of them too.
        for value, given in zip(trace.values, rest, strict=False):
            array = None if given is None else _array(given)
            if array is not None and array.shape != value.shape:  # widened by stacked()
                array = array[..., : value.shape[-1]]
            cotangents.append(array)
        names = [name for name, want in zip(call.names, wanted, strict=True) if want]
        gradients = trace.pullback(cotangents, names)
        return tuple(torch.from_numpy(gradients[name]) for name in names)

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: Call, wanted: tuple[bool, ...], *rest: Any) -> Any:
        each = _parts(info, in_dims[2:], rest)
        results = [_Pullback.apply(call, wanted, *parts) for parts in each]
        return _mapped(tuple(torch.stack(parts) for parts in zip(*results, strict=True)))


class _Pushforward(_First):
    """The derivative of each output along tangents of the tensors."""

    @staticmethod
    def forward(call: Call, number: Any, *rest: Any) -> Any:
        given = zip(call.names, rest, strict=False)  # and the tensors after them
        tangents = {name: _array(t) for name, t in given if t is not None}
        values = call.trace(number).pushforward(tangents)
        return tuple(torch.from_numpy(value) for value in values)

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: Call, *rest: Any) -> Any:
        each = _parts(info, in_dims[1:], rest)
        results = [_Pushforward.apply(call, *parts) for parts in each]
        return _mapped(call.stacked(results, (0.0,) * len(results[0])))


def _array(tensor: torch.Tensor) -> Any:
    refuse_trace()
    try:
        return tensor.detach().numpy()
    except RuntimeError as error:
        if "Batching rule" not in str(error):
            raise
        raise NotImplementedError(
            "snnfp.torch is mapped by torch.vmap, and not by is_grads_batched=True or "
            "vectorize=True of torch.autograd, which map PyTorch's own functions only"
        ) from error


def _parts(info: Any, dims: Sequence[int | None], given: Sequence[Any]) -> list[list[Any]]:
    """What each of the mapped calls gets."""
    pairs = list(zip(given, dims, strict=True))
    return [
        [x if dim is None else x.select(dim, k) for x, dim in pairs] for k in range(info.batch_size)
    ]


def _mapped(results: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], tuple[int, ...]]:
    return results, (0,) * len(results)
