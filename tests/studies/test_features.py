import csv
import shutil

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer import commands
from keras_transfer.data import sources
from keras_transfer.data.examples import SPLITS
from keras_transfer.studies.features import write
from tests.conftest import prepared, write_photos


@pytest.mark.essential
def test_feature_vectors_come_with_labels_and_paths(photos, tiny_base, version, tmp_path, capsys):
    file = tmp_path / "features.npz"
    commands.main(["features", "--base", tiny_base, "--data", str(photos), "--precision", "float32", "-o", str(file)])
    assert "42 images, 16 features" in capsys.readouterr().out
    stored = np.load(file)
    examples = sources.load(str(photos))
    assert stored["features"].shape == (42, 16)
    assert list(stored["paths"]) == list(examples.paths)
    assert list(stored["labels"]) == [examples.classes[label] for label in examples.labels]
    with (version.folder / "assets.extra" / "splits.csv").open() as stream:
        fitted = {row["path"]: row["split"] for row in csv.DictReader(stream)}
    assert {
        examples.short(path): split for path, split in zip(stored["paths"], stored["splits"], strict=True)
    } == fitted

    import keras
    import tensorflow as tf

    from keras_transfer.data.decoding.decode import Decoder

    base = keras.models.load_model(tiny_base, compile=False)
    pixels = tf.cast(Decoder(24, "crop", 10**8)(tf.io.read_file(examples.paths[5])), tf.float32)[None]
    expected = np.asarray(base(pixels)).mean((1, 2))[0]
    np.testing.assert_allclose(stored["features"][5], expected, rtol=1e-4, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["features.npz"]


def test_an_image_of_an_earlier_split_too_is_in_none(tiny_base, tmp_path, capsys):
    """As `fit` has it, which leaves it out: it would test nothing."""
    data = tmp_path / "data"
    write_photos(data / "train", 10)
    write_photos(data / "test", 3, seed=5)
    shutil.copy(data / "train" / "red" / "00.jpg", data / "test" / "red" / "again.jpg")
    features = kt.features(str(data), progress=kt.Progress(), base=tiny_base)
    assert "1 image is in no split, for it is in an earlier one too: " in capsys.readouterr().err
    examples = prepared(data).examples
    splits = {str(path): str(split) for path, split in zip(features["paths"], features["splits"], strict=True)}
    assert splits.pop(str(data / "test" / "red" / "again.jpg")) == ""
    assert splits == {path: SPLITS[split] for path, split in zip(examples.paths, examples.splits, strict=True)}


def test_features_are_not_written_over_the_data(tiny_base, tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros((6, 24, 24, 3), "uint8"), y_train=np.arange(6) % 2)
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(kt.UsageError, match=r"a\.npz is the data itself"):
        write(kt.Recipe(data=str(tmp_path / "a.npz"), base=tiny_base), tmp_path / "a.npz", kt.Progress(quiet=True))
    assert (tmp_path / "a.npz").read_bytes() == before


def test_images_too_few_to_be_split_have_features_too(photos, tiny_base, tmp_path, capsys):
    file = next((photos / "red").iterdir())
    (tmp_path / "one" / "red").mkdir(parents=True)
    (tmp_path / "one" / "red" / file.name).symlink_to(file)
    assert list(kt.features(str(tmp_path / "one"), progress=kt.Progress(), base=tiny_base)["splits"]) == [""]
    assert "No split is drawn: " in capsys.readouterr().err
    (tmp_path / "two" / "test" / "red").mkdir(parents=True)
    for file in sorted((photos / "red").iterdir())[:2]:
        (tmp_path / "two" / "test" / "red" / file.name).symlink_to(file)
    features = kt.features(str(tmp_path / "two"), progress=kt.Progress(quiet=True), base=tiny_base)
    assert features["features"].shape == (2, 16)
    assert list(features["labels"]) == ["red", "red"]
    assert list(features["splits"]) == ["test", "test"]
