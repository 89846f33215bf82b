import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.decoding.decode import Decoder, announced_size
from keras_transfer.data.inspection import inspector
from tests.data.decoding.files import gif, gif_frame

WHITE, RED, BLUE = (255, 255, 255), (200, 30, 30), (30, 40, 200)


def decoded(content, size=48):
    return Decoder(size, "squash", 10**6)(tf.constant(content)).numpy()


@pytest.mark.parametrize("place", [(24, 0, 24, 48), (0, 24, 48, 24), (24, 24, 24, 24), (0, 0, 24, 48), (7, 5, 11, 3)])
@pytest.mark.parametrize("block", [255, 1])
def test_a_frame_stands_at_its_place_on_a_white_canvas(place, block):
    left, top, width, height = place
    expected = np.full((48, 48, 3), WHITE)
    expected[top : top + height, left : left + width] = RED
    frame = gif_frame(*place, 1, block=block)
    np.testing.assert_array_equal(decoded(gif((48, 48), frame, background=3)), expected)
    with_transparency = gif((48, 48), gif_frame(*place, 1, transparent=2), gif_frame(0, 0, 48, 48, 3))
    np.testing.assert_array_equal(decoded(with_transparency), expected)


def test_what_is_transparent_is_white():
    assert (decoded(gif((48, 48), gif_frame(0, 0, 48, 48, 3, transparent=3))) == 255).all()


def test_a_frame_beyond_its_canvas_makes_it_larger_and_counts_against_the_limit():
    content = gif((5, 5), gif_frame(0, 0, 60, 40, 1))
    assert announced_size(content) == (40, 60)
    assert (decoded(content) == RED).all()
    with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than allowed"):
        Decoder(48, "squash", 1000)(tf.constant(content))
    assert inspector.reason(content, 1000) == "has 2,400 pixels, more than --max-pixels 1,000"


def test_only_the_first_frame_is_decoded():
    """A later one of any size takes no memory: it may be as large as 65,535 x 65,535."""
    content = gif((48, 48), gif_frame(0, 0, 48, 48, 1), b"\x2c" + b"\0" * 4 + b"\xff" * 4 + b"\0\x02\x01\0\0")
    assert (decoded(content) == RED).all()


def test_a_long_chain_of_blocks_is_followed_to_its_end():
    comment = b"\x21\xfe" + b"\x01c" * 50_000 + b"\xffc" + b"c" * 254 + b"\0"
    assert (decoded(gif((48, 48), comment + gif_frame(0, 0, 48, 48, 1))) == RED).all()


def test_a_file_that_is_cut_off_is_refused():
    content = gif((48, 48), gif_frame(0, 0, 48, 48, 1))
    for end in (5, 12, 20, 40, len(content) // 2, len(content) - 2):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decoded(content[:end])
