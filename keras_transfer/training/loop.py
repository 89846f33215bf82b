"""One phase of gradient training: a model descends on its batches, and ends with its best weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.task import Task
from keras_transfer.training import backup as backups
from keras_transfer.training import failures
from keras_transfer.training.backup import Epochs
from keras_transfer.training.phase import HEAD, Descend, PhaseResult
from keras_transfer.training.technique import Technique

_WARM_UP = 0.1  # Share of all steps over which the learning rate rises from zero.


@dataclass(frozen=True)
class Batches:
    """What a phase trains on.

    Attributes:
        train: Inputs and targets (and weights of the images) of all epochs, one after the other.
        count: Training images an epoch.
        steps: Batches an epoch.
        validation: Inputs and targets; None trains all epochs and keeps the last weights.
        earlier: Epochs of an interrupted run, which `train` leaves out.
    """

    train: tf.data.Dataset
    count: int
    steps: int
    validation: tf.data.Dataset | None
    earlier: Epochs = field(default_factory=dict)


def train(
    name: str,
    model: keras.Model,
    batches: Batches,
    descent: Descend,
    objective: Task,
    xla: bool,
    progress: Progress,
    backup: Path | None = None,
    techniques: Sequence[Technique] = (),
) -> PhaseResult:
    """Train a model of logits and leave it with the weights of its best epoch, by validation loss.

    Args:
        name: Of the phase.
        model: Inputs to logits `[N, K]`.
        batches: What on.
        descent: How.
        objective: What to learn.
        xla: Compile the training step.
        progress: Is told of each batch.
        backup: Folder for the weights after each epoch; what an interrupted run left there is gone on from, and the
            best of its epochs is kept if it stays the best. A phase that ended there is not run again.
        techniques: What changes this.

    Raises:
        UserError: the loss is no number, and there are no weights to go back to.
    """
    if ended := backups.ended(backup, model):
        return PhaseResult(**ended)
    begun = time.monotonic()
    validation, earlier = batches.validation, batches.earlier
    compile_for(model, descent, objective, batches.steps, xla, techniques)
    last = descent.stop or descent.epochs
    with progress.task("Head" if name == HEAD else "Fine-tuning", last * batches.count) as advance:
        share = -(-batches.count // batches.steps)
        callbacks: list[keras.callbacks.Callback] = [
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: advance(min(share, batches.count - batch * share)),
                on_epoch_end=_Told(name, model, last, objective, progress, earlier),
            )
        ]
        if backup is not None:
            callbacks += backups.callbacks(backup, objective.judged_by, earlier, validation is not None)
        if validation is not None:
            callbacks += _stopping(descent, objective.judged_by, earlier)
        # Last, so that what keeps the best weights gets those that were validated.
        callbacks += [callback for technique in techniques for callback in technique.callbacks()]
        with failures.reported(model):
            fitted = model.fit(
                batches.train,
                epochs=last,
                steps_per_epoch=batches.steps,
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
    best, scores = (max(epochs), {}) if validation is None else _best(epochs, objective)
    if backup is not None and scores and best not in run and np.isfinite(scores["loss"]):
        backups.load_best(backup, model)
    if scores and not np.isfinite(scores["loss"]):
        if backup is not None:
            backups.discard(backup)
        raise UserError(f"The loss of the {name} phase is no number: lower its learning rate (--{name}-lr).")
    history = [{"phase": name, "epoch": epoch, **_row(epochs[epoch], objective)} for epoch in sorted(epochs)]
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    rate = len(run) * batches.count / max(seconds, 1e-9)
    phase = PhaseResult(name, max(epochs), best, seconds, trainable, rate, scores, history)
    if backup is not None:
        backups.end(backup, model, asdict(phase))
    return phase


def _row(logs: dict[str, float], objective: Task) -> dict[str, float]:
    """Return an epoch as `history.csv` has it: the loss that was trained on, the criterion on validation images, and
    the score on both.
    """
    columns = {"loss": "loss", objective.score: objective.score}
    columns |= {"val_loss": objective.judged_by, f"val_{objective.score}": f"val_{objective.score}"}
    return {column: logs[key] for column, key in columns.items() if key in logs}


class _Told:
    """Tells a person of each epoch that ends.

    Args:
        name: Of the phase.
        model: That is trained.
        last: Most epochs.
        objective: Names score and criterion.
        progress: Is told.
        earlier: Epochs of an interrupted run.
    """

    def __init__(
        self,
        name: str,
        model: keras.Model,
        last: int,
        objective: Task,
        progress: Progress,
        earlier: Epochs,
    ) -> None:
        self._start = f"{name:<10} epoch {{epoch:>{len(str(last))}}}/{last}"
        self._model, self._objective, self._progress = model, objective, progress
        self._losses = {epoch: values.get(objective.judged_by, np.nan) for epoch, values in earlier.items()}
        if earlier:
            progress.say(f"{name}: goes on after epoch {max(earlier)} of an interrupted run.")

    def __call__(self, epoch: int, logs: dict[str, float]) -> None:
        """Write one line."""
        score, criterion = self._objective.score, self._objective.criterion
        parts = [self._start.format(epoch=epoch + 1), f"loss {logs['loss']:.3f}", f"{score} {logs[score]:.3f}"]
        if self._objective.judged_by in logs:
            self._losses[epoch + 1] = logs[self._objective.judged_by]
            parts += [f"val. loss {logs[f'val_{criterion}']:.3f}", f"val. {score} {logs[f'val_{score}']:.3f}"]
            parts.append(f"best {min(self._losses, key=lambda number: self._losses[number])}")
        rate = float(keras.ops.convert_to_numpy(self._model.optimizer.learning_rate))
        self._progress.say("  ".join([*parts, f"rate {rate:.1e}"]))


def _stopping(descent: Descend, criterion: str, earlier: Epochs) -> list[keras.callbacks.Callback]:
    """Return what stops early and restores the best weights; an interrupted run goes on with what it knew."""
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


def _best(epochs: Epochs, objective: Task) -> tuple[int, dict[str, float]]:
    """Return the epoch of the smallest validation loss, counted from 1, and its scores."""
    losses = {epoch: values[objective.judged_by] for epoch, values in epochs.items()}
    best = min(losses, key=lambda epoch: losses[epoch] if np.isfinite(losses[epoch]) else np.inf)
    return best, {objective.score: float(epochs[best][f"val_{objective.score}"]), "loss": float(losses[best])}


def compile_for(
    model: keras.Model,
    descent: Descend,
    objective: Task,
    steps: int,
    xla: bool,
    techniques: Sequence[Technique] = (),
) -> None:
    """Compile a model of logits with AdamW, warm-up and cosine decay; biases do not decay."""
    total = max(descent.epochs * steps, 1)
    warm_up = max(int(_WARM_UP * total), 1)
    # Not from zero, at which the first step would change nothing: small sets have few steps.
    schedule = keras.optimizers.schedules.CosineDecay(
        descent.learning_rate / (warm_up + 1),
        max(total - warm_up, 1),
        warmup_target=descent.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=descent.weight_decay)
    for technique in techniques:
        optimizer = technique.optimizer(optimizer)
    optimizer.exclude_from_weight_decay([weight for weight in model.trainable_weights if len(weight.shape) < 2])
    loss, metrics = objective.loss(descent.label_smoothing), objective.metrics()
    model.compile(optimizer, loss, metrics=metrics, jit_compile=xla)
    # A training step that makes the optimizer's variables itself is traced twice.
    model.optimizer.build(model.trainable_variables)
