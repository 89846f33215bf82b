"""Files that a loader meets in the wild: each is decoded or rejected as a reference decoder did, and never differs
between Pillow's picture and the graph's beyond what resizing explains.
"""

import csv
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_transfer.data.contents import Files
from keras_transfer.data.decoding import webp
from keras_transfer.data.decoding.decode import UNDECODABLE, Decoder, Thumbnail
from keras_transfer.data.decoding.formats import image_format
from keras_transfer.data.inspection import inspector

LIMIT = 100_000_000
# Kinds that are refused though the reference decodes them: run-length compression, and a frame beyond its canvas.
REFUSED = {"bmp-q-pal4rletrns.bmp", "issue_2811.gif"}
# Pictures on which Pillow and TensorFlow differ: levels below 1/256 of 16 bits, an orientation that only XMP tells, a
# palette beyond its colours, and a JPEG that Pillow turns by an orientation in a broken EXIF block.
OTHERWISE = {
    "i_trns.png", "xmp_tags_orientation.png", "xmp_tags_orientation_exiftool.png", "dispose_bgnd_transparency.gif",
    "hopper_bad_exif.jpg",
}  # fmt: skip


@pytest.fixture(scope="module")
def wild(shared_data):
    folder = shared_data / "wild-images"
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    paths = [str(folder / "files" / row["file"]) for row in rows]
    pictures = {}
    for number, path in enumerate(paths):
        try:
            pictures[number] = Decoder(64, "squash", LIMIT)(tf.io.read_file(path)).numpy()
        except UNDECODABLE:
            continue
    return rows, paths, pictures


def why(path, limit=LIMIT):
    return inspector.reason(Files().read(path), limit)


def test_every_file_is_decoded_or_rejected_as_by_the_reference(wild):
    rows, paths, pictures = wild
    wrong = []
    for number, (row, path) in enumerate(zip(rows, paths, strict=True)):
        with open(path, "rb") as stream:
            kind = image_format(stream.read(16))
        supported = kind is not None and (kind != "WebP" or webp.DECODABLE)
        expected = row["reference"] == "decode" and supported and row["file"] not in REFUSED
        decodes = Thumbnail(LIMIT)(Files().read(path)) is not None
        if (number in pictures) != expected or decodes != expected:
            wrong.append(row["file"])
        if number in pictures:
            alone = Decoder(64, "squash", LIMIT).pixels(Files().read(path))
            np.testing.assert_array_equal(alone, pictures[number], err_msg=row["file"])
        else:
            assert why(path).startswith(("is ", "has ", "cannot be ")), why(path)
    assert not wrong
    assert len(pictures) > 100


def test_pictures_look_as_the_reference_shows_them(wild):
    rows, paths, pictures = wild
    wrong = {}
    for number, pixels in pictures.items():
        if rows[number]["file"] not in OTHERWISE:
            expected = reference(paths[number])
            large = max(expected.shape[:2]) >= 128
            expected = tf.image.resize(expected.astype("float32"), (64, 64), antialias=large).numpy()
            difference = float(np.abs(pixels - expected).mean())
            if difference > 6:
                wrong[rows[number]["file"]] = difference
    assert not wrong


def reference(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype("float32") / 257
        return np.repeat(levels[..., None], 3, 2)
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image)
    return np.asarray(white.convert("RGB"))


def test_a_bomb_is_refused_by_its_header(wild):
    _, paths, _ = wild
    bomb = next(path for path in paths if path.endswith("bmp-b-reallybig.bmp"))
    assert "more than --max-pixels 100,000,000" in why(bomb)
    picture = next(path for path in paths if path.endswith("hopper_orientation_6.jpg"))
    assert Thumbnail(100)(Files().read(picture)) is None
    assert why(picture, 100) == "has 16,384 pixels, more than --max-pixels 100"
