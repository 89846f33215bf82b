import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.data import prepare
from keras_transfer.data.examples import training_digests
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.versions import earlier
from keras_transfer.versions.earlier import EarlierRun
from tests.conftest import write_photos

QUIET = Progress(quiet=True)


@pytest.fixture
def prepared(photos):
    recipe = kt.Recipe(data=str(photos), seed=0)
    return prepare.inspected(recipe, prepare.listing(recipe, QUIET), QUIET)


def run_that_saw(prepared, indices):
    return EarlierRun("big/1", kt.Recipe(seed=3), frozenset(prepared.examples.digests[index] for index in indices))


def test_test_images_that_an_earlier_run_was_trained_on_are_trained_on(prepared, capsys):
    test, train = prepared.examples.indices("test"), prepared.examples.indices("train")
    out = earlier.kept_out_of_the_test(prepared, run_that_saw(prepared, [*train[:3], *test[:2]]), QUIET)
    assert out.examples.indices("test").tolist() == test[2:].tolist()
    assert set(test[:2]) < set(out.examples.indices("train"))
    warning = " ".join(capsys.readouterr().err.split())
    assert "big/1 was trained on 2 of the 6 test images" in warning
    assert "4 are left to test on. --split 70/15/15 --seed 3 splits the same images as it did." in warning


def test_a_single_image_that_is_left_is_told_as_one(prepared, capsys):
    earlier.kept_out_of_the_test(prepared, run_that_saw(prepared, prepared.examples.indices("test")[:5]), QUIET)
    assert "1 is left to test on." in " ".join(capsys.readouterr().err.split())


def test_scores_on_images_that_the_base_was_fine_tuned_on_are_said_to_be_too_good(prepared, capsys):
    run = run_that_saw(prepared, [*prepared.examples.indices("validation"), *prepared.examples.indices("test")])
    earlier.flattered(prepared, run, QUIET)
    warning = " ".join(capsys.readouterr().err.split())
    assert "big/1 was trained on 6 of the 36 images to train and to validate on" in warning
    earlier.flattered(prepared, replace(run, recipe=run.recipe.replace(thaw="none")), QUIET)
    earlier.flattered(prepared, run_that_saw(prepared, prepared.examples.indices("test")), QUIET)
    assert not capsys.readouterr().err


def test_what_is_grouped_with_them_goes_along(prepared, capsys):
    test = prepared.examples.indices("test")
    groups = np.arange(len(prepared.examples))
    groups[test[3]] = groups[test[0]]
    grouped = replace(prepared, examples=replace(prepared.examples, groups=groups))
    out = earlier.kept_out_of_the_test(grouped, run_that_saw(prepared, test[:1]), QUIET)
    assert out.examples.indices("test").tolist() == [test[1], test[2], *test[4:]]
    warning = " ".join(capsys.readouterr().err.split())
    assert "1 of the 6 test images (1 more are grouped with them)" in warning
    assert "4 are left" in warning


def test_of_a_test_split_that_was_given_they_are_left_out(tmp_path, capsys):
    for number, split in enumerate(("train", "test")):
        write_photos(tmp_path / "data" / split, each=8, seed=50 * number)
    recipe = kt.Recipe(data=str(tmp_path / "data"), seed=0)
    given = prepare.inspected(recipe, prepare.listing(recipe, QUIET), QUIET)
    test = given.examples.indices("test")
    out = earlier.kept_out_of_the_test(given, run_that_saw(given, test[:2]), QUIET)
    paths = [given.examples.paths[index] for index in test]
    assert [out.examples.paths[index] for index in out.examples.indices("test")] == paths[2:]
    assert [name for name, _ in out.rejected] == paths[:2]
    assert all("was trained on by big/1" in why for _, why in out.rejected)
    assert len(out.indices) == len(out.examples) == len(given.examples) - 2
    warning = " ".join(capsys.readouterr().err.split())
    assert "they are left out, and 22 are left to test on." in warning
    assert "--split" not in warning
    with pytest.raises(UserError, match=r"none would be left to test on\. Give other test images\."):
        earlier.kept_out_of_the_test(given, run_that_saw(given, test), QUIET)


def version_of(folder, digest, **options):
    extra = folder / "1" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "splits.csv").write_text(f"path,label,split,digest\na.jpg,red,train,{digest.hex()}\n")
    (extra / "recipe.json").write_text(kt.Recipe(**options).to_json())
    return str(extra / "model.keras")


def test_the_runs_that_an_earlier_run_came_from_count_too(tmp_path):
    first = version_of(tmp_path / "first", b"1")
    big = version_of(tmp_path / "big", b"2", weights=first)
    last = version_of(tmp_path / "last", b"3", weights=first, teacher=str(tmp_path / "big" / "1"))
    runs = earlier.runs(kt.Recipe(weights=last), None, QUIET)
    assert {run.name: run.seen for run in runs} == {"last/1": {b"3"}, "first/1": {b"1"}, "big/1": {b"2"}}
    assert len(runs) == 3
    assert [run.name for run in earlier.runs(kt.Recipe(base=big), None, QUIET)] == ["big/1", "first/1"]


@pytest.mark.parametrize("option", ["base", "weights"])
def test_what_was_exported_of_an_earlier_run_saw_what_that_run_did(option, tmp_path):
    network = Path(version_of(tmp_path / "first", b"1"))
    exported = network.parent / "exports" / "model-float16.keras"
    runs = earlier.runs(kt.Recipe(**{option: str(exported)}), None, QUIET)
    assert [(run.name, run.seen) for run in runs] == [("first/1", {b"1"})]
    assert not earlier.runs(kt.Recipe(**{option: str(exported.with_name("labels.txt"))}), None, QUIET)


def test_a_run_that_split_alike_changes_nothing(prepared, capsys):
    seen = [*prepared.examples.indices("train"), *prepared.examples.indices("validation")]
    assert earlier.kept_out_of_the_test(prepared, run_that_saw(prepared, seen), QUIET) is prepared
    assert not capsys.readouterr().err


def test_where_nothing_is_left_to_test_on_or_folds_would_test_that_is_refused(prepared):
    run = run_that_saw(prepared, prepared.examples.indices("test"))
    with pytest.raises(UserError, match=r"none would be left to test on\. --split 70/15/15 --seed 3"):
        earlier.kept_out_of_the_test(prepared, run, QUIET)
    folded = replace(prepared, recipe=prepared.recipe.replace(folds=3))
    with pytest.raises(UserError, match="big/1 was trained on images that --folds tests on"):
        earlier.kept_out_of_the_test(folded, run, QUIET)


def test_a_run_that_goes_on_from_a_version_tests_on_none_of_its_training_images(photos, version, tmp_path, capsys):
    extra = version.folder / "assets.extra"
    recipe = kt.Recipe(base=str(extra / "model.keras"), data=str(photos), seed=5, method="frozen", views=1)
    result = kt.fit(recipe.replace(output=str(tmp_path / "next")), progress=QUIET)
    seen = training_digests(extra)
    own = result.folder / "assets.extra" / "splits.csv"
    tested = set(map(bytes.fromhex, (line.split(",")[3] for line in own.read_text().splitlines() if ",test," in line)))
    assert tested
    assert not tested & seen
    assert result.metrics["test"]["images"] == len(tested)
    assert f"{version.folder.parent.name}/1 was trained on" in capsys.readouterr().err


@pytest.mark.parametrize("records", ["path,label\na.jpg,red\n", "path,label,split,digest\na.jpg,red,tr"])
def test_records_that_cannot_be_read_are_warned_of(records, tmp_path, capsys):
    extra = tmp_path / "big" / "1" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "splits.csv").write_text(records)
    recipe = kt.Recipe(weights=str(extra / "model.keras"))
    assert earlier.runs(recipe, None, QUIET) == []
    assert "The records of big/1 cannot be read" in " ".join(capsys.readouterr().err.split())
    assert earlier.runs(kt.Recipe(), None, QUIET) == []


def test_what_the_runs_saw_that_are_gone_stays_known(version, photos, tmp_path):
    """`--keep 1` deletes the version that a model was refitted from."""
    others = write_photos(tmp_path / "others", 6, seed=11)
    extra = version.folder / "assets.extra"
    copy = tmp_path / "first" / "1" / "assets.extra"
    shutil.copytree(extra, copy)
    recipe = kt.Recipe(base=str(copy / "model.keras"), data=str(others), method="frozen", views=1)
    result = kt.fit(recipe.replace(output=str(tmp_path / "second")), progress=QUIET)
    shutil.rmtree(tmp_path / "first")
    model = kt.load(result.folder)
    report = model.evaluate(str(photos))
    assert report["images"] == version.metrics["data"]["test"]
    assert report["excluded_as_seen"] == version.metrics["data"]["train"] + version.metrics["data"]["validation"]
    (run,) = earlier.runs(kt.Recipe(base=str(result.folder / "assets.extra" / "model.keras")), None, QUIET)
    assert training_digests(extra) < run.seen
