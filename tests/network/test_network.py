import keras
import numpy as np
import pytest

from keras_transfer.network.cut import cut
from keras_transfer.network.network import Network, build
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from tests.network.conftest import network, pixels


def test_batch_normalisation_keeps_its_statistics_while_thawed():
    spec, whole = network("mobilenet")
    parts = cut(whole, spec.thawed("all"))
    parts.above.compile("sgd", "mse")
    layer = whole.base.get_layer("conv_pw_13_bn")
    before = [np.copy(value) for value in layer.get_weights()]
    parts.above.fit(pixels(64, 4) / 255, np.eye(3)[[0, 1, 2, 0]], verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("pooling", "width"), [("avg", 512), ("max", 512), ("flatten", 2 * 2 * 512)])
def test_pooling_gives_the_embedding_its_width(pooling, width):
    _, whole = network("vgg16", pooling=pooling)
    assert whole.embedder().output_shape == (None, width)


def test_a_head_has_the_layers_asked_for():
    _, whole = network("vgg16", dense="32,16", dropout=0.3, l2=0.01)
    kinds = [type(layer).__name__ for layer in whole.head.layers]
    assert kinds == ["InputLayer", "Dropout", "Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert [layer.units for layer in whole.head.layers if isinstance(layer, keras.layers.Dense)] == [32, 16, 3]
    assert all(layer.kernel_regularizer for layer in whole.head.layers if isinstance(layer, keras.layers.Dense))


def test_the_model_file_needs_nothing_of_this_package(tmp_path):
    _, whole = network("vgg16")
    images = pixels(64)
    whole.classifier().save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, custom_objects={})
    np.testing.assert_allclose(loaded(images), whole.classifier()(images), atol=1e-6)


def test_the_parts_of_a_saved_classifier_are_loaded(tmp_path):
    _, whole = network("mobilenetv3small", dense="8")
    images, file = pixels(64), tmp_path / "model.keras"
    whole.classifier().save(file)
    loaded = Network.load(file)
    assert loaded.size == whole.size
    for part in ("embedder", "classifier"):
        np.testing.assert_allclose(getattr(loaded, part)()(images), getattr(whole, part)()(images), atol=1e-6)
    embedding = whole.embedder()(images)
    np.testing.assert_allclose(loaded.head(embedding), whole.head(embedding), atol=1e-6)


def test_what_is_not_a_saved_classifier_is_refused_in_one_line(tmp_path):
    file = tmp_path / "model.keras"
    with pytest.raises(UserError, match="is missing"):
        Network.load(file)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(file)
    with pytest.raises(UserError, match="cannot be loaded as a network of this program"):
        Network.load(file)
    file.write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot be loaded as a network of this program"):
        Network.load(file)


def test_the_seed_decides_how_a_head_begins():
    """Whatever random numbers were drawn before, by a base of the user's own for one."""
    spec, first = network("mobilenetv3small", 32, dense="8", seed=1)
    keras.utils.set_random_seed(5)
    second = build(first.base, spec, Recipe(dense="8", seed=1), 3)
    other = build(first.base, spec, Recipe(dense="8", seed=2), 3)
    for one, two, three in zip(*(part.head.trainable_weights[::2] for part in (first, second, other)), strict=True):
        np.testing.assert_array_equal(one, two)
        assert np.abs(one - three).max() > 0
