"""What fit and value_and_grad say to mistakes: what was typed, what was expected, before a step."""

import numpy as np
import pytest
import snnfp
from snnfp import Adam, EarlyStopping, Spikes, fit
from snnfp.errors import AlikeNeuronsWarning, NothingToTrainWarning
from snnfp.losses import FirstSpikeCrossEntropy, FirstSpikeFunction, SpikeTimeSquaredError
from snnfp.remedies import LabelBump, WeightBump
from test_training import LOSS, problem


class _Module:
    """A class of elsewhere with an lr but no init, as PyTorch's optimisers are."""

    lr = 0.1


def only_labels(history):
    return None


MISTAKES = {
    "data: spikes only": ({"train": lambda d: d[0]}, TypeError, r"train is a Spikes, expected \(spikes, labels\)"),
    "data: two samples": ({"train": lambda d: d[0].take([0, 1])}, TypeError, "train is a Spikes"),
    "data: a mapping": ({"train": lambda d: {"x": d[0]}}, TypeError, "train is a dict, expected"),
    "data: three parts": ({"train": lambda d: (*d, 1)}, TypeError, "train has 3 parts, expected"),
    "data: features": ({"train": lambda d: (np.ones((60, 5)), d[1])}, TypeError, r"train\[0\] is a ndarray, expected snnfp.Spikes \(see snnfp.encoding.latency"),
    "data: wrong names": ({"train": lambda d: ({"x": d[0]}, d[1])}, ValueError, "'input'"),
    "validation: spikes only": ({"validation": lambda d: d[0]}, TypeError, "validation is a Spikes"),
    "validation: labels": ({"validation": lambda d: (d[0], d[1] + 5)}, ValueError, r"labels\[0\] is \d"),
    "labels: none": ({"train": lambda d: (d[0], None)}, TypeError, "train: labels is None, expected labels, one a"),
    "labels: a number": ({"train": lambda d: (d[0], 3)}, TypeError, "train: labels is 3"),
    "labels: ragged": ({"train": lambda d: (d[0], [[0], [1, 2]] * 30)}, ValueError, "train: labels is a list whose parts have different lengths"),
    "labels: texts": ({"train": lambda d: (d[0], ["a", "b"] * 30)}, TypeError, r"dtype <U1, expected integers: classes, labels = np.unique\(labels, return_inverse=True\)"),
    "labels: objects": ({"train": lambda d: (d[0], np.array(["a", 1] * 30, object))}, TypeError, "np.unique"),
    "labels: booleans": ({"train": lambda d: (d[0], d[1] > 0)}, TypeError, r"labels.astype\(int\) makes them 0 and 1"),
    "labels: floats": ({"train": lambda d: (d[0], d[1] * 1.0)}, TypeError, r"labels.astype\(int\) makes them so"),
    "labels: half": ({"train": lambda d: (d[0], d[1] * 0.5)}, TypeError, "expected integers$"),
    "labels: one-hot": ({"train": lambda d: (d[0], np.eye(3, dtype=int)[d[1]])}, ValueError, r"labels.argmax\(axis=1\) makes them so"),
    "labels: a column": ({"train": lambda d: (d[0], d[1][:, None])}, ValueError, r"labels.reshape\(-1\) makes them so"),
    "labels: spikes": ({"train": lambda d: (d[0], d[0])}, TypeError, "labels are snnfp.Spikes, expected classes"),
    "loss: a text": ({"loss": "cross_entropy"}, TypeError, "loss is 'cross_entropy', expected one of snnfp.losses"),
    "loss: the class": ({"loss": FirstSpikeCrossEntropy}, TypeError, r"the class FirstSpikeCrossEntropy, expected FirstSpikeCrossEntropy\(...\)"),
    "loss: a value": ({"loss": lambda r, y: 1.0}, TypeError, r"epoch 1, step 1 of 3: the loss returned a float, expected \(value, dL/dt\)"),
    "loss: three values": ({"loss": lambda r, y: (1.0, 2, 3)}, TypeError, "the loss returned 3 values"),
    "loss: a function's value": ({"loss": FirstSpikeFunction(function=lambda t, y: 1.0)}, TypeError, "the loss function returned a float"),
    "loss: population": ({"loss": FirstSpikeCrossEntropy(tau0=1, horizon=4, population="x")}, KeyError, "'x' is not a population"),
    "loss: horizon": ({"until": 4.5}, ValueError, "horizon = 4.0, before until = 4.5: silence would count as earlier"),
    "until: below 0": ({"until": -1}, ValueError, "^until is -1, expected a time >= 0"),
    "until: nan": ({"until": np.nan}, ValueError, "^until is nan, expected a time >= 0"),
    "until: a text": ({"until": "4"}, TypeError, "until is '4', expected a number"),
    "optimiser: a text": ({"optimiser": "adam"}, TypeError, r"optimiser is 'adam', expected snnfp.Adam\(lr=...\)"),
    "optimiser: the class": ({"optimiser": Adam}, TypeError, r"the class Adam, expected an object: Adam\(lr=...\)"),
    "optimiser: of elsewhere": ({"optimiser": _Module()}, TypeError, "optimiser is a test_fit_messages._Module, expected"),
    "optimiser: decay": ({"optimiser": Adam(weight_decay=0.1), "wrt": "hidden.threshold"}, ValueError, "weight_decay acts on"),
    "schedule: one argument": ({"schedule": lambda epoch: 1.0}, TypeError, r"schedule: .*expected f\(step, epoch\) -> factor"),
    "schedule: a number": ({"schedule": 0.9}, TypeError, "schedule is 0.9, expected one of snnfp.schedules"),
    "schedule: the class": ({"schedule": snnfp.schedules.Cosine}, TypeError, "expected one of snnfp.schedules"),
    "schedule: nothing": ({"schedule": lambda step, epoch: None}, TypeError, "factor at step 0 is None"),
    "schedule: below 0": ({"schedule": lambda step, epoch: -1}, ValueError, "factor at step 0 is -1"),
    "epochs: text": ({"epochs": "3"}, TypeError, "epochs is '3', expected an integer"),
    "seed": ({"seed": -1}, ValueError, "seed is -1, expected an integer of at least 0"),
    "wrt: input times": ({"wrt": ["*.weight", "input.times"]}, ValueError, "wrt = 'input.times' names no parameter"),
    "wrt: nothing": ({"wrt": []}, ValueError, "wrt is empty, expected names or patterns"),
    "clip_norm": ({"clip_norm": "1"}, TypeError, "clip_norm is '1', expected a number"),
    "mode": ({"mode": "backward"}, ValueError, "mode is 'backward', expected 'reverse' or 'forward'"),
    "remedies: one": ({"remedies": LabelBump(amount=1.0)}, TypeError, "expected a list of them"),
    "remedies: the class": ({"remedies": [LabelBump]}, TypeError, r"remedies\[0\] is <class"),
    "remedies: arguments": ({"remedies": [lambda net, record: 1]}, TypeError, r"remedies\[0\]: .*expected f\(net, record, labels, gradients\)"),
    "remedies: population": ({"remedies": [LabelBump(amount=1.0, population="x")]}, KeyError, "'x' is not a pop"),
    "remedies: populations": ({"remedies": [WeightBump(amount=1.0, populations=("hiden",))]}, KeyError, "'hiden'"),
    "remedies: not trained": ({"remedies": [LabelBump(amount=1.0, population="output")], "wrt": "input_to_hidden.weight"}, ValueError, "incoming weights of output, none of which is trained: trained are input_to_hidden.weight"),
    "remedies: last not trained": ({"remedies": [LabelBump(amount=1.0)], "wrt": "input_to_hidden.weight"}, ValueError, r"LabelBump\(.* incoming weights of output, none of which is trained: trained are input_to_hidden.weight"),
    "remedies: none trained": ({"remedies": [WeightBump(amount=1.0)], "wrt": "hidden.threshold"}, ValueError, r"WeightBump\(.* incoming weights of hidden or output, none of which is trained: trained are hidden.threshold"),
    "callbacks: one": ({"callbacks": only_labels}, TypeError, r"expected a list of functions \(history, net\)"),
    "callbacks: arguments": ({"callbacks": [only_labels]}, TypeError, r"callbacks\[0\]: .*expected f\(history, net\)"),
    "early_stopping": ({"early_stopping": 3}, TypeError, "early_stopping is 3, expected snnfp.EarlyStopping"),
    "early_stopping: no validation": ({"early_stopping": EarlyStopping()}, ValueError, "'validation_accuracy', expected one of: loss, accuracy, norm"),
    "bounds: a typo": ({"bounds": {"*.weights": (0, 1)}}, KeyError, r"bounds: '\*.weights' matches nothing; expected patterns of trained parameters: input_to_hidden.weight, hidden_to"),
    "bounds: not trained": ({"bounds": {"hidden.tau_*": (1, 2)}}, KeyError, "matches hidden.tau_mem, hidden.tau_syn, not trained"),
    "bounds: crossed": ({"bounds": {"*.weight": (2, 1)}}, ValueError, "bounds of input_to_hidden.weight are 2 ... 1, expected low <= high"),
    "bounds: crossed together": ({"bounds": {"*.weight": (2, None), "hidden_*": (None, 1)}}, ValueError, "2 ... 1"),
    "bounds: nan": ({"bounds": {"*.weight": (np.nan, 1)}}, ValueError, "low of '\\*.weight' is nan"),
    "bounds: a number": ({"bounds": {"*.weight": 1}}, TypeError, r"'\*.weight' has 1, expected \(low, high\)"),
    "bounds: a text": ({"bounds": {"*.weight": ("0", 1)}}, TypeError, "expected numbers or None"),
    "bounds: a shape": ({"bounds": {"*.weight": (np.zeros(3), None)}}, ValueError, r"has shape \(3,\), expected \(\) or \(5, 15\)"),
    "bounds: no mapping": ({"bounds": [1]}, TypeError, r"bounds is \[1\], expected a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case):
    """Nothing is trained: the parameters stay what they were."""
    changes, error, message = MISTAKES[case]
    net, data = problem()
    before = {k: v.tobytes() for k, v in net.parameters.items()}
    options = {
        "loss": LOSS, "optimiser": Adam(lr=0.01), "epochs": 1, "until": 4.0, "progress": False,
        "batch_size": 20, "n_threads": 1, **changes,
    }  # fmt: skip
    for key in ("train", "validation"):
        if callable(options.get(key)):
            options[key] = options[key](data)
    train = options.pop("train", data)
    with pytest.raises(error, match=message):
        fit(net, train, **options)
    assert {k: v.tobytes() for k, v in net.parameters.items()} == before


def test_a_network_without_population():
    net = snnfp.Network()
    net.input(2)
    spikes = Spikes.from_latencies([[0.1, 0.2]])
    for call in (
        lambda: fit(net, (spikes, [0]), loss=LOSS, optimiser=Adam(), epochs=1, progress=False),
        lambda: snnfp.evaluate(net, spikes, [0], LOSS),
        lambda: snnfp.predict(net, spikes, LOSS),
    ):
        with pytest.raises(
            ValueError, match="has no population and no readout, expected at least one"
        ):
            call()
    with pytest.raises(TypeError, match=r"net is 'net', expected snnfp\.Network"):
        fit("net", (spikes, [0]), loss=LOSS, optimiser=Adam(), epochs=1, progress=False)


@pytest.mark.parametrize("flat", [True, False])
def test_a_derivative_that_is_nan_is_named_by_its_spike(flat):
    net, (spikes, labels) = problem()
    record = snnfp.simulate(net, spikes, until=4.0)
    mine = record.indices("output")
    k = int(mine[np.flatnonzero(record.samples[mine] == 47)[-1]])
    neuron = record.neurons[k] - 15
    before = np.count_nonzero(record.neurons[record.offsets[47] : k] == record.neurons[k])
    spike = (
        rf"dL/dt = nan for spike {before} of neuron {neuron} of population output in sample 47 \(at"
    )

    def loss(record, labels):
        n = record.n_spikes if flat else mine.size
        derivative = np.zeros(n)
        derivative[k if flat else np.flatnonzero(mine == k)[0]] = np.nan
        return 1.0, derivative if flat else {"output": derivative}

    with pytest.raises(ValueError, match=spike):
        snnfp.value_and_grad(net, spikes, labels, loss, until=4.0)


def test_a_derivative_by_first_spikes_that_is_nan_is_named_by_the_sample_of_the_data_set():
    net, (spikes, _) = problem()
    first = snnfp.simulate(net, spikes, until=4.0).first_indices("output")
    s, j = np.argwhere(first >= 0)[-1]
    numbered = np.repeat(np.arange(60.0)[:, None], 3, axis=1)

    def loss(record, rows):
        derivative = np.zeros((record.n_samples, 3))
        derivative[rows[:, 0] == s, j] = np.inf
        return 1.0, {"output": derivative}

    message = rf"epoch 1, step \d of 3: the loss returned dL/dt = inf for spike 0 of neuron {j} of population output in sample {s} "
    with pytest.raises(ValueError, match=message):
        fit(
            net, (spikes, numbered), loss=loss, optimiser=Adam(lr=1e-12), epochs=1, until=4.0,
            batch_size=20, progress=False,
        )  # fmt: skip


def test_other_errors_of_vjp_keep_their_words():
    net, (spikes, labels) = problem()
    with pytest.raises(ValueError, match="cotangents have shape"):
        snnfp.value_and_grad(net, spikes, labels, lambda r, y: (1.0, np.zeros(1)), until=4.0)


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"target": 2},
            ValueError,
            "target is 2, expected 0 < target <= 1: validation_accuracy is a",
        ),
        ({"target": 0.0}, ValueError, "target is 0.0, expected 0 < target <= 1"),
        ({"target": np.nan}, ValueError, "target is nan, expected a finite number"),
        ({"target": np.nan, "metric": "loss"}, ValueError, "target is nan"),
        ({"target": "0.9"}, TypeError, "target is '0.9', expected a number or None"),
        ({"target": 1.0, "metric": "silent/hidden"}, ValueError, "expected 0 <= target < 1"),
        ({"patience": 2.5}, TypeError, "patience is 2.5, expected an integer"),
        ({"patience": True}, TypeError, "patience is True"),
        ({"metric": None}, TypeError, "metric is None, expected the name of a figure"),
    ],
)
def test_early_stopping_s_own_settings(options, error, message):
    with pytest.raises(error, match=message):
        EarlyStopping(**options)


def test_early_stopping_names_the_figures_that_exist():
    """A loss without accuracy: nan would never be better, and the first epoch handed back."""
    net, (spikes, _) = problem()
    data = (spikes, np.full((60, 3), 2.0))
    options = {
        "loss": SpikeTimeSquaredError(horizon=4.0), "optimiser": Adam(lr=0.01), "epochs": 30,
        "until": 4.0, "validation": data, "progress": False,
    }  # fmt: skip
    for rule in (EarlyStopping(), EarlyStopping(target=0.99), EarlyStopping(metric="accuracy")):
        with pytest.raises(
            ValueError, match="expected one of: loss, validation_loss, norm, clipped"
        ):
            fit(net, data, early_stopping=rule, **options)
    history = fit(net, data, early_stopping=EarlyStopping(metric="validation_loss"), **options)
    assert len(history) == 30
    handed_back = snnfp.evaluate(net, *data, options["loss"], until=4.0).loss
    assert handed_back == pytest.approx(min(history["validation_loss"]), rel=1e-12)


@pytest.mark.parametrize(
    "metric", ["spikes/hidden", "spikes/output", "deliveries", "silent/hidden"]
)
def test_early_stopping_by_activity(metric):
    """What a network costs should fall."""
    net, data = problem()
    seen = []
    history = fit(
        net, data, loss=LOSS, optimiser=Adam(lr=0.05), epochs=6, until=4.0, progress=False,
        early_stopping=EarlyStopping(metric=metric, patience=6),
        callbacks=[lambda h, n: seen.append(n.flatten())],
    )  # fmt: skip
    assert history.best(metric) == min(history[metric])
    assert np.array_equal(net.flatten(), seen[int(np.argmin(history[metric]))])
    reached = EarlyStopping(metric=metric, target=0.999 if "silent" in metric else 1e9)
    short = fit(
        net, data, loss=LOSS, optimiser=Adam(lr=0.05), epochs=6, until=4.0, progress=False,
        early_stopping=reached,
    )  # fmt: skip
    assert len(short) == 1


@pytest.mark.parametrize("metric", ["spikes/hiden", "spikes", "lr", "seconds"])
def test_early_stopping_by_what_says_nothing(metric):
    net, data = problem()
    with pytest.raises(ValueError, match=f"looks at '{metric}', expected one of: .*deliveries"):
        fit(
            net, data, loss=LOSS, optimiser=Adam(), epochs=1, until=4.0, progress=False,
            early_stopping=EarlyStopping(metric=metric),
        )  # fmt: skip


def test_a_horizon_before_the_end_is_an_error_in_each_call():
    net, (spikes, labels) = problem()
    loss = FirstSpikeCrossEntropy(tau0=0.3, horizon=1.0)
    with pytest.raises(ValueError, match=r"horizon = 1.0, before until = 4.0"):
        snnfp.value_and_grad(net, spikes, labels, loss, until=4.0)


def test_a_figure_that_is_nan_is_an_error_not_a_reason_to_stop():
    class Sometimes(FirstSpikeCrossEntropy):
        def accuracy(self, record, labels):
            return np.nan

    net, data = problem()
    with pytest.raises(ValueError, match="looks at 'accuracy', which is nan") as caught:
        fit(
            net, data, loss=Sometimes(tau0=0.3, horizon=4.0), optimiser=Adam(), epochs=9, until=4.0,
            early_stopping=EarlyStopping(metric="accuracy"), progress=False,
        )  # fmt: skip
    assert len(caught.value.history) == 1
    with pytest.raises(ValueError, match="is nan"):
        EarlyStopping(metric="loss").better(np.nan, 1.0)
    with pytest.raises(ValueError, match="is nan in every epoch"):
        caught.value.history.best("accuracy")


@pytest.mark.parametrize("metric, falls", [("silent/hidden", True), ("norm", True), ("clipped", True), ("near_tangent", True), ("remedied", True), ("loss", True), ("validation_loss", True), ("accuracy", False), ("min_slope", False)])  # fmt: skip
def test_what_should_fall(metric, falls):
    rule = EarlyStopping(metric=metric)
    assert rule.better(0.1, 0.2) == falls and rule.better(0.2, 0.1) != falls
    history = snnfp.History()
    for value in (0.3, 0.1, 0.2):
        history.append({metric: value})
    assert history.best(metric) == (0.1 if falls else 0.3)


def layers(**hidden):
    net = snnfp.Network()
    x, neuron = net.input(5), {"tau_mem": 1.0, "tau_syn": 1.0}
    h = net.population(4, snnfp.LIF(**{**neuron, **hidden}), name="hidden")
    y = net.population(3, snnfp.LIF(**neuron), name="output")
    return net, x, h, y


def fitted(net, wrt="*.weight"):
    data = problem()[1]
    fit(
        net, data, loss=LOSS, optimiser=Adam(lr=0.05), epochs=2, until=4.0, batch_size=20, wrt=wrt,
        progress=False,
    )  # fmt: skip


def test_hidden_neurons_that_are_all_alike_are_named():
    net, x, h, y = layers()
    net.connect(x, h, snnfp.Dense(weight=1.0))
    net.connect(h, y, snnfp.Dense(weight=np.tile([1.0, 1.1, 1.2], (4, 1))))
    net.connect(h, h, snnfp.Dense(weight=-0.1, delay=0.5), name="loop")
    message = (
        "all 4 neurons of population hidden are alike: input_to_hidden.weight and "
        r"hidden_to_output.weight and loop.weight are the same .*snnfp\.init\.Normal\(mean, std\)"
    )
    with pytest.warns(AlikeNeuronsWarning, match=message) as caught:
        fitted(net)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert np.ptp(net.parameters["input_to_hidden.weight"], axis=1).max() == 0  # and so they stayed


@pytest.mark.parametrize("apart", ["in", "out", "tau", "delay", "one_to_one"])
def test_what_tells_neurons_apart_is_seen(apart):
    rng = np.random.default_rng(0)
    net, x, h, y = layers(**({"tau_mem": [1.0, 1.1, 1.2, 1.3]} if apart == "tau" else {}))
    delay = np.tile([0.1, 0.2, 0.3, 0.4], (5, 1)) if apart == "delay" else 0.0
    net.connect(
        x, h, snnfp.Dense(weight=rng.normal(1, 0.1, (5, 4)) if apart == "in" else 1.0, delay=delay)
    )
    net.connect(h, y, snnfp.Dense(weight=rng.normal(0.5, 0.1, (4, 3)) if apart == "out" else 0.4))
    if apart == "one_to_one":
        net.connect(h, h, snnfp.OneToOne(weight=[0.1, 0.2, 0.3, 0.4], delay=0.5), name="loop")
    fitted(net)  # warnings are errors


def test_a_learning_rate_of_0_is_said_once():
    net, data = problem()
    options = {
        "loss": LOSS, "optimiser": Adam(lr=0.01), "until": 4.0, "progress": False, "batch_size": 20,
    }  # fmt: skip
    with pytest.warns(
        NothingToTrainWarning, match=r"0 by the end of epoch 3 \(schedule=Cosine\(epochs=2"
    ) as caught:
        fit(net, data, epochs=5, schedule=snnfp.schedules.Cosine(2), **options)
    assert len(caught) == 1
