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


def test_inputs_and_delays_of_another_unit():
    net = layers(tau_mem=20.0, tau_syn=10.0)
    early = told(
        lambda: snnfp.simulate(net, batch(0.01, 0.03), until=100.0), SilentPopulationWarning
    )
    assert (
        "(all inputs come within 0.03, which is 0.003 tau: are both in the same unit of time? "
        "tau = 10, until = 100)" in str(early.message)
    )
    nothing = Network()
    x, h = (
        nothing.input(2, name="x"),
        nothing.population(1, LIF(tau_mem=2.0, tau_syn=1.0), name="h"),
    )
    nothing.connect(x, h, snnfp.Sparse(sources=[], targets=[], weight=1.0, delay=np.zeros(0)))
    told(lambda: snnfp.simulate(nothing, batch(1.0, 3.0), until=100.0), SilentPopulationWarning)
    net = layers(weight=50.0, tau_mem=20.0, tau_syn=10.0)
    net.parameters[next(k for k in net.parameters if k.endswith(".delay"))] = 1000.0
    late = told(lambda: snnfp.simulate(net, batch(1.0, 3.0), until=100.0), SilentPopulationWarning)
    assert (
        "(until is 100, what reaches it is delayed by 1e+03 or more: are both in the same unit"
        in str(late.message)
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


SECONDS = {"tau_mem": 0.02, "tau_syn": 0.01}  # and inputs in milliseconds
MILLISECONDS = {"tau_mem": 20.0, "tau_syn": 10.0}  # and inputs in seconds


@pytest.mark.parametrize("name", ["simulate", "value_and_grad", "fit"])
@pytest.mark.parametrize(
    "neuron, times, scale, question",
    [
        (SECONDS, (10.0, 12.0, 30.0), 1.0, "the gaps between inputs are 500 tau"),
        (MILLISECONDS, (0.01, 0.012, 0.03), 1e-3, "until is 0.005 tau"),
    ],
    ids=["seconds", "milliseconds"],
)
def test_each_call_asks_about_the_unit(name, neuron, times, scale, question):
    """Before it says what to change of the weights, which are right."""
    end = 50.0 * scale
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=scale, horizon=end)
    weight = 3.0 / neuron["tau_mem"]
    net, spikes = layers(weight=weight, **neuron), batch(*times)
    calls = {
        "simulate": lambda: snnfp.simulate(net, spikes, until=end),
        "value_and_grad": lambda: snnfp.value_and_grad(net, spikes, [0, 1], loss, until=end),
        "fit": lambda: snnfp.fit(
            *(net, (spikes, [0, 1])),
            **{**OPTIONS, "optimiser": snnfp.SGD(lr=0.1), "loss": loss, "until": end},
        ),
    }
    text = str(told(calls[name], SilentPopulationWarning).message)
    asked, _, advice = text.partition("): ")
    assert f"before it ({question}: are both in the same unit of time? tau = " in asked
    assert "weights" in advice and "weights" not in asked
    # In the same unit the network fires.
    same = Spikes(
        spikes.times * (1e-3 if scale == 1.0 else 1e3), spikes.units, spikes.offsets, size=2
    )
    assert snnfp.simulate(layers(weight=weight, **neuron), same).n_spikes


def test_an_output_silent_for_its_own_class_asks_about_the_unit():
    net = layers(weight=[[10.0, 900.0, 0.0]] * 2, **SECONDS)
    spikes = batch(10.0, 12.0, 30.0)
    options = {**OPTIONS, "optimiser": snnfp.SGD(lr=0.1)}
    warning = told(
        lambda: snnfp.fit(net, (spikes, [0, 0]), **options), snnfp.errors.SilentOutputWarning
    )
    assert "bring it back (the gaps between inputs are 500 tau: are both in" in str(warning.message)


def test_samples_that_end_early_are_said_without_an_option_nobody_gave():
    """Of a sample only what the loss looks at was simulated: then the silent may fire later."""
    net = layers(weight=3.0)
    net.population(1, LIF(tau_mem=2.0, tau_syn=1.0), name="late")
    net.connect("input", "late", Dense(weight=3.0, delay=20.0))
    loss = snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=60.0, population="h")
    call = lambda: snnfp.value_and_grad(net, batch(0.1, 0.4), [0, 1], loss, until=50.0)  # noqa: E731
    text = str(told(call, SilentPopulationWarning).message)
    assert "stop_after" not in text
    assert text.startswith(
        "population late fires no spike in the whole batch, whose samples end once all of h have "
        "fired, so no gradient"
    )
    silent = layers()
    call = lambda: snnfp.value_and_grad(silent, batch(0.1, 0.4), [0, 1], LOSS, until=50.0)  # noqa: E731
    assert "in the whole batch, so no" in str(told(call, SilentPopulationWarning).message)
