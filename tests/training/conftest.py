import pytest


@pytest.fixture(scope="session")
def deep_base(tmp_path_factory):
    """A feature extractor of three blocks, the last of them with stochastic depth."""
    import keras

    keras.utils.set_random_seed(7)
    x = inputs = keras.Input((24, 24, 3))
    for name, width in (("low", 8), ("middle", 12)):
        x = keras.layers.Conv2D(width, 3, 2, "same", kernel_initializer="he_normal", name=f"{name}_conv")(x)
        x = keras.layers.ReLU(name=name)(x)
    residual = keras.layers.Conv2D(12, 3, padding="same", kernel_initializer="he_normal", name="high_conv")(x)
    residual = keras.layers.Dropout(0.3, noise_shape=(None, 1, 1, 1), name="high_depth")(residual)
    file = tmp_path_factory.mktemp("bases") / "deep.keras"
    keras.Model(inputs, keras.layers.Add(name="high")([x, residual])).save(file)
    return str(file)
