from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_transfer.compute import engine
from keras_transfer.compute.device import ComputePlan
from keras_transfer.network import weights
from keras_transfer.network.bases import find
from keras_transfer.network.cut import cut
from keras_transfer.network.network import build
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress
from tests.conftest import once

PLAN = ComputePlan("cpu", "float32", None, "openvino")


def batches(size, count=5):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (rows, size, size, 3), "uint8") for rows in [4] * (count - 1) + [2]]


@pytest.mark.parametrize(
    ("name", "thaw"),
    [
        ("mobilenetv2", "auto"),
        ("mobilenetv3small", "auto"),
        # Two stages of these have all their kinds of layers, at less than half the time of the whole.
        *once(("vgg16", "block4"), ("resnet50", "auto"), ("densenet121", "conv3"), ("efficientnetb0", "block4"),
              ("convnexttiny", "stage2")),
    ],
)  # fmt: skip
def test_openvino_agrees_with_keras_and_keeps_the_order(name, thaw, capsys):
    pytest.importorskip("openvino")
    spec = find(name)
    whole = build(weights.load(name, "random", 64, 0).base, spec, Recipe(), 3)
    frozen = cut(whole, spec.thawed(thaw)).frozen
    given = batches(64)
    fast, first = engine.start(frozen, PLAN, given[0], Progress())
    assert fast.name == "openvino", capsys.readouterr().err
    slow, _ = engine.start(frozen, ComputePlan("cpu", "float32", None, "tensorflow"), given[0], Progress())
    for outputs, exact in zip([first, *fast.run(given[1:])], slow.run(given), strict=True):
        for actual, expected in zip(outputs, exact, strict=True):
            np.testing.assert_allclose(actual, expected, atol=1e-4 * np.abs(expected).max())


def test_tensorflow_traces_the_frozen_part_for_one_size_of_batch():
    class Traced(keras.layers.Layer):
        sizes = ()

        def call(self, inputs):
            self.sizes += (inputs.shape[0],)
            return inputs

    pixels, layer = keras.Input((8, 8, 3)), Traced()
    frozen = keras.Model(pixels, [keras.layers.GlobalAveragePooling2D()(layer(pixels))])
    given = batches(8)
    layer.sizes = ()
    chosen, first = engine.start(frozen, replace(PLAN, engine="tensorflow"), given[0], Progress())
    outputs = [first, *chosen.run(given[1:]), *chosen.run(given[-1:])]
    assert [len(embeddings) for (embeddings,) in outputs] == [4, 4, 4, 4, 2, 2]
    assert set(layer.sizes) == {4}


def test_a_gpu_takes_small_pictures_together():
    plan = replace(PLAN, engine="tensorflow")
    sizes = {device: [engine.batch_size(replace(plan, device=device), size) for size in (32, 96, 160, 224, 600)]
             for device in ("cpu", "gpu")}  # fmt: skip
    assert sizes == {"cpu": [16] * 5, "gpu": [64, 64, 31, 16, 16]}
    assert engine.batch_size(replace(PLAN, device="gpu", engine="openvino"), 32) == engine.BATCH, "it has one size"


@pytest.mark.parametrize("chosen", ["openvino", "tensorflow"])
@pytest.mark.parametrize("name", ["mobilenetv2", *once("mobilenetv3small", "resnet50")])
def test_both_compute_in_half_precision(name, chosen, capsys):
    pytest.importorskip(chosen)
    spec, given = find(name), batches(64)
    whole = build(weights.load(name, "random", 64, 0).base, spec, Recipe(), 3)
    frozen = cut(whole, spec.thawed("auto")).frozen
    half, _ = engine.start(frozen, ComputePlan("cpu", "bfloat16", None, chosen), given[0], Progress())
    assert half.name == chosen, capsys.readouterr().err
    outputs = next(half.run(given))
    exact = frozen(given[0].astype("float32"), training=False)
    for actual, expected in zip(outputs, map(np.array, keras.tree.flatten(exact)), strict=True):
        difference = np.linalg.norm(actual.astype("float32") - expected)
        assert difference < 0.05 * np.linalg.norm(expected)
        # OpenVINO computes in float32 where the processor has no bfloat16.
        assert chosen == "openvino" or difference > 1e-4 * np.linalg.norm(expected)


def test_tensorflow_takes_over_when_openvino_differs(capsys, monkeypatch):
    pytest.importorskip("openvino")
    pixels = keras.Input((8, 8, 3))
    frozen = keras.Model(pixels, [keras.layers.GlobalAveragePooling2D()(pixels)])
    monkeypatch.setitem(engine.TOLERANCE, "float32", -1.0)
    chosen, _ = engine.start(frozen, PLAN, batches(8)[0], Progress())
    assert chosen.name == "tensorflow"
    assert "differs from Keras" in capsys.readouterr().err


def test_tensorflow_takes_over_when_openvino_gives_no_numbers(capsys):
    pytest.importorskip("openvino")
    pixels = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(pixels)
    frozen = keras.Model(pixels, [pooled, keras.ops.log(pooled - 1000.0)])
    assert engine.start(frozen, PLAN, batches(8)[0], Progress())[0].name == "tensorflow"
    assert "differs from Keras by nan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Exception from core.cpp:84:\nCheck 'false' failed at a.cpp:1:\nSummary:\n-- No rule for: ResizeBicubic\n",
            "No rule",
        ),
        ("no such operation\nmore", "no such operation"),
        ("Exception from core.cpp:84:", "RuntimeError"),
    ],
)
def test_tensorflow_takes_over_when_conversion_fails_and_the_operation_is_named(text, words, capsys, monkeypatch):
    """No place in OpenVINO's own source is."""

    def refuse(*args, **kwargs):
        raise RuntimeError(text)

    monkeypatch.setattr(pytest.importorskip("openvino").Core, "compile_model", refuse)
    pixels = keras.Input((8, 8, 3))
    frozen = keras.Model(pixels, [keras.layers.GlobalAveragePooling2D()(pixels)])
    chosen, _ = engine.start(frozen, PLAN, batches(8)[0], Progress())
    assert chosen.name == "tensorflow"
    (message,) = capsys.readouterr().err.splitlines()
    assert f"({words}" in message
    assert ".cpp" not in message
    (means,) = next(chosen.run(batches(8)))
    np.testing.assert_allclose(means, batches(8)[0].mean((1, 2)), rtol=1e-5)
