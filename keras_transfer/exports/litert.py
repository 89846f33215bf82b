"""LiteRT files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.exports import litert_metadata
from keras_transfer.exports.network import SAMPLES, Predict, functional, input_rule
from keras_transfer.network.model_files import first_line
from keras_transfer.support.errors import UserError
from keras_transfer.versions.saved import SavedClassifier
from keras_transfer.versions.training_images import TrainingImages


def write(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    """Write the file and return what predicts by it, from pixels `[N, H, W, 3]`."""
    model = functional(classifier)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([pixels[None]] for _, pixels in images.pixels("train", SAMPLES))
    classes = classifier.classes if classifier.task.has_classes else ()
    content = litert_metadata.described(converter.convert(), file.stem, classes, str(input_rule(classifier)))
    file.write_bytes(content)

    interpreter = _interpreter(content)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise UserError(
            f"--precision {precision}: LiteRT cannot run what it made of this network ({first_line(error)}). Take "
            "--precision float16 or float32."
        ) from error
    (input_,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(pixels: np.ndarray) -> np.ndarray:
        outputs = []
        for picture in pixels:
            interpreter.set_tensor(input_["index"], picture[None])
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(output["index"])[0])
        return np.asarray(outputs)

    return predict


def _interpreter(content: bytes) -> Any:
    """Return LiteRT's interpreter, from its own package where that is installed: TensorFlow's is to be removed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    return Interpreter(model_content=content)
