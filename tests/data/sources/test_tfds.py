import subprocess
import sys

import pytest

from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def tfds():
    found = pytest.importorskip("tensorflow_datasets")
    if not hasattr(found, "builder"):
        pytest.skip("tensorflow-datasets does not work with the protobuf installed here")
    return found


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
    for name, kind in (("colours", "tfrecord"), ("colours_array", "array_record")):
        if kind == "array_record":
            pytest.importorskip("array_record")

        with tfds.core.registered.skip_registration():

            class Builder(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version("1.0.0")
                pkg_dir_path = folder

                def _info(self):
                    return tfds.core.DatasetInfo(builder=self, features=features)

                def _split_generators(self, manager):
                    return {"train": self._generate_examples(files[::2]), "test": self._generate_examples(files[1::2])}

                def _generate_examples(self, files):
                    for file in files:
                        yield str(file), {"picture": str(file), "label": file.parent.name}

        Builder.name = name
        builder = Builder(data_dir=folder, file_format=kind)
        builder.download_and_prepare()
    return folder, files


@pytest.mark.parametrize("name", ["colours", "colours_array"])
def test_prepared_data_of_tensorflow_datasets(prepared, name):
    folder, files = prepared
    source = f"tfds:{name}"
    examples = sources.load(source, Recipe(data=source, tfds_dir=str(folder)))
    assert examples.classes == ("blue", "green", "red")
    assert [len(examples.rows(split)) for split in ("train", "validation", "test")] == [
        len(files[::2]), 0, len(files[1::2]),
    ]  # fmt: skip
    read, names = examples.contents.read, examples.classes
    found = sorted((read(path), names[label]) for path, label in zip(examples.paths, examples.labels, strict=True))
    assert found == sorted((file.read_bytes(), file.parent.name) for file in files)


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
