import numpy as np
import pytest

from keras_transfer.evaluation.cautions import cautions
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression


def report(answers, labels):
    return Classification().report(np.eye(3, dtype="float32")[answers], np.asarray(labels))


def test_good_scores_are_not_doubted():
    assert cautions(report([0, 1, 2] * 5, [0, 1, 2] * 5), {"a": 50, "b": 50, "c": 50}) == []


def test_few_test_images():
    assert cautions(report([0, 1, 2], [0, 1, 2]), {}) == ["Only 3 images tested: the score says little."]


def test_images_of_few_groups_say_less_than_their_number():
    of_groups = report([0, 1, 2] * 5, [0, 1, 2] * 5)
    (line,) = cautions(of_groups | {"groups": 3}, {})
    assert line.startswith("The 15 images tested are in 3 groups of related ones: intervals take each image for")
    assert cautions(of_groups | {"groups": 12}, {}) == []


def test_of_numbers_in_few_groups_no_interval_is_doubted_for_there_is_none():
    labels = np.arange(12, dtype="float32")[:, None]
    assert cautions(Regression().report(labels, labels) | {"groups": 3}, {}) == [
        "The 12 images tested are in 3 groups of related ones: the score is less sure than so many images make it look."
    ]


def test_few_training_images_of_a_class():
    lines = cautions(report([0, 1, 2] * 5, [0, 1, 2] * 5), {"a": 4, "b": 5, "c": 0})
    assert lines == ["Fewer than 5 training images of a, c: add some."]


def test_a_rare_class_that_is_never_recognised_is_named():
    labels, answers = [0] * 16 + [1] + [2] * 4, [0] * 17 + [2] * 4
    task, outputs = Classification(), np.eye(3, dtype="float32")[answers]
    classes = task.per_class(outputs, np.asarray(labels), ("daisy", "rose", "tulip"))
    test = report(answers, labels) | {"per_class": classes}
    assert test["accuracy"] > 0.9
    assert cautions(test, {}) == ["No image was recognised of rose (0 of 1)."]
    without_roses = task.per_class(outputs[:3], np.zeros(3, int), ("daisy", "rose", "tulip"))
    assert cautions(report([0] * 12, [0] * 12) | {"per_class": without_roses}, {}) == []


def test_no_better_than_the_largest_class():
    lines = cautions(report([0] * 12, [0] * 9 + [1] * 3), {})
    assert lines == ["Accuracy 0.750 is no better than always answering the largest class (0.750)."]


def test_images_of_one_class_have_no_largest():
    assert cautions(report([0] * 12, [0] * 12), {}) == []


def test_numbers_no_better_than_their_mean():
    labels = np.arange(12, dtype="float32")[:, None]
    assert "their mean" in cautions(Regression().report(np.full_like(labels, 20), labels), {})[0]


def several(outputs, labels):
    task = MultiLabel()
    return task.report(outputs, labels) | {"per_class": task.per_class(outputs, labels, ("x", "y", "z"))}


def test_labels_given_no_better_than_always_the_same():
    """x is on 90% of the images and y on 5%: who always gives x is right of most."""
    generator = np.random.default_rng(2)
    labels = np.tile([[1, 1, 0], *[[1, 0, 0]] * 17, *[[0, 0, 0]] * 2], (5, 1)).astype("float32")
    noise = generator.uniform(0, 0.1, labels.shape) + np.array([0.85, 0, 0])
    lines = cautions(several(noise, labels), {})
    assert "Micro F1 0.923 is no better than always giving the same labels (0.923)." in lines
    assert not [line for line in cautions(several(0.8 * labels + 0.1, labels), {}) if "no better" in line]


def test_labels_in_an_order_by_chance():
    generator = np.random.default_rng(0)
    labels = (generator.random((12, 3)) < 0.3).astype("float32")
    labels[0] = 1, 1, 1
    orders = generator.random((400, 12, 3))
    reports = [several(order, labels) for order in orders]
    (chance,) = {line.split("(")[1] for report in reports for line in cautions(report, {}) if line.startswith("Mean")}
    mean = np.mean([report["mean_average_precision"] for report in reports])
    assert float(chance.rstrip(").")) == pytest.approx(mean, abs=0.01), "more than the share, on few images"
    ranked = several(0.1 * labels + 0.1 * orders[0], labels)
    assert "Mean" not in " ".join(cautions(ranked, {}))


def test_labels_that_all_images_have_are_nothing_to_tell():
    assert cautions(several(np.full((12, 3), 0.9), np.tile([1.0, 1.0, 0.0], (12, 1))), {}) == []


def test_an_untested_version_has_no_cautions():
    assert cautions({"images": 0, "rejected": []}, {}) == []
