"""The ``snnfp`` command."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from snnfp import _core
from snnfp.check import run_check
from snnfp.errors import SnnfpError
from snnfp.runs import Run
from snnfp.selfcheck import run_selfcheck
from snnfp.task_pictures import PICTURE_FORMATS
from snnfp.task_settings import SettingError, Settings, option, override
from snnfp.tasks import TASKS
from snnfp.train_command import train_task

__all__ = ["main"]


def _pair(text: str) -> tuple[float, float]:
    try:
        mean, std = (float(x) for x in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected two numbers: mean,std") from None
    return mean, std


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected whole numbers: N or N,N") from None


def _dots(text: str) -> float:
    try:
        dpi = float(text)
    except ValueError:
        dpi = 0.0
    if not 10 <= dpi <= 1200:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of 10 to 1200 dots an inch")
    return dpi


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snnfp", description="Spiking neural networks with exact gradients."
    )
    parser.add_argument("--version", action="version", version=f"snnfp {_core.version}")
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train a network on a task")
    tasks = train.add_subparsers(dest="task", required=True)
    for task in TASKS.values():
        s = task.settings
        # Defaults stay None here, so that what the user said can be told from what is the default.
        p = tasks.add_parser(task.name, help=task.help)

        def setting(
            group: argparse._ArgumentGroup,
            flag: str,
            type_: object,
            text: str,
            default: object,
            **extra: object,
        ) -> None:
            shown = "none" if default is None else default
            group.add_argument(flag, type=type_, help=f"{text} (default: {shown})", **extra)  # type: ignore[arg-type]

        model = p.add_argument_group("model")
        sizes = ",".join(map(str, s.hidden))
        setting(model, "--hidden", _sizes, "hidden neurons, a number a layer", sizes, metavar="N,N")
        setting(model, "--tau-mem", float, "membrane time constant", s.tau_mem)
        setting(model, "--tau-syn", float, "synaptic time constant", s.tau_syn)
        setting(model, "--capacitance", float, "capacitance", s.capacitance)
        setting(model, "--threshold", float, "threshold", s.threshold)
        setting(model, "--t-refractory", float, "refractory time", s.t_refractory)
        setting(
            model,
            "--first",
            _pair,
            "mean,std of the first layer's initial weights",
            "{:g},{:g}".format(*s.first),
            metavar="M,S",
        )
        setting(
            model,
            "--later",
            _pair,
            "mean,std of the later layers' initial weights",
            "{:g},{:g}".format(*s.later),
            metavar="M,S",
        )
        setting(
            model, "--dtype", str, "float64 or float32", s.dtype, choices=("float64", "float32")
        )
        coding = p.add_argument_group("encoding and loss")
        setting(coding, "--t-min", float, "earliest input", s.t_min)
        setting(coding, "--t-max", float, "latest input", s.t_max)
        setting(coding, "--bias-time", float, "time of the bias spike", s.bias_time)
        setting(coding, "--until", float, "end of the simulation, and horizon of the loss", s.until)
        setting(coding, "--tau0", float, "time scale of the softmax", s.tau0)
        setting(coding, "--tau1", float, "time scale of the early-spike term", s.tau1)
        setting(coding, "--gamma", float, "weight of the early-spike term", s.gamma)
        learning = p.add_argument_group("training")
        setting(learning, "--epochs", int, "epochs", s.epochs)
        setting(learning, "--batch-size", int, "samples a step", s.batch_size)
        setting(learning, "--lr", float, "learning rate of Adam", s.lr)
        setting(
            learning,
            "--lr-decay",
            float,
            "its factor an epoch",
            s.lr_decay if s.lr_decay is not None else "half a cosine down to zero",
        )
        setting(learning, "--clip-norm", float, "largest norm of a gradient", s.clip_norm)
        setting(learning, "--bump", float, "remedy for silent hidden neurons, 0: none", s.bump)
        setting(learning, "--label-bump", float, "remedy for silent labels, 0: none", s.label_bump)
        setting(
            learning, "--train-samples", int, "use only so many training samples", s.train_samples
        )
        setting(learning, "--seed", int, "seed of weights and batches", s.seed)
        setting(
            learning,
            "--mode",
            str,
            "gradient by the adjoint or by forward propagation",
            s.mode,
            choices=("reverse", "forward"),
        )
        setting(learning, "--threads", int, "threads", "all")
        setting(
            learning,
            "--target",
            float,
            "stop at this validation (else training) accuracy",
            s.target,
        )
        run = p.add_argument_group("run")
        if task.needs_data:
            run.add_argument(
                "--data", type=Path, metavar="DIR", required=True, help="folder of the data"
            )
        run.add_argument(
            "--out", type=Path, metavar="DIR", help="run folder (default: runs/<task>-<n>)"
        )
        run.add_argument(
            "--resume",
            type=Path,
            metavar="RUN",
            help="run folder, or checkpoint in it, to go on from with that run's settings, where "
            "no option here says otherwise",
        )
        run.add_argument("--no-progress", action="store_true", help="no progress bar")
        run.add_argument("--no-plots", action="store_true", help="no pictures")
        run.add_argument(
            "--format", choices=PICTURE_FORMATS, help="format of the pictures (default: png)"
        )
        run.add_argument("--dpi", type=_dots, metavar="N", help="their dots an inch (default: 150)")

    commands.add_parser("selfcheck", help="what runs here, and whether it is right")
    check = commands.add_parser("check", help="run golden cases in both modes")
    check.add_argument("cases", nargs="+", type=Path, metavar="CASE.json")
    return parser


def _train(arguments: argparse.Namespace) -> int:
    task = TASKS[arguments.task]
    given = {f.name: getattr(arguments, f.name) for f in fields(Settings)}
    for name in ("format", "dpi"):
        if arguments.no_plots and getattr(arguments, name) is not None:
            raise ValueError(f"{option(name)} has no use with --no-plots")
    run = None if arguments.resume is None else Run.read(arguments.resume, task)
    settings, changes = (override(task.settings, given), []) if run is None else run.changed(given)
    if given["tau1"] is not None and not settings.gamma:
        raise SettingError("{tau1} has no use where {gamma} is 0")
    if run is not None:
        print(f"going on from {run.checkpoint}, epoch {run.epochs}, with the settings of that run")
        for line in changes:
            print(f"changed: {line}", flush=True)
    train_task(
        task,
        settings,
        data=getattr(arguments, "data", None),
        out=arguments.out,
        resume=None if run is None else run.checkpoint,
        progress=not arguments.no_progress,
        plots=not arguments.no_plots,
        picture_format=arguments.format or "png",
        dpi=arguments.dpi or 150,
    )
    return 0


def _one_line(message: Warning | str, *where: object, **more: object) -> str:
    """A warning without the line of code it came from, which means nothing to a user."""
    return f"snnfp: {message}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; errors that a user can mend are one line and exit status 2."""
    arguments = _parser().parse_args(argv)
    warnings.formatwarning = _one_line
    try:
        if arguments.command == "train":
            return _train(arguments)
        if arguments.command == "selfcheck":
            return run_selfcheck()
        return 1 if run_check(arguments.cases) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Who read the output has gone (say head); nothing may complain of it at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SettingError as error:
        print(f"snnfp: {error.as_options()}", file=sys.stderr)
        return 2
    except (SnnfpError, ValueError, TypeError, KeyError, OSError, MemoryError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"snnfp: {text}", file=sys.stderr)
        return 2
