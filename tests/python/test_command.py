"""The snnfp command, end to end: what it prints, what it leaves, how it fails."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import snnfp
from networks import GOLDEN
from snnfp.checkpoint import load_arrays
from snnfp.cli import main
from test_files import idx

# A small network may be silent for its first batch, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")

LAST_LINE = re.compile(r"test accuracy (\d\.\d{4})  epochs (\d+)  time \d+\.\d s")
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
    files = {
        "config.json",
        "history.json",
        "history.csv",
        "model.safetensors",
        "checkpoint.safetensors",
    }
    assert {p.name for p in run.iterdir()} == files | pictures
    for name in pictures:
        raw = (run / name).read_bytes()
        assert raw.startswith(b"\x89PNG\r\n\x1a\n") and raw.endswith(b"IEND\xaeB`\x82")
        assert len(raw) > 5000
        width, height = (int.from_bytes(raw[k : k + 4], "big") for k in (16, 20))
        assert width > 300 and height > 200
    config = json.loads((run / "config.json").read_text())
    assert config["task"] == task and config["epochs"] == int(QUICK[task][1])
    assert config["snnfp"] == snnfp.__version__
    history = json.loads((run / "history.json").read_text())
    assert int(epochs) == len(history["loss"]) <= config["epochs"]
    rows = (run / "history.csv").read_text().splitlines()
    assert rows[0].split(",") == ["epoch", *history] and len(rows) == 1 + int(epochs)
    # The model in the folder is the one whose accuracy was printed.
    from snnfp.tasks import TASKS, build_network, make_loss, override

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


def test_resume_is_bitwise(capsys, tmp_path):
    common = ["iris", "--no-plots", "--lr-decay", "0.98"]
    train(capsys, *common, "--epochs", "4", "--out", "whole")
    train(capsys, *common, "--epochs", "2", "--out", "half")
    status, lines, _ = train(
        capsys, *common, "--epochs", "4", "--out", "rest", "--resume", "half/checkpoint.safetensors"
    )
    assert status == 0 and LAST_LINE.fullmatch(lines[-1]).group(2) == "4"
    a, b = (load_arrays(tmp_path / f / "model.safetensors")[0] for f in ("whole", "rest"))
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


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
        (["xor", "--epochs", "0"], "epochs is 0, expected an integer of at least 1"),
        (["xor", "--batch-size", "-1"], "batch_size is -1"),
        (["xor", "--lr", "-1"], "lr is -1.0, expected a finite number > 0"),
        (["xor", "--tau-mem", "0"], "tau_mem[0] is 0, expected a time > 0"),
        (["xor", "--hidden", "0"], "size of population hidden is 0"),
        (["xor", "--until", "nan"], "horizon is nan"),
        (["xor", "--threads", "0"], "n_threads is 0, expected at least 1"),
        (["xor", "--bump", "-1"], "amount is -1.0"),
        (["xor", "--out", "taken"], "taken exists and is not empty, expected a new folder"),
        (["xor", "--resume", "none"], "none: no such file"),
        (["xor", "--resume", "taken/a"], "taken/a: not a whole safetensors file"),
        (["mnist", "--data", "taken"], "taken: neither train-images-idx3-ubyte nor"),
        (["yin-yang", "--train-samples", "-5"], "size is -5, expected at least 1"),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path, arguments, message):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").write_text("something")
    status, _, errors = train(capsys, *arguments)
    assert status == 2
    assert errors.startswith("snnfp: ") and errors.count("\n") == 1
    assert message in errors


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
    status, _, errors = train(capsys, "xor", "--epochs", "2", "--resume", "x", "--out", "other")
    assert status == 2 and "safetensors is not installed" in errors
