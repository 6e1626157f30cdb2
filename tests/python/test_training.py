"""fit: learns, resumes to the bit, stops, reports; remedies apart from the gradient."""

import sys
import warnings

import numpy as np
import pytest
import snnfp
from digests import digest
from snnfp import Adam, EarlyStopping, Spikes, fit, training
from snnfp.errors import SilentPopulationWarning
from snnfp.losses import FirstSpikeCrossEntropy
from snnfp.remedies import LabelBump, WeightBump

LOSS = FirstSpikeCrossEntropy(tau0=0.3, tau1=2.0, gamma=0.01, horizon=4.0)
OPTIONS = {"loss": LOSS, "until": 4.0, "progress": False, "batch_size": 20, "n_threads": 1}


def problem(seed=0, n=60, weight=1.5, dtype=np.float64):
    features, labels = snnfp.data.yin_yang(n, seed=3)
    spikes = snnfp.encoding.latency(features, t_min=0.5, t_max=2.0, bias_time=0.9)
    net = snnfp.Network(dtype=dtype)
    x = net.input(5)
    neuron = snnfp.LIF(tau_mem=1.0, tau_syn=1.0)
    h, y = net.population(15, neuron, name="hidden"), net.population(3, neuron, name="output")
    net.connect(x, h, snnfp.Dense(weight=snnfp.init.Normal(weight, 0.8 * weight)))
    net.connect(h, y, snnfp.Dense(weight=snnfp.init.Normal(0.8, 0.2)))
    return net.initialise(seed), (spikes, labels)


def everything(net, history):
    figures = [v for k, v in sorted(history.epochs.items()) if k != "seconds"]
    return digest(*net.parameters.values()), digest(*figures)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_learns(mode, dtype):
    net, data = problem(dtype=dtype)
    history = fit(
        net, data, optimiser=Adam(lr=0.03), epochs=20, mode=mode, validation=data, **OPTIONS
    )
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    seen = snnfp.evaluate(net, *data, LOSS, until=4.0)
    assert seen.loss == pytest.approx(history.last("validation_loss"), rel=1e-6)
    assert seen.accuracy == history.last("validation_accuracy")
    assert len(history) == 20 and {len(v) for v in history.epochs.values()} == {20}
    assert set(history.epochs) == {
        *("loss", "accuracy", "validation_loss", "validation_accuracy", "lr", "seconds"),
        *("min_slope", "near_tangent", "clipped", "remedied", "silent/hidden", "silent/output"),
    }


@pytest.mark.parametrize(
    "optimiser", [Adam(lr=0.01), snnfp.SGD(lr=0.05, momentum=0.9), snnfp.SGD(lr=0.05)]
)
def test_resume_is_bitwise(tmp_path, optimiser):
    """10 epochs, and 5 + save + load + 5."""
    pytest.importorskip("safetensors")
    options = {
        **OPTIONS,
        "optimiser": optimiser,
        "schedule": snnfp.schedules.Cosine(10),
        "wrt": ("*.weight", "*.delay", "hidden.threshold"),
        "remedies": [WeightBump(amount=0.01)],
        "seed": 7,
        "early_stopping": EarlyStopping(patience=20, metric="loss"),
    }
    whole, data = problem()
    history = fit(whole, data, epochs=10, **options)
    path = tmp_path / "checkpoint"
    half, _ = problem()
    fit(half, data, epochs=5, checkpoint=path, **options)
    other, _ = problem(seed=99)
    resumed = fit(other, data, epochs=10, resume=path, checkpoint=path, **options)
    assert everything(other, resumed) == everything(whole, history)
    again, _ = problem(seed=98)
    assert everything(again, fit(again, data, epochs=10, resume=path, **options)) == everything(
        whole, history
    )


def test_a_checkpoint_that_does_not_fit(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "checkpoint"
    net, data = problem()
    fit(net, data, optimiser=Adam(lr=0.01), epochs=1, checkpoint=path, **OPTIONS)
    before = net.flatten()

    def refused(match, network=net, **changes):
        options = {"optimiser": Adam(lr=0.01), "epochs": 2, **OPTIONS, **changes}
        with pytest.raises(snnfp.errors.FormatError, match=match):
            fit(network, data, resume=path, **options)

    other = snnfp.Network()
    x, y = other.input(5), other.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="output")
    other.connect(x, y, snnfp.Dense(weight=1.0))
    refused("is a checkpoint of another network: populations there", network=other)
    refused("holds the state of another optimiser", optimiser=snnfp.SGD(lr=0.1))
    refused("was training .*expected", wrt="input_to_hidden.weight")
    net.save(tmp_path / "checkpoint")
    refused("is not a training checkpoint")
    assert np.array_equal(net.flatten(), before)


def test_early_stopping():
    net, data = problem()
    history = fit(
        net, data, optimiser=Adam(lr=1e-9), epochs=50, validation=data,
        early_stopping=EarlyStopping(patience=3), **OPTIONS
    )  # fmt: skip
    assert len(history) < 10
    net, data = problem()
    history = fit(
        net, data, optimiser=Adam(lr=0.02), epochs=50, validation=data,
        early_stopping=EarlyStopping(patience=50, target=0.7), **OPTIONS
    )  # fmt: skip
    assert history.last("validation_accuracy") >= 0.7
    assert max(history["validation_accuracy"][:-1], default=0) < 0.7


def test_the_best_epoch_is_put_back():
    net, data = problem()
    seen = []
    history = fit(
        net, data, optimiser=Adam(lr=0.5), epochs=12, validation=data,
        early_stopping=EarlyStopping(patience=12), callbacks=[lambda h, n: seen.append(n.flatten())], **OPTIONS
    )  # fmt: skip
    best = int(np.argmax(history["validation_accuracy"]))
    assert np.array_equal(net.flatten(), seen[best])


def test_callbacks_see_each_epoch_and_may_stop():
    net, data = problem()
    lengths = []

    def callback(history, network):
        assert network is net
        lengths.append(len(history))
        return len(history) == 3

    fit(net, data, optimiser=Adam(), epochs=9, callbacks=[callback], **OPTIONS)
    assert lengths == [1, 2, 3]


def test_clipping_is_counted():
    net, data = problem()
    history = fit(net, data, optimiser=Adam(), epochs=2, clip_norm=1e-6, **OPTIONS)
    assert history["clipped"] == [3.0, 3.0]
    net, data = problem()
    history = fit(net, data, optimiser=Adam(), epochs=2, clip_norm=1e9, **OPTIONS)
    assert history["clipped"] == [0.0, 0.0]


def test_parameters_stay_in_their_domain():
    net, data = problem()
    options = {**OPTIONS, "wrt": ("*.weight", "*.delay", "hidden.tau_mem")}
    fit(
        net, data, optimiser=snnfp.SGD(lr=5.0), epochs=2,
        bounds={"input_to_hidden.weight": (-1.0, 2.0), "*.tau_mem": (0.5, 1.5)}, **options
    )  # fmt: skip
    p = net.parameters
    assert p["input_to_hidden.delay"] >= 0 and p["hidden_to_output.delay"] >= 0
    assert 0.5 <= p["hidden.tau_mem"] <= 1.5
    assert p["input_to_hidden.weight"].min() >= -1.0 and p["input_to_hidden.weight"].max() <= 2.0


def silent():
    """Nothing fires: the input weights are far too small."""
    net, data = problem(weight=1e-3)
    return net, data


def test_a_silent_network_has_a_finite_loss_and_no_gradient():
    net, (spikes, labels) = silent()
    with pytest.warns(SilentPopulationWarning) as caught:
        value, gradient = snnfp.value_and_grad(net, spikes, labels, LOSS, until=4.0, wrt="*")
    assert [str(w.message)[:23] for w in caught] == [
        "population hidden fires",
        "population output fires",
    ]
    assert value == pytest.approx(np.log(3) + 0.01 * np.expm1(2.0), rel=1e-12)
    assert not any(np.any(g) for g in gradient.values())


def test_a_silent_network_is_reported_once_and_stays():
    net, data = silent()
    before = net.flatten()
    with pytest.warns(SilentPopulationWarning, match="snnfp.remedies") as caught:
        history = fit(net, data, optimiser=Adam(), epochs=3, **OPTIONS)
    assert len(caught) == 2  # one a population
    assert history["silent/hidden"] == history["silent/output"] == [1.0, 1.0, 1.0]
    assert history["remedied"] == [0, 0, 0]
    assert np.array_equal(net.flatten(), before)


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_a_remedy_revives_it_and_is_reported():
    net, data = silent()
    history = fit(
        net, data, optimiser=Adam(lr=0.05), epochs=20,
        remedies=[WeightBump(amount=0.01), LabelBump(amount=0.1)], **OPTIONS
    )  # fmt: skip
    assert history["remedied"][0] == 3 * (15 + 3) + 60
    assert history.last("silent/hidden") < 0.5
    assert history.last("loss") < history["loss"][0]


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
def test_remedies_are_told_apart_from_the_gradient():
    net, (spikes, labels) = silent()
    _, exact, record = snnfp.value_and_grad(
        net, spikes, labels, LOSS, until=4.0, return_record=True
    )
    bumped, count = WeightBump(amount=0.5, populations=("hidden",))(net, record, labels, exact)
    assert count == 15
    assert np.all(bumped["input_to_hidden.weight"] == -0.5)
    assert bumped["hidden_to_output.weight"] is exact["hidden_to_output.weight"]
    assert not np.any(exact["input_to_hidden.weight"])
    net, (spikes, labels) = problem()
    _, exact, record = snnfp.value_and_grad(
        net, spikes, labels, LOSS, until=4.0, return_record=True
    )
    same, count = LabelBump(amount=0.5)(net, record, labels, exact)
    missing = np.isinf(record.first_spikes("output"))[np.arange(60), labels]
    assert count == missing.sum()
    fired = record.sent("hidden") > 0
    wanted = np.zeros((15, 3))
    for s in np.flatnonzero(missing):
        wanted[fired[s], labels[s]] += 0.5 / 60
    key = "hidden_to_output.weight"
    np.testing.assert_allclose(same[key], exact[key] - wanted, rtol=1e-14)


def test_progress(capfd, monkeypatch):
    pytest.importorskip("tqdm")
    net, data = problem()
    fit(net, data, optimiser=Adam(), epochs=2, **{**OPTIONS, "progress": True})
    shown = capfd.readouterr()
    assert "2/2" in shown.err and "loss=" in shown.err and shown.out == ""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(training, "_told_about_tqdm", False)
    for _ in range(2):
        fit(net, data, optimiser=Adam(), epochs=1, **{**OPTIONS, "progress": True})
    shown = capfd.readouterr()
    assert (
        shown.out
        == "no progress bar: tqdm is not installed; it comes with: pip install 'snnfp[train]'\n"
    )


def test_targets_that_are_no_classes():
    net, (spikes, _) = problem()
    loss = snnfp.losses.SpikeTimeSquaredError(horizon=4.0)
    for target in (np.full((60, 3), 2.0), Spikes.from_latencies(np.full((60, 3), 2.0))):
        history = fit(
            net, (spikes, target), optimiser=Adam(lr=0.01), epochs=3, **{**OPTIONS, "loss": loss}
        )
        assert history["loss"][-1] < history["loss"][0]
        assert np.isnan(history.last("accuracy"))


def test_the_order_of_samples_is_the_seed_s():
    results = []
    for seed in (1, 1, 2):
        net, data = problem()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append(
                everything(net, fit(net, data, optimiser=Adam(), epochs=2, seed=seed, **OPTIONS))
            )
    assert results[0] == results[1] != results[2]
