import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.network.blocks import Block
from keras_transfer.network.cut import Frozen, cut, cut_points, cut_tensors
from keras_transfer.network.graph import one_or_list
from tests.conftest import once
from tests.network.conftest import network, pixels


@pytest.mark.parametrize("name", ["vgg16", "efficientnetb0", *once("resnet50", "xception", "convnexttiny")])
def test_the_halves_make_the_whole(name):
    spec, whole = network(name)
    images = pixels(whole.size)
    expected = whole.classifier()(images)
    for block in (spec.thawed("auto"), spec.thawed("none"), spec.thawed("all")):
        parts = cut(whole, block)
        *activations, embedding = keras.tree.flatten(parts.frozen(images))
        inputs = one_or_list(activations or [embedding])
        np.testing.assert_allclose(keras.ops.softmax(parts.above(inputs)), expected, atol=1e-5)
        np.testing.assert_allclose(keras.ops.softmax(parts.above(parts.below(images))), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "thaw"),
    [
        ("mobilenetv2", "block16"),
        ("efficientnetb0", "block7"),
        *once(("vgg16", "block5"), ("resnet50", "conv5"), ("densenet121", "conv5"), ("convnexttiny", "stage3")),
    ],
)
def test_what_is_above_the_cut_has_the_gradients_of_the_whole(name, thaw):
    """Dropout and stochastic depth among them; what is below the cut has none, and drops nothing."""
    spec, whole = network(name)
    parts, images = cut(whole, spec.thawed(thaw)), pixels(64, 3)
    inputs = keras.Input((64, 64, 3))
    everything = keras.Model(inputs, parts.above(Frozen(parts.below)(inputs)))
    *activations, _ = keras.tree.flatten(parts.frozen(images))
    state = [np.copy(variable) for variable in parts.above.non_trainable_variables]

    def trained(model, given):
        for variable, value in zip(parts.above.non_trainable_variables, state, strict=True):
            variable.assign(value)
        weights = [variable.value for variable in parts.above.trainable_variables]
        with tf.GradientTape() as tape:
            loss = keras.losses.categorical_crossentropy(np.eye(3), model(given, training=True), from_logits=True)
        return loss, tape.gradient(loss, weights)

    losses, gradients = trained(parts.above, one_or_list(activations))
    expected_losses, expected_gradients = trained(everything, images)
    np.testing.assert_allclose(losses, expected_losses, atol=1e-4)
    for actual, expected in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-3 * np.abs(expected).max() + 1e-6)


def test_a_nasnet_cell_is_cut_by_two_tensors():
    spec, whole = network("nasnetmobile")
    assert len(cut_tensors(whole.base, spec.thawed("cell9").boundary)[0]) == 2


def test_the_frozen_half_drops_nothing_while_the_rest_trains():
    """Keras hands `training=True` down to models within models; EfficientNet's stochastic depth must stay off below."""
    spec, whole = network("efficientnetb0")
    below = cut(whole, spec.thawed("block7")).below
    images = pixels(64)
    inputs = keras.Input((64, 64, 3))
    frozen = keras.Model(inputs, Frozen(below)(inputs))
    np.testing.assert_allclose(frozen(images, training=True), below(images, training=False), atol=1e-5)
    assert not frozen.trainable_weights
    unwrapped = keras.Model(inputs, below(inputs))
    still = np.array(below(images, training=False))
    assert np.abs(unwrapped(images, training=True) - still).max() > 0.05 * np.abs(still).max(), "workaround not needed"


def test_cut_points_of_a_base_that_is_in_no_table():
    inputs = keras.Input((16, 16, 3))
    first = keras.layers.Conv2D(4, 3, name="first")(inputs)
    side = keras.layers.Conv2D(4, 1, name="side")(first)
    joined = keras.layers.Add(name="joined")([first, side])
    base = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="last")(joined))
    assert cut_points(base) == (Block("all", ""), Block("side", "<side"), Block("last", "<last"))
