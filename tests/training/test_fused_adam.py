import keras
import numpy as np
import pytest

from keras_transfer.training.fused_adam import FusedAdam

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's")


def trained(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
    model.compile(optimizer, "mse")
    generator = np.random.default_rng(0)
    model.fit(generator.normal(size=(64, 8)), generator.normal(size=(64, 3)), epochs=5, verbose=0, shuffle=False)
    return model.get_weights()


@pytest.mark.parametrize(
    "rate", [0.01, keras.optimizers.schedules.CosineDecay(0.0, 8, warmup_target=0.02, warmup_steps=2)]
)
def test_it_is_keras_adam(rate):
    for one, other in zip(trained(FusedAdam(rate)), trained(keras.optimizers.Adam(rate)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
