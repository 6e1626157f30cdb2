"""fit: learns, resumes to the bit, stops, reports; remedies apart from the gradient."""

import re
import sys
import warnings

import numpy as np
import pytest
import snnfp
from digests import digest
from snnfp import Adam, EarlyStopping, Spikes, _epochs, fit, history, network
from snnfp.errors import SilentPopulationWarning
from snnfp.losses import FirstSpikeCrossEntropy
from snnfp.remedies import LabelBump, WeightBump
from snnfp.training_state import Run

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
        *("min_slope", "near_tangent", "norm", "clipped", "remedied"),
        *("silent/hidden", "silent/output", "spikes/hidden", "spikes/output", "deliveries"),
    }


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


@pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")
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
    lengths.clear()
    stop = [callback, lambda history, _: np.bool_(len(history) == 2)]
    fit(net, data, optimiser=Adam(), epochs=9, callbacks=stop, **OPTIONS)
    assert lengths == [1, 2]


def test_a_callback_may_add_to_the_network():
    net, data = problem()

    def callback(history, network):
        if len(history) == 1:
            hidden = network.populations["hidden"]
            network.connect(hidden, hidden, snnfp.Dense(weight=0.0, delay=0.1), name="back")

    history = fit(net, data, optimiser=Adam(), epochs=2, callbacks=[callback], **OPTIONS)
    assert len(history) == 2 and np.all(net.parameters["back.weight"] == 0)


@pytest.mark.parametrize("returned", [1, "no", [], np.array(False), 0.0, lambda: True])
def test_a_callback_that_returns_something_else_is_told_so(returned):
    """An epoch's figure or a history that it returns by the way is no wish to stop."""
    net, data = problem()
    callbacks = [lambda history, net: None, lambda history, net: returned]
    with pytest.raises(TypeError, match=r"callbacks\[1\] returned .*expected True to stop") as e:
        fit(net, data, optimiser=Adam(), epochs=2, callbacks=callbacks, **OPTIONS)
    assert len(e.value.history) == 1


def norms_of_steps(net, data, epochs):
    """Norm of the gradient at each step of a training that hardly moves, by epoch."""
    spikes, labels = data
    out = []
    for epoch in range(epochs):
        order = np.random.default_rng([0, epoch]).permutation(60)
        parts = [order[k : k + 20] for k in (0, 20, 40)]
        gradients = [
            snnfp.value_and_grad(net, spikes.take(p), labels[p], LOSS, until=4.0)[1] for p in parts
        ]
        out.append([np.sqrt(sum(np.sum(v**2) for v in g.values())) for g in gradients])
    return np.array(out)


def test_norms_and_clipping_are_reported():
    net, data = problem()
    norms = norms_of_steps(net, data, 2)
    between = float(np.median(norms))
    options = {**OPTIONS, "optimiser": snnfp.SGD(lr=1e-12), "epochs": 2}
    history = fit(net, data, clip_norm=between, **options)
    np.testing.assert_allclose(history["norm"], np.median(norms, axis=1), rtol=1e-6)
    assert history["clipped"] == np.mean(norms > between, axis=1).tolist()
    assert 0 < sum(history["clipped"]) < 2
    for limit, share in ((1e-6, 1.0), (1e9, 0.0), (None, 0.0), (np.inf, 0.0)):
        assert fit(net, data, clip_norm=limit, **options)["clipped"] == [share, share]


def test_a_clipped_step_has_the_norm_asked_for_with_what_remedies_add():
    """lr = 1 and no momentum: the step is the gradient itself."""
    net, data = problem()
    before = net.flatten()

    def large(net, record, labels, gradients):
        return {k: g + 10.0 for k, g in gradients.items()}, 1

    options = {**OPTIONS, "batch_size": 60, "optimiser": snnfp.SGD(lr=1.0), "epochs": 1}
    history = fit(net, data, remedies=[large], clip_norm=0.01, **options)
    assert np.linalg.norm(net.flatten() - before) == pytest.approx(0.01, rel=1e-9)
    assert history.last("norm") > 100 and history.last("clipped") == 1.0


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
    assert all(w.filename == __file__ for w in caught)
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


def test_targets_that_are_no_classes():
    net, (spikes, _) = problem()
    loss = snnfp.losses.SpikeTimeSquaredError(horizon=4.0)
    for target in (np.full((60, 3), 2.0), Spikes.from_latencies(np.full((60, 3), 2.0))):
        history = fit(
            net, (spikes, target), optimiser=Adam(lr=0.01), epochs=3, **{**OPTIONS, "loss": loss}
        )
        assert history["loss"][-1] < history["loss"][0]
        assert "accuracy" not in history.epochs
        with pytest.raises(
            KeyError, match="'accuracy' is not in the history, expected one of: loss"
        ):
            history.last("accuracy")


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


def test_each_epoch_is_shuffled_afresh_by_seed_and_epoch():
    net, (spikes, _) = problem()
    seen = []

    def loss(record, labels):
        seen.append(labels[:, 0].astype(int))
        return 0.0, {"output": np.zeros((record.n_samples, 3))}

    numbered = np.repeat(np.arange(60.0)[:, None], 3, axis=1)
    options = {**OPTIONS, "loss": loss, "seed": 5}
    fit(net, (spikes, numbered), optimiser=Adam(), epochs=3, **options)
    orders = np.concatenate(seen).reshape(3, 60)
    for epoch, order in enumerate(orders):
        assert np.array_equal(order, np.random.default_rng([5, epoch]).permutation(60))
    assert len({tuple(order) for order in orders}) == 3


def test_the_schedule_s_step_runs_through_the_epochs():
    net, data = problem()
    asked = []

    def schedule(step, epoch):
        asked.append((step, epoch))
        return 1.0 / (1 + step)

    history = fit(net, data, optimiser=Adam(lr=0.6), epochs=2, schedule=schedule, **OPTIONS)
    assert [a for k, a in enumerate(asked) if a not in asked[:k]] == [
        (0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (5, 1),
    ]  # fmt: skip
    assert history["lr"] == [pytest.approx(0.6 / 3), pytest.approx(0.6 / 6)]


def test_silent_fractions_are_of_the_epoch_not_of_its_last_batch():
    """Neuron 0 fires in the first of two samples, neuron 1 in the second: of the epoch, both do."""
    net = snnfp.Network()
    x = net.input(2)
    h = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]))
    spikes = Spikes.from_latencies([[0.5, np.inf], [np.inf, 0.5]])
    options = {**OPTIONS, "batch_size": 1, "optimiser": snnfp.SGD(lr=1e-9)}
    history = fit(net, (spikes, [0, 1]), epochs=1, **options)
    assert history.last("silent/h") == pytest.approx(1 / 3)


def test_two_inputs():
    def net():
        net = snnfp.Network()
        a, b = net.input(2, name="a"), net.input(3, name="b")
        p = net.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="p")
        net.connect(a, p, snnfp.Dense(weight=snnfp.init.Normal(2.0, 0.5)))
        net.connect(b, p, snnfp.Dense(weight=snnfp.init.Normal(1.0, 0.5)))
        return net.initialise(0)

    rng = np.random.default_rng(0)
    spikes = {k: Spikes.from_latencies(rng.uniform(0, 2, (60, n))) for k, n in (("a", 2), ("b", 3))}
    labels = np.arange(60) % 3
    both = net()
    data = (spikes, labels)
    history = fit(both, data, optimiser=Adam(lr=0.02), epochs=5, validation=data, **OPTIONS)
    assert history["loss"][-1] < history["loss"][0]
    seen = snnfp.evaluate(both, spikes, labels, LOSS, until=4.0)
    assert seen.accuracy == history.last("validation_accuracy")
    # The same as one input of five channels.
    one = snnfp.Network()
    x, p = one.input(5), one.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="p")
    weight = np.concatenate([net().parameters["a_to_p.weight"], net().parameters["b_to_p.weight"]])
    one.connect(x, p, snnfp.Dense(weight=weight), name="w")
    dense = np.concatenate(
        [[[c[0] for c in s] for s in spikes[k].to_lists()] for k in ("a", "b")], axis=1
    )
    fit(one, (Spikes.from_latencies(dense), labels), optimiser=Adam(lr=0.02), epochs=5, **OPTIONS)
    got = np.concatenate([both.parameters["a_to_p.weight"], both.parameters["b_to_p.weight"]])
    np.testing.assert_allclose(got, one.parameters["w.weight"], rtol=1e-9)


def stops(k):
    """A loss that interrupts at its k-th batch."""
    calls = []

    def loss(record, labels):
        calls.append(1)
        if len(calls) == k:
            raise KeyboardInterrupt
        return LOSS(record, labels)

    return loss


def test_an_interrupt_loses_nothing(tmp_path):
    pytest.importorskip("safetensors")
    net, data = problem()
    path = tmp_path / "checkpoint"
    options = {**OPTIONS, "optimiser": Adam(lr=0.02), "checkpoint": path}
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(net, data, epochs=9, **{**options, "loss": stops(3 * 2 + 2 + 1)})
    assert len(caught.value.history) == 2 and len(caught.value.history["loss"]) == 2
    [note] = caught.value.__notes__
    assert "had done 8 steps and 2 whole epochs" in note and f"resume={str(path)!r}" in note
    # The network is that of step 8, ready to use; the checkpoint that of epoch 2.
    steps = []
    other, _ = problem()

    class Watched(Adam):
        def update(self, parameters, gradients, state, *, factor=1.0):
            result = super().update(parameters, gradients, state, factor=factor)
            steps.append(np.concatenate([v.reshape(-1) for v in result[0].values()]))
            return result

    fit(other, data, epochs=3, **{**options, "checkpoint": None, "optimiser": Watched(lr=0.02)})
    assert np.array_equal(net.flatten(), steps[7])
    resumed, _ = problem(seed=4)
    history = fit(resumed, data, epochs=3, resume=path, **options)
    assert np.array_equal(resumed.flatten(), other.flatten()) and len(history) == 3


def test_an_interrupt_names_no_checkpoint_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("safetensors")
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.02)}
    first, second = tmp_path / "first", tmp_path / "second"

    def fail(*arguments):
        raise OSError("no")

    def note(**changes):
        with pytest.raises((KeyboardInterrupt, OSError)) as caught:
            fit(net, data, epochs=3, **{**options, **changes})
        return caught.value.__notes__[0]

    assert "goes on" not in note(checkpoint=first, callbacks=[fail])
    with monkeypatch.context() as patched:
        patched.setattr(snnfp.training_state, "save_arrays", fail)
        assert "goes on" not in note(checkpoint=first)
    fit(net, data, epochs=1, checkpoint=first, **options)
    begun = note(resume=first, checkpoint=second, loss=stops(2))
    assert begun.endswith(f"; resume={str(first)!r} goes on") and not second.exists()
    assert note(resume=first, checkpoint=second, loss=stops(5)).endswith(
        f"; resume={str(second)!r} goes on"
    )


def test_a_step_is_taken_whole_or_not_at_all():
    net, data = problem()
    before = dict(net.parameters)

    class Bad(snnfp.SGD):
        def update(self, parameters, gradients, state, *, factor=1.0):
            new = {k: v - 0.1 for k, v in parameters.items()}
            new["hidden_to_output.weight"][2, 1] = np.nan
            return new, state

    with pytest.raises(
        ValueError, match=r"epoch 1, step 1 of 3: .*hidden_to_output.*nan"
    ) as caught:
        fit(net, data, optimiser=Bad(lr=1.0), epochs=1, **OPTIONS)
    assert len(caught.value.history) == 0
    assert all(np.array_equal(net.parameters[k], v) for k, v in before.items())
    # The core's values too: a simulation is that of the network before.
    fresh, _ = problem()
    spikes = data[0]
    assert digest(snnfp.simulate(net, spikes, until=4.0).times) == digest(
        snnfp.simulate(fresh, spikes, until=4.0).times
    )


def test_an_interrupt_between_two_parameters_takes_the_step_back(monkeypatch):
    net, data = problem()
    before = dict(net.parameters)
    real, calls = net._set, []

    def interrupted(name, value, fresh=False):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(name, value, fresh)

    monkeypatch.setattr(net, "_set", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(net, data, optimiser=Adam(), epochs=1, **OPTIONS)
    assert all(np.array_equal(net.parameters[k], v) for k, v in before.items())


def test_a_step_is_whole_wherever_ctrl_c_comes():
    """Before each line of a step in turn: network and history are those of what it says was done."""
    net, data = problem(n=12)
    after = []

    def loss(record, labels):
        after.append(net.flatten())
        return LOSS(record, labels)

    options = {**OPTIONS, "optimiser": Adam(lr=0.01), "epochs": 2, "batch_size": 6}
    fit(net, data, **{**options, "loss": loss})
    after.append(net.flatten())
    files, interrupted = {_epochs.__file__, network.__file__, history.__file__}, []
    while True:
        left = len(interrupted) + 1

        def trace(frame, event, _):
            nonlocal left
            name = frame.f_code.co_name
            if name not in ("_step", "_take", "_replace", "_replace_each", "_set_each", "append"):
                return None
            if event == "line" and frame.f_code.co_filename in files:
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt
            return trace

        net, data = problem(n=12)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            fit(net, data, **options)
            break
        except KeyboardInterrupt as error:
            said = re.search(r"had done (\d+) steps and (\d+) whole epochs", error.__notes__[0])
            steps, epochs = int(said[1]), int(said[2])
            assert np.array_equal(net.flatten(), after[steps]), f"line event {len(interrupted)}"
            assert all(len(figure) == epochs for figure in error.history.epochs.values())
            interrupted.append((steps, epochs))
        finally:
            sys.settrace(before)
    assert len(interrupted) > 150
    assert set(interrupted) == {(0, 0), (1, 0), (2, 0), (2, 1), (3, 1), (4, 1)}


def test_errors_name_the_sample_of_the_data_set_the_epoch_and_the_step():
    net, (spikes, _) = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=1e-9), "epochs": 3}

    def at(bad, user):
        """Fails in the second epoch, where it meets the sample."""
        numbers, epoch = np.arange(60), []

        def loss(record, rows):
            epoch.extend(rows[:, 0])
            k = np.flatnonzero(rows[:, 0] == bad)
            if len(epoch) > 60 and k.size and user:
                raise ValueError(f"sample {bad} is odd, labels[{bad}] too")
            if len(epoch) > 60 and k.size:
                return LOSS(record, np.where(rows[:, 0] == bad, 7, 0))
            return 0.0, np.zeros(record.n_spikes)

        return loss, np.repeat(numbers[:, None].astype(float), 3, axis=1)

    # What a user's own function says of samples is left as it is.
    for user, text in ((False, r"labels\[{0}\] is 7"), (True, r"sample {0} is odd, labels\[{0}\]")):
        for bad in (0, 17, 59):
            loss, rows = at(bad, user)
            step = list(np.random.default_rng([0, 1]).permutation(60)).index(bad) // 20 + 1
            where = f"^epoch 2, step {step} of 3: {text.format(bad)}"
            with pytest.raises(ValueError, match=where) as e:
                fit(net, (spikes, rows), **{**options, "loss": loss})
            assert len(e.value.history) == 1


def runaway():
    """A network that runs away where its second channel fires, and samples of which one does."""
    net = snnfp.Network()
    x = net.input(2)
    h = net.population(2, snnfp.LIF(tau_mem=1.0, tau_syn=np.inf), name="h")
    net.connect(x, h, snnfp.Dense(weight=[[2.0, 2.5], [1e6, 1e6]]))
    latencies = np.full((30, 2), np.inf)
    latencies[:, 0] = 0.5
    latencies[23, 1] = 0.5
    return net, Spikes.from_latencies(latencies), np.arange(30) % 2


def test_runaway_firing_names_the_sample_and_no_option_that_is_not_there():
    class Counting(FirstSpikeCrossEntropy):
        """May look at all spikes, as far as anybody can tell."""

        def __call__(self, record, labels):
            return super().__call__(record, labels)

        def predict(self, record):
            return super().predict(record)

    net, spikes, labels = runaway()
    options = {**OPTIONS, "optimiser": Adam(lr=1e-6), "epochs": 1, "batch_size": 4}
    whole = Counting(tau0=LOSS.tau0, horizon=LOSS.horizon)
    good = spikes.take([0, 1, 2]), labels[:3]
    calls = {
        r"epoch 1, step \d of 8": lambda loss: fit(
            net, (spikes, labels), **{**options, "loss": loss}
        ),
        "validation after epoch 1": lambda loss: fit(
            net, good, validation=(spikes, labels), **{**options, "loss": loss}
        ),
        "evaluate": lambda loss: snnfp.evaluate(net, spikes, labels, loss, until=4.0, batch_size=4),
        "predict": lambda loss: snnfp.predict(net, spikes, loss, until=4.0, batch_size=4),
    }
    for where, call in calls.items():
        call(LOSS)  # only first spikes are looked at: nothing runs away
        message = f"^{where}: neuron [01] of population h fired 10001 spikes .* in sample 23: look"
        with pytest.raises(snnfp.errors.EventLimitError, match=message) as caught:
            call(whole)
        assert caught.value.sample == 23 and "spike_limit" not in str(caught.value)


def test_loss_and_accuracy_are_means_over_samples_not_batches():
    """The last batch is smaller than the others."""
    net, (spikes, labels) = problem(n=25)
    seen = snnfp.evaluate(net, spikes, labels, LOSS, until=4.0, n_threads=1)
    history = fit(net, (spikes, labels), optimiser=snnfp.SGD(lr=1e-12), epochs=1, **OPTIONS)
    assert history["loss"][0] == pytest.approx(seen.loss, rel=1e-9)
    assert history["accuracy"][0] == pytest.approx(seen.accuracy, rel=1e-9)


def test_patience_counts_from_the_best_epoch():
    """Epochs without improvement before the best one are no part of it."""
    net, _ = problem()
    run = Run(net, ("hidden.tau_mem",), {}, 0, {}, {})
    rule = EarlyStopping(patience=3, metric="accuracy")
    stopped = []
    for accuracy in (0.5, 0.4, 0.4, 0.6, 0.5, 0.5, 0.5):
        run.history.append({"loss": 1.0, "accuracy": accuracy})
        run.apply(rule)
        stopped.append(run.stopped)
    assert stopped == [False] * 6 + [True]
    assert run.best_value == 0.6


def test_a_history_reads_by_name_and_by_epoch():
    net, data = problem()
    history = fit(net, data, optimiser=Adam(lr=0.01), epochs=2, **OPTIONS)
    assert "loss" in history and "validation_loss" not in history
    assert dict(history) == history.epochs and list(history.keys()) == list(history.epochs)
    epochs = list(history)
    assert len(epochs) == len(history) == 2 and bool(history) and not snnfp.History()
    assert all(epoch.keys() == history.keys() for epoch in epochs)
    for name in history.keys():
        assert [epoch[name] for epoch in epochs] == history[name]
    assert list(snnfp.History()) == []
    for wrong in ("los", 0, epochs[0]):
        with pytest.raises(KeyError, match="is not in the history, expected one of: loss, "):
            history[wrong]


def test_a_label_bump_without_classes_says_what_it_needs():
    net, (spikes, labels) = problem()
    targets = np.full((len(labels), 3), 2.0)
    loss = snnfp.losses.SpikeTimeSquaredError(horizon=4.0)
    with pytest.raises(TypeError, match="LabelBump needs the labels of classes: labels have"):
        fit(
            net,
            (spikes, targets),
            optimiser=Adam(lr=0.01),
            epochs=1,
            remedies=[LabelBump(amount=1.0)],
            **{**OPTIONS, "loss": loss},
        )


@pytest.mark.parametrize("value", [np.zeros(2), "a", None])
def test_a_value_of_a_loss_function_that_is_no_number(value):
    net, (spikes, labels) = problem()
    loss = snnfp.losses.FirstSpikeFunction(function=lambda t, _: (value, np.zeros(t.shape)))
    with pytest.raises(TypeError, match=r"the loss function returned the value .* one number"):
        snnfp.value_and_grad(net, spikes, labels, loss, until=4.0, n_threads=1)
