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

from snnfp._numbers import real_number

__all__ = [
    "SGD",
    "Adam",
    "Optimiser",
    "check_clip_norm",
    "check_optimiser",
    "clip_by_norm",
    "gradient_norm",
]

Arrays = dict[str, NDArray[Any]]

_BLOCK = 8192  # numbers


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
    return math.sqrt(sum(_square_sum(g.reshape(-1)) for g in gradients.values()))


def _square_sum(numbers: NDArray[Any]) -> float:
    # Not by BLAS: its threads would add in an order of their own, and spin for a while afterwards
    # on the cores that the next simulation needs.
    return float(np.einsum("i,i->", numbers, numbers, dtype=np.float64))


def _check_finite(state: Arrays, prefix: str) -> None:
    for k, values in state.items():
        if k.startswith(prefix) and not np.isfinite(values).all():
            raise ValueError(f"{k} holds numbers that are not finite")


def _check_lr(lr: float) -> None:
    if isinstance(lr, (dict, list, tuple)):
        raise TypeError(
            f"lr is {lr!r}, expected a number: there are no groups with learning rates of their "
            "own; fit(wrt=...) chooses what is trained"
        )
    if not (real_number(lr, "lr") > 0 and np.isfinite(lr)):
        raise ValueError(f"lr is {lr}, expected a finite number > 0")


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum (the convention of PyTorch).

    Args:
        lr: learning rate, > 0.
        momentum: 0 <= momentum < 1.
        nesterov: look ahead along the momentum.
    """

    lr: float
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        _check_lr(self.lr)
        if not 0 <= real_number(self.momentum, "momentum") < 1:
            raise ValueError(f"momentum is {self.momentum}, expected 0 <= momentum < 1")

    def init(self, parameters: Arrays) -> Arrays:
        """Zero velocities."""
        if self.momentum == 0:
            return {}
        return {f"velocity/{k}": np.zeros_like(p) for k, p in parameters.items()}

    def update(
        self, parameters: Arrays, gradients: Arrays, state: Arrays, *, factor: float = 1.0
    ) -> tuple[Arrays, Arrays]:
        """One step."""
        rate = self.lr * factor
        new, kept = {}, {}
        for k, p in parameters.items():
            step = gradients[k]
            if self.momentum:
                velocity = self.momentum * state[f"velocity/{k}"] + step
                kept[f"velocity/{k}"] = velocity
                step = step + self.momentum * velocity if self.nesterov else velocity
            new[k] = np.asarray(p - rate * step, dtype=p.dtype)
        return new, kept

    def check_state(self, state: Arrays) -> None:
        """Raises unless a state, say of a file, is one that steps can lead to."""
        _check_finite(state, "velocity/")


@dataclass(frozen=True, kw_only=True)
class Adam:
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
        for name in ("beta1", "beta2", "eps", "weight_decay"):
            real_number(getattr(self, name), name)
        patterns = (self.decay,) if isinstance(self.decay, str) else self.decay
        if not (isinstance(patterns, (tuple, list)) and all(isinstance(p, str) for p in patterns)):
            raise TypeError(f"decay is {self.decay!r}, expected a pattern or several")
        object.__setattr__(self, "decay", patterns[0] if len(patterns) == 1 else tuple(patterns))
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 <= {name} < 1")
        if not (self.eps > 0 and np.isfinite(self.eps)):
            raise ValueError(f"eps is {self.eps}, expected a finite number > 0")
        if not (self.weight_decay >= 0 and np.isfinite(self.weight_decay)):
            raise ValueError(f"weight_decay is {self.weight_decay}, expected a finite number >= 0")

    def init(self, parameters: Arrays) -> Arrays:
        """Zero moments, step 0.

        Raises:
            ValueError: weight decay that acts on none of the parameters.
        """
        for pattern in (self.decay,) if isinstance(self.decay, str) else self.decay:
            if self.weight_decay and not any(fnmatchcase(k, pattern) for k in parameters):
                raise ValueError(
                    f"weight_decay acts on {pattern!r}, which matches none of the trained "
                    f"parameters: {', '.join(parameters)}"
                )
        state: Arrays = {"step": np.zeros((), dtype=np.int64)}
        for k, p in parameters.items():
            state[f"mean/{k}"] = np.zeros_like(p)
            state[f"square/{k}"] = np.zeros_like(p)
        return state

    def update(
        self, parameters: Arrays, gradients: Arrays, state: Arrays, *, factor: float = 1.0
    ) -> tuple[Arrays, Arrays]:
        """One step."""
        n = int(state["step"]) + 1
        new: Arrays = {}
        kept: Arrays = {"step": np.asarray(n, dtype=np.int64)}
        for k, p in parameters.items():
            mean, square = f"mean/{k}", f"square/{k}"
            new[k], kept[mean], kept[square] = (np.empty(p.shape, p.dtype) for _ in range(3))
            self._step(
                [np.reshape(a, -1) for a in (p, gradients[k], state[mean], state[square])],
                [a.reshape(-1) for a in (new[k], kept[mean], kept[square])],
                self.lr * factor,
                n,
                self.weight_decay if self.weight_decay and self._decays(k) else 0.0,
            )
        return new, kept

    def check_state(self, state: Arrays) -> None:
        """Raises unless a state, say of a file, is one that steps can lead to."""
        if not 0 <= state["step"] < 2**62:
            raise ValueError(f"step is {state['step']}, expected 0 <= step < 2**62")
        for k, values in state.items():
            if k.startswith("square/") and values.min(initial=0) < 0:
                raise ValueError(f"{k} holds {values.min()}, expected squares >= 0")
        _check_finite(state, "mean/")

    def _decays(self, name: str) -> bool:
        patterns = (self.decay,) if isinstance(self.decay, str) else self.decay
        return any(fnmatchcase(name, p) for p in patterns)

    def _step(
        self,
        old: list[NDArray[Any]],
        new: list[NDArray[Any]],
        rate: float,
        n: int,
        decay: float,
    ) -> None:
        """Fills parameter, mean and mean square, block by block so that all stay in cache."""
        correction = math.sqrt(1 - self.beta2**n)
        scaled = rate / (1 - self.beta1**n)
        spare = np.empty(min(_BLOCK, new[0].size), dtype=new[0].dtype)
        for begin in range(0, new[0].size, _BLOCK):
            p, g, mean, square = (a[begin : begin + _BLOCK] for a in old)
            to, new_mean, new_square = (a[begin : begin + _BLOCK] for a in new)
            t = spare[: to.size]
            np.multiply(mean, self.beta1, out=new_mean)
            new_mean += np.multiply(g, 1 - self.beta1, out=t)
            np.multiply(square, self.beta2, out=new_square)
            np.multiply(g, g, out=t)
            t *= 1 - self.beta2
            new_square += t
            np.sqrt(new_square, out=t)
            t /= correction
            t += self.eps
            np.divide(new_mean, t, out=t)
            t *= scaled
            decayed = p * (1 - rate * decay) if decay else p
            np.subtract(decayed, t, out=to)
