"""jaxsnn: EventProp mode, float32, as many event slots as its loss needs.

Its loss looks at first spikes: the slots that hold all events up to the last of them give the same
gradient, to the bit, as those that hold every event.
"""

from __future__ import annotations

import time
from functools import partial
from importlib.metadata import version as _version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxsnn.event.loss import first_spike, mse_loss
from jaxsnn.event.modules import LIF, Linear, Source
from jaxsnn.event.modules.lif.lif import LIFParameters
from jaxsnn.event.topology import Topology
from jaxsnn.event.types import Spike

from bench.peers import work
from bench.peers.prepared import Prepared, need

NAME = "jaxsnn"


def version() -> str:
    """Of the package."""
    return _version("jaxsnn")


def prepare(kind: str, options: dict[str, Any]) -> Prepared:
    """``layered``; ``slots``: of the hidden and the output layer for every event, and ``few``: for
    those that the loss needs.
    """
    need(kind == "layered", f"jaxsnn has no {kind} work here")
    w = work.layered[options["which"]](options["samples"])
    slots = tuple(options["slots"])
    for _ in range(8):
        _, whole, facts = _compiled(w, slots)
        if not facts["truncated"]:
            break
        slots = (slots[0] + 8, slots[1] + 16)
    else:
        raise AssertionError(f"samples are still truncated with {slots} event slots")
    few = tuple(options["few"])
    for _ in range(8):
        call, gradients, again = _compiled(w, few)
        if all(np.array_equal(a, b) for a, b in zip(gradients, whole, strict=True)):
            break
        few = (min(few[0] + 4, slots[0]), min(few[1] + 4, slots[1]))
    else:
        raise AssertionError(f"the gradient of {few} event slots is not that of {slots}")
    return Prepared(
        {"gradient": call},
        {
            "hidden": facts["hidden"],
            "output": facts["output"],
            "loss": facts["loss"],
            "compile seconds": again["compile seconds"],
            "slots": f"{few[0]} and {few[1]} event slots, the gradient to the bit that of "
            f"{slots[0]} and {slots[1]}",
        },
    )


def _inputs(w: work.Layered) -> dict[str, Spike]:
    order = np.argsort(w.latencies, axis=1, kind="stable")
    times = jnp.asarray(np.take_along_axis(w.latencies, order, axis=1), jnp.float32)
    return {
        "inp": Spike(
            time=times,
            idx=jnp.asarray(order),
            current=jnp.zeros_like(times),
            layer_idx=jnp.zeros_like(times, dtype=int),
            internal=jnp.ones_like(times, dtype=bool),
        )
    }


def _compiled(w: work.Layered, slots: tuple[int, ...]) -> tuple[Any, list[Any], dict[str, Any]]:
    p = LIFParameters(tau_syn=w.tau_syn, tau_mem=w.tau_mem, v_th=1.0, v_reset=0.0)
    outputs = w.later.shape[1]
    builder = Topology(t_max=w.until, backprop_method="eventprop")
    builder.add(
        {
            "inp": Source(w.first.shape[0]),
            "syn1": Linear(pre_weights=jnp.asarray(w.first, jnp.float32)),
            "hid": LIF(w.first.shape[1], slots[0], p),
            "syn2": Linear(pre_weights=jnp.asarray(w.later, jnp.float32)),
            "out": LIF(outputs, slots[1], p),
        }
    )
    builder.connect([("inp", "syn1"), ("syn1", "hid"), ("hid", "syn2"), ("syn2", "out")])
    init, apply = builder.done()
    weights = init(jax.random.PRNGKey(0))
    inputs = _inputs(w)
    target = np.full((w.labels.size, outputs), 0.75 * w.until)
    target[np.arange(w.labels.size), w.labels] = 0.5 * w.until
    targets = jnp.asarray(target, jnp.float32)

    def loss(weights: Any) -> Any:
        events = apply(inputs, weights)
        first = jax.vmap(partial(first_spike, n_outputs=outputs))(events["out"])
        value = jnp.mean(jax.vmap(partial(mse_loss, tau_mem=w.tau_mem))(first, targets))
        return value, {k: events[k] for k in ("hid", "out")}

    start = time.perf_counter()
    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(weights).compile()
    seconds = time.perf_counter() - start
    (value, events), gradients = compiled(weights)
    need(bool(np.isfinite(value)), f"the loss is {value}")
    leaves = [np.asarray(g) for g in jax.tree.leaves(gradients)]
    for g in leaves:
        need(bool(np.isfinite(g).all()), "a gradient is not finite")
    full = [bool(jnp.any(events[k].idx[:, -1] >= 0)) for k in ("hid", "out")]
    counts = [float(jnp.sum(events[k].internal) / w.labels.size) for k in ("hid", "out")]

    def gradient() -> None:
        jax.block_until_ready(compiled(weights))

    return (
        gradient,
        leaves,
        {
            "hidden": counts[0],
            "output": counts[1],
            "loss": float(value),
            "compile seconds": seconds,
            "truncated": any(full),
        },
    )
