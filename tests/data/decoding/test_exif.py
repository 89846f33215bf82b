import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.decoding.exif import orientation
from tests.data.decoding.files import exif, segment


def plain():
    """Stored: the left half white. Turned by orientation 6: the upper half white."""
    image = Image.new("RGB", (32, 32), "black")
    image.paste("white", (0, 0, 16, 32))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    return stream.getvalue()


START, JFIF, REST = plain()[:2], plain()[2:20], plain()[20:]
LARGE = segment(0xED, b"Photoshop 3.0\0" + bytes(60_000))
# A directory behind byte 200 of its block, so that the block begins before byte 65,536 and ends behind it.
FAR = segment(0xE1, b"Exif\0\0II*\0" + struct.pack("<I", 200) + bytes(192) + struct.pack("<HHHII", 1, 0x112, 3, 1, 6))
TURNED = {
    "first": START + exif() + REST,
    "behind 64 kB": START + JFIF + LARGE + LARGE + exif() + REST,
    "behind 180 kB": START + LARGE * 3 + exif(">") + REST,
    "across byte 65,536": START + segment(0xED, bytes(65_533 - 60)) + FAR + REST,
    "long, little-endian": START + exif("<", 4) + REST,
    "long, big-endian": START + exif(">", 4) + REST,
    "after a comment": START + segment(0xFE, b"made by a scanner") + exif() + REST,
    "after a comment with the mark": START + JFIF + segment(0xFE, b"Exif\0\0\0\0") + exif(">") + REST,
    "fill bytes": START + b"\xff\xff" + exif() + REST,
    "behind 600 entries": START + exif(before=[(0x0100, 3, 1, 96)] * 600) + REST,
}
AS_STORED = {
    "none": plain(),
    "a byte": START + exif(">", 1) + REST,
    "an empty block first": START + segment(0xE1, b"Exif\0\0II*\0\x08" + bytes(9)) + exif() + REST,
    "in the picture": START + JFIF + REST[:-2] + b"\xff\xfe\0\x04ab" + exif()[4:] + b"\xff\xd9",
    "nine": START + exif(value=9) + REST,
    "an offset beyond the block": START + segment(0xE1, b"Exif\0\0II*\0\x08\0\x01\0" + exif()[18:]) + REST,
}


@pytest.mark.parametrize("name", [*TURNED, *AS_STORED])
def test_a_picture_stands_as_pillow_shows_it(name):
    content = TURNED.get(name) or AS_STORED[name]
    assert int(orientation(tf.constant(content))) == (6 if name in TURNED else 1)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    np.testing.assert_array_equal(Decoder(32, "squash", 10**8)(tf.constant(content)), expected)


@pytest.mark.parametrize("end", [2, 4, 8, 12, 20, 24, 30])
def test_a_block_that_is_cut_off_tells_nothing(end):
    assert int(orientation(tf.constant((START + exif())[:end]))) == 1
