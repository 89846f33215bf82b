import io
import random
import warnings

import pytest
from PIL import Image

from keras_transfer.serving import limits
from keras_transfer.serving.rest import BadRequest


def written(kind, **options):
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "words " * 1000
    if kind == "JPEG":
        options["exif"] = exif
    Image.new("RGB", (61, 37)).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        written("JPEG"),
        written("JPEG", progressive=True),
        written("PNG"),
        written("GIF"),
        written("BMP"),
        written("WEBP"),
        written("WEBP", lossless=True),
        written("WEBP", exif=Image.Exif()),
        written("WEBP", save_all=True, append_images=[Image.new("RGB", (61, 37), "red")]),
    ],
)
def test_the_pixels_of_a_file_are_read_from_its_header(content):
    assert limits.announced_pixels(content) == 61 * 37
    generator = random.Random(0)
    for end in range(0, 200):
        assert limits.announced_pixels(content[:end]) >= 0
    for _ in range(500):
        changed = bytearray(content)
        changed[generator.randrange(2, len(changed))] = generator.randrange(256)
        assert limits.announced_pixels(bytes(changed)) >= 0


def test_what_is_no_image_has_no_pixels():
    assert limits.announced_pixels(b"") == limits.announced_pixels(b"hello") == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_the_limit_of_pillow_neither_refuses_nor_warns(kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert limits.announced_pixels(written(kind)) == 61 * 37


def test_a_header_that_takes_long_to_read_is_of_too_many_pixels():
    content = written("JPEG")
    with pytest.raises(BadRequest):
        limits.check_pixels(limits.announced_pixels(content[:2] + b"\xff\xfe\x00\x02" * 10_000 + content[2:]), 1)


def test_many_files_are_refused_and_one_that_is_allowed_alone_is_not():
    limits.check_pixels(limits.MAX_PIXELS, 1)
    limits.check_pixels(3 * limits.MAX_PIXELS, 3 * limits.MAX_PIXELS)
    with pytest.raises(BadRequest, match="Send fewer at a time"):
        limits.check_pixels(limits.MAX_PIXELS + 1, 1)
