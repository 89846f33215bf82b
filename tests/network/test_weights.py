import functools
import itertools
import os
import signal
from contextlib import suppress

import h5py
import keras
import numpy as np
import pytest

from keras_transfer.network import h5, weights
from keras_transfer.network.network import build
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import progress
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.versions.folders import with_weights_file
from tests.conftest import once

SIZE = 75


def layers_with_weights(network):
    return [layer for layer in network.layers if layer.weights]


def write_official(file, network, inside=None):
    """Write the layout of the `.h5` files at keras.io: layer names, and under each its weights' names."""
    with h5py.File(file, "w") as stream:
        group = stream.create_group(inside) if inside else stream
        group.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            part = group.create_group(layer.name)
            names = [f"{layer.name}/{number}:0" for number in range(len(layer.weights))]
            part.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                part[name] = value
    return file


@functools.cache  # Some have hundreds of layers, and take seconds to build.
def construct(name, top):
    keras.utils.set_random_seed(1)
    options = {"input_shape": (SIZE, SIZE, 3)} if not top else {"input_shape": (SIZE, SIZE, 3), "classes": 7}
    return getattr(keras.applications, name)(weights=None, include_top=top, **options)


FORMATS = ("official.h5", "whole.h5", "new.weights.h5", "model.keras")


@pytest.mark.parametrize(
    ("name", "kind", "top"),
    [
        *itertools.product(["MobileNet"], FORMATS, [False, True]),
        # Two whose layers are in another order, or under other names, from one construction to the next.
        ("InceptionV3", "official.h5", True),
        *once(("InceptionV3", "new.weights.h5", False), ("InceptionV3", "model.keras", False)),
        *once(*(("ResNet50", kind, False) for kind in FORMATS), ("ResNet50", "official.h5", True)),
    ],
)
def test_weights_of_a_file_are_the_bases(name, kind, top, tmp_path):
    network = construct(name, top)
    file = tmp_path / kind
    if kind == "official.h5":
        write_official(file, network)
    elif kind == "whole.h5":
        write_official(file, network, "model_weights")
    elif kind == "new.weights.h5":
        network.save_weights(file)
    else:
        network.save(file)
    loaded = weights.load(name.lower(), str(file), SIZE, 0).base
    expected = [value for layer in layers_with_weights(network) for value in layer.get_weights()]
    arrays = [value for layer in layers_with_weights(loaded) for value in layer.get_weights()]
    assert len(arrays) <= len(expected)
    for actual, right in zip(arrays, expected, strict=False):
        np.testing.assert_array_equal(actual, right)


def classifier(base, layout):
    """The guides' classifiers: the base as one layer between others, or its layers among those of the whole."""
    inputs = keras.Input((SIZE, SIZE, 3))
    layers = keras.layers
    if layout == "flat":
        return keras.Model(base.input, layers.Dense(5)(layers.GlobalAveragePooling2D()(base.output)))
    if layout == "sequential":
        return keras.Sequential([inputs, base, layers.GlobalAveragePooling2D(), layers.Dense(5)])
    x = keras.Sequential([layers.RandomFlip("horizontal")])(inputs)
    if layout == "layers before":
        x = layers.Conv2D(3, 1)(layers.BatchNormalization()(x))
    x = base(layers.Rescaling(1 / 127.5, -1)(x), training=False)
    return keras.Model(inputs, layers.Dense(5)(layers.Dense(7)(layers.GlobalAveragePooling2D()(x))))


@pytest.mark.parametrize("thawed", ["nothing", "some", "all"])
@pytest.mark.parametrize("layout", ["nested", "sequential", "flat", "layers before"])
def test_a_whole_classifier_gives_the_base_its_weights(layout, thawed, tmp_path):
    base = construct("MobileNet", False)
    base.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in base.get_weights()])
    base.trainable = True
    base.trainable = thawed != "nothing"
    for layer in base.layers[:-10] if thawed == "some" else ():
        layer.trainable = False
    expected = base.get_weights()
    classifier(base, layout).save(tmp_path / "whole.h5")
    loaded = weights.load("mobilenet", str(tmp_path / "whole.h5"), SIZE, 0).base
    for actual, wanted in zip(loaded.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    if layout == "nested":
        with h5py.File(tmp_path / "whole.h5", "r+") as stream:
            del stream.attrs["model_config"]  # As `save_weights` writes it.
        loaded = weights.load("mobilenet", str(tmp_path / "whole.h5"), SIZE, 0).base
        np.testing.assert_array_equal(loaded.get_weights()[-1], expected[-1])


def test_a_whole_classifier_of_another_base_is_refused_in_a_short_line(tmp_path):
    classifier(
        keras.applications.MobileNet((SIZE, SIZE, 3), alpha=0.25, include_top=False, weights=None), "nested"
    ).save(tmp_path / "whole.h5")
    with pytest.raises(UserError, match=r"whole\.h5 does not fit .*'conv1' has 3x3x3x8, where 'conv1' needs") as caught:
        weights.load("mobilenet", str(tmp_path / "whole.h5"), SIZE, 0)
    assert len(str(caught.value)) <= 200


@pytest.mark.parametrize("kind", ["official.h5", "new.weights.h5", "model.keras"])
def test_weights_of_another_base_name_the_first_layer_that_does_not_fit(kind, tmp_path):
    network = construct("VGG16", False)
    file = tmp_path / kind
    if kind == "official.h5":
        write_official(file, network)
    elif kind == "new.weights.h5":
        network.save_weights(file)
    else:
        network.save(file)
    with pytest.raises(UserError, match=r"does not fit vgg19.*'?block3_conv4'?|does not fit mobilenet.*conv1"):
        weights.load("vgg19", str(file), SIZE, 0)
    with pytest.raises(UserError, match=r"does not fit mobilenet.*conv"):
        weights.load("mobilenet", str(file), SIZE, 0)


@pytest.mark.parametrize(("name", "content"), [("a.h5", b"junk"), ("a.keras", b"junk"), ("a.weights.h5", b"")])
def test_a_file_that_is_no_weights_is_said_in_one_line(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        weights.load("mobilenet", str(tmp_path / name), SIZE, 0)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_ctrl_c_that_is_lost_while_weights_are_read_comes_after_it(tmp_path, monkeypatch):
    network = construct("MobileNet", False)
    file = write_official(tmp_path / "official.h5", network)
    layers = h5.layers

    def losing(stream):
        with suppress(KeyboardInterrupt):  # As h5py does, called by HDF5.
            os.kill(os.getpid(), signal.SIGINT)
        return layers(stream)

    monkeypatch.setattr(h5, "layers", losing)
    with pytest.raises(KeyboardInterrupt):
        weights.load("mobilenet", str(file), SIZE, 0)


def test_a_missing_or_foreign_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        weights.load("mobilenet", str(tmp_path / "none.h5"), SIZE, 0)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match=r"no \.h5"):
        weights.load("mobilenet", str(tmp_path / "a.txt"), SIZE, 0)


def test_random_weights_follow_the_seed():
    one, same, other = (weights.load("mobilenet", "random", 32, seed).base.get_weights()[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            Exception(f"URL fetch failure on {ADDRESS}{FILE}: None -- [Errno -3] Temporary failure"),
            "no network: .Errno -3",
        ),
        (Exception(f"URL fetch failure on {ADDRESS}{FILE}: 404 -- Not Found"), "the server answers 404 Not Found"),
        (
            ValueError("Incomplete or corrupted file detected. The md5 file hash does not match the"),
            "the checksum of what",
        ),
        (TimeoutError("The read operation timed out"), "the download broke off: The read operation"),
    ],
)
def test_imagenet_weights_out_of_reach_say_why_and_where_to_put_them(error, reason, monkeypatch, tmp_path):
    def refuse(**options):
        raise error

    monkeypatch.setattr(keras.applications, "VGG16", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    words = rf"\({reason}.*\)\. Put {ADDRESS}{FILE} as {FILE} into {tmp_path}/models, .*--weights random\.$"
    with pytest.raises(weights.ImageNetUnavailable, match=words) as caught:
        weights.load("vgg16", "imagenet", 32, 0)
    assert "\n" not in str(caught.value)


def test_stored_weights_that_are_damaged_are_not_said_to_be_missing(monkeypatch, tmp_path):
    def refuse(**options):
        raise Exception(f"URL fetch failure on {ADDRESS}{FILE}: None -- [Errno -3] Temporary failure")

    monkeypatch.setattr(keras.applications, "VGG16", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / FILE).write_bytes(b"cut off")
    words = rf"^ImageNet weights of vgg16 stored in {FILE} have a wrong checksum, and cannot be downloaded \(no network"
    with pytest.raises(weights.ImageNetUnavailable, match=words):
        weights.load("vgg16", "imagenet", 32, 0)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_download_is_one_line_of_the_run_and_none_of_keras(quiet, monkeypatch, tmp_path, capfd):
    for folder in ("served", "keras"):
        (tmp_path / folder).mkdir()
    (tmp_path / "served" / FILE).write_bytes(b"weights")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(progress, "_WORTH_A_LINE", 0)
    construct = keras.applications.VGG16

    def fetch(weights=None, **options):
        folder = tmp_path / "keras"
        keras.utils.get_file(FILE, (tmp_path / "served" / FILE).as_uri(), cache_dir=folder, cache_subdir="models")
        return construct(weights=None, **options)

    monkeypatch.setattr(keras.applications, "VGG16", fetch)
    weights.load("vgg16", "imagenet", 32, 0, progress.Progress(quiet))
    assert (tmp_path / "keras" / "models" / FILE).exists()
    captured = capfd.readouterr()
    assert captured.out == ""
    steps = [line.partition(",")[0] for line in captured.err.splitlines()]
    assert steps == ([] if quiet else ["Downloading ImageNet weights of vgg16 (59 MB)"])
    assert keras.config.is_interactive_logging_enabled()


def test_what_is_no_failed_download_is_not_taken_for_one(monkeypatch):
    def fail(**options):
        raise ZeroDivisionError

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(ZeroDivisionError):
        weights.load("vgg16", "imagenet", 32, 0)


@pytest.mark.essential
def test_an_earlier_run_can_be_transferred_again(tmp_path):
    pretrained = weights.load("mobilenet", "random", 32, 1)
    version = tmp_path / "NAME" / "3"
    (version / "assets.extra").mkdir(parents=True)
    (version / "saved_model.pb").touch()
    whole = build(pretrained.base, pretrained.spec, Recipe(base="mobilenet", dense="16"), 3).classifier()
    whole.save(version / "assets.extra" / "model.keras")
    recipe = with_weights_file(Recipe(base="mobilenet", weights=str(tmp_path / "NAME")))
    loaded = weights.load("mobilenet", recipe.weights, 32, 5).base
    for one, other in zip(loaded.get_weights(), pretrained.base.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_keras_file_can_be_the_base(tmp_path):
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu", name="low")(inputs)
    keras.Model(inputs, keras.layers.Conv2D(8, 3, name="high")(x)).save(tmp_path / "mine.keras")
    pretrained = weights.load(str(tmp_path / "mine.keras"), "imagenet", 24, 0)
    assert weights.native_size(str(tmp_path / "mine.keras")) == 24
    assert pretrained.spec.name == "mine"
    assert [block.name for block in pretrained.spec.blocks] == ["all", "high"]
    assert weights.load(str(tmp_path / "mine.keras"), "imagenet", 32, 0).base.output_shape == (None, 28, 28, 8)


def test_bases_of_equal_weights_and_other_graphs_have_their_own_keys(tmp_path):
    """For their activations are stored."""
    keys = []
    for number, scale in enumerate((1 / 255, 1 / 127.5, 1 / 255)):
        inputs = keras.Input((24, 24, 3))
        x = keras.layers.Rescaling(scale, name="scale")(inputs)
        keras.Model(inputs, keras.layers.Conv2D(8, 3, name="conv")(x), name="mine").save(tmp_path / f"{number}.keras")
        keys.append(weights.load(str(tmp_path / f"{number}.keras"), "imagenet", 24, 0).key)
    assert keys[0] == keys[2] != keys[1]


def test_a_size_below_the_least_is_refused():
    with pytest.raises(UsageError, match="at least 75 px"):
        weights.load("inceptionv3", "random", 64, 0)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16"])
def test_a_base_that_was_trained_in_half_precision_computes_in_float32(tmp_path, policy):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="low", dtype=policy)(inputs)
    base = keras.Model(inputs, keras.layers.Conv2D(8, 3, name="high", dtype=policy)(x))
    base.save(tmp_path / "mine.keras")
    loaded = weights.load(str(tmp_path / "mine.keras"), "imagenet", 16, 0).base
    images = np.random.default_rng(0).uniform(0, 1, (2, 16, 16, 3)).astype("float32")
    answers = loaded(images)
    assert keras.backend.standardize_dtype(answers.dtype) == "float32"
    half = keras.ops.convert_to_numpy(keras.ops.cast(base(images), "float32"))
    np.testing.assert_allclose(answers, half, atol=0.02)
    assert np.abs(answers - half).max() > 1e-6


def test_weights_for_a_base_that_brings_its_own_are_refused(tmp_path):
    inputs = keras.Input((24, 24, 3))
    keras.Model(inputs, keras.layers.Conv2D(8, 3)(inputs)).save(tmp_path / "mine.keras")
    with pytest.raises(UsageError, match=r"--weights: .*mine\.keras brings its own. Received: 'w.h5'"):
        weights.load(str(tmp_path / "mine.keras"), "w.h5", 24, 0)
