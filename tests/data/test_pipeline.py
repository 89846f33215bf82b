import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import audit, pipeline, sources
from keras_transfer.errors import UserError
from keras_transfer.progress import Progress
from tests.conftest import write_photos


def test_images_come_in_the_order_of_their_paths(photos):
    paths = sources.load(str(photos)).paths
    batches = list(pipeline.images(paths, 16, "crop", 8).as_numpy_iterator())
    assert [len(batch) for batch in batches] == [8] * 5 + [2]
    for path, found in zip(paths, np.concatenate(batches), strict=True):
        np.testing.assert_array_equal(found, pipeline.decode(tf.io.read_file(path), 16, "crop"))


def test_the_file_at_which_decoding_fails_is_named(tmp_path):
    data = write_photos(tmp_path / "data", 3)
    broken = data / "green" / "00.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    paths = sources.load(str(data)).paths
    with pytest.raises(UserError, match=r"green/00\.jpg cannot be decoded"):
        list(pipeline.checked(pipeline.images(paths, 16, "crop", 4), paths))


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"hello", "is no image of a kind")])
def test_a_file_that_is_no_image_is_named_before_anything_else(tmp_path, content, words):
    data = write_photos(tmp_path / "data", 3)
    (data / "red" / "note.jpg").write_bytes(content)
    with pytest.raises(UserError, match=rf"note\.jpg {words}"):
        audit.digests(sources.load(str(data)), Progress(quiet=True))


def test_epochs_are_shuffled_by_the_seed_and_rotate_through_the_views():
    def first(count, seed):
        batches = iter(pipeline.Shuffled(10, 4, views=2, seed=seed))
        return [next(batches) for _ in range(count)]

    batches = first(9, 0)
    assert [len(rows) for _, rows in batches] == [4, 4, 2] * 3
    assert [view for view, _ in batches] == [0] * 3 + [1] * 3 + [0] * 3
    epochs = [np.concatenate([rows for _, rows in batches[start : start + 3]]) for start in (0, 3, 6)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(10))
    assert (epochs[0] != epochs[1]).any()
    assert all((one[1] == other[1]).all() for one, other in zip(batches, first(9, 0), strict=True))
    assert any((one[1] != other[1]).any() for one, other in zip(batches, first(9, 1), strict=True))


def test_decoded_batches_carry_their_labels(photos):
    examples = sources.load(str(photos))
    order = pipeline.in_order(len(examples), 5)
    rows = 0
    for pixels, labels in pipeline.decoded(examples.paths, examples.one_hot(), 16, "crop", order):
        np.testing.assert_array_equal(labels.numpy().argmax(1), examples.labels[rows : rows + len(labels)])
        np.testing.assert_array_equal(pixels[0], pipeline.decode(tf.io.read_file(examples.paths[rows]), 16, "crop"))
        rows += len(labels)
    assert rows == len(examples)
