"""The formats that a model is exported in besides the SavedModel, checked without TensorFlow, which takes seconds."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from keras_transfer.support.errors import UsageError, nearest
from keras_transfer.support.paths import demand_file

PRECISIONS = ("float32", "float16", "int8")  # Of each format; of int8, Keras knows dense layers only.
SUFFIX = {"litert": ".tflite", "onnx": ".onnx", "openvino": ".xml", "keras": ".keras"}

# Packages that are needed besides the program's own.
_PACKAGES = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "openvino": ("openvino",)}


def demand(format: str, precision: str, output: Path | None) -> None:
    """Check format, precision, packages and file name.

    Raises:
        UsageError: there is no such format or precision, or the format needs a package that is not there; or the
            file's name does not end as it should, or it cannot be written.
    """
    if format not in SUFFIX:
        raise UsageError(f"--format must be one of {', '.join(SUFFIX)}. Received: {format!r}.{nearest(format, SUFFIX)}")
    if precision not in PRECISIONS:
        listed, hint = ", ".join(PRECISIONS), nearest(precision, PRECISIONS)
        raise UsageError(f"--format {format} has the precisions {listed}. Received: {precision!r}.{hint}")
    packages = _PACKAGES.get(format, ())
    if (format, precision) == ("openvino", "int8"):
        packages += _PACKAGES["onnx"]
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UsageError(f"--format {format} needs another package: pip install {' '.join(missing)}.")
    if output is not None:
        demand_file(output, SUFFIX[format], "--output")
