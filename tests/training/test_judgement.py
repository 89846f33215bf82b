import numpy as np
import pytest

from keras_transfer.training.judgement import worse


def test_a_phase_is_worse_only_by_more_than_chance_makes_of_the_images():
    before = np.full(20, 0.5)
    rises = np.where(np.arange(20) % 2, 0.3, -0.2)
    assert worse(before, before + rises) == (False, pytest.approx(rises.std(ddof=1) / 20**0.5))
    assert worse(before, before + rises, allowed=False)[0]
    assert not worse(before, before - rises, allowed=False)[0]
    assert worse(before, before + rises + 0.1)[0]
    assert worse(before, before + 0.01)[0], "all images agree"
    assert worse(before, before + 10 * (np.arange(20) == 0))[0], "one image by much"
    assert not worse(before, before - 0.01)[0]
    assert worse(before, before)[0], "the same network is no gain"
    assert worse(before, before - rises * np.nan)[0]
    assert worse(before[:1], before[:1] + 0.01) == (True, 0.0)
