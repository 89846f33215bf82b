"""Warm-up requests, which TensorFlow Serving runs when it loads a version, so that the first client need not wait.

https://www.tensorflow.org/tfx/serving/saved_model_warmup: a TFRecord file of `PredictionLog` messages. The package
with their definitions, tensorflow-serving-api, is large and optional, so the few fields are written here by
themselves, in the wire format of https://protobuf.dev/programming-guides/encoding/; a test reads them with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_transfer.support.errors import UserError

FILE = "tf_serving_warmup_requests"
BATCHES = (1, 4)  # Both ways through the graph.
_SIDE = 320  # px; warm-up images are small, so that a version stays small.

# Field numbers of tensorflow_serving/apis: PredictionLog.predict_log, PredictLog.request; PredictRequest.model_spec
# and .inputs; ModelSpec.name and .signature_name; key and value of a map entry.
_PREDICT_LOG, _REQUEST, _MODEL_SPEC, _INPUTS, _NAME, _SIGNATURE, _KEY, _VALUE = 6, 1, 1, 2, 1, 3, 1, 2


def write(file: Path, contents: Sequence[bytes], name: str, max_pixels: int) -> None:
    """Write warm-up requests of real images, as the decoder of training shows them.

    Args:
        file: Appears in `assets.extra`.
        contents: Bytes of image files; the first few are used.
        name: Of the model.
        max_pixels: Largest picture that is decoded, width times height.

    Raises:
        UserError: there are no images.
    """
    import tensorflow as tf

    from keras_transfer.data.decoding.decode import Decoder

    if not contents:
        raise UserError("none of the training images can be read any more")
    decoder = Decoder(_SIDE, "squash", max_pixels)
    pictures = [decoder.pixels(content) for content in contents[: max(BATCHES)]]
    images = [tf.io.encode_jpeg(picture, quality=85).numpy() for picture in pictures]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for count in BATCHES:
            tensor = tf.make_tensor_proto((images * count)[:count], tf.string).SerializeToString()
            writer.write(_log(name, tensor))


def _log(name: str, tensor: bytes) -> bytes:
    spec = _field(_NAME, name.encode()) + _field(_SIGNATURE, b"serving_default")
    entry = _field(_KEY, b"image_bytes") + _field(_VALUE, tensor)
    request = _field(_MODEL_SPEC, spec) + _field(_INPUTS, entry)
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
