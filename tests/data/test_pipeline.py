import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import pipeline, sources
from keras_transfer.data.contents import Arrays
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.examples import Examples

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


class Rows(np.ndarray):
    """An array that can be referred to weakly."""


@pytest.mark.parametrize("kind", ["stored", "decoded"])
def test_what_a_pipeline_read_is_freed_with_it_and_no_earlier(kind):
    def pipeline_of(rows):
        if kind == "stored":
            spec = [tf.TensorSpec((None, 16, 16, 3), tf.uint8)]
            return pipeline.stored(lambda view, indices: [rows[indices]], spec, [[]], pipeline.Sequential(4, 2))
        names = [f"x[{index}]" for index in range(4)]
        ones, contents = np.zeros(4, "int32"), Arrays({"x": rows})
        examples = Examples("x.npz", Path("x.npz"), names, ones, ones, ("a",), contents=contents)
        return pipeline.decoded(examples, [], DECODER, pipeline.Sequential(4, 2))

    rows = np.zeros((4, 16, 16, 3), "uint8").view(Rows)
    alive = weakref.ref(rows)
    dataset = pipeline_of(rows).map(lambda *batch: batch[0]).prefetch(1)
    del rows
    gc.collect()
    assert [len(batch) for batch in dataset] == [2, 2]
    iterator = iter(dataset)
    del dataset
    gc.collect()
    assert len(next(iterator)) == 2
    del iterator
    gc.collect()
    assert alive() is None
