"""NIR graphs for the tests, made with the nir package."""

from __future__ import annotations

import numpy as np


def full(value, *shape):
    return np.full(shape, float(value))


def cuba_lif(nir, *shape, tau_syn=0.005, tau_mem=0.02, r=2.0, w_in=0.015, **fields):
    given = {"v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **fields}
    given |= {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": r, "w_in": w_in}
    return nir.CubaLIF(
        **{k: np.broadcast_to(np.asarray(v, float), shape).copy() for k, v in given.items()}
    )


def node(nir, kind, *shape, **fields):
    """Any other kind of neuron."""
    arrays = {k: np.broadcast_to(np.asarray(v, float), shape).copy() for k, v in fields.items()}
    return getattr(nir, kind)(**arrays)


def chain(nir, **nodes):
    """One node after the other."""
    names = list(nodes)
    edges = list(zip(names, names[1:]))
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def recurrent(nir, rng):
    """Two populations: v_leak, v_reset, w_in and r of their own, delays, a loop, a readout."""
    nodes = {
        "in": nir.Input(input_type=np.array([4])),
        "w1": nir.Linear(weight=rng.uniform(0.3, 1.5, (3, 4))),
        "wait": nir.Delay(delay=np.array([0.001, 0.0, 0.004])),
        "hidden": cuba_lif(
            nir,
            3,
            tau_syn=[0.004, 0.005, 0.02],
            tau_mem=[0.02, 0.01, 0.02],
            r=[2.0, 3.0, 1.5],
            w_in=[0.012, 0.01, 0.04],
            v_leak=[0.1, -0.2, 0.0],
            v_threshold=[1.0, 0.8, 0.9],
            v_reset=[-0.1, -0.3, 0.2],
        ),
        "w_rec": nir.Linear(weight=rng.uniform(-0.8, 0.2, (3, 3))),
        "w2": nir.Linear(weight=rng.uniform(0.5, 1.5, (2, 3))),
        "out": cuba_lif(nir, 2),
        "w3": nir.Linear(weight=rng.uniform(-1.0, 1.0, (2, 2))),
        "read": node(
            nir, "CubaLI", 2, tau_syn=0.004, tau_mem=0.03, r=1.5, w_in=0.02, v_leak=[0.2, 0.0]
        ),
        "end": nir.Output(output_type=np.array([2])),
        "end2": nir.Output(output_type=np.array([2])),
    }
    edges = [
        *(
            ("in", "w1"),
            ("w1", "wait"),
            ("wait", "hidden"),
            ("hidden", "w_rec"),
            ("w_rec", "hidden"),
        ),
        *(("hidden", "w2"), ("w2", "out"), ("out", "w3"), ("w3", "read"), ("out", "end")),
        ("read", "end2"),
    ]
    return nir.NIRGraph(nodes=nodes, edges=edges)


def planes(nir, rng):
    """Convolution with stride and padding, pooling, a dense layer behind a Flatten."""
    conv = nir.Conv2d(
        input_shape=(6, 5),
        weight=rng.uniform(-0.1, 0.6, (3, 2, 3, 3)),
        stride=(2, 1),
        padding=(1, 1),
        dilation=(1, 1),
        groups=1,
        bias=np.zeros(3),
    )
    pool = {
        "kernel_size": np.array([2, 2]),
        "stride": np.array([1, 2]),
        "padding": np.array([0, 1]),
    }
    return chain(
        nir,
        input=nir.Input(input_type=np.array([2, 6, 5])),
        conv=conv,
        a=cuba_lif(nir, 3, 3, 5),
        pool=nir.AvgPool2d(**pool),
        b=cuba_lif(nir, 3, 2, 3, w_in=0.03),
        flat=nir.Flatten(input_type={"input": np.array([3, 2, 3])}, start_dim=0, end_dim=-1),
        w=nir.Linear(weight=rng.uniform(-0.2, 0.4, (2, 18))),
        c=cuba_lif(nir, 2),
        output=nir.Output(output_type=np.array([2])),
    )


def random_input(rng, size, n, until):
    """n spikes at multiples of 1e-5, as many times as needed for pairs to be apart."""
    times = np.sort(rng.choice(int(until * 0.6e5), n, replace=False)) * 1e-5
    return list(zip(times.tolist(), rng.integers(0, size, n).tolist()))
