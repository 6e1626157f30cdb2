"""The ``snnfp`` command."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from snnfp import _core
from snnfp.check import run_check
from snnfp.errors import SnnfpError
from snnfp.report import read_run, write_report
from snnfp.report.run_folder import needs_data
from snnfp.runs import Run
from snnfp.selfcheck import run_selfcheck
from snnfp.task_pictures import PICTURE_FORMATS
from snnfp.task_settings import READOUTS, SettingError, Settings, check_use, option, override
from snnfp.tasks import TASKS, Task
from snnfp.train_command import train_task

__all__ = ["main"]


def _pair(text: str) -> tuple[float, float]:
    try:
        first, second = (float(x) for x in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected two numbers: A,B") from None
    return first, second


def _one_or_pair(text: str) -> float | tuple[float, float]:
    try:
        numbers = tuple(float(x) for x in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 2):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number, or two: LOW,HIGH")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


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


@dataclass(frozen=True)
class _Option:
    """An option that gives a setting."""

    name: str
    type: Callable[[str], Any]
    text: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    none: str = "none"  # what None means


_OPTIONS: dict[str, tuple[_Option, ...]] = {
    "model": (
        _Option("hidden", _sizes, "hidden neurons, a number a layer", "N,N"),
        _Option("kernels", _sizes, "convolutions before them: channels,size,stride", "C,K,S"),
        _Option("tau_mem", _one_or_pair, "membrane time constant, or low,high of hidden ones", "T"),
        _Option("tau_syn", _one_or_pair, "synaptic time constant, or low,high of hidden ones", "T"),
        _Option("capacitance", float, "capacitance"),
        _Option("threshold", float, "threshold"),
        _Option("t_refractory", float, "refractory time"),
        _Option("first", _pair, "mean,std of the first layer's initial weights", "M,S"),
        _Option("later", _pair, "mean,std of the later layers' initial weights", "M,S"),
        _Option("recurrent", _pair, "mean,std of initial weights within hidden layers", "M,S"),
        _Option("recurrent_delay", float, "their delay"),
        _Option("delays", _pair, "low,high of initial delays, which are trained", "LOW,HIGH"),
        _Option("level", float, "hidden weights are scaled to so many spikes a neuron"),
        _Option("readout_tau", _pair, "time constants of the outputs: membrane,synapse", "T,T"),
        _Option("dtype", str, "float64 or float32", choices=("float64", "float32")),
    ),
    "encoding and loss": (
        _Option("t_min", float, "earliest input"),
        _Option("t_max", float, "latest input"),
        _Option("bias_time", float, "time of the bias spike"),
        _Option("until", float, "end of the simulation, and horizon of the loss"),
        _Option("readout", str, "what is read off the outputs", choices=READOUTS),
        _Option("time_scale", float, "time scale of the weight of the integral"),
        _Option("tau0", float, "time scale of the softmax"),
        _Option("tau1", float, "time scale of the early-spike term"),
        _Option("gamma", float, "weight of the early-spike term"),
    ),
    "training": (
        _Option("epochs", int, "epochs"),
        _Option("batch_size", int, "samples a step"),
        _Option("lr", float, "learning rate of Adam"),
        _Option("lr_decay", float, "its factor an epoch", none="half a cosine down to zero"),
        _Option("warmup", int, "steps in which it rises, before half a cosine"),
        _Option("delay_lr", float, "learning rate of the delays"),
        _Option("clip_norm", float, "largest norm of a gradient"),
        _Option("average", float, "decay of the average of the parameters, 0: none"),
        _Option("bump", float, "remedy for silent hidden neurons, 0: none"),
        _Option("label_bump", float, "remedy for silent labels, 0: none"),
        _Option("shift", int, "training samples are shifted by up to so many pixels, or bands"),
        _Option("copies", int, "warped copies of each training image that are trained on too"),
        _Option("stretch", float, "training samples are slower or faster by up to this part"),
        _Option("jitter", float, "standard deviation of the noise on times of training spikes"),
        _Option("drop", float, "part of the training spikes that is left out"),
        _Option("held_out", float, "part of the training samples to validate on"),
        _Option("train_samples", int, "use only so many training samples"),
        _Option("seed", int, "seed of weights and batches"),
        _Option(
            "mode",
            str,
            "gradient by the adjoint or by forward propagation",
            choices=("reverse", "forward"),
        ),
        _Option("threads", int, "threads", none="all"),
        _Option("target", float, "stop at this validation (else training) accuracy"),
    ),
}


def _shown(value: Any, none: str) -> str:
    if value is None:
        return none
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def _add_task(tasks: Any, task: Task) -> None:
    # Defaults stay None here, so that what the user said can be told from what is the default.
    p = tasks.add_parser(task.name, help=task.help)
    if set(task.variants) - {"delays"}:
        kinds = p.add_argument_group("other settings to begin with")
        only_one = kinds.add_mutually_exclusive_group()
        for name, variant in task.variants.items():
            if name == "delays":
                continue  # --delays without numbers
            only_one.add_argument(
                option(name),
                dest="variant",
                action="store_const",
                const=name,
                help=f"{variant.help}; defaults below are those without it",
            )
    for title, options in _OPTIONS.items():
        group = p.add_argument_group(title)
        for o in options:
            if o.name in task.unused:
                continue
            default = _shown(getattr(task.settings, o.name), o.none)
            for readout, own in task.with_readout.items():
                if o.name in own:
                    default += f"; with {option('readout')} {readout}: {own[o.name]}"
            default = default.replace("%", "%%")
            extra: dict[str, Any] = {"choices": o.choices} if o.choices else {"metavar": o.metavar}
            text = o.text
            if o.name == "delays" and "delays" in task.variants:
                extra |= {"nargs": "?", "const": ()}
                text += f"; without numbers: {task.variants['delays'].help}"
            group.add_argument(
                option(o.name), type=o.type, help=f"{text} (default: {default})", **extra
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snnfp", description="Spiking neural networks with exact gradients."
    )
    parser.add_argument("--version", action="version", version=f"snnfp {_core.version}")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a network on a task")
    tasks = train.add_subparsers(dest="task", required=True)
    for task in TASKS.values():
        _add_task(tasks, task)
    _add_report(commands)
    commands.add_parser("selfcheck", help="what runs here, and whether it is right")
    check = commands.add_parser("check", help="run golden cases in both modes")
    check.add_argument("cases", nargs="+", type=Path, metavar="CASE.json")
    return parser


def _add_report(commands: Any) -> None:
    p = commands.add_parser("report", help="write a page that shows a run, or two side by side")
    p.add_argument("run", nargs="?", type=Path, metavar="RUN", help="run folder of snnfp train")
    p.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A", "B"), help="two run folders, side by side"
    )
    p.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the data, for tasks that read them from files: without it the page has no "
        "spikes and voltages of those",
    )
    p.add_argument(
        "--samples", type=int, default=6, metavar="N", help="samples shown, 1 to 12 (default: 6)"
    )
    p.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (default: report.html in the folder of RUN, compared-with-B.html in A)",
    )


def _train(arguments: argparse.Namespace) -> int:
    task = TASKS[arguments.task]
    given = {f.name: getattr(arguments, f.name, None) for f in fields(Settings)}
    chosen = getattr(arguments, "variant", None)
    if given["delays"] == ():  # without numbers
        chosen, given["delays"] = "delays", None
    if chosen is not None:
        if arguments.resume is not None:
            raise ValueError(
                f"{option(chosen)} has no use with --resume, which has that run's settings"
            )
        task = replace(task, settings=task.variants[chosen].settings)
    for name in ("format", "dpi"):
        if arguments.no_plots and getattr(arguments, name) is not None:
            raise ValueError(f"{option(name)} has no use with --no-plots")
    run = None if arguments.resume is None else Run.read(arguments.resume, task)
    changes: list[str] = []
    if run is None:
        readout = task.with_readout.get(given["readout"] or "", {})
        settings = override(replace(task.settings, **readout), given)
    else:
        settings, changes = run.changed(given)
    check_use(settings, given)
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


def _report(arguments: argparse.Namespace) -> int:
    if (arguments.run is None) == (arguments.compare is None):
        raise ValueError("report shows one run, RUN, or two, --compare A B: expected one of these")
    folders = arguments.compare or [arguments.run]
    needy = [folder for folder in folders if needs_data(folder)]
    if arguments.data is not None and not needy:
        raise ValueError("--data has no use with a task that reads no files")
    subjects = [
        read_run(folder, data=arguments.data if folder in needy else None) for folder in folders
    ]
    if len({s.name for s in subjects}) < len(subjects):  # told apart by where they are
        subjects = [replace(s, name=str(f)) for s, f in zip(subjects, folders, strict=True)]
    name = "report.html" if len(folders) == 1 else f"compared-with-{folders[1].resolve().name}.html"
    page = arguments.out or folders[0] / name
    write_report(page, subjects, samples=arguments.samples)
    for folder, subject in zip(folders, subjects, strict=True):
        for line in subject.missing:
            print(f"{folder} has no {line}")
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB) shows {' and '.join(map(str, folders))}")
    return 0


def _joined(arguments: Sequence[str]) -> list[str]:
    """Options and their values as one word where a value begins like an option: ``-0.1,1``."""
    words: list[str] = []
    for word in arguments:
        follows = bool(words) and re.fullmatch(r"--[a-z][a-z0-9-]*", words[-1])
        if follows and re.match(r"-(\.?\d|inf)", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _one_line(message: Warning | str, *where: object, **more: object) -> str:
    """A warning without the line of code it came from, which means nothing to a user."""
    return f"snnfp: {message}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; errors that a user can mend are one line and exit status 2."""
    arguments = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    warnings.formatwarning = _one_line
    try:
        if arguments.command == "train":
            return _train(arguments)
        if arguments.command == "report":
            return _report(arguments)
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
