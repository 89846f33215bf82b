import numpy as np
from PIL import Image

from keras_transfer.data import depth, sources


def test_values_that_do_not_fill_their_bits_are_told_with_the_factor_that_does():
    assert depth.warning([4095, 900]) == (
        "2 pictures of 16 bits hold values up to 4,095 only (12 bits): of 256 grey levels 16 are left. "
        "Multiply the values by 16 and write them again"
    )
    assert depth.warning([4095, 65_000]) is None
    assert depth.warning([]) is None


def test_only_grey_pictures_of_16_bits_are_looked_at(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), 200, "uint8")).save(tmp_path / name / "plain.png")
        Image.fromarray(np.full((8, 8), 1000, "uint16")).save(tmp_path / name / "deep.png")
        (tmp_path / name / "damaged.png").write_bytes((tmp_path / name / "deep.png").read_bytes()[:40])
    assert depth.sampled_peaks(sources.load(str(tmp_path))) == [1000, 1000]
