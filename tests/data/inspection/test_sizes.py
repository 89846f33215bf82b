import numpy as np
from PIL import Image

from keras_transfer.data import sources
from keras_transfer.data.inspection import sizes


def test_the_median_is_of_the_pictures_that_open(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"broken{number}.jpg").write_bytes(b"no picture")
    for side in (20, 30, 50):
        Image.fromarray(np.zeros((side, 60, 3), "uint8")).save(tmp_path / "dog" / f"{side}.png")
    assert sizes.median_short_side(sources.load(str(tmp_path))) == 30.0


def test_of_no_picture_nothing_is_known(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"")
    assert sizes.median_short_side(sources.load(str(tmp_path))) is None
