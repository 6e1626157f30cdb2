"""Checkpoints: a training that is gone on from is bitwise one without a break, or says why not."""

import json
import re

import numpy as np
import pytest
import snnfp
from digests import digest
from snnfp import SGD, Adam, EarlyStopping, fit, schedules
from snnfp.checkpoint import load_arrays, save_arrays
from snnfp.errors import FormatError, NothingToTrainWarning
from snnfp.remedies import LabelBump, WeightBump
from test_training import LOSS, OPTIONS, problem

pytest.importorskip("safetensors")

BARE = {k: OPTIONS[k] for k in ("loss", "progress", "n_threads")}


def everything(net, history):
    figures = [v for k, v in sorted(history.epochs.items()) if k != "seconds"]
    return digest(*net.parameters.values()), digest(*figures)


SCHEDULES = [
    schedules.Constant(),
    schedules.Cosine(8, final=0.1),
    schedules.ExponentialDecay(0.9),
    schedules.StepDecay(0.7, 5),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "optimiser",
    [Adam(lr=0.01, weight_decay=0.1), SGD(lr=0.05, momentum=0.9), SGD(lr=0.05)],
    ids=["adam", "momentum", "sgd"],
)
def test_resume_is_bitwise(tmp_path, optimiser, schedule):
    """8 epochs, and 5 + save + load + 3; the settings asked for again or left to the run."""
    options = {
        **OPTIONS,
        "schedule": schedule,
        "wrt": ("*.weight", "*.delay", "hidden.threshold", "hidden.v_reset", "output.tau_mem"),
        "remedies": [WeightBump(amount=0.01), LabelBump(amount=0.5)],
        "seed": 7,
        "clip_norm": 0.5,
        "bounds": {"*.weight": (-2.0, 3.0), "hidden_to_output.weight": (None, 1.2)},
    }
    whole, data = problem()
    history = fit(whole, data, optimiser=optimiser, epochs=8, **options)
    path = tmp_path / "checkpoint"
    half, _ = problem()
    fit(half, data, optimiser=optimiser, epochs=5, checkpoint=path, **options)
    some = {k: v for k, v in options.items() if k not in ("bounds", "remedies", "schedule")}
    for again in (options, BARE, some):
        other, _ = problem(seed=99)
        resumed = fit(other, data, optimiser=optimiser, epochs=8, resume=path, **again)
        assert everything(other, resumed) == everything(whole, history)


def test_what_is_the_same_is_not_printed_and_what_differs_is(tmp_path, capsys):
    path = tmp_path / "checkpoint"
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.05), "schedule": schedules.Cosine(4)}
    fit(net, data, epochs=2, checkpoint=path, **options)
    same, _ = problem()
    fit(same, data, epochs=4, resume=path, **options)
    assert capsys.readouterr().out == ""
    changed, _ = problem()
    history = fit(
        changed, data, epochs=4, resume=path, checkpoint=path,
        **{**options, "optimiser": Adam(lr=0.007), "batch_size": 30, "seed": 3,
           "schedule": schedules.ExponentialDecay(0.5), "clip_norm": 2.0},
    )  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        f"resume: batch_size: 20 -> 30, changed since {path}",
        f"resume: schedule: Cosine(epochs=4, final=0.0, by_step=False) -> "
        f"ExponentialDecay(factor=0.5, by_step=False), changed since {path}",
        f"resume: seed: 0 -> 3, changed since {path}",
        f"resume: clip_norm: None -> 2.0, changed since {path}",
        f"resume: optimiser.lr: 0.05 -> 0.007, changed since {path}",
    ]
    assert history["lr"][2:] == [pytest.approx(0.007 * 0.25), pytest.approx(0.007 * 0.125)]
    # Who goes on from there has these settings.
    third, _ = problem()
    fit(third, data, epochs=5, resume=path, optimiser=Adam(lr=0.007), **BARE)
    assert capsys.readouterr().out == ""


def stopped_early(path, **changes):
    net, data = problem()
    options = {
        **OPTIONS,
        "optimiser": Adam(lr=0.02),
        "schedule": schedules.StepDecay(0.9, 4),
        "early_stopping": EarlyStopping(metric="accuracy", patience=2),
        **changes,
    }
    history = fit(net, data, epochs=60, checkpoint=path, **options)
    assert 3 <= len(history) < 30
    return data, options, len(history), net


@pytest.mark.parametrize(
    "rule", [None, EarlyStopping(metric="accuracy", patience=100, restore=False)]
)
def test_after_an_early_stop_it_trains_on_if_asked_to(tmp_path, rule):
    """And is, to the bit, what it would be had it never stopped."""
    path = tmp_path / "checkpoint"
    data, options, stopped, _ = stopped_early(path)
    options["early_stopping"] = rule
    whole, _ = problem()
    history = fit(whole, data, epochs=stopped + 4, **options)
    other, _ = problem(seed=5)
    resumed = fit(other, data, epochs=stopped + 4, resume=path, **options)
    assert len(resumed) == stopped + 4
    assert everything(other, resumed) == everything(whole, history)


def test_nothing_left_to_train_is_said(tmp_path):
    path = tmp_path / "checkpoint"
    data, options, stopped, net = stopped_early(path)
    before = net.flatten()
    other, _ = problem(seed=5)
    message = rf"nothing is left to train: .*checkpoint holds {stopped} epochs, and EarlyStopping\(patience=2"
    with pytest.warns(NothingToTrainWarning, match=message) as caught:
        history = fit(other, data, epochs=60, resume=path, **options)
    assert caught[0].filename == __file__
    assert len(history) == stopped and np.array_equal(other.flatten(), before)  # the best epoch's
    with pytest.warns(NothingToTrainWarning, match=f"epochs is {stopped}: a larger number goes on"):
        fit(other, data, epochs=stopped, resume=path, **{**options, "early_stopping": None})


def test_resume_keeps_how_long_early_stopping_has_waited(tmp_path):
    """Not one epoch of patience is given twice."""
    path = tmp_path / "checkpoint"
    data, options, stopped, net = stopped_early(path)
    part, _ = problem()
    fit(part, data, epochs=stopped - 1, checkpoint=path, **options)
    other, _ = problem(seed=5)
    history = fit(other, data, epochs=60, resume=path, **options)
    assert len(history) == stopped and np.array_equal(other.flatten(), net.flatten())


def test_another_figure_for_early_stopping_begins_anew(tmp_path):
    path = tmp_path / "checkpoint"
    data, options, stopped, _ = stopped_early(path)
    options["early_stopping"] = EarlyStopping(metric="loss", patience=3)
    other, _ = problem(seed=5)
    history = fit(other, data, epochs=stopped + 2, resume=path, checkpoint=path, **options)
    assert len(history) == stopped + 2
    figures = json.loads(load_arrays(path)[1]["training"])
    assert figures["metric"] == "loss" and figures["best_value"] == min(history["loss"][-2:])


def test_without_early_stopping_no_best_is_kept(tmp_path):
    """It would be that of the epochs before, should early stopping be asked for again later."""
    path = tmp_path / "checkpoint"
    data, options, stopped, _ = stopped_early(path)
    options["early_stopping"] = None
    other, _ = problem(seed=5)
    fit(other, data, epochs=stopped + 1, resume=path, checkpoint=path, **options)
    arrays, metadata = load_arrays(path)
    figures = json.loads(metadata["training"])
    assert (figures["best_value"], figures["metric"], figures["waited"]) == (None, None, 0)
    assert not any(k.startswith("best/") for k in arrays)


def test_figures_that_come_or_go_leave_all_columns_of_one_length(tmp_path):
    path = tmp_path / "checkpoint"
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.01)}
    fit(net, data, epochs=2, checkpoint=path, **options)
    history = fit(net, data, epochs=4, resume=path, checkpoint=path, validation=data, **options)
    assert {len(v) for v in history.epochs.values()} == {4}
    assert np.isnan(history["validation_loss"]).tolist() == [True, True, False, False]
    assert history.best("validation_loss") == min(history["validation_loss"][2:])
    history = fit(net, data, epochs=5, resume=path, **options)
    assert {len(v) for v in history.epochs.values()} == {5}
    assert np.isnan(history.last("validation_accuracy"))


def test_what_a_file_cannot_hold_is_asked_for_again(tmp_path):
    path = tmp_path / "checkpoint"
    net, data = problem()
    mine = lambda step, epoch: 0.5  # noqa: E731
    options = {**OPTIONS, "optimiser": Adam(lr=0.01)}
    fit(net, data, epochs=1, checkpoint=path, schedule=mine, **options)
    with pytest.raises(ValueError, match=r"trained with schedule = .*<lambda>.*give schedule=..."):
        fit(net, data, epochs=2, resume=path, **options)
    assert len(fit(net, data, epochs=2, resume=path, schedule=mine, **options)) == 2


def test_a_checkpoint_that_does_not_fit(tmp_path):
    path = tmp_path / "checkpoint"
    net, data = problem()
    fit(net, data, optimiser=Adam(lr=0.01), epochs=1, checkpoint=path, **OPTIONS)
    before = net.flatten()

    def refused(match, network=net, **changes):
        options = {"optimiser": Adam(lr=0.01), "epochs": 2, **OPTIONS, **changes}
        with pytest.raises(FormatError, match=match):
            fit(network, data, resume=path, **options)

    other = snnfp.Network()
    x, y = other.input(5), other.population(3, snnfp.LIF(tau_mem=1.0, tau_syn=1.0), name="output")
    other.connect(x, y, snnfp.Dense(weight=1.0))
    refused("is a checkpoint of another network: populations there", network=other)
    refused("holds the state of another optimiser", optimiser=SGD(lr=0.1))
    refused("was training .*expected", wrt="input_to_hidden.weight")
    net.save(tmp_path / "checkpoint")
    refused("is not a training checkpoint: it lacks 'training'")
    assert np.array_equal(net.flatten(), before)


def test_a_checkpoint_whose_delays_are_of_another_kind(tmp_path):
    path = tmp_path / "checkpoint"
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.01)}
    name = "input_to_hidden.delay"
    n_source, n_target = net.parameters["input_to_hidden.weight"].shape
    net.parameters[name] = np.full((1, n_target), 0.1)
    kinds = rf"(1, {n_target}) (one a target neuron), expected float64 of shape "
    for wrt, key in (("*.weight", "parameter"), (("*.weight", "*.delay"), "optimiser/mean")):
        fit(net, data, epochs=1, checkpoint=path, wrt=wrt, **options)
        for shape, words in (((), "one for the projection"), ((n_source, 1), "one a source unit")):
            other, _ = problem()
            other.parameters[name] = np.full(shape, 0.1)
            text = f"{key}/{name} is float64 of shape {kinds}{shape} ({words})"
            with pytest.raises(FormatError, match=re.escape(text)):
                fit(other, data, epochs=2, resume=path, wrt=wrt, **options)


W = "hidden_to_output.weight"


def spoilt_array(key, value, dtype=None):
    def change(arrays, figures):
        array = arrays[key].astype(dtype or arrays[key].dtype)
        array.reshape(-1)[-1] = value
        arrays[key] = array

    return change


def spoilt_figure(**changes):
    return lambda arrays, figures: figures.update(changes)


HOSTILE = {
    "nan in the mean": (spoilt_array(f"optimiser/mean/{W}", np.nan), r"mean/.*\[14, 2\] is nan"),
    "inf in the mean": (spoilt_array(f"optimiser/mean/{W}", np.inf), "mean/.* not finite"),
    "a negative square": (spoilt_array(f"optimiser/square/{W}", -1.0), "expected squares >= 0"),
    "nan in the square": (spoilt_array(f"optimiser/square/{W}", np.nan), "square/.* is nan"),
    "a negative step": (spoilt_array("optimiser/step", -1), "step is -1, expected 0 <= step"),
    "a far step": (spoilt_array("optimiser/step", 2**63 - 1), r"expected 0 <= step < 2\*\*62"),
    "a step that is no integer": (spoilt_array("optimiser/step", 3, np.float64), "step is float64"),
    "another dtype": (spoilt_array(f"optimiser/mean/{W}", 0, np.float32), "is float32 of shape"),
    "integers": (spoilt_array(f"parameter/{W}", 0, np.int64), "is int64 of shape"),
    "single precision": (spoilt_array(f"parameter/{W}", 0, np.float32), "is float32 of shape"),
    "nan in the best": (spoilt_array(f"best/{W}", np.nan), r"best/.*\[14, 2\] is nan"),
    "nan in the best of one number": (spoilt_array("best/hidden.threshold", np.nan), "threshold is nan"),
    "inf in the best": (spoilt_array(f"best/{W}", np.inf), "inf"),
    "a best threshold below v_reset": (spoilt_array("best/hidden.threshold", -1.0), "above v_reset"),
    "nan in a parameter": (spoilt_array(f"parameter/{W}", np.nan), "is nan"),
    "a time constant below 0": (spoilt_array("parameter/hidden.tau_mem", -1.0), "tau_mem"),
    "the best of one only": (lambda a, f: a.pop(f"best/{W}"), "expected the trained parameters"),
    "an unknown group": (lambda a, f: a.update(x=np.zeros(1)), "holds 'x', expected parameter/"),
    "a missing parameter": (lambda a, f: a.pop(f"parameter/{W}"), "lacks parameter"),
    "epoch below 0": (spoilt_figure(epoch=-5), "epoch is -5, expected an integer >= 0"),
    "a far epoch": (spoilt_figure(epoch=10**9), "not one entry for each of the epochs"),
    "epoch as text": (spoilt_figure(epoch="2"), "epoch is '2'"),
    "epoch as float": (spoilt_figure(epoch=2.0), "epoch is 2.0"),
    "epoch as bool": (spoilt_figure(epoch=True), "epoch is True"),
    "step nan": (spoilt_figure(step=float("nan")), "step is nan"),
    "seed below 0": (spoilt_figure(seed=-1), "seed is -1"),
    "waited inf": (spoilt_figure(waited=float("inf")), "waited is inf"),
    "a history of text": (spoilt_figure(history={"loss": ["a", "b"]}), "holds what is no number"),
    "a history too large": (spoilt_figure(history={"loss": [10**400, 1]}), "what is no number"),
    "a history that is a list": (spoilt_figure(history=[]), r"history is \[\], expected a mapping"),
    "no history": (spoilt_figure(history={}), "the history is empty"),
    "best_value as text": (spoilt_figure(best_value="x"), "best_value is 'x'"),
    "best_value nan": (spoilt_figure(best_value=float("nan")), "best_value is nan"),
    "no metric": (spoilt_figure(metric=None), "of None, expected a number and its name"),
    "another metric": (spoilt_figure(metric="beauty"), "'beauty', which is not in the history"),
    "names of nothing": (spoilt_figure(names=[["x"]]), "names is"),
    "a floor of 0": (spoilt_figure(floors={"hidden": 0.0}), "the floor of hidden is 0.0"),
    "floors of nothing": (spoilt_figure(floors={"x": 1.0}), r"floors of \['x'\]"),
    "settings as text": (spoilt_figure(settings="x"), "settings is 'x'"),
    "batch size 0": (lambda a, f: f["settings"].update(batch_size=0), "batch_size is 0"),
    "a mode": (lambda a, f: f["settings"].update(mode="x"), "mode is 'x'"),
    "no mapping": (lambda a, f: f.clear() or f.update({"epoch": 1}), "it lacks 'step'"),
    "a schedule": (
        lambda a, f: f["settings"].update(schedule={"class": "Cosine", "epochs": -1}), "epochs is -1",
    ),
    "a schedule's field": (
        lambda a, f: f["settings"].update(schedule={"class": "Cosine", "x": 1}), "schedule: .*'x'",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("resume") / "checkpoint"
    net, data = problem()
    fit(
        net, data, epochs=2, checkpoint=path, optimiser=Adam(lr=0.01),
        wrt=("*.weight", "hidden.threshold"), early_stopping=EarlyStopping(metric="loss"), **OPTIONS,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_checkpoints(checkpoint, tmp_path, case):
    """FormatError, and nothing of it is taken."""
    change, message = HOSTILE[case]
    arrays, metadata = load_arrays(checkpoint)
    arrays = {k: v.copy() for k, v in arrays.items()}
    figures = json.loads(metadata["training"])
    change(arrays, figures)
    save_arrays(tmp_path / "bad", arrays, {**metadata, "training": json.dumps(figures)})
    refused(tmp_path / "bad", message)


def refused(path, message):
    net, data = problem(seed=3)
    before = {k: v.tobytes() for k, v in net.parameters.items()}
    with pytest.raises(FormatError, match=message):
        fit(
            net, data, epochs=4, resume=path, optimiser=Adam(lr=0.01),
            early_stopping=EarlyStopping(metric="loss"), **BARE,
        )  # fmt: skip
    assert {k: v.tobytes() for k, v in net.parameters.items()} == before
    fresh, _ = problem(seed=3)
    a, b = (snnfp.simulate(n, data[0], until=4.0).times for n in (net, fresh))
    assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"epoch":' + "9" * 6000 + "}", "[1]", "null", "", "{"]
)
def test_hostile_headers(checkpoint, tmp_path, text):
    arrays, metadata = load_arrays(checkpoint)
    save_arrays(tmp_path / "bad", arrays, {**metadata, "training": text})
    refused(tmp_path / "bad", "is not a training checkpoint")


def test_the_unspoilt_one_is_taken(checkpoint):
    net, data = problem(seed=3)
    history = fit(net, data, epochs=3, resume=checkpoint, optimiser=Adam(lr=0.01), **BARE)
    assert len(history) == 3


def test_a_path_that_cannot_be_written_is_noticed_before_the_first_step(tmp_path):
    net, data = problem()
    before = net.flatten()
    for path in (tmp_path / "none" / "checkpoint", tmp_path):
        with pytest.raises(OSError, match=str(tmp_path)):
            fit(net, data, epochs=1, optimiser=Adam(), checkpoint=path, **OPTIONS)
    assert np.array_equal(net.flatten(), before) and not list(tmp_path.iterdir())


def test_early_stopping_and_its_target_are_part_of_no_setting(tmp_path, capsys):
    path = tmp_path / "checkpoint"
    net, data = problem()
    rule = EarlyStopping(metric="accuracy", target=0.35, patience=50)
    history = fit(
        net, data, epochs=40, checkpoint=path, optimiser=Adam(lr=0.02), early_stopping=rule, **OPTIONS
    )  # fmt: skip
    assert history.last("accuracy") >= 0.35
    with pytest.warns(NothingToTrainWarning, match="stops it there"):
        fit(net, data, epochs=40, resume=path, optimiser=Adam(lr=0.02), early_stopping=rule, **BARE)
    assert LOSS == OPTIONS["loss"] and capsys.readouterr().out == ""
