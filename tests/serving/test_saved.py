import json

import numpy as np
import pytest

import keras_transfer as kt
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


def test_no_model_there_is_a_usage_error(tmp_path):
    with pytest.raises(kt.UsageError, match="There is no model"):
        kt.load(tmp_path)
