import pytest

from keras_transfer.versions.predictions import sureness


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
