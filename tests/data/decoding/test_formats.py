import pytest

from keras_transfer.data.decoding import formats


def fault(content):
    return formats.fault(content[: formats.HEAD])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("TIFF", b"II*\0"),
        ("AVIF", b"\0\0\0\x20ftypavif"),
        ("JPEG 2000", b"\xff\x4f\xff\x51"),
        ("Photoshop", b"8BPS\0\1"),
    ],
)
def test_a_format_that_pillow_opens_names_the_command_that_converts_it(name, content):
    assert f"format {name}," in fault(content)
    assert "`check DATA --convert FOLDER`" in fault(content)


@pytest.mark.parametrize(
    ("content", "helps"),
    [
        (b"%PDF-1.7\n", "`pdftoppm -png`"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "`rsvg-convert`"),
        (b"<?xml version='1.0'?><svg>", "`rsvg-convert`"),
        (b"\0\0\0\x18ftypheic", "`heif-convert`"),
        (b"\0\0\0\x18ftypheix", "`heif-convert`"),
        (b"\n<!DOCTYPE html><html>", "download the image again"),
        (b"<HTML><body>404", "download the image again"),
        (b"PK\x03\x04\x14\0", "unpack it"),
        (b"PAR1", "write the images in it as files"),
        (b"version https://git-lfs.github.com/spec/v1", "`git lfs pull`"),
    ],
)
def test_of_what_pillow_does_not_open_it_is_said_what_helps(content, helps):
    assert helps in fault(content)
    assert "--convert" not in fault(content)


def test_what_has_no_known_beginning_is_named_as_no_image():
    assert fault(b"hello") == formats.UNKNOWN
    assert fault(b"") == "is empty"
