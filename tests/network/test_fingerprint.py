import keras
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.network.fingerprint import fingerprint
from keras_transfer.network.graph import names_from_the_start
from tests.network.registered_models import SIZE, activated, convolutional, forgetting, load, scale_class

pytestmark = pytest.mark.once  # What versions change of it, the tests of own bases show.

FACTOR = 1  # That a layer reads.


@pytest.fixture(autouse=True)
def _as_before():
    with forgetting():
        yield


def test_a_base_has_the_same_names_and_key_however_often_it_is_built():
    """By its key activations are stored, and by its names blocks are thawed."""
    kt.register_base("mine", convolutional, size=SIZE)
    first = load()
    layers.Conv2D(1, 1)
    second = load()
    assert first.key == second.key
    assert [block.name for block in first.spec.blocks] == [block.name for block in second.spec.blocks]


def test_bases_of_one_name_whose_code_was_edited_have_their_own_keys():
    """For all that is stored of them has the same configuration."""
    by_class, by_function = [], []
    for factor in (0.5, 0.25, 0.5):
        kind = scale_class(factor)
        kt.register_base("mine", lambda size, kind=kind: convolutional(size, kind), size=SIZE)
        by_class.append(load().key)
        function = {0.5: lambda x: 0.5 * x, 0.25: lambda x: 0.25 * x}[factor]
        function.__name__ = "activation"
        keras.saving.register_keras_serializable("mine")(function)
        kt.register_base("mine", lambda size, function=function: activated(function), size=SIZE)
        by_function.append(load().key)
    for keys in (by_class, by_function):
        assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("place", ["class", "global", "closure", "default", "property"])
def test_what_the_code_of_a_layer_reads_counts_as_its_code(place, monkeypatch):
    keys = []
    for factor in (0.5, 0.25, 0.5):
        monkeypatch.setitem(globals(), "FACTOR", factor if place == "global" else 1)
        default = factor if place == "default" else 1

        class Scaled(layers.Layer):
            factor = 1

            def call(self, x, default=default):
                return x * self.factor * self.own * default * FACTOR

            own = property(lambda self: 1)

        if place == "closure":
            Scaled.call = (lambda inner: lambda self, x: x * inner)(factor)
        elif place == "class":
            Scaled.factor = factor
        elif place == "property":
            Scaled.own = property((lambda self: 0.5 * 1) if factor == 0.5 else (lambda self: 0.25 * 1))
        keras.saving.register_keras_serializable("mine")(Scaled)
        with names_from_the_start():
            keys.append(fingerprint(keras.Sequential([keras.Input((SIZE, SIZE, 3)), Scaled()], name="mine")))
    assert keys[0] == keys[2] != keys[1]
