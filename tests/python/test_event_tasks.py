"""``snnfp train`` on recordings: spoken digits by a readout, event cameras; its variants."""

import json

import numpy as np
import pytest
import snnfp
from snnfp.cli import main
from snnfp.task_networks import build_network, make_loss
from snnfp.task_settings import SettingError, Settings, override
from snnfp.tasks import TASKS
from test_command import LAST_LINE, train
from test_event_readers import recording, write_folder
from test_files import idx
from test_sound_readers import wav

pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("safetensors")


@pytest.fixture
def digits(tmp_path):
    """Two speakers say each digit seven times, which is a tone of its own."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    rng = np.random.default_rng(0)
    time = np.arange(2400) / 8000
    for digit in range(10):
        for speaker, pitch in (("ann", 1.0), ("bob", 1.1)):
            for index in range(7):
                tone = np.sin(2 * np.pi * 200 * (digit + 1) * pitch * time) * np.hanning(2400)
                sound = 0.8 * tone + 0.01 * rng.normal(size=2400)
                name = f"{digit}_{speaker}_{index}.wav"
                (folder / name).write_bytes(wav(np.round(30000 * sound).astype(int).tolist()))
    return tmp_path


@pytest.fixture
def camera(tmp_path):
    """Forty recordings to train on, ten to test."""
    rng = np.random.default_rng(1)
    for part, each in (("Train", 4), ("Test", 1)):
        named = {
            f"{d}/{10 * d + k:05}.bin": recording(rng, 300) for d in range(10) for k in range(each)
        }
        write_folder(tmp_path / part, named)
    return tmp_path


def config(tmp_path):
    return json.loads((tmp_path / "run" / "config.json").read_text())


SMALL = ["--hidden", "12", "--threads", "1", "--out", "run"]


def test_spoken_digits(capsys, tmp_path, digits):
    options = ["--data", str(digits), "--epochs", "2", "--held-out", "0.25", *SMALL]
    status, lines, errors = train(capsys, "spoken-digits", *options)
    assert status == 0, errors
    assert "input[257]" in lines[0] and "30 training, 100 test samples" in lines[1]
    accuracy = LAST_LINE.fullmatch(lines[-1]).group(1)
    files = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "learning_curves.png", "sample.png"} <= files
    # The model in the folder is the one whose accuracy was printed.
    keys = {k: tuple(v) if isinstance(v, list) else v for k, v in config(tmp_path).items()}
    del keys["snnfp"], keys["task"]
    settings = override(TASKS["spoken-digits"].settings, keys)
    data = TASKS["spoken-digits"].load(settings, digits)
    net = build_network(settings, data.channels, data.classes)
    net.load(tmp_path / "run" / "model.safetensors")
    seen = snnfp.evaluate(net, *data.test, make_loss(settings), until=settings.until)
    assert f"{seen.accuracy:.4f}" == accuracy
    assert list(net.readouts) == ["output"] and net.parameters["output.capacitance"].max() < 1


@pytest.mark.parametrize("value", ["end", "max", "integral"])
def test_spoken_digits_with_another_value(capsys, tmp_path, digits, value):
    options = ["--data", str(digits), "--epochs", "1", "--readout", value, "--no-plots", *SMALL]
    status, _, errors = train(capsys, "spoken-digits", *options)
    assert status == 0, errors
    assert config(tmp_path)["readout"] == value


def test_recurrence_and_delays(capsys, tmp_path, digits):
    options = [
        *("--data", str(digits), "--epochs", "1", "--no-plots", *SMALL),
        *("--recurrent", "0,0.05", "--recurrent-delay", "0.01"),
        *("--delays", "0,0.02", "--delay-lr", "0.001"),
    ]
    status, _, errors = train(capsys, "spoken-digits", *options)
    assert status == 0, errors
    import safetensors.numpy

    saved = safetensors.numpy.load_file(tmp_path / "run" / "model.safetensors")
    assert saved["hidden_to_hidden.weight"].shape == (12, 12)
    assert saved["hidden_to_output.delay"].shape == (12, 10)
    assert 0 <= saved["input_to_hidden.delay"].min() < saved["input_to_hidden.delay"].max() < 0.03


def test_resumed_to_the_bit(capsys, tmp_path, digits):
    common = ["--data", str(digits), "--no-plots", "--hidden", "8", "--threads", "1"]
    assert train(capsys, "spoken-digits", *common, "--epochs", "3", "--out", "whole")[0] == 0
    assert train(capsys, "spoken-digits", *common, "--epochs", "3", "--out", "a")[0] == 0
    whole, again = (tmp_path / run / "model.safetensors" for run in ("whole", "a"))
    assert whole.read_bytes() == again.read_bytes()
    # The schedule falls over all epochs, so that a run of fewer has another one: cut it short.
    stop = {"n": 0}

    def interrupt(*arguments, **options):
        stop["n"] += 1
        if stop["n"] == 4:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    step = snnfp._epochs.checked_value_and_grad
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snnfp._epochs, "checked_value_and_grad", interrupt)
        status, _, _ = train(capsys, "spoken-digits", *common, "--epochs", "3", "--out", "cut")
    assert status == 130 and stop["n"] == 4
    options = ["--data", str(digits), "--no-plots", "--resume", "cut", "--out", "rest"]
    assert train(capsys, "spoken-digits", *options)[0] == 0
    rest = tmp_path / "rest" / "model.safetensors"
    assert rest.read_bytes() == whole.read_bytes()


def test_n_mnist(capsys, tmp_path, camera):
    options = ["--data", str(camera), "--epochs", "1", *SMALL]
    status, lines, errors = train(capsys, "n-mnist", *options)
    assert status == 0, errors
    assert "input[2312]" in lines[0] and "40 training, 10 test samples" in lines[1]


@pytest.mark.parametrize(
    "readout, ends", [("end", ""), ("first_spikes", " before its last output")]
)
def test_silent_neurons_up_to_where_samples_end(capsys, camera, readout, ends):
    """Readouts end no sample before its time."""
    options = [
        "--data",
        str(camera),
        "--epochs",
        "1",
        "--first",
        "-0.5,1",
        "--level",
        "0.3",
        *SMALL,
    ]
    status, lines, errors = train(capsys, "n-mnist", *options, "--readout", readout, "--no-plots")
    assert status == 0, errors
    (said,) = [line for line in lines if line.startswith("neurons that")]
    assert said.startswith(f"neurons that no test sample makes fire{ends}: ")


def test_n_mnist_without_its_test_part(capsys, camera):
    """Never is it tested on what it was trained on."""
    import shutil

    shutil.rmtree(camera / "Test")
    status, _, errors = train(capsys, "n-mnist", "--data", str(camera), "--epochs", "1", *SMALL)
    assert status == 2 and "there is no Test.zip and no Test in it" in errors


def test_some_samples_are_of_all_classes(digits):
    settings = override(TASKS["spoken-digits"].settings, {"train_samples": 30})
    labels = TASKS["spoken-digits"].load(settings, digits).train[1]
    assert labels.size == 30 and np.unique(labels).size >= 7


def test_no_average_on_resume(capsys, tmp_path, digits):
    common = ["--data", str(digits), "--no-plots", "--threads", "1"]
    first = [*common, "--hidden", "8", "--epochs", "2", "--out", "a"]
    assert train(capsys, "spoken-digits", *first)[0] == 0
    again = ["--resume", "a", "--epochs", "3"]
    for out, more in (("b", []), ("c", ["--average", "0"])):
        assert train(capsys, "spoken-digits", *common, *again, "--out", out, *more)[0] == 0
    models = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("b", "c")]
    assert models[0] != models[1]
    status, _, errors = train(capsys, "spoken-digits", *common, *again, "--level", "5")
    assert status == 2 and "--level" in errors


def test_yin_yang_with_delays(capsys, tmp_path):
    options = ["--delays", "--epochs", "1", "--train-samples", "100", "--out", "run", "--no-plots"]
    assert train(capsys, "yin-yang", *options)[0] == 0
    assert config(tmp_path)["delays"] == [0, 12] and config(tmp_path)["hidden"] == [30]
    # Numbers of one's own need a rate.
    status, _, errors = train(capsys, "yin-yang", "--delays", "0,5", "--epochs", "1")
    assert status == 2 and "--delays is given, expected --delay-lr with it" in errors
    status, _, errors = train(capsys, "yin-yang", "--delays", "--resume", "run")
    assert status == 2 and "--delays has no use with --resume" in errors


@pytest.fixture
def images(tmp_path):
    """A folder like MNIST's: 36 training and 10 test images of 6 x 6 pixels."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 36), ("t10k", 10)):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx((n, 6, 6), rng.bytes(36 * n)))
        labels = bytes(k % 10 for k in range(n))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx((n,), labels))
    return ["--data", str(tmp_path), "--epochs", "1", "--no-plots", *SMALL]


def test_mnist_augmented(capsys, tmp_path, images):
    options = ["--augment", *images]
    status, lines, errors = train(capsys, "mnist", *options)
    assert status == 0, errors
    assert "198 training" in lines[1], "33 images, and five copies of each"
    assert config(tmp_path)["average"] == 0.998 and config(tmp_path)["dtype"] == "float32"


def test_mnist_by_convolutions(capsys, tmp_path, images):
    import safetensors.numpy

    options = ["--convolution", *images, "--kernels", "4,3,1,2,2,2"]
    status, lines, errors = train(capsys, "mnist", *options)
    assert status == 0, errors
    assert "convolution1[64], convolution2[8], hidden[12]" in lines[0], "4 x 4 x 4, 2 x 2 x 2"
    assert config(tmp_path)["kernels"] == [4, 3, 1, 2, 2, 2]
    saved = safetensors.numpy.load_file(tmp_path / "run" / "model.safetensors")
    assert saved["input_to_convolution1.weight"].shape == (4, 1, 3, 3)
    assert saved["convolution1_to_convolution2.weight"].shape == (2, 4, 2, 2)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["spikes/convolution2"][0] > 0.1, "scaled to fire"
    status, _, errors = train(capsys, "mnist", *options[:-1], "4,7,1")
    assert status == 2 and "--kernels is (4, 7, 1): " in errors
    status, _, errors = train(capsys, "mnist", *images, "--kernels", "4,3,1")
    assert status == 2 and "--kernels is given, expected --level with it" in errors
    status, _, errors = train(capsys, "mnist", *options[:-1], "4,3")
    assert status == 2 and "--kernels is 4,3, expected whole numbers of at least 1, three" in errors
    with pytest.raises(SettingError, match="the 5 channels of the input are no images"):
        build_network(
            override(TASKS["yin-yang"].settings, {"kernels": (1, 2, 1), "level": 1.0}), 5, 3
        )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"readout": "end"}, "readout is end, expected readout_tau with it"),
        (
            {"readout": "weighted_integral", "readout_tau": (1.0, 2.0)},
            "expected time_scale with it",
        ),
        ({"delays": (0.0, 1.0)}, "delays is given, expected delay_lr with it"),
        ({"delay_lr": 1.0}, "delay_lr is given, expected delays with it"),
        ({"delays": (2.0, 1.0), "delay_lr": 1.0}, "delays is 2,1, expected two finite times"),
        ({"tau_mem": (3.0, 1.0)}, "tau_mem is 3,1, expected a finite time > 0, or two"),
        ({"warmup": 10, "lr_decay": 0.9}, "warmup is for half a cosine"),
        ({"average": 1.0}, "average is 1.0, expected a number >= 0 and below 1"),
        ({"readout": "spikes"}, "readout is 'spikes', expected one of first_spikes"),
    ],
)
def test_settings_that_cannot_be(changes, expected):
    with pytest.raises(SettingError, match=expected):
        override(TASKS["yin-yang"].settings, changes)


@pytest.mark.parametrize("share, left", [("0.001", "validate"), ("0.99", "train")])
def test_a_part_held_out_that_leaves_nothing(capsys, digits, share, left):
    options = ["--data", str(digits), "--held-out", share, *SMALL]
    status, lines, errors = train(capsys, "spoken-digits", *options)
    assert status == 2 and lines == [] and not (digits / "run").exists()
    assert f"--held-out is {share}, which of 40 samples leaves none to {left} on" in errors


def test_a_shift_out_of_the_picture(capsys, camera):
    options = ["--data", str(camera), *SMALL, "--shift"]
    status, lines, errors = train(capsys, "n-mnist", *options, "34")
    assert status == 2 and lines == [] and not (camera / "run").exists()
    expected = "--shift is 34, expected less than the 34 pixels a picture has along an edge"
    assert expected in errors
    status, _, errors = train(capsys, "n-mnist", *options, "33", "--epochs", "1")
    assert status == 0, errors


def test_a_shift_along_the_bands(capsys, digits):
    options = ["--data", str(digits), *SMALL, "--epochs", "1", "--shift"]
    status, _, errors = train(capsys, "spoken-digits", *options, "32")
    assert status == 2 and "--shift is 32, expected less than the 32 bands of sound" in errors
    status, _, errors = train(capsys, "spoken-digits", *options, "31")
    assert status == 0, errors


def test_a_decay_takes_the_place_of_the_warm_up_and_the_other_way_round(capsys, tmp_path, digits):
    options = ["--data", str(digits), "--epochs", "1", *SMALL, "--first", "-0.1,1"]
    status, _, errors = train(capsys, "spoken-digits", *options, "--lr-decay", "0.9")
    assert status == 0, errors
    kept = config(tmp_path)
    assert (kept["lr_decay"], kept["warmup"], kept["first"]) == (0.9, 0, [-0.1, 1.0])
    xor = override(TASKS["xor"].settings, {"warmup": 3})
    assert TASKS["xor"].settings.lr_decay == 1.0 and (xor.lr_decay, xor.warmup) == (None, 3)


def test_first_spikes_of_outputs_that_are_alike_and_fire(capsys, tmp_path, digits):
    """With settings of their own, and what is asked for before these."""
    options = ["--data", str(digits), "--readout", "first_spikes", *SMALL]
    options += ["--hidden", "40", "--epochs", "40", "--batch-size", "5", "--no-plots"]
    status, lines, errors = train(capsys, "spoken-digits", *options, "--label-bump", "2")
    assert status == 0, errors
    kept = config(tmp_path)
    assert (kept["tau0"], kept["lr"], kept["bump"], kept["label_bump"]) == (0.05, 3e-3, 0.1, 2.0)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history["spikes/output"][0] > 0.1 and history["accuracy"][-1] > 0.3, "chance is 0.1"
    assert float(LAST_LINE.match(lines[-1])[1]) > 0.3
    settings = override(TASKS["spoken-digits"].settings, {"readout": "first_spikes"})
    net = build_network(settings, 257, 10)
    assert net.parameters["output.tau_mem"].shape == () == net.parameters["output.tau_syn"].shape
    assert (net.parameters["output.tau_mem"], net.parameters["output.tau_syn"]) == (0.05, 0.01)
    ranges = override(TASKS["yin-yang"].settings, {"tau_mem": (10.0, 40.0), "hidden": (7,)})
    net = build_network(ranges, 5, 3)
    assert net.parameters["output.tau_mem"] == 20.0
    assert net.parameters["hidden.tau_mem"].shape == (7,)


def test_every_setting_has_an_option_and_a_task_offers_what_it_uses(capsys):
    from dataclasses import fields

    for name, task in TASKS.items():
        with pytest.raises(SystemExit):
            main(["train", name, "--help"])
        shown = capsys.readouterr().out
        for field in fields(Settings):
            option = "--" + field.name.replace("_", "-")
            listed = f"  {option} " in shown or f"  {option}\n" in shown
            assert listed == (field.name not in task.unused), (name, field.name)
