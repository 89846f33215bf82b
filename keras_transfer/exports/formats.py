"""The forms that a model is exported in, besides the SavedModel: known without TensorFlow, so that mistakes are told
at once.
"""

from __future__ import annotations

from pathlib import Path

from keras_transfer.support.errors import UsageError, nearest

PRECISIONS = {
    "litert": ("float32", "float16", "int8"),
    "onnx": ("float32", "float16", "int8"),
    "openvino": ("float32", "float16", "int8"),
    "keras": ("float32", "float16", "int8"),  # Of int8, Keras knows dense layers only.
}
SUFFIX = {"litert": ".tflite", "onnx": ".onnx", "openvino": ".xml", "keras": ".keras"}


def demand(form: str, precision: str, output: Path | None) -> None:
    """Check what is asked for.

    Raises:
        UsageError: there is no such form, it has no such precision, or the file's name does not end as it should.
    """
    if form not in PRECISIONS:
        raise UsageError(f"--format must be one of {', '.join(PRECISIONS)}. Received: {form!r}.{nearest(form, SUFFIX)}")
    known = PRECISIONS[form]
    if precision not in known:
        hint = nearest(precision, known)
        raise UsageError(f"--format {form} has the precisions {', '.join(known)}. Received: {precision!r}.{hint}")
    if output is not None and output.suffix != SUFFIX[form]:
        raise UsageError(f"--output must end in {SUFFIX[form]}. Received: {str(output)!r}.")
