import shutil

import numpy as np
import pytest
from PIL import Image

from keras_transfer.commands.findings import text as text_of
from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies.check.check import check
from keras_transfer.support.errors import UsageError
from keras_transfer.support.progress import Progress
from tests.conftest import draw, write_photos

QUIET = Progress(quiet=True)


def test_images_in_other_formats_are_copied_upright_under_their_names(tmp_path):
    data, copies = write_photos(tmp_path / "data", 3), tmp_path / "copies"
    red = draw((210, 50, 40), 7, (60, 40))
    red.save(data / "red" / "scan.tiff")
    red.save(data / "red" / "00.jp2")  # Beside 00.jpg.
    red.save(data / "red" / "01.tif")  # Beside 01.png.
    exif = Image.Exif()
    exif[0x0112] = 6
    red.save(data / "blue" / "turned.tif", exif=exif)
    (data / "blue" / "broken.tif").write_bytes(b"II*\0rubbish")
    (data / "green" / "page.pdf").write_bytes(b"%PDF-1.7")
    findings = check(Recipe(data=str(data)), progress=QUIET, convert_to=copies)
    reasons = {name.rsplit("/", 1)[-1]: reason for name, reason in findings.rejected}
    pdf = reasons.pop("page.pdf")
    assert "--convert" not in pdf
    assert all("`check DATA --convert FOLDER`" in reason for reason in reasons.values())
    written = sorted(file.relative_to(copies).as_posix() for file in copies.glob("*/*"))
    assert written == ["blue/turned.png", "red/00.png", "red/01.tif.png", "red/scan.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(copies / "red" / "scan.png")), np.asarray(red))
    assert Image.open(copies / "blue" / "turned.png").size == (40, 60)
    assert not Image.open(copies / "blue" / "turned.png").getexif()
    refused = {name.rsplit("/", 1)[-1]: reason for name, reason in findings.converted.refused}
    assert set(refused) == {"broken.tif", "page.pdf"}
    assert refused["page.pdf"] == pdf
    assert not any("object at 0x" in reason for reason in refused.values())
    assert len(sources.load(str(copies))) == 4
    with pytest.raises(UsageError, match="--convert must be a new or empty folder"):
        check(Recipe(data=str(data)), progress=QUIET, convert_to=copies)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copies", "data"]


def test_a_set_of_which_nothing_can_be_used_is_converted(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        draw((210, 50, 40), 1).save(tmp_path / "data" / name / "0.tif")
    findings = check(Recipe(data=str(tmp_path / "data")), progress=QUIET, convert_to=tmp_path / "copies")
    assert len(findings.converted.written) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_comes_with_the_copies_and_names_them(tmp_path, encoding):
    data, copies = tmp_path / "data", tmp_path / "copies"
    (data / "a b").mkdir(parents=True)
    draw((210, 50, 40), 1).save(data / "a b" / "1.tif")
    draw((40, 50, 210), 2).save(data / "11.tif")
    draw((40, 50, 210), 3).save(data / "11.png")
    text = 'Label; path;note\r\nr\xf6t; "a b/1.tif";"1.tif; too"\r\nblau; 11.tif ;x 11.tif\r\nblau;11.png;""\r\n'
    (data / "table.csv").write_bytes(text.encode(encoding))
    options = {"data": str(data / "table.csv"), "encoding": "cp1252" if encoding == "cp1252" else ""}
    findings = check(Recipe(**options), progress=QUIET, convert_to=copies)
    expected = text.replace("a b/1.tif", "a b/1.png").replace("blau; 11.tif", "blau; 11.tif.png")
    assert (copies / "table.csv").read_bytes() == expected.encode(encoding)
    assert findings.converted.table == "table.csv"
    assert "table.csv there is your table, as it names the copies." in text_of(findings)
    shutil.copytree(copies, data, dirs_exist_ok=True)
    assert not check(Recipe(**options), progress=QUIET).rejected


def test_a_table_that_would_change_elsewhere_too_is_left_to_the_reader(tmp_path):
    draw((210, 50, 40), 1).save(tmp_path / "1.tif")
    draw((40, 50, 210), 2).save(tmp_path / "2.png")
    (tmp_path / "table.csv").write_text("path,label,note\n1.tif,a,1.tif\n2.png,b,\n")
    folder = tmp_path.parent / f"{tmp_path.name}-copies"
    findings = check(Recipe(data=str(tmp_path / "table.csv")), progress=QUIET, convert_to=folder)
    assert findings.converted.table == ""
    assert [file.name for file in folder.iterdir()] == ["1.png"]
    assert "Change the paths of these images in your table" in text_of(findings)
