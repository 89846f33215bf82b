"""What a LiteRT file says of itself, so that MediaPipe and Android read labels and pixel range from it.

The format: https://ai.google.dev/edge/litert/models/metadata, with the numbers of the fields from
`metadata_schema.fbs` of https://github.com/tensorflow/tflite-support, whose package ends with Python 3.11. TensorFlow
2.18 to 2.21 has no public way to add a buffer to a model: `schema_py_generated` is its own module for that.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import numpy as np
from flatbuffers import Builder

from keras_transfer.versions import folders

LABELS = "labels.txt"
NAME = "TFLITE_METADATA"
_AXIS_LABELS, _RGB, _IMAGE, _NORMALIZATION = 2, 1, 2, 1  # Values of the schema's enumerations and unions.

Slots = dict[int, tuple[str, int]]


def described(model: bytes, name: str, classes: Sequence[str], input_rule: str) -> bytes:
    """Return a LiteRT model with metadata, and with its labels, one a line, as an associated file.

    Args:
        model: Takes one image, float32 pixels 0..255, and gives one tensor.
        name: Of the model.
        classes: Of the output's axis; empty where it is a number.
        input_rule: How a photo becomes the image, in words: the input's description.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_metadata(name, bool(classes), input_rule), np.uint8)
    tree.buffers.append(buffer)
    entry.name, entry.buffer = NAME, len(tree.buffers) - 1
    tree.metadata = [*(tree.metadata or []), entry]
    builder = Builder(len(model) + 4096)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    content = io.BytesIO(bytes(builder.Output()))
    if classes:
        with zipfile.ZipFile(content, "a") as packed:
            packed.writestr(LABELS, folders.labels_text(classes))
    return content.getvalue()


def _metadata(name: str, labelled: bool, input_rule: str) -> bytes:
    builder = Builder(1024)
    mean, deviation = _floats(builder, [0.0]), _floats(builder, [1.0])  # The network itself scales pixels.
    options = _table(builder, {0: ("offset", mean), 1: ("offset", deviation)})
    unit = _table(builder, {0: ("byte", _NORMALIZATION), 1: ("offset", options)})
    properties = _table(builder, {0: ("byte", _RGB)})
    content = _table(builder, {0: ("byte", _IMAGE), 1: ("offset", properties)})
    input_entry: Slots = {0: ("offset", builder.CreateString("image")), 1: ("offset", builder.CreateString(input_rule))}
    input_entry |= {3: ("offset", content), 4: ("offset", _vector(builder, [unit]))}
    input_ = _table(builder, input_entry)
    output_entry: Slots = {0: ("offset", builder.CreateString("probability" if labelled else "value"))}
    if labelled:
        file = _table(builder, {0: ("offset", builder.CreateString(LABELS)), 2: ("byte", _AXIS_LABELS)})
        output_entry[6] = ("offset", _vector(builder, [file]))
    output = _table(builder, output_entry)
    tensors: Slots = {2: ("offset", _vector(builder, [input_])), 3: ("offset", _vector(builder, [output]))}
    graph = _table(builder, tensors)
    whole: Slots = {0: ("offset", builder.CreateString(name)), 3: ("offset", _vector(builder, [graph]))}
    whole[7] = ("offset", builder.CreateString("1.0.0"))
    builder.Finish(_table(builder, whole), file_identifier=b"M001")
    return bytes(builder.Output())


def _table(builder: Builder, slots: Slots) -> int:
    builder.StartObject(max(slots) + 1)
    for slot, (type_, value) in slots.items():
        if type_ == "offset":
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        else:
            builder.PrependUint8Slot(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())
