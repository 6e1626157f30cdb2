"""Bitwise resume with groups, transforms, averages, accumulation and every schedule."""

import json

import numpy as np
import pytest
import snnfp
from snnfp import SGD, Adam, EarlyStopping, Group, fit, schedules, transforms
from snnfp.checkpoint import load_arrays, save_arrays
from snnfp.errors import FormatError
from test_training import OPTIONS, everything, problem

WRT = ("*.weight", "*.delay", "hidden.tau_mem", "output.threshold", "output.v_reset")
GROUPS = {
    "*.delay": Group(lr=0.05, clip_norm=0.1, transform=transforms.Softplus(0.2)),
    "hidden.tau_mem": Group(transform=transforms.Exp(), schedule=schedules.Warmup(4)),
    "hidden_to_output.weight": Group(weight_decay=0.1, bounds=(-2.0, 2.0)),
    "output.threshold": Group(transform=transforms.Sigmoid(0.5, 2.0)),
}
CASES = {
    "groups": {"groups": GROUPS, "clip_norm": 0.5},
    "an average": {"average": 0.8, "clip_norm": 0.5},
    "an average of transformed ones": {"average": 0.8, "groups": GROUPS},
    "accumulation": {"accumulate": 2, "batch_size": 8},
    "all": {"accumulate": 2, "batch_size": 8, "average": 0.9, "groups": GROUPS},
    "cosine by step": {"schedule": schedules.Cosine(5, final=0.1, by_step=True)},
    "warm-up and cosine": {"schedule": schedules.Warmup(7, schedules.Cosine(5, by_step=True))},
    "linear": {"schedule": schedules.Linear(6, by_step=True)},
    "linear by epoch": {"schedule": schedules.Linear(6)},
    "exponential by step": {"schedule": schedules.ExponentialDecay(0.7, by_step=True)},
    "step decay": {"schedule": schedules.StepDecay(0.7, 4)},
}
OPTIMISERS = {
    "adam": Adam(lr=0.01, weight_decay=0.01),
    "sgd": SGD(lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
}


def start(dtype=np.float64):
    net, data = problem(dtype=dtype)
    for name in ("input_to_hidden.delay", "hidden_to_output.delay"):
        net.parameters[name] = np.linspace(0.1, 0.3, net.parameters[name].size).reshape(
            net.parameters[name].shape
        )
    return net, data


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("case", CASES)
def test_bitwise(tmp_path, case, optimiser, dtype, capsys):
    path = tmp_path / "checkpoint"
    settings = {**OPTIONS, "wrt": WRT, **CASES[case]}
    given = {"loss": OPTIONS["loss"], "until": 4.0, "progress": False, "n_threads": 2}
    net, data = start(dtype)
    whole = fit(net, data, optimiser=OPTIMISERS[optimiser], epochs=4, validation=data, **settings)
    part, _ = start(dtype)
    fit(
        part, data, optimiser=OPTIMISERS[optimiser], epochs=2, validation=data, checkpoint=path,
        **settings,
    )  # fmt: skip
    again, _ = problem(seed=7, dtype=dtype)
    resumed = fit(
        again,
        data,
        optimiser=OPTIMISERS[optimiser],
        epochs=4,
        validation=data,
        resume=path,
        **given,
    )
    assert everything(net, whole) == everything(again, resumed)
    assert capsys.readouterr().out == ""


def test_bitwise_with_frozen_elements_which_are_given_again(tmp_path):
    path = tmp_path / "checkpoint"
    frozen = {"*_hidden.weight": np.random.default_rng(0).random((5, 15)) < 0.5}
    options = {**OPTIONS, "optimiser": Adam(lr=0.02), "frozen": frozen, "average": 0.9}
    (net, data), (part, _) = problem(), problem()
    whole = fit(net, data, epochs=3, **options)
    fit(part, data, epochs=1, checkpoint=path, **options)
    again, _ = problem(seed=7)
    assert everything(net, whole) == everything(
        again, fit(again, data, epochs=3, resume=path, **options)
    )
    options.pop("frozen")
    with pytest.raises(ValueError, match=r"trained with frozen = an array of shape .*give frozen="):
        fit(again, data, epochs=3, resume=path, **options)


def test_bitwise_after_a_callback_has_changed_what_is_trained(tmp_path):
    path = tmp_path / "checkpoint"

    def change(history, net):
        if len(history) == 2:
            net.parameters["hidden.tau_mem"] = 1.5
            net.parameters["input_to_hidden.weight"] = (
                net.parameters["input_to_hidden.weight"] * 0.9
            )

    options = {**OPTIONS, "wrt": WRT, "groups": GROUPS, "average": 0.8, "callbacks": [change]}
    options["optimiser"] = Adam(lr=0.01)
    (net, data), (part, _) = start(), start()
    whole = fit(net, data, epochs=4, **options)
    fit(part, data, epochs=2, checkpoint=path, **options)
    again, _ = start()
    assert everything(net, whole) == everything(
        again, fit(again, data, epochs=4, resume=path, **options)
    )


def test_a_checkpoint_loads_as_the_average_and_goes_on_from_the_rest(tmp_path):
    path = tmp_path / "checkpoint"
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.02)}
    fit(net, data, epochs=2, average=0.9, checkpoint=path, **options)
    other, _ = problem(seed=5)
    other.load(path)
    assert np.array_equal(other.flatten(), net.flatten())
    raw, _ = problem()
    fit(raw, data, epochs=2, **options)
    arrays, _ = load_arrays(path)
    name = "input_to_hidden.weight"
    assert np.array_equal(arrays[f"raw/{name}"], raw.parameters[name])


def test_an_average_that_begins_or_ends_when_it_is_gone_on(tmp_path, capsys):
    path = tmp_path / "checkpoint"
    net, data = problem()
    options = {**OPTIONS, "optimiser": Adam(lr=0.02)}
    whole, _ = problem()
    fit(whole, data, epochs=4, **options)
    fit(net, data, epochs=2, average=0.9, checkpoint=path, **options)
    fit(net, data, epochs=4, average=0.0, resume=path, **options)
    assert "resume: average: 0.9 -> 0.0, changed since" in capsys.readouterr().out
    assert np.array_equal(
        net.flatten(), whole.flatten()
    )  # the last parameters, with nothing before
    fit(net, data, epochs=2, checkpoint=path, **{**options, "optimiser": Adam(lr=0.01)})
    begun = fit(net, data, epochs=3, average=0.5, resume=path, **options)
    assert len(begun) == 3


def spoilt(change):
    return lambda arrays, figures: change(arrays, figures)


HOSTILE = {
    "raw of one only": (lambda a, f: a.pop("raw/hidden.tau_mem"), r"holds raw/ of .*expected"),
    "nan in raw": (lambda a, f: a["raw/hidden.tau_mem"].fill(np.nan), "raw/hidden.tau_mem.* is nan"),
    "a raw time constant below 0": (lambda a, f: a["raw/hidden.tau_mem"].fill(-1.0), "tau_mem"),
    "no free variables": (lambda a, f: a.pop("free/hidden.tau_mem"), r"holds free/ of \[\], expected"),
    "free ones of another": (
        lambda a, f: a.update({"free/output.tau_mem": np.ones(())}), "holds free/ of .*output.tau_mem",
    ),
    "averaged below 0": (lambda a, f: f.update(averaged=-1), "averaged is -1, expected an integer"),
    "a group's rate": (
        lambda a, f: f["settings"]["groups"]["hidden.tau_mem"].update(lr=-1), "groups: lr is -1",
    ),
    "a group of nothing": (
        lambda a, f: f["settings"]["groups"].update(x={"class": "Group"}), "'x' matches nothing",
    ),
    "an average": (lambda a, f: f["settings"].update(average=2), "average is 2, expected"),
    "accumulate": (lambda a, f: f["settings"].update(accumulate=0), "accumulate is 0"),
    "frozen": (lambda a, f: f["settings"].update(frozen=3), "frozen is 3, expected a mapping"),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("resume") / "checkpoint"
    net, data = problem()
    fit(
        net, data, epochs=2, checkpoint=path, optimiser=Adam(lr=0.01), average=0.9,
        wrt=("*.weight", "hidden.tau_mem"), groups={"hidden.tau_mem": Group(transform=transforms.Exp())},
        early_stopping=EarlyStopping(metric="loss"), **OPTIONS,
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
    net, data = problem(seed=3)
    before = dict(net.parameters)
    with pytest.raises(FormatError, match=message):
        fit(
            net, data, epochs=3, resume=tmp_path / "bad", optimiser=Adam(lr=0.01), progress=False,
            loss=OPTIONS["loss"], until=4.0,
        )  # fmt: skip
    assert all(np.array_equal(net.parameters[k], v) for k, v in before.items())


def test_another_transform_goes_on_from_the_parameters(tmp_path):
    """What the file has are free variables of the old one, which mean something else."""

    def trained(transform, **options):
        net = snnfp.Network()
        x = net.input(2, name="x")
        y = net.population(2, snnfp.LIF(tau_mem=[20.0, 21.0], tau_syn=5.0), name="y")
        net.connect(x, y, snnfp.Dense(weight=[[0.6, 0.5], [0.4, 0.7]]))
        spikes = snnfp.Spikes.from_latencies([[1.0, 2.0], [2.0, 1.0]])
        snnfp.fit(
            net, (spikes, [0, 1]),
            loss=snnfp.losses.FirstSpikeCrossEntropy(tau0=1.0, horizon=50.0),
            optimiser=snnfp.Adam(lr=1e-3), wrt=["y.tau_mem"], until=50.0, progress=False,
            groups={"y.tau_mem": snnfp.Group(transform=transform)}, **options,
        )  # fmt: skip
        return net.parameters["y.tau_mem"]

    softplus, exponential = snnfp.transforms.Softplus(1.0), snnfp.transforms.Exp()
    before = trained(softplus, epochs=1, checkpoint=tmp_path / "c")
    after = trained(exponential, epochs=2, resume=tmp_path / "c")
    np.testing.assert_allclose(after, before, rtol=0.01)
    assert np.any(after != before)
