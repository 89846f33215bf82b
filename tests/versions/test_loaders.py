"""A version in what loads SavedModels elsewhere: TensorFlow's C++ loader, its command line, and OpenVINO's reader."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

# Through the C interface, without Python's TensorFlow: the loader and session that TensorFlow Serving is built on.
NATIVE = """
import ctypes, json, sys
library, folder, feed, fetch, classes, *files = sys.argv[1:]
c = ctypes.CDLL(library)
for name in ("TF_NewStatus", "TF_NewSessionOptions", "TF_NewGraph", "TF_LoadSessionFromSavedModel", "TF_AllocateTensor",
             "TF_GraphOperationByName", "TF_TensorData"):
    getattr(c, name).restype = ctypes.c_void_p
c.TF_Message.restype = ctypes.c_char_p
P = ctypes.c_void_p

class Output(ctypes.Structure):
    _fields_ = [("operation", P), ("index", ctypes.c_int)]

def place(name):
    operation, index = name.rsplit(":", 1)
    return Output(P(c.TF_GraphOperationByName(graph, operation.encode())), int(index))

def check():
    if c.TF_GetCode(status):
        sys.exit(c.TF_Message(status).decode())

status, graph = P(c.TF_NewStatus()), P(c.TF_NewGraph())
tags = (ctypes.c_char_p * 1)(b"serve")
session = P(c.TF_LoadSessionFromSavedModel(P(c.TF_NewSessionOptions()), None, folder.encode(), tags, 1, graph, None,
                                           status))
check()
count, string = len(files), 24
tensor = P(c.TF_AllocateTensor(7, (ctypes.c_int64 * 1)(count), 1, ctypes.c_size_t(string * count)))
start = c.TF_TensorData(tensor)
for row, file in enumerate(files):
    content = open(file, "rb").read()
    c.TF_StringInit(P(start + row * string))
    c.TF_StringCopy(P(start + row * string), content, ctypes.c_size_t(len(content)))
outputs = (P * 1)()
c.TF_SessionRun(session, None, (Output * 1)(place(feed)), (P * 1)(tensor), 1, (Output * 1)(place(fetch)), outputs, 1,
                None, 0, None, status)
check()
values = ctypes.cast(c.TF_TensorData(P(outputs[0])), ctypes.POINTER(ctypes.c_float))
assert "tensorflow" not in sys.modules
print(json.dumps([values[k] for k in range(count * int(classes))]))
"""


def signature(version, name="serving_default"):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((version.folder / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0].signature_def[name]


@pytest.mark.parametrize("count", [1, 5])
def test_the_native_loader_gives_the_same_answers(version, classifier, photos, count):
    libraries = list(Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc.so.2"))
    if not libraries:
        pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
    files = sorted(photos.glob("*/*"))[:count]
    served = signature(version)
    feed, fetch = served.inputs["image_bytes"].name, served.outputs["probabilities"].name
    command = [sys.executable, "-c", NATIVE, str(libraries[0]), str(version.folder), feed, fetch, "3", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = classifier.run("serving_default", [file.read_bytes() for file in files])["probabilities"]
    np.testing.assert_allclose(np.reshape(json.loads(done.stdout), (count, 3)), expected, atol=1e-5)


def test_saved_model_cli_shows_it(version):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show", "--dir", str(version.folder)]
    done = subprocess.run(
        [*command, "--tag_set", "serve", "--signature_def", "serving_default"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("image_bytes", "probabilities", "confidence", "label", "error"):
        assert name in done.stdout


def test_openvino_reads_the_signature_of_pixels(version, classifier, tmp_path):
    """Its reader takes the default signature, so the copy that it reads has that of pixels as the default."""
    openvino = pytest.importorskip("openvino")
    from tensorflow.core.protobuf import saved_model_pb2

    copy = shutil.copytree(version.folder, tmp_path / "1")
    saved = saved_model_pb2.SavedModel.FromString((copy / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    signatures["serving_default"].CopyFrom(signatures["images"])
    del signatures["features"]
    (copy / "saved_model.pb").write_bytes(saved.SerializeToString())
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # Else it takes bfloat16 where the processor has it.
    compiled = openvino.Core().compile_model(openvino.convert_model(str(copy)), "CPU", exact)
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 24, 24, 3)).astype("float32")
    probabilities = [output for output in compiled([pixels]).values() if output.shape == (3, 3)]
    expected = classifier.run("images", list(pixels))["probabilities"]
    np.testing.assert_allclose(probabilities[0], expected, atol=1e-4)
