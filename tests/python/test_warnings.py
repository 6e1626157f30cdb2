"""Warnings: what they say, once, and that they point at the user's line."""

import warnings

import numpy as np
import pytest
import snnfp
from snnfp import LIF, Dense, Network, Spikes
from snnfp.errors import SilentPopulationWarning, UnusedInputWarning

LOSS = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=60.0)
OPTIONS = {"loss": LOSS, "until": 50.0, "progress": False, "epochs": 1}


def layers(weight=0.01, **neuron):
    net = Network()
    net.input(2)
    net.population(3, LIF(**{"tau_mem": 2.0, "tau_syn": 1.0, **neuron}), name="h")
    net.connect(net.inputs["input"], net.populations["h"], Dense(weight=weight))
    return net


def batch(*times):
    return Spikes.from_lists([[[times[0]], list(times[1:])]] * 2)


def told(call, category):
    """The one warning of a category that a call gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    (warning,) = (w for w in caught if w.category is category)
    return warning


CALLS = {
    "simulate": lambda net, s: snnfp.simulate(net, s, until=50.0),
    "value_and_grad": lambda net, s: snnfp.value_and_grad(net, s, [0, 1], LOSS, until=50.0),
    "fit": lambda net, s: snnfp.fit(net, (s, [0, 1]), optimiser=snnfp.SGD(lr=0.1), **OPTIONS),
    "evaluate": lambda net, s: snnfp.evaluate(net, s, [0, 1], LOSS, until=50.0),
}


@pytest.mark.parametrize(
    "times, category", [((0.1, 0.4), SilentPopulationWarning), ((70.0, 80.0), UnusedInputWarning)]
)
@pytest.mark.parametrize("name", CALLS)
def test_warnings_point_at_the_users_line(name, times, category):
    if name == "evaluate" and category is SilentPopulationWarning:
        pytest.skip("evaluate returns what is silent instead")
    call = CALLS[name]
    warning = told(lambda: call(layers(), batch(*times)), category)
    assert warning.filename == __file__
    with open(__file__, encoding="utf-8") as source:
        line = source.read().splitlines()[warning.lineno - 1]
    assert line.strip().startswith(f'"{name}": lambda')


def test_once_a_population():
    net = layers()
    told(lambda: snnfp.simulate(net, batch(0.1, 0.4)), SilentPopulationWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snnfp.simulate(net, batch(0.1, 0.4))


def test_inputs_far_apart():
    """Time constants in seconds, inputs in milliseconds."""
    net = layers(weight=2.0, tau_mem=0.02, tau_syn=[0.005, 0.005, 0.01])
    warning = told(lambda: snnfp.simulate(net, batch(10.0, 12.0, 30.0)), SilentPopulationWarning)
    assert (
        "(the gaps between inputs are 500 tau: are both in the same unit of time? tau = 0.02, "
        "mean gap 10)" in str(warning.message)
    )


@pytest.mark.parametrize("times", [(0.1, 0.4), (3.0,), (0.0, 19.0)])
def test_inputs_that_are_not_far_apart(times):
    warning = told(lambda: snnfp.simulate(layers(), batch(*times)), SilentPopulationWarning)
    assert "tau:" not in str(warning.message)
    assert "try larger or more positive incoming weights" in str(warning.message)


def test_no_gap_where_there_is_no_leak_or_no_input():
    net = layers(tau_mem=np.inf)
    warning = told(lambda: snnfp.simulate(net, batch(0.0, 1e6), until=2e6), SilentPopulationWarning)
    assert "tau:" not in str(warning.message)
    net = Network()
    net.population(1, LIF(tau_mem=2.0, tau_syn=1.0), name="h")
    warning = told(lambda: snnfp.simulate(net, None), SilentPopulationWarning)
    assert "tau:" not in str(warning.message)
