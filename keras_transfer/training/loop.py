"""One phase of training by gradient."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.support import stopping
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.task import Task
from keras_transfer.training import failures, state
from keras_transfer.training.callbacks import Checkpoint, Epochs, Saving, WithinTime
from keras_transfer.training.fused_adam import FusedAdam
from keras_transfer.training.phase import HEAD, GradientDescent, Phase, PhaseResult
from keras_transfer.training.soft_targets import LabelMetric, SoftLoss
from keras_transfer.training.state import Logs
from keras_transfer.training.technique import Technique

_WARM_UP = 0.1  # Share of all steps over which the learning rate rises from zero.


@dataclass(frozen=True)
class Batches:
    """What a phase trains on.

    Attributes:
        train: Inputs and targets (and weights of the images) of all epochs, one after the other, from the first step
            that is still to be trained.
        count: Training images an epoch.
        steps: Batches an epoch.
        validation: Inputs and targets; None trains all epochs and keeps the last weights.
        soft: Whether what is trained on has soft targets, which labels follow in the same table.
    """

    train: tf.data.Dataset
    count: int
    steps: int
    validation: tf.data.Dataset | None
    soft: bool = False


def train(
    phase: Phase,
    model: keras.Model,
    batches: Batches,
    task: Task,
    xla: bool,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> PhaseResult:
    """Train a model of logits, and leave it with the weights of its last epoch, or, where patience may end training,
    with those of its best one by validation loss.

    Without patience, training ends where the learning rate has fallen to zero. The epoch that is best on few validation
    images is that by luck: over 28 draws of photos, the last one was better on test images, by 0.8 ± 0.8 points.

    Args:
        phase: How it is trained, which must be by gradient.
        model: Inputs to logits `[N, K]`.
        batches: What it is trained on.
        task: What it learns.
        xla: Compile the training step.
        progress: Is told of each batch.
        checkpoint: Keeps the state, and knows that of an interrupted run, after which training goes on.

    Raises:
        UserError: the loss is no number, and there are no weights to go back to: of an epoch before, or, where the
            phase is judged, of before the phase.
    """
    if not isinstance(phase.by, GradientDescent):
        raise TypeError(f"{phase.name} is not trained by gradient.")
    started, begun = time.monotonic(), checkpoint.begun if checkpoint else None
    compile_for(model, phase.by, task, batches.steps, xla, phase.techniques, batches.soft)
    last = phase.by.last_epoch
    epochs = Epochs(task.validation_loss if batches.validation is not None else None, phase.by.patience, begun)
    if begun is not None:
        state.assign(model.variables, begun.variables)
        state.assign(model.optimizer.variables, begun.optimizer)
        place = f"after epoch {len(begun.epochs)} of {last}" + f", step {begun.step}" * bool(begun.step)
        progress.say(f"{phase.name}: goes on {place}, where an interrupted run left off.")
    within: WithinTime | None = None
    done = len(epochs.logs) * batches.count + _images(batches, begun.step if begun else 0)
    with progress.task("Head" if phase.trains == HEAD else "Fine-tuning", last * batches.count - done) as advance:
        if batches.validation is not None and not epochs.chooses and last > 1:
            progress.say(f"{phase.name}: its weights are those of the last epoch (--patience takes those of the best).")
        callbacks = [
            epochs,
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: advance(_images(batches, batch + 1) - _images(batches, batch)),
                on_epoch_end=lambda epoch, logs: progress.say(_line(phase.name, epochs, last, model, task)),
            ),
            # After the best weights were kept, as they were validated.
            *(callback for technique in phase.techniques for callback in technique.callbacks()),
        ]
        with failures.reported(model), stopping.deferred() if checkpoint else nullcontext() as request:
            if phase.by.seconds is not None:
                steps = last * batches.steps
                within = WithinTime(phase.by.seconds, steps, _schedule(phase.by, steps))
                callbacks.append(within)
            if checkpoint is not None and request is not None:
                callbacks.append(Saving(checkpoint, epochs, batches.steps, started, request))
            model.fit(
                batches.train,
                initial_epoch=len(epochs.logs),
                epochs=len(epochs.logs) if epochs.ended else last,
                steps_per_epoch=batches.steps,
                validation_data=batches.validation,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
    seconds = time.monotonic() - started + (begun.seconds if begun else 0.0)
    details = {"planned_epochs": last} if within is not None and within.ended else {}
    return _result(phase, model, batches, task, epochs, seconds, details)


def _result(
    phase: Phase,
    model: keras.Model,
    batches: Batches,
    task: Task,
    epochs: Epochs,
    seconds: float,
    details: dict[str, Any],
) -> PhaseResult:
    """Return what came of a phase that was trained; raise `UserError` where it diverged and nothing was before it."""
    scores = epochs.scores(task)
    lost = bool(scores) and not np.isfinite(scores["loss"])
    if lost and not phase.is_judged:
        option = "--head-lr" if phase.trains == HEAD else "--fine-tune-lr"
        raise UserError(f"Training diverged: the loss of phase {phase.name!r} is NaN or infinite. Lower {option}.")
    if lost or epochs.diverged:
        details = details | {"diverged": True}
    history = [_record(phase.name, epoch, logs, task) for epoch, logs in enumerate(epochs.logs, 1)]
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    rate = len(epochs.logs) * batches.count / max(seconds, 1e-9)
    return PhaseResult(phase.name, len(epochs.logs), epochs.kept, seconds, trainable, rate, scores, history, details)


def _images(batches: Batches, steps: int) -> int:
    """Return how many images of an epoch its first steps train on, for the bar: about, where an epoch is not all."""
    return min(steps * -(-batches.count // batches.steps), batches.count)


def _record(name: str, epoch: int, logs: Logs, task: Task) -> dict[str, Any]:
    """Return an epoch as `history.csv` has it: the loss that was trained on, that on validation images, without
    penalties and label smoothing, and the score on both.
    """
    columns = {"loss": "loss", task.score: task.score}
    columns |= {"val_loss": task.validation_loss, f"val_{task.score}": f"val_{task.score}"}
    return {"phase": name, "epoch": epoch, **{column: logs[key] for column, key in columns.items() if key in logs}}


def _line(name: str, epochs: Epochs, last: int, model: keras.Model, task: Task) -> str:
    """Return the line that a person gets on the epoch that has just ended."""
    logs, epoch = epochs.logs[-1], len(epochs.logs)
    loss, score = f"loss {logs['loss']:.3f}", f"{task.score} {logs[task.score]:.3f}"
    rate = f"lr {float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)):.0e}"
    rate = rate.replace("e-0", "e-").replace("0e+00", "0")
    if task.validation_loss in logs:
        loss += f" val {logs[task.validation_loss]:.3f}"
        score += f" val {logs[f'val_{task.score}']:.3f}"
        rate += f" best {epochs.best}" if epochs.chooses else ""
    # Short, for a terminal of 80 columns.
    return "  ".join([f"{name} {epoch:>{len(str(last))}}/{last}", loss, score, rate])


def _schedule(descent: GradientDescent, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Return warm-up and cosine decay to zero over so many steps."""
    warm_up = max(int(_WARM_UP * steps), 1)
    # Not from zero, at which the first step would change nothing: small sets have few steps.
    return keras.optimizers.schedules.CosineDecay(
        descent.learning_rate / (warm_up + 1),
        max(steps - warm_up, 1),
        warmup_target=descent.learning_rate,
        warmup_steps=warm_up,
    )


def compile_for(
    model: keras.Model,
    descent: GradientDescent,
    task: Task,
    steps: int,
    xla: bool,
    techniques: Sequence[Technique] = (),
    soft: bool = False,
) -> None:
    """Compile a model of logits with Adam, decoupled weight decay, warm-up and cosine decay (`WithinTime` sees to them
    where the descent has seconds); biases do not decay.
    """
    # A number, where a callback sets it step by step.
    rate = descent.learning_rate if descent.seconds is not None else _schedule(descent, descent.epochs * steps)
    # Keras takes a decay of 0 for one, and traces the schedule once more for each weight.
    optimizer: keras.optimizers.Optimizer = FusedAdam(rate, weight_decay=descent.weight_decay or None)
    for technique in techniques:
        optimizer = technique.optimizer(optimizer)
    optimizer.exclude_from_weight_decay([weight for weight in model.trainable_weights if len(weight.shape) < 2])
    loss, metrics = task.loss(descent.label_smoothing), task.metrics()
    if soft:
        loss, metrics = SoftLoss(loss), [LabelMetric(metric) for metric in metrics]
    score, mean_loss = metrics
    # What chooses epochs counts images as what is trained on does.
    model.compile(optimizer, loss, metrics=[score], weighted_metrics=[mean_loss], jit_compile=xla)
    # A training step that makes the optimizer's variables itself is traced twice.
    model.optimizer.build(model.trainable_variables)
