import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_transfer as kt
from keras_transfer.data import sources
from keras_transfer.versions import folders, saved
from keras_transfer.versions.predictions import Prediction, write_predictions
from tests.conftest import write_photos


@pytest.mark.essential
def test_the_reported_test_metrics_are_those_of_the_served_graph(version, classifier, photos):
    again = classifier.evaluate(str(photos))
    assert again["images"] == version.metrics["data"]["test"]
    assert again["excluded_as_seen"] == 42 - again["images"]
    for key in ("accuracy", "loss", "macro_f1", "expected_calibration_error"):
        assert again[key] == pytest.approx(version.metrics["test"][key], abs=1e-6)


def test_a_loaded_model_shows_what_it_is(version, classifier):
    assert repr(classifier) == f"<SavedClassifier {version.folder}: {version.metrics['base']}, 3 classes>"


def test_the_history_has_training_before_validation_and_the_loss_before_the_score(version):
    heading = (version.folder / "assets.extra" / "history.csv").read_text().splitlines()[0].split(",")
    assert heading == ["phase", "epoch", "iterations", "loss", "accuracy", "val_loss", "val_accuracy"]


def test_the_colours_are_learnt(version):
    assert version.metrics["test"]["accuracy"] > 0.8


def test_new_photos_are_all_used_and_known_ones_left_out(version, photos, tmp_path):
    classifier = kt.load(version.folder.parent)
    fresh = write_photos(tmp_path / "fresh", 3, seed=77)
    assert classifier.evaluate(str(fresh))["excluded_as_seen"] == 0
    (fresh / "red").rename(fresh / "Red")
    assert classifier.evaluate(str(fresh))["images"] == 9
    (fresh / "purple").mkdir()
    (fresh / "purple" / "a.jpg").write_bytes(next((photos / "red").glob("*.jpg")).read_bytes())
    with pytest.raises(kt.UserError, match="class 'purple' is none of the model's"):
        classifier.evaluate(str(fresh))


def test_training_photos_alone_are_no_test(version, classifier, photos, tmp_path):
    rows = (version.folder / "assets.extra" / "splits.csv").read_text().splitlines()[1:]
    for row in rows:
        path, label, split, _ = row.rsplit(",", 3)
        if split == "train":
            (tmp_path / label).mkdir(exist_ok=True)
            (tmp_path / path).write_bytes((photos / path).read_bytes())
    with pytest.raises(kt.UserError, match="trained on every image there"):
        classifier.evaluate(str(tmp_path))


@pytest.mark.essential
def test_a_file_that_cannot_be_read_leaves_its_neighbours_whole(classifier, photos, tmp_path):
    good = [str(path) for path in sorted((photos / "red").glob("*"))[:3]]
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((photos / "red" / "00.jpg").read_bytes()[:150])
    (tmp_path / "signature.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "cannot be decoded" in classifier.predict(tmp_path / "signature.png")[0].error
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("hello")
    files = [good[0], str(cut), good[1], str(tmp_path / "empty.png"), str(tmp_path / "text.jpg"), "/none.jpg", good[2]]
    predictions = classifier.predict(files)
    assert [prediction.path for prediction in predictions] == files
    assert [prediction.error is None for prediction in predictions] == [True, False, True, False, False, False, True]
    alone = classifier.predict(good)
    for one, other in zip([predictions[0], predictions[2], predictions[6]], alone, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-6)
        assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-5)
    json.dumps([prediction.record() for prediction in predictions])


def test_photos_of_one_class_are_measured_however_the_model_was_fitted(classifier, tmp_path, monkeypatch):
    fresh = write_photos(tmp_path / "fresh", 3, seed=78)
    for name in ("blue", "green"):
        shutil.rmtree(fresh / name)
    rows = [f"fresh/red/{file.name},red" for file in sorted((fresh / "red").iterdir())]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    monkeypatch.setattr(classifier, "recipe", classifier.recipe.replace(group_by="patient", columns="path=id"))
    reports = [classifier.evaluate(str(data)) for data in (fresh, tmp_path / "t.csv")]
    hits = sum(one.label == "red" for one in classifier.predict(sorted((fresh / "red").iterdir())))
    assert [report["images"] for report in reports] == [3, 3]
    assert [report["accuracy"] for report in reports] == pytest.approx([hits / 3] * 2)


def test_a_signature_without_a_picture_is_damaged(classifier, tmp_path):
    """TensorFlow's message quotes these bytes, which are no text."""
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (prediction,) = classifier.predict([tmp_path / "a.png"])
    assert prediction.error == "cannot be decoded (damaged or truncated)"


def test_no_model_there_is_a_usage_error(tmp_path):
    with pytest.raises(kt.UsageError, match="There is no model"):
        kt.load(tmp_path)


def test_one_image_in_any_form_is_predicted_as_its_file(classifier, photos):
    file = photos / "red" / "01.png"
    (expected,) = classifier.predict([str(file)])
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert("RGB"))
        forms = [str(file), file, file.read_bytes(), io.BytesIO(file.read_bytes()), pixels, pixels.astype("float32")]
        predictions = [classifier.predict(form) for form in [*forms, picture]]
    for (prediction,) in predictions:
        assert prediction.label == expected.label
        np.testing.assert_allclose(prediction.confidence, expected.confidence, atol=1e-6)
    both = classifier.predict([pixels, file, pixels])
    assert [prediction.path for prediction in both] == ["[0]", str(file), "[2]"]
    batches = [np.stack([pixels, pixels]), tf.stack([pixels, pixels]), np.array([str(file)] * 2), np.array([file] * 2)]
    for batch in batches:
        assert [one.label for one in classifier.predict(batch)] == [expected.label] * 2


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_that_is_open_is_turned_where_its_file_is(classifier, photos, tmp_path, form):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.arange(48 * 40 * 3, dtype="uint8").reshape(48, 40, 3)
    Image.fromarray(pixels).save(tmp_path / "a", form, exif=exif)
    with Image.open(tmp_path / "a") as picture:
        (by_file,), (opened,) = classifier.predict(tmp_path / "a"), classifier.predict(picture)
    np.testing.assert_allclose(opened.confidence, by_file.confidence, atol=1e-5)


def test_a_report_says_how_many_groups_were_tested(classifier, photos):
    examples = sources.load_measured(str(photos), kt.Recipe(), "classification")
    assert "groups" not in classifier.measure(examples, kt.Progress(quiet=True)).report
    grouped = replace(examples, groups=np.arange(len(examples)) // 6)
    assert classifier.measure(grouped, kt.Progress(quiet=True)).report["groups"] == len(examples) // 6


def test_copies_of_a_photo_are_one_group_of_what_is_measured(classifier, tmp_path):
    fresh = write_photos(tmp_path / "fresh", 3, seed=79)
    for copy, file in (("00_flip.jpg", "00.jpg"), ("other.png", "01.png")):
        shutil.copy(fresh / "red" / file, fresh / "red" / copy)
    report = classifier.evaluate(fresh)
    assert (report["images"], report["groups"]) == (11, 9)


def test_the_report_leaves_groups_out(version, photos, tmp_path):
    """What `--group-by` kept together is of no matter to other data."""
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    recipe = copy / "assets.extra" / "recipe.json"
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"group_by": "patient"}))
    assert kt.load(copy).evaluate(str(write_photos(tmp_path / "fresh", 1, seed=5)))["images"] == 3


@pytest.mark.parametrize("image", [3, None, object(), {"a": 1}, [3], [[["a"]]], [None]])
def test_what_is_no_image_is_a_type_error(classifier, image):
    with pytest.raises(TypeError, match="predict takes"):
        classifier.predict(image)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.full((30, 30, 3), np.nan), "NaN"),
        (np.full((30, 30, 3), 0.5), "pixels must be 0..255"),
        (np.linspace(-1, 1, 2700).reshape(30, 30, 3), "pixels must be 0..255"),
        (np.full((30, 30, 3), 256), "pixels must be 0..255"),
        (np.zeros((30, 30)), r"\[H, W, 3\]"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused(classifier, pixels, words):
    with pytest.raises(kt.UsageError, match=words):
        classifier.predict(pixels)


def test_where_photos_have_moved_evaluate_says_what_to_do(version, photos, tmp_path):
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    recipe = copy / "assets.extra" / "recipe.json"
    recipe.write_text(recipe.read_text().replace(version.recipe.data, str(tmp_path / "gone")))
    model = kt.load(copy)
    with pytest.raises(kt.UserError, match=r"not where it was: .*--data"):
        model.evaluate()
    assert model.evaluate(photos)["images"] == version.metrics["data"]["test"]


@pytest.fixture
def same_graph(classifier, monkeypatch):
    """Has every folder give the graph of `classifier`: for tests of the files next to it."""
    monkeypatch.setattr(saved, "LoadedGraph", lambda folder: classifier._graph)


def test_labels_that_do_not_count_as_many_as_the_outputs_are_refused(version, same_graph, tmp_path):
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    (copy / "assets" / "labels.txt").write_text("blue\ngreen\n")
    with pytest.raises(kt.UserError, match="lists 2 classes, the graph has 3 outputs"):
        kt.load(copy)


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\r", "\n"])
def test_a_line_separator_in_a_class_shifts_no_label(version, same_graph, tmp_path, mark):
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    classes = [f"dark{mark}blue", "green", f"red{mark}"]
    (copy / "assets" / "labels.txt").write_bytes(folders.labels_text(classes).encode())
    metrics = copy / "assets.extra" / "metrics.json"
    report = json.loads(metrics.read_text())
    report["data"]["classes"] = classes
    metrics.write_text(json.dumps(report))
    assert list(kt.load(copy).classes) == classes


def refusal(folder):
    """The one line in which a folder is refused."""
    with pytest.raises(kt.UserError, match="cannot be loaded as a model") as caught:
        kt.load(folder)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "content"), [("saved_model.pb", b"x"), ("variables/variables.data-00000-of-00001", b"")]
)
def test_a_graph_that_is_not_whole_is_refused_in_one_line(version, tmp_path, name, content):
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    (copy / name).write_bytes(content)
    assert refusal(copy)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "assets.extra" / "recipe.json").write_text('{"base": '),
        lambda folder: (folder / "assets.extra" / "metrics.json").write_text("[]"),
        lambda folder: (folder / "assets.extra" / "metrics.json").write_text('{"schema": 99}'),
        lambda folder: (folder / "assets.extra" / "recipe.json").write_text('{"schema": 99}'),
        lambda folder: (folder / "assets" / "labels.txt").unlink(),
    ],
)
def test_records_that_are_not_whole_are_refused_in_one_line(version, same_graph, tmp_path, damage):
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    assert kt.load(copy)
    damage(copy)
    assert refusal(copy)


def test_a_version_that_is_pruned_meanwhile_gives_way_to_the_newest(version, tmp_path, monkeypatch):
    model = tmp_path / "m"
    shutil.copytree(version.folder, model / "1")
    load = tf.saved_model.load

    def prune_first(folder):
        if folder.endswith("1"):
            (model / "1").rename(model / "2")
        return load(folder)

    monkeypatch.setattr(tf.saved_model, "load", prune_first)
    assert kt.load(model).folder == model / "2"


def test_classes_called_as_columns_have_columns_of_their_own():
    classes = ("label", "class label", "confidence", "path", "error", "value", "red")
    shares = {name: index / 10 for index, name in enumerate(classes)}
    stream = io.StringIO()
    write_predictions([Prediction("a.jpg", "path", 0.9, shares), Prediction("b.jpg", error="bad")], classes, stream)
    good, bad = csv.DictReader(io.StringIO(stream.getvalue()))
    header = stream.getvalue().splitlines()[0].split(",")
    assert len(header) == len(set(header)) == len(classes) + 4
    assert (good["label"], good["confidence"], good["path"], good["error"]) == ("path", "0.9", "a.jpg", "")
    assert [float(good[name]) for name in header[3:-1]] == list(shares.values())
    assert (bad["path"], bad["error"], bad["label"]) == ("b.jpg", "bad", "")


def as_webp(file):
    stream = io.BytesIO()
    Image.open(file).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def test_a_webp_is_served_as_the_png_of_the_same_picture(classifier, photos):
    from keras_transfer.data.decoding import webp

    file = photos / "red" / "01.png"
    expected, served = classifier.predict([file, as_webp(file)])
    if webp.DECODABLE:
        assert served.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    else:
        assert "is a WebP image, which TensorFlow" in served.error


@pytest.mark.essential
def test_a_version_of_release_0_1_0_predicts_and_is_measured(released, photos, tmp_path):
    model = kt.load(released)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((photos / "red" / "00.jpg").read_bytes()[:150])
    good, bad, other = model.predict([photos / "red" / "00.jpg", cut, photos / "blue" / "01.png"])
    assert (good.label, bad.label, other.label) == ("red", None, "blue")
    assert "cannot be decoded" in bad.error
    assert model.predict(cut)[0].error == bad.error
    assert "fit it anew, or convert it" in model.predict(as_webp(photos / "red" / "01.png"))[0].error
    report = model.evaluate(str(write_photos(tmp_path / "fresh", 3, seed=77)))
    assert report["images"] == 9
    assert report["accuracy"] > 0.8
    assert folders.listing(released)[0].score == ("accuracy", 1.0)
