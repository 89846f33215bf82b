import numpy as np
import pytest

from keras_transfer.support.numerals import float32_text, number_text


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(123412.3, "123400"), (0.123456, "0.1235"), (1.23456e20, "1.235e+20"), (5.0, "5"), (9999.9, "10000")],
)
def test_scores_have_four_digits(value, text):
    assert number_text(value, 4) == text


def test_what_a_network_predicts_has_the_digits_of_float32():
    assert float32_text(float(np.float32(1406.36))) == "1406.36"
