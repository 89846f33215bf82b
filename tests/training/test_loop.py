import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.support.progress import Progress
from keras_transfer.tasks.classification import Classification
from keras_transfer.training import callbacks
from keras_transfer.training.callbacks import Checkpoint
from keras_transfer.training.loop import Batches, train
from keras_transfer.training.phase import GradientDescent, Phase
from keras_transfer.training.technique import Technique
from keras_transfer.training.techniques.ema import MovingAverage


class Counting(keras.layers.Layer):
    """Counts how often a training step is traced."""

    def __init__(self):
        super().__init__()
        self.traced = 0

    def call(self, inputs, training=False):
        self.traced += bool(training)
        return inputs


def test_the_training_step_is_traced_once():
    inputs, counting = keras.Input((4,)), Counting()
    model = keras.Model(inputs, keras.layers.Dense(3)(counting(inputs)))
    targets = np.eye(3, dtype="float32")[np.arange(12) % 3]
    batches = tf.data.Dataset.from_tensor_slices((np.ones((12, 4), "float32"), targets)).batch(4).repeat()
    counting.traced = 0
    task, head = Classification(), Phase("head", "head", GradientDescent(2, 1e-3))
    phase = train(head, model, Batches(batches, 12, 3, None), task, False, Progress(quiet=True))
    assert phase.epochs == 2
    assert counting.traced == 1


@pytest.mark.parametrize(("patience", "best"), [(None, ""), (2, r" best \d")])
def test_each_epoch_is_told_in_one_line_and_which_is_kept(patience, best, capsys):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    targets = np.eye(3, dtype="float32")[np.arange(12) % 3]
    data = tf.data.Dataset.from_tensor_slices((np.ones((12, 4), "float32"), targets)).batch(4)
    phase = Phase("fine-tune", "all", GradientDescent(2, 1e-3, patience=patience))
    train(phase, model, Batches(data.repeat(), 12, 3, data), Classification(), False, Progress())
    lines = capsys.readouterr().err.splitlines()
    last_is_kept = "fine-tune: its weights are those of the last epoch (--patience takes those of the best)."
    assert (last_is_kept in lines) is (patience is None)
    first, second = (line for line in lines if line.startswith("fine-tune "))
    number = r"\d\.\d{3}"
    scores = f"loss {number} val {number}  accuracy {number} val {number}"
    assert re.fullmatch(rf"fine-tune 1/2  {scores}  lr \de-\d{best}", first)
    assert re.fullmatch(rf"fine-tune 2/2  {scores}  lr 0{best}", second)
    assert len(first.replace("1/2", "10/20").replace("best 1", "best 10")) <= 80


QUIET = Progress(quiet=True)
TARGETS = np.eye(3, dtype="float32")[np.arange(12) % 3]
IMAGES = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")


def test_patience_ends_nothing_where_nothing_is_validated():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    batches = Batches(tf.data.Dataset.from_tensor_slices((IMAGES, TARGETS)).batch(4).repeat(), 12, 3, None)
    result = train(
        Phase("head", "head", GradientDescent(3, 1e-3, patience=1)), model, batches, Classification(), False, QUIET
    )
    assert (result.epochs, result.best_epoch, result.validation) == (3, 3, {})


def trained(begun=None, stop=None, diverges=False, techniques=()):
    """Train for two epochs of three steps, in the second of which the loss may become NaN.

    Returns:
        Weights, result, and the state after each step and epoch.
    """
    inputs = keras.Input((4,))
    keras.utils.set_random_seed(0)
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    held = tf.data.Dataset.from_tensor_slices((IMAGES, TARGETS)).batch(4)
    data = held.concatenate(held.map(lambda images, targets: (images * np.nan, targets)) if diverges else held)
    data = data.skip(3 * len(begun.epochs) + begun.step) if begun else data
    phase = Phase("fine-tune", "all", GradientDescent(2, 0.1, stop=stop), techniques=techniques)
    states = []
    checkpoint = Checkpoint(begun, True, lambda steps: True, states.append)
    result = train(phase, model, Batches(data, 12, 3, held), Classification(), False, Progress(True), checkpoint)
    return model.get_weights(), result, states


@pytest.fixture(scope="module")
def diverged():
    return trained(diverges=True)


def test_a_loss_that_becomes_nan_leaves_the_epoch_before(diverged):
    weights, result, _ = diverged
    assert (result.epochs, result.best_epoch, result.details) == (2, 1, {"diverged": True})
    for actual, expected in zip(weights, trained(stop=1)[0], strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("place", [(1, 0), (1, 2)])
def test_the_epoch_before_is_left_after_an_interruption_too(diverged, place):
    (begun,) = [state for state in diverged[2] if (len(state.epochs), state.step) == place]
    for actual, expected in zip(trained(begun, diverges=True)[0], diverged[0], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_state_has_the_weights_that_are_kept_only_where_they_are_others(diverged):
    """Others than those to go on with: of an epoch before, or averaged."""
    kept = {(len(state.epochs), state.step): len(state.best) for state in diverged[2]}
    assert kept == {(0, 1): 0, (0, 2): 0, (1, 0): 0, (1, 1): 2, (1, 2): 2, (2, 0): 2}
    averaged = trained(stop=1, techniques=(MovingAverage(0.9),))[2]
    assert [len(state.best) for state in averaged] == [0, 0, 2]


class Rates(Technique):
    """Notes the learning rate of each step, which takes a hundredth of a second by a clock of its own."""

    def __init__(self):
        self.seen = []

    def monotonic(self):
        return len(self.seen) / 100

    def callbacks(self):
        def note(batch, logs):
            self.seen.append(float(callback.model.optimizer.learning_rate))

        callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
        return [callback]


@pytest.mark.parametrize(("epochs", "seconds"), [(100_000, 1.0), (4, 600.0)])
def test_training_ends_with_its_time_or_its_epochs_and_the_rate_falls_until_then(epochs, seconds, monkeypatch):
    inputs, rates = keras.Input((4,)), Rates()
    monkeypatch.setattr(callbacks, "time", rates)
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    held = tf.data.Dataset.from_tensor_slices((IMAGES, TARGETS)).batch(4)
    phase = Phase("fine-tune", "all", GradientDescent(epochs, 1e-2, seconds=seconds), techniques=(rates,))
    result = train(phase, model, Batches(held.repeat(), 12, 3, held), Classification(), False, QUIET)
    assert result.details == ({} if epochs == 4 else {"planned_epochs": epochs})
    assert result.best_epoch == result.epochs == len(result.history), "the last epoch is validated and kept"
    assert len(rates.seen) == (12 if epochs == 4 else 100)
    peak = int(np.argmax(rates.seen))
    assert rates.seen[0] < 0.9 * max(rates.seen) <= 0.9e-2 + 1e-3
    assert 0 < peak < 0.5 * len(rates.seen)
    assert rates.seen[-1] < 0.1 * max(rates.seen)


def test_what_patience_ends_is_not_said_to_have_ended_for_want_of_time():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    held = tf.data.Dataset.from_tensor_slices((IMAGES, TARGETS)).batch(4)
    phase = Phase("fine-tune", "all", GradientDescent(50, 1e-9, patience=1, seconds=600.0))
    result = train(phase, model, Batches(held.repeat(), 12, 3, held), Classification(), False, QUIET)
    assert result.epochs < 50
    assert result.details == {}
