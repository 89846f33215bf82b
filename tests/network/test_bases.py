import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_transfer.network import imagenet, weights
from keras_transfer.network.bases import TABLE, bases, check_base, find
from keras_transfer.network.cut import cut_tensors
from keras_transfer.network.network import preparation
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, nearest
from tests.conftest import once

FAMILIES = (
    "vgg16", "resnet50", "mobilenet", "mobilenetv2", "mobilenetv3small", "efficientnetb0",
    *once("resnet50v2", "xception", "inceptionv3", "mobilenetv3large", "densenet121", "nasnetmobile",
          "efficientnetv2b0", "convnexttiny"),
)  # fmt: skip


def test_the_table_holds_every_image_base_of_keras():
    constructors = {name for name in dir(keras.applications) if callable(getattr(keras.applications, name))}
    assert {spec.constructor for spec in bases()} == constructors


def test_listing_does_not_import_tensorflow():
    code = (
        "import sys, keras_transfer as kt; kt.register_base('mine', len, size=24); kt.bases(); kt.Recipe(base='mine');"
        "print('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("name", FAMILIES)
def test_the_table_says_what_a_network_is(name):
    spec = find(name)
    base = weights.load(name, "random", spec.least_size, 0).base
    assert base.count_params() == spec.parameters
    assert base.output_shape[-1] == spec.features
    assert spec.top in [block.name for block in spec.blocks]
    sizes = [len(cut_tensors(base, block.boundary)[1]) for block in spec.blocks]
    assert sizes[0] == len(base.layers) - 1, "the lowest block thaws all but the input"
    assert sizes == sorted(set(sizes), reverse=True), "each block thaws less than the one below it"


@pytest.mark.parametrize("spec", bases(), ids=lambda spec: spec.name)
def test_preprocessing_is_that_of_keras(spec):
    module = {
        "EfficientNetV2": "efficientnet_v2",
        "EfficientNet": "efficientnet",
        "ConvNeXt": "convnext",
        "DenseNet": "densenet",
        "NASNet": "nasnet",
        "MobileNetV3": "mobilenet_v3",
        "MobileNetV2": "mobilenet_v2",
        "MobileNet": "mobilenet",
        "InceptionResNetV2": "inception_resnet_v2",
        "InceptionV3": "inception_v3",
        "Xception": "xception",
        "VGG16": "vgg16",
        "VGG19": "vgg19",
    }
    name = next((module[prefix] for prefix in module if spec.constructor.startswith(prefix)), None)
    name = name or ("resnet_v2" if spec.constructor.endswith("V2") else "resnet")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    expected = getattr(keras.applications, name).preprocess_input(pixels.copy())
    np.testing.assert_allclose(preparation(spec.preprocessing, (8, 8, 3))(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg16", "resnet50v2", "xception", "mobilenet", "mobilenetv2", "mobilenetv3small"])
def test_imagenet_weights_are_where_keras_looks_for_them(name, monkeypatch, tmp_path):
    base, asked = find(name), []

    def stop(fname, origin, **options):
        asked.append((origin, fname))
        raise EOFError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", stop)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for size in (128, 160, 224) if name in ("mobilenet", "mobilenetv2") else (base.size,):
        with pytest.raises(EOFError):
            weights.load(name, "imagenet", size, 0)
        assert asked[-1] == (imagenet.address(name, size), imagenet.file(name, size).name)
        assert imagenet.file(name, size).parent == tmp_path / "models"


def test_three_bases_are_marked_to_start_with_one_a_use():
    marked = [base for base in bases() if base.start_here]
    assert [base.use for base in marked] == list(dict.fromkeys(base.use for base in bases()))
    assert len(marked) == 3


@pytest.mark.parametrize(
    ("word", "allowed", "meant"),
    [("resnet18", TABLE, "resnet50"), ("ResNet-18", TABLE, "resnet50"), ("mean", ("avg", "max", "flatten"), "avg")],
)
def test_a_hint_goes_by_meaning_where_letters_mislead(word, allowed, meant):
    assert nearest(word, allowed) == f" Did you mean {meant!r}?"


def test_names_are_found_however_they_are_written():
    assert find("VGG16") is find("vgg-16") is TABLE["vgg16"]
    with pytest.raises(UsageError, match="Did you mean 'resnet50'"):
        find("resnet5")


def test_thaw_takes_a_number_a_name_or_a_word():
    spec = find("resnet50")
    assert spec.thawed("2").name == "conv4"
    assert spec.thawed("conv3").name == "conv3"
    assert spec.thawed("auto").name == "conv5"
    assert spec.thawed("none") is None
    assert spec.thawed("all").boundary == ""
    with pytest.raises(UsageError, match="has 5 blocks"):
        spec.thawed("9")
    with pytest.raises(UsageError, match="Did you mean 'conv5'"):
        spec.thawed("con5")


def test_a_size_that_is_too_small_is_refused_at_once():
    with pytest.raises(UsageError, match="--size: xception takes images of at least 71 px"):
        check_base(Recipe(base="xception", size=64))
    assert check_base(Recipe(base="xception", size=71)).size == 71
