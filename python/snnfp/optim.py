"""Optimisers as pure functions: parameters and gradients in, new parameters out.

Nothing is changed in place, since records keep the parameters they were simulated with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SGD", "Adam", "Optimiser", "check_clip_norm", "clip_by_norm"]

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
    norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values())))
    if norm <= limit:
        return gradients, False
    return {k: g * (limit / norm) for k, g in gradients.items()}, True


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
        rate = self.lr * factor
        new: Arrays = {}
        kept: Arrays = {"step": np.asarray(n, dtype=np.int64)}
        for k, p in parameters.items():
            g = gradients[k]
            mean = self.beta1 * state[f"mean/{k}"] + (1 - self.beta1) * g
            square = self.beta2 * state[f"square/{k}"] + (1 - self.beta2) * (g * g)
            denominator = np.sqrt(square) / np.sqrt(1 - self.beta2**n) + self.eps
            decayed = p * (1 - rate * self.weight_decay) if self.weight_decay else p
            step = (rate / (1 - self.beta1**n)) * (mean / denominator)
            new[k] = np.asarray(decayed - step, dtype=p.dtype)
            kept[f"mean/{k}"] = np.asarray(mean, dtype=p.dtype)
            kept[f"square/{k}"] = np.asarray(square, dtype=p.dtype)
        return new, kept
