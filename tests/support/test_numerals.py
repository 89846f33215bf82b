import numpy as np
import pytest

from keras_transfer.support.numerals import number_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1406.36, "1406.36"),
        (np.float32(1406.36), "1406.36"),
        (np.float32(1375179.4), "1375179.4"),
        (1700001100.0, "1700001100"),
        (-0.00025, "-0.00025"),
        (0.0, "0"),
        (2.5e-7, "2.5e-07"),
        (1e20, "1e+20"),
        (float("nan"), "nan"),
    ],
)
def test_everyday_numbers_are_written_as_people_write_them(value, text):
    assert number_text(value) == text
    assert np.isnan(value) or type(value)(text) == value
