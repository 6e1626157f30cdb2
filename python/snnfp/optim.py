"""Optimisers as pure functions: parameters and gradients in, new parameters out.

Nothing is changed in place, since records keep the parameters they were simulated with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SGD", "Adam", "Optimiser", "check_clip_norm", "clip_by_norm"]

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


def check_clip_norm(limit: float) -> None:
    """Raises unless ``limit`` can bound a norm."""
    if not limit > 0:
        raise ValueError(f"clip_norm is {limit}, expected a number > 0")


def clip_by_norm(gradients: Arrays, limit: float) -> tuple[Arrays, bool]:
    """Scales all gradients together so that their Euclidean norm is at most ``limit``.

    Returns:
        The gradients and whether they were scaled.
    """
    check_clip_norm(limit)
    norm = math.sqrt(sum(_square_sum(g.reshape(-1)) for g in gradients.values()))
    if norm <= limit:
        return gradients, False
    return {k: g * (limit / norm) for k, g in gradients.items()}, True


def _square_sum(numbers: NDArray[Any]) -> float:
    # Not by BLAS: its threads would add in an order of their own, and spin for a while afterwards
    # on the cores that the next simulation needs.
    return float(np.einsum("i,i->", numbers, numbers, dtype=np.float64))


def _check_lr(lr: float) -> None:
    if not (lr > 0 and np.isfinite(lr)):
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
        if not 0 <= self.momentum < 1:
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


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba, 2015), with decoupled weight decay if asked for.

    Args:
        lr: learning rate, > 0.
        beta1: decay of the mean.
        beta2: decay of the mean square.
        eps: added to the root of the mean square.
        weight_decay: each step also takes ``lr * weight_decay`` of a parameter away (AdamW).
    """

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_lr(self.lr)
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 <= {name} < 1")
        if not (self.eps > 0 and np.isfinite(self.eps)):
            raise ValueError(f"eps is {self.eps}, expected a finite number > 0")
        if not (self.weight_decay >= 0 and np.isfinite(self.weight_decay)):
            raise ValueError(f"weight_decay is {self.weight_decay}, expected a finite number >= 0")

    def init(self, parameters: Arrays) -> Arrays:
        """Zero moments, step 0."""
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
            )
        return new, kept

    def _step(self, old: list[NDArray[Any]], new: list[NDArray[Any]], rate: float, n: int) -> None:
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
            decayed = p * (1 - rate * self.weight_decay) if self.weight_decay else p
            np.subtract(decayed, t, out=to)
