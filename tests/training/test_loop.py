import keras
import numpy as np
import tensorflow as tf

from keras_transfer.support.progress import Progress
from keras_transfer.tasks.classification import Classification
from keras_transfer.training.loop import Batches, train
from keras_transfer.training.phase import Descend, Phase


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
    task, head = Classification(targets), Phase("head", "head", Descend(2, 1e-3))
    phase = train(head, model, Batches(batches, 12, 3, None), task, False, Progress(quiet=True))
    assert phase.epochs == 2
    assert counting.traced == 1


def test_each_epoch_is_told_in_one_line(capsys):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    targets = np.eye(3, dtype="float32")[np.arange(12) % 3]
    data = tf.data.Dataset.from_tensor_slices((np.ones((12, 4), "float32"), targets)).batch(4)
    phase = Phase("fine-tune", "all", Descend(2, 1e-3))
    train(phase, model, Batches(data.repeat(), 12, 3, data), Classification(targets), False, Progress())
    first, second, *_ = capsys.readouterr().err.splitlines()
    for part in ("fine-tune  epoch 1/2", "loss ", "accuracy ", "val. loss ", "val. accuracy ", "best 1", "rate "):
        assert part in first
    assert "epoch 2/2" in second
