"""How a training shows where it is: a bar on a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from snnfp.errors import MissingDependencyError, require

__all__ = ["show_progress"]

Report = Callable[[int, Mapping[str, float]], None]

_LINES = 50  # of a log, about, for any number of epochs
_told_about_tqdm = False


@contextlib.contextmanager
def show_progress(epochs: int, done: int, wanted: bool) -> Iterator[Report]:
    """Gives a function to call with (epochs done, figures) after each epoch.

    On a terminal and in a notebook it moves a bar (with tqdm); elsewhere it writes lines to
    stderr, one an epoch, or, of more than some fifty epochs, of every so many and of the last.
    """
    if not wanted:
        yield lambda epoch, figures: None
        return
    tqdm = _tqdm() if _is_terminal() else None
    if tqdm is None:
        with _lines(epochs, done) as report:
            yield report
        return
    with tqdm(total=epochs, initial=done, unit="epoch") as bar:

        def move(epoch: int, figures: Mapping[str, float]) -> None:
            bar.set_postfix(_shown(figures))
            bar.update(1)

        yield move


@contextlib.contextmanager
def _lines(epochs: int, done: int) -> Iterator[Report]:
    every = -(-(epochs - done) // _LINES) or 1
    last: list[tuple[int, Mapping[str, float]]] = []

    def write(epoch: int, figures: Mapping[str, float]) -> None:
        shown = "  ".join(f"{k} {v}" for k, v in _shown(figures).items())
        width = len(str(epochs))
        line = f"epoch {epoch:{width}}/{epochs}  {shown}  {figures['seconds']:.2g} s"
        print(line, file=sys.stderr, flush=True)

    def report(epoch: int, figures: Mapping[str, float]) -> None:
        if epoch % every == 0 or epoch in (done + 1, epochs):
            last.clear()
            write(epoch, figures)
        else:
            last[:] = [(epoch, figures)]

    try:
        yield report
    finally:
        for epoch, figures in last:  # stopped early: what the last epoch came to
            write(epoch, figures)


def _shown(figures: Mapping[str, float]) -> dict[str, str]:
    names = {
        "loss": "loss",
        "accuracy": "train",
        "validation_accuracy": "validation",
    }
    if "validation_accuracy" not in figures:
        names["validation_loss"] = "validation loss"
    shown = {text: f"{figures[key]:.4f}" for key, text in names.items() if key in figures}
    silent = [f"{k[7:]} {v:.0%}" for k, v in figures.items() if k.startswith("silent/") and v]
    if silent:
        shown["silent"] = " ".join(silent)
    return shown


def _is_terminal() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _tqdm() -> Any:
    global _told_about_tqdm
    try:
        return require("tqdm.auto", extra="train").tqdm
    except MissingDependencyError as error:
        if not _told_about_tqdm:
            print(f"no progress bar: {error}")
            _told_about_tqdm = True
        return None
