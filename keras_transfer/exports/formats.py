"""The formats that a model is exported in besides the SavedModel, checked without TensorFlow, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from keras_transfer.support.errors import UsageError, nearest
from keras_transfer.support.paths import demand_file

ALL_PRECISIONS = ("float32", "float16", "int8")
PRECISIONS = {
    "litert": ALL_PRECISIONS,
    "onnx": ALL_PRECISIONS,
    "openvino": ALL_PRECISIONS,
    "keras": ALL_PRECISIONS,  # Of int8, Keras knows dense layers only.
}
SUFFIX = {"litert": ".tflite", "onnx": ".onnx", "openvino": ".xml", "keras": ".keras"}


def demand(format: str, precision: str, output: Path | None) -> None:
    """Check format, precision and file name.

    Raises:
        UsageError: there is no such format, it has no such precision, or the file's name does not end as it should, or
            it cannot be written.
    """
    if format not in PRECISIONS:
        raise UsageError(
            f"--format must be one of {', '.join(PRECISIONS)}. Received: {format!r}.{nearest(format, SUFFIX)}"
        )
    allowed = PRECISIONS[format]
    if precision not in allowed:
        hint = nearest(precision, allowed)
        raise UsageError(f"--format {format} has the precisions {', '.join(allowed)}. Received: {precision!r}.{hint}")
    if output is not None:
        demand_file(output, SUFFIX[format], "--output")
