import csv
import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer import api
from keras_transfer.support import forks
from tests.conftest import REPOSITORY


@pytest.fixture
def asked(monkeypatch):
    """Recipes that `run.fit` is asked for; nothing is fitted."""
    recipes = []

    def fit(recipe, progress, resume):
        recipes.append(recipe)
        metrics = {"base": recipe.base, "test": {"accuracy": 0.9, "images": 30}}
        return api.run.Result(Path("saved_models/photos/1"), metrics, recipe)

    monkeypatch.setattr(api.run, "fit", fit)
    return recipes


def test_fit_takes_data_options_or_a_recipe(asked):
    kt.fit(base="resnet50", data="photos/")
    kt.fit("photos/", base="resnet50")
    kt.fit(Path("photos"), base="resnet50")
    kt.fit(kt.Recipe(base="resnet50", data="photos/"))
    kt.fit(kt.Recipe(data="photos/"), base="resnet50")
    assert {(recipe.base, recipe.data.rstrip("/")) for recipe in asked} == {("resnet50", "photos")}
    assert len(asked) == 5


def test_fit_refuses_what_the_command_line_refuses(asked):
    with pytest.raises(kt.UsageError, match="Did you mean 'base'"):
        kt.fit("photos/", bse="resnet50")
    with pytest.raises(kt.UsageError, match="Did you mean 'head_lr' or 'fine_tune_lr'"):
        kt.fit("photos/", lr=0.1)
    with pytest.raises(kt.UsageError, match="given twice"):
        kt.fit("photos/", data="more/")
    assert not asked


def test_a_wrong_base_or_block_is_told_before_data_is_read(asked):
    for wrong in (lambda: kt.fit("/none", base="resnet18"), lambda: kt.features("/none", base="resnet18")):
        with pytest.raises(kt.UsageError, match="Did you mean 'resnet50'"):
            wrong()
    with pytest.raises(kt.UsageError, match="no block 'blok5'"):
        kt.fit("/none", thaw="blok5")


ARRAYS = (np.zeros((4, 8, 8, 3), "uint8"), np.zeros(4))
AS_FILE = " Write arrays to a file, np.savez('photos.npz', x=images, y=labels), and give that."


@pytest.mark.parametrize(
    ("work", "argument", "kind"),
    [
        (lambda: kt.fit(1), "--data", "int"),
        (lambda: kt.fit(["a"]), "--data", "list"),
        (lambda: kt.fit(data=None), "--data", "NoneType"),
        (lambda: kt.fit("/none", base=None), "--base", "NoneType"),
        (lambda: kt.fit(ARRAYS), "--data", f"tuple.{AS_FILE}"),
        (lambda: kt.fit(data=ARRAYS), "--data", f"tuple.{AS_FILE}"),
        (lambda: kt.fit(ARRAYS[0]), "--data", f"ndarray.{AS_FILE}"),
        (lambda: kt.fit({"x": ARRAYS[0]}), "--data", f"dict.{AS_FILE}"),
        (lambda: kt.fit("a", data=ARRAYS), "--data", f"tuple.{AS_FILE}"),
        (lambda: kt.check(ARRAYS), "--data", f"tuple.{AS_FILE}"),
        (lambda: kt.check(None), "--data", "NoneType"),
        (lambda: kt.recommend(None), "--data", "NoneType"),
        (lambda: kt.check("/none", html=1), "--html", "int"),
        (lambda: kt.check("/none", convert_to=1), "--convert", "int"),
        (lambda: kt.evaluate("/none", ARRAYS), "--data", f"tuple.{AS_FILE}"),
        (lambda: kt.recommend("/none", [1, 2]), "--bases", "int"),
        (lambda: kt.export(None, "litert"), "model", "NoneType"),
        (lambda: kt.load(None), "model", "NoneType"),
        (lambda: kt.load_recipe(None), "source", "NoneType"),
        (lambda: kt.models(None), "folder", "NoneType"),
        (lambda: kt.Recipe.from_json('{"data": null}'), "--data", "NoneType"),
    ],
)
def test_what_is_no_path_is_refused_by_its_argument_and_type(work, argument, kind):
    with pytest.raises(kt.UsageError) as told:
        work()
    expected = f"{argument} must be a path or a name. Received: a value of type {kind}"
    assert str(told.value) == expected + "." * (not kind.endswith("."))


@pytest.mark.parametrize("progress", ["mobilenetv2", True, False])
def test_a_progress_that_is_none_is_refused_before_anything_is_read(progress):
    for work in (kt.fit, kt.check, kt.recommend, kt.features, kt.evaluate, functools.partial(kt.export, format="onnx")):
        with pytest.raises(kt.UsageError) as told:
            work("/none", progress=progress)
        assert str(told.value).endswith(f"None or a Progress, as kt.Progress(quiet=True). Received: {progress!r}.")


def test_options_are_given_by_name_and_no_bases_are_those_to_begin_with():
    for work in (kt.fit, kt.check, kt.features):
        with pytest.raises(TypeError, match="positional"):
            work("photos", "mobilenetv2")
    with pytest.raises(kt.UsageError, match="there is no '/none'"):
        kt.recommend("/none", None)


def test_check_takes_data_and_options():
    with pytest.raises(kt.UsageError, match="there is no '/none'"):
        kt.check("/none")
    with pytest.raises(kt.UsageError, match="Did you mean 'resnet50'"):
        kt.check(kt.Recipe(data="/none"), base="resnet18")


def test_one_base_is_one_name_and_too_few_to_compare():
    for base in ("mobilenetv2", Path("mobilenetv2")):
        with pytest.raises(kt.UsageError, match="mobilenetv2 is the only base given: name two or more"):
            kt.recommend("/none", base)


def test_files_that_cannot_be_written_are_refused_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    for work in (kt.check, kt.evaluate):
        for option in ("html", "csv"):
            with pytest.raises(kt.UsageError, match=f"--{option} must be a file that ends in .{option}"):
                work("/none", **{option: tmp_path / "a.txt"})
            with pytest.raises(kt.UsageError, match=f"--{option}: .*file is a file. Give a folder."):
                work("/none", **{option: tmp_path / "file" / f"a.{option}"})


def test_result_is_shown_in_one_line(asked):
    result = kt.fit("photos/")
    assert repr(result) == f"<Result {Path('saved_models/photos/1')}: mobilenetv2, accuracy 0.900 on 30 test images>"
    assert result.history == []


def test_result_has_history_and_model(version):
    with (version.folder / "assets.extra" / "history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["phase"] for row in version.history] == [row["phase"] for row in rows]
    assert [row["epoch"] for row in version.history if row["phase"] == "fine-tune"] == [1, 2]
    assert isinstance(version.model, kt.SavedClassifier)
    assert version.model is version.model


def test_a_result_is_found_from_another_folder_too(version, tmp_path, monkeypatch):
    monkeypatch.chdir(version.folder.parent)
    result = api.run.Result(Path(version.folder.name), version.metrics, version.recipe)
    monkeypatch.chdir(tmp_path)
    assert result.model.classes == ("blue", "green", "red")
    assert result.history == version.history
    assert result.report.is_file()
    assert repr(result).startswith(f"<Result {version.folder.name}: ")


def test_features_come_with_labels(photos, tiny_base):
    arrays = kt.features(photos, progress=kt.Progress(quiet=True), base=tiny_base)
    assert arrays["features"].shape == (42, 16)
    assert set(arrays["labels"]) == set(arrays["classes"]) == {"blue", "green", "red"}
    assert arrays["features"].dtype == np.float32


def test_evaluate_and_models(version):
    assert kt.evaluate(version.folder)["images"] == version.metrics["test"]["images"]
    with pytest.raises(kt.UsageError, match=r"No such option 'column'[.] Did you mean 'columns'"):
        kt.evaluate(version.folder, "photos.csv", column="label=breed")
    assert [entry.version for entry in kt.models(version.folder.parent)] == [1]


def test_public_names_are_there_and_explained():
    for name in kt.__all__:
        assert getattr(kt, name).__doc__, name


def test_an_editor_is_offered_the_public_names():
    assert set(dir(kt)) == {*kt.__all__, "__version__"}


def test_evaluate_refuses_a_source_that_is_not_there_before_it_loads_the_model(tmp_path):
    with pytest.raises(kt.UsageError, match="data: there is no"):
        kt.evaluate(tmp_path / "no model", tmp_path / "no photos")


def test_tensorflow_is_silent_from_python(tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    code = "import keras_transfer as kt; kt.SavedClassifier; import tensorflow as tf; tf.constant(1)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_model_in_a_forked_worker_is_refused_at_once(version, monkeypatch):
    model = version.model
    monkeypatch.setattr(forks, "_process", os.getppid())
    for use in (
        lambda: kt.load(version.folder),
        lambda: model.predict(np.zeros((8, 8, 3), "uint8")),
        lambda: kt.fit("photos/"),
    ):
        with pytest.raises(kt.UserError, match="forked"):
            use()
