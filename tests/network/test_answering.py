import keras
import numpy as np
import pytest

from keras_transfer.network.answering import answer


class Traced(keras.layers.Layer):
    """Adds both of its inputs, and remembers for how many rows that was traced."""

    rows = ()

    def call(self, inputs):
        self.rows += (inputs[0].shape[0],)
        return inputs[0] + inputs[1]


@pytest.mark.parametrize("sizes", [(4, 4, 3), (4, 1, 2)])
def test_a_short_last_batch_is_not_traced_anew(sizes):
    inputs, layer = [keras.Input((2,)), keras.Input((2,))], Traced()
    model = keras.Model(inputs, [layer(inputs), inputs[0]])
    layer.rows = ()
    for rows in sizes:
        one, other = np.random.default_rng(0).random((2, rows, 2), "float32")
        total, same = answer(model, [one, other], sizes[0])
        np.testing.assert_array_equal(total, one + other)
        np.testing.assert_array_equal(same, one)
    assert set(layer.rows) == {4}
