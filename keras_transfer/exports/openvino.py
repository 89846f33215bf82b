"""OpenVINO files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.exports import onnx
from keras_transfer.exports.network import Predict, functional, input_metadata
from keras_transfer.versions.saved import SavedClassifier
from keras_transfer.versions.training_images import TrainingImages

if TYPE_CHECKING:
    import openvino

_ARITHMETIC = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def write(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    """Write the file and return what predicts by it, from pixels `[N, H, W, 3]`."""
    import openvino

    # OpenVINO reads files: its converter of models in memory fails on Python 3.13 ("name 'tensorflow' is not
    # defined"), where `exec("del tensorflow")` in its environment_setup_utils.py no longer sees an earlier `exec`.
    with tempfile.TemporaryDirectory() as folder:
        if precision == "int8":  # What ONNX Runtime quantised, with its scales.
            source = Path(folder) / "int8.onnx"
            onnx.write_int8(classifier, images, source)
        else:
            source = Path(folder) / "saved_model"
            functional(classifier).export(str(source), verbose=False)
        # Weights may lie in the file that they were read from until they are saved.
        read = openvino.Core().read_model(str(source))
        for name, text in input_metadata(classifier).items():
            read.set_rt_info(text, ["model_info", name])
        try:
            openvino.save_model(read, str(file), compress_to_fp16=precision == "float16")
        except RuntimeError:
            # It says why a disk takes no more, which a stream of C++ does not.
            file.with_suffix(".bin").write_bytes(bytes(1 << 24))
            raise
    return _predictor(openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}))


def by_default(file: Path) -> tuple[str, Predict]:
    """Return the arithmetic in which OpenVINO runs a file here unless it is told, `float32`, `bfloat16` or `float16`,
    and what predicts in it.
    """
    import openvino

    compiled = openvino.Core().compile_model(str(file), "CPU")
    return _ARITHMETIC[compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()], _predictor(compiled)


def _predictor(compiled: openvino.CompiledModel) -> Predict:
    def predict(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(compiled(pixels)[compiled.output(0)])

    return predict
