"""``snnfp selfcheck``: what runs here, and that it is right; fits into an issue."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable

import numpy as np

from snnfp import _core
from snnfp._execution import default_threads
from snnfp.init import Normal
from snnfp.network import Network
from snnfp.neurons import LIF
from snnfp.projections import Dense
from snnfp.simulate import simulate
from snnfp.spikes import Spikes
from snnfp.testing import check_gradient

__all__ = ["run_selfcheck"]

_UNTIL = 8.0


def _example() -> tuple[Network, Spikes]:
    """A small recurrent network with every feature that gradients flow through."""
    net = Network()
    x = net.input(6)
    h = net.population(
        20, LIF(tau_mem=3.0, tau_syn=1.0, t_refractory=0.2, v_reset=-0.1, bias=0.02), name="hidden"
    )
    y = net.population(3, LIF(tau_mem=2.0, tau_syn=2.0), name="output")
    net.connect(x, h, Dense(weight=Normal(0.5, 0.3), delay=0.1))
    net.connect(h, h, Dense(weight=Normal(0.0, 0.05), delay=0.5))
    net.connect(h, y, Dense(weight=Normal(0.3, 0.2)))
    net.initialise(seed=1)
    rng = np.random.default_rng(2)
    pairs = [(rng.uniform(0, 8, 12), rng.integers(0, 6, 12)) for _ in range(8)]
    return net, Spikes.from_pairs(pairs, size=6)


def run_selfcheck(print: Callable[[str], object] = print) -> int:
    """Prints versions and machine, checks gradients and determinism.

    Returns:
        0 if all is well, 1 otherwise.
    """
    start = time.perf_counter()
    rows = [
        ("snnfp", _core.version),
        ("python, numpy", f"{platform.python_version()}, {np.__version__}"),
        ("platform", platform.platform()),
        ("compiler", f"{_core.compiler}, {_core.build_type}"),
        ("instruction set", _core.resolve_isa(_core.Isa.best).name),
        ("parallel runtime", _core.parallel_runtime()),
        ("threads", str(default_threads())),
    ]
    net, spikes = _example()

    def loss(record: object, labels: object) -> tuple[float, np.ndarray]:
        times: np.ndarray = record.times  # type: ignore[attr-defined]
        weights = np.cos(np.arange(times.size))
        return float(weights @ times), weights

    check = check_gradient(
        net, spikes, None, loss, until=_UNTIL, max_elements=20, step=1e-6, tolerance=1e-6
    )
    record = simulate(net, spikes, until=_UNTIL)
    cotangents = np.cos(np.arange(record.n_spikes))
    reverse = record.vjp(cotangents, wrt="*")
    forward = record.vjp(cotangents, wrt="*", mode="forward")
    difference = max(
        float(np.max(np.abs(forward[k] - reverse[k])) / max(1e-300, np.max(np.abs(reverse[k]))))
        for k in reverse
    )
    hashes = set()
    available = [i.name for i in _core.Isa if _core.resolve_isa(i) == i]
    for isa in available:
        for n_threads in (1, 2, 3, 8):
            r = simulate(net, spikes, until=_UNTIL, n_threads=n_threads, isa=isa)
            digest = hashlib.sha256(r.times.tobytes() + r.neurons.tobytes())
            for gradient in r.vjp(cotangents, wrt="*").values():
                digest.update(gradient.tobytes())
            hashes.add(digest.hexdigest()[:16])
    right = check.ok and difference <= 1e-12
    same = len(hashes) == 1
    rows += [
        ("spikes", f"{record.n_spikes} in {record.n_samples} samples"),
        (
            "gradient error",
            f"{check.max_error:.1e} against differences ({check.checked} checked, "
            f"{check.left_out} left out), {difference:.1e} forward against reverse",
        ),
        (
            "determinism",
            f"{' '.join(sorted(hashes))} for 1, 2, 3, 8 threads and {', '.join(available)}",
        ),
        ("time", f"{time.perf_counter() - start:.1f} s"),
        ("verdict", "all is well" if right and same else "SOMETHING IS WRONG"),
    ]
    for key, value in rows:
        print(f"{key:18}{value}")
    return 0 if right and same else 1
