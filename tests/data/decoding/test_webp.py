import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_transfer.data.decoding import webp
from keras_transfer.data.decoding.decode import Decoder, announced_size
from keras_transfer.data.decoding.exif import orientation
from keras_transfer.data.inspection import inspector

needs_webp = pytest.mark.skipif(not webp.DECODABLE, reason="this TensorFlow does not decode WebP")
SIDE = 48


def written(image, **options):
    stream = io.BytesIO()
    image.save(stream, "WEBP", **options)
    return stream.getvalue()


def blocks():
    """A picture of coloured squares, which no turn or mirroring leaves as it is."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype("uint8")
    return Image.fromarray(colours.repeat(8, 0).repeat(8, 1))


def see_through():
    image = blocks().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.arange(0, 240, 5, "uint8"), (SIDE, 1))))
    return image


def part_of_canvas():
    """A frame that covers a part of its canvas only, as Pillow writes it."""
    canvas = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    canvas.paste(blocks().resize((20, 30)), (21, 11))
    return canvas


def turned(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def animated(first, **options):
    return written(first, save_all=True, append_images=[Image.new("RGB", first.size, "red")], **options)


def decoded(content):
    return Decoder(SIDE, "squash", 10**6)(tf.constant(content)).numpy()


FILES = {
    "lossy": written(blocks()),
    "lossless": written(blocks(), lossless=True),
    "transparent, lossy": written(see_through()),
    "transparent, lossless": written(see_through(), lossless=True),
    "animation, lossy": animated(blocks()),
    "animation, lossless": animated(blocks(), lossless=True),
    "animation, transparent, lossy": animated(see_through()),
    "animation, transparent, lossless": animated(see_through(), lossless=True),
    "animation, a part": animated(part_of_canvas(), lossless=True),
    **{f"turned {value}": written(blocks(), exif=turned(value)) for value in range(2, 9)},
    "animation, turned": animated(blocks(), exif=turned(6)),
}


@needs_webp
@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_decoded_as_pillow_shows_it(name):
    content = FILES[name]
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGBA")
    expected = Image.new("RGBA", upright.size, "white")
    expected.alpha_composite(upright)
    assert announced_size(content) == (SIDE, SIDE)
    assert np.abs(decoded(content).astype(int) - np.asarray(expected.convert("RGB"))).max() <= 1


@needs_webp
@pytest.mark.parametrize("name", ["lossy", "lossless", "transparent, lossy", "animation, lossy", "animation, a part"])
def test_a_file_that_is_cut_off_or_changed_is_refused_or_decoded(name):
    """What a file announces of itself may not lead TensorFlow to write where it should not."""
    content = FILES[name]
    for end in {*range(0, 64), len(content) // 2}:
        with pytest.raises(tf.errors.InvalidArgumentError):
            decoded(content[:end])
    for position in range(12, min(90, len(content))):
        changed = bytearray(content)
        changed[position] ^= 0xFF
        try:
            assert decoded(bytes(changed)).shape == (SIDE, SIDE, 3)
        except tf.errors.InvalidArgumentError:
            continue


@pytest.mark.parametrize("name", ["lossy", "lossless", "transparent, lossy", "animation, lossy"])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="more pixels than allowed"):
        Decoder(8, "squash", 2000)(tf.constant(FILES[name]))
    if webp.DECODABLE:
        assert inspector.reason(FILES[name], 2000) == "has 2,304 pixels, more than --max-pixels 2,000"


@needs_webp
def test_a_frame_that_is_larger_than_it_says_is_refused():
    content = bytearray(FILES["animation, lossless"])
    frame = content.index(b"ANMF") + 8
    content[frame + 6 : frame + 12] = struct.pack("<HBHB", 3, 0, 3, 0)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(bytes(content))


def test_an_orientation_is_read_behind_the_mark_of_a_jpeg_too():
    block = turned(6).tobytes().removeprefix(b"Exif\0\0")
    for payload in (block, b"Exif\0\0" + block):
        chunk = b"EXIF" + struct.pack("<I", len(payload)) + payload
        head = b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + struct.pack("<HBHB", 47, 0, 47, 0)
        body = b"WEBP" + head + b"odd \x03\0\0\0abc\0" + chunk
        assert int(orientation(tf.constant(b"RIFF" + struct.pack("<I", len(body)) + body))) == 6


def test_where_tensorflow_does_not_decode_webp_the_reason_names_what_to_do(monkeypatch):
    monkeypatch.setattr(webp, "DECODABLE", False)
    why = inspector.reason(FILES["lossy"], 10**6)
    assert why.startswith(f"is a WebP image, which TensorFlow {tf.__version__} cannot decode")
    assert "`check DATA --convert FOLDER`" in why


@needs_webp
def test_many_damaged_files_leave_a_pipeline_to_the_others():
    """Where one branch of the graph began after another had failed, TensorFlow told of a cancellation, once in 300
    files, and at that a pipeline ends.
    """
    contents = [FILES["animation, a part"][:44]] * 20 + [FILES["lossy"]]
    decoder = Decoder(SIDE, "squash", 10**6)
    pictures = tf.data.Dataset.from_tensor_slices(contents).repeat(100).map(decoder, num_parallel_calls=2)
    assert len(list(pictures.ignore_errors())) == 100
