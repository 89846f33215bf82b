import io

import pytest
import tensorflow as tf
from PIL import Image

from keras_transfer.versions import warmup


def test_the_requests_are_those_of_tensorflow_serving(version):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = version.folder / "assets.extra" / warmup.FILE
    graph = tf.saved_model.load(str(version.folder)).signatures["serving_default"]
    sizes = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = logs.PredictionLog.FromString(record)
        request = log.predict_log.request
        assert (request.model_spec.name, request.model_spec.signature_name) == ("colours", "serving_default")
        images = tf.constant(tf.make_ndarray(request.inputs["image_bytes"]))
        assert not any(graph(image_bytes=images)["error"].numpy())
        sizes.append(len(images))
    assert sizes == list(warmup.BATCHES)


def test_large_photos_are_made_small(tmp_path):
    stream = io.BytesIO()
    Image.effect_noise((3000, 2000), 80).save(stream, "JPEG", quality=95)
    warmup.write(tmp_path / "w", [stream.getvalue()], "m", 10**8)
    assert (tmp_path / "w").stat().st_size < 400_000
    assert len(list(tf.data.TFRecordDataset(str(tmp_path / "w")))) == len(warmup.BATCHES)
