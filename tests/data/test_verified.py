import os

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data import sources, verified
from keras_transfer.data.augment import View
from keras_transfer.data.contents import Files
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.inspection import inspector
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from tests.conftest import draw, write_photos

DECODER = Decoder(16, "crop", 10**8)


@pytest.fixture
def listed(tmp_path):
    """Nine photos, one of which ends in a NUL byte, and their digests."""
    folder = write_photos(tmp_path / "data", 3)
    with (folder / "red" / "01.png").open("ab") as stream:
        stream.write(b"\0")
    examples, _ = inspector.with_digests(sources.load(str(folder)), Progress(quiet=True))
    return list(examples.paths), list(examples.digests)


def pixels(paths, digests, view=None, batch_size=4):
    views = [view] * len(paths) if view else []
    return np.concatenate(list(verified.images(Files(), paths, digests, DECODER, batch_size, views)))


def test_pixels_come_in_the_order_of_their_paths(listed):
    paths, digests = listed
    batches = list(verified.images(Files(), paths, digests, DECODER, 4))
    assert [len(batch) for batch in batches] == [4, 4, 1]
    for path, picture in zip(paths, np.concatenate(batches), strict=True):
        np.testing.assert_array_equal(picture, DECODER(tf.io.read_file(path)))


def exchange(path):
    draw((9, 9, 9), 5).save(path)


def cut(path):
    with open(path, "r+b") as stream:
        stream.truncate(200)


def replace_by_folder(path):
    os.unlink(path)
    os.mkdir(path)


@pytest.mark.parametrize("change", [exchange, cut, replace_by_folder])
def test_an_image_that_changed_since_it_was_listed_is_named(listed, change):
    paths, digests = listed
    change(paths[5])
    batches = verified.images(Files(), paths, digests, DECODER, 4)
    assert len(next(batches)) == 4
    with pytest.raises(UserError, match=f"{paths[5]} was changed or deleted"):
        next(batches)


def test_a_view_of_an_image_is_the_same_alone_and_among_others(listed):
    paths, digests = listed
    view = View(1, 0, True)
    together = pixels(paths, digests, view, 9)
    np.testing.assert_array_equal(together[7:8], pixels(paths[7:8], digests[7:8], view))
    np.testing.assert_array_equal(together, pixels(paths[::-1], digests[::-1], view)[::-1])
    assert (together != pixels(paths, digests)).any((1, 2, 3)).all()
