"""Networks of readouts that hear inputs, without any population: regression on filtered spikes."""

import copy
import pickle

import numpy as np
import pytest
import snnfp
import snnfp.plots
from snnfp.losses import FirstSpikeCrossEntropy, ReadoutCrossEntropy, ReadoutSquaredError

UNTIL = 30.0
CHANNELS = 4


def network(n=2, dtype=np.float64):
    net = snnfp.Network(dtype)
    x = net.input(CHANNELS, name="x")
    out = net.readout(n, snnfp.LI(tau_mem=12.0, tau_syn=4.0), name="out")
    net.connect(x, out, snnfp.Dense(weight=snnfp.init.Normal(0.0, 0.2), delay=0.5))
    return net.initialise(seed=1)


def batch(samples=60, seed=0):
    rng = np.random.default_rng(seed)
    each = 8
    pairs = [
        (np.sort(rng.uniform(0, 20, each)), rng.integers(0, CHANNELS, each)) for _ in range(samples)
    ]
    return snnfp.Spikes.from_pairs(pairs, size=CHANNELS)


def test_what_is_read_is_linear_in_the_weights():
    """A sum of responses: the solution of least squares is found by what is read off unit weights."""
    net, spikes = network(), batch()
    record = snnfp.simulate(net, spikes, until=UNTIL)
    assert record.n_spikes == 0 and record.components == () and record.silent_fraction() == {}
    assert np.array_equal(record.ends, np.full(60, UNTIL))
    reading = snnfp.Reading("out", "end")
    by = record.jacobian(of=reading, wrt="x_to_out.weight")["x_to_out.weight"]
    said = np.einsum("sjik,ik->sj", by, net.parameters["x_to_out.weight"])
    np.testing.assert_allclose(said, record.readout(reading), rtol=1e-13, atol=1e-15)
    target = np.random.default_rng(3).normal(size=CHANNELS)
    wanted = by[:, 0, :, 0] @ target
    best = np.linalg.lstsq(by[:, 0, :, 0], wanted, rcond=None)[0]
    np.testing.assert_allclose(best, target, rtol=1e-9)


@pytest.mark.parametrize("value", ["weighted_integral", "integral", "end", "max", "at"])
def test_every_derivative(value):
    """Against differences; forward equals reverse."""
    net, spikes = network(), batch(5)
    options = {"weighted_integral": {"time_scale": 9.0}, "at": {"times": (4.0, 22.0)}}
    loss = ReadoutSquaredError(value=value, **options.get(value, {}))
    shape = (5, 2, 2) if value == "at" else (5, 2)
    labels = np.random.default_rng(2).normal(size=shape)
    found = snnfp.testing.check_gradient(net, spikes, labels, loss, wrt="*", until=UNTIL)
    assert found.checked == 8 + 1 + 4 + 40 - found.left_out - found.infinite
    assert found.checked > 40
    both = [
        snnfp.value_and_grad(net, spikes, labels, loss, wrt="*", until=UNTIL, mode=mode)[1]
        for mode in ("reverse", "forward")
    ]
    assert list(both[0]) == list(net.select("*"))
    assert all(np.array_equal(both[0][k], both[1][k]) for k in both[0])


def test_it_learns_a_linear_map():
    truth, net = network(), network()
    truth.parameters["x_to_out.weight"] = np.random.default_rng(5).normal(size=(CHANNELS, 2))
    spikes = batch(200)
    loss = ReadoutSquaredError(value="integral")
    targets = snnfp.simulate(truth, spikes, until=UNTIL).readout("out", "integral")
    history = snnfp.fit(
        net,
        (spikes, targets),
        loss=loss,
        optimiser=snnfp.Adam(lr=0.05),
        epochs=40,
        batch_size=50,
        until=UNTIL,
        progress=False,
    )
    assert history.last("loss") < 1e-6 * history["loss"][0]
    found, wanted = (n.parameters["x_to_out.weight"] for n in (net, truth))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    seen = snnfp.evaluate(net, spikes, targets, loss, until=UNTIL)
    assert seen.loss < 1e-6 * history["loss"][0] and seen.silent == {}


def test_it_classifies(tmp_path):
    """Which of two channels fires more; the model is saved, and found again."""
    net, spikes = network(), batch(200)
    counts = np.stack([np.bincount(spikes.take([s]).units, minlength=CHANNELS) for s in range(200)])
    labels = (counts[:, 0] > counts[:, 1]).astype(int)
    loss = ReadoutCrossEntropy(value="integral")
    snnfp.scale_readout(net, spikes, loss, until=UNTIL)
    options = {"loss": loss, "until": UNTIL, "epochs": 30, "progress": False}
    snnfp.fit(net, (spikes, labels), optimiser=snnfp.Adam(lr=0.1), **options)
    accuracy = snnfp.evaluate(net, spikes, labels, loss, until=UNTIL).accuracy
    assert accuracy > 0.75
    net.save(tmp_path / "net.safetensors")
    other = network()
    other.load(tmp_path / "net.safetensors")
    for again in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        same = snnfp.predict(again, spikes, loss, until=UNTIL)
        assert np.mean(same.labels == labels) == accuracy
    found = snnfp.diagnose(net, spikes, labels, until=UNTIL, loss=loss)
    assert found.populations == {} and found.output == "out" and found.findings == ()


def test_records_are_kept_and_divided_among_threads():
    net, spikes = network(dtype=np.float32), batch(40)
    record = snnfp.simulate(net, spikes, until=UNTIL, n_threads=1)
    said = record.readout("out", "max")
    assert said.dtype == np.float32
    for other in (
        pickle.loads(pickle.dumps(record)),
        snnfp.simulate(net, spikes, until=UNTIL, n_threads=3),
        snnfp.simulate(net, spikes, until=UNTIL, engine="queue"),
    ):
        assert np.array_equal(other.readout("out", "max"), said)


def test_what_needs_a_population_says_so():
    net, spikes = network(), batch(4)
    refused = [
        (
            "has no population, expected at least one: readouts have losses of their own",
            lambda: snnfp.evaluate(
                net, spikes, [0] * 4, FirstSpikeCrossEntropy(tau0=1.0, horizon=UNTIL), until=UNTIL
            ),
        ),
        (
            "no population that could have fired what was recorded",
            lambda: snnfp.record_from_spikes(net, spikes, {}, tolerance=1e-9, until=UNTIL),
        ),
        (
            "of no population, expected one whose weights to scale",
            lambda: snnfp.calibrate(net, spikes, rate=1.0, until=UNTIL),
        ),
        (
            "has no population, expected one whose spikes to draw",
            lambda: snnfp.plots.raster_and_voltage(net, spikes, until=UNTIL),
        ),
        (
            "helps populations, and the network has none: leave it out",
            lambda: snnfp.fit(
                net,
                (spikes, np.zeros((4, 2))),
                loss=ReadoutSquaredError(value="end"),
                optimiser=snnfp.SGD(lr=0.1),
                epochs=1,
                until=UNTIL,
                remedies=[snnfp.remedies.WeightBump(amount=0.1)],
            ),
        ),
    ]
    for message, call in refused:
        with pytest.raises(ValueError, match=message):
            call()
    only = snnfp.Network()
    only.readout(1, snnfp.LI(tau_mem=1.0, tau_syn=1.0), name="out")
    with pytest.raises(ValueError, match="the network has no population and no input"):
        snnfp.simulate(only, None, until=1.0)
