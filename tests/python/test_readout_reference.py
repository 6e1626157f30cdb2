"""What is read off a readout, and its derivatives, against mpmath: every value, at any ratio of
time constants."""

from dataclasses import replace

import numpy as np
import pytest
import snnfp
from mpmath import mp, mpf
from reference.readouts import Listener, derivative

UNTIL, AT, SCALE = 30.0, 17.25, 12.0
VALUES = ("weighted_integral", "integral", "end", "max", "at")
# tau_mem, tau_syn
CONSTANTS = [
    (20.0, 5.0),
    (5.0, 20.0),
    (7.0, 7.0),
    (7.0, 7.0 * (1 + 1e-9)),
    (7.0 * (1 + 1e-4), 7.0),
    (np.inf, 5.0),
    (5.0, np.inf),
    (np.inf, np.inf),
    (20.0, 0.01),
    (1e6, 1e7),
]
TIMES = np.array([0.5, 3.0, 3.5, 9.0, 14.75, 21.0])
UNITS = np.array([0, 1, 0, 2, 1, 0], dtype=np.int32)
WEIGHT = np.array([0.7, -0.4, 0.9])
DELAY = np.array([0.25, 0.0, 1.5])


def listening(tau_mem, tau_syn, bias=0.03, dtype=np.float64):
    """A readout of one neuron that hears three channels, and another that nobody asks."""
    net = snnfp.Network(dtype)
    x = net.input(3)
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="idle")
    neuron = snnfp.LI(tau_mem=tau_mem, tau_syn=tau_syn, bias=bias, capacitance=1.6)
    out = net.readout(1, neuron, name="out")
    net.connect(x, out, snnfp.Dense(weight=WEIGHT[:, None], delay=DELAY[:, None]))
    net.readout(2, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="other")
    return net


@pytest.fixture
def digits():
    with mp.workdps(40):
        yield


def reading(value):
    times = (AT,) if value == "at" else None
    return snnfp.Reading("out", value, times, SCALE if value == "weighted_integral" else None)


def run(net, **options):
    spikes = snnfp.Spikes(TIMES, UNITS, [0, TIMES.size], size=3)
    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        return snnfp.simulate(net, spikes, until=UNTIL, **options)


def near(found, wanted, size, digits):
    return abs(mpf(float(found)) - wanted) <= mpf(10) ** -digits * size


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("tau_mem", "tau_syn"), CONSTANTS)
def test_value_and_every_derivative(value, tau_mem, tau_syn, digits):
    """Also of bias and of the state at the start."""
    net = listening(tau_mem, tau_syn)
    start = (0.2, 0.15)
    record = run(net, initial={"out": start})
    asked = reading(value)
    found = float(record.readout(asked).reshape(-1)[0])
    arrivals = tuple(
        (mpf(t) + mpf(DELAY[u]), mpf(WEIGHT[u])) for t, u in zip(TIMES, UNITS, strict=True)
    )
    n = Listener(
        *(mpf(float(x)) for x in (tau_mem, tau_syn, 0.03, net.parameters["out.capacitance"])),
        arrivals,
        *map(mpf, start),
    )

    def read(listener):
        return listener.read(value, mpf(UNTIL), mpf(AT), mpf(SCALE))

    size = sum(abs(w) for w in WEIGHT) * (1 if value in ("end", "max", "at") else UNTIL)
    assert near(found, read(n), max(size, abs(found)), 14)
    gradient = record.vjp({asked: np.ones_like(record.readout(asked))}, wrt="*")
    finite = {"tau_mem": tau_mem, "tau_syn": tau_syn, "bias": 1.0, "capacitance": 1.0}
    checked = 0
    for name, constant in finite.items():
        by = gradient[f"out.{name}"]
        if np.isinf(constant):
            assert by == 0.0
            continue
        wanted = derivative(read, n, name)
        scale = max(abs(wanted), size / (constant if "tau" in name else 1.0))
        assert near(by, wanted, scale, 12), name
        checked += 1
    by_time = [derivative(read, n, "time", k) for k in range(TIMES.size)]
    by_weight = [derivative(read, n, "weight", k) for k in range(TIMES.size)]
    for k in range(TIMES.size):
        assert near(gradient["input.times"][k], by_time[k], size, 12)
    for u in range(3):
        own = np.flatnonzero(UNITS == u)
        weight, delay = (gradient[f"input_to_out.{n}"][u, 0] for n in ("weight", "delay"))
        assert near(weight, sum(by_weight[k] for k in own), size, 12)
        assert near(delay, sum(by_time[k] for k in own), size, 12)
    assert checked == 4 - np.isinf(tau_mem) - np.isinf(tau_syn)
    assert all(not np.any(gradient[n]) for n in gradient if n.startswith(("other", "idle")))


@pytest.mark.parametrize(("tau_mem", "tau_syn"), CONSTANTS[:5])
def test_the_reference_against_quadrature(tau_mem, tau_syn, digits):
    """Of its own V."""
    arrivals = ((mpf(3), mpf(1)), (mpf(11), mpf("-0.5")))
    n = Listener(*map(mpf, (tau_mem, tau_syn, 0.03, 1.6)), arrivals, mpf("0.2"), mpf("0.1"))
    for scale in (mpf(SCALE), mp.inf):
        apart = n.integral(mpf(UNTIL), scale) - n.quadrature(mpf(UNTIL), scale)
        assert abs(apart) <= mpf(10) ** -30


@pytest.mark.parametrize("inhibition", [-3.0, -0.2])
def test_a_peak_where_v_turns_at_an_arrival(inhibition, digits):
    """It goes with the arrival that ends the rise, here the second spike, of channel 1."""
    net = snnfp.Network()
    x = net.input(2)
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="idle")
    out = net.readout(1, snnfp.LI(tau_mem=20.0, tau_syn=10.0), name="out")
    net.connect(x, out, snnfp.Dense(weight=[[0.5], [inhibition]]))
    spikes = snnfp.Spikes([1.0, 6.0], [0, 1], [0, 2], size=2)
    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        record = snnfp.simulate(net, spikes, until=UNTIL)
    zero = mpf(0)
    n = Listener(mpf(20), mpf(10), zero, mpf(1), ((mpf(1), mpf("0.5")), (mpf(6), mpf(inhibition))))
    asked = snnfp.Reading("out", "max")
    turns = n.peak(mpf(UNTIL)) == 6
    assert turns == (inhibition == -3.0)
    assert near(record.readout(asked)[0, 0], n.v(n.peak(mpf(UNTIL))), 1, 15)
    gradient = record.vjp({asked: np.ones((1, 1))}, wrt="*")

    def highest(listener):
        return listener.v(listener.peak(mpf(UNTIL)))

    for k in range(2):
        assert near(gradient["input.times"][k], derivative(highest, n, "time", k), 1, 13)
        weight = gradient["input_to_out.weight"][k, 0]
        assert near(weight, derivative(highest, n, "weight", k), 1, 13)


def test_no_digit_is_lost_at_any_ratio():
    """Constants, ends and scales over many orders of magnitude, two in five nearly equal: each share
    of a value, and of its derivatives by the time constants, to nearly all its digits."""
    rng = np.random.default_rng(1)
    worst = 0.0
    with mp.workdps(400):
        for trial in range(60):
            tau_mem, tau_syn = 10 ** rng.uniform(-6, 6, 2)
            if trial % 5 < 2:
                tau_syn = tau_mem * (1 + 10 ** rng.uniform(-12, 0) * rng.choice([-0.5, 1]))
            until, scale = 10 ** rng.uniform(-3, 3), 10 ** rng.uniform(-4, 4)
            net = snnfp.Network()
            x = net.input(3)
            net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="idle")
            # One shared response in "alike", responses side by side in "apart".
            for name, second in (("alike", tau_syn), ("apart", 2 * tau_syn)):
                neuron = snnfp.LI(tau_mem=[tau_mem] * 2, tau_syn=[tau_syn, second], bias=0.3)
                net.readout(2, neuron, name=name)
                net.connect(x, name, snnfp.Dense(weight=np.ones((3, 2))))
            times = np.sort(rng.uniform(0, until, 3))
            spikes = snnfp.Spikes(times, np.arange(3, dtype=np.int32), [0, 3], size=3)
            with pytest.warns(snnfp.errors.SilentPopulationWarning):
                record = snnfp.simulate(net, spikes, until=until)
            arrivals = tuple((mpf(t), mpf(1)) for t in times)
            n = Listener(mpf(tau_mem), mpf(tau_syn), mpf(0.3), mpf(1), arrivals)
            for value in ("weighted_integral", "integral", "end"):

                def read(listener, value=value, until=until, scale=scale):
                    return listener.read(value, mpf(until), mpf(0), mpf(scale))

                wanted = {"value": read(n)}
                for name in ("tau_mem", "tau_syn"):
                    h = getattr(n, name) * mpf(10) ** -30
                    moved = (replace(n, **{name: getattr(n, name) + k * h}) for k in (1, -1))
                    up, down = (read(m) for m in moved)
                    wanted[name] = (up - down) / (2 * h)
                for name in ("alike", "apart"):
                    asked = snnfp.Reading(
                        name, value, None, scale if value == "weighted_integral" else None
                    )
                    found = {"value": record.readout(asked)[0, 0]}
                    by = record.vjp({asked: np.array([[1.0, 0.0]])}, wrt=f"{name}.tau_*")
                    found |= {k: by[f"{name}.{k}"][0] for k in ("tau_mem", "tau_syn")}
                    for key, exact in wanted.items():
                        if abs(exact) > 1e-250:
                            apart = abs(mpf(float(found[key])) - exact) / abs(exact)
                            worst = max(worst, float(apart))
    assert 0 < worst <= 5e-13


def test_single_precision():
    """Float32 says the same to its own digits."""
    for tau_mem, tau_syn in CONSTANTS:
        double, single = (run(listening(tau_mem, tau_syn, dtype=d)) for d in (float, np.float32))
        for value in VALUES:
            said = [r.readout(reading(value)) for r in (double, single)]
            assert said[1].dtype == np.float32
            size = np.max(np.abs(said[0])) + (1 if value in ("end", "max", "at") else UNTIL)
            assert np.allclose(said[0], said[1], rtol=0, atol=3e-6 * size)
