"""Keras files."""

from __future__ import annotations

from pathlib import Path

from keras_transfer.exports.network import Predict
from keras_transfer.network.precision import copied_in
from keras_transfer.versions.saved import SavedClassifier
from keras_transfer.versions.training_images import TrainingImages


def write(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    """Write the file and return what predicts by it, from pixels `[N, H, W, 3]`."""
    import keras

    network = classifier.network()
    whole = network.classifier()
    if precision == "float16":
        half = copied_in("float16", network.logits())
        whole = keras.Model(half.input, network.output(half.output))  # In float32: a number may leave float16's range.
    if precision == "int8":
        whole.quantize("int8")  # It warns of each layer that is not dense, and leaves it as it is.
    whole.save(file)
    written = keras.models.load_model(file, compile=False)
    written.jit_compile = False  # On a GPU, Keras's default compiles for longer than this answers.
    return lambda pixels: keras.ops.convert_to_numpy(written.predict(pixels, verbose=0)).astype("float32")
