import itertools

import keras
import numpy as np
import pytest

from keras_transfer.network.bases import find
from keras_transfer.network.graph import call_each, calls, gflops
from tests.network.conftest import base


def nested():
    inner_inputs = keras.Input((4,))
    inner = keras.Model(inner_inputs, keras.layers.Dense(2, name="within")(inner_inputs), name="inner")
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    return keras.Model(inputs, inner(shared(shared(inputs)))), inner


def test_the_calls_of_a_model_are_told_in_order():
    network, inner = nested()
    steps = calls(network)
    assert [step.operation.name for step in steps][1:] == ["shared", "shared", "inner"]
    assert steps[-1].operation is inner
    for before, after in itertools.pairwise(steps):
        assert after.inputs[0] is before.outputs[0]


def test_each_step_is_called_on_other_tensors():
    _, inner = nested()
    names = []

    def call(operation, *args, **kwargs):
        names.append(operation.name)
        return operation(*args, **kwargs)

    inputs = keras.Input((4,))
    middle = keras.layers.Rescaling(2.0)(inputs)
    outputs = call_each(inner, [middle], call)
    assert names == ["within"]
    given = np.ones((3, 4), "float32")
    np.testing.assert_allclose(keras.Model(inputs, outputs)(given), inner(2 * given), rtol=1e-6)


@pytest.mark.parametrize("name", ["mobilenet", "mobilenetv3small"])
def test_what_a_model_costs_is_counted(name):
    spec = find(name)
    assert gflops(base(name, spec.size)) == pytest.approx(spec.gflops, rel=0.1)


@pytest.mark.once
def test_keras_tells_neither_in_public():
    """When this fails, the module that reads Keras's private parts can do without them."""
    inputs = keras.Input((4,))
    middle = keras.layers.Rescaling(2.0)(inputs)
    assert not hasattr(middle, "history")
    assert not hasattr(keras.layers.Rescaling(2.0), "inbound_nodes")
    clone = keras.models.clone_model(
        nested()[1], middle, clone_function=lambda layer: layer, call_function=lambda layer, x: layer(x)
    )
    with pytest.raises((KeyError, ValueError)):
        keras.Model(inputs, clone.outputs)(np.ones((3, 4), "float32"))
