from dataclasses import replace

import numpy as np
import pytest

from keras_transfer.training import loop
from tests.training.trainers import TUNED, run, served_loss, trainer


def test_a_solved_head_is_solved_again_with_the_validation_images(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, refit="head", thaw="none")
    head, refit = run(one)
    assert refit.details["images"] == len(one.setup.train) + len(one.setup.validation)
    assert refit.validation == head.details["cross_validation"]
    assert refit.history == [{"phase": "refit, head", "iterations": refit.epochs}]
    assert refit.images_per_second * refit.seconds == pytest.approx(len(one.setup.seen))
    kernel = one.setup.network.head.get_layer("logits").get_weights()[0]
    other = trainer(photos, base=tiny_base, size=24, refit="off", thaw="none")
    run(other)
    assert np.abs(kernel - other.setup.network.head.get_layer("logits").get_weights()[0]).max() > 0


def test_a_thawed_network_that_was_kept_is_not_trained_again_by_default(photos, tiny_base):
    one = trainer(photos, base=tiny_base, refit="head", **TUNED)
    phases = run(one)
    assert [phase.name for phase in phases] == ["head", "fine-tune"]
    assert phases[1].best_epoch > 0
    assert served_loss(one) == pytest.approx(phases[1].validation["loss"], abs=1e-4)


@pytest.mark.essential
def test_a_refit_runs_the_schedule_that_was_chosen(photos, tiny_base):
    """As many steps as led to the chosen epoch, at the rates of the whole schedule."""
    one = trainer(photos, base=tiny_base, refit="on", **TUNED)
    *_, tuned, refit = run(one)
    assert (refit.name, refit.validation) == ("refit", {})
    assert refit.epochs == refit.best_epoch == tuned.best_epoch
    solved, *rows = one.history[-1 - refit.epochs :]
    assert solved == {"phase": "refit, head", "iterations": refit.details["parts"]["refit, head"]}
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        ("refit, fine-tune", 1 + at) for at in range(refit.epochs)
    ]
    assert all("loss" in row and "val_loss" not in row for row in rows)
    images = len(one.setup.seen) + tuned.best_epoch * len(one.setup.train)
    assert refit.images_per_second * refit.seconds == pytest.approx(images), "the head is solved again, too"
    optimizer = one.feed("middle_conv").trainable.optimizer
    steps = -(-len(one.setup.train) // 8)
    assert int(optimizer.iterations) == tuned.best_epoch * steps
    schedule = optimizer._learning_rate
    assert schedule.decay_steps + schedule.warmup_steps == 4 * steps


@pytest.mark.once
def test_a_refit_that_lost_is_dropped(photos, tiny_base, monkeypatch):
    one = trainer(photos, base=tiny_base, refit="on", **TUNED)
    real, calls = loop.train, []

    def diverging(phase, model, batches, *rest):
        calls.append(batches.validation)
        if batches.validation is None:
            phase = replace(phase, by=replace(phase.by, learning_rate=30.0))
        return real(phase, model, batches, *rest)

    monkeypatch.setattr(loop, "train", diverging)
    *_, tuned, refit = run(one)
    assert len(calls) == 2
    assert refit.best_epoch == 0
    assert refit.details["parts"]["refit, fine-tune"] == refit.epochs == len(refit.history) - 1
    assert refit.details["training_loss"]["after"] > refit.details["training_loss"]["before"]
    assert served_loss(one) == pytest.approx(tuned.validation["loss"], abs=1e-4)
