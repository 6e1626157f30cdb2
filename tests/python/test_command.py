"""The snnfp command, end to end: what it prints, what it leaves, how it fails."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import snnfp
from networks import GOLDEN
from snnfp.cli import main
from test_files import idx

# A small network may be silent for its first batch, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")

LAST_LINE = re.compile(r"test accuracy (\d\.\d{4})  epochs (\d+)  time \d+\.\d s")
FILES = {
    "config.json",
    "history.json",
    "history.csv",
    "model.safetensors",
    "initial.safetensors",
    "checkpoint.safetensors",
}
QUICK = {
    "xor": ["--epochs", "6"],
    "iris": ["--epochs", "3"],
    "yin-yang": ["--epochs", "2", "--train-samples", "100", "--hidden", "20"],
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("safetensors")


def train(capsys, *arguments):
    """Runs ``snnfp train``; returns (exit status, lines printed, errors)."""
    status = main(["train", *arguments, "--no-progress"])
    shown = capsys.readouterr()
    return status, shown.out.strip().splitlines(), shown.err


@pytest.mark.parametrize("task", QUICK)
def test_train(capsys, tmp_path, task):
    status, lines, _ = train(capsys, task, *QUICK[task], "--out", "run", "--threads", "1")
    assert status == 0
    accuracy, epochs = LAST_LINE.fullmatch(lines[-1]).groups()
    run = tmp_path / "run"
    pictures = {"learning_curves.png", "sample.png"} | (
        {"decision_map.png"} if task != "iris" else set()
    )
    assert {p.name for p in run.iterdir()} == FILES | pictures
    for name in pictures:
        raw = (run / name).read_bytes()
        assert raw.startswith(b"\x89PNG\r\n\x1a\n") and raw.endswith(b"IEND\xaeB`\x82")
        assert len(raw) > 5000
        width, height = (int.from_bytes(raw[k : k + 4], "big") for k in (16, 20))
        assert width > 300 and height > 200
    config = json.loads((run / "config.json").read_text())
    assert config["task"] == task and config["epochs"] == int(QUICK[task][1])
    assert config["snnfp"] == snnfp.__version__ and config["target"] is None
    history = json.loads((run / "history.json").read_text())
    assert int(epochs) == len(history["loss"]) <= config["epochs"]
    rows = (run / "history.csv").read_text().splitlines()
    assert rows[0].split(",") == ["epoch", *history] and len(rows) == 1 + int(epochs)
    # The model in the folder is the one whose accuracy was printed.
    from snnfp.task_settings import override
    from snnfp.tasks import TASKS, build_network, make_loss

    keys = {
        k: tuple(v) if isinstance(v, list) else v
        for k, v in config.items()
        if k not in ("snnfp", "task")
    }
    settings = override(TASKS[task].settings, keys)
    loaded = TASKS[task].load(settings, None)
    net = build_network(settings, loaded.channels, loaded.classes)
    net.load(run / "model.safetensors")
    seen = snnfp.evaluate(net, *loaded.test, make_loss(settings), until=settings.until)
    assert f"{seen.accuracy:.4f}" == accuracy


def test_xor_is_learnt_by_the_default_command(capsys):
    status, lines, _ = train(capsys, "xor", "--no-plots")
    assert status == 0 and LAST_LINE.fullmatch(lines[-1]).group(1) == "1.0000"
    assert "run folder runs/xor-1" in lines[1]
    assert "runs/xor-2" in train(capsys, "xor", "--no-plots", "--epochs", "1")[1][1]


def test_options_are_taken(capsys, tmp_path):
    options = ["--hidden", "7,5", "--tau-mem", "1.5", "--first", "2,0.5", "--mode", "forward", "--dtype", "float32",
               "--seed", "3", "--lr", "0.02", "--lr-decay", "0.9", "--clip-norm", "2", "--bump", "0.1",
               "--label-bump", "0.2", "--batch-size", "2", "--epochs", "2", "--gamma", "0.01", "--tau1", "3"]  # fmt: skip
    status, lines, _ = train(capsys, "xor", *options, "--out", "run", "--no-plots")
    assert status == 0 and "hidden1[7], hidden2[5], output[2]" in lines[0] and "float32" in lines[0]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["hidden"] == [7, 5] and config["first"] == [2, 0.5]
    assert (config["tau_mem"], config["mode"], config["seed"]) == (1.5, "forward", 3)
    assert (config["lr_decay"], config["bump"], config["label_bump"]) == (0.9, 0.1, 0.2)
    assert not list((tmp_path / "run").glob("*.png"))


def test_a_target_stops_early(capsys):
    _, lines, _ = train(capsys, "xor", "--target", "0.25", "--no-plots")
    assert int(LAST_LINE.fullmatch(lines[-1]).group(2)) < 100


def test_mnist_on_a_small_folder(capsys, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 36), ("t10k", 10)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx((n, 4, 4), rng.bytes(16 * n)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            idx((n,), bytes(k % 10 for k in range(n)))
        )
    status, lines, _ = train(
        capsys,
        "mnist",
        "--data",
        str(folder),
        "--epochs",
        "1",
        "--hidden",
        "12",
        "--first",
        "1.5,0.5",
        "--out",
        "run",
    )
    assert status == 0 and LAST_LINE.fullmatch(lines[-1])
    assert "33 training, 10 test samples" in lines[1]


def test_mnist(capsys, data_folder):
    options = "--epochs 1 --train-samples 2000"
    status, lines, _ = train(
        capsys, "mnist", "--data", str(data_folder), *options.split(), "--no-plots"
    )
    assert status == 0 and float(LAST_LINE.fullmatch(lines[-1]).group(1)) > 0.7


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["mnist"], "the following arguments are required: --data"),
        (["chess"], "invalid choice: 'chess'"),
        (["xor", "--epochs", "many"], "invalid int value: 'many'"),
        (["xor", "--first", "1"], "argument --first"),
        (["xor", "--hidden", "a,b"], "argument --hidden"),
        (["xor", "--mode", "sideways"], "invalid choice: 'sideways'"),
        (["xor", "--beauty", "3"], "unrecognized arguments: --beauty 3"),
        (["xor", "--data", "here"], "unrecognized arguments: --data here"),
        (
            ["xor", "--dpi", "0"],
            "argument --dpi: '0', expected a number of 10 to 1200 dots an inch",
        ),
        (["xor", "--dpi", "nan"], "argument --dpi: 'nan', expected a number of 10 to 1200"),
        (["xor", "--format", "gif"], "argument --format: invalid choice: 'gif'"),
    ],
)
def test_bad_options_of_the_parser(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(["train", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["xor", "--epochs", "0"], "--epochs is 0, expected a whole number of at least 1"),
        (["xor", "--batch-size", "-1"], "--batch-size is -1, expected a whole number of at least 1"),
        (["xor", "--lr", "-1"], "--lr is -1.0, expected a finite number > 0"),
        (["xor", "--lr", "nan"], "--lr is nan, expected a finite number > 0"),
        (["xor", "--lr-decay", "1.5"], "--lr-decay is 1.5, expected a number > 0 and at most 1"),
        (["xor", "--tau-mem", "0"], "--tau-mem is 0.0, expected a finite time > 0"),
        (["xor", "--tau-syn", "inf"], "--tau-syn is inf, expected a finite time > 0"),
        (["xor", "--capacitance", "-1"], "--capacitance is -1.0, expected a finite number > 0"),
        (["xor", "--threshold", "0"], "--threshold is 0.0, expected a finite number > 0"),
        (["xor", "--t-refractory", "-2"], "--t-refractory is -2.0, expected a time >= 0"),
        (["xor", "--hidden", "0"], "--hidden is 0, expected whole numbers of at least 1, one a layer"),
        (["xor", "--hidden", "4,-4"], "--hidden is 4,-4, expected whole numbers of at least 1"),
        (["xor", "--first", "1,-1"], "--first is 1,-1, expected two finite numbers: the mean, and a standard deviation >= 0"),
        (["xor", "--later", "nan,1"], "--later is nan,1, expected two finite numbers"),
        (["xor", "--until", "nan"], "--until is nan, expected a finite time > 0"),
        (["xor", "--until", "0.5"], "--until is 0.5, expected at least --t-max, 1: what comes later would be lost"),
        (["yin-yang", "--bias-time", "60"], "--until is 50, expected at least --bias-time, 60"),
        (["xor", "--t-min", "2"], "--t-min is 2, expected less than --t-max, 1"),
        (["xor", "--t-min", "-1"], "--t-min is -1.0, expected a finite time >= 0"),
        (["xor", "--tau0", "0"], "--tau0 is 0.0, expected a finite time > 0"),
        (["xor", "--gamma", "-1"], "--gamma is -1.0, expected a finite number >= 0"),
        (["xor", "--gamma", "1", "--tau1", "0.001"], "--tau1 is 0.001, expected at least 0.0029: where --gamma is not 0"),
        (["xor", "--tau1", "2"], "--tau1 has no use where --gamma is 0"),
        (["xor", "--threads", "0"], "--threads is 0, expected a whole number of 1 to 4096"),
        (["xor", "--threads", "5000"], "--threads is 5000, expected a whole number of 1 to 4096"),
        (["xor", "--bump", "-1"], "--bump is -1.0, expected a finite number >= 0"),
        (["xor", "--label-bump", "nan"], "--label-bump is nan, expected a finite number >= 0"),
        (["xor", "--clip-norm", "0"], "--clip-norm is 0.0, expected a finite number > 0"),
        (["xor", "--seed", "-1"], "--seed is -1, expected a whole number >= 0"),
        (["xor", "--target", "2"], "--target is 2.0, expected a number > 0 and at most 1"),
        (["xor", "--target", "0"], "--target is 0.0, expected a number > 0 and at most 1"),
        (["xor", "--train-samples", "0"], "--train-samples is 0, expected a whole number of at least 1"),
        (["xor", "--train-samples", "5"], "--train-samples is 5, expected at most 4, all there are"),
        (["iris", "--train-samples", "121"], "--train-samples is 121, expected at most 120"),
        (["yin-yang", "--train-samples", "-5"], "--train-samples is -5, expected a whole number"),
        (["xor", "--out", "taken"], "taken exists and is not empty, expected a new folder"),
        (["xor", "--out", "taken/a/b"], "taken/a"),
        (["xor", "--resume", "none"], "none: there is no run of that name, expected a run folder or the checkpoint in it\n"),
        (["xor", "--resume", "taken/a"], "taken/a: not a whole safetensors file"),
        (["xor", "--resume", "taken"], "taken: this folder is no run, or one that stopped in its first epoch: it has no checkpoint.safetensors\n"),
        (["xor", "--no-plots", "--dpi", "200"], "--dpi has no use with --no-plots"),
        (["xor", "--no-plots", "--format", "pdf"], "--format has no use with --no-plots"),
        (["xor", "--first", "-0.1,-1"], "--first is -0.1,-1, expected two finite numbers"),
        (["xor", "--later", "-inf,1"], "--later is -inf,1, expected two finite numbers"),
        (["xor", "--lr-decay", "0.9", "--warmup", "3"], "--warmup is for half a cosine, expected none with --lr-decay"),
        (["spoken-digits", "--data", ".", "--readout", "end", "--time-scale", "0.2"], "--time-scale has no use where --readout is not weighted_integral"),
        (["spoken-digits", "--data", ".", "--tau0", "0.2"], "--tau0 has no use where --readout is not first_spikes"),
        (["spoken-digits", "--data", ".", "--label-bump", "1"], "--label-bump has no use where --readout is not first_spikes"),
        (["n-mnist", "--data", ".", "--gamma", "1"], "--gamma has no use where --readout is not first_spikes"),
        (["n-mnist", "--data", ".", "--readout", "first_spikes", "--tau1", "1"], "--tau1 has no use where --gamma is 0"),
        (["n-mnist", "--data", ".", "--recurrent-delay", "1"], "--recurrent-delay has no use without --recurrent"),
        (["mnist", "--data", "taken"], "taken: neither train-images-idx3-ubyte nor"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(capsys, tmp_path, arguments, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").write_text("something")
    status, lines, errors = train(capsys, *arguments)
    assert status == 2 and lines == []
    assert errors.startswith("snnfp: ") and errors.count("\n") == 1
    assert message in errors
    # Nothing is left of a run that was refused.
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == [
        "taken",
        "taken/a",
    ]


def test_train_samples(capsys):
    for task, total in (("xor", 3), ("iris", 30)):
        options = ["--epochs", "1", "--no-plots", "--train-samples", str(total)]
        status, lines, _ = train(capsys, task, *options)
        assert status == 0 and lines[1].startswith(f"{total} training, ")


@pytest.mark.parametrize("kind, head", [("svg", b"<?xml"), ("pdf", b"%PDF-"), ("png", b"\x89PNG")])
def test_pictures_in_every_format(capsys, tmp_path, kind, head):
    """The same run twice leaves the same pictures."""
    pictures = {"learning_curves", "sample", "decision_map"}
    options = ["--epochs", "2", "--format", kind, "--dpi", "50"]
    for out in ("a", "b"):
        status, lines, _ = train(capsys, "xor", *options, "--out", out)
        assert status == 0 and lines[-2] == f"config, history, model and pictures are in {out}"
        drawn = {p.name for p in (tmp_path / out).iterdir()} - FILES
        assert drawn == {f"{name}.{kind}" for name in pictures}
    for name in pictures:
        if name == "learning_curves":
            continue
        first, second = ((tmp_path / out / f"{name}.{kind}").read_bytes() for out in "ab")
        assert first.startswith(head) and first == second


def test_dots_an_inch(capsys, tmp_path):
    sizes = []
    for dpi in ("50", "100"):
        train(capsys, "xor", "--epochs", "1", "--out", dpi, "--dpi", dpi)
        raw = (tmp_path / dpi / "sample.png").read_bytes()
        sizes.append([int.from_bytes(raw[k : k + 4], "big") for k in (16, 20)])
    assert sizes[1] == [2 * n for n in sizes[0]] and sizes[0] == [550, 350]


def test_selfcheck(capsys):
    assert main(["selfcheck"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["verdict", "all", "is", "well"]
    keys = [line[:18].strip() for line in lines]
    assert {
        "snnfp",
        "compiler",
        "instruction set",
        "parallel runtime",
        "threads",
        "gradient error",
        "determinism",
    } < set(keys)
    assert re.search(r"determinism +[0-9a-f]{16} for", "\n".join(lines))


def test_check(capsys, tmp_path):
    assert main(["check", *map(str, GOLDEN)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 * len(GOLDEN) and all(line.endswith("ok") for line in lines[1:])
    (tmp_path / "bad.json").write_text("{")
    for path, message in (
        (tmp_path / "bad.json", "bad.json"),
        (tmp_path / "none.json", "none.json"),
    ):
        assert main(["check", str(path)]) == 2
        errors = capsys.readouterr().err
        assert message in errors and errors.count("\n") == 1


def test_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "snnfp", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"snnfp {snnfp.__version__}\n"
    run = subprocess.run(
        [sys.executable, "-m", "snnfp"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2 and "usage: snnfp" in run.stderr


def test_without_optional_packages(capsys, tmp_path, monkeypatch):
    """numpy alone is enough; what cannot be done is said, with the remedy."""
    for module in (
        "safetensors",
        "safetensors.numpy",
        "matplotlib",
        "matplotlib.figure",
        "tqdm.auto",
    ):
        monkeypatch.setitem(sys.modules, module, None)
    status, lines, _ = train(capsys, "xor", "--epochs", "2", "--out", "run")
    assert status == 0 and LAST_LINE.fullmatch(lines[-1])
    assert (
        lines[0]
        == "the model will not be saved: safetensors is not installed; it comes with: pip install 'snnfp[train]'"
    )
    assert lines[1].startswith("no pictures will be drawn: matplotlib is not installed")
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "config.json",
        "history.json",
        "history.csv",
    }
    status, _, errors = train(
        capsys, "xor", "--epochs", "2", "--resume", "run/config.json", "--out", "other"
    )
    assert status == 2 and "safetensors is not installed" in errors
