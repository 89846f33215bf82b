"""One phase of gradient training: a model descends on its data, and ends with its best weights."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.errors import UserError
from keras_transfer.progress import Progress
from keras_transfer.training import backup as backups
from keras_transfer.training import failures
from keras_transfer.training.backup import Epochs
from keras_transfer.training.objectives import Objective

_WARM_UP = 0.1  # Share of all steps over which the learning rate rises from zero.


@dataclass
class Phase:
    """What a phase did.

    Attributes:
        name: `head` or `fine-tune`.
        epochs: Epochs run; of a solved head, the solver's iterations.
        best_epoch: The epoch whose weights were kept; 0 if those from before the phase were better.
        seconds: Wall time.
        trainable_parameters: Weights that could change.
        images_per_second: Training images a second, validation included.
        validation: Score (`accuracy`, or `r2`) and `loss` (cross-entropy, nats, or squared error) on the validation
            split, of the network that the phase left; empty where it trained on that split.
        history: One record an epoch.
        details: What else a phase wants to record.
    """

    name: str
    epochs: int
    best_epoch: int
    seconds: float
    trainable_parameters: int
    images_per_second: float
    validation: dict[str, float]
    history: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the phase as `metrics.json` has it."""
        keys = ("name", "epochs", "best_epoch", "seconds", "trainable_parameters", "images_per_second", "validation")
        return {key: getattr(self, key) for key in keys} | self.details


@dataclass(frozen=True)
class Descent:
    """How to descend.

    Attributes:
        epochs: Most epochs, over which the schedule runs.
        learning_rate: Peak; reached after a tenth of all steps, then falling to zero as a cosine.
        label_smoothing: Share of the target spread over all classes (Szegedy et al. 2016).
        patience: Epochs without a better validation loss before stopping; None runs all.
        xla: Compile the training step.
        objective: What to learn.
        stop: The epoch to end after, wherever the schedule is then; None runs it to its end.
    """

    epochs: int
    learning_rate: float
    label_smoothing: float
    patience: int | None
    xla: bool
    objective: Objective
    stop: int | None = None


@dataclass(frozen=True)
class Feed:
    """What a phase trains on.

    Attributes:
        batches: Inputs and targets (and weights of the images) of all epochs, one after the other.
        count: Training images an epoch.
        steps: Batches an epoch.
        validation: Inputs and targets; None trains all epochs and keeps the last weights.
        earlier: Epochs of an interrupted run, which `batches` leave out.
    """

    batches: tf.data.Dataset
    count: int
    steps: int
    validation: tf.data.Dataset | None
    earlier: Epochs = field(default_factory=dict)


def train(
    name: str,
    model: keras.Model,
    feed: Feed,
    descent: Descent,
    progress: Progress,
    backup: Path | None = None,
) -> Phase:
    """Train a model of logits and leave it with the weights of its best epoch, by validation loss.

    Args:
        name: Of the phase.
        model: Inputs to logits `[N, K]`.
        feed: What on.
        descent: How.
        progress: Hears of each batch.
        backup: Folder for the weights after each epoch; what an interrupted run left there is gone on from, and the
            best of its epochs is kept if it stays the best. A phase that ended there is not run again.

    Raises:
        UserError: the loss is no number, and there are no weights to go back to.
    """
    if ended := backups.ended(backup, model):
        return Phase(**ended)
    begun = time.monotonic()
    validation, earlier = feed.validation, feed.earlier
    compile_for(model, descent, feed.steps)
    last = descent.stop or descent.epochs
    with progress.task("Head" if name == "head" else "Fine-tuning", last * feed.count) as advance:
        share = -(-feed.count // feed.steps)
        callbacks: list[keras.callbacks.Callback] = [
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: advance(min(share, feed.count - batch * share))
            )
        ]
        if backup is not None:
            callbacks += backups.callbacks(backup, descent.objective.judged_by, earlier, validation is not None)
        if validation is not None:
            callbacks += _stopping(descent, earlier)
        with failures.reported(model):
            fitted = model.fit(
                feed.batches,
                epochs=last,
                steps_per_epoch=feed.steps,
                validation_data=validation,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
    seconds = time.monotonic() - begun
    run: Epochs = {
        epoch + 1: {key: values[row] for key, values in fitted.history.items()}
        for row, epoch in enumerate(fitted.epoch)
    }
    epochs = earlier | run
    best, scores = (max(epochs), {}) if validation is None else _best(epochs, descent.objective)
    if backup is not None and scores and best not in run and np.isfinite(scores["loss"]):
        backups.load_best(backup, model)
    if scores and not np.isfinite(scores["loss"]):
        if backup is not None:
            backups.discard(backup)
        raise UserError(f"The loss of the {name} phase is no number: lower its learning rate (--{name}-lr).")
    history = [{"phase": name, "epoch": epoch, **epochs[epoch]} for epoch in sorted(epochs)]
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    rate = len(run) * feed.count / max(seconds, 1e-9)
    phase = Phase(name, max(epochs), best, seconds, trainable, rate, scores, history)
    if backup is not None:
        backups.end(backup, model, asdict(phase))
    return phase


def _stopping(descent: Descent, earlier: Epochs) -> list[keras.callbacks.Callback]:
    """Return what stops early and restores the best weights; an interrupted run goes on with what it knew."""
    criterion = descent.objective.judged_by
    patience = descent.epochs if descent.patience is None else descent.patience
    stopping = keras.callbacks.EarlyStopping(criterion, mode="min", patience=patience, restore_best_weights=True)
    losses = [epoch[criterion] for _, epoch in sorted(earlier.items())]
    if not losses:
        return [stopping]
    waited, least = 0, np.inf
    for loss in losses:
        waited, least = (0, loss) if loss < least else (waited + 1, least)

    def go_on(logs: Any) -> None:
        stopping.wait, stopping.best = waited, min(losses)

    return [stopping, keras.callbacks.LambdaCallback(on_train_begin=go_on)]


def _best(epochs: Epochs, objective: Objective) -> tuple[int, dict[str, float]]:
    """Return the epoch of the smallest validation loss, counted from 1, and its scores."""
    losses = {epoch: values[objective.judged_by] for epoch, values in epochs.items()}
    best = min(losses, key=lambda epoch: losses[epoch] if np.isfinite(losses[epoch]) else np.inf)
    return best, {objective.score: float(epochs[best][f"val_{objective.score}"]), "loss": float(losses[best])}


def compile_for(model: keras.Model, descent: Descent, steps: int) -> None:
    """Compile a model of logits with Adam, warm-up and cosine decay."""
    total = max(descent.epochs * steps, 1)
    warm_up = max(int(_WARM_UP * total), 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(total - warm_up, 1), warmup_target=descent.learning_rate, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.Adam(schedule),
        descent.objective.loss(descent.label_smoothing),
        metrics=descent.objective.metrics(),
        jit_compile=descent.xla,
    )
    # A training step that makes the optimizer's variables itself is traced twice.
    model.optimizer.build(model.trainable_variables)
