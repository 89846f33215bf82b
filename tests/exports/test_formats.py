import pytest

from keras_transfer.exports import formats
from keras_transfer.support.errors import UsageError

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("format", "precision", "packages"),
    [
        ("onnx", "float32", "onnx onnxruntime"),
        ("openvino", "int8", "onnx onnxruntime"),
        ("openvino", "float16", None),
        ("litert", "float32", None),
    ],
)
def test_what_is_not_installed_is_named_before_anything_is_loaded(format, precision, packages, monkeypatch):
    installed = {"tf2onnx", "openvino"}
    monkeypatch.setattr(formats, "find_spec", lambda package: package in installed or None)
    if packages is None:
        formats.demand(format, precision, None)
        return
    with pytest.raises(UsageError, match=rf"^--format {format} .*: pip install {packages}\.$"):
        formats.demand(format, precision, None)
