import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.data.decoding import formats
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.sources import load
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.versions import graph
from tests.training.trainers import run, trainer

pytestmark = pytest.mark.essential
DECODER = Decoder(24, "crop", 10**8)

FRESH = """
import glob, json, sys
sys.modules["keras"] = None  # TensorFlow itself imports it where it can.
import tensorflow as tf
graph = tf.saved_model.load(sys.argv[1])
contents = [open(path, "rb").read() for path in sorted(glob.glob(sys.argv[2] + "/*/*"))]
outputs = graph.signatures["serving_default"](image_bytes=tf.constant(contents))
assert sys.modules["keras"] is None and "keras_transfer" not in sys.modules
words = {key: [word.decode() for word in outputs.pop(key).numpy()] for key in ("label", "error")}
print(json.dumps({key: value.numpy().tolist() for key, value in outputs.items()} | words))
"""


def test_a_process_without_keras_gives_what_training_saw(version, photos):
    """Probabilities agree to 1e-5 in float32 with those of the Keras model on the training pipeline's pixels."""
    import keras

    command = [sys.executable, "-c", FRESH, str(version.folder), str(photos)]
    environment = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": "/tmp"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    outputs = json.loads(done.stdout)
    model = keras.models.load_model(version.folder / "assets.extra" / "model.keras", compile=False)
    paths = sorted(load(str(photos)).paths)
    pixels = np.stack([DECODER(tf.io.read_file(path)) for path in paths])
    expected = model.predict(pixels.astype("float32"), verbose=0)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    np.testing.assert_allclose(outputs["confidence"], expected.max(1), atol=1e-5)
    names = version.metrics["data"]["classes"]
    assert outputs["label"] == [names[best] for best in expected.argmax(1)]


def test_the_signatures_are_as_documented(version, photos):
    graph = tf.saved_model.load(str(version.folder))
    assert set(graph.signatures) == {"serving_default", "images", "features"}
    content = tf.io.read_file(load(str(photos)).paths[0])
    served = graph.signatures["serving_default"](image_bytes=content[None])
    assert {key: (value.dtype, value.shape) for key, value in served.items()} == {
        "probabilities": (tf.float32, (1, 3)),
        "label": (tf.string, (1,)),
        "confidence": (tf.float32, (1,)),
        "error": (tf.string, (1,)),
    }
    pixels = tf.cast(DECODER(content), tf.float32)[None]
    direct = graph.signatures["images"](images=pixels)
    np.testing.assert_allclose(direct["probabilities"], served["probabilities"], atol=1e-6)
    assert graph.signatures["features"](image_bytes=content[None])["embedding"].shape == (1, 16)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[1,30,24,3\]|\[\?,24,24,3\]"):
        graph.signatures["images"](images=tf.zeros((1, 30, 24, 3)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -100, 500])
def test_what_is_no_pixels_gets_no_answer_and_its_neighbours_theirs(classifier, wrong):
    pixels = np.linspace(0, 255, 2 * 24 * 24 * 3, dtype="float32").reshape(2, 24, 24, 3)
    expected = classifier.run("images", pixels)
    pixels[0, 3, 4, 1] = wrong
    served = classifier.run("images", pixels)
    assert np.isnan(served["probabilities"][0]).all()
    assert np.isnan(served["confidence"][0])
    assert served["label"].tolist() == [b"", expected["label"][1]]
    np.testing.assert_allclose(served["probabilities"][1], expected["probabilities"][1], atol=1e-6)


def test_a_file_alone_of_no_image_format_is_refused_in_the_words_of_everywhere(version):
    serve = tf.saved_model.load(str(version.folder)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=formats.UNKNOWN):
        serve(image_bytes=tf.constant([b"no image"]))


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "area"])
def test_what_interpolation_leaves_beyond_0_to_255_is_answered(classifier, method):
    """A resized picture of black and white has 255.00003, or by bicubic interpolation -20 and 275."""
    squares = np.kron(np.indices((10, 10)).sum(0) % 2, np.ones((20, 20)))[..., None] * np.full(3, 255, "float32")
    pixels = tf.image.resize(squares[None], (24, 24), method, antialias=True).numpy()
    served = classifier.run("images", pixels)
    assert np.isfinite(served["confidence"]).all()
    assert served["label"].tolist() != [b""]


def test_a_version_is_whole(version):
    names = {str(path.relative_to(version.folder)) for path in version.folder.rglob("*") if path.is_file()}
    assert {"saved_model.pb", "fingerprint.pb", "assets/labels.txt", "variables/variables.index"} <= names
    extra = {name.removeprefix("assets.extra/") for name in names if name.startswith("assets.extra/")}
    assert extra == {
        "recipe.json", "metrics.json", "history.csv", "splits.csv", "labels.txt", "environment.json", "model.keras",
        "README.md", "report.html", "predictions.csv", "tf_serving_warmup_requests",
    }  # fmt: skip
    assert (version.folder / "assets" / "labels.txt").read_text().splitlines() == ["blue", "green", "red"]


def test_only_operations_of_plain_tensorflow_are_in_the_graph(version):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((version.folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0]
    assert list(graph.meta_info_def.tags) == ["serve"]
    functions = graph.graph_def.library.function
    used = {node.op for function in functions for node in function.node_def}
    assert "PyFunc" not in used
    assert not [name for name in used if "Xla" in name]
    assert {"DecodeJpeg", "DecodePng", "DecodeGif", "DecodeImage"} <= used
    assert not {"DecodeWebP", "DecodeJxl"} & used, "TensorFlow has these from 2.21 on, and 2.18 is to load the graph"


def test_of_several_labels_the_confidence_is_that_of_the_least_sure_decision():
    decide = graph._named_outputs(MultiLabel, ("daisy", "roses"))
    served = decide(tf.constant([[0.569, 0.815], [0.129, 0.02], [0.1, 0.6]]))
    assert [label.decode() for label in served["label"].numpy()] == ["daisy|roses", "", "roses"]
    np.testing.assert_allclose(served["confidence"], [0.569, 0.871, 0.6], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_batches_of_any_size_give_the_same_answers(classifier, photos, batch):
    contents = [Path(path).read_bytes() for path in load(str(photos)).paths[:17]]
    one_by_one = np.concatenate(
        [classifier.run("serving_default", [content])["probabilities"] for content in contents[:batch]]
    )
    np.testing.assert_allclose(
        classifier.run("serving_default", contents[:batch])["probabilities"], one_by_one, atol=1e-5
    )


def test_small_pictures_are_enlarged_for_the_served_graph_as_for_training(photos, tiny_base, tmp_path):
    one = trainer(photos, base=tiny_base, size=96, enlarge="bicubic", thaw="none")
    run(one)
    (tmp_path / "1").mkdir()
    graph.save(one.setup.network, one.recipe, one.setup.examples, tmp_path / "1")
    contents = [tf.io.read_file(path) for path in one.setup.examples.paths[:6]]
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](image_bytes=tf.stack(contents))
    network, decoder = one.setup.network.classifier(), Decoder(96, "crop", 10**8, enlarge="bicubic")
    expected = network.predict(np.stack([decoder(content) for content in contents]), verbose=0)
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
    assert one.feed("head").extractor.decoder.enlarge == "bicubic"
    assert one.feed("head").extractor.key["enlarge"] == "bicubic"
