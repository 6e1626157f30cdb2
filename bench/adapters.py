"""What does an adapter cost over the calls of the core that do the same work?

    python -m bench.adapters [ADAPTER ...] [--repeats 40]

Batches of 150 of Yin-Yang, 5-150-3, and of 784-350-10, the work of `python -m bench.peers`:
simulation, what is read of it, and the gradient for given derivatives by that, on one thread. The
core's side is `Spikes.from_latencies` where times are given, `simulate`, `first_spikes` or
`readout`, and `vjp`. Least: these calls within the framework, with nothing else, which is what the
framework itself costs. All give the same numbers, which is checked first. They take turns; times
are those of the processor, the smallest of the repeats. Aim: no more than a tenth over the core.
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
from bench.peers.work import Layered, deep_inputs, yin_yang_150

AIM = 0.10
BATCH = 150
READING = snnfp.Reading("read", "integral")
WEIGHTS = ("x_to_h.weight", "h_to_y.weight")

Results = Sequence[Any]  # values, then gradients
Run = Callable[[], Results]


@dataclass(frozen=True)
class Adapter:
    """One case through an adapter.

    Attributes:
        run: the work.
        least: the core's calls within the framework.
        as_core: the results of ``run`` as the core has them.
    """

    run: Run
    least: Run
    as_core: Callable[[Results], Results] = list


@dataclass(frozen=True)
class Case:
    """A network and its batch.

    Attributes:
        what: for the table.
        work: inputs, weights, time constants.
        dtype: of the network.
        readout: the outputs are a readout, whose integral is read; else their first spikes.
        times: input as times, and gradients by them too; else as spikes.
    """

    what: str
    work: Layered
    dtype: Any = np.float64
    readout: bool = False
    times: bool = False

    @property
    def wrt(self) -> tuple[str, ...]:
        """What gradients are by."""
        return (*WEIGHTS, "x.times") if self.times else WEIGHTS

    @property
    def spikes(self) -> snnfp.Spikes:
        """The input."""
        return snnfp.Spikes.from_latencies(self.work.latencies)

    @property
    def by_output(self) -> Any:
        """Derivatives of some loss by the outputs."""
        shape = (BATCH, self.work.later.shape[1])
        return np.random.default_rng(0).normal(size=shape).astype(self.dtype)

    def network(self) -> snnfp.Network:
        """The network."""
        work = self.work
        net = snnfp.Network(dtype=self.dtype)
        taus = {"tau_mem": work.tau_mem, "tau_syn": work.tau_syn, "capacitance": work.tau_mem}
        x = net.input(work.first.shape[0], name="x")
        h = net.population(work.first.shape[1], snnfp.LIF(**taus), name="h")
        net.connect(x, h, snnfp.Dense(weight=work.first))
        if self.readout:
            y: Any = net.readout(work.later.shape[1], snnfp.LI(**taus), name="read")
        else:
            y = net.population(work.later.shape[1], snnfp.LIF(**taus), name="y")
        net.connect(h, y, snnfp.Dense(weight=work.later), name="h_to_y")
        return net

    def core(self) -> tuple[Callable[[], tuple[Any, Any]], Callable[[Any, Any], Results]]:
        """The core's calls forward, for value and record, and backward."""
        net, spikes, until = self.network(), self.spikes, self.work.until
        ends: dict[str, Any] = {"stop_after": ["y"], "first_spikes_of": ["y"]}
        options = {"until": until, "n_threads": 1} | ({} if self.readout else ends)

        def forward() -> tuple[Any, Any]:
            given = self.spikes if self.times else spikes
            record = snnfp.simulate(net, given, **options)
            return record.readout(READING) if self.readout else record.first_spikes("y"), record

        def backward(record: Any, by_output: Any) -> Results:
            gradient = record.vjp({READING if self.readout else "y": by_output}, wrt=self.wrt)
            return [gradient[name] for name in self.wrt]

        return forward, backward


YIN_YANG, DEEP = yin_yang_150(BATCH), deep_inputs(BATCH)
CASES = (
    Case("5-150-3, spikes to first spikes", YIN_YANG),
    Case("times to first spikes, gradient by times too", YIN_YANG, times=True),
    Case("spikes to first spikes, single precision", YIN_YANG, dtype=np.float32),
    Case("spikes to the integral of a readout", YIN_YANG, readout=True),
    Case("784-350-10, spikes to first spikes", DEEP),
    Case("times to first spikes, gradient by times too", DEEP, times=True),
)


def of_core(case: Case) -> Run:
    """The core's side."""
    forward, backward = case.core()
    by_output = case.by_output

    def run() -> Results:
        value, record = forward()
        return value, *backward(record, by_output)

    return run


def of_torch(case: Case) -> Adapter:
    """`snnfp.torch`: forward and backward of a module; and of an empty `autograd.Function`."""
    torch = require("torch", extra="torch")
    from snnfp.torch import SNNModule

    torch.set_num_threads(1)
    output = READING if case.readout else "first_spikes"
    snn = SNNModule(case.network(), until=case.work.until, output=output, n_threads=1)
    latencies = torch.from_numpy(case.work.latencies.astype(case.dtype)).requires_grad_(case.times)
    given = latencies if case.times else case.spikes
    by_output = torch.from_numpy(case.by_output)
    leaves = [*(snn.get_parameter(n) for n in WEIGHTS), *([latencies] if case.times else [])]
    forward, backward = case.core()
    records = []

    class Least(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(*leaves: Any) -> Any:
            value, record = forward()
            records[:] = [record]
            return torch.from_numpy(value.copy() if case.readout else value)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, by_output: Any) -> Any:
            found = [torch.from_numpy(g) for g in backward(records[0], by_output.numpy())]
            return tuple(g.reshape(leaf.shape) for g, leaf in zip(found, leaves, strict=True))

    def both(call: Callable[[], Any]) -> Run:
        def run() -> Results:
            for leaf in leaves:
                leaf.grad = None
            value = call()
            value.backward(by_output)
            return value.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)

        return run

    def as_core(results: Results) -> Results:
        """Gradients by times in the order of the spikes."""
        if not case.times:
            return results
        order = np.argsort(case.work.latencies, axis=1, kind="stable")
        *others, by_time = results
        return *others, np.take_along_axis(by_time, order, axis=1)

    return Adapter(both(lambda: snn(given)), both(lambda: Least.apply(*leaves)), as_core)


def of_jax(case: Case) -> Adapter:
    """`snnfp.jax`: value and gradient in one compiled function; and of empty callbacks.

    JAX has times in every case.
    """
    jax = require("jax", extra="jax")
    from jax.experimental.buffer_callback import buffer_callback
    from snnfp.jax import SNNFunction

    jax.config.update("jax_enable_x64", True)
    output = READING if case.readout else "first_spikes"
    snn = SNNFunction(case.network(), until=case.work.until, output=output, n_threads=1)
    parameters = snn.parameters(list(WEIGHTS))
    latencies = jax.numpy.asarray(case.work.latencies.astype(case.dtype))
    by_output = jax.numpy.asarray(case.by_output)
    forward, backward = case.core()
    records = []

    def fill(places: Any, values: Any) -> None:
        for place, value in zip(places, values, strict=True):
            array = np.asarray(place)
            np.copyto(array, value.reshape(array.shape))

    def value_of(context: Any, places: Any, *leaves: Any) -> None:
        value, record = forward()
        records[:] = [record]
        fill(places, [value])

    def gradient_of(context: Any, places: Any, by_output: Any) -> None:
        fill(places, backward(records[0], np.asarray(by_output)))

    @jax.custom_vjp
    def bare(leaves: Any) -> Any:
        return buffer_callback(value_of, [jax.typeof(by_output)])(leaves)[0]

    def pulled(shapes: Any, by: Any) -> Any:
        return (buffer_callback(gradient_of, [jax.typeof(s) for s in shapes])(by),)

    bare.defvjp(lambda leaves: (bare(leaves), leaves), pulled)

    def both(call: Callable[..., Any], *leaves: Any) -> Run:
        @jax.jit
        def compiled(*leaves: Any) -> Any:
            value, back = jax.vjp(call, *leaves)
            return value, back(by_output)

        def run() -> Results:
            value, gradients = jax.block_until_ready(compiled(*leaves))
            return value, *jax.tree.leaves(gradients)

        return run

    def as_core(results: Results) -> Results:
        """Weights in the order of the case, gradients by times in that of the spikes."""
        value, later, first, *by_time = results
        order = np.argsort(case.work.latencies, axis=1, kind="stable")
        times = [np.take_along_axis(np.asarray(t), order, axis=1) for t in by_time]
        return value, first, later, *times

    if case.times:
        return Adapter(
            both(snn, parameters, latencies),
            both(bare, [*(parameters[n] for n in WEIGHTS), latencies]),
            as_core,
        )
    return Adapter(
        both(lambda p: snn(p, latencies), parameters),
        both(bare, [parameters[n] for n in WEIGHTS]),
        as_core,
    )


def of_sklearn() -> list[tuple[str, Run, Run]]:
    """`snnfp.sklearn` beside the library's calls that it makes: a table in, 5-150-3."""
    require("sklearn", extra="sklearn")
    from snnfp.sklearn import SNNClassifier

    table = np.minimum(YIN_YANG.latencies, YIN_YANG.until)
    model = SNNClassifier(hidden=150, batch_size=BATCH, n_threads=1, random_state=0)
    model.partial_fit(table, YIN_YANG.labels, classes=np.arange(3))
    loss = snnfp.losses.ReadoutCrossEntropy(time_scale=model.until / 2)
    names = ["input_to_hidden.weight", "hidden_to_output.weight", "output.bias"]
    net, state = copy.deepcopy(model.net_), copy.deepcopy(model._state)
    options: dict[str, Any] = {"until": model.until, "n_threads": 1}

    def spikes() -> snnfp.Spikes:
        scaled = snnfp.encoding.scale_min_max(table, model.low_, model.high_)
        return snnfp.encoding.latency(scaled, t_min=0.0, t_max=1.0, bias_time=0.5)

    def step() -> Results:
        nonlocal state
        _, gradient = snnfp.value_and_grad(
            net, spikes(), YIN_YANG.labels, loss, wrt=names, **options
        )
        before = {n: net.parameters[n] for n in names}
        after, state = snnfp.Adam(lr=model.lr).update(before, gradient, state)
        net.parameters.update(after)
        return [after[n] for n in names]

    def through() -> Results:
        model.partial_fit(table, YIN_YANG.labels)
        return [model.net_.parameters[n] for n in names]

    return [
        (
            "predict_proba",
            lambda: [snnfp.predict(net, spikes(), loss, **options).probabilities],
            lambda: [model.predict_proba(table)],
        ),
        ("partial_fit, one step", step, through),
    ]


ADAPTERS: dict[str, Callable[[Case], Adapter]] = {"torch": of_torch, "jax": of_jax}


def compare(core: Results, other: Results) -> None:
    """Raises unless both are the same numbers."""
    for mine, theirs in zip(core, other, strict=True):
        size = np.max(np.abs(mine[np.isfinite(mine)]), initial=0.0)
        theirs = np.asarray(theirs).reshape(mine.shape)
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-10 * size)


def measure(works: Sequence[Run], repeats: int) -> list[float]:
    """Milliseconds of each."""
    best = [np.inf] * len(works)
    for _ in range(repeats):
        for i, work in enumerate(works):
            start = time.process_time()
            work()
            best[i] = min(best[i], time.process_time() - start)
    return [1e3 * b for b in best]


def over(whole: float, core: float) -> str:
    """How much more that is, and whether it is too much."""
    share = whole / core - 1
    return f"{share:.1%}" + ("" if share <= AIM else f" (aim {AIM:.0%}, MISSED)")


def print_sklearn(repeats: int) -> None:
    """Its rows: the core's column has the library's calls."""
    try:
        calls = of_sklearn()
    except MissingDependencyError as error:
        print(f"| sklearn | {error} | | | | |")
        return
    for what, library, through in calls:
        compare(library(), through())
        core, whole = measure([library, through], repeats)
        print(
            f"| sklearn | {what} | {core:.2f} | | {whole:.2f} | {over(whole, core)} |", flush=True
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "adapters", nargs="*", metavar="ADAPTER", help=", ".join([*ADAPTERS, "sklearn"])
    )
    parser.add_argument("--repeats", type=int, default=40)
    given = parser.parse_args()
    known = [*ADAPTERS, "sklearn"]
    unknown = [name for name in given.adapters if name not in known]
    if unknown:
        parser.error(f"there is no adapter {unknown[0]}, expected {', '.join(known)}")
    warnings.simplefilter("ignore", snnfp.errors.SilentPopulationWarning)
    print("| Adapter | Batch of 150 | core, ms | least, ms | adapter, ms | over the core |")
    print("|---|---|---|---|---|---|")
    for name in given.adapters or known:
        if name == "sklearn":
            print_sklearn(given.repeats)
            continue
        for case in CASES:
            try:
                adapter = ADAPTERS[name](case)
            except MissingDependencyError as error:
                print(f"| {name} | {error} | | | | |")
                break
            works = (of_core(case), adapter.least, adapter.run)
            wanted = works[0]()
            compare(wanted, adapter.least())
            compare(wanted, adapter.as_core(adapter.run()))
            core, bare, whole = measure(works, given.repeats)
            times = f"{core:.2f} | {bare:.2f} | {whole:.2f} | {over(whole, core)}"
            print(f"| {name} | {case.what} | {times} |", flush=True)
    print(f"\n{machine()}, snnfp {snnfp.__version__}, smallest of {given.repeats}")


if __name__ == "__main__":
    main()
