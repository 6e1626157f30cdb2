"""Networks as functions for JAX: values, derivatives, transforms, refusals."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import snnfp
from networks import random_network
from snnfp._functional import NetworkFunction

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'snnfp[jax]'")

import jax.numpy as jnp  # noqa: E402
from snnfp.jax import FirstSpikes, SNNFunction, SpikeTimes, padded  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")

UNTIL = 8.0
OUTPUTS = (
    FirstSpikes("output", silent=UNTIL),
    SpikeTimes("hidden", width=2, silent=-1.0),
    snnfp.Reading("out", "at", times=(2.0, 5.0)),
    snnfp.Reading("out", "integral"),
)


@pytest.fixture(autouse=True)
def x64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def network(seed=0, dtype=np.float64, samples=3):
    """A random network with a readout, and times for it, up to two a channel."""
    rng = np.random.default_rng(seed)
    net, _ = random_network(rng, dtype=dtype, samples=1, until=UNTIL)
    out = net.readout(2, snnfp.LI(tau_mem=3.0, tau_syn=[1.0, 2.0]), name="out")
    net.connect("hidden", out, snnfp.Dense(weight=rng.normal(0, 0.5, (6, 2)), delay=0.2))
    times = rng.uniform(0, 0.7 * UNTIL, (samples, 4, 2))
    times[rng.random(times.shape) < 0.3] = np.inf
    return net, times.astype(dtype), rng


def weighted(snn, factors):
    """A number made of all outputs."""

    def loss(parameters, times):
        values = snn(parameters, times)
        return sum(jnp.sum(jnp.sin(v) * f) for v, f in zip(values, factors))

    return loss


def expected(net, times, factors, wrt):
    """Value and gradient of that by the core alone."""
    function = NetworkFunction(net, OUTPUTS, until=UNTIL)
    trace = function({}, {"input": np.asarray(times)})
    value = sum(np.sum(np.sin(v) * f) for v, f in zip(trace.values, factors))
    by = [np.cos(v) * f for v, f in zip(trace.values, factors)]
    return value, trace.pullback(by, wrt)


def setting(seed, **options):
    net, times, rng = network(seed)
    snn = SNNFunction(net, until=UNTIL, output=OUTPUTS, **options)
    factors = [rng.normal(size=s.shape) for s in jax.eval_shape(snn, {}, times)]
    return net, snn, jnp.asarray(times), factors


# -- derivatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed, compiled", [(0, False), (0, True), (1, True), (2, True), (3, True), (4, True)]
)
def test_gradients_are_those_of_the_core(seed, compiled):
    """By every parameter and by times."""
    net, snn, times, factors = setting(seed)
    parameters = snn.parameters("*")
    assert len(parameters) >= 20
    call = jax.value_and_grad(weighted(snn, factors), argnums=(0, 1))
    value, (gradient, by_times) = (jax.jit(call) if compiled else call)(parameters, times)
    there = jnp.isfinite(times)
    want, wanted = expected(net, times, factors, (*parameters, "input.times"))
    assert float(value) == pytest.approx(want, rel=1e-13)
    assert set(gradient) == set(parameters)
    for name, g in gradient.items():
        np.testing.assert_allclose(g, wanted[name], rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(by_times, wanted["input.times"], rtol=1e-10, atol=1e-12)
    assert bool(jnp.all(jnp.where(there, 0.0, by_times) == 0.0))


def test_forward_mode_is_reverse_mode():
    _, reverse, times, _ = setting(1)
    _, forward, _, _ = setting(1, mode="forward")
    chosen = ["hidden.tau_mem", "hidden_to_out.weight", "hidden_to_output.delay"]
    parameters = reverse.parameters(chosen)
    rows = jax.jit(jax.jacfwd(forward))(parameters, times)
    columns = jax.jit(jax.jacrev(reverse))(parameters, times)
    assert len(rows) == len(columns) == len(OUTPUTS)
    for a, b in zip(rows, columns):
        for name in chosen:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-11, err_msg=name)


def test_check_grads():
    """JAX's own comparison with differences, in both modes."""
    from jax.test_util import check_grads

    net, times, _ = network(5)
    times = jnp.asarray(np.where(np.isfinite(times), times, 1.0))
    reading = snnfp.Reading("out", "integral")
    for mode in ("reverse", "forward"):
        snn = SNNFunction(net, until=UNTIL, output=reading, mode=mode)
        parameters = snn.parameters(["*.weight", "hidden.tau_syn"])
        check_grads(
            snn, (parameters, times), order=1, modes=[mode[:3]], atol=1e-4, rtol=1e-4, eps=1e-6
        )


def test_jvp_along_times_alone():
    net, snn, times, _ = setting(1, mode="forward")
    along = jnp.ones_like(times)
    values, moved = jax.jit(lambda t: jax.jvp(lambda t: snn({}, t), (t,), (along,)))(times)
    trace = NetworkFunction(net, OUTPUTS, until=UNTIL)({}, {"input": np.asarray(times)})
    wanted = trace.pushforward({"input.times": np.ones(times.shape)})
    assert len(moved) == 4
    for a, b, v, w in zip(moved, wanted, values, trace.values):
        np.testing.assert_allclose(a, b, rtol=1e-12)
        assert np.array_equal(v, w)


def test_only_what_is_asked_for_is_computed(monkeypatch):
    _, snn, times, factors = setting(0)
    asked = []
    pull = type(snn._host).pull

    def seen(self, given, token, cotangents, wrt):
        asked.append((wrt, sorted(cotangents)))
        return pull(self, given, token, cotangents, wrt)

    monkeypatch.setattr(type(snn._host), "pull", seen)
    loss = weighted(snn, factors)
    jax.block_until_ready(jax.grad(loss)(snn.parameters("hidden.tau_mem"), times))
    jax.block_until_ready(jax.grad(loss, argnums=1)(snn.parameters(), times))
    jax.block_until_ready(
        jax.grad(lambda p: snn(p, times)[2].sum())(snn.parameters("*_out.weight"))
    )
    assert asked == [
        (("hidden.tau_mem",), [0, 1, 2, 3]),
        (("input.times",), [0, 1, 2, 3]),
        (("hidden_to_out.weight",), [2]),
    ]


def test_a_gradient_costs_one_simulation(monkeypatch):
    """What a call has left is found again; without it, the same numbers by a second simulation."""
    _, snn, times, factors = setting(0)
    runs = []
    trace = type(snn._host)._trace
    monkeypatch.setattr(
        type(snn._host), "_trace", lambda self, *a: (runs.append(1), trace(self, *a))[1]
    )
    grad = jax.jit(jax.grad(weighted(snn, factors)))
    first = jax.block_until_ready(grad(snn.parameters("*"), times))
    assert len(runs) == 1 and not snn._host._kept
    monkeypatch.setattr(type(snn._host), "_keep", lambda self, traces: 0)
    second = jax.block_until_ready(grad(snn.parameters("*"), times))
    assert len(runs) == 3
    assert all(np.array_equal(first[n], second[n]) for n in first)


def test_traces_that_nobody_asks_for_do_not_pile_up():
    _, snn, times, _ = setting(0)
    for _ in range(20):
        jax.block_until_ready(jax.vjp(snn, snn.parameters(), times)[0])
    assert len(snn._host._kept) == 4


def test_a_pullback_can_be_called_again():
    _, snn, times, _ = setting(0)
    values, back = jax.vjp(lambda p: snn(p, times), snn.parameters())
    ones = tuple(jnp.ones_like(v) for v in values)
    (a,), (b,) = back(ones), back(ones)
    assert all(np.array_equal(a[n], b[n]) for n in a)


def test_second_derivatives_are_refused():
    _, snn, times, factors = setting(0)
    loss = weighted(snn, factors)
    with pytest.raises(NotImplementedError, match="second derivatives of a spiking network"):
        jax.grad(lambda p: sum(jnp.sum(g**2) for g in jax.grad(loss)(p, times).values()))(
            snn.parameters()
        )


# -- transforms ----------------------------------------------------------------------------------


def test_vmap_over_times_is_one_batch(monkeypatch):
    net, times, _ = network(2, samples=6)
    snn = SNNFunction(net, until=UNTIL, output=OUTPUTS)
    runs = []
    trace = type(snn._host)._trace
    monkeypatch.setattr(
        type(snn._host), "_trace", lambda self, *a: (runs.append(1), trace(self, *a))[1]
    )
    wanted = snn({}, times)
    parameters = snn.parameters()
    mapped = jax.vmap(snn, in_axes=(None, 0))(parameters, times.reshape(2, 3, 4, 2))
    single = jax.jit(jax.vmap(lambda t: snn(parameters, t[None])))(times)
    twice = jax.vmap(jax.vmap(lambda t: snn(parameters, t[None])))(times.reshape(3, 2, 4, 2))
    jax.block_until_ready((wanted, mapped, single, twice))
    assert len(runs) == 4
    for w, m, s, t in zip(wanted, mapped, single, twice):
        assert np.array_equal(m.reshape(w.shape), w)
        assert np.array_equal(s.reshape(w.shape), w)
        assert np.array_equal(t.reshape(w.shape), w)


def test_vmap_over_parameters():
    _, snn, times, _ = setting(3)
    parameters = snn.parameters(["input_to_hidden.weight", "hidden.tau_mem"])
    several = {n: jnp.stack([p, 1.1 * p]) for n, p in parameters.items()}
    mapped = jax.vmap(snn, in_axes=(0, None))(several, times)
    one = {"input_to_hidden.weight": 0, "hidden.tau_mem": None}
    partly = jax.vmap(snn, in_axes=(one, 0))(
        {**several, "hidden.tau_mem": parameters["hidden.tau_mem"]}, jnp.stack([times, times])
    )
    for k in range(2):
        alone = snn({n: p[k] for n, p in several.items()}, times)
        for m, a in zip(mapped, alone):
            assert np.array_equal(m[k], a)
    for p, a in zip(partly, snn(parameters, times)):
        assert np.array_equal(p[0], a)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_vmap_of_derivatives(mode):
    """Of gradients sample by sample, and gradients of what was mapped."""
    net, times, rng = network(4, samples=4)
    snn = SNNFunction(net, until=UNTIL, output=OUTPUTS, mode=mode)
    parameters = snn.parameters(["hidden_to_output.weight", "hidden.tau_syn"])
    factors = [jnp.asarray(rng.normal(size=s.shape)) for s in jax.eval_shape(snn, {}, times)]
    take = jax.grad if mode == "reverse" else jax.jacfwd

    def one(p, t, k):
        return weighted(snn, [f[k][None] for f in factors])(p, t[None])

    each = jax.jit(jax.vmap(lambda t, k: take(one)(parameters, t, k)))(times, jnp.arange(4))
    _, whole = expected(net, times, factors, tuple(parameters))
    mapped = take(lambda p: jax.vmap(one, in_axes=(None, 0, 0))(p, times, jnp.arange(4)).sum())
    summed = jax.jit(mapped)(parameters)
    for name in parameters:
        assert each[name].shape == (4, *parameters[name].shape)
        np.testing.assert_allclose(each[name].sum(axis=0), whole[name], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(summed[name], whole[name], rtol=1e-9, atol=1e-11)


def test_scan_and_checkpoint():
    """Steps of descent within a loop that JAX compiles, longer than traces are kept for."""
    _, snn, times, factors = setting(0)
    loss = weighted(snn, factors)
    start = snn.parameters("hidden_to_out.weight")

    def step(p, _):
        value, g = jax.value_and_grad(jax.checkpoint(loss))(p, times)
        return {n: p[n] - 0.001 * g[n] for n in p}, value

    _, values = jax.jit(lambda p: jax.lax.scan(step, p, None, length=5))(start)
    p, alone = start, []
    for _ in range(5):
        p, value = step(p, None)
        alone.append(value)
    np.testing.assert_allclose(values, alone, rtol=1e-12)

    def through(p):  # the gradient of the whole loop: more traces at once than are kept
        carry = lambda c, t: (c + loss(p, t), None)  # noqa: E731
        return jax.lax.scan(carry, 0.0, jnp.stack([times] * 20))[0]

    g = jax.jit(jax.grad(through))(start)
    one = jax.grad(loss)(start, times)
    np.testing.assert_allclose(
        g["hidden_to_out.weight"], 20 * one["hidden_to_out.weight"], rtol=1e-9
    )


# -- dtypes, inputs, errors ----------------------------------------------------------------------


def test_single_precision_without_x64():
    jax.config.update("jax_enable_x64", False)
    net, times, _ = network(1, dtype=np.float32)
    snn = SNNFunction(net, until=UNTIL, output=OUTPUTS)
    parameters = snn.parameters("*")
    assert all(p.dtype == np.float32 for p in parameters.values())
    values = jax.jit(snn)(parameters, times)
    wanted = NetworkFunction(net, OUTPUTS, until=UNTIL)({}, {"input": times})
    for v, w in zip(values, wanted.values):
        assert v.dtype == np.float32 and np.array_equal(v, w)
    gradient = jax.grad(lambda p, t: snn(p, t)[3].sum(), argnums=(0, 1))(parameters, times)
    assert {g.dtype for g in jax.tree.leaves(gradient)} == {np.dtype(np.float32)}


def test_double_precision_needs_x64():
    net, times, _ = network(1)
    snn = SNNFunction(net, until=UNTIL)
    jax.config.update("jax_enable_x64", False)
    for call in (lambda: snn({}, times), snn.parameters):
        with pytest.raises(TypeError, match=r"jax\.config\.update\(\"jax_enable_x64\", True\)"):
            call()


def test_times_of_another_precision():
    """A float32 network takes float64 times, and gives derivatives by them as such."""
    net, times, _ = network(1, dtype=np.float32)
    snn = SNNFunction(net, until=UNTIL, output=snnfp.Reading("out", "integral"))
    by = jax.grad(lambda t: snn({}, t).sum())(jnp.asarray(times, np.float64))
    assert by.dtype == np.float64 and snn({}, times).dtype == np.float32


def test_networks_with_several_inputs_and_with_none():
    net = snnfp.Network()
    a, b = net.input(2, name="a"), net.input(1, name="b")
    y = net.population(1, snnfp.LIF(tau_mem=2.0, tau_syn=1.0), name="y")
    net.connect(a, y, snnfp.Dense(weight=2.0))
    net.connect(b, y, snnfp.Dense(weight=1.0))
    snn = SNNFunction(net, until=5.0)
    times = {"a": jnp.asarray([[0.1, 0.2]]), "b": jnp.asarray([[0.3]])}
    by = jax.grad(lambda t: snn({}, t).sum())(times)
    assert by["a"].shape == (1, 2) and by["b"].shape == (1, 1) and by["a"].sum() > 0
    with pytest.raises(TypeError, match="times is one array, expected a mapping"):
        snn({}, times["a"])
    with pytest.raises(KeyError, match="times of a, expected those of a, b"):
        snn({}, {"a": times["a"]})
    with pytest.raises(ValueError, match="expected as many of all"):
        snn({}, {**times, "b": jnp.ones((2, 1))})

    alone = snnfp.Network()
    alone.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.0, bias=1.0), name="y")
    snn = SNNFunction(alone, until=5.0, samples=3)
    assert snn({}).shape == (3, 2)
    assert jax.grad(lambda p: snn(p).sum())(snn.parameters("y.bias"))["y.bias"] < 0


def test_padded():
    spikes = snnfp.Spikes.from_lists([[[0.3, 0.1], []], [[0.5], [0.2]]])
    wanted = [[[0.1, 0.3], [np.inf, np.inf]], [[0.5, np.inf], [0.2, np.inf]]]
    assert np.array_equal(padded(spikes), wanted)
    assert padded(spikes, width=3).shape == (2, 2, 3)
    assert padded(snnfp.Spikes.from_lists([[[], []]]), dtype=np.float32).dtype == np.float32
    with pytest.raises(
        ValueError, match="sample 0, channel 0: 2 spikes, expected at most width = 1"
    ):
        padded(spikes, width=1)


def test_refusals_before_it_runs():
    net, times, _ = network(0)
    snn = SNNFunction(net, until=UNTIL)
    weight = snn.parameters()["hidden_to_output.weight"]
    cases = [
        (KeyError, "'nothing' is not a parameter", {"nothing": 1.0}, times),
        (ValueError, "has shape \\(3, 6\\)", {"hidden_to_output.weight": weight.T}, times),
        (TypeError, "has dtype float32", {"hidden_to_output.weight": weight.astype("f4")}, times),
        (TypeError, "times of input have dtype int", {}, np.ones((2, 4), int)),
        (ValueError, "times of input have shape \\(2, 3\\)", {}, np.ones((2, 3))),
        (ValueError, "shape \\(0, 4\\), expected at least one sample", {}, np.ones((0, 4))),
        (ValueError, "\\(2, 4, 0\\), expected at least one spike", {}, np.ones((2, 4, 0))),
        (KeyError, "times of no input, expected those of input", {}, None),
    ]
    for kind, message, parameters, given in cases:
        with pytest.raises(kind, match=message):
            jax.jit(snn)(parameters, given)
    with pytest.raises(ValueError, match="expected one where shapes must be known"):
        SNNFunction(net, until=UNTIL, output="spike_times")
    with pytest.raises(ValueError, match="mode is 'both', expected 'reverse' or 'forward'"):
        SNNFunction(net, until=UNTIL, mode="both")
    with pytest.raises(ValueError, match="samples is 2, expected None"):
        SNNFunction(net, until=UNTIL, samples=2)


def test_errors_of_values_are_those_of_the_library():
    net, times, _ = network(0)
    snn = SNNFunction(net, until=UNTIL)
    bad = {"hidden.threshold": snn.parameters("hidden.threshold")["hidden.threshold"] * jnp.nan}
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"hidden.threshold\[0\] is nan"):
        jax.block_until_ready(jax.jit(snn)(bad, times))
    assert snn({}, times).shape == (3, 3)  # and the next call is as any


LONG = """
import jax, numpy as np, snnfp
from snnfp.jax import SNNFunction
rng = np.random.default_rng(0)
net = snnfp.Network(dtype=np.float32)
x = net.input(784, name="x")
h = net.population(350, snnfp.LIF(tau_mem=2.0, tau_syn=2.0), name="h")
y = net.readout(10, snnfp.LI(tau_mem=2.0, tau_syn=2.0), name="y")
net.connect(x, h, snnfp.Dense(weight=rng.normal(0.01, 0.02, (784, 350))))
net.connect(h, y, snnfp.Dense(weight=rng.normal(0, 0.1, (350, 10))))
snn = SNNFunction(net, until=2.0, output="voltage")
times = rng.uniform(0, 1, (32, 784)).astype(np.float32)
step = jax.jit(jax.grad(lambda p, t: (snn(p, t) ** 2).sum() + sum(w.sum() for w in p.values())))
p = snn.parameters()
for k in range(30):
    g = step(p, times)
    p = {n: w - 1e-6 * g[n] for n, w in p.items()}
print(jax.block_until_ready(p)["h_to_y.weight"].shape)
"""


@pytest.mark.parametrize("processors", [1, 2])
def test_no_deadlock_on_few_processors(processors):
    """Large arrays and calls on the way at once, where JAX has as many threads as processors."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < processors:
        pytest.skip(f"needs sched_setaffinity and {processors} processors")
    chosen = sorted(os.sched_getaffinity(0))[:processors]
    done = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {chosen})\n{LONG}"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(350, 10)"


def test_without_jax():
    text = """
import sys
sys.modules["jax"] = None
import snnfp
try:
    import snnfp.jax
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == (
        "MissingDependencyError jax is not installed; it comes with: pip install 'snnfp[jax]'"
    )
