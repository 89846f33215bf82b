import shutil

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.versions.training_images import TrainingImages


def test_few_images_are_of_all_classes(version):
    """They are listed class by class: the first ones would be of the first class."""
    images = TrainingImages(version.folder, version.recipe, 24)
    all_of_them = [name for name, _, _ in images.files("train")]
    for count in (3, 5, len(all_of_them) // 2 + 2):
        labels = [label for _, label, _ in images.files("train", count)]
        assert len(labels) == count
        assert set(np.unique(labels)) == {"red", "green", "blue"}
    assert len(list(images.files("train", 10_000))) == len(all_of_them)


def test_images_that_are_in_folders_now_may_have_been_in_a_table(version, photos):
    recipe = version.recipe.replace(data="table.csv", columns="label=colour", allow_outside=True, group_by="series")
    assert not TrainingImages(version.folder, recipe, 24, photos).missing


def test_an_option_that_does_nothing_is_refused_as_what_it_is(classifier):
    with pytest.raises(kt.UsageError) as told:
        classifier.evaluate(columns="label=colour")
    assert told.value.args[0].startswith("--columns needs a CSV file; ")


def test_a_version_that_was_copied_without_its_records_says_so(version, tmp_path):
    bare = tmp_path / "model" / "1"
    shutil.copytree(version.folder, bare, ignore=shutil.ignore_patterns("splits.csv"))
    saved = kt.load(bare.parent)
    for use in (saved.training_images, saved.evaluate):
        with pytest.raises(kt.UserError, match=r"1 lacks assets\.extra/splits\.csv, which says what it was trained on"):
            use()
