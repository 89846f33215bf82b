import io
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.exports.litert_metadata import NAME, described


@pytest.fixture(scope="module")
def plain():
    """A LiteRT model that says how red and how blue a picture is."""
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    )
    model.layers[-1].set_weights([np.array([[0.05, 0], [0, 0], [0, 0.05]], "float32"), np.zeros(2, "float32")])
    return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def entries(content):
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    return {entry.name.decode(): bytes(model.buffers[entry.buffer].data) for entry in model.metadata}


def answer(content, picture):
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_the_converter_writes_no_such_metadata_by_itself(plain):
    assert NAME not in entries(plain)


def test_a_described_model_computes_the_same_and_names_its_labels(plain):
    model = described(plain, "colours", ["red", "blue"], "resized so")
    picture = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(answer(model, picture), answer(plain, picture))
    metadata = entries(model)[NAME]
    assert metadata[4:8] == b"M001"
    assert b"colours" in metadata
    assert b"resized so" in metadata
    assert b"labels.txt" in metadata
    with zipfile.ZipFile(io.BytesIO(model)) as packed:
        assert packed.read("labels.txt").decode() == "red\nblue\n"


def test_a_regression_has_no_labels(plain):
    model = described(plain, "size", [], "resized so")
    assert b"labels.txt" not in entries(model)[NAME]
    assert not zipfile.is_zipfile(io.BytesIO(model))


def test_mediapipe_classifies_with_it(plain):
    mediapipe = pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_buffer=described(plain, "colours", ["red", "blue"], "resized so"))
    )
    picture = np.zeros((8, 8, 3), "uint8")
    picture[..., 2] = 200
    with vision.ImageClassifier.create_from_options(options) as classifier:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
        (best, *_) = classifier.classify(image).classifications[0].categories
    assert best.category_name == "blue"
    assert best.score == pytest.approx(answer(plain, picture[None].astype("float32"))[0, 1], abs=1e-3)
