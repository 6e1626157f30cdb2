"""snnfp train: a run to go on from, and runs that end before their time."""

import json
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import snnfp
from snnfp.checkpoint import load_arrays, save_arrays
from snnfp.cli import main
from test_command import LAST_LINE, train

# A small network may be silent for its first batch, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::snnfp.errors.SilentPopulationWarning")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("safetensors")


def test_resume_is_bitwise(capsys, tmp_path):
    """With the settings of the run, none of which is given again; a folder is as good as a file."""
    common = ["iris", "--no-plots", "--lr-decay", "0.98", "--lr", "0.03", "--batch-size", "20"]
    train(capsys, *common, "--epochs", "4", "--out", "whole")
    train(capsys, *common, "--epochs", "2", "--out", "half")
    for run in ("half", "half/checkpoint.safetensors"):
        out = f"rest of {run.replace('/', ' ')}"
        status, lines, _ = train(
            capsys, "iris", "--no-plots", "--epochs", "4", "--out", out, "--resume", run
        )
        assert status == 0 and LAST_LINE.fullmatch(lines[-1]).group(2) == "4"
        assert lines[0] == (
            "going on from half/checkpoint.safetensors, epoch 2, with the settings of that run"
        )
        assert lines[1] == "changed: --epochs: 2 -> 4" and lines[2].startswith("iris: ")
        a, b = (load_arrays(tmp_path / f / "model.safetensors")[0] for f in ("whole", out))
        assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
        whole, rest = (
            json.loads((tmp_path / f / "config.json").read_text()) for f in ("whole", out)
        )
        assert whole == rest
        figures = json.loads((tmp_path / out / "history.json").read_text())
        assert figures["lr"] == pytest.approx([0.03 * 0.98**k for k in range(4)])


def test_what_is_asked_for_on_the_way_is_applied_and_said(capsys, tmp_path):
    train(capsys, "xor", "--epochs", "2", "--no-plots", "--out", "a", "--target", "0.99")
    changes = ["--epochs", "5", "--lr", "0.02", "--lr-decay", "0.5", "--clip-norm", "3", "--tau0", "0.2",
               "--batch-size", "2", "--target", "1", "--threads", "1", "--hidden", "4", "--seed", "0"]  # fmt: skip
    status, lines, _ = train(capsys, "xor", "--no-plots", "--resume", "a", "--out", "b", *changes)
    assert status == 0
    since = "changed since a/checkpoint.safetensors"
    assert sorted(line for line in lines if line.startswith(("changed", "resume"))) == [
        "changed: --epochs: 2 -> 5",
        "changed: --target: 0.99 -> 1",
        "changed: --threads: none -> 1",
        f"resume: batch_size: 4 -> 2, {since}",
        f"resume: clip_norm: None -> 3.0, {since}",
        f"resume: loss.tau0: 0.1 -> 0.2, {since}",
        f"resume: optimiser.lr: 0.1 -> 0.02, {since}",
        f"resume: schedule.factor: 1.0 -> 0.5, {since}",
    ]
    lr = json.loads((tmp_path / "b" / "history.json").read_text())["lr"]
    assert lr == pytest.approx([0.1, 0.1, 0.02 * 0.25, 0.02 * 0.125, 0.02 * 0.0625])
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert (config["lr"], config["batch_size"], config["target"]) == (0.02, 2, 1.0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--hidden", "5"], "--hidden of the run is 4 and cannot become 5: it is the shape of the network"),
        (["--seed", "3"], "--seed of the run is 0 and cannot become 3: the samples go on in the order of that run"),
        (["--tau-mem", "3"], "--tau-mem of the run is 1.0101 and cannot become 3: it is a parameter of the network"),
        (["--first", "1,1"], "--first of the run is 3,1 and cannot become 1,1: the initial weights have been trained"),
        (["--dtype", "float32"], "--dtype of the run is float64 and cannot become float32"),
        (["--bias-time", "1"], "--bias-time of the run is none and cannot become 1: the network has no channel for it"),
        (["--epochs", "2"], "the run has had 2 epochs and --epochs is 2: ask for more"),
        (["--target", "0.5"], "the run has reached its --target of 0.5 with 0.5000 in epoch 2: ask for more"),
        (["--lr", "-1", "--epochs", "9"], "--lr is -1.0, expected a finite number > 0"),
    ],
)  # fmt: skip
def test_what_a_run_cannot_change_on_its_way(capsys, tmp_path, arguments, message):
    train(capsys, "xor", "--epochs", "2", "--no-plots", "--out", "a")
    if "--epochs" not in arguments:
        arguments = [*arguments, "--epochs", "4"]
    status, lines, errors = train(capsys, "xor", "--resume", "a", *arguments)
    assert status == 2 and message in errors and errors.count("\n") == 1 and lines == []
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_run_that_its_target_ended_goes_on_to_a_higher_one(capsys):
    _, lines, _ = train(capsys, "xor", "--no-plots", "--target", "0.5", "--out", "a")
    assert LAST_LINE.fullmatch(lines[-1]).group(2) == "1"
    status, lines, _ = train(capsys, "xor", "--no-plots", "--resume", "a", "--target", "1")
    assert status == 0 and lines[1] == "changed: --target: 0.5 -> 1"
    accuracy, epochs = LAST_LINE.fullmatch(lines[-1]).groups()
    assert accuracy == "1.0000" and 1 < int(epochs) < 100


@pytest.mark.parametrize(
    "config, message",
    [
        (None, "config.json: no such file, expected the settings of the run: go on from its run folder"),
        ("{", "config.json is not JSON: Expecting property name"),
        ("[" * 200_000, "config.json is not JSON: maximum recursion depth"),
        ('{"lr": 1, "lr": 2}', "config.json is not JSON: the key 'lr' is there twice"),
        ("[]", "config.json holds a list, expected the keys of the settings of a run"),
        ({"task": "iris"}, "config.json is of a run of iris, expected xor"),
        ({"beauty": 3}, "config.json has 'beauty', which is no setting of this version"),
        ({"lr": "fast"}, "config.json: lr is 'fast', expected a finite number > 0"),
        ({"epochs": float("inf")}, "config.json: epochs is inf"),
        ({"hidden": [[]]}, "config.json: hidden is [[]], expected whole numbers"),
        ({"lr": 10**400}, "config.json: int too large"),
        ({"hidden": 4}, "config.json: hidden is 4, expected whole numbers"),
    ],
)  # fmt: skip
def test_a_run_without_good_settings(capsys, tmp_path, config, message):
    train(capsys, "xor", "--epochs", "2", "--no-plots", "--out", "a")
    path = tmp_path / "a" / "config.json"
    if isinstance(config, dict):
        config = json.dumps(json.loads(path.read_text()) | config)
    path.unlink()
    if config is not None:
        path.write_text(config)
    status, _, errors = train(capsys, "xor", "--epochs", "4", "--resume", "a")
    assert status == 2 and message in errors and errors.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    "training, message",
    [
        ("[" * 200_000, "is not JSON: maximum recursion depth"),
        ('{"epoch": 1e999, "history": {}}', "epoch is inf, expected an integer >= 0"),
        ({"epoch": float("nan")}, "epoch is nan, expected an integer >= 0"),
        ({"history": {"accuracy": 3}}, "history: accuracy has not one entry for each"),
        ({"history": {"accuracy": ["a", "b"]}}, "history: accuracy holds what is no number"),
    ],
)
def test_a_run_with_a_damaged_checkpoint(capsys, tmp_path, training, message):
    train(capsys, "xor", "--epochs", "2", "--no-plots", "--out", "a")
    path = tmp_path / "a" / "checkpoint.safetensors"
    arrays, metadata = load_arrays(path)
    if isinstance(training, dict):
        training = json.dumps(json.loads(metadata["training"]) | training)
    save_arrays(path, arrays, {**metadata, "training": training})
    status, _, errors = train(capsys, "xor", "--epochs", "4", "--target", "1", "--resume", "a")
    assert status == 2 and message in errors and errors.count("\n") == 1
    assert "checkpoint.safetensors is not a training checkpoint" in errors


def test_a_model_is_no_checkpoint(capsys):
    train(capsys, "xor", "--epochs", "2", "--no-plots", "--out", "a")
    status, _, errors = train(capsys, "xor", "--resume", "a/model.safetensors")
    assert status == 2 and "a/model.safetensors is not a training checkpoint" in errors


@pytest.mark.parametrize("epochs", [0, 3])
def test_ctrl_c_leaves_a_model_and_the_command_that_goes_on(capsys, tmp_path, monkeypatch, epochs):
    """Of the last whole epoch, though the parameters have moved on since."""
    step = snnfp.Adam.update
    steps = 0

    def update(self, *arguments, **options):
        nonlocal steps
        if steps == 2 * epochs + 1:
            raise KeyboardInterrupt
        steps += 1
        return step(self, *arguments, **options)

    run = ["xor", "--no-plots", "--batch-size", "2", "--lr-decay", "0.9"]
    with monkeypatch.context() as patched:
        patched.setattr(snnfp.Adam, "update", update)
        status, lines, errors = train(capsys, *run, "--epochs", "9", "--out", "a run")
    assert status == 130 and errors == ""
    left = {p.name for p in (tmp_path / "a run").iterdir()}
    assert {"config.json", "history.json", "history.csv", "model.safetensors"} <= left
    model, _ = load_arrays(tmp_path / "a run" / "model.safetensors")
    if not epochs:
        assert lines[-1] == "interrupted in the first epoch; the model is in a run"
        return
    assert lines[-2] == f"interrupted; the model of epoch {epochs} is in a run"
    assert lines[-1] == "go on with: snnfp train xor --resume 'a run'"
    assert len(json.loads((tmp_path / "a run" / "history.json").read_text())["loss"]) == epochs
    train(capsys, *run, "--epochs", str(epochs), "--out", "short")
    short, _ = load_arrays(tmp_path / "short" / "model.safetensors")
    assert all(np.array_equal(model[k], short[k]) for k in short)
    # The command that was printed, word for word.
    command = shlex.split(lines[-1].removeprefix("go on with: "))
    assert main([*command[1:], "--no-progress", "--no-plots"]) == 0
    train(capsys, *run, "--epochs", "9", "--out", "whole")
    a, b = (load_arrays(tmp_path / f / "model.safetensors")[0] for f in ("whole", "runs/xor-1"))
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_parameters_are_put_back_together(tmp_path):
    """A threshold and a reset voltage that have both moved past where the other was."""
    from snnfp.runs import RunFolder
    from snnfp.tasks import TASKS, build_network
    from snnfp.train_command import _SoFar

    net = build_network(TASKS["xor"].settings, 2, 2)
    threshold, reset = (
        next(n for n in net.parameters if n.endswith(e)) for e in (".threshold", ".v_reset")
    )
    for shift in (5.0, -5.0):
        so_far = _SoFar(TASKS["xor"], RunFolder(tmp_path), None, None, True)
        before = dict(net.parameters)
        so_far.after_epoch(snnfp.History({"loss": [1.0]}), net)
        with pytest.raises(KeyboardInterrupt), so_far.kept(net):
            net._replace({n: net.parameters[n] + shift for n in (threshold, reset)})
            raise KeyboardInterrupt
        assert all(np.array_equal(net.parameters[n], v) for n, v in before.items())


def test_an_error_in_the_midst_leaves_what_was_learnt(capsys, tmp_path, monkeypatch):
    from snnfp import train_command

    def fail(*arguments, **options):
        raise MemoryError("no memory for that")

    for what in (train_command, "evaluate"), (train_command, "draw_pictures"):
        with monkeypatch.context() as patched:
            patched.setattr(*what, fail)
            status, lines, errors = train(capsys, "xor", "--epochs", "2", "--out", what[1])
        assert status == 2 and errors == "snnfp: no memory for that\n"
        assert lines[-1] == f"ended by an error after the training; its files are in {what[1]}"
        assert (tmp_path / what[1] / "model.safetensors").is_file()


def test_a_process_that_is_interrupted(tmp_path):
    """A real signal, and what a log shows: every line at once, in order."""
    # A job in the background inherits that SIGINT is ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from snnfp.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "train", "xor", "--epochs", "1000000", "--no-plots"]
    process = subprocess.Popen(
        [*command, "--no-progress", "--out", "run", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        # Comes though the process goes on: nothing waits in a buffer.
        first = process.stdout.readline()
        assert first.startswith("xor: Network")
        deadline = time.monotonic() + 60
        while not (tmp_path / "run" / "checkpoint.safetensors").exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline, "no checkpoint in a minute"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "Traceback" not in errors
    assert rest.splitlines()[-1] == "go on with: snnfp train xor --resume run"
    snnfp_model, _ = load_arrays(tmp_path / "run" / "model.safetensors")
    assert "hidden_to_output.weight" in snnfp_model


def test_a_run_that_fit_refuses_leaves_nothing(capsys, tmp_path, monkeypatch):
    from snnfp import train_command

    def refuse(*arguments, **options):
        raise ValueError("no")

    monkeypatch.setattr(train_command, "fit_task", refuse)
    (tmp_path / "empty").mkdir()
    for out in (None, "new/deep", "empty"):
        status, _, errors = train(capsys, "xor", *(["--out", out] if out else []))
        assert status == 2 and errors == "snnfp: no\n"
        assert [p.name for p in tmp_path.rglob("*")] == ["empty"]


def test_a_run_that_is_refused_leaves_the_files_of_others(capsys, tmp_path, monkeypatch):
    from snnfp import train_command

    def refuse(*arguments, **options):
        (tmp_path / "new" / "notes.txt").write_text("mine")
        (tmp_path / "new" / ".config.json.snnfp-0123456789abcdef.tmp").write_text("")
        raise ValueError("no")

    monkeypatch.setattr(train_command, "fit_task", refuse)
    status, _, _ = train(capsys, "xor", "--out", "new")
    assert status == 2 and [p.name for p in (tmp_path / "new").iterdir()] == ["notes.txt"]


def test_a_full_disk_names_the_file(tmp_path):
    """Writes beyond a limit fail as on a full disk; the checkpoint is what is too large."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000));"
        "from snnfp.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [
        "train",
        "iris",
        "--epochs",
        "1",
        "--hidden",
        "50",
        "--no-progress",
        "--out",
        "run",
    ]
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1 and "run/checkpoint.safetensors" in run.stderr
    assert run.stdout.splitlines()[-1] == "ended by an error; the model of epoch 1 is in run"
    assert not list(tmp_path.rglob("*.tmp"))


def test_output_that_is_read_no_further(tmp_path):
    """By head, say: it ends there with the status of a program that SIGPIPE ended."""
    arguments = ["-m", "snnfp", "train", "xor", "--epochs", "300", "--no-progress"]
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as run:  # fmt: skip
        assert run.stdout.readline().startswith("xor: Network")
        run.stdout.close()
        errors = run.stderr.read()
        assert run.wait() == 141 and errors == ""
