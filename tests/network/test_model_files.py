import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from keras_transfer.network import model_files, own_base, weights
from keras_transfer.support.errors import UserError

SIZE = 24


def extractor():
    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3, name="conv")(layers.ZeroPadding2D(2, name="padding")(inputs)))


def changed(tmp_path, change, suffix=".keras"):
    """Save an extractor and change its configuration in the file."""
    file = tmp_path / f"mine{suffix}"
    extractor().save(file)
    if suffix == ".h5":
        with h5py.File(file, "r+") as stream:
            stream.attrs["model_config"] = change(stream.attrs["model_config"])
        return file
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = change(members["config.json"].decode())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def terabytes(text):
    config = json.loads(text)
    next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")["config"]["filters"] = 10**11
    return json.dumps(config)


def wide(text):
    config = json.loads(text)
    layer = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "ZeroPadding2D")
    layer["config"]["padding"] = [[10**6, 10**6], [10**6, 10**6]]
    return json.dumps(config)


def deep(text):
    return '{"config":' * 5000 + text + "}" * 5000


def long(text):
    return text + " " * 20_000_000


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (terabytes, "asks for more weights than it holds"),
        (deep, "nested too deeply"),
        (wide, "'padding' makes 2000024x"),
    ],
)
def test_a_configuration_that_asks_for_too_much_is_refused_at_once(change, words, suffix, tmp_path):
    file, begun = changed(tmp_path, change, suffix), time.monotonic()
    with pytest.raises(UserError, match=words) as caught:
        own_base.from_file(file, SIZE)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(file))
    assert time.monotonic() - begun < 10


def test_a_configuration_that_unpacks_to_much_is_not_read(tmp_path):
    with pytest.raises(UserError, match="its configuration has 20 MB"):
        model_files.input_side(changed(tmp_path, long))


def test_program_code_in_a_file_is_refused(tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    network = keras.Model(inputs, layers.Conv2D(4, 3)(layers.Lambda(lambda x: x / 255)(inputs)))
    for name in ("mine.keras", "mine.h5"):
        network.save(tmp_path / name)
        with pytest.raises(UserError, match="Lambda"):
            own_base.from_file(tmp_path / name, SIZE)


def test_weights_of_a_keras_file_that_lie_elsewhere_are_refused(tmp_path):
    extractor().save(tmp_path / "mine.keras")
    with zipfile.ZipFile(tmp_path / "mine.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
        members = {name: archive.read(name) for name in archive.namelist()}
    with h5py.File(tmp_path / "model.weights.h5", "r+") as stream:
        del stream["layers/conv2d/vars/0"]
        stream["layers/conv2d/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")
    members["model.weights.h5"] = (tmp_path / "model.weights.h5").read_bytes()
    with zipfile.ZipFile(tmp_path / "mine.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(
        UserError, match=r"mine\.keras is refused: 'layers/conv2d/vars/0' in it is a link to '/etc/passwd"
    ):
        own_base.from_file(tmp_path / "mine.keras", SIZE)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_side_of_the_images_is_read_without_building_the_model(suffix, tmp_path):
    nested = keras.Sequential([extractor(), layers.GlobalAveragePooling2D()])
    nested.save(tmp_path / f"nested{suffix}")
    assert model_files.input_side(tmp_path / f"nested{suffix}") == SIZE
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, layers.Conv2D(4, 3)(inputs)).save(tmp_path / f"any{suffix}")
    assert weights.native_size(str(tmp_path / f"any{suffix}")) == 224


def test_weights_alone_are_no_base(tmp_path):
    extractor().save_weights(tmp_path / "mine.weights.h5")
    with pytest.raises(UserError, match="holds weights without a network"):
        own_base.from_file(tmp_path / "mine.weights.h5", SIZE)


def as_keras2(text):
    """Turn a configuration into that of Keras 2, which numbers the calls of nested models from 1."""

    def layer(part):
        config = dict(part["config"])
        shape = config.pop("batch_shape", None)
        if part["class_name"] == "InputLayer":
            return {"class_name": "InputLayer", "config": {"batch_input_shape": shape, "name": config["name"]}}
        if "layers" in config:
            config = model(part)["config"]
        else:
            config["dtype"] = "float32"
            config.pop("quantization_config", None)
        return {"class_name": part["class_name"], "config": {**config, **EXTRA.get(part["class_name"], {})}}

    def model(part):
        parts, before, calls = [], None, 0
        for inner in part["config"]["layers"]:
            changed = {**layer(inner), "name": inner["config"]["name"], "inbound_nodes": []}
            if before:
                changed["inbound_nodes"] = [[[before, calls, 0, {}]]]
            before, calls = changed["name"], int("layers" in changed["config"])
            parts.append(changed)
        ends = {"input_layers": [[parts[0]["name"], 0, 0]], "output_layers": [[before, calls, 0]]}
        return {"class_name": "Functional", "config": {"name": part["config"]["name"], "layers": parts, **ends}}

    return json.dumps(model(json.loads(text)))


EXTRA = {"DepthwiseConv2D": {"groups": 1}, "SeparableConv2D": {"groups": 1, "kernel_initializer": None}}


def test_a_keras_file_of_keras_2_that_cannot_be_loaded_says_what_to_do(tmp_path):
    file = changed(tmp_path, as_keras2)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = b'{"keras_version": "2.15.0", "date_saved": ""}'
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(
        UserError, match=r"mine\.keras was written by Keras 2\.15\.0, .* save it as \.h5, and give that"
    ):
        own_base.from_file(file, SIZE)


def test_a_whole_classifier_of_keras_2_gives_its_base(tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.DepthwiseConv2D(3, name="depthwise")(layers.Conv2D(4, 3, name="conv")(inputs))
    inner = keras.Model(inputs, layers.SeparableConv2D(5, 3, name="separable")(x), name="inner")
    outer = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D(name="pool")(inner(layers.Rescaling(1 / 255, name="rescaling")(outer)))
    whole = keras.Model(outer, layers.Dense(2, name="dense")(x))
    whole.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as stream:
        stream.attrs["model_config"] = as_keras2(stream.attrs["model_config"])
    pixels = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    base = own_base.from_file(tmp_path / "old.h5", SIZE)
    np.testing.assert_allclose(base(pixels), inner(pixels / 255), atol=1e-5)
    assert type(base.get_layer("depthwise")) is layers.DepthwiseConv2D


def test_a_model_that_another_thread_builds_meanwhile_counts_for_no_file(tmp_path, monkeypatch):
    extractor().save(tmp_path / "mine.keras")
    load = keras.models.load_model

    def busy(*args, **options):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(layers.Dense(3_000).build, (None, 1_000)).result()
        return load(*args, **options)

    monkeypatch.setattr(keras.models, "load_model", busy)
    assert len(model_files.load_model(tmp_path / "mine.keras").layers) == 3
