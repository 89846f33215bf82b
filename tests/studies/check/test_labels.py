import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_transfer import commands
from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection.inspector import Inspection
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies import features
from keras_transfer.studies.check import labels as labels_module
from keras_transfer.studies.check.labels import discriminants, doubt, out_of_fold, suspicious
from tests.conftest import write_photos


def blobs(images=200, width=12, classes=4):
    generator = np.random.default_rng(0)
    labels = np.arange(images) % classes
    centres = 3 * generator.random((classes, width))
    return (centres[labels] + generator.random((images, width))).astype("float32"), labels


def test_discriminants_are_those_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    vectors, labels = blobs()
    scores = discriminants(vectors[:120], labels[:120], 4, vectors[120:])
    twin = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5).fit(vectors[:120], labels[:120])
    expected = twin.decision_function(vectors[120:])
    np.testing.assert_allclose(np.diff(scores, axis=1), np.diff(expected, axis=1), atol=1e-3 * np.abs(expected).max())


def test_a_class_that_a_fold_lacks_is_not_chosen():
    vectors, labels = blobs()
    here = labels != 2
    scores = discriminants(vectors[here], labels[here], 4, vectors[here])
    assert np.isfinite(scores).all()
    assert (scores.argmax(1) == labels[here]).all()


def test_changed_labels_are_suspected_and_no_other():
    vectors, labels = blobs()
    for changes in (0, 2, 10):
        generator, changed = np.random.default_rng(changes), labels.copy()
        rows = generator.choice(len(labels), changes, replace=False)
        changed[rows] = (labels[rows] + generator.integers(1, 4, changes)) % 4
        scores = out_of_fold(vectors, changed, 4, np.arange(len(labels)), seed=0)
        probabilities, doubts = doubt(scores, changed)
        np.testing.assert_allclose(probabilities.sum(1), 1)
        assert sorted(suspicious(probabilities, doubts, changed)) == sorted(rows)


def test_where_classes_are_hard_to_tell_apart_few_labels_are_suspected():
    """Labels that are drawn from the very probabilities are right, however improbable some of them are."""
    generator = np.random.default_rng(0)
    scores = 2.0 * generator.standard_normal((1000, 3))
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = (generator.random((1000, 1)) > shares.cumsum(1)).sum(1)
    probabilities, doubts = doubt(5.0 * scores, labels)  # The temperature is found.
    np.testing.assert_allclose(probabilities, shares, atol=0.05)
    assert (probabilities[np.arange(1000), labels] < 0.07).sum() > 20
    assert len(suspicious(probabilities, doubts, labels)) <= 3


def test_the_least_likely_label_comes_first():
    generator = np.random.default_rng(0)
    labels = (generator.random(400) < 0.5).astype(int)
    scores = np.where(labels[:, None] == [0, 1], 4.0, 0.0) + 0.5 * generator.standard_normal((400, 2))
    labels[[7, 250]] = 1 - labels[[7, 250]]
    scores[250] *= 1.5
    probabilities, doubts = doubt(scores, labels)
    assert suspicious(probabilities, doubts, labels) == [250, 7]


def test_a_far_mistake_among_few_images_is_a_wrong_label():
    labels = np.arange(40) % 2
    scores = np.where(labels[:, None] == [0, 1], 8.0, 0.0)
    scores[5] = scores[5, ::-1]
    probabilities, doubts = doubt(scores, labels)
    assert suspicious(probabilities, doubts, labels) == [5]


def cloud(counts, apart, seed, width=256):
    """Vectors of classes that overlap, most of their variance in a few directions, as embeddings have it."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    spread = 1 / np.sqrt(1 + np.arange(width) / 4)
    centres = apart * spread * generator.standard_normal((len(counts), width))
    return (centres[labels] + spread * generator.standard_normal((len(labels), width)) + 3).astype("float32"), labels


def test_of_few_images_not_every_mistake_is_a_wrong_label():
    called = 0
    for seed in range(8):
        vectors, labels = cloud((10, 10), 0.15, seed, 1280)
        scores = out_of_fold(vectors, labels, 2, np.arange(20), seed)
        called += len(suspicious(*doubt(scores, labels), labels))
    assert called <= 2  # Of 160; without a prior on the temperature, 16.


def test_labels_of_a_small_class_are_not_wrong_for_want_of_examples():
    called = 0
    for seed in range(6):
        vectors, labels = cloud((100, 100, 10), 0.2, seed)
        scores = out_of_fold(vectors, labels, 3, np.arange(len(labels)), seed)
        called += len(suspicious(*doubt(scores, labels), labels))
    assert called <= 12  # Of 60; without regard to the error of a mean of few vectors, 27.


def test_the_largest_seed_draws_folds():
    vectors, labels = blobs()
    scores = out_of_fold(vectors, labels, 4, np.arange(len(labels)), seed=2**32 - 1)
    assert (scores.argmax(1) == labels).all()


def suspects(monkeypatch, counts, changed=None, alike=0):
    """What `suspects` returns of made vectors of classes of so many images: the paths and details of the images, and
    the classes of too few. The last images, as many as are `alike`, have one hash.
    """
    vectors, labels = cloud(counts, 2.0, 0)
    given = labels.copy()
    if changed is not None:
        given[changed[0]] = changed[1]
    hashes = np.random.default_rng(1).integers(0, 256, (len(labels), 32)).astype("uint8")
    hashes[len(labels) - alike :] = hashes[-1]
    inspections = [
        Inspection(f"{number:016d}".encode(), None, row.tobytes(), 64, 64, contrast=50.0)
        for number, row in enumerate(hashes)
    ]
    paths, names = [str(number) for number in range(len(labels))], tuple("abcdefgh"[: len(counts)])
    examples = Examples("photos", Path(), paths, given, np.full(len(labels), -1, "int8"), names)

    def compute(recipe, pretrained, used, progress):
        return vectors[[int(path) for path in used.paths]]

    monkeypatch.setattr(features, "compute", compute)
    findings, few = labels_module.suspects(examples, inspections, Recipe(), None, None)
    return None if findings is None else [(*one.paths, one.detail) for one in findings], few


def test_a_class_of_few_images_is_left_out_and_named(monkeypatch):
    assert suspects(monkeypatch, (14, 3, 14, 0, 1)) == ([], ["b", "e"])
    changed = suspects(monkeypatch, (40, 3, 40), changed=(5, 2))
    assert changed == ([("5", "labelled 'c' (probability <0.001), looks like 'a' (1.000)")], ["b"])


def test_without_two_classes_of_enough_images_no_label_is_checked(monkeypatch):
    assert suspects(monkeypatch, (3, 3)) == (None, ["a", "b"])
    assert suspects(monkeypatch, (40, 9)) == (None, ["b"])
    assert suspects(monkeypatch, (40, 10)) == ([], [])


def test_many_copies_of_one_image_are_few_images(monkeypatch):
    assert suspects(monkeypatch, (20, 20, 14), alike=8) == ([], ["c"])


def test_of_classes_too_small_to_be_checked_all_else_is_told(tmp_path, tiny_base, capsys):
    data = write_photos(tmp_path / "data", each=3)
    shutil.copy(data / "red" / "00.jpg", data / "red" / "twin.jpg")
    arguments = ["check", str(data), "--base", tiny_base]
    commands.main([*arguments, "--html", str(tmp_path / "page.html")])
    told, page = " ".join(capsys.readouterr().out.split()), (tmp_path / "page.html").read_text("utf-8")
    assert "Duplicate (1)" in told
    for text in (told, page):
        assert "Labels were not checked: fewer than 10 different images of a class teach too little" in text
    with pytest.raises(SystemExit):
        commands.main([*arguments, "--fail-on", "suspicious-label"])
    assert "Labels were not checked" in capsys.readouterr().err


def test_of_one_small_class_the_others_are_checked(tmp_path, tiny_base, capsys):
    data = write_photos(tmp_path / "data", each=12)
    for file in sorted((data / "green").iterdir())[4:]:
        file.unlink()
    arguments = ["check", str(data), "--base", tiny_base, "--json"]
    commands.main([*arguments, "--fail-on", "suspicious-label"])
    report = json.loads(capsys.readouterr().out)
    assert (report["labels_checked"], report["labels_few"]) == (True, ["green"])
