import pytest

from keras_transfer.versions import card


def test_the_card_says_how_a_photo_becomes_the_pixels_that_the_model_takes(version):
    text = card.text(version.metrics, version.recipe.replace(resize="pad", enlarge="bicubic"), "m")
    assert "Of a photo, the whole picture is resized to fit into 24 x 24 by bicubic interpolation where no side" in text


@pytest.mark.parametrize(
    ("task", "words"),
    [("multi-label", "multi-label classification of images"), ("classification", "for classification of")],
)
def test_the_card_names_the_task(version, task, words):
    metrics = version.metrics | {"task": task, "test": {"images": 0}}
    assert words in card.text(metrics, version.recipe, "m")
