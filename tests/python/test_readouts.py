"""Readouts as parts of a network: names, files, copies, the same bits, and what is refused."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import snnfp
from digests import digest
from readout_networks import READINGS, UNTIL, listened, record_of


def everything(net, spikes, **options):
    """A hash of what is read and of all derivatives."""
    record = record_of(net, spikes, **options)
    said = [record.readout(r) for r in READINGS]
    gradient = record.vjp({r: np.cos(s) for r, s in zip(READINGS, said, strict=True)}, wrt="*")
    tangents = {n: np.ones_like(g) for n, g in gradient.items()}
    along = [record.readout_jvp(r, tangents=tangents) for r in READINGS]
    return digest(*said, *gradient.values(), *along)


def same(a, b):
    assert a.n_samples == b.n_samples
    for reading in READINGS:
        assert np.array_equal(a.readout(reading), b.readout(reading))


def test_any_number_of_threads_and_every_instruction_set():
    net, spikes = listened(2, samples=11, hidden=20, n=9)
    whole = everything(net, spikes, n_threads=1)
    for n_threads in (2, 3, 8):
        assert everything(net, spikes, n_threads=n_threads) == whole
    for isa in ("portable", "avx2", "avx512"):
        assert everything(net, spikes, isa=isa) == whole


def test_a_network_behaves_as_if_there_were_no_readout():
    """Spikes, components and the gradient by spikes are those of the network without."""
    net, spikes = listened(6)
    record = record_of(net, spikes)
    without = snnfp.Network()
    x = without.input(4)
    for name in ("hidden", "output"):
        parameters = snnfp.LIF(tau_mem=1.0, tau_syn=1.0).values()
        lif = snnfp.LIF(**{k: net.parameters[f"{name}.{k}"] for k in parameters})
        without.population(net.populations[name].size, lif, name=name)
    for p in net.projections.values():
        source = x if p.source == "input" else p.source
        weight, delay = (net.parameters[f"{p.name}.{k}"] for k in ("weight", "delay"))
        if p.kind == "sparse":
            kind = snnfp.Sparse(sources=p.sources, targets=p.targets, weight=weight, delay=delay)
        elif p.kind == "dense":
            kind = snnfp.Dense(weight=weight, delay=delay)
        else:
            kind = snnfp.OneToOne(weight=weight, delay=delay)
        without.connect(source, p.target, kind, name=p.name)
    plain = record_of(without, spikes)
    assert np.array_equal(plain.times, record.times) and plain.components == record.components
    u = np.cos(np.arange(record.n_spikes))
    gradient = record.vjp(u, wrt="*")
    for name, g in plain.vjp(u, wrt="*").items():
        assert np.array_equal(g, gradient[name])
    assert not np.any(gradient["hidden_to_out.weight"])
    jacobian = record.jacobian(of="output", wrt="*")
    assert set(jacobian) == set(plain.jacobian(of="output", wrt="*"))
    tangents = {n: np.ones_like(g) for n, g in gradient.items()}
    spiking = {n: t for n, t in tangents.items() if n in jacobian}
    assert np.array_equal(record.jvp(tangents), record.jvp(spiking))


def test_names_files_and_copies(tmp_path):
    net, spikes = listened(8)
    assert net.select("out.*") == ("out.tau_mem", "out.tau_syn", "out.bias", "out.capacitance")
    assert "out[3]" in repr(net) and "hidden_to_out (dense)" in repr(net)
    record = record_of(net, spikes)
    net.save(tmp_path / "net.safetensors")
    other, _ = listened(8)
    flat = net.flatten("*")
    other.parameters["out.bias"] = 0.7
    other.parameters["hidden_to_alike.weight"] = 0.0
    other.parameters["input_to_out.delay"] = 0.9
    changed = record_of(other, spikes)
    assert not np.array_equal(changed.readout(READINGS[0]), record.readout(READINGS[0]))
    other.load(tmp_path / "net.safetensors")
    assert np.array_equal(other.flatten("*"), flat)
    same(record_of(other, spikes), record)
    for made in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net), copy.copy(net)):
        same(record_of(made, spikes), record)
        assert made.structure() == net.structure()
    bare, _ = listened(8)
    bare.readout(2, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="more")
    with pytest.raises(snnfp.errors.FormatError, match="readouts"):
        bare.load(tmp_path / "net.safetensors")


def test_a_record_keeps_what_it_was_made_with():
    """Copied, pickled, or with the network changed behind it; also its state at the start."""
    net, spikes = listened(9)
    start = {"out": (0.3, np.array([0.1, 0.2, 0.3])), "hidden": (0.01, 0.0)}
    record = record_of(net, spikes, initial=start)
    said = [record.readout(r) for r in READINGS]
    fresh = record_of(net, spikes, initial=start)
    made = [copy.copy(record), pickle.loads(pickle.dumps(record)), fresh]
    net.parameters["out.tau_mem"] = 1.0
    net.parameters["hidden_to_out.weight"] = 0.0
    net.readout(1, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="later")
    net.connect("input", "later", snnfp.Dense(weight=1.0))
    for other in made:
        for reading, values in zip(READINGS, said, strict=True):
            assert np.array_equal(other.readout(reading), values)
        with pytest.raises(KeyError, match="'later' is not a readout"):
            other.readout("later", "end")
    at_start = record.readout("out", "at", times=0.0)
    assert np.all(at_start == 0.3) and at_start.shape == (2, 1, 3)
    assert not said[0].flags.writeable


def test_recorded_spikes_are_heard_too():
    net, spikes = listened(10)
    record = record_of(net, spikes)
    recorded = {name: record.spikes(name) for name in net.populations}
    again = snnfp.record_from_spikes(net, spikes, recorded, tolerance=1e-6, until=UNTIL)
    same(again, record)


def test_float32():
    net, spikes = listened(11, dtype=np.float32)
    record = record_of(net, spikes)
    for reading in READINGS:
        said = record.readout(reading)
        assert said.dtype == np.float32
        gradient = record.vjp({reading: np.ones_like(said)}, wrt="*")
        assert all(g.dtype == np.float32 and np.all(np.isfinite(g)) for g in gradient.values())


def test_initialisers_draw_readouts():
    net = snnfp.Network()
    net.input(2)
    net.population(2, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    uniform = snnfp.init.Uniform(1.0, 2.0)
    net.readout(4, snnfp.LI(tau_mem=uniform, tau_syn=3.0), name="out")
    net.connect("input", "out", snnfp.Dense(weight=snnfp.init.Normal(0, 1)))
    with pytest.raises(snnfp.errors.SnnfpError, match=r"out\.tau_mem has no value yet"):
        snnfp.simulate(net, snnfp.Spikes([1.0], [0], [0, 1], size=2), until=2.0)
    net.initialise(seed=3)
    drawn = net.parameters["out.tau_mem"]
    assert drawn.shape == (4,) and np.all((drawn >= 1) & (drawn < 2)) and len(set(drawn)) == 4


def test_what_cannot_be_is_refused():
    net, spikes = listened(12)
    with pytest.raises(TypeError, match="readout out, which sends no spikes"):
        net.connect("out", "hidden", snnfp.Dense(weight=1.0))
    with pytest.raises(TypeError, match="readout out, which sends no spikes"):
        net.connect(net.readouts["out"], "alike", snnfp.Dense(weight=1.0))
    with pytest.raises(ValueError, match="belongs to another network"):
        net.connect("hidden", listened(13, n=4)[0].readouts["out"], snnfp.Dense(weight=1.0))
    with pytest.raises(TypeError, match=r"expected snnfp\.LI"):
        net.readout(2, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="more")
    with pytest.raises(TypeError, match=r"expected snnfp\.LIF"):
        net.population(2, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="more")
    with pytest.raises(ValueError, match="the name 'out' is taken"):
        net.population(2, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="out")
    with pytest.raises(ValueError, match="the name 'again' is taken"):
        net.input(2, name="again")
    with pytest.raises(ValueError, match=r"out2\.tau_mem\[1\] is 0, expected a time > 0"):
        net.readout(2, snnfp.LI(tau_mem=[1.0, 0.0], tau_syn=1.0), name="out2")
    with pytest.raises(ValueError, match=r"out\.capacitance\[0\] is -1"):
        net.parameters["out.capacitance"] = -1.0
    with pytest.raises(ValueError, match=r"hidden_to_out\.weight\[5, 2\] is nan"):
        weight = np.ones((6, 3))
        weight[5, 2] = np.nan
        net.parameters["hidden_to_out.weight"] = weight
    record = record_of(net, spikes)
    refused = [
        (KeyError, "'hidden' is not a readout", lambda: record.readout("hidden", "end")),
        (KeyError, "'out' is a readout, which has no spikes", lambda: record.spikes("out")),
        (ValueError, "value is 'mean', expected one of", lambda: record.readout("out", "mean")),
        (ValueError, "needs time_scale", lambda: record.readout("out")),
        (ValueError, "has no times", lambda: record.readout("out", "end", times=[1.0])),
        (ValueError, r"times\[1\] is -1", lambda: snnfp.Reading("out", "at", (1.0, -1.0))),
        (ValueError, "one dimension and a time", lambda: snnfp.Reading("out", "at", ())),
        (ValueError, "time_scale is 0", lambda: snnfp.Reading("out", time_scale=0)),
        (TypeError, "readout is 3", lambda: snnfp.Reading(3, "end")),
        (
            ValueError,
            r"times\[0\] of readout out is 9, expected a finite time from 0 up to until = 8",
            lambda: record.readout("out", "at", times=9.0),
        ),
        (
            ValueError,
            r"wrt = 'out\.\*' names parameters of readouts only",
            lambda: record.jacobian(of="output", wrt="out.*"),
        ),
        (
            ValueError,
            r"cotangents of readout out have shape \(2, 2\), expected \(2, 3\)",
            lambda: record.vjp({READINGS[2]: np.zeros((2, 2))}),
        ),
        (
            ValueError,
            r"cotangents of readout out\[1, 2\] is nan",
            lambda: record.vjp({READINGS[2]: np.array([[0, 0, 0], [0, 0, np.nan]])}),
        ),
        (
            KeyError,
            "'nobody' is not a readout",
            lambda: record.vjp({snnfp.Reading("nobody", "end"): np.zeros((2, 3))}),
        ),
    ]
    for error, message, call in refused:
        with pytest.raises(error, match=message):
            call()


def test_samples_that_ended_early_cannot_be_read():
    net = snnfp.Network()
    net.input(1)
    net.population(1, snnfp.LIF(tau_mem=5.0, tau_syn=5.0), name="h")
    net.connect("input", "h", snnfp.Dense(weight=1.0))
    net.readout(1, snnfp.LI(tau_mem=5.0, tau_syn=5.0), name="out")
    net.connect("h", "out", snnfp.Dense(weight=1.0))
    spikes = snnfp.Spikes([1.0], [0], [0, 1], size=1)
    early = snnfp.simulate(net, spikes, until=20.0, stop_after=["h"])
    with pytest.raises(ValueError, match=r"sample 0 ended at .*, before until = 20"):
        early.readout("out", "end")
    for endless in (snnfp.simulate(net, spikes), snnfp.simulate(net, spikes, until=np.inf)):
        for value in ("max", "end", "integral"):
            message = f"'{value}' of readout out .* until is not given or infinite: expected a fin"
            with pytest.raises(ValueError, match=message):
                endless.readout("out", value)
    whole = snnfp.simulate(net, spikes, until=20.0)
    at = {"times": [3.0, 7.0]}
    assert np.array_equal(endless.readout("out", "at", **at), whole.readout("out", "at", **at))


def test_values_beyond_the_numbers_are_an_error():
    net, spikes = listened(14)
    net.parameters["out.capacitance"] = 1e-250
    net.parameters["hidden_to_out.weight"] = 1e200
    record = record_of(net, spikes)
    with pytest.raises(ValueError, match=r"what is read off neuron 0 of readout out in sample 0"):
        record.readout("out", "end")


@pytest.mark.parametrize(
    ("wrt", "by"),
    [
        ("hidden_to_out.weight", r"hidden_to_out\.weight\[0, 0\]"),
        ("out.tau_mem", r"out\.tau_mem\[\d\]"),
        ("hidden.*", r"the time of spike \d+ of (hidden|input)"),
    ],
)
def test_derivatives_beyond_the_numbers_are_an_error(wrt, by):
    """Of what can still be read."""
    net, spikes = listened(14)
    net.parameters["out.capacitance"] = 1e-200
    record = record_of(net, spikes)
    reading = snnfp.Reading("out", "end")
    large = np.full(record.readout(reading).shape, 1e200)
    with pytest.raises(ValueError, match=f"of what is read off readout out by {by} is -?(inf|nan)"):
        record.vjp({reading: large}, wrt=wrt)
    with pytest.raises(
        ValueError, match=r"of readout out in sample \d along the tangents is -?(inf|nan)"
    ):
        record.readout_jvp(reading, tangents={"hidden_to_out.weight": np.full((6, 3), 1e200)})


@pytest.mark.parametrize(
    ("limits", "refused"),
    [({}, True), ({"max_spikes": 1}, False), ({"t_refractory": np.inf}, False)],
    ids=["free", "max_spikes", "t_refractory"],
)
def test_first_spikes_alone_are_not_all_that_a_readout_hears(limits, refused):
    """Unless the population fires no others."""
    neuron = {"t_refractory": limits.get("t_refractory", 0.0)}
    net = snnfp.Network()
    x = net.input(1)
    lif = snnfp.LIF(tau_mem=5.0, tau_syn=5.0, **neuron)
    h = net.population(2, lif, name="h", max_spikes=limits.get("max_spikes"))
    y = net.population(1, snnfp.LIF(tau_mem=5.0, tau_syn=5.0), name="y")
    out = net.readout(1, snnfp.LI(tau_mem=5.0, tau_syn=5.0), name="out")
    net.connect(x, h, snnfp.Dense(weight=3.0))
    net.connect(h, y, snnfp.Dense(weight=1.0))
    net.connect(h, out, snnfp.Dense(weight=1.0))
    spikes = snnfp.Spikes([1.0], [0], [0, 1], size=1)
    for first, error in (("h", refused), ("y", False)):
        record = snnfp.simulate(net, spikes, until=20.0, first_spikes_of=[first])
        if not error:
            assert record.readout("out", "end") > 0
            continue
        match = "projection h_to_out to a readout starts at population h, of which the record has"
        with pytest.raises(ValueError, match=match):
            record.readout("out", "end")
        with pytest.raises(ValueError, match=match):
            record.vjp({snnfp.Reading("out", "max"): np.ones((1, 1))})


def test_a_maximum_where_something_arrives():
    """V is highest just when the second spike comes: after t e^-t has risen for one time constant."""
    net = snnfp.Network()
    x = net.input(2, name="x")
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    out = net.readout(3, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="out")
    net.connect(x, out, snnfp.Dense(weight=[[1.0, 1.0, 1.0], [-1.0, 0.0, -0.5]]))
    spikes = snnfp.Spikes.from_latencies([[0.0, 1.0]])
    with pytest.warns(snnfp.errors.SilentPopulationWarning):
        record = snnfp.simulate(net, spikes, until=5.0)
    highest = record.readout("out", "max")
    np.testing.assert_allclose(highest, np.full((1, 3), np.exp(-1.0)), rtol=1e-12)
    reading = snnfp.Reading("out", "max")
    gradient = record.vjp({reading: np.ones((1, 3))}, wrt="*")
    # Whatever comes then comes after the maximum.
    np.testing.assert_allclose(gradient["x_to_out.weight"][1], 0.0, atol=1e-12)
    assert abs(gradient["x.times"][1]) < 1e-12


def test_maxima_of_many_time_constants_where_something_arrives():
    """Rounded, the peak of t e^(-t / tau) falls before, at or behind the arrival at tau."""
    tau = np.arange(1, 400) * 0.0625 + np.random.default_rng(0).uniform(0.0, 0.05, 399)
    n = tau.size
    net = snnfp.Network()
    x = net.input(2, name="x")
    net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    out = net.readout(n, snnfp.LI(tau_mem=tau, tau_syn=tau), name="out")
    weight = np.stack([np.ones(n), -np.ones(n)])
    net.connect(x, out, snnfp.Dense(weight=weight, delay=np.stack([np.zeros(n), tau])))
    for begin in (0.0, 1.0, 3.7):
        spikes = snnfp.Spikes.from_latencies([[begin, begin]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record = snnfp.simulate(net, spikes, until=100.0)
        highest = record.readout("out", "max")
        np.testing.assert_allclose(highest, tau[None] * np.exp(-1.0), rtol=1e-12)


def test_a_projection_that_is_refused_leaves_no_listener():
    net = snnfp.Network()
    x = net.input(1, name="x")
    h = net.population(1, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=8.0))
    out = net.readout(1, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="out")
    with pytest.raises(ValueError, match="delay"):
        net.connect(h, out, snnfp.Dense(weight=1.0, delay=-1.0))
    net.connect(x, out, snnfp.Dense(weight=[[1.0]]), name="xo")
    record = snnfp.simulate(net, snnfp.Spikes.from_latencies([[0.5]]), until=5.0)
    assert record.n_spikes > 0
    gradient = record.vjp({snnfp.Reading("out", "end"): np.ones((1, 1))}, wrt="xo.weight")
    assert gradient["xo.weight"].shape == (1, 1) and gradient["xo.weight"][0, 0] > 0


@pytest.mark.parametrize(("bias", "lifted"), [(-1e-6, False), (0.0, False), (1e-6, True)])
def test_a_maximum_at_the_start_has_one_side(bias, lifted):
    """At a bias of 0 the derivative is that to smaller ones: V is at 0 until something arrives."""
    net = snnfp.Network()
    x = net.input(1, name="x")
    out = net.readout(2, snnfp.LI(tau_mem=5.0, tau_syn=2.0, bias=bias), name="out")
    net.connect(x, out, snnfp.Sparse(sources=[0], targets=[1], weight=[-0.5]))
    record = snnfp.simulate(net, snnfp.Spikes([2.0], [0], [0, 1], size=1), until=8.0)
    by = record.jacobian(of=snnfp.Reading("out", "max"), wrt="*")
    # Of the first, V at the end; of the second, V when the inhibition comes.
    wanted = 5.0 * (1.0 - np.exp([-8.0 / 5.0, -2.0 / 5.0])) if lifted else np.zeros(2)
    np.testing.assert_allclose(by["out.bias"][0], wanted, rtol=1e-5)
    assert not np.any(by["x_to_out.weight"])
