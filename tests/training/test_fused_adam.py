from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.tasks.classification import Classification
from keras_transfer.training import state
from keras_transfer.training.fused_adam import FusedAdam
from keras_transfer.training.loop import compile_for
from keras_transfer.training.phase import GradientDescent
from keras_transfer.training.techniques.ema import MovingAverage

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(16, 4)).astype("float32")
TARGETS = np.eye(3, dtype="float32")[GENERATOR.integers(0, 3, 16)]


def compiled(optimizer, xla=False, dtype="float32"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, "tanh", dtype=dtype)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, dtype=dtype)(hidden))
    optimizer.exclude_from_weight_decay([weight for weight in model.trainable_weights if len(weight.shape) < 2])
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=xla)
    model.optimizer.build(model.trainable_variables)
    return model


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(IMAGES, TARGETS)
    return state.values(model.variables) + state.values(model.optimizer.variables)


def assert_same(trained, atol, **settings):
    """What is trained by this Adam is what is trained by Keras's."""
    for actual, expected in zip(*(trained(partial(adam, **settings)) for adam in ADAMS), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol)


ADAMS = (FusedAdam, keras.optimizers.Adam)
EXACT = {"beta_1": 1 - 2**-3, "beta_2": 1 - 2**-10}  # 1 - 0.999 is 1.3e-5 of itself off in float32.
SCHEDULE = keras.optimizers.schedules.CosineDecay(0.001, 10, warmup_target=0.01, warmup_steps=3)
OPTIMIZERS = {
    "number": lambda adam: adam(0.01),
    "decay and schedule": lambda adam: adam(SCHEDULE, weight_decay=0.1),
    "epsilon": lambda adam: adam(0.01, epsilon=0.1),
    "clipped": lambda adam: adam(0.01, global_clipnorm=0.1),
    "averaged": lambda adam: MovingAverage(0.9).optimizer(adam(SCHEDULE, weight_decay=0.1)),
    "scaled loss": lambda adam: keras.optimizers.LossScaleOptimizer(adam(SCHEDULE, weight_decay=0.1)),
    "accumulated": lambda adam: adam(0.01, gradient_accumulation_steps=2),
    "amsgrad": lambda adam: adam(0.01, amsgrad=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trains_as_adam_of_keras_does(optimizer):
    assert_same(lambda adam: train(compiled(OPTIMIZERS[optimizer](adam)), 10), 1e-7, **EXACT)


@pytest.mark.parametrize("optimizer", ["decay and schedule", "scaled loss"])
def test_trains_as_adam_of_keras_does_with_xla(optimizer):
    assert_same(lambda adam: train(compiled(OPTIMIZERS[optimizer](adam), xla=True), 10), 1e-7, **EXACT)


def test_rounding_alone_sets_the_usual_decays_apart():
    assert_same(lambda adam: train(compiled(adam(0.01)), 10)[:4], 2e-6)


def test_a_callback_sets_the_rate():
    def trained(adam):
        model = compiled(adam(0.01))
        train(model, 2)
        model.optimizer.learning_rate = 0.001
        return train(model, 2)

    assert_same(trained, 1e-7, **EXACT)


def test_a_state_that_is_put_back_goes_on_the_same():
    whole, begun, resumed = (compiled(FusedAdam(SCHEDULE, weight_decay=0.1)) for _ in range(3))
    expected = train(whole, 10)
    train(begun, 5)
    state.assign(resumed.variables, state.values(begun.variables))
    state.assign(resumed.optimizer.variables, state.values(begun.optimizer.variables))
    for actual, other in zip(train(resumed, 5), expected, strict=True):
        np.testing.assert_array_equal(actual, other)


@pytest.mark.essential
def test_a_phase_updates_each_variable_in_one_operation():
    model = compiled(FusedAdam(0.1))
    compile_for(model, GradientDescent(1, 0.1, weight_decay=0.1), Classification(), 3, False)
    gradients = [tf.ones(weight.shape) for weight in model.trainable_variables]
    graph = tf.function(lambda: model.optimizer.apply(gradients)).get_concrete_function().graph
    assert sum(operation.type == "ResourceApplyAdam" for operation in graph.get_operations()) == len(gradients)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_variables_of_other_types_are_left_to_keras(dtype):
    assert_same(lambda adam: train(compiled(adam(0.01), dtype=dtype), 3), 0)


def test_gradients_of_some_rows_are_left_to_keras():
    def trained(adam):
        variable, optimizer = keras.Variable(np.ones((4, 2), "float32")), adam(0.01)
        rows = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([0, 2]), tf.constant([4, 2]))
        optimizer.apply([rows], [variable])
        return state.values([variable, *optimizer.variables])

    assert_same(trained, 0)
