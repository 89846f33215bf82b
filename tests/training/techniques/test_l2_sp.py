import numpy as np
import pytest

from keras_transfer.training import techniques
from keras_transfer.training.phase import GradientDescent, Phase
from tests.training.trainers import trainer

STRENGTH = 1000.0  # By which one small step from the source weighs enough to be seen in float32.


def trained(photos, tiny_base, epochs, strength=0.0, stop=None):
    """The base's weights before fine-tuning, what trained it, and the phase's result."""
    one = trainer(photos, base=tiny_base, size=24, batch_size=32, augment="none", l2_sp=strength)
    before = one.setup.network.base.get_weights()
    descent = GradientDescent(epochs, 1e-3, stop=stop)
    result = one.run(Phase("fine-tune", one.recipe.thaw, descent, techniques=techniques.of(one.recipe)))
    assert all(variable.regularizer is None for variable in one.setup.network.base.variables)
    return before, one, result


def distance(before, one):
    after = one.setup.network.base.get_weights()
    return sum(float(np.square(old - new).sum()) for old, new in zip(before, after, strict=True))


def test_half_the_squared_distance_from_the_source_is_added_to_the_loss(photos, tiny_base):
    """Of one batch an epoch: the first is at the source, the second at what the first, alike, left."""
    moved = distance(*trained(photos, tiny_base, 4, stop=1)[:2])
    plain, towards = (trained(photos, tiny_base, 4, strength, 2)[2].history for strength in (0.0, STRENGTH))
    assert towards[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-5)
    assert towards[1]["loss"] - plain[1]["loss"] == pytest.approx(STRENGTH / 2 * moved, rel=0.01)
    assert towards[0]["val_loss"] == pytest.approx(plain[0]["val_loss"], rel=1e-5), "validation is without penalties"


def test_the_more_the_nearer_to_the_source(photos, tiny_base):
    far, near, nearest = (distance(*trained(photos, tiny_base, 5, strength)[:2]) for strength in (0.0, 100.0, 1e4))
    assert far > near > nearest > 0
    assert nearest < far / 2
