"""From subjects to the file of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnfp._numbers import count
from snnfp.checkpoint import check_writable, write_atomically
from snnfp.report.activity import spike_counts
from snnfp.report.curves import panels
from snnfp.report.look import MOST_DIAGNOSED, Look, look
from snnfp.report.page import Content, page
from snnfp.report.sample_pictures import MOST_SAMPLES, choose, sample_pictures
from snnfp.report.subject import Subject
from snnfp.report.weights import parameter_panels

__all__ = ["write_report"]

_MOST_PICTURES = 60  # of a kind


def write_report(
    path: str | Path, subjects: Subject | Sequence[Subject], *, samples: int = 6
) -> tuple[str, ...]:
    """Writes a page of one subject, or of two that are compared.

    The page is one file, asks no network for anything, and has some MB at most: of long histories,
    many neurons and many spikes it shows a part and says so. The same subjects make the same bytes.

    Args:
        path: of the file; one that is there is replaced.
        subjects: one, or two to compare.
        samples: how many samples are shown with spikes and voltages, at most 12.

    Returns:
        What the page does not show, and why; a line each.

    Raises:
        ValueError: neither one nor two subjects, or too many samples.
        OSError: the file cannot be written; said before the networks are simulated.
    """
    shown = [subjects] if isinstance(subjects, Subject) else list(subjects)
    for k, subject in enumerate(shown):
        if not isinstance(subject, Subject):
            raise TypeError(
                f"subjects[{k}] is a {type(subject).__name__}, expected a snnfp.report.Subject"
            )
    if len(shown) not in (1, 2):
        raise ValueError(f"{len(shown)} subjects, expected one, or two to compare")
    n = count(samples, "samples", most=MOST_SAMPLES)
    check_writable(path)
    looks = [look(subject) for subject in shown]
    curves, notes = panels(shown)
    chosen = choose(looks, n)
    pictures = []
    for subject, seen, of in zip(shown, looks, chosen, strict=True):
        drawn, left_out = ([], []) if seen is None else sample_pictures(subject, seen, of)
        pictures.append(drawn)
        notes += left_out
        if seen is not None and seen.samples.size > MOST_DIAGNOSED:
            notes.append(
                f"diagnosis and spikes a neuron of {subject.name}: {seen.diagnosis.n_samples} of "
                f"{seen.samples.size} samples, evenly spread"
            )
    content = Content(
        subjects=shown,
        looks=looks,
        curves=_first(curves, "learning curves", notes),
        samples=pictures,
        linked=len(shown) == 2 and chosen[0] == chosen[1] != [] and _same(looks, chosen[0]),
        spikes=_first(spike_counts(looks), "histograms of spikes", notes),
        parameters=_first(parameter_panels(shown), "histograms of weights and delays", notes),
        notes=notes,
    )
    content.notes[:0] = _missing(shown)
    write_atomically(path, page(content).encode())
    return tuple(content.notes)


def _same(looks: list[Look | None], chosen: list[int]) -> bool:
    """Whether two subjects have the same spikes in the chosen samples."""
    one, other = (seen.samples.take(np.array(chosen)) for seen in looks if seen is not None)
    return bool(one == other)


def _missing(subjects: list[Subject]) -> list[str]:
    """What the subjects lack; of which of them, where there are two."""
    return [
        f"{s.name}: {line}" if len(subjects) > 1 else line for s in subjects for line in s.missing
    ]


def _first(panels: list[dict[str, Any]], what: str, notes: list[str]) -> list[dict[str, Any]]:
    """The first of many pictures."""
    if len(panels) > _MOST_PICTURES:
        notes.append(f"{what}: the first {_MOST_PICTURES} of {len(panels)}")
    return panels[:_MOST_PICTURES]
