import io

import numpy as np
import pytest
from PIL import Image

import keras_transfer as kt
from keras_transfer.versions import in_memory
from tests.conftest import draw


def test_sixteen_bits_are_those_of_the_file_in_whatever_mode_the_picture_is(tmp_path):
    pixels = (np.arange(64, dtype="uint16") * 1000).reshape(8, 8)
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 65535\n" + pixels.astype(">u2").tobytes())
    opened = Image.open(tmp_path / "a.pgm")
    big_endian = Image.frombytes("I;16B", (8, 8), pixels.astype(">u2").tobytes())
    assert (opened.mode, big_endian.mode) == ("I", "I;16B")
    for picture in (opened, big_endian, Image.fromarray(pixels)):
        content = in_memory.file_bytes(picture, "[0]")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels)
    Image.fromarray(pixels.astype("int32")).save(tmp_path / "a.tif")
    unclear = [Image.fromarray(pixels.astype("int32")), Image.fromarray(pixels.astype("float32"))]
    for picture in (*unclear, Image.open(tmp_path / "a.tif")):
        with pytest.raises(kt.UsageError, match=r"\[3\] is a PIL image of mode '[IF]', which does not say"):
            in_memory.file_bytes(picture, "[3]")


@pytest.mark.parametrize("mode", ["PA", "RGBa", "La"])
def test_what_is_transparent_stays_so_in_modes_that_png_has_not(mode):
    picture = Image.new("LA" if mode == "La" else "RGBA", (2, 2)).convert(mode)
    assert Image.open(io.BytesIO(in_memory.file_bytes(picture, "[0]"))).convert("RGBA").getpixel((0, 0))[3] == 0


def test_a_jpeg_that_is_open_is_decoded_as_its_file_is(classifier, tmp_path):
    file = tmp_path / "a.jpg"
    draw((120, 60, 60), 1, (24 * 9, 24 * 8)).save(file)
    with Image.open(file) as picture:
        picture.fp.seek(7)
        (by_file,), (opened,) = classifier.predict(file), classifier.predict(picture)
        assert opened.probabilities == by_file.probabilities
        assert picture.fp.tell() == 7
        picture.load()
        assert in_memory.file_bytes(picture, "[0]").startswith(b"\x89PNG")
    grey = Image.open(file)
    grey.draft("L", None)
    assert Image.open(io.BytesIO(in_memory.file_bytes(grey, "[0]"))).mode == "L"
