import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.decoding.exif import orientation
from keras_transfer.recipe.recipe import Recipe
from tests.data.decoding.files import png

MOST = 10**8


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def quarters(width=64, height=64):
    """Four colours, one a quarter, so that any turn or mirroring shows."""
    pixels = np.zeros((height, width, 3), "uint8")
    pixels[: height // 2, : width // 2] = (250, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 250, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 250)
    pixels[height // 2 :, width // 2 :] = (250, 250, 0)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_formats(kind):
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    pixels = Decoder(64, "crop", MOST)(tf.constant(encoded(quarters(), kind, **options)))
    assert (pixels.dtype, pixels.shape) == (tf.uint8, (64, 64, 3))
    assert np.abs(pixels.numpy().astype(int) - np.asarray(quarters())).max() <= 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_what_decodes_one_format_decodes_it_as_the_served_graph_and_no_other(kind):
    turned = Image.Exif()
    turned[0x0112] = 6
    content = encoded(quarters(96, 64), kind, **({"exif": turned} if kind == "JPEG" else {}))
    decoder = Decoder(48, "crop", MOST)
    np.testing.assert_array_equal(decoder.pixels(content), decoder(tf.constant(content)).numpy())
    other = encoded(quarters(), "PNG" if kind != "PNG" else "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError, match="another format"):
        replace(decoder, format=kind)(tf.constant(other))


@pytest.mark.parametrize("value", range(1, 9))
def test_the_exif_orientation_is_applied(value):
    exif = Image.Exif()
    exif[0x0112] = value
    content = encoded(quarters(96, 64), "JPEG", exif=exif, quality=95, subsampling=0)
    assert int(orientation(tf.constant(content))) == value
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    expected = np.asarray(upright.resize((32, 32), Image.BILINEAR)).astype(int)
    pixels = Decoder(32, "squash", MOST)(tf.constant(content)).numpy().astype(int)
    assert np.abs(pixels - expected).mean() < 8


@pytest.mark.parametrize(
    "broken", [b"", b"junk", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00MM\x00*\xff\xff\xff"]
)
def test_the_orientation_of_what_has_none_is_upright(broken):
    assert int(orientation(tf.constant(broken))) == 1


def test_crop_squash_and_pad():
    content = tf.constant(encoded(quarters(128, 64), "PNG"))
    crop, squash, pad = (Decoder(64, rule, MOST)(content).numpy() for rule in ("crop", "squash", "pad"))
    np.testing.assert_array_equal(crop[10, 10], (250, 0, 0))
    np.testing.assert_array_equal(crop, np.asarray(quarters(128, 64))[:, 32:96])
    np.testing.assert_array_equal(squash[5, 5], (250, 0, 0))
    np.testing.assert_array_equal(pad[4, 32], (0, 0, 0))
    np.testing.assert_array_equal(pad[20, 5], (250, 0, 0))


@pytest.mark.parametrize(("width", "height"), [(30_000, 1), (1, 30_000), (1_000_000, 1)])
def test_a_strip_is_shrunk_before_it_is_padded(width, height):
    """Padded as it is, it would take gigabytes."""
    pixels = Decoder(48, "pad", MOST)(tf.constant(png(width, height))).numpy()
    line = pixels[23] if width > height else pixels[:, 23]
    assert (line == 255).all()
    assert pixels.sum() == line.sum()


def test_padding_keeps_the_middle_of_a_picture():
    content = encoded(quarters(96, 64), "PNG")
    pixels = Decoder(48, "pad", MOST)(tf.constant(content)).numpy()
    expected = np.asarray(quarters(96, 64).resize((48, 32), Image.BOX))
    assert np.abs(pixels[8:40].astype(int) - expected).mean() < 3
    assert not pixels[:8].any()
    assert not pixels[40:].any()


def test_a_large_picture_shrinks_without_aliasing():
    """A fine checkerboard is grey from afar; point samples of it would be black or white."""
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype("uint8")
    for kind in ("PNG", "JPEG"):
        pixels = Decoder(64, "crop", MOST)(tf.constant(encoded(Image.fromarray(board), kind))).numpy()
        assert pixels.std() < 20
        assert abs(float(pixels.mean()) - 127) < 10


@pytest.mark.parametrize("rule", ["crop", "squash", "pad"])
def test_cubic_interpolation_enlarges_and_shrinks_nothing(rule):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), "uint8"))
    content = tf.constant(encoded(noise, "PNG"))
    pixels = Decoder(64, rule, MOST, enlarge="bicubic")(content).numpy().astype(int)
    expected = np.asarray(noise.resize((64, 64), Image.BICUBIC)).astype(int)
    assert np.abs(pixels - expected).mean() < 0.5, "beyond 0 and 255, too, nothing turns over"
    assert np.abs(pixels - Decoder(64, rule, MOST)(content).numpy()).mean() > 5
    for wanted in ("bilinear", "bicubic"):
        tall = noise.resize((20, 100))
        content = tf.constant(encoded(tall if rule == "squash" else noise.resize((100, 100)), "PNG"))
        small = Decoder(64, rule, MOST, enlarge=wanted)(content).numpy()
        np.testing.assert_array_equal(small, Decoder(64, rule, MOST)(content).numpy())


def test_a_recipe_that_leaves_open_how_pictures_are_enlarged_has_the_first_way():
    recipe = Recipe(resize="pad", max_pixels=1000)
    assert Decoder.of(recipe, 32, "PNG") == Decoder(32, "pad", 1000, "PNG", "bilinear")
    assert Decoder.of(recipe.replace(enlarge="bicubic"), 32).enlarge == "bicubic"


def test_real_files_stand_as_the_reference_decoder_shows_them(shared_data):
    folder = shared_data / "wild-images"
    with (folder / "manifest.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["format"] == "JPEG" and row["reference"] == "decode"]
    checked = 0
    for row in rows:
        file = next(folder.rglob(row["file"]))
        content = file.read_bytes()
        if not content.startswith(b"\xff\xd8\xff"):
            continue
        assert int(orientation(tf.constant(content))) == int(row["orientation"] or 1), row["file"]
        checked += 1
    assert checked > 20
