import csv
import io
import json
import shutil

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.serving.saved import Prediction, write_predictions
from tests.conftest import write_photos


def test_the_reported_test_metrics_are_those_of_the_served_graph(version, photos):
    classifier = kt.load(version.folder)
    again = classifier.evaluate(str(photos))
    assert again["images"] == version.metrics["data"]["test"]
    assert again["excluded_as_seen"] == 42 - again["images"]
    for key in ("accuracy", "loss", "macro_f1", "expected_calibration_error"):
        assert again[key] == pytest.approx(version.metrics["test"][key], abs=1e-6)


def test_the_colours_are_learnt(version):
    assert version.metrics["test"]["accuracy"] > 0.8


def test_new_photos_are_all_used_and_known_ones_left_out(version, photos, tmp_path):
    classifier = kt.load(version.folder.parent)
    fresh = write_photos(tmp_path / "fresh", 3, seed=77)
    assert classifier.evaluate(str(fresh))["excluded_as_seen"] == 0
    (fresh / "purple").mkdir()
    (fresh / "purple" / "a.jpg").write_bytes(next((photos / "red").glob("*.jpg")).read_bytes())
    with pytest.raises(kt.UserError, match="class 'purple' is none of the model's"):
        classifier.evaluate(str(fresh))


def test_training_photos_alone_are_no_test(version, photos, tmp_path):
    rows = (version.folder / "assets.extra" / "splits.csv").read_text().splitlines()[1:]
    for row in rows:
        path, label, split, _ = row.rsplit(",", 3)
        if split == "train":
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / path).write_bytes((photos / path).read_bytes())
    with pytest.raises(kt.UserError, match="trained on every image there"):
        kt.load(version.folder).evaluate(str(tmp_path))


def test_a_file_that_cannot_be_read_leaves_its_neighbours_whole(version, photos, tmp_path):
    good = [str(path) for path in sorted((photos / "red").glob("*"))[:3]]
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((photos / "red" / "00.jpg").read_bytes()[:150])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("hello")
    files = [good[0], str(cut), good[1], str(tmp_path / "empty.png"), str(tmp_path / "text.jpg"), "/none.jpg", good[2]]
    found = kt.load(version.folder).predict(files)
    assert [prediction.path for prediction in found] == files
    assert [prediction.error is None for prediction in found] == [True, False, True, False, False, False, True]
    alone = kt.load(version.folder).predict(good)
    for one, other in zip([found[0], found[2], found[6]], alone, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-6)
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
    json.dumps([prediction.record() for prediction in found])


def test_photos_of_one_class_are_measured_however_the_model_was_fitted(version, tmp_path):
    fresh = write_photos(tmp_path / "fresh", 3, seed=78)
    for name in ("blue", "green"):
        shutil.rmtree(fresh / name)
    rows = [f"fresh/red/{file.name},red" for file in sorted((fresh / "red").iterdir())]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    classifier = kt.load(version.folder)
    classifier.recipe = classifier.recipe.replace(group_by="patient", columns="path=id")
    reports = [classifier.evaluate(str(data)) for data in (fresh, tmp_path / "t.csv")]
    hits = sum(one.label == "red" for one in classifier.predict(sorted((fresh / "red").iterdir())))
    assert [report["images"] for report in reports] == [3, 3]
    assert [report["accuracy"] for report in reports] == pytest.approx([hits / 3] * 2)


def test_the_columns_of_predictions_are_apart_from_those_of_classes():
    classes = ("confidence", "error", "label", "path", "red")
    shares = dict(zip(classes, (0.1, 0.2, 0.3, 0.35, 0.05), strict=True))
    stream = io.StringIO()
    write_predictions(
        [Prediction("a.jpg", "path", 0.35, shares), Prediction("b.jpg", error="is empty")], classes, stream
    )
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert rows[0]["label"] == "path"
    assert rows[0]["confidence"] == rows[0]["class path"] == "0.35"
    assert (rows[0]["class confidence"], rows[0]["red"], rows[0]["error"]) == ("0.1", "0.05", "")
    assert (rows[1]["path"], rows[1]["label"], rows[1]["error"]) == ("b.jpg", "", "is empty")
    assert len(set(rows[0])) == 9


def test_no_model_there_is_a_usage_error(tmp_path):
    with pytest.raises(kt.UsageError, match="There is no model"):
        kt.load(tmp_path)


def test_a_signature_without_a_picture_is_damaged(version, tmp_path):
    """TensorFlow's message quotes these bytes, which are no text."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (prediction,) = kt.load(version.folder).predict([tmp_path / "a.png"])
    assert prediction.error == "cannot be decoded: it is damaged, cut off, or of a rare kind"
