import base64
import io

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data import sources
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.studies import page


@pytest.mark.parametrize(
    ("size", "orientation", "expected"),
    [
        ((400, 200), 1, (112, 56)),
        ((200, 400), 1, (56, 112)),
        ((400, 200), 6, (56, 112)),
        ((300, 300), 1, (112, 112)),
        ((320, 213), 1, (112, 74)),
    ],
)
def test_a_thumbnail_has_the_sides_of_its_picture_as_it_stands(size, orientation, expected, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    (tmp_path / "red").mkdir()
    Image.new("RGB", size, (200, 30, 30)).save(tmp_path / "red" / "a.jpg", exif=exif)
    (tmp_path / "blue").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "blue" / "black.png")
    examples = sources.load(str(tmp_path))
    pictures = page.pictures(examples.paths, examples, Decoder(page.THUMBNAIL, "pad", 10**8))
    thumbnails = {
        examples.short(name): Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        for name, source in pictures.items()
    }
    assert thumbnails["red/a.jpg"].size == expected
    red = np.asarray(thumbnails["red/a.jpg"])[..., 0]
    assert min(red[0].min(), red[-1].min(), red[:, 0].min(), red[:, -1].min()) > 150, "a black line is left"
    assert thumbnails["blue/black.png"].size == (112, 112)


def test_a_standing_picture_with_black_edges_above_and_below_is_whole():
    picture = np.zeros((112, 112, 3), "uint8")
    picture[40:70, 28:84] = 200
    assert page._without_bars(picture, (400, 200)).shape == (112, 56, 3)
    assert page._without_bars(picture.swapaxes(0, 1), (200, 400)).shape == (56, 112, 3)


def test_a_table_escapes_its_text_and_sets_numbers_right():
    table = page.table(("class", "images"), [("<b>", "3")])
    assert table == (
        "<table><tr><th>class</th><th class='n'>images</th></tr><tr><td>&lt;b&gt;</td><td class='n'>3</td></tr></table>"
    )


def test_a_thumbnail_of_a_very_flat_picture_is_not_cut_to_nothing(tmp_path):
    for name in ("blue", "red"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4000, 8), (200, 30, 30)).save(tmp_path / name / f"{name}.png")
    examples = sources.load(str(tmp_path))
    (source, _) = page.pictures(examples.paths, examples, Decoder(page.THUMBNAIL, "pad", 10**8)).values()
    assert Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size == (112, 2)
