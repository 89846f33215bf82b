import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.support.progress import Progress
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression
from keras_transfer.training import loop
from keras_transfer.training.loop import Batches
from keras_transfer.training.phase import GradientDescent, Phase
from keras_transfer.training.soft_targets import LabelMetric, SoftLoss, with_labels

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 2, (40, 3)).astype("float32")
SOFT = GENERATOR.dirichlet(np.ones(3), 40).astype("float32")
ONE_HOT = np.eye(3, dtype="float32")[GENERATOR.integers(0, 3, 40)]
WEIGHTS = GENERATOR.random(40).astype("float32")


@pytest.mark.parametrize("task", [Classification(), MultiLabel(), Regression()])
@pytest.mark.parametrize("labels_alone", [False, True])
def test_the_loss_is_by_soft_targets_and_the_scores_are_by_labels(task, labels_alone):
    table = ONE_HOT if labels_alone else with_labels(SOFT, ONE_HOT)
    loss = task.loss(0.1)
    expected = loss(ONE_HOT if labels_alone else SOFT, LOGITS, sample_weight=WEIGHTS)
    assert float(SoftLoss(loss)(table, LOGITS, sample_weight=WEIGHTS)) == pytest.approx(float(expected), rel=1e-6)
    for metric, wrapped in zip(task.metrics(), map(LabelMetric, task.metrics()), strict=True):
        metric.update_state(ONE_HOT, LOGITS)
        for _ in range(2):
            wrapped.reset_state()
            wrapped.update_state(table, LOGITS)
        assert wrapped.name == metric.name
        assert float(wrapped.result()) == pytest.approx(float(metric.result()), rel=1e-6)
        assert len(wrapped.variables) == len(metric.variables), "what an interrupted run keeps"


def test_a_phase_learns_soft_targets_and_is_scored_by_labels():
    """Each image's soft target is the class after its label's: what is learned gets no label right."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    labels = np.eye(3, dtype="float32")[np.arange(12) % 3]
    train = tf.data.Dataset.from_tensor_slices((labels, with_labels(np.roll(labels, 1, 1), labels))).batch(4)
    validation = tf.data.Dataset.from_tensor_slices((labels, labels)).batch(4)
    batches = Batches(train.repeat(), 12, 3, validation, soft=True)
    phase = Phase("head", "head", GradientDescent(30, 0.3))
    result = loop.train(phase, model, batches, Classification(), False, Progress(quiet=True))
    last = result.history[-1]
    assert last["loss"] < 0.1
    assert last["accuracy"] == last["val_accuracy"] == 0.0
    assert last["val_loss"] > 1
