from keras_transfer.versions import card


def test_the_card_says_how_a_photo_becomes_the_pixels_that_the_model_takes(version):
    text = card.text(version.metrics, version.recipe.replace(resize="pad", enlarge="bicubic"), "m")
    assert "Of a photo, the whole picture is resized to fit into 24 x 24 by bicubic interpolation where no side" in text
