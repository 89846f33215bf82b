import numpy as np
import tensorflow as tf

from keras_transfer.data import pipeline, sources
from keras_transfer.data.decoding.decode import Decoder

DECODER = Decoder(16, "crop", 10**8)


def test_no_pipeline_tunes_itself(photos):
    examples = sources.load(str(photos))
    order = pipeline.Shuffled(len(examples), 8, views=1, seed=0)
    rows = np.arange(len(examples), dtype="float32")
    spec = [tf.TensorSpec((None,), tf.float32)]
    for dataset in (
        pipeline.decoded(examples, [], DECODER, order),
        pipeline.stored(lambda view, indices: [rows[indices]], spec, [[]], order),
    ):
        assert dataset.options().autotune.enabled is False


def test_epochs_are_shuffled_by_the_seed_and_rotate_through_the_views():
    def first(count, seed):
        order = pipeline.Shuffled(10, 4, views=2, seed=seed)
        return [order.batch(number) for number in range(count)]

    batches = first(9, 0)
    assert [len(rows) for _, rows in batches] == [4, 4, 2] * 3
    assert [view for view, _ in batches] == [0] * 3 + [1] * 3 + [0] * 3
    epochs = [np.concatenate([rows for _, rows in batches[start : start + 3]]) for start in (0, 3, 6)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert (epochs[0] != epochs[1]).any()
    assert all((one[1] == other[1]).all() for one, other in zip(batches, first(9, 0), strict=True))
    assert any((one[1] != other[1]).any() for one, other in zip(batches, first(9, 1), strict=True))


def test_decoded_batches_come_in_order_with_their_labels(photos):
    examples = sources.load(str(photos))
    order = pipeline.Sequential(len(examples), 8)
    batches = list(pipeline.decoded(examples, [examples.targets()], DECODER, order))
    assert [len(labels) for _, labels in batches] == [8] * 5 + [2]
    pixels, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(labels.argmax(1), examples.labels)
    for path, picture in zip(examples.paths, pixels, strict=True):
        np.testing.assert_array_equal(picture, DECODER(tf.io.read_file(path)))
