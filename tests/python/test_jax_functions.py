"""Functions for JAX as objects: how long they live, and their copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import snnfp

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'snnfp[jax]'")

import jax.numpy as jnp  # noqa: E402
from snnfp.jax import SNNFunction  # noqa: E402

TIMES = np.array([[0.5, 1.0, 0.2], [2.0, 0.1, np.inf]], np.float32)


def function(**options):
    net = snnfp.Network(dtype=np.float32)
    y = net.population(2, snnfp.LIF(tau_mem=2.0, tau_syn=1.5, bias=0.6), name="y")
    net.connect(net.input(3, name="x"), y, snnfp.Dense(weight=1.0))
    return SNNFunction(net, until=5.0, **options)


def test_what_calls_have_left_goes_with_the_function():
    """JAX's caches keep the host, which then has nothing that grows with a batch."""
    snn = function()
    host, gone = snn._host, weakref.ref(snn)
    jax.block_until_ready(jax.vjp(snn, snn.parameters(), TIMES)[0])
    assert len(host._kept) == 1
    del snn
    gc.collect()
    assert gone() is None and not host._kept


def test_what_is_kept_can_go_at_any_time():
    """A derivative then takes a second simulation; whoever works on it meanwhile goes on."""
    snn = function()
    values, back = jax.vjp(lambda p: snn(p, TIMES), snn.parameters())
    (wanted,) = back(jnp.ones_like(values))
    values, back = jax.vjp(lambda p: snn(p, TIMES), snn.parameters())
    jax.block_until_ready(values)
    snn._host.forget()
    (found,) = back(jnp.ones_like(values))
    assert np.array_equal(found["x_to_y.weight"], wanted["x_to_y.weight"])
    with snn._host._lock:  # as if garbage collection came while a call is being kept
        snn._host.forget()


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))]
)
def test_copies(mode, copied):
    snn = function(mode=mode, output=["first_spikes"])
    jax.block_until_ready(snn({}, TIMES))
    other = copied(snn)
    assert other is not snn and other._host is not snn._host
    take = jax.jacrev if mode == "reverse" else jax.jacfwd
    (a,), (b,) = (take(f)(f.parameters(), TIMES) for f in (snn, other))
    assert np.array_equal(a["x_to_y.weight"], b["x_to_y.weight"])
    assert np.abs(a["x_to_y.weight"]).max() > 0


def test_arguments_that_are_something_else_are_named():
    snn = function()
    for wrong in (TIMES, None):
        with pytest.raises(TypeError, match=r"parameters is a \w+, expected a mapping .*f\(param"):
            snn(wrong, TIMES)
    spikes = snnfp.Spikes.from_latencies(TIMES.astype(float))
    with pytest.raises(TypeError, match=r"times of x is snnfp\.Spikes, .*padded\(spikes\)"):
        snn(snn.parameters(), spikes)
