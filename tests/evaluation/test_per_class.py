import json

import numpy as np
import pytest

from keras_transfer.commands import tables
from keras_transfer.evaluation import per_class
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.versions import card

CLASSES = ("daisy", "rose", "tulip")


def report(truth, predicted, classes=CLASSES):
    """The report of answers that are all sure."""
    truth, answers = np.asarray(truth), np.eye(len(classes), dtype="float32")[predicted]
    task = Classification()
    return task.report(answers, truth) | {
        "per_class": task.per_class(answers, truth, classes),
        "rejected": [],
        "excluded_as_seen": 0,
    }


def confused(each=10):
    """A third of the roses are taken for tulips, and one for a daisy."""
    truth = np.repeat([0, 1, 2], each)
    predicted = truth.copy()
    predicted[each : each + 4] = [2, 2, 2, 0]
    return report(truth, predicted)


def test_each_class_has_its_scores_and_what_it_is_taken_for():
    records = confused()["per_class"]
    assert list(records) == list(CLASSES)
    assert records["rose"] == {
        "images": 10,
        "precision": 1.0,
        "recall": 0.6,
        "f1": pytest.approx(0.75),
        "predicted_as": {"daisy": 1, "rose": 6, "tulip": 3},
        "taken_for": "tulip",
        "taken_for_images": 3,
    }
    assert records["tulip"]["precision"] == pytest.approx(10 / 13)
    assert (records["tulip"]["taken_for"], records["tulip"]["taken_for_images"]) == (None, 0)


def test_the_rows_of_the_confusion_matrix_count_every_image():
    test = report([0] * 5 + [2], [0, 0, 1, 2, 2, 0])
    matrix = [[row["predicted_as"].get(name, 0) for name in CLASSES] for row in test["per_class"].values()]
    assert matrix == [[2, 1, 2], [0, 0, 0], [1, 0, 0]]
    assert [sum(row) for row in matrix] == test["counts"]
    assert sum(map(sum, matrix)) == test["images"]
    json.dumps(test, allow_nan=False)


def test_what_cannot_be_said_of_a_class_is_null():
    records = report([0, 0], [0, 1])["per_class"]
    assert (records["tulip"]["images"], records["tulip"]["recall"], records["tulip"]["precision"]) == (0, None, None)
    assert records["rose"]["recall"] is None
    json.dumps(records, allow_nan=False)


def test_classes_of_several_labels_an_image_are_scored_one_by_one():
    answers = np.array([[0.9, 0.1, 0.8], [0.2, 0.1, 0.7]])
    records = MultiLabel().per_class(answers, np.array([[1, 0, 1], [1, 0, 0]], "float32"), CLASSES)
    assert records["daisy"]["recall"] == records["tulip"]["precision"] == 0.5
    assert "taken_for" not in records["daisy"]
    json.dumps(records, allow_nan=False)


def test_the_worst_classes_are_shown_by_evaluate_and_on_the_card(version):
    test = confused()
    text = tables.evaluation(test, {"data": {"classes": CLASSES}}, "photos/", {})
    assert text.splitlines()[-4:] == [
        "worst classes  images  precision  recall  most often taken for",
        "rose               10      1.000   0.600  tulip (3)",
        "tulip              10      0.769   1.000  -",
        "daisy              10      0.909   1.000  -",
    ]
    assert "| rose | 10 | 1.000 | 0.600 | tulip (3) |" in card.text(
        version.metrics | {"test": test}, version.recipe, "m"
    )


def test_of_several_labels_an_image_no_class_is_taken_for_another(version):
    truth = np.eye(3, dtype="float32")[np.repeat([0, 1, 2], 10)]
    answers = truth.copy()
    answers[10:14, 1] = 0.1
    task = MultiLabel()
    test = task.report(answers, truth) | {"per_class": task.per_class(answers, truth, CLASSES)}
    test |= {"rejected": [], "excluded_as_seen": 0}
    text = tables.evaluation(test, {"data": {"classes": CLASSES}}, "photos/", {})
    assert text.splitlines()[-2:] == [
        "worst classes  images  precision  recall",
        "rose               10      1.000   0.600",
    ]
    text = card.text(version.metrics | {"test": test, "task": task.name}, version.recipe, "m")
    assert "\n| class | images | precision | recall |\n" in text


@pytest.mark.parametrize(("classes", "title"), [(20, "class"), (21, "worst classes")])
def test_the_card_has_all_classes_unless_there_are_many(version, classes, title):
    names = [f"class {number}" for number in range(classes)]
    truth = np.repeat(np.arange(classes), 12)
    test = report(truth, np.where(np.arange(len(truth)) % 12 == 0, 0, truth), names)
    lines = card.text(version.metrics | {"test": test}, version.recipe, "m").splitlines()
    start = lines.index(f"| {title} | images | precision | recall | most often taken for |")
    rows = lines[start + 2 : lines.index("", start)]
    assert len(rows) == (classes if title == "class" else 5)


def test_a_class_that_is_never_recognised_is_named_on_the_card(version):
    test = report([0] * 16 + [1], [0] * 17, ("daisy", "red_rose"))
    text = card.text(version.metrics | {"test": test}, version.recipe, "m")
    assert "\n\nNo image was recognised of red\\_rose (0 of 1).\n\n" in text


def test_at_most_five_classes_are_shown():
    classes = [f"class {number}" for number in range(40)]
    truth = np.repeat(np.arange(40), 12)
    predicted = np.where(np.arange(len(truth)) % 12 < truth % 3, (truth + 1) % 40, truth)
    assert len(per_class.table(report(truth, predicted, classes))) == 6


def test_without_errors_or_with_two_classes_no_class_is_named():
    right = report([0, 1, 2] * 10, [0, 1, 2] * 10)
    pair = report([0, 1] * 10, [0, 0] * 10, CLASSES[:2])
    for test in (right, pair, {"images": 3, "accuracy": 0.5}):
        assert per_class.table(test) == []
        assert per_class.too_few(test) is None


def test_of_too_few_images_none_is_named_and_their_number_is_told():
    test = confused(each=5)
    text = tables.evaluation(test, {"data": {"classes": CLASSES}}, "photos/", {})
    assert text.splitlines()[-1] == "Classes are not compared: there are at most 5 test images of each; it takes 10."
    assert "worst classes" not in text


def test_a_single_test_image_of_a_class_is_told_in_the_singular():
    assert per_class.too_few(report([0, 1, 2], [0, 2, 2])).startswith(
        "Classes are not compared: there is at most 1 test image of"
    )
