"""Other forms of a model: LiteRT, ONNX, OpenVINO and Keras files, each compared with the SavedModel on real images."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer import quiet
from keras_transfer.data.examples import REGRESSION
from keras_transfer.errors import UsageError
from keras_transfer.model import copied_in
from keras_transfer.progress import Progress
from keras_transfer.serving import forms, litert_metadata
from keras_transfer.serving.origin import TrainingImages
from keras_transfer.serving.saved import SavedClassifier

_SAMPLES = 64  # Images of the training split that int8 is calibrated on.
_COMPARED = 32  # Images of the test split on which forms are compared.
_LEAST_AGREEMENT = 0.9

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        file: Where.
        format: One of `forms.PRECISIONS`.
        precision: Of its weights and, with int8, of its arithmetic.
        bytes: Its size.
        images: How many images it was compared on.
        agreement: Share of them with the same answer; None for regression, and where there was none to compare on.
        largest_difference: Of any probability, or number, on any of them; None where there was none.
    """

    file: str
    format: str
    precision: str
    bytes: int
    images: int
    agreement: float | None
    largest_difference: float | None


def export(
    model: str, kind: str, precision: str, output: Path | None, progress: Progress, data: str | None = None
) -> Exported:
    """Write a model in another form, and compare it with the SavedModel, if the run's test images are there.

    Args:
        model: As `SavedClassifier` takes it.
        kind: One of `forms.PRECISIONS`.
        precision: One of `forms.PRECISIONS[kind]`.
        output: The file; None puts it beside the version's graph, in `assets.extra/exports`.
        progress: Hears of the steps.
        data: Where the images of the run are now, as `fit` takes it; None for where they were.

    Raises:
        UsageError: there is no such form or precision, or its package is missing.
        UserError: int8 needs the run's training images and they are gone, or conversion fails.
    """
    forms.demand(kind, precision, output)
    classifier = SavedClassifier(model)
    folder = classifier.folder / "assets.extra" / "exports"
    file = output or folder / f"model-{precision}{forms.SUFFIX[kind]}"
    images = classifier.training_images(data)
    if precision == "int8" and kind != "keras":
        next(images.files("train", 1))  # It is calibrated on them; better told before the conversion.
    file.parent.mkdir(parents=True, exist_ok=True)
    progress.say(f"Converting to {kind}, {precision}")
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".writing-") as beside:
        made = Path(beside) / file.name
        try:
            with quiet.without_notes():
                predict = _WRITERS[kind](classifier, precision, images, made)
        except ImportError as error:
            needed = [kind, "onnx"] if (kind, precision) == ("openvino", "int8") else [kind]
            packages = " ".join(_PACKAGES[part] for part in needed)
            raise UsageError(f"--format {kind} needs a package more: pip install {packages}.") from error
        size = sum(part.stat().st_size for part in made.parent.iterdir())
        if images.missing:
            report = Exported(str(file), kind, precision, size, 0, None, None)
            progress.warn(
                f"It was not compared with the SavedModel, for the model's own images are not where they were: "
                f"{images.missing} --data names where they are now."
            )
        else:
            pixels = np.stack(list(images.pixels("test", _COMPARED)))
            report = Exported(str(file), kind, precision, size, len(pixels), *_compare(classifier, pixels, predict))
            if _unlike(report, classifier.metrics["test"]):
                progress.warn("Its answers are not the SavedModel's. Measure it on your own images before you use it.")
        for part in sorted(Path(beside).iterdir(), reverse=True):
            shutil.move(part, file.with_suffix(part.suffix))
    if output is None:
        (folder / f"{file.name}.json").write_text(json.dumps(report.__dict__, indent=2), "utf-8")
    return report


def _compare(classifier: SavedClassifier, pixels: np.ndarray, predict: Predict) -> tuple[float | None, float]:
    """Return the share of equal answers, None for regression, and the largest difference."""
    outputs = classifier.run("images", list(pixels))
    name = "value" if "value" in outputs else "probabilities"
    expected = outputs[name].reshape(len(pixels), -1)
    with quiet.without_notes():
        actual = predict(pixels).reshape(len(pixels), -1)
    agreement = None if name == "value" else float((actual.argmax(1) == expected.argmax(1)).mean())
    return agreement, float(np.abs(actual - expected).max())


def _unlike(report: Exported, test: dict[str, Any]) -> bool:
    """Say whether a form errs where the model does not: in a tenth of its answers, or by more than its own error.

    Numbers beyond 65,504 leave float16's range, and eight bits are few for any.
    """
    if report.agreement is None:
        return report.largest_difference is None or not report.largest_difference <= test["root_mean_squared_error"]
    return report.agreement < _LEAST_AGREEMENT


def _keras(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    import keras

    whole = _functional(classifier)
    if precision == "float16":
        output = whole.layers[-1]
        half = copied_in("float16", keras.Model(whole.input, output.input))
        whole = keras.Model(half.input, output(half.output))  # In float32: a number may leave float16's range.
    if precision == "int8":
        whole.quantize("int8")  # It warns of each layer that is not dense, and leaves it as it is.
    whole.save(file)
    written = keras.models.load_model(file, compile=False)
    return lambda pixels: keras.ops.convert_to_numpy(written.predict(pixels, verbose=0)).astype("float32")


def _litert(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    model = _functional(classifier)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([pixels[None]] for pixels in images.pixels("train", _SAMPLES))
    regression = classifier.metrics.get("task") == REGRESSION
    content = litert_metadata.described(converter.convert(), file.stem, () if regression else classifier.classes)
    file.write_bytes(content)

    def predict(pixels: np.ndarray) -> np.ndarray:
        interpreter = _interpreter(content)
        interpreter.allocate_tensors()
        (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()
        found = []
        for picture in pixels:
            interpreter.set_tensor(entry["index"], picture[None])
            interpreter.invoke()
            found.append(interpreter.get_tensor(exit_["index"])[0])
        return np.asarray(found)

    return predict


def _interpreter(content: bytes) -> Any:
    """Return LiteRT's interpreter, from its own package where that is installed: TensorFlow's is to be removed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    return Interpreter(model_content=content)


def _onnx(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    import onnxruntime

    if precision == "int8":
        _onnx_int8(classifier, images, file)
    else:
        _functional(classifier).export(str(file), format="onnx", verbose=False)
    if precision == "float16":
        _onnx_float16(file)
    _onnx_labels(file, classifier)

    def predict(pixels: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {session.get_inputs()[0].name: pixels})[0])

    return predict


def _onnx_int8(classifier: SavedClassifier, images: TrainingImages, file: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quant_pre_process, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self, name: str) -> None:
            self.rows = ({name: pixels[None]} for pixels in images.pixels("train", _SAMPLES))

        def get_next(self) -> Any:
            return next(self.rows, None)

    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder) / "plain.onnx", Path(folder) / "prepared.onnx"
        _functional(classifier).export(str(plain), format="onnx", verbose=False)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        name = onnxruntime.InferenceSession(str(plain), providers=["CPUExecutionProvider"]).get_inputs()[0].name
        quantize_static(str(prepared), str(file), Samples(name), quant_format=QuantFormat.QDQ, per_channel=True)


def _onnx_float16(file: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # Pixels and probabilities stay float32.
    onnx.save(convert_float_to_float16(onnx.load(str(file)), keep_io_types=True), str(file))


def _onnx_labels(file: Path, classifier: SavedClassifier) -> None:
    """Write the classes, in the order of the outputs, into the file's metadata: `labels`, a JSON list."""
    import onnx

    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, {"labels": json.dumps(classifier.classes)})
    onnx.save(model, str(file))


def _openvino(classifier: SavedClassifier, precision: str, images: TrainingImages, file: Path) -> Predict:
    import openvino

    # OpenVINO reads files: its converter of models in memory fails on Python 3.13 ("name 'tensorflow' is not
    # defined"), where `exec("del tensorflow")` in its environment_setup_utils.py no longer sees an earlier `exec`.
    with tempfile.TemporaryDirectory() as folder:
        if precision == "int8":  # What ONNX Runtime quantised, with its scales.
            source = Path(folder) / "int8.onnx"
            _onnx_int8(classifier, images, source)
        else:
            source = Path(folder) / "saved_model"
            _functional(classifier).export(str(source), verbose=False)
        # Weights may lie in the file that they were read from until they are saved.
        read = openvino.Core().read_model(str(source))
        openvino.save_model(read, str(file), compress_to_fp16=precision == "float16")

    def predict(pixels: np.ndarray) -> np.ndarray:
        compiled = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.asarray(compiled(pixels)[compiled.output(0)])

    return predict


def _functional(classifier: SavedClassifier) -> Any:
    import keras

    model = keras.models.load_model(classifier.folder / "assets.extra" / "model.keras", compile=False)
    model(np.zeros((1, *model.input_shape[1:]), "float32"))  # Keras exports only what has been called.
    return model


_WRITERS = {"litert": _litert, "onnx": _onnx, "openvino": _openvino, "keras": _keras}
_PACKAGES = {"litert": "tensorflow", "onnx": "tf2onnx onnx onnxruntime", "openvino": "openvino", "keras": "keras"}
