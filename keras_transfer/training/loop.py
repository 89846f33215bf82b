"""One phase of gradient training: a model descends on its batches, and ends with its best weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.support import stopping
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.task import Task
from keras_transfer.training import failures, state
from keras_transfer.training.phase import HEAD, Descend, Phase, PhaseResult
from keras_transfer.training.state import Logs, PhaseState
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
    """

    train: tf.data.Dataset
    count: int
    steps: int
    validation: tf.data.Dataset | None


@dataclass(frozen=True)
class Checkpoint:
    """How the state of a phase is kept.

    Attributes:
        begun: The state that an interrupted run left; None begins the phase.
        due: Says whether it is time to keep the state, so many steps after the last time.
        save: Keeps a state.
    """

    begun: PhaseState | None
    due: Callable[[int], bool]
    save: Callable[[PhaseState], None]


def train(
    phase: Phase,
    model: keras.Model,
    batches: Batches,
    task: Task,
    xla: bool,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
) -> PhaseResult:
    """Train a model of logits and leave it with the weights of its last epoch, where patience may end training with
    those of its best one, by validation loss.

    Without patience, training ends where the learning rate has fallen to zero. The epoch that is best on few validation
    images is that by luck: over 28 draws of photos, the last one was better on test images, by 0.8 ± 0.8 points.

    Args:
        phase: How; trained by gradient.
        model: Inputs to logits `[N, K]`.
        batches: What on.
        task: What to learn.
        xla: Compile the training step.
        progress: Is told of each batch.
        checkpoint: Keeps the state, and knows that of an interrupted run, after which training goes on.

    Raises:
        UserError: the loss is no number, and there are no weights to go back to.
    """
    if not isinstance(phase.by, Descend):
        raise TypeError(f"{phase.name} is not trained by gradient.")
    started, begun = time.monotonic(), checkpoint.begun if checkpoint else None
    compile_for(model, phase.by, task, batches.steps, xla, phase.techniques)
    last = phase.by.stop or phase.by.epochs
    epochs = _Epochs(task.judged_by if batches.validation is not None else None, phase.by.patience, begun)
    if begun is not None:
        state.assign(model.variables, begun.variables)
        state.assign(model.optimizer.variables, begun.optimizer)
        place = f"after epoch {len(begun.epochs)} of {last}" + f", step {begun.step}" * bool(begun.step)
        progress.say(f"{phase.name}: goes on {place}, where an interrupted run left off.")
    done = len(epochs.logs) * batches.count + _images(batches, begun.step if begun else 0)
    with progress.task("Head" if phase.trains == HEAD else "Fine-tuning", last * batches.count - done) as advance:
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
            if checkpoint is not None and request is not None:
                callbacks.append(_Saving(checkpoint, epochs, batches.steps, started, request))
            model.fit(
                batches.train,
                initial_epoch=len(epochs.logs),
                epochs=len(epochs.logs) if epochs.patience_ended else last,
                steps_per_epoch=batches.steps,
                validation_data=batches.validation,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            )
    scores = epochs.scores(task)
    if scores and not np.isfinite(scores["loss"]):
        option = "--head-lr" if phase.trains == HEAD else "--fine-tune-lr"
        raise UserError(f"Training diverged: the loss of phase {phase.name!r} is NaN or infinite. Lower {option}.")
    seconds = time.monotonic() - started + (begun.seconds if begun else 0.0)
    history = [{"phase": phase.name, "epoch": epoch, **_row(logs, task)} for epoch, logs in enumerate(epochs.logs, 1)]
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    rate = len(epochs.logs) * batches.count / max(seconds, 1e-9)
    return PhaseResult(phase.name, len(epochs.logs), epochs.kept, seconds, trainable, rate, scores, history)


def _images(batches: Batches, steps: int) -> int:
    """Return how many images of an epoch its first steps train on, for the bar: about, where an epoch is not all."""
    return min(steps * -(-batches.count // batches.steps), batches.count)


def _row(logs: Logs, task: Task) -> dict[str, float]:
    """Return an epoch as `history.csv` has it: the loss that was trained on, the criterion on validation images, and
    the score on both.
    """
    columns = {"loss": "loss", task.score: task.score}
    columns |= {"val_loss": task.judged_by, f"val_{task.score}": f"val_{task.score}"}
    return {column: logs[key] for column, key in columns.items() if key in logs}


class _Epochs(keras.callbacks.Callback):
    """Notes each epoch, keeps the weights of one, and ends training where patience does.

    Args:
        judged_by: The validation loss, as Keras's logs name it; None where nothing is validated.
        patience: Epochs without a better one; None trains to the end and keeps the last.
        begun: Where an interrupted run left off.

    Attributes:
        logs: Of the epochs that ended.
        weights: Of the epoch that is kept.
    """

    def __init__(self, judged_by: str | None, patience: int | None, begun: PhaseState | None) -> None:
        super().__init__()
        self.logs: list[Logs] = list(begun.epochs) if begun else []
        self.weights = list(begun.best) if begun else []
        self._judged_by, self._patience = judged_by, patience

    @property
    def best(self) -> int:
        """Number of the epoch of the least validation loss, from 1."""
        losses = self._losses()
        return 1 + min(range(len(losses)), key=lambda epoch: losses[epoch])

    @property
    def kept(self) -> int:
        """Number of the epoch whose weights are kept, from 1: the best, or the last whose loss is a number."""
        if self._judged_by is None:
            return len(self.logs)
        if self._patience is not None:
            return self.best
        return 1 + max((epoch for epoch, loss in enumerate(self._losses()) if np.isfinite(loss)), default=0)

    @property
    def patience_ended(self) -> bool:
        """Whether there has been no better epoch for too long."""
        return bool(self.logs and self._patience is not None and len(self.logs) - self.best >= self._patience)

    def scores(self, task: Task) -> dict[str, float]:
        """Return score and loss of the epoch that is kept on validation images; nothing without any."""
        if self._judged_by is None:
            return {}
        logs = self.logs[self.kept - 1]
        return {task.score: float(logs[f"val_{task.score}"]), "loss": float(logs[self._judged_by])}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self.logs.append(dict(logs or {}))
        if self._judged_by is not None and self.kept == len(self.logs):
            self.weights = self.model.get_weights()
        self.model.stop_training = self.patience_ended

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Leave the weights that are kept."""
        if self.weights:
            self.model.set_weights(self.weights)

    def _losses(self) -> list[float]:
        losses = [logs[self._judged_by] for logs in self.logs] if self._judged_by else []
        return [loss if np.isfinite(loss) else np.inf for loss in losses]


class _Saving(keras.callbacks.Callback):
    """Keeps the state after each epoch, and within one where it is due or training is to stop.

    Args:
        checkpoint: Keeps it.
        epochs: Those that ended.
        steps: Batches an epoch.
        started: When, by the monotonic clock.
        request: A signal that asks training to end.
    """

    def __init__(
        self, checkpoint: Checkpoint, epochs: _Epochs, steps: int, started: float, request: stopping.Request
    ) -> None:
        super().__init__()
        self._checkpoint, self._epochs, self._steps = checkpoint, epochs, steps
        self._started, self._request = started, request
        self._step = self._since = 0  # In the epoch, and since the state was kept.
        self._begun = checkpoint.begun

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Go on in the epoch that an interrupted run had begun."""
        self._step = self._begun.step if self._begun else 0
        if self._begun and self._begun.step:
            nothing = np.zeros((1, self.model.output_shape[-1]), "float32")
            self.model.compute_metrics(None, nothing, nothing)  # Keras makes their variables when they are used first.
            state.assign(self.model.metrics_variables, self._begun.metrics)
        self._begun = None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Keep the state if that is due."""
        self._step, self._since = self._step + 1, self._since + 1
        if self._step == self._steps:
            if batch + 1 < self._steps:
                # An epoch that an interrupted run had begun is shorter than Keras knows. It is validated all the same,
                # and then `_Epochs` lets the next one begin.
                self.model.stop_training = True
        elif self._request.requested or self._checkpoint.due(self._since):
            self._save(self._step, state.values(self.model.metrics_variables))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the state."""
        self._save(0, [])

    def _save(self, step: int, metrics: state.Arrays) -> None:
        seconds = time.monotonic() - self._started + (self._checkpoint.begun.seconds if self._checkpoint.begun else 0)
        variables, optimizer = state.values(self.model.variables), state.values(self.model.optimizer.variables)
        self._checkpoint.save(
            PhaseState(list(self._epochs.logs), step, seconds, variables, optimizer, metrics, self._epochs.weights)
        )
        self._since = 0
        self._request.end_if_requested()


def _line(name: str, epochs: _Epochs, last: int, model: keras.Model, task: Task) -> str:
    """Return what a person is told of the epoch that has just ended."""
    logs, epoch = epochs.logs[-1], len(epochs.logs)
    parts = [f"{name:<10} epoch {epoch:>{len(str(last))}}/{last}"]
    parts += [f"loss {logs['loss']:.3f}", f"{task.score} {logs[task.score]:.3f}"]
    if task.judged_by in logs:
        parts.append(f"val. loss {logs[task.judged_by]:.3f}")
        parts.append(f"val. {task.score} {logs[f'val_{task.score}']:.3f}")
        parts.append(f"best {epochs.best}")
    rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
    return "  ".join([*parts, f"rate {rate:.1e}"])


def compile_for(
    model: keras.Model,
    descent: Descend,
    task: Task,
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
    loss, metrics = task.loss(descent.label_smoothing), task.metrics()
    model.compile(optimizer, loss, metrics=metrics, jit_compile=xla)
    # A training step that makes the optimizer's variables itself is traced twice.
    model.optimizer.build(model.trainable_variables)
