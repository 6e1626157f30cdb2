"""Learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnfp.history import History
from snnfp.plots._style import COLOURS, bare, colour, new_figure

__all__ = ["learning_curves"]

_SHOWN = (("training", "", COLOURS[0]), ("validation", "validation_", COLOURS[5]))


def learning_curves(history: History) -> Any:
    """Loss, accuracy and silent neurons over the epochs of a training.

    Args:
        history: what :func:`snnfp.fit` returned, of one epoch at least. A figure that it does not
            have, or that is nan in every epoch (the accuracy of a loss without classes), has no
            panel.

    Returns:
        A matplotlib ``Figure``; the best accuracy (of validation, if there is any) is marked.

    Raises:
        ValueError: the history has no epoch.
        TypeError: something else than a history.
        MissingDependencyError: matplotlib is not installed.
    """
    if not isinstance(history, History):
        raise TypeError(
            f"history is a {type(history).__name__}, expected the snnfp.History of a training"
        )
    n = len(history)
    if not n:
        raise ValueError("the history has no epochs, expected at least one")
    figures = {k: np.asarray(v, dtype=np.float64) for k, v in history.epochs.items()}
    seen = {k for k, v in figures.items() if np.isfinite(v).any()}
    silent = [k for k in figures if k.startswith("silent/")]
    panels = [k for k in ("loss", "accuracy") if {k, f"validation_{k}"} & seen]
    panels += ["silent"] if silent else []
    figure = new_figure(4.0 * len(panels), 3.6)
    epochs = np.arange(1, n + 1)
    # A line through one or two epochs cannot be seen.
    style: dict[str, Any] = {"lw": 1.8, **({"marker": "o", "ms": 5} if n < 10 else {})}
    for axes, key in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if key == "silent":
            for k, name in enumerate(silent):
                # Two that lie on each other, at 0 mostly, are both seen.
                line = {"color": colour(k + 2), "ls": ("-", "--", ":", "-.")[k % 4]}
                axes.plot(
                    epochs, figures[name], label=name.removeprefix("silent/"), **line, **style
                )
            axes.set(ylabel="silent neurons (fraction)", ylim=(-0.03, 1.03))
        else:
            for shown, prefix, c in _SHOWN:
                if prefix + key in seen:
                    axes.plot(epochs, figures[prefix + key], color=c, label=shown, **style)
            axes.set_ylabel(key)
            if key == "accuracy":
                _mark_best(axes, epochs, figures, seen)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if n < 10:
            axes.set(xticks=epochs, xlim=(0.5, n + 0.5))
        else:
            axes.set_xlim(1, n)
        # Under the panel: nowhere within it is free in every training.
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        bare(axes)
    return figure


def _mark_best(axes: Any, epochs: Any, figures: dict[str, Any], seen: set[str]) -> None:
    name = "validation_accuracy" if "validation_accuracy" in seen else "accuracy"
    at = int(np.nanargmax(figures[name]))
    best = figures[name][at]
    axes.plot(
        epochs[at],
        best,
        "o",
        ms=9,
        mfc="none",
        mec="black",
        mew=1.5,
        clip_on=False,
        zorder=4,
    )
    of = "validation" if name.startswith("validation") else "training"
    axes.set_title(f"best {of} accuracy {best:.4f}, epoch {epochs[at]}", fontsize=11)
