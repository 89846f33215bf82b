from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import keras_transfer as kt
from keras_transfer.data import sources
from keras_transfer.data.examples import REGRESSION, Examples
from keras_transfer.tasks import TASKS, linear, task_of
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression
from tests.tasks.test_linear import blobs

LOGITS = np.random.default_rng(0).normal(0, 2, (40, 3)).astype("float32")
ONE_HOT = np.eye(3, dtype="float32")[np.random.default_rng(1).integers(0, 3, 40)]
SEVERAL = (np.random.default_rng(2).random((40, 3)) > 0.6).astype("float32")


def solved(task, embeddings, targets, strength, weights=None):
    scaled = linear.scale(embeddings)
    return scaled.head(task.solve(scaled, targets, strength, weights))


def test_what_is_served_is_learned_in_the_units_of_training():
    """As another network's answers are."""
    task = Regression(mean=12.0, deviation=3.0)
    np.testing.assert_allclose(task.as_targets(np.asarray(task.output()(LOGITS[:, :1]))), LOGITS[:, :1], atol=1e-5)
    assert Classification().as_targets(ONE_HOT) is ONE_HOT


@pytest.mark.parametrize("unit", [1e-24, 1.0, 1e22])
def test_numbers_of_any_size_are_standardised(unit):
    values = unit * np.random.default_rng(0).normal(3, 2, (40, 1))
    numbers = Examples("t", Path(), ["a"] * 40, values, np.zeros(40, "int8"), ("x",), task=REGRESSION)
    task = Regression.of(numbers)
    standardised = task.targets(numbers)
    assert (standardised.mean(), standardised.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    np.testing.assert_allclose(task.output()(standardised), values, rtol=1e-4, atol=1e-5 * unit)


@pytest.mark.parametrize(
    ("task", "targets"),
    [(Classification(), ONE_HOT), (MultiLabel(), SEVERAL), (Regression(), LOGITS[:, :1] + ONE_HOT[:, :1])],
)
def test_numpy_and_keras_evaluate_alike(task, targets):
    """The two ways to the same numbers: NumPy on embeddings, Keras while training."""
    logits = LOGITS[:, : targets.shape[1]]
    scores = task.evaluate(logits, targets)
    score, loss = task.metrics()
    for metric in (score, loss):
        metric.update_state(targets, logits)
    assert (score.name, loss.name) == (task.score, task.loss_name)
    assert scores[task.score] == pytest.approx(float(score.result()), abs=1e-5)
    assert scores["loss"] == pytest.approx(float(loss.result()), rel=1e-5)
    assert scores["loss"] == pytest.approx(float(np.mean(task.loss(0.0)(targets, logits))), rel=1e-5)


def drawn(images, temperature):
    """Return logits and, drawn with their probabilities at a temperature, labels."""
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (images, 3)).astype("float32")
    # The largest of logits with Gumbel noise is drawn by their softmax.
    labels = (logits / temperature + generator.gumbel(size=logits.shape)).argmax(1)
    return logits, np.eye(3, dtype="float32")[labels]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_temperature_is_found_however_far_it_is_from_one(temperature):
    assert Classification().temperature(*drawn(400, temperature)) == pytest.approx(temperature, rel=0.1)


def test_several_labels_are_scored_by_their_mean_average_precision_too():
    """A network that gives no image a label is right of most pairs of image and label."""
    targets = np.eye(10, dtype="float32")
    scores = MultiLabel().evaluate(np.full((10, 10), -9.0, "float32"), targets)
    assert (scores["accuracy"], scores["mean_average_precision"]) == (pytest.approx(0.9), pytest.approx(0.1))


def test_each_of_an_image_s_labels_speaks_for_itself():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20, 80)).astype("float32")
    targets = (generator.random((20, 80)) < 1 / (1 + np.exp(-logits / 2.5))).astype("float32")
    assert MultiLabel().temperature(logits, targets) == pytest.approx(2.5, rel=0.2)


def test_few_images_hardly_move_a_temperature():
    """Three that are right would have it at its bound, and do say that it is rather below 1."""
    assert 0.9 < Classification().temperature(3 * ONE_HOT[:3], ONE_HOT[:3]) < 1


def test_several_labels_are_solved_one_by_one():
    embeddings, labels = blobs(3)
    targets = np.stack([labels == 0, labels >= 1, np.ones(len(labels))], 1).astype("float32")
    head = solved(MultiLabel(), embeddings, targets, 0.1)
    probabilities = 1 / (1 + np.exp(-head.logits(embeddings)))
    deviation = embeddings.std(0)
    scaled = (embeddings - embeddings.mean(0)) / np.sqrt(deviation * deviation.mean())
    expected = LogisticRegression(C=0.1, max_iter=300).fit(scaled, targets[:, 0]).predict_proba(scaled)[:, 1]
    np.testing.assert_allclose(probabilities[:, 0], expected, atol=2e-3)
    np.testing.assert_allclose(probabilities[:, 2], (len(labels) + 0.5) / (len(labels) + 1), atol=1e-4)


def test_numbers_are_served_in_their_own_units():
    embeddings, _ = blobs(3)
    truth = (embeddings @ np.arange(5) / 10 + 700).astype("float32")[:, None]
    mean, deviation = float(truth.mean()), float(truth.std())
    task, targets = Regression(mean, deviation), (truth - mean) / deviation
    head = solved(task, embeddings, targets, 10.0)
    served = keras.ops.convert_to_numpy(task.output()(head.logits(embeddings)))
    assert np.abs(served - truth).mean() < 0.02 * deviation
    assert task.evaluate(head.logits(embeddings), targets)["r2"] > 0.999


def test_balanced_weights_make_every_class_weigh_the_same():
    targets = np.eye(3, dtype="float32")[[0] * 6 + [1] * 3 + [2]]
    weights = Classification().class_weights(targets)
    np.testing.assert_allclose([weights[targets[:, k] == 1].sum() for k in range(3)], 10 / 3, rtol=1e-6)
    embeddings, labels = blobs(2, each=50)
    rare = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:4]])
    shifted = embeddings[rare] + np.random.default_rng(3).normal(0, 500, (len(rare), 5)).astype("float32")
    one_hot = np.eye(2, dtype="float32")[labels[rare]]
    plain = solved(Classification(), shifted, one_hot, 0.01)
    weighed = solved(Classification(), shifted, one_hot, 0.01, Classification().class_weights(one_hot))
    assert weighed.logits(shifted)[:, 1].mean() > plain.logits(shifted)[:, 1].mean()


def test_numbers_that_are_all_equal_are_standardised_and_have_no_score(tmp_path):
    """They have no deviation to divide by, and no variance to explain."""
    numbers = np.array([[0.1], [0.1], [0.1], [0.4], [0.4]], "float32")
    splits = np.array([0, 0, 0, 1, 1], "int8")
    examples = Examples("", tmp_path, list("abcde"), numbers, splits, ("value",), REGRESSION)
    task = task_of(examples)
    targets = task.targets(examples)
    np.testing.assert_allclose(targets.ravel(), [0, 0, 0, 0.3, 0.3], atol=1e-6)
    held = targets[3:]
    assert task.evaluate(held + 1, held) == {"r2": pytest.approx(np.nan, nan_ok=True), "loss": pytest.approx(1.0)}
    assert np.isnan(task.report(numbers[:2], numbers[:2])["r2"])


def test_a_task_that_is_added_reports_by_itself(classifier, photos, monkeypatch):
    """Nothing else has to know of it."""

    class Counted(Classification):
        name = "counted"

        def report(self, outputs, labels):
            return {"images": len(outputs)}

    monkeypatch.setitem(TASKS, "counted", Counted)
    examples = replace(sources.load(str(photos)), task="counted").at(np.arange(3))
    report = classifier.measure(examples, kt.Progress(quiet=True)).report
    assert (report["images"], list(report["per_class"])) == (3, ["blue", "green", "red"])
