import numpy as np

from keras_transfer.evaluation.cautions import cautions
from keras_transfer.tasks.classification import Classification
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


def test_an_untested_version_has_no_cautions():
    assert cautions({"images": 0, "rejected": []}, {}) == []
