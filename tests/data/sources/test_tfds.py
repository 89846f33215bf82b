import subprocess
import sys

import pytest

from keras_transfer.data import sources
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def tfds():
    module = pytest.importorskip("tensorflow_datasets")
    if not hasattr(module, "builder"):
        pytest.skip("tensorflow-datasets does not work with the protobuf installed here")
    return module


@pytest.fixture(scope="module")
def prepared(tfds, photos, tmp_path_factory):
    """A data set as tensorflow-datasets leaves it on disk, in both of its formats."""
    folder = tmp_path_factory.mktemp("tfds")
    features = tfds.features.FeaturesDict(
        {
            "picture": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["blue", "green", "red"]),
        }
    )
    files = [file for file in sorted(photos.glob("*/*")) if file.suffix != ".bmp"]
    halves = {"train": slice(0, None, 2), "test": slice(1, None, 2)}
    for name, kind, splits in (
        ("colours", "tfrecord", halves),
        ("colours_array", "array_record", halves),
        ("colours_test", "tfrecord", {"test": slice(4), "extra": slice(4, 6)}),
        ("colours_all", "tfrecord", {"everything": slice(4)}),
    ):
        if kind == "array_record":
            pytest.importorskip("array_record")

        with tfds.core.registered.skip_registration():

            class Builder(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("1.0.0")
                pkg_dir_path = folder

                def _info(self):
                    return tfds.core.DatasetInfo(builder=self, features=features)

                def _split_generators(self, manager, splits=splits):
                    return {split: self._generate_examples(files[part]) for split, part in splits.items()}

                def _generate_examples(self, files):
                    for file in files:
                        yield str(file), {"picture": str(file), "label": file.parent.name}

        Builder.name = name
        builder = Builder(data_dir=folder, file_format=kind)
        builder.download_and_prepare()
    return folder, files


@pytest.mark.parametrize("name", ["colours:1.0.0", "colours", "colours_array"])
def test_prepared_data_of_tensorflow_datasets(prepared, name):
    folder, files = prepared
    source = f"tfds:{name}"
    examples = sources.load(source, Recipe(data=source, tfds_dir=str(folder)))
    assert examples.classes == ("blue", "green", "red")
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [
        len(files[::2]), 0, len(files[1::2]),
    ]  # fmt: skip
    read, names = examples.contents.read, examples.classes
    images = sorted((read(path), names[label]) for path, label in zip(examples.paths, examples.labels, strict=True))
    assert images == sorted((file.read_bytes(), file.parent.name) for file in files)


def test_what_is_not_trained_on_needs_no_training_split(prepared):
    folder, _ = prepared

    def loaded(name, purpose):
        return sources.load(f"tfds:{name}", Recipe(data=f"tfds:{name}", tfds_dir=str(folder)), purpose)

    for purpose in (Purpose.MEASURE, Purpose.INSPECT):
        examples = loaded("colours_test", purpose)
        assert len(examples) == len(examples.indices("test")) == 4
        assert examples.understood.endswith("Not used: the split extra.")
        assert loaded("colours_all", purpose).splits.tolist() == [-1] * 4
    with pytest.raises(UserError, match="has no split 'train', only everything"):
        loaded("colours_all", Purpose.TRAIN)


def test_an_unknown_data_set_is_a_usage_error(tfds, tmp_path):
    with pytest.raises(UsageError, match=r"has no 'tf_flower'.*Did you mean 'tf_flowers'"):
        sources.load("tfds:tf_flower", Recipe(data="tfds:tf_flower", tfds_dir=str(tmp_path)))


def test_packages_that_do_not_fit_each_other_are_told_in_one_line(tmp_path):
    """The package logs a traceback of its own where it fails, as with the protobuf of Colab."""
    package = tmp_path / "tensorflow_datasets"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from absl import logging\ntry:\n    1 / 0\nexcept Exception as error:\n    logging.exception(error)\n"
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from keras_transfer.commands import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", "tfds:tf_flowers", "--quiet"],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "tensorflow-metadata<1.18" in done.stderr
