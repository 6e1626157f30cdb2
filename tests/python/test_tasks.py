"""The tasks of snnfp train: that their settings learn."""

from dataclasses import replace

import pytest
import snnfp
from snnfp.tasks import TASKS, build_network, make_loss
from snnfp.train_command import make_remedies, make_schedule


@pytest.mark.parametrize("seed", [0, 1])
def test_no_output_of_yin_yang_falls_silent(seed):
    """Seeds where, with a tenth of the remedy for silent labels, a class was lost for epochs."""
    task = TASKS["yin-yang"]
    settings = replace(task.settings, seed=seed)
    data = task.load(settings, None)
    net = build_network(settings, data.channels, data.classes)
    history = snnfp.fit(
        net,
        data.train,
        loss=make_loss(settings),
        optimiser=snnfp.Adam(lr=settings.lr),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        validation=data.validation,
        schedule=make_schedule(settings),
        until=settings.until,
        seed=seed,
        clip_norm=settings.clip_norm,
        remedies=make_remedies(settings),
        callbacks=[lambda history, net: len(history) == 7],
        progress=False,
        n_threads=1,
    )
    assert len(history) == 7 and min(history["validation_accuracy"][3:]) > 0.9
