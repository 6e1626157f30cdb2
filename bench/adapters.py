"""What does an adapter cost over the calls of the core that do the same work?

    python -m bench.adapters [ADAPTER ...] [--repeats 40]

Yin-Yang, 5-150-3 in a batch of 150, the work of `python -m bench.peers`: simulation, what is read
of it, and the gradient for given derivatives by that, on one thread. The core's side is
`simulate`, `first_spikes` or `readout`, and `vjp` on the same spikes; what an adapter does to get
spikes from its own arrays, and gradients back into them, counts as its own. Both sides give the
same numbers, which is checked first. They take turns; times are those of the processor, the
smallest of the repeats. Aim: no more than a tenth over the core.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import snnfp
from snnfp.errors import MissingDependencyError, require

from bench.costs import machine
from bench.peers.work import yin_yang_150

AIM = 0.10
WORK = yin_yang_150()
READING = snnfp.Reading("read", "integral")
_RNG = np.random.default_rng(0)
BY_OUTPUT = _RNG.normal(size=(len(WORK.labels), WORK.later.shape[1]))
WEIGHTS = ("x_to_h.weight", "h_to_y.weight")
ORDER = np.argsort(WORK.latencies, axis=1, kind="stable")  # of the spikes of a sample

Results = Sequence[Any]  # values, then gradients


@dataclass(frozen=True)
class Row:
    """One call of an adapter, and the core's calls for the same."""

    adapter: str
    what: str
    core: Callable[[], Results]
    through: Callable[[], Results]
    as_core: Callable[[Results], Results] = list  # the adapter's results in the core's order


def network(dtype: Any = np.float64, readout: bool = False) -> snnfp.Network:
    """5-150-3, the outputs a population or a readout."""
    net = snnfp.Network(dtype=dtype)
    taus = {"tau_mem": WORK.tau_mem, "tau_syn": WORK.tau_syn, "capacitance": WORK.tau_mem}
    x = net.input(WORK.first.shape[0], name="x")
    h = net.population(WORK.first.shape[1], snnfp.LIF(**taus), name="h")
    net.connect(x, h, snnfp.Dense(weight=WORK.first))
    if readout:
        y: Any = net.readout(WORK.later.shape[1], snnfp.LI(**taus), name="read")
    else:
        y = net.population(WORK.later.shape[1], snnfp.LIF(**taus), name="y")
    net.connect(h, y, snnfp.Dense(weight=WORK.later), name="h_to_y")
    return net


def core(
    wrt: tuple[str, ...], dtype: Any = np.float64, readout: bool = False
) -> Callable[[], Results]:
    """The core's side: the value, and gradients in the order of ``wrt``."""
    net = network(dtype, readout)
    spikes = snnfp.Spikes.from_latencies(WORK.latencies)
    ends: dict[str, Any] = {} if readout else {"stop_after": ["y"], "first_spikes_of": ["y"]}

    def run() -> Results:
        record = snnfp.simulate(net, spikes, until=WORK.until, n_threads=1, **ends)
        value = record.readout(READING) if readout else record.first_spikes("y")
        gradient = record.vjp({READING if readout else "y": BY_OUTPUT}, wrt=wrt)
        return value, *(gradient[name] for name in wrt)

    return run


def of_torch() -> list[Row]:
    """`snnfp.torch`: forward and backward."""
    torch = require("torch", extra="torch")
    from snnfp.torch import SNNModule

    torch.set_num_threads(1)

    def through(times: bool, dtype: Any = np.float64, readout: bool = False) -> Any:
        output = READING if readout else "first_spikes"
        snn = SNNModule(network(dtype, readout), until=WORK.until, output=output, n_threads=1)
        latencies = torch.from_numpy(WORK.latencies.astype(dtype)).requires_grad_()
        given = latencies if times else snnfp.Spikes.from_latencies(WORK.latencies)
        by_output = torch.from_numpy(BY_OUTPUT.astype(dtype))
        leaves = [*(snn.get_parameter(n) for n in WEIGHTS), *([latencies] if times else [])]

        def run() -> Results:
            for leaf in leaves:
                leaf.grad = None
            value = snn(given)
            value.backward(by_output)
            return value, *(leaf.grad for leaf in leaves)

        return run

    def by_spike(results: Results) -> Results:
        value, *weights, by_time = results
        return value, *weights, np.take_along_axis(by_time.numpy(), ORDER, axis=1).reshape(-1)

    with_times = (*WEIGHTS, "x.times")
    single = np.float32
    return [
        Row("torch", "spikes in, first spikes out", core(WEIGHTS), through(False)),
        Row("torch", "times in, by times too", core(with_times), through(True), by_spike),
        Row(
            "torch", "the first in single precision", core(WEIGHTS, single), through(False, single)
        ),
        Row(
            "torch",
            "spikes in, integral of a readout out",
            core(WEIGHTS, readout=True),
            through(False, readout=True),
        ),
    ]


def of_jax() -> list[Row]:
    """`snnfp.jax`: value and gradient in one compiled function."""
    jax = require("jax", extra="jax")
    from snnfp.jax import SNNFunction

    jax.config.update("jax_enable_x64", True)

    def through(times: bool, dtype: Any = np.float64, readout: bool = False) -> Any:
        output = READING if readout else "first_spikes"
        snn = SNNFunction(network(dtype, readout), until=WORK.until, output=output, n_threads=1)
        parameters = snn.parameters(list(WEIGHTS))
        latencies = jax.numpy.asarray(WORK.latencies.astype(dtype))
        by_output = jax.numpy.asarray(BY_OUTPUT.astype(dtype))

        @jax.jit
        def call(parameters: Any, latencies: Any) -> Any:
            if times:
                value, back = jax.vjp(snn, parameters, latencies)
            else:
                value, back = jax.vjp(lambda p: snn(p, latencies), parameters)
            return value, back(by_output)

        def run() -> Results:
            value, (weights, *by_times) = jax.block_until_ready(call(parameters, latencies))
            return value, *(weights[n] for n in WEIGHTS), *by_times

        return run

    def by_spike(results: Results) -> Results:
        value, *weights, by_time = results
        return value, *weights, np.take_along_axis(np.asarray(by_time), ORDER, axis=1).reshape(-1)

    with_times = (*WEIGHTS, "x.times")
    single = np.float32
    return [
        Row("jax", "times in, first spikes out", core(WEIGHTS), through(False)),
        Row("jax", "the same, by times too", core(with_times), through(True), by_spike),
        Row("jax", "the first in single precision", core(WEIGHTS, single), through(False, single)),
        Row(
            "jax",
            "times in, integral of a readout out",
            core(WEIGHTS, readout=True),
            through(False, readout=True),
        ),
    ]


def of_sklearn() -> list[Row]:
    """`snnfp.sklearn`: a table in; the core's side encodes it too."""
    require("sklearn", extra="sklearn")
    from snnfp.sklearn import SNNClassifier

    table = np.where(np.isfinite(WORK.latencies), WORK.latencies, WORK.until) / WORK.until
    model = SNNClassifier(hidden=150, batch_size=150, n_threads=1, random_state=0)
    model.partial_fit(table, WORK.labels, classes=np.arange(3))
    loss = snnfp.losses.ReadoutCrossEntropy(time_scale=model.until / 2)
    names = ["input_to_hidden.weight", "hidden_to_output.weight", "output.bias"]
    net, state = copy.deepcopy(model.net_), copy.deepcopy(model._state)

    def spikes() -> snnfp.Spikes:
        scaled = snnfp.encoding.scale_min_max(table, model.low_, model.high_)
        return snnfp.encoding.latency(scaled, t_min=0.0, t_max=1.0, bias_time=0.5)

    def probabilities() -> Results:
        options = {"until": model.until, "n_threads": 1}
        return [snnfp.predict(net, spikes(), loss, **options).probabilities]

    def step() -> Results:
        nonlocal state
        _, gradient = snnfp.value_and_grad(
            net, spikes(), WORK.labels, loss, wrt=names, until=model.until, n_threads=1
        )
        before = {n: net.parameters[n] for n in names}
        after, state = snnfp.Adam(lr=model.lr).update(before, gradient, state)
        net.parameters.update(after)
        return list(after.values())

    def through() -> Results:
        model.partial_fit(table, WORK.labels)
        return [model.net_.parameters[n] for n in names]

    return [
        Row("sklearn", "predict_proba", probabilities, lambda: [model.predict_proba(table)]),
        Row("sklearn", "partial_fit, one step", step, through),
    ]


ADAPTERS: dict[str, Callable[[], list[Row]]] = {
    "torch": of_torch,
    "jax": of_jax,
    "sklearn": of_sklearn,
}


def _compare(row: Row) -> None:
    """Raises unless both sides give the same numbers."""
    for mine, theirs in zip(row.core(), row.as_core(row.through()), strict=True):
        theirs = theirs.detach().numpy() if hasattr(theirs, "detach") else np.asarray(theirs)
        size = np.max(np.abs(mine[np.isfinite(mine)]), initial=0.0)
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-10 * size)


def measure(row: Row, repeats: int) -> tuple[float, float]:
    """Milliseconds of the core and through the adapter."""
    best = [np.inf, np.inf]
    works = (row.core, row.through)
    for work in works:
        work()
    for _ in range(repeats):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return 1e3 * best[0], 1e3 * best[1]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("adapters", nargs="*", choices=[*ADAPTERS, []], metavar="ADAPTER")
    parser.add_argument("--repeats", type=int, default=40)
    given = parser.parse_args()
    warnings.simplefilter("ignore", snnfp.errors.SilentPopulationWarning)
    print("| Adapter | Call | core, ms | adapter, ms | over the core |")
    print("|---|---|---|---|---|")
    for name in given.adapters or ADAPTERS:
        try:
            rows = ADAPTERS[name]()
        except MissingDependencyError as error:
            print(f"| {name} | {error} | | | |")
            continue
        for row in rows:
            _compare(row)
            alone, through = measure(row, given.repeats)
            over = through / alone - 1
            missed = "" if over <= AIM else f" (aim {AIM:.0%}, MISSED)"
            print(
                f"| {row.adapter} | {row.what} | {alone:.2f} | {through:.2f} | {over:.1%}{missed} |"
            )
    print(f"\n{machine()}, snnfp {snnfp.__version__}, smallest of {given.repeats}")


if __name__ == "__main__":
    main()
