"""The tasks of snnfp train: that their settings learn."""

from dataclasses import replace

import pytest
from snnfp.task_training import fit_task
from snnfp.tasks import TASKS, build_network


@pytest.mark.parametrize("seed", [0, 1])
def test_no_output_of_yin_yang_falls_silent(seed):
    """Seeds where, with a tenth of the remedy for silent labels, a class was lost for epochs."""
    task = TASKS["yin-yang"]
    settings = replace(task.settings, seed=seed)
    data = task.load(settings, None)
    net = build_network(settings, data.channels, data.classes)
    history = fit_task(
        net,
        data.train,
        settings,
        validation=data.validation,
        callbacks=[lambda history, net: len(history) == 7],
        progress=False,
        n_threads=1,
    )
    assert len(history) == 7 and min(history["validation_accuracy"][3:]) > 0.9
