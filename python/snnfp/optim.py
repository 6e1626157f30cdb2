"""Optimisers as pure functions: parameters and gradients in, new parameters out.

Nothing is changed in place, since records keep the parameters they were simulated with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnfp import _core
from snnfp._execution import execution
from snnfp._numbers import real_number

__all__ = [
    "SGD",
    "Adam",
    "Optimiser",
    "check_clip_norm",
    "check_optimiser",
    "clip_by_norm",
    "gradient_norm",
    "is_of_core",
]

Arrays = dict[str, NDArray[Any]]


class Optimiser(Protocol):
    """What :func:`snnfp.fit` asks of an optimiser. The state is a dict of arrays, ready to save."""

    @property
    def lr(self) -> float:
        """The learning rate."""
        ...

    def init(self, parameters: Arrays) -> Arrays:
        """The state before the first step."""
        ...

    def update(
        self, parameters: Arrays, gradients: Arrays, state: Arrays, *, factor: float = 1.0
    ) -> tuple[Arrays, Arrays]:
        """New parameters and state after a step with learning rate ``lr * factor``."""
        ...


def check_optimiser(optimiser: Any) -> None:
    """Raises unless it has what :class:`Optimiser` lists."""
    if isinstance(optimiser, type):
        name = optimiser.__name__
        raise TypeError(f"optimiser is the class {name}, expected an object: {name}(lr=...)")
    missing = [n for n in ("lr", "init", "update") if not hasattr(optimiser, n)]
    if missing:
        kind = type(optimiser)
        given = repr(optimiser) if kind.__module__ == "builtins" else f"a {kind.__module__}."
        given += "" if kind.__module__ == "builtins" else kind.__name__
        raise TypeError(
            f"optimiser is {given}, expected snnfp.Adam(lr=...), snnfp.SGD(lr=...) or an object "
            "with lr, init and update (see snnfp.optim.Optimiser)"
        )


def check_clip_norm(limit: float) -> None:
    """Raises unless ``limit`` can bound a norm."""
    if not real_number(limit, "clip_norm") > 0:
        raise ValueError(f"clip_norm is {limit}, expected a number > 0")


def clip_by_norm(gradients: Arrays, limit: float) -> tuple[Arrays, bool]:
    """Scales all gradients together so that their Euclidean norm is at most ``limit``.

    Returns:
        The gradients and whether they were scaled.
    """
    check_clip_norm(limit)
    norm = gradient_norm(gradients)
    if norm <= limit:
        return gradients, False
    return {k: g * (limit / norm) for k, g in gradients.items()}, True


def gradient_norm(gradients: Arrays) -> float:
    """The Euclidean norm of all gradients together."""
    run = execution(None)
    return math.sqrt(sum(_core.square_sums([_real(g)], [None], run)[0] for g in gradients.values()))


def _real(values: Any, dtype: Any = None) -> NDArray[Any]:
    """As the core takes it: C-contiguous, float64 or float32."""
    array = np.asarray(values, dtype=dtype, order="C")
    if array.dtype not in (np.float64, np.float32):
        return np.asarray(array, dtype=np.float64, order="C")
    return array


def _check_finite(state: Arrays, prefix: str) -> None:
    for k, values in state.items():
        if k.startswith(prefix) and not np.isfinite(values).all():
            raise ValueError(f"{k} holds numbers that are not finite")


def _check_lr(lr: float) -> None:
    if isinstance(lr, (dict, list, tuple)):
        raise TypeError(
            f"lr is {lr!r}, expected a number: fit(groups={{pattern: snnfp.Group(lr=...)}}) gives "
            "groups of parameters learning rates of their own"
        )
    if not (real_number(lr, "lr") > 0 and np.isfinite(lr)):
        raise ValueError(f"lr is {lr}, expected a finite number > 0")


def _check_decay(optimiser: Any) -> None:
    real_number(optimiser.weight_decay, "weight_decay")
    decay = optimiser.decay
    patterns = (decay,) if isinstance(decay, str) else decay
    if not (isinstance(patterns, (tuple, list)) and all(isinstance(p, str) for p in patterns)):
        raise TypeError(f"decay is {decay!r}, expected a pattern or several")
    object.__setattr__(optimiser, "decay", patterns[0] if len(patterns) == 1 else tuple(patterns))
    if not (optimiser.weight_decay >= 0 and np.isfinite(optimiser.weight_decay)):
        raise ValueError(f"weight_decay is {optimiser.weight_decay}, expected a finite number >= 0")


def is_of_core(optimiser: Any) -> bool:
    """Whether the core takes its steps: it is one of this module, with the update it has here."""
    return getattr(type(optimiser), "update", None) is _OfCore.update


class _OfCore:
    """What SGD and Adam have in common: the core takes their steps."""

    lr: float
    weight_decay: float
    decay: str | tuple[str, ...]

    def update(
        self, parameters: Arrays, gradients: Arrays, state: Arrays, *, factor: float = 1.0
    ) -> tuple[Arrays, Arrays]:
        """One step."""
        kept = {k: np.array(v) for k, v in state.items()}
        old = {k: _real(p) for k, p in parameters.items()}
        slots = [self.slot(k, p, kept) for k, p in old.items()]
        rate = self.lr * factor
        made = self.step(
            slots,
            list(old.values()),
            [_real(gradients[k], p.dtype) for k, p in old.items()],
            [None] * len(old),
            [(1.0, rate, self.decay_of(k), 0.0) for k in old],
            kept,
            execution(None),
        )
        return {k: new for k, (new, _) in zip(old, made, strict=True)}, kept

    def decay_of(self, name: str) -> float:
        """The weight decay of a parameter."""
        patterns = (self.decay,) if isinstance(self.decay, str) else self.decay
        return self.weight_decay if any(fnmatchcase(name, p) for p in patterns) else 0.0

    def slot(
        self,
        name: str,
        parameter: NDArray[Any],
        state: Arrays,
        *,
        low: NDArray[Any] | None = None,
        high: NDArray[Any] | None = None,
        frozen: NDArray[np.bool_] | None = None,
    ) -> Any:
        """What the core keeps of a parameter from step to step; its state changes in place."""
        double = parameter.dtype == np.float64
        kind: Any = _core.SlotFloat64 if double else _core.SlotFloat32
        row = parameter.shape[-1] if parameter.ndim > 1 else 1
        return kind(parameter.size, row, *self._state_of(name, state), low, high, frozen)

    def step(
        self,
        slots: list[Any],
        parameters: list[NDArray[Any]],
        gradients: list[NDArray[Any]],
        averages: list[NDArray[Any] | None],
        numbers: list[tuple[float, float, float, float]],
        state: Arrays,
        run: _core.Execution,
    ) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
        """New parameters and averages, by scale, rate, decay and blend; the state in place."""
        raise NotImplementedError

    def _state_of(
        self, name: str, state: Arrays
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        raise NotImplementedError

    def _check_decays(self, parameters: Arrays) -> None:
        for pattern in (self.decay,) if isinstance(self.decay, str) else self.decay:
            if self.weight_decay and not any(fnmatchcase(k, pattern) for k in parameters):
                raise ValueError(
                    f"weight_decay acts on {pattern!r}, which matches none of the trained "
                    f"parameters: {', '.join(parameters)}"
                )


@dataclass(frozen=True, kw_only=True)
class SGD(_OfCore):
    """Stochastic gradient descent with momentum (the convention of PyTorch).

    Args:
        lr: learning rate, > 0.
        momentum: 0 <= momentum < 1.
        nesterov: look ahead along the momentum.
        weight_decay: each step also takes ``lr * weight_decay`` of a parameter away, at the
            learning rate of that step; no part of the momentum.
        decay: names or patterns of the parameters that decay.
    """

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    decay: str | tuple[str, ...] = "*.weight"

    def __post_init__(self) -> None:
        _check_lr(self.lr)
        if not 0 <= real_number(self.momentum, "momentum") < 1:
            raise ValueError(f"momentum is {self.momentum}, expected 0 <= momentum < 1")
        _check_decay(self)

    def init(self, parameters: Arrays) -> Arrays:
        """Zero velocities.

        Raises:
            ValueError: weight decay that acts on none of the parameters.
        """
        self._check_decays(parameters)
        if self.momentum == 0:
            return {}
        return {f"velocity/{k}": np.zeros_like(p) for k, p in parameters.items()}

    def check_state(self, state: Arrays) -> None:
        """Raises unless a state, say of a file, is one that steps can lead to."""
        _check_finite(state, "velocity/")

    def step(
        self,
        slots: list[Any],
        parameters: list[NDArray[Any]],
        gradients: list[NDArray[Any]],
        averages: list[NDArray[Any] | None],
        numbers: list[tuple[float, float, float, float]],
        state: Arrays,
        run: _core.Execution,
    ) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
        """New parameters and averages, by scale, rate, decay and blend; the state in place."""
        if not slots:
            return []
        return _core.sgd_step(
            self.momentum, self.nesterov, slots, parameters, gradients, averages, numbers, run
        )

    def _state_of(
        self, name: str, state: Arrays
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        return state.get(f"velocity/{name}"), None


@dataclass(frozen=True, kw_only=True)
class Adam(_OfCore):
    """Adam (Kingma and Ba, 2015), with decoupled weight decay if asked for.

    Args:
        lr: learning rate, > 0.
        beta1: decay of the mean.
        beta2: decay of the mean square.
        eps: added to the root of the mean square.
        weight_decay: each step also takes ``lr * weight_decay`` of a parameter away (AdamW), at
            the learning rate of that step.
        decay: names or patterns of the parameters that decay. Weights only: towards 0 is no
            direction for time constants, thresholds and delays.
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decay: str | tuple[str, ...] = "*.weight"

    def __post_init__(self) -> None:
        _check_lr(self.lr)
        for name in ("beta1", "beta2", "eps"):
            real_number(getattr(self, name), name)
        _check_decay(self)
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 <= {name} < 1")
        if not (self.eps > 0 and np.isfinite(self.eps)):
            raise ValueError(f"eps is {self.eps}, expected a finite number > 0")

    def init(self, parameters: Arrays) -> Arrays:
        """Zero moments, step 0.

        Raises:
            ValueError: weight decay that acts on none of the parameters.
        """
        self._check_decays(parameters)
        state: Arrays = {"step": np.zeros((), dtype=np.int64)}
        for k, p in parameters.items():
            state[f"mean/{k}"] = np.zeros_like(p)
            state[f"square/{k}"] = np.zeros_like(p)
        return state

    def check_state(self, state: Arrays) -> None:
        """Raises unless a state, say of a file, is one that steps can lead to."""
        if not 0 <= state["step"] < 2**62:
            raise ValueError(f"step is {state['step']}, expected 0 <= step < 2**62")
        for k, values in state.items():
            if k.startswith("square/") and values.min(initial=0) < 0:
                raise ValueError(f"{k} holds {values.min()}, expected squares >= 0")
        _check_finite(state, "mean/")

    def step(
        self,
        slots: list[Any],
        parameters: list[NDArray[Any]],
        gradients: list[NDArray[Any]],
        averages: list[NDArray[Any] | None],
        numbers: list[tuple[float, float, float, float]],
        state: Arrays,
        run: _core.Execution,
    ) -> list[tuple[NDArray[Any], NDArray[Any] | None]]:
        """New parameters and averages, by scale, rate, decay and blend; the state in place."""
        if not slots:
            return []
        n = int(state["step"]) + 1
        made = _core.adam_step(
            self.beta1, self.beta2, self.eps, n, slots, parameters, gradients, averages, numbers,
            run,
        )  # fmt: skip
        state["step"] = np.asarray(n, dtype=np.int64)
        return made

    def _state_of(
        self, name: str, state: Arrays
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        return state[f"mean/{name}"], state[f"square/{name}"]
