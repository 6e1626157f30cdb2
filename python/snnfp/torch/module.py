"""A spiking network as a PyTorch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from snnfp._arrays import spot
from snnfp._functional import NetworkFunction
from snnfp._outputs import Output
from snnfp.conversions import check_step
from snnfp.errors import require
from snnfp.network import Network, Selection
from snnfp.spikes import Spikes
from snnfp.torch.functions import Call, Run, refuse_trace, transformed

if TYPE_CHECKING:
    import torch
else:
    torch = require("torch", extra="torch")

__all__ = ["SNNModule"]

_DTYPES = {"float64": torch.float64, "float32": torch.float32}
_GRIDS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_FEW = 128  # values that are sooner compared than set
_NOT_COMPILED: dict[str, Any] = {}


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
        self._dtype = _DTYPES[function.dtype.name]
        self._several = isinstance(output, (list, tuple))
        trained = function.select(wrt)
        self._places: list[tuple[str, str, str, tuple[int, ...], bytes]] = []
        for name, value in function.parameters.items():
            group, _, key = name.rpartition(".")
            few = value.tobytes() if value.size <= _FEW else b""
            self._places.append((name, group, key, value.shape, few))
            if group not in self._modules:
                if hasattr(self, group):
                    raise ValueError(
                        f"the name {group!r} is an attribute of every module, expected another "
                        "name for that part of the network"
                    )
                self.add_module(group, _Group())
            tensor = torch.from_numpy(value.copy())
            parameter = torch.nn.Parameter(tensor, requires_grad=name in trained)
            self.get_submodule(group).register_parameter(key, parameter)

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
            NotImplementedError: within a trace, as of ``torch.func.linearize`` or ``make_fx``.
            ValueError: a shape or value that cannot be; what :func:`snnfp.simulate` raises.
        """
        if torch.compiler.is_dynamo_compiling():  # NumPy and the core are not for it to look into
            return _not_compiled()(self, spikes, samples)
        return self._simulated(spikes, samples)

    def network(self) -> Network:
        """A network with copies of the parameters of now, to simulate, diagnose or save."""
        refuse_trace()
        tensors = {name: self._parameter(group, key) for name, group, key, *_ in self._places}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        return self._function.network(arrays)

    def extra_repr(self) -> str:
        """The network and what is asked of it."""
        return f"{self._function}"

    # -- inside ----------------------------------------------------------------------------------

    def _simulated(self, spikes: Any, samples: int | None) -> Any:
        _refuse_autocast()
        refuse_trace()
        tensors: dict[str, torch.Tensor] = {}
        fixed: dict[str, Any] = {}
        dtype, own = self._dtype, None if transformed() else torch.nn.Parameter
        for name, group, key, shape, few in self._places:
            tensor = self._parameter(group, key)
            if tensor.dtype is not dtype or not tensor.is_cpu:
                self._refuse_parameter(name, tensor)
            if few and type(tensor) is own and not tensor.requires_grad:  # no derivative by it
                array = tensor.numpy()
                if array.tobytes() != few or array.shape != shape:
                    fixed[name] = array.copy()
            else:
                tensors[name] = tensor
        call = Call(self._function, tuple(tensors), fixed, samples)
        inputs = [*tensors.values()]
        for name, given in self._named(spikes).items():
            if isinstance(given, Spikes):
                call.fixed[name] = given
            else:
                inputs.append(self._input(call, name, given))
        _, *values = Run.apply(call, *inputs)
        return tuple(values) if self._several else values[0]

    def _parameter(self, group: str, key: str) -> Any:
        module: Any = self._modules[group]
        tensor = module._parameters.get(key)
        return getattr(module, key) if tensor is None else tensor  # of a parametrization

    def _refuse_parameter(self, name: str, tensor: torch.Tensor) -> None:
        _check_device(tensor, f"parameter {name}")
        raise TypeError(
            f"parameter {name} has dtype {tensor.dtype}, expected {self._dtype}: a network "
            "computes in the precision it was made with, snnfp.Network(dtype=...)"
        )

    def _named(self, spikes: Any) -> Mapping[str, Any]:
        names = tuple(self._function.inputs)
        if isinstance(spikes, Mapping):
            return {str(getattr(k, "name", k)): v for k, v in spikes.items()}
        if spikes is None:
            return {}
        if len(names) != 1:
            raise ValueError(
                f"the network has {len(names)} inputs ({', '.join(names)}), expected "
                + ("a mapping {name: spikes}" if names else "None")
            )
        return {names[0]: spikes}

    def _input(self, call: Call, name: str, given: Any) -> torch.Tensor:
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
            times = given.to(self._dtype)
            # Of what torch.vmap maps, values cannot be looked at.
            if times.dtype is torch.float32 and given.dtype is torch.float64 and not transformed():
                _check_range(name, given.detach(), times.detach())
            return times
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


def _not_compiled() -> Any:
    """The work of a call as torch.compile leaves it alone; made where it is met."""
    if "work" not in _NOT_COMPILED:
        _NOT_COMPILED["work"] = torch.compiler.disable(SNNModule._simulated)
    return _NOT_COMPILED["work"]


def _refuse_autocast() -> None:
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            raise RuntimeError(
                f"SNNModule does not run under torch.autocast({device!r}), since spike times need "
                "the digits of float32 or float64: call it on such tensors within "
                f"torch.autocast({device!r}, enabled=False)"
            )


def _check_range(name: str, given: torch.Tensor, times: torch.Tensor) -> None:
    """Raises where a finite time has become inf, which would mean no spike."""
    lost = torch.isposinf(times) & ~torch.isposinf(given)
    if lost.any():
        at = tuple(torch.nonzero(lost)[0].tolist())
        raise ValueError(
            f"{spot(f'times of {name}', at)} is {given[at].item():g}, expected at most "
            f"{torch.finfo(times.dtype).max:g} where the network computes in float32, or inf for "
            "no spike"
        )


def _check_device(tensor: torch.Tensor, what: str) -> None:
    if tensor.device.type != "cpu":
        raise TypeError(f"{what} is on {tensor.device}, expected the CPU: move it with .cpu()")
