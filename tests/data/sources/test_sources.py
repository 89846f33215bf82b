import os
import shutil

import numpy as np
import pytest

from keras_transfer.data import sources
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError
from tests.conftest import draw


def test_the_digits_are_written_once_and_whole():
    one, again = sources.load("digits"), sources.load("digits")
    assert (len(one), len(one.classes)) == (1797, 10)
    assert list(one.paths) == list(again.paths)


def test_a_source_that_is_none_is_said(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        sources.load(str(tmp_path / "none"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is neither a folder nor"):
        sources.load(str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no class folders"):
        sources.load(str(tmp_path / "empty"))
    (tmp_path / "empty" / "only").mkdir()
    with pytest.raises(UserError, match="only one class folder, 'only'"):
        sources.load(str(tmp_path / "empty"))
    (tmp_path / "empty" / "other").mkdir()
    with pytest.raises(UserError, match="class folder 'only' is empty"):
        sources.load(str(tmp_path / "empty"))


def test_labels_that_do_not_fit_the_task_are_refused_in_its_words(photos, tmp_path):
    with pytest.raises(UsageError, match=r"is for classification\. For multi-label, it needs several labels an image"):
        sources.load(str(photos), Recipe(data=str(photos), task="multi-label"))
    pixels, several = np.zeros((2, 4, 4, 3), "uint8"), np.asarray([[1, 1], [0, 1]])
    np.savez(tmp_path / "a.npz", x=pixels, y=several)
    with pytest.raises(UsageError, match=r"is for multi-label\. For classification, it needs one label an image"):
        sources.load_measured(str(tmp_path / "a.npz"), Recipe(), "classification")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"columns": "label=breed"}, "--columns needs a CSV file; SOURCE is none. Leave it out; "),
        ({"encoding": "cp1252"}, "--encoding needs a CSV file; SOURCE is none. Leave it out; "),
        ({"allow_outside": True}, "--allow-outside needs a CSV file; SOURCE is none. Leave it out; "),
        ({"tfds_dir": "sets"}, "--tfds-dir needs a data set tfds:NAME; SOURCE is none. Leave it out; "),
        ({"group_by": "patient"}, "--group-by needs a CSV file with that column; SOURCE is none. Leave it out; "),
    ],
)
def test_an_option_that_does_nothing_on_a_source_is_refused(photos, tmp_path, option, words):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4, 3), "uint8"), y=np.arange(2))
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos)
    for source in (str(photos), archive, str(tmp_path / "a.npz"), "digits"):
        for purpose in Purpose:
            with pytest.raises(UsageError) as told:
                sources.load(source, Recipe(data=source, **option), purpose)
            assert told.value.args[0].startswith(words.replace("SOURCE", source))


def test_options_of_tables_are_for_those_in_folders_and_archives_too(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for number, name in enumerate(("a", "b")):
        draw((200, 40, 40), number).save(folder / f"{name}.png")
    (folder / "metadata.csv").write_text("file_name,art\na.png,Gr\u00fcn\nb.png,rot\n", "cp1252")
    options = {"columns": "label=art", "encoding": "cp1252", "allow_outside": True}
    for source in (str(folder), str(folder / "metadata.csv"), shutil.make_archive(str(folder), "zip", folder)):
        assert sources.load(source, Recipe(data=source, **options)).classes == ("Gr\u00fcn", "rot")


def test_what_a_model_was_fitted_with_may_do_nothing_where_it_is_measured(photos):
    recipe = Recipe(data="table.csv", columns="label=breed", allow_outside=True, group_by="patient")
    for fitted in (recipe, recipe.replace(data=str(photos))):
        unsaid = dict.fromkeys(("columns", "encoding", "allow_outside", "tfds_dir"))
        assert len(sources.load_measured(str(photos), fitted, "classification", **unsaid)) == 42
        with pytest.raises(UsageError, match="--allow-outside needs a CSV file"):
            sources.load_measured(str(photos), fitted, "classification", allow_outside=True)


def test_a_model_of_several_labels_is_measured_where_each_image_has_one(photos):
    examples = sources.load_measured(str(photos), Recipe(), "multi-label")
    assert examples.task == "multi-label"
    assert examples.labels.sum(0).tolist() == [14, 14, 14]
    assert examples.labels.sum(1).tolist() == [1] * 42


def test_what_predict_takes_is_expanded(photos):
    assert len(sources.expand([str(photos)])) == 42
    assert len(sources.expand([str(photos / "*" / "*.png")])) == 15
    assert sources.expand([str(photos / "red" / "00.jpg")]) == [str(photos / "red" / "00.jpg")]
    with pytest.raises(UsageError, match="names no file"):
        sources.expand([str(photos / "*.gif")])
    assert sources.expand(["none.jpg", str(photos / "red" / "00.jpg")]) == ["none.jpg", str(photos / "red" / "00.jpg")]


def test_an_empty_name_is_not_the_working_folder(photos):
    photo = str(photos / "red" / "00.jpg")
    assert sources.expand(["", photo]) == ["", photo]
    with pytest.raises(UsageError, match="'' names no file"):
        sources.expand([""])


def test_other_archives_are_to_be_unpacked(tmp_path):
    (tmp_path / "flower_photos.tgz").write_bytes(b"")
    with pytest.raises(UsageError, match=r"is not read as it is: unpack it \(tar -xf\)"):
        sources.load(str(tmp_path / "flower_photos.tgz"))


@pytest.mark.parametrize(
    ("name", "helps"),
    [("a.json", "export a CSV file"), ("a.parquet", "as files"), ("A.XLSX", "as a CSV file"), ("a.npy", "np.savez")],
)
def test_a_file_of_another_kind_says_what_to_do_alone_and_in_a_folder(tmp_path, name, helps):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=f"{name}' is not read as it is: .*{helps}"):
        sources.load(str(tmp_path / "data" / name))
    with pytest.raises(UserError, match=f"no class folders in it. {name} is not read as it is: .*{helps}"):
        sources.load(str(tmp_path / "data"))
    with pytest.raises(UserError, match=f"only one class folder, 'data' in it. {name} is not read .*{helps}"):
        sources.load(str(tmp_path))


@pytest.mark.parametrize("second", ["cat ", "Cat\u200b"])
def test_classes_whose_names_differ_in_what_is_hardly_seen_are_pointed_out(tmp_path, second):
    for number, name in enumerate(("Cat", second, "dog")):
        (tmp_path / name).mkdir()
        draw((200, 40, 40), number).save(tmp_path / name / "0.png")
    assert sources.load(str(tmp_path)).understood.endswith(f"'Cat' and {second!r} count as two classes.")


def test_a_pipe_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a folder nor a regular file"):
        sources.load(str(tmp_path / "pipe"))
