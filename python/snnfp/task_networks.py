"""The networks and losses that the settings of a task make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp.calibration import calibrate
from snnfp.convolution import Conv2D
from snnfp.init import Initialiser, LogUniform, Normal, Uniform
from snnfp.losses import FirstSpikeCrossEntropy, ReadoutCrossEntropy
from snnfp.network import Network
from snnfp.neurons import LI, LIF
from snnfp.projections import Dense
from snnfp.scaling import scale_readout
from snnfp.task_settings import SettingError, Settings

__all__ = ["build_network", "hidden_names", "make_loss", "measured", "prepare", "trained"]


def hidden_names(settings: Settings) -> list[str]:
    """Names of the hidden populations, convolutions first."""
    planes = _named("convolution", len(settings.kernels or ()) // 3)
    return planes + _named("hidden", len(settings.hidden))


def _named(name: str, n: int) -> list[str]:
    return [name] if n == 1 else [f"{name}{k + 1}" for k in range(n)]


def trained(settings: Settings) -> tuple[str, ...]:
    """Patterns of the parameters that are trained."""
    return ("*.weight",) if settings.delays is None else ("*.weight", "*.delay")


def build_network(
    settings: Settings, channels: int, classes: int, grid: tuple[int, ...] | None = None
) -> Network:
    """A network ``channels - hidden ... - classes`` with initial weights and delays drawn.

    Args:
        settings: of the task.
        channels: of the input.
        classes: outputs.
        grid: shape of the channels of images, which convolutions need: rows and columns last.

    Raises:
        SettingError: convolutions of what is no image, or of a smaller one than their kernels.
    """
    s = settings
    net = Network(dtype=np.dtype(s.dtype))
    neuron = LIF(
        tau_mem=_each(s.tau_mem),
        tau_syn=_each(s.tau_syn),
        capacitance=s.capacitance,
        threshold=s.threshold,
        t_refractory=s.t_refractory,
    )
    delay: Any = 0.0 if s.delays is None else Uniform(*s.delays)
    before: Any = net.input(channels, name="input")
    weight, later = Normal(*s.first), Normal(*s.later)
    planes = _convolutions(s, channels, grid)
    for k, name in enumerate(hidden_names(s)):
        if k < len(planes):
            projection: Conv2D | Dense = replace(planes[k], weight=weight, delay=delay)
            size = planes[k].size_out
        else:
            projection, size = Dense(weight=weight, delay=delay), s.hidden[k - len(planes)]
        group = net.population(size, neuron, name=name)
        net.connect(before, group, projection)
        weight = later
        if s.recurrent is not None and k >= len(planes):
            within = Dense(weight=Normal(*s.recurrent), delay=s.recurrent_delay)
            net.connect(group, group, within)
        before = group
    if s.readout == "first_spikes":
        tau_mem, tau_syn = s.readout_tau or (_middle(s.tau_mem), _middle(s.tau_syn))
        alike = replace(neuron, tau_mem=tau_mem, tau_syn=tau_syn)
        output: Any = net.population(classes, alike, name="output")
    else:
        tau_mem, tau_syn = s.readout_tau or (np.inf, np.inf)
        leaky = LI(tau_mem=tau_mem, tau_syn=tau_syn, capacitance=s.capacitance)
        output = net.readout(classes, leaky, name="output")
    net.connect(before, output, Dense(weight=later, delay=delay))
    return net.initialise(seed=s.seed)


def _convolutions(s: Settings, channels: int, grid: tuple[int, ...] | None) -> list[Conv2D]:
    """The convolutions of the settings, their weights yet to be said."""
    kernels = np.reshape(s.kernels or (), (-1, 3)).tolist()
    if not kernels:
        return []
    if grid is None or math.prod(grid) != channels:
        raise SettingError(
            f"{{kernels}} is {s.kernels}, expected none: the {channels} channels of the input are "
            f"no images{'' if grid is None else f' of {grid} alone'}"
        )
    shape = math.prod(grid[:-2]), grid[-2], grid[-1]
    planes = []
    for count, size, stride in kernels:
        try:
            plane = Conv2D(shape_in=shape, channels=count, kernel=size, stride=stride, weight=0.0)
        except ValueError as error:
            raise SettingError(f"{{kernels}} is {s.kernels}: {error}") from None
        shape = plane.shape_out
        planes.append(plane)
    return planes


def _each(value: float | tuple[float, float]) -> float | Initialiser:
    return LogUniform(*value) if isinstance(value, tuple) else value


def _middle(value: float | tuple[float, float]) -> float:
    """The time constant of outputs, which race each other and should be alike."""
    return math.sqrt(value[0] * value[1]) if isinstance(value, tuple) else value


def measured(n: int) -> NDArray[np.int64]:
    """Training samples, of n, that initial weights are scaled by: some from everywhere."""
    return np.unique(np.linspace(0, n - 1, min(200, n)).astype(np.int64))


def prepare(net: Network, settings: Settings, spikes: Any) -> None:
    """Brings initial weights, and the size of what is read, to where training begins well.

    Args:
        net: as :func:`build_network` makes it.
        settings: of the task.
        spikes: some training samples.
    """
    s = settings
    options: dict[str, Any] = {"until": s.until, "n_threads": s.threads}
    loss = make_loss(s)
    if s.level is not None:
        rates = dict.fromkeys(hidden_names(s), s.level)
        if isinstance(loss, FirstSpikeCrossEntropy):
            rates["output"] = 1.0  # no output is silent, and none fires long before the others
        calibrate(net, spikes, rate=rates, **options)
    if isinstance(loss, ReadoutCrossEntropy):
        scale_readout(net, spikes, loss, **options)


def make_loss(settings: Settings) -> FirstSpikeCrossEntropy | ReadoutCrossEntropy:
    """The cross-entropy of what the settings read off the outputs."""
    s = settings
    if s.readout != "first_spikes":
        scale = s.time_scale if s.readout == "weighted_integral" else None
        return ReadoutCrossEntropy(value=s.readout, time_scale=scale)
    return FirstSpikeCrossEntropy(tau0=s.tau0, tau1=s.tau1, gamma=s.gamma, horizon=s.until)
