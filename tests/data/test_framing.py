"""TFRecord files are read by a function that TensorFlow does not document; everything here is to hold without it."""

import pytest
import tensorflow as tf

from keras_transfer.data import framing

RECORDS = [b"first", b"", b"third" * 100]


@pytest.fixture
def shard(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        for record in RECORDS:
            writer.write(record)
    return tmp_path / "a.tfrecord"


def test_records_are_those_of_tensorflows_public_reader_and_are_found_again(shard):
    places = list(framing.records(shard))
    assert [record for _, record in places] == list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()) == RECORDS
    for offset, record in reversed(places):
        assert framing.record_at(shard, offset) == record


@pytest.mark.parametrize("place", [0, 8, 12, 17, 21, 29, 40, -1])
def test_one_bit_that_differs_is_noticed_wherever_it_is(shard, place):
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)
    with pytest.raises(framing.DamagedRecord, match=r"a\.tfrecord: the record at byte [\d,]+ is cut off or damaged"):
        list(framing.records(shard))


def test_the_private_reader_is_still_needed():
    """TensorFlow has no public reader that begins at any record. Where this fails, `framing` can use that instead."""
    assert not [name for name in dir(tf.io) if "random_reader" in name or "crc32" in name.lower()]
