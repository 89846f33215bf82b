import keras
import numpy as np

from keras_transfer.network.precision import computing_in, every_layer
from tests.network.conftest import network, pixels


def test_a_network_computes_in_half_precision_for_a_while():
    _, whole = network("mobilenetv3small", 32, dense="8")
    embedder, images = whole.embedder(), pixels(32)
    before = np.array(embedder(images))
    with computing_in("mixed_bfloat16", embedder):
        half = embedder(images)
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    difference = np.linalg.norm(np.array(half).astype("float32") - before)
    assert 1e-4 * np.linalg.norm(before) < difference < 0.05 * np.linalg.norm(before)
    assert {weight.dtype for weight in embedder.weights} == {"float32"}
    np.testing.assert_array_equal(embedder(images), before)


def test_a_layer_that_is_made_of_others_computes_in_half_precision_throughout():
    inputs = keras.Input((4, 8))
    whole = keras.Model(inputs, keras.layers.MultiHeadAttention(2, 4)(inputs, inputs))
    with computing_in("mixed_bfloat16", whole):
        assert {layer.compute_dtype for layer in every_layer(whole)} == {"bfloat16"}
    assert {layer.compute_dtype for layer in every_layer(whole)} == {"float32"}


def test_layers_keep_a_precision_that_is_their_own():
    inputs = keras.Input((4,))
    own, kept = keras.layers.Dense(2, dtype="mixed_float16"), keras.layers.Dense(2)
    whole = keras.Model(inputs, kept(own(inputs)))
    with computing_in("mixed_bfloat16", whole, keep_float32=[kept]):
        assert (whole.compute_dtype, own.compute_dtype, kept.compute_dtype) == ("bfloat16", "float16", "float32")
    assert (whole.compute_dtype, own.compute_dtype, kept.compute_dtype) == ("float32", "float16", "float32")
