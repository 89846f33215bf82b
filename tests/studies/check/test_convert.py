import numpy as np
import pytest
from PIL import Image

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
