import shutil

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress
from keras_transfer.training import transfer


@pytest.mark.parametrize(("side", "size", "said"), [(32, 128, True), (100, 224, False)])
def test_small_pictures_get_a_small_input_and_it_is_said(tmp_path, capsys, side, size, said):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((side, side, 3), "uint8")).save(tmp_path / name / "00.png")
        for number in range(1, 50):
            shutil.copy(tmp_path / name / "00.png", tmp_path / name / f"{number:02d}.png")
    listed = sources.load(str(tmp_path))
    recipe = transfer.with_pixels(Recipe(base="mobilenetv2", data=str(tmp_path)), listed, Progress())
    assert (recipe.size, recipe.enlarge) == (size, "bicubic")
    said_of_it = capsys.readouterr().err
    assert f"px are enlarged to {size} px by cubic interpolation" in said_of_it
    assert ("not to the 224 px of mobilenetv2" in said_of_it) is said


def test_a_model_of_ones_own_keeps_its_size_and_an_option_wins(tmp_path, photos, tiny_base, capsys):
    listed = sources.load(str(photos))
    own = transfer.with_pixels(Recipe(base=tiny_base, data=str(photos)), listed, Progress())
    asked = transfer.with_pixels(Recipe(base="mobilenetv2", data=str(photos), size=48), listed, Progress())
    assert (own.size, asked.size) == (24, 48)
    assert own.enlarge == asked.enlarge == "bilinear", "they are enlarged by less than twice, or of another base"
    assert "enlarged" not in capsys.readouterr().err
