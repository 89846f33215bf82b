import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import sources
from keras_transfer.errors import UsageError, UserError
from keras_transfer.recipe import Recipe


def example(content, **features):
    def feature(value):
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    named = {"image/encoded": feature(content), **{name.replace("__", "/"): feature(v) for name, v in features.items()}}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def write_shards(folder, photos, name, **options):
    files = sorted(photos.glob("*/*"))
    folder.mkdir(exist_ok=True)
    for shard in range(2):
        with tf.io.TFRecordWriter(str(folder / name.format(shard))) as writer:
            for file in files[shard::2]:
                writer.write(example(file.read_bytes(), **options["labels"](file)))
    return files


def test_records_are_read_as_the_files_were(photos, tmp_path):
    files = write_shards(
        tmp_path, photos, "photos-{:05d}-of-00002.tfrecord",
        labels=lambda file: {"image__class__text": file.parent.name.encode()},
    )  # fmt: skip
    for source in (str(tmp_path), str(tmp_path / "*.tfrecord")):
        examples = sources.load(source)
        assert examples.classes == ("blue", "green", "red")
        contents = [examples.contents.read(name) for name in examples.paths]
        assert contents == [file.read_bytes() for file in files[::2] + files[1::2]]
        names = [examples.classes[label] for label in examples.labels]
        assert names == [file.parent.name for file in files[::2] + files[1::2]]
        assert (examples.splits == -1).all()


def test_numbered_labels_take_their_names_and_shards_their_splits(photos, tmp_path):
    order = ["red", "green", "blue"]
    for name in ("train-{}.tfrecord", "test-{}.tfrecord"):
        labels = lambda file: {"image__class__label": order.index(file.parent.name)}  # noqa: E731
        write_shards(tmp_path, photos, name, labels=labels)
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    examples = sources.load(str(tmp_path))
    assert examples.classes == tuple(order)
    assert [len(examples.rows(split)) for split in ("train", "validation", "test")] == [42, 0, 42]
    assert np.bincount(examples.labels).tolist() == [28, 28, 28]


def test_a_cut_off_shard_and_a_record_without_label_are_named(photos, tmp_path):
    write_shards(tmp_path, photos, "a{}.tfrecord", labels=lambda file: {"other": 1})
    with pytest.raises(UserError, match=r"a record has no label\. It has image/encoded, other"):
        sources.load(str(tmp_path))
    write_shards(tmp_path, photos, "b{}.tfrecord", labels=lambda file: {"label": 1})
    shard = tmp_path / "b0.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(UserError, match="is cut off"):
        sources.load(str(shard))


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
