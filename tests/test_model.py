import keras
import numpy as np
import pytest

from keras_transfer import model, weights
from keras_transfer.bases import Block, find
from keras_transfer.recipe import Recipe


def network(name, size=64, **options):
    row = find(name)
    source = weights.load(name, "random", max(size, row.least_size), 0)
    return row, model.build(source.base, row, Recipe(base=name, **options), 3)


def pixels(size, count=2):
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype("float32")


@pytest.mark.parametrize("name", ["vgg16", "resnet50", "xception", "nasnetmobile", "efficientnetb0", "convnexttiny"])
def test_the_halves_make_the_whole(name):
    row, whole = network(name)
    images = pixels(whole.size)
    expected = whole.classifier()(images)
    for block in (row.thawed("auto"), row.thawed("none"), row.thawed("all")):
        halves = model.cut(whole, block)
        *activations, embedding = keras.tree.flatten(halves.frozen(images))
        inputs = model.one_or_list(activations or [embedding])
        np.testing.assert_allclose(keras.ops.softmax(halves.tail(inputs)), expected, atol=1e-5)
        np.testing.assert_allclose(keras.ops.softmax(halves.tail(halves.below(images))), expected, atol=1e-5)


def test_a_nasnet_cell_is_cut_by_two_tensors():
    row, whole = network("nasnetmobile")
    assert len(model.cut_tensors(whole.base, row.thawed("cell9").boundary)[0]) == 2


def test_batch_normalisation_keeps_its_statistics_while_thawed():
    row, whole = network("mobilenet")
    halves = model.cut(whole, row.thawed("all"))
    halves.tail.compile("sgd", "mse")
    layer = whole.base.get_layer("conv_pw_13_bn")
    before = [np.copy(value) for value in layer.get_weights()]
    halves.tail.fit(pixels(64, 4) / 255, np.eye(3)[[0, 1, 2, 0]], verbose=0)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_frozen_half_drops_nothing_while_the_rest_trains():
    """Keras hands `training=True` down to models within models; EfficientNet's stochastic depth must stay off below."""
    row, whole = network("efficientnetb0")
    below = model.cut(whole, row.thawed("block7")).below
    images = pixels(64)
    inputs = keras.Input((64, 64, 3))
    frozen = keras.Model(inputs, model.Frozen(below)(inputs))
    np.testing.assert_allclose(frozen(images, training=True), below(images, training=False), atol=1e-5)
    assert not frozen.trainable_weights
    unwrapped = keras.Model(inputs, below(inputs))
    still = np.array(below(images, training=False))
    assert np.abs(unwrapped(images, training=True) - still).max() > 0.05 * np.abs(still).max(), "workaround not needed"


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


def test_cut_points_of_a_base_that_is_in_no_table():
    inputs = keras.Input((16, 16, 3))
    first = keras.layers.Conv2D(4, 3, name="first")(inputs)
    side = keras.layers.Conv2D(4, 1, name="side")(first)
    joined = keras.layers.Add(name="joined")([first, side])
    base = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="last")(joined))
    assert model.cut_points(base) == (Block("all", ""), Block("side", "<side"), Block("last", "<last"))


def test_a_network_computes_in_half_precision_for_a_while():
    _, whole = network("mobilenetv3small", 32, dense="8")
    embedder, images = whole.embedder(), pixels(32)
    before = np.array(embedder(images))
    with model.computing_in("mixed_bfloat16", embedder):
        half = embedder(images)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    difference = np.linalg.norm(np.array(half).astype("float32") - before)
    assert 1e-4 * np.linalg.norm(before) < difference < 0.05 * np.linalg.norm(before)
    assert {weight.dtype for weight in embedder.weights} == {"float32"}
    np.testing.assert_array_equal(embedder(images), before)


def test_layers_keep_a_precision_that_is_their_own():
    inputs = keras.Input((4,))
    own, kept = keras.layers.Dense(2, dtype="mixed_float16"), keras.layers.Dense(2)
    whole = keras.Model(inputs, kept(own(inputs)))
    with model.computing_in("mixed_bfloat16", whole, but=[kept]):
        assert (whole.compute_dtype, own.compute_dtype, kept.compute_dtype) == ("bfloat16", "float16", "float32")
    assert (whole.compute_dtype, own.compute_dtype, kept.compute_dtype) == ("float32", "float16", "float32")


def test_the_seed_decides_how_a_head_begins():
    """Whatever random numbers were drawn before, by a base of the user's own for one."""
    row, first = network("mobilenetv3small", 32, dense="8", seed=1)
    keras.utils.set_random_seed(5)
    second = model.build(first.base, row, Recipe(dense="8", seed=1), 3)
    other = model.build(first.base, row, Recipe(dense="8", seed=2), 3)
    for one, two, three in zip(*(part.head.trainable_weights[::2] for part in (first, second, other)), strict=True):
        np.testing.assert_array_equal(one, two)
        assert np.abs(one - three).max() > 0
