import base64
import io
import os
import re
import shutil
import sys
import zipfile
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

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
        examples.short(name): Image.open(io.BytesIO(base64.b64decode(picture.source.partition(",")[2])))
        for name, picture in pictures.items()
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
    (picture, _) = page.pictures(examples.paths, examples, Decoder(page.THUMBNAIL, "pad", 10**8)).values()
    assert Image.open(io.BytesIO(base64.b64decode(picture.source.partition(",")[2]))).size == (112, 2)


HOSTILE = ["50% off?.png", "a#b.png", 'it\'s "it" & <b>.png', "é 花.png", "javascript:alert(1).png", "=1+1.png"]


def test_a_thumbnail_leads_to_its_file_whatever_that_is_called(tmp_path):
    names = HOSTILE if os.name == "posix" else [name for name in HOSTILE if not set('?"<:') & set(name)]
    (tmp_path / "pages 100%").mkdir()
    (tmp_path / "photos" / "red").mkdir(parents=True)
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "red" / name)
    shutil.copytree(tmp_path / "photos" / "red", tmp_path / "photos" / "blue")
    examples = sources.load(str(tmp_path / "photos"))
    folder = tmp_path / "pages 100%"
    pictures = page.pictures(examples.paths, examples, Decoder(page.THUMBNAIL, "pad", 10**8), folder)
    assert len(pictures) == 2 * len(names)
    for path, picture in pictures.items():
        (link,) = re.findall("<a class='picture' href='([^']*)'", page.figure(picture, path))
        opened = urlsplit(urljoin((folder / "page.html").as_uri(), link))
        assert (opened.scheme, opened.query, opened.fragment) == ("file", "", "")
        assert os.path.samefile(url2pathname(opened.path), path)
    text = "".join(page.figure(picture, path) for path, picture in pictures.items())
    assert "<b>" not in text
    assert "<a" not in page.without_links(text)
    assert page.without_links(text).count("<img") == len(pictures)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_thumbnail_leads_to_a_file_whose_name_is_not_utf8(tmp_path):
    assert page._link(os.fsdecode(os.fsencode(tmp_path) + b"/ros\xe9.png"), tmp_path) == "ros%E9.png"


def test_what_a_browser_may_run_as_a_page_or_lies_in_an_archive_is_no_link(tmp_path):
    assert page._link(str(tmp_path / "a.html"), tmp_path) is None
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in ("red", "blue"):
            stream = io.BytesIO()
            Image.new("RGB", (9, 9)).save(stream, "PNG")
            archive.writestr(f"{name}/a.png", stream.getvalue())
    examples = sources.load(str(tmp_path / "photos.zip"))
    pictures = page.pictures(examples.paths, examples, Decoder(page.THUMBNAIL, "pad", 10**8), tmp_path)
    assert [picture.link for picture in pictures.values()] == [None, None]
    assert "<a" not in page.figure(next(iter(pictures.values())), "a.png")
