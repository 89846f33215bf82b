"""ONNX files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.exports.network import SAMPLES, Predict, functional, input_metadata
from keras_transfer.versions.saved import SavedClassifier
from keras_transfer.versions.training_images import TrainingImages


def write(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    """Write the file and return what predicts by it, from pixels `[N, H, W, 3]`."""
    import onnxruntime

    if precision == "int8":
        write_int8(classifier, images, file)
    else:
        functional(classifier).export(str(file), format="onnx", verbose=False)
    if precision == "float16":
        _to_float16(file)
    _describe(file, classifier)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def predict(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {session.get_inputs()[0].name: pixels})[0])

    return predict


def write_int8(classifier: SavedClassifier, images: TrainingImages, file: Path) -> None:
    """Write the network with weights and arithmetic of eight bits, calibrated on training images."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quant_pre_process, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self, name: str) -> None:
            self._inputs = ({name: pixels[None]} for _, pixels in images.pixels("train", SAMPLES))

        def get_next(self) -> Any:
            return next(self._inputs, None)

    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        exported, prepared = Path(folder) / "exported.onnx", Path(folder) / "prepared.onnx"
        functional(classifier).export(str(exported), format="onnx", verbose=False)
        quant_pre_process(str(exported), str(prepared), skip_symbolic_shape=True)
        name = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"]).get_inputs()[0].name
        quantize_static(str(prepared), str(file), Samples(name), quant_format=QuantFormat.QDQ, per_channel=True)


def _to_float16(file: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Pixels and probabilities stay float32.
    onnx.save(convert_float_to_float16(onnx.load(str(file)), keep_io_types=True), str(file))


def _describe(file: Path, classifier: SavedClassifier) -> None:
    """Name the first axis of input and output `batch`, and write into the file's metadata the classes, if there are
    any, in the order of the outputs, `labels`, a JSON list; and how photos become pixels.
    """
    import onnx

    model, entries = onnx.load(str(file)), input_metadata(classifier)
    if classifier.task.has_classes:
        entries["labels"] = json.dumps(classifier.classes)
    onnx.helper.set_model_props(model, entries)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(file))
