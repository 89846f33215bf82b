"""What takes part in each epoch of a phase: it notes the epoch, keeps weights and state, and ends training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_transfer.support import stopping
from keras_transfer.tasks.task import Task
from keras_transfer.training import state
from keras_transfer.training.state import Logs, PhaseState


class Epochs(keras.callbacks.Callback):
    """Notes each epoch, keeps the weights of one, and ends training where patience does, or where it has diverged.

    Args:
        validation_loss: As Keras's logs name it; None where nothing is validated.
        patience: Epochs without a better one, of those that are validated; None trains to the end and keeps the last.
        begun: Where an interrupted run left off.

    Attributes:
        logs: Of the epochs that ended.
        weights: Of the epoch that is kept.
    """

    def __init__(self, validation_loss: str | None, patience: int | None, begun: PhaseState | None) -> None:
        super().__init__()
        self.logs: list[Logs] = list(begun.epochs) if begun else []
        self.weights: Sequence[Any] = begun.best if begun else []
        self._validation_loss, self._patience = validation_loss, patience if validation_loss is not None else None

    @property
    def chooses(self) -> bool:
        """Whether the best epoch is kept, not the last."""
        return self._patience is not None

    @property
    def best(self) -> int:
        """Number of the epoch of the least validation loss, from 1."""
        losses = self._losses()
        return 1 + min(range(len(losses)), key=lambda epoch: losses[epoch])

    @property
    def kept(self) -> int:
        """Number of the epoch whose weights are kept, from 1: the best, or the last whose loss is a number."""
        if self._validation_loss is None:
            return len(self.logs)
        if self.chooses:
            return self.best
        return 1 + max((epoch for epoch, loss in enumerate(self._losses()) if np.isfinite(loss)), default=0)

    @property
    def ended(self) -> bool:
        """Whether there has been no better epoch for too long, or there will be none."""
        if not self.logs:
            return False
        return self.diverged or (self._patience is not None and len(self.logs) - self.best >= self._patience)

    @property
    def diverged(self) -> bool:
        """Whether the weights are no numbers: a step that overflowed in float16 makes NaN of the loss alone."""
        if self._validation_loss is None or not self.logs:
            return False
        logs = self.logs[-1]
        return bool(np.isnan(logs["loss"]) and not np.isfinite(logs[self._validation_loss]))

    def scores(self, task: Task) -> dict[str, float]:
        """Return score and loss of the epoch that is kept on validation images; nothing without any."""
        if self._validation_loss is None:
            return {}
        logs = self.logs[self.kept - 1]
        return {task.score: float(logs[f"val_{task.score}"]), "loss": float(logs[self._validation_loss])}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Take the weights that are kept from the model, where a state has no others."""
        if self.logs and not self.weights:
            self._keep()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self.logs.append(dict(logs or {}))
        if self.kept == len(self.logs):
            self._keep()
        self.model.stop_training = self.ended

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Leave the weights that are kept."""
        if self.weights:
            state.assign(self.model.weights, state.values(self.weights))

    def _keep(self) -> None:
        """Keep the weights as they are: on a CPU, they share the model's memory until a step changes them."""
        if self._validation_loss is not None:
            with keras.device("cpu:0"):
                self.weights = [keras.ops.copy(weight) for weight in self.model.weights]

    def _losses(self) -> list[float]:
        losses = [logs[self._validation_loss] for logs in self.logs] if self._validation_loss else []
        return [loss if np.isfinite(loss) else np.inf for loss in losses]


class WithinTime(keras.callbacks.Callback):
    """Ends training with its time, and lets the learning rate follow its schedule over the steps or the time, whichever
    end first.

    Args:
        seconds: That training may take, validation included.
        steps: Of training, if there is time for all.
        schedule: Of the learning rate over all steps.

    Attributes:
        ended: Whether training ended before all steps, for want of time.
    """

    def __init__(self, seconds: float, steps: int, schedule: keras.optimizers.schedules.LearningRateSchedule) -> None:
        super().__init__()
        self._seconds, self._steps, self._schedule = seconds, steps, schedule
        self._created = self._begun = time.monotonic()
        self._step = 0
        self.ended = False

    @property
    def _over(self) -> bool:
        return time.monotonic() - self._created >= self._seconds

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the learning rate of the step."""
        if self._step == 1:
            self._begun = time.monotonic()  # The first step is compiled, in which nothing is learnt.
        left = max(self._seconds - (self._begun - self._created), 1e-9)
        done = max(self._step / self._steps, (time.monotonic() - self._begun) / left)
        rate = self._schedule(min(done, 1.0) * self._steps)
        self.model.optimizer.learning_rate = float(keras.ops.convert_to_numpy(rate))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End the epoch, which is validated all the same, where the time is over."""
        self._step += 1
        self._end_if_over()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """End training, which `Epochs` would let go on, unless patience ends it."""
        if not self.model.stop_training:
            self._end_if_over()

    def _end_if_over(self) -> None:
        if self._over and self._step < self._steps:
            self.ended = self.model.stop_training = True


@dataclass(frozen=True)
class Checkpoint:
    """How the state of a phase is kept.

    Attributes:
        begun: The state that an interrupted run left; None begins the phase.
        always: Whether a state is kept as training goes on, or only when it is stopped.
        due: Says whether it is time to keep the state, so many steps after the last time.
        save: Keeps a state.
    """

    begun: PhaseState | None
    always: bool
    due: Callable[[int], bool]
    save: Callable[[PhaseState], None]


class Saving(keras.callbacks.Callback):
    """Keeps the state after each epoch, and within one where it is due, or only where training is to stop.

    Args:
        checkpoint: Keeps it.
        epochs: Those that ended.
        steps: Batches an epoch.
        started: When, by the monotonic clock.
        request: A signal that asks training to end.
    """

    def __init__(
        self, checkpoint: Checkpoint, epochs: Epochs, steps: int, started: float, request: stopping.Request
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
                # and then `Epochs` lets the next one begin.
                self.model.stop_training = True
        elif self._request.requested or self._checkpoint.due(self._since):
            self._save(self._step, state.values(self.model.metrics_variables))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the state."""
        if self._checkpoint.always or self._request.requested:
            self._save(0, [])

    def _save(self, step: int, metrics: state.Arrays) -> None:
        """Keep the state; the weights of the epoch that is kept only where they are others than those to go on with."""
        seconds = time.monotonic() - self._started + (self._checkpoint.begun.seconds if self._checkpoint.begun else 0)
        variables, optimizer = state.values(self.model.variables), state.values(self.model.optimizer.variables)
        current = {id(variable): array for variable, array in zip(self.model.variables, variables, strict=True)}
        best = state.values(self._epochs.weights)
        if all(map(np.array_equal, best, (current[id(weight)] for weight in self.model.weights))):
            best = []
        self._checkpoint.save(PhaseState(list(self._epochs.logs), step, seconds, variables, optimizer, metrics, best))
        self._since = 0
        self._request.end_if_requested()
