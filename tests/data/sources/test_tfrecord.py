import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import sources
from keras_transfer.support.errors import UserError


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
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [42, 0, 42]
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


def feature(*values):
    if isinstance(values[0], str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def write_labelled(file, *labels, key="image/class/label"):
    """One record for each label: the values of a feature, or features by name."""
    with tf.io.TFRecordWriter(str(file)) as writer:
        for label in labels:
            named = label if isinstance(label, dict) else {key: feature(*label)}
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"pixels"]))
            features = tf.train.Features(feature={"image/encoded": image, **named})
            writer.write(tf.train.Example(features=features).SerializeToString(deterministic=True))
    return str(file)


@pytest.mark.parametrize(
    "labels",
    [
        [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 0)],
        [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)],
        [(0.0,), (1,), (2.0,), (1,)],
        [{"image/class/text": feature(""), "image/class/label": feature(k)} for k in (0, 1, 2, 1)],
    ],
    ids=["one-hot", "one-hot, real", "real and whole numbers", "empty text"],
)
def test_labels_mean_the_same_however_they_are_written(tmp_path, labels):
    examples = sources.load(write_labelled(tmp_path / "a.tfrecord", *labels))
    assert examples.classes == ("0", "1", "2")
    assert examples.labels.tolist() == [0, 1, 2, 1]


def test_several_labels_of_a_record_are_several(tmp_path):
    ids = sources.load(write_labelled(tmp_path / "a.tfrecord", (0,), (1, 2), (2, -1, -1)))
    assert (ids.task, ids.classes) == ("multi-label", ("0", "1", "2"))
    assert ids.labels.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    texts = sources.load(write_labelled(tmp_path / "b.tfrecord", ("red",), ("red", "rare"), key="image/class/text"))
    assert (texts.classes, texts.labels.tolist()) == (("rare", "red"), [[0, 1], [1, 1]])
    flags = sources.load(write_labelled(tmp_path / "c.tfrecord", (0, 0, 1), (1, 0, 1)))
    assert (flags.task, flags.labels.tolist()) == ("multi-label", [[0, 0, 1], [1, 0, 1]])


def test_labels_that_are_not_understood_are_named(tmp_path):
    with pytest.raises(UserError, match=r"a.tfrecord@\d+: image/class/label: the label 0.5 is no whole number"):
        sources.load(write_labelled(tmp_path / "a.tfrecord", (1.0,), (0.5,)))
    mixed = [(0,), (1,), {"image/class/text": feature("red")}]
    with pytest.raises(UserError, match=r"b.tfrecord@\d+: the label is a text; others .* are numbers"):
        sources.load(write_labelled(tmp_path / "b.tfrecord", *mixed))
    unlabelled = sources.load(write_labelled(tmp_path / "c.tfrecord", (0,), (1,), (-1,)))
    assert len(unlabelled) == 2
    assert "1 record has no label and is left out" in unlabelled.understood


def test_every_record_is_in_a_split_or_its_shard_is_refused(tmp_path):
    def load(*names):
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        for name in names:
            write_labelled(folder / f"{name}.tfrecord", (0,), (1,))
        return sources.load(str(folder))

    expected = {
        ("a-train", "a-eval", "a-holdout"): [2, 2, 2],
        ("trainval", "val", "test"): [2, 2, 2],
        ("a", "b"): [0, 0, 0],
        ("a-train", "b-train"): [4, 0, 0],
        ("trainset", "TestData"): [2, 0, 2],
        ("flowersTrain", "flowersTest2017"): [2, 0, 2],
    }
    for names, counts in expected.items():
        examples = load(*names)
        assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == counts
    with pytest.raises(UserError, match=r"a-more.tfrecord: its name names no split, as others do"):
        load("a-train", "a-test", "a-more")
    with pytest.raises(UserError, match=r"a-train-test.tfrecord: its name has words of test and train"):
        load("a-train-test", "a-test")
    with pytest.raises(UserError, match="no shard is to train on"):
        load("a-val", "a-test")
    assert (load("only-test").splits == -1).all()  # As it is given to `evaluate`.


def test_shards_in_folders_below_take_part(tmp_path):
    for name in ("train", "test/b", "extra/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_labelled(tmp_path / f"{name}.tfrecord", (0,), (1,))
    with pytest.raises(UserError, match=r"extra/c\.tfrecord: its name names no split, as others do"):
        sources.load(str(tmp_path))
    (tmp_path / "extra" / "c.tfrecord").rename(tmp_path / "extra" / "c.jpg")
    examples = sources.load(str(tmp_path))
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [2, 0, 2]
    assert "Not read, for TFRecord files lie beside: extra/." in examples.understood
    (tmp_path / "train").mkdir()
    (tmp_path / "train.tfrecord").rename(tmp_path / "train" / "a.tfrecord")
    (tmp_path / "extra" / "c.jpg").unlink()
    with pytest.raises(UserError, match=r"TFRecord files meant\? .* --data '.*/\*\*/\*\.tfrec\*'\."):
        sources.load(str(tmp_path))
    by_pattern = sources.load(f"{tmp_path}/**/*.tfrec*")
    assert [len(by_pattern.indices(split)) for split in ("train", "validation", "test")] == [2, 0, 2]


def test_a_shard_without_records_is_named(tmp_path):
    write_labelled(tmp_path / "a-train.tfrecord", (0,), (1,))
    (tmp_path / "a-test.tfrecord").touch()
    assert "Without a record: a-test.tfrecord." in sources.load(str(tmp_path)).understood


def test_a_text_that_is_not_utf8_is_refused(tmp_path):
    text = tf.train.Feature(bytes_list=tf.train.BytesList(value=["ros\u00e9".encode("cp1252")]))
    source = write_labelled(tmp_path / "a.tfrecord", {"image/class/text": text}, {"image/class/text": feature("tulip")})
    with pytest.raises(UserError, match=r"a\.tfrecord@0: image/class/text: the text b'ros\\xe9' is not UTF-8"):
        sources.load(source)


def test_one_wrong_bit_is_noticed_when_listing_and_when_reading_again(tmp_path):
    file = tmp_path / "a.tfrecord"
    examples = sources.load(write_labelled(file, (0,), (1,), (0,)))
    whole = file.read_bytes()
    second = int(examples.paths[1].rpartition("@")[2])
    for at in (second, second + 9, second + 20, len(whole) // 3 * 2 - 2):  # Length, its checksum, data, its checksum.
        damaged = bytearray(whole)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"a.tfrecord: the record at byte {second} is cut off or damaged"):
            sources.load(str(file))
        with pytest.raises(OSError, match="damaged"):
            examples.contents.read(examples.paths[1])
        assert examples.contents.read(examples.paths[2]) == b"pixels"


def test_files_that_stand_beside_shards_are_none(tmp_path):
    write_labelled(tmp_path / "a.tfrecord", (0,), (1,))
    for name in ("a.tfrecord.index", "a.tfrecord.json", "._a.tfrecord"):
        (tmp_path / name).write_text("0 1")
    (tmp_path / "old.tfrecords").mkdir()
    assert len(sources.load(str(tmp_path))) == 2


def test_classes_and_splits_of_shards_are_said(tmp_path):
    write_labelled(tmp_path / "a-train.tfrecord", (0,), (1,))
    write_labelled(tmp_path / "a-eval.tfrecord", (0,), (1,))
    said = sources.load(str(tmp_path)).understood
    assert said == "2 classes: 0, 1. By their names: a-eval.tfrecord (validation), a-train.tfrecord (train)."


def test_shards_with_other_names_of_features_are_refused(tmp_path):
    write_labelled(tmp_path / "a.tfrecord", (0,), (1,))
    with tf.io.TFRecordWriter(str(tmp_path / "b.tfrecord")) as writer:
        named = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"])), "label": feature(1)}
        writer.write(tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString())
    with pytest.raises(UserError, match=r"b\.tfrecord: a record has no image\. It has image, label"):
        sources.load(str(tmp_path))


@pytest.mark.parametrize("text", ["\ufeffrose\r\ntulip\r\n", "0:rose\n1:tulip\n"])
def test_names_of_classes_beside_shards(tmp_path, text):
    write_labelled(tmp_path / "a.tfrecord", (0,), (1,))
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert sources.load(str(tmp_path)).classes == ("rose", "tulip")
    (tmp_path / "labels.txt").write_bytes("rosé\ntulip".encode("cp1252"))
    with pytest.raises(UserError, match=r"labels\.txt cannot be read as UTF-8 text"):
        sources.load(str(tmp_path))
