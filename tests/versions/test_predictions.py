import io

import numpy as np
import pytest

from keras_transfer.versions.predictions import Prediction, sureness, write_predictions


@pytest.mark.parametrize(
    ("label", "several", "expected"),
    [
        ("a", False, 0.95),
        ("a", True, 0.0),  # Right.
        ("a|b", True, 0.9),  # A label that is missed.
        ("", True, 0.95),  # A label that is not there.
        ("b|c", True, 0.95),  # The surest of three.
    ],
)
def test_how_sure_a_model_is_of_what_it_gets_wrong(label, several, expected):
    assert sureness(label, {"a": 0.95, "b": 0.1, "c": 0.3}, several) == pytest.approx(expected)


def test_a_table_has_a_number_in_the_digits_of_float32():
    stream = io.StringIO()
    write_predictions([Prediction("a.jpg", value=float(np.float32(1406.36)))], ("price",), stream)
    assert stream.getvalue() == "path,value,error\na.jpg,1406.36,\n"
