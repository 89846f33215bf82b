import json

from keras_transfer.support import strict_json


def test_numbers_that_json_does_not_know_are_null():
    value = {"r2": float("nan"), "folds": [{"loss": float("inf")}, (1, -float("inf"))], "text": "NaN", "none": None}
    expected = {"r2": None, "folds": [{"loss": None}, [1, None]], "text": "NaN", "none": None}
    assert json.loads(strict_json.text(value)) == expected
