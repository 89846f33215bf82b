import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import sources
from keras_transfer.errors import UserError


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
