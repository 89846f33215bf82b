import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.network import own_base, weights
from keras_transfer.network.bases import REGISTERED
from keras_transfer.network.cut import cut
from keras_transfer.network.network import Network, build
from keras_transfer.network.precision import every_layer
from keras_transfer.recipe.recipe import Recipe
from tests.network.registered_models import (
    SIZE,
    activated,
    convolutional,
    forgetting,
    load,
    scale_class,
    vision_transformer,
)

pytestmark = pytest.mark.once  # What versions change of it, the tests of own bases show.

QUIET = kt.Progress(quiet=True)
OPTIONS = {"base": "mine", "thaw": "2", "fine_tune_epochs": 1, "views": 1}


@pytest.fixture(autouse=True)
def _as_before():
    with forgetting():
        yield


def pixels(size=SIZE):
    return np.random.default_rng(0).uniform(0, 255, (2, size, size, 3)).astype("float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "VGG-16"}, "the table has a base 'vgg16' already"),
        ({"name": "my/base"}, "a name has letters, digits, - and _ only. Received: 'my/base'"),
        ({"name": "mine.keras"}, "a name has letters"),
        ({"name": "head"}, "'head' is the name of another part of the network"),
        ({"build": "mine"}, r"build must be a function of the input side, .*\. Received: 'mine'"),
        ({"build": type("Model", (), {"layers": [], "__call__": print})()}, r"as `lambda size: model`\. Received"),
        ({"name": 7}, "a name has letters, digits, - and _ only. Received: 7"),
        ({"blocks": ["stem", "body"]}, r"blocks must give, by each .*Received: \['stem', 'body'\]"),
        ({"blocks": {"stem": None}}, r"blocks must give, by each .*Received: {'stem': None}"),
        ({"top": "body"}, "give blocks too. Received: 'body'"),
        ({"size": "224"}, "size must be the input side in pixels, 16 at least. Received: '224'"),
        ({"preprocessing": "tff"}, "must be one of none, tf, torch, caffe; .*Received: 'tff'"),
        ({"blocks": {"all": ""}}, "'all' means something else to `thaw`"),
        ({"blocks": {"stem": "", "body": "pool"}, "top": "bodi"}, "Received: 'bodi'. Did you mean 'body'"),
    ],
)
def test_a_wrong_argument_is_told_at_once(arguments, message):
    with pytest.raises(kt.UsageError, match=message):
        kt.register_base(**{"name": "mine", "build": vision_transformer, "size": SIZE} | arguments)
    assert not REGISTERED


def test_blocks_that_were_named_are_what_can_be_thawed():
    kt.register_base("My-ViT", vision_transformer, size=SIZE, blocks={"patches": "", "upper": "attended1"})
    with pytest.raises(kt.UsageError, match=r"--thaw: My-ViT has no block 'uper'[.] Did you mean 'upper'"):
        kt.fit("/none", base="my_vit", thaw="uper")
    spec = load("my_vit").spec
    assert (spec.name, spec.top, spec.thawed("2").name, spec.thawed("1").name) == (
        "My-ViT",
        "upper",
        "patches",
        "upper",
    )
    assert (spec.features, spec.parameters) == (16, vision_transformer(SIZE).count_params())
    assert weights.native_size("my_vit") == SIZE


def test_without_named_blocks_each_layer_that_can_be_cut_below_opens_one_and_the_last_quarter_is_the_top():
    def chain(size):
        inputs = x = keras.Input((size, size, 3))
        for number in range(12):
            x = layers.Conv2D(2, 1, name=f"conv{number}")(x)
        return keras.Model(inputs, x)

    kt.register_base("mine", chain, size=SIZE)
    spec = load().spec
    assert [block.name for block in spec.blocks] == ["all", *(f"conv{number}" for number in range(1, 12))]
    assert spec.top == "conv9"


@pytest.mark.parametrize("make", [convolutional, vision_transformer])
def test_a_base_gives_what_its_model_gives_wherever_it_is_cut(make):
    model = make(SIZE)
    kt.register_base("mine", lambda size: model, size=SIZE)
    pretrained = load()
    expected = np.asarray(model(pixels(), training=False))
    np.testing.assert_allclose(pretrained.base(pixels()), expected, atol=1e-5)
    whole = build(pretrained.base, pretrained.spec, Recipe(), 3)
    logits = whole.logits()(pixels())
    assert len(pretrained.spec.blocks) > 2
    for block in pretrained.spec.blocks:
        parts = cut(whole, block)
        np.testing.assert_allclose(parts.above(parts.below(pixels())), logits, atol=1e-4)


def test_all_of_a_model_that_was_frozen_can_be_trained_but_statistics():
    model = convolutional()
    model.trainable = False
    kt.register_base("mine", lambda size: model, size=SIZE)
    pretrained = load()
    build(pretrained.base, pretrained.spec, Recipe(), 3)
    kinds = [type(layer).__name__ for layer in every_layer(pretrained.base) if layer.trainable_weights]
    assert kinds.count("Conv2D") == 3
    normalisation = pretrained.base.get_layer("scaled").normalise
    before = normalisation.get_weights()
    pretrained.base(pixels(), training=True)
    for value, kept in zip(normalisation.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    assert not model.trainable


def test_random_weights_are_drawn_anew_by_the_seed():
    kt.register_base("mine", convolutional, size=SIZE)
    drawn = [load(given=given, seed=seed) for given, seed in (("imagenet", 0), ("random", 0), ("random", 1))]
    kernels = [pretrained.base.get_layer("conv2d").get_weights()[0] for pretrained in drawn]
    assert [pretrained.weights for pretrained in drawn] == ["as built", "random", "random"]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(kernels[one] - kernels[other]).max() > 0.01
    np.testing.assert_array_equal(load(given="random", seed=1).base.get_layer("conv2d").get_weights()[0], kernels[2])


@pytest.mark.parametrize("form", ["mine.weights.h5", "mine.keras", "model.keras"])
def test_weights_come_from_files_of_the_model_and_from_an_earlier_run(form, tmp_path):
    kt.register_base("mine", convolutional, size=SIZE)
    trained = convolutional()
    expected = np.asarray(trained(pixels()))
    if form == "mine.weights.h5":
        trained.save_weights(tmp_path / form)
    elif form == "mine.keras":
        trained.save(tmp_path / form)
    else:
        kt.register_base("trained", lambda size: trained, size=SIZE)
        pretrained = load("trained")
        build(pretrained.base, pretrained.spec, Recipe(), 3).classifier().save(tmp_path / form)
    assert np.abs(load().base(pixels()) - expected).max() > 1e-3
    loaded = load(given=tmp_path / form)
    np.testing.assert_allclose(loaded.base(pixels()), expected, atol=1e-5)
    assert loaded.weights == str(tmp_path / form)


def test_weights_of_another_model_are_refused_and_leave_the_users_model_as_it_was(tmp_path):
    model = convolutional()
    before = model.get_weights()
    kt.register_base("mine", lambda size: model, size=SIZE)
    for form in ("other.weights.h5", "other.keras"):
        other = vision_transformer(SIZE)
        (other.save_weights if form.endswith(".h5") else other.save)(tmp_path / form)
        with pytest.raises(kt.UserError, match=r"--weights: .* does not fit mine"):
            load(given=tmp_path / form)
    convolutional().save_weights(tmp_path / "fits.weights.h5")
    load(given=tmp_path / "fits.weights.h5")
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def raising(size):
    raise FileNotFoundError("no preset in this folder")


def subclassed(size):
    return type("Own", (keras.Model,), {"call": lambda self, x: x})()


def tokens(size):
    model = vision_transformer(size)
    return keras.Model(model.input, model.get_layer("attended2").output)


def two_maps(size):
    model = vision_transformer(size)
    return keras.Model(model.input, [model.output, model.get_layer("patches").output])


def with_lambda(size):
    inputs = keras.Input((size, size, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3)(layers.Lambda(lambda x: x / 255, name="scaled")(inputs)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (raising, r"build\(24\) of mine failed: FileNotFoundError: no preset in this folder"),
        (lambda size: None, r"must return a functional or Sequential keras.Model .* Received: NoneType"),
        (subclassed, "Received: Own"),
        (lambda size: keras.Sequential([layers.Conv2D(4, 3)]), "Received: Sequential"),
        (tokens, r"mine must give a feature map \[N, h, w, C\]. It gives anyx9x16: let the model end with"),
        (two_maps, "mine has 2 outputs"),
        (with_lambda, "layer 'scaled' of mine is a Lambda"),
        (lambda size: convolutional(size, scale_class(serializable=False)), r"layer 'scaled' of mine cannot be saved .*"
         r"class 'Scaled'\): decorate classes and functions of your own with @keras.saving.register_keras"),
        (lambda size: activated(raising), r"layer 'conv' of mine cannot be saved and loaded \(Could not [^{}]*\): dec"),
        (lambda size: vision_transformer(40), "--size: mine takes images of 40 px. Received: 24"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_a_base_is_refused_in_one_line(make, message):
    kt.register_base("mine", make, size=SIZE)
    with pytest.raises(kt.UserError, match=message) as refusal:
        load()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"top": "atended1"}, "mine has no layer 'atended1', at which block 'top' begins. Did you mean 'attended1'"),
        ({"top": "attended2", "low": "attended1"}, "'low', at 'attended1', does not lie above the one before it"),
        ({"top": "map"}, "'top', at 'map', holds nothing"),
    ],
)
def test_blocks_that_the_model_does_not_have_are_refused(blocks, message):
    kt.register_base("mine", vision_transformer, size=SIZE, blocks=blocks)
    with pytest.raises(kt.UsageError, match=message):
        load()


def test_a_transformer_in_a_file_is_not_taken_for_its_patches(tmp_path):
    tokens(SIZE).save(tmp_path / "vit.keras")
    with pytest.raises(kt.UserError, match="must give a feature map"):
        own_base.from_file(tmp_path / "vit.keras", SIZE)


@pytest.fixture(scope="module")
def fitted(photos, tmp_path_factory):
    """A version of a registered base with a layer of the user's own, fine-tuned, and what the run said."""
    lines = []
    progress = kt.Progress(quiet=True)
    progress.say = progress.warn = lines.append
    with forgetting():
        register()
        return kt.fit(photos, progress=progress, output=str(tmp_path_factory.mktemp("models") / "m"), **OPTIONS), lines


def register():
    kt.register_base("mine", convolutional, size=SIZE, blocks={"stem": "", "body": "conv2d", "top": "conv2d_1"})


def test_pixels_that_nobody_scales_are_told():
    kt.register_base("mine", lambda size: activated("relu"), size=SIZE)
    pretrained = load()
    assert pretrained.caution.startswith("mine is given pixels 0..255, for it scales none.")
    kt.register_base("mine", lambda size: activated("relu"), size=SIZE, preprocessing="tf")
    unscaled, pretrained = pretrained, load()
    assert not pretrained.caution
    assert pretrained.key != unscaled.key, "activations of the same network by other pixels"
    prepared = build(pretrained.base, pretrained.spec, Recipe(), 3).prepare(pixels())
    np.testing.assert_allclose(prepared, pixels() / 127.5 - 1, atol=1e-5)


def test_a_registered_base_is_fitted(fitted):
    version, lines = fitted
    metrics = version.metrics
    assert (metrics["base"], metrics["weights"], metrics["size"]) == ("mine", "as built", SIZE)
    assert [phase["name"] for phase in metrics["phases"]][:2] == ["head", "fine-tune"]
    assert any("mine, weights as built, 24 px" in line for line in lines)
    assert not any("pixels 0..255" in line for line in lines), "it scales them itself"
    card = (version.folder / "assets.extra" / "README.md").read_text("utf-8")
    assert "Not known here: the base was registered" in card


def test_a_second_run_finds_the_activations_of_the_first(fitted, photos, tmp_path):
    register()
    again = kt.fit(photos, progress=QUIET, output=str(tmp_path / "m"), **OPTIONS)
    assert again.metrics["engine"] == "cache"


def test_a_version_is_used_where_its_base_is_not_registered(fitted, tmp_path):
    version = fitted[0]
    assert kt.load(version.folder).predict(np.zeros((24, 24, 3), "uint8"))[0].label
    assert kt.evaluate(version.folder)["images"] == version.metrics["test"]["images"]
    with pytest.raises(kt.UserError, match=r"model.keras cannot be loaded .*does not know its 'Scaled': first run the"):
        kt.export(version.folder, "keras", output=tmp_path / "exported.keras", progress=QUIET)
    with pytest.raises(kt.UsageError, match=r"there is no base 'mine'.* must first be registered, .*register_base"):
        kt.fit(kt.load_recipe(version.folder), progress=QUIET)
    scale_class()
    assert kt.export(version.folder, "keras", output=tmp_path / "exported.keras", progress=QUIET).agreement == 1


def test_an_earlier_run_is_trained_on_once_its_base_is_registered(fitted, photos):
    file = fitted[0].folder / "assets.extra" / "model.keras"
    kt.register_base("mine", lambda size: convolutional(size, scale_class(serializable=False)), size=SIZE)
    with pytest.raises(kt.UserError, match="cannot be saved and loaded"):
        load(given=file)
    register()
    loaded = load(given=file, seed=1).base(pixels())
    trained = Network.load(file).base(pixels())
    np.testing.assert_allclose(loaded, trained, atol=1e-5)
    assert np.abs(load(seed=1).base(pixels()) - trained).max() > 1e-3
    features = kt.features(photos, progress=QUIET, base="mine", weights=str(fitted[0].folder))
    assert str(features["weights"]).endswith("model.keras")
