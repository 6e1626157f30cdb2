"""What a subject makes of its samples: how many are right, and who fires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnfp._dataset import Samples
from snnfp.diagnosis import Diagnosis, diagnose
from snnfp.evaluation import Evaluation, evaluate
from snnfp.report.numbers import evenly
from snnfp.report.subject import Subject

__all__ = ["MOST_DIAGNOSED", "Look", "look"]

MOST_DIAGNOSED = 200


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of a subject with samples.

    Attributes:
        samples: the samples, to take some from.
        labels: classes ``[n]``; None: labels are no classes of the loss, or it does not classify.
        said: the classes that the network says, ``[n]``, -1 for none; None likewise.
        evaluation: over all samples; None: the subject has no loss.
        diagnosis: over some.
    """

    samples: Samples
    labels: NDArray[np.int64] | None
    said: NDArray[np.int64] | None
    evaluation: Evaluation | None
    diagnosis: Diagnosis

    @property
    def right(self) -> NDArray[np.bool_] | None:
        """Which samples are right; None: that means nothing here."""
        if self.labels is None or self.said is None:
            return None
        right: NDArray[np.bool_] = self.labels == self.said
        return right


def look(subject: Subject) -> Look | None:
    """Runs the network of a subject on its samples; None: it has none."""
    net = subject.net
    if net is None or subject.samples is None:
        return None
    spikes, labels = subject.samples
    options: dict[str, Any] = {"until": subject.until, "n_threads": subject.n_threads}
    samples = Samples(net, spikes, "samples", len(labels))
    evaluation = said = classes = None
    if subject.loss is not None:
        evaluation = evaluate(net, spikes, labels, subject.loss, **options)
        if not math.isnan(evaluation.accuracy) and evaluation.prediction is not None:
            classes = np.asarray(labels, dtype=np.int64)
            said = evaluation.prediction.labels
    some = evenly(samples.size, MOST_DIAGNOSED)
    diagnosis = diagnose(
        net,
        samples.take(some),
        None if classes is None else classes[some],
        loss=subject.loss,
        samples=None if net.inputs else some.size,
        **options,
    )
    return Look(samples, classes, said, evaluation, diagnosis)
