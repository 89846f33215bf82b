import itertools

import keras
import numpy as np
import pytest
from keras import layers

from keras_transfer.network import own_base, weights
from keras_transfer.network.cut import cut
from keras_transfer.network.network import build
from keras_transfer.network.precision import every_layer
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError

SIZE = 24


def images(side=SIZE):
    return keras.Input((side, side, 3))


def inner(side=SIZE, name="inner"):
    x = inputs = images(side)
    for number, width in enumerate((4, 6, 8)):
        x = layers.Conv2D(width, 3, padding="same", name=f"conv{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"bn{number}")(x))
    return keras.Model(inputs, x, name=name)


def rescaled(x):
    return layers.Rescaling(1 / 127.5, -1)(x)


def nested():
    inputs = images()
    return keras.Model(inputs, inner()(rescaled(inputs), training=False))


def nested_then_layers():
    inputs = images()
    return keras.Model(inputs, layers.Conv2D(5, 1, name="conv0")(inner()(rescaled(inputs))))


def nested_twice():
    inputs = images()
    backbone = keras.Model(between := images(), inner()(rescaled(between)), name="backbone")
    return keras.Model(inputs, inner(None, "second")(layers.Conv2D(3, 1)(backbone(inputs))))


def sequential():
    return keras.Sequential([images(), layers.Rescaling(1 / 127.5, -1), inner()])


def augmented():
    inputs = images()
    flips = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    return keras.Model(inputs, inner()(rescaled(flips(inputs))))


def preprocessed():
    inputs = images()
    return keras.Model(inputs, inner()(keras.applications.mobilenet.preprocess_input(inputs)))


def normalised():
    inputs = images()
    return keras.Model(inputs, inner()(layers.Normalization(mean=[120.0] * 3, variance=[900.0] * 3)(inputs)))


def any_size():
    inputs = images(None)
    return keras.Model(inputs, inner(None)(rescaled(inputs)))


def shared_twice():
    inputs = images()
    shared = inner()
    return keras.Model(inputs, layers.Average()([shared(rescaled(inputs)), shared(inputs)]))


def list_of_one_input():
    inputs = images()
    return keras.Model([inputs], [inner()(rescaled(inputs))])


EXTRACTORS = (
    nested,
    nested_then_layers,
    nested_twice,
    sequential,
    augmented,
    preprocessed,
    normalised,
    any_size,
    shared_twice,
    list_of_one_input,
)


def saved(network, tmp_path, suffix=".keras"):
    for layer in every_layer(network):
        if isinstance(layer, layers.BatchNormalization):  # Statistics that are not 0 and 1, so that a lost one is seen.
            layer.moving_mean.assign(np.linspace(-0.5, 0.5, layer.moving_mean.shape[0]))
    network.save(tmp_path / f"mine{suffix}")
    return tmp_path / f"mine{suffix}"


def pixels(size=SIZE):
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype("float32")


@pytest.mark.parametrize("make", EXTRACTORS)
def test_an_extractor_gives_what_keras_makes_of_it_wherever_it_is_cut(make, tmp_path):
    network = make()
    pretrained = weights.load(str(saved(network, tmp_path)), "imagenet", SIZE, 0)
    expected = np.asarray(network(pixels(), training=False))
    np.testing.assert_allclose(pretrained.base(pixels()), expected, atol=1e-5 * np.abs(expected).max())
    whole = build(pretrained.base, pretrained.spec, Recipe(), 3)
    logits = whole.head(whole.pool(expected))
    for block in pretrained.spec.blocks:
        parts = cut(whole, block)
        np.testing.assert_allclose(parts.above(parts.below(pixels())), logits, atol=1e-4 * np.abs(logits).max())
    names = [block.name for block in pretrained.spec.blocks]
    assert names == ["all"] if make is shared_twice else "conv2" in names


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        *itertools.product(["average", "flatten", "average and maximum", "pooled map"], [".keras", ".h5"]),
        ("operation", ".keras"),  # Keras reads no operations from .h5 files.
    ],
)
def test_a_classifier_gives_its_base(head, suffix, tmp_path):
    network = nested()
    x = {
        "average": lambda x: layers.GlobalAveragePooling2D()(x),
        "flatten": lambda x: layers.Flatten()(layers.AveragePooling2D(1)(x)),
        "average and maximum": lambda x: layers.Concatenate()(
            [layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)]
        ),
        "pooled map": lambda x: layers.Reshape((6,))(
            layers.Conv2D(6, 1, name="within_head")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        ),
        "operation": lambda x: layers.LayerNormalization()(keras.ops.mean(x, axis=(1, 2))),
    }[head](network.output)
    whole = keras.Model(network.input, layers.Dense(5)(layers.Dropout(0.2)(x)))
    base = own_base.from_file(saved(whole, tmp_path, suffix), SIZE)
    np.testing.assert_allclose(base(pixels()), network(pixels(), training=False), atol=1e-5)


def test_a_gate_within_the_base_is_not_taken_for_its_end(tmp_path):
    inputs = images()
    x = inner()(inputs)
    x = layers.Multiply()([x, layers.Dense(8, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))])
    whole = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    base = own_base.from_file(saved(whole, tmp_path), SIZE)
    np.testing.assert_allclose(base(pixels()), keras.Model(inputs, x)(pixels()), rtol=1e-5)


def test_several_outputs_are_refused_by_name(tmp_path):
    network = inner()
    both = keras.Model(network.input, [network.get_layer("conv0").output, network.output])
    with pytest.raises(UserError, match=r"has 2 outputs \(conv0 24x24x4, re_lu\w* 24x24x8\)"):
        own_base.from_file(saved(both, tmp_path), SIZE)


def test_a_model_without_a_feature_map_is_refused(tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    rows = layers.Reshape((SIZE, SIZE * 3))(inputs)
    network = keras.Model(inputs, layers.LSTM(4)(rows))
    with pytest.raises(UserError, match="must give a feature map"):
        own_base.from_file(saved(network, tmp_path), SIZE)
    with pytest.raises(UserError, match=r"must take images \[N, H, W, 3\]. It takes anyx7"):
        own_base.from_file(saved(keras.Sequential([keras.Input((7,)), layers.Dense(2)]), tmp_path), SIZE)


def test_a_base_that_scales_no_pixels_is_cautioned_of(tmp_path):
    inputs = images()
    padded = keras.Model(inputs, inner()(layers.ZeroPadding2D(1)(layers.Resizing(22, 22)(inputs))))
    for network in (inner(), padded):
        file = str(saved(network, tmp_path))
        assert "is given pixels 0..255" in weights.load(file, "imagenet", SIZE, 0).caution
    assert not weights.load(file, "random", SIZE, 0).caution
    for make in (augmented, preprocessed, normalised):
        assert not weights.load(str(saved(make(), tmp_path)), "imagenet", SIZE, 0).caution


def test_a_fixed_size_gives_way_where_the_graph_allows_it(tmp_path):
    network = nested()
    base = own_base.from_file(saved(network, tmp_path), 40)
    assert base.output_shape == (None, 40, 40, 8)
    same = inner(40)
    same.set_weights(network.get_weights())
    np.testing.assert_allclose(base(pixels(40)), same(pixels(40) / 127.5 - 1), atol=1e-5)


@pytest.mark.parametrize("fixed", ["layer", "operation", "weights"])
def test_a_size_that_the_graph_does_not_allow_is_refused(fixed, tmp_path):
    inputs = images()
    x = layers.Conv2D(6, 8, strides=8)(inputs)
    if fixed == "layer":
        x = layers.Reshape((3, 3, 6))(layers.Reshape((9, 6))(x))
    elif fixed == "operation":  # Counts images anew where the size is a multiple.
        x = keras.ops.reshape(x, (-1, 3, 3, 6))
    else:
        x = layers.Reshape((3, 3, 6))(layers.Dense(54)(layers.Flatten()(x)))
    network = keras.Model(inputs, layers.Conv2D(4, 1)(x))
    file = saved(network, tmp_path)
    assert own_base.from_file(file, SIZE).output_shape == (None, 3, 3, 4)
    with pytest.raises(UsageError, match=r"--size: .* takes images of 24 px. Received: 48"):
        own_base.from_file(file, 2 * SIZE)


def test_a_base_of_the_users_own_can_be_drawn_anew(tmp_path):
    x = inputs = keras.Input((24, 24, 3))
    normalise = keras.layers.Normalization(name="pixels")
    normalise.adapt(np.random.default_rng(0).uniform(0, 255, (8, 24, 24, 3)))
    keras.Model(inputs, keras.layers.Conv2D(8, 3, name="conv")(normalise(x))).save(tmp_path / "mine.keras")
    kernels = {}
    for kind, seed in (("imagenet", 0), ("random", 0), ("random", 1)):
        pretrained = weights.load(str(tmp_path / "mine.keras"), kind, 24, seed)
        kernels[kind, seed] = pretrained.base.get_layer("conv").get_weights()[0]
        np.testing.assert_array_equal(pretrained.base.get_layer("pixels").get_weights()[0], normalise.get_weights()[0])
    assert pretrained.weights == "random"
    for drawn in (kernels["random", 0], kernels["random", 1]):
        assert np.abs(drawn - kernels["imagenet", 0]).max() > 0.01
    np.testing.assert_array_equal(
        weights.load(str(tmp_path / "mine.keras"), "random", 24, 1).base.get_layer("conv").get_weights()[0],
        kernels["random", 1],
    )
