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


def doubled(x):
    return 2 * x


@pytest.mark.parametrize("place", ["class", "global", "helper", "default"])
def test_what_the_code_of_a_layer_reads_or_calls_counts_as_its_code(place, monkeypatch):
    keys = []
    for factor in (0.5, 0.25, 0.5):
        own = {where: factor if where == place else 1 for where in ("class", "global", "helper", "default")}
        monkeypatch.setitem(globals(), "FACTOR", own["global"])
        monkeypatch.setitem(globals(), "doubled", lambda x, factor=2 * own["helper"]: factor * x)

        class Scaled(layers.Layer):
            factor = own["class"]

            def call(self, x, factor=own["default"]):
                return doubled(x) * self.factor * factor * FACTOR

        keras.saving.register_keras_serializable("mine")(Scaled)
        with names_from_the_start():
            keys.append(fingerprint(keras.Sequential([keras.Input((SIZE, SIZE, 3)), Scaled()], name="mine")))
    assert keys[0] == keys[2] != keys[1]
