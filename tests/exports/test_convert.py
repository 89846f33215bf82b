import csv
import errno
import json
import os
import shutil
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer import commands
from keras_transfer.commands import layout, tables
from keras_transfer.exports import convert, formats, litert
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def copied(version, tmp_path_factory):
    """A version of its own, for what is exported stays in it."""
    return shutil.copytree(version.folder, tmp_path_factory.mktemp("exported") / "m" / "1")


@pytest.fixture(scope="module")
def loaded(copied):
    """The model of `copied`, loaded once for all formats."""
    return kt.load(copied)


@pytest.mark.essential
@pytest.mark.parametrize(
    ("format", "precision", "tolerance"),
    [
        ("keras", "float32", 1e-5),
        ("keras", "float16", 0.02),
        ("keras", "int8", 0.2),
        ("litert", "float32", 1e-5),
        ("litert", "float16", 0.02),
        ("litert", "int8", 0.2),
        ("openvino", "float32", 1e-4),
        ("openvino", "float16", 0.02),
        ("openvino", "int8", 0.2),
        ("onnx", "float32", 1e-5),
        ("onnx", "float16", 0.02),
        ("onnx", "int8", 0.2),
    ],
)
def test_each_format_predicts_as_the_saved_model(version, loaded, format, precision, tolerance, capfd, monkeypatch):
    if format == "onnx" or (format, precision) == ("openvino", "int8"):
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    if format == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setattr(convert, "SavedClassifier", lambda model: loaded)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        report = convert.export(str(loaded.folder), format, precision, None, QUIET)
    assert not [str(warning.message) for warning in warned if warning.category is not ResourceWarning]
    assert capfd.readouterr() == ("", "")
    assert report.largest_difference <= tolerance
    assert report.agreement >= (0.8 if precision == "int8" else 1.0)
    assert report.images == min(convert._COMPARED, version.metrics["data"]["test"])
    kept = json.loads((loaded.folder / "assets.extra" / "exports" / f"model-{precision}{formats.SUFFIX[format]}.json")
                      .read_text())  # fmt: skip
    assert kept["agreement"] == report.agreement
    assert report.model_accuracy == version.metrics["test"]["accuracy"]
    assert abs(report.accuracy - report.model_accuracy) <= 1 - report.agreement
    rule = "Of a photo, its largest centred square is resized to 24 x 24 by bilinear interpolation"
    assert rule in kept["input"]
    assert (kept["preprocessing"]["size"], kept["preprocessing"]["resize"]) == (24, "crop")
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(report.file, providers=["CPUExecutionProvider"])
        (input_,), (output,) = session.get_inputs(), session.get_outputs()
        assert (input_.name, input_.shape) == ("images", ["batch", 24, 24, 3])
        assert (output.name, output.shape) == ("probabilities", ["batch", 3])
        metadata = session.get_modelmeta().custom_metadata_map
        assert json.loads(metadata["labels"]) == ["blue", "green", "red"]
        assert json.loads(metadata["preprocessing"]) == kept["preprocessing"]
        assert rule in metadata["input"]
    if format == "openvino":
        import openvino

        read = openvino.Core().read_model(report.file)
        assert (read.input().any_name, read.output().any_name) == ("images", "probabilities")
        assert rule in read.get_rt_info(["model_info", "input"]).astype(str)
        assert json.loads(read.get_rt_info(["model_info", "preprocessing"]).astype(str)) == kept["preprocessing"]
        assert report.default_precision in (None, "bfloat16", "float16")
        assert (report.default_difference is None) is (report.default_precision is None)
    if format == "litert":
        with zipfile.ZipFile(report.file) as packed:
            assert packed.read("labels.txt").decode().split() == ["blue", "green", "red"]
        content = Path(report.file).read_bytes()
        assert rule.encode() in content
        with convert.logs.without_notes():
            signature = litert._interpreter(content).get_signature_list()["serving_default"]
        assert signature == {"inputs": ["images"], "outputs": ["probabilities"]}


def test_an_onnx_file_of_numbers_has_no_labels(tmp_path):
    onnx = pytest.importorskip("onnx")
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    onnx.save(empty, tmp_path / "m.onnx")
    model = SimpleNamespace(task=Regression(), classes=("target",), recipe=None, size=24)
    convert.onnx._describe(tmp_path / "m.onnx", model)
    assert {entry.key for entry in onnx.load(tmp_path / "m.onnx").metadata_props} == {"input", "preprocessing"}


def test_dense_layers_of_a_keras_file_are_quantised(version, copied):
    import keras

    report = convert.export(str(copied), "keras", "int8", None, QUIET)
    head = keras.models.load_model(report.file, compile=False).get_layer("head")
    assert head.get_layer("logits").kernel.dtype == "int8"


def test_a_version_of_release_0_1_0_is_exported(released, photos):
    pytest.importorskip("keras", "3.15", "its model.keras was written by Keras 3.15")
    report = convert.export(str(released), "keras", "float32", None, QUIET, data=str(photos))
    assert report.images > 0
    assert report.largest_difference <= 1e-5


@pytest.mark.once
def test_the_command_writes_where_it_is_told(version, tmp_path, capsys):
    commands.main(["export", str(version.folder), "--format", "keras", "-o", str(tmp_path / "m.keras"), "--json"])
    assert json.loads(capsys.readouterr().out)["file"] == str(tmp_path / "m.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


@pytest.mark.once
def test_a_full_disk_is_told_with_the_name_of_the_file(loaded, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*arguments, **options):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(convert, "SavedClassifier", lambda model: loaded)
    monkeypatch.setattr(pytest.importorskip("openvino"), "save_model", fail)
    monkeypatch.setattr(Path, "write_bytes", full)
    for format, name in (("litert", "m.tflite"), ("openvino", "m.xml")):
        with pytest.raises(kt.UserError, match=rf"{name} cannot be written \(No space left on device\)\.$"):
            convert.export(str(loaded.folder), format, "float32", tmp_path / name, QUIET)
    assert not list(tmp_path.iterdir())


class Refusing:
    """As LiteRT's interpreter, where XNNPACK cannot run a file: a quantised network whose numbers are too small."""

    def __init__(self, content):
        pass

    def allocate_tensors(self):
        raise RuntimeError("failed to create XNNPACK runtime\nNode number 34 failed to prepare")


@pytest.mark.once
def test_a_file_that_litert_cannot_run_is_refused(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "SavedClassifier", lambda model: loaded)
    monkeypatch.setattr(litert, "_interpreter", Refusing)
    words = "LiteRT cannot run .* .failed to create XNNPACK runtime.. Take --precision float16"
    with pytest.raises(kt.UserError, match=words):
        convert.export(str(loaded.folder), "litert", "int8", tmp_path / "m.tflite", QUIET)
    assert not list(tmp_path.iterdir())


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "tflite"], "--format must be one of"),
        (["--format", "onnx", "--precision", "bfloat16"], "has the precisions float32, float16, int8"),
        (["--format", "litert", "-o", "x.bin"], "must be a file that ends in .tflite"),
    ],
)
def test_wrong_options(version, arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        commands.main(["export", str(version.folder), *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.fixture
def moved(version, photos, tmp_path):
    """A version whose photos are no longer where they were, and where they are now."""
    copy = shutil.copytree(version.folder, tmp_path / "m" / "1")
    recipe = copy / "assets.extra" / "recipe.json"
    recipe.write_text(recipe.read_text().replace(version.recipe.data, str(tmp_path / "gone")))
    return str(copy), str(shutil.copytree(photos, tmp_path / "elsewhere"))


@pytest.mark.once
def test_without_the_photos_a_form_is_written_and_not_compared(moved, capsys):
    report = convert.export(moved[0], "keras", "float32", None, QUIET)
    assert Path(report.file).is_file()
    assert (report.images, report.agreement, report.largest_difference) == (0, None, None)
    assert "not compared" in capsys.readouterr().err
    assert "Compared" not in tables.exported(report, layout.UNLIMITED)


@pytest.mark.once
def test_a_file_is_compared_on_the_test_images_that_are_left(version, moved, capsys):
    model, photos = moved
    with (version.folder / "assets.extra" / "splits.csv").open() as stream:
        test = [Path(photos, row["path"]) for row in csv.DictReader(stream) if row["split"] == "test"]
    recipe = Path(model, "assets.extra", "recipe.json")
    recipe.write_text(recipe.read_text().replace(str(Path(photos).with_name("gone")), photos))
    test[0].write_bytes(test[0].read_bytes()[:200])
    test[1].write_bytes(b"")
    report = convert.export(model, "keras", "float32", None, QUIET)
    assert report.images == len(test) - 2
    for file in test[2:]:
        file.write_bytes(b"")
    assert convert.export(model, "keras", "float32", None, QUIET).images == 0
    assert "no test image can be decoded" in capsys.readouterr().err
    for file in test:
        file.unlink()
    report = convert.export(model, "keras", "float32", None, QUIET)
    assert (Path(report.file).is_file(), report.images) == (True, 0)
    assert "own test images are not where they were" in capsys.readouterr().err


@pytest.mark.once
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_openvino_files_are_compared_in_the_arithmetic_that_is_its_default_too(
    loaded, tmp_path, monkeypatch, precision
):
    pytest.importorskip("openvino")

    def by_default(file):
        assert file.is_file()
        return precision, lambda pixels: np.eye(3, dtype="float32")[np.zeros(len(pixels), int)]

    monkeypatch.setattr(convert, "SavedClassifier", lambda model: loaded)
    monkeypatch.setattr(convert.openvino, "by_default", by_default)
    report = convert.export(str(loaded.folder), "openvino", "float32", tmp_path / "m.xml", QUIET)
    said = tables.exported(report, layout.UNLIMITED).replace("\n", " ")
    assert report.largest_difference < 1e-4
    assert ("OpenVINO computes in bfloat16 on this machine" in said) is (precision == "bfloat16")
    if precision == "bfloat16":
        assert report.default_difference > 0.1
        assert f"largest difference then {report.default_difference:.2g}. Input:" in said


@pytest.mark.once
def test_int8_without_the_photos_says_how_to_name_them(moved):
    with pytest.raises(kt.UserError, match="--data names where they are now"):
        convert.export(moved[0], "litert", "int8", None, QUIET)


@pytest.mark.once
def test_photos_that_moved_are_told_by_their_bytes(version, moved):
    report = convert.export(moved[0], "keras", "float32", None, QUIET, data=moved[1])
    assert report.images == version.metrics["data"]["test"]
    assert report.largest_difference <= 1e-5


def test_of_several_labels_an_export_agrees_where_it_gives_all_the_same():
    outputs = np.array([[0.99, 0.98], [0.2, 0.1], [0.9, 0.4], [0.1, 0.7]], "float32")
    other = np.array([[0.98, 0.99], [0.1, 0.2], [0.9, 0.6], [0.1, 0.7]], "float32")
    images = SimpleNamespace(pixels=lambda split, most: iter([("", np.zeros((2, 2, 3), "float32"))] * 4))
    model = SimpleNamespace(
        task=MultiLabel(), metrics={"data": {"test": 4}}, run=lambda name, pixels: {"probabilities": outputs}
    )
    count, agreement, difference, *_ = convert._compare(model, images, lambda pixels: other, QUIET)
    assert (count, agreement, difference) == (4, 0.75, pytest.approx(0.2))
    report = convert.Exported("m.tflite", "litert", "int8", 2_700_000, 4, agreement, difference)
    assert "the same labels on 75.0%" in tables.exported(report, layout.UNLIMITED)


@pytest.mark.parametrize(
    ("agreement", "words"), [(0.96, "difference of a probability 0.47"), (None, "difference 0.47")]
)
def test_the_difference_of_an_export_says_of_what(agreement, words):
    report = convert.Exported("m.tflite", "litert", "int8", 2_700_000, 30, agreement, 0.47)
    assert f"largest {words}." in tables.exported(report, layout.UNLIMITED).replace("\n", " ")
