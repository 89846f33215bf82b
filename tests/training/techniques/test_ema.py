import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.classification import Classification
from keras_transfer.training import loop, techniques
from keras_transfer.training.loop import Batches
from keras_transfer.training.phase import GradientDescent, Phase

MOMENTUM, EPOCHS, STEPS = 0.8, 4, 3


class Recorder(keras.callbacks.Callback):
    """Notes the weights after each step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


class Recorded(techniques.Technique):
    def __init__(self):
        self.recorder = Recorder()

    def callbacks(self):
        return [self.recorder]


def train(used, validated=True, seed=3):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    generator = np.random.default_rng(0)
    x, targets = generator.normal(size=(12, 4)).astype("float32"), np.eye(3, dtype="float32")[np.arange(12) % 3]
    data = tf.data.Dataset.from_tensor_slices((x, targets)).batch(4)
    batches = Batches(data.repeat(), 12, STEPS, data if validated else None)
    phase = Phase("head", "head", GradientDescent(EPOCHS, 0.3), techniques=tuple(used))
    result = loop.train(phase, model, batches, Classification(), False, Progress(quiet=True))
    return model, result, data


def averages():
    """The average after each epoch, from the weights of a training that no validation touches."""
    recorded = Recorded()
    train([recorded], validated=False)
    average, ends = recorded.recorder.weights[0], []
    for number, weights in enumerate(recorded.recorder.weights, 1):
        average = [MOMENTUM * old + (1 - MOMENTUM) * new for old, new in zip(average, weights, strict=True)]
        if number % STEPS == 0:
            ends.append(average)
    return ends


@pytest.mark.parametrize("validated", [True, False])
def test_the_average_is_validated_and_kept(validated):
    model, result, data = train(techniques.of(Recipe(ema=MOMENTUM)), validated)
    for weight, expected in zip(model.get_weights(), averages()[result.best_epoch - 1], strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-6)
    if validated:
        assert model.evaluate(data, verbose=0, return_dict=True)["cross_entropy"] == pytest.approx(
            result.validation["loss"], rel=1e-5
        )


def test_no_technique_is_used_unless_it_is_asked_for():
    assert techniques.of(Recipe()) == ()
