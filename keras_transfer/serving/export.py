"""The served graph: from the bytes of an image file to label and confidence, in plain TensorFlow operations."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from keras_transfer.data.decode import decode
from keras_transfer.model import Network


def save(network: Network, classes: tuple[str, ...], resize: str, folder: Path) -> None:
    """Write a SavedModel with three signatures.

    `serving_default` takes `image_bytes`, string `[N]`; `images` takes `images`, float32 pixels 0..255 `[N, H, W,
    3]`; both give `probabilities` float32 `[N, K]`, `label` string `[N]` and `confidence` float32 `[N]`. `features`
    takes `image_bytes` and gives `embedding` float32 `[N, D]`.

    Args:
        network: Trained, in the precision to serve.
        classes: Labels, written to `assets/labels.txt` too.
        resize: The rule of training.
        folder: Exists and is empty.
    """
    size, labels = network.size, tf.constant(classes, tf.string)
    pixels = keras.Input((size, size, 3), name="images")
    embedding = network.embedder()(pixels)
    whole = keras.Model(pixels, [embedding, keras.ops.softmax(network.head(embedding))])
    pixels_in = tf.TensorSpec((None, size, size, 3), tf.float32, name="images")
    # Traced once and called by each signature, which makes the export three times as fast and a third as large.
    tower = tf.function(lambda images: whole(images, training=False), input_signature=[pixels_in], autograph=False)

    def decode_all(image_bytes: tf.Tensor) -> tf.Tensor:
        decoded = tf.map_fn(lambda content: decode(content, size, resize), image_bytes, fn_output_signature=tf.uint8)
        return tf.cast(tf.ensure_shape(decoded, (None, size, size, 3)), tf.float32)

    def images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        _, probabilities = tower(images)
        return {
            "probabilities": probabilities,
            "label": tf.gather(labels, tf.argmax(probabilities, axis=1)),
            "confidence": tf.reduce_max(probabilities, axis=1),
        }

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return images(decode_all(image_bytes))

    def features(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        embedding, _ = tower(decode_all(image_bytes))
        return {"embedding": embedding}

    bytes_in = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive = keras.export.ExportArchive()
    archive.track(whole)
    archive.add_endpoint("serving_default", serve, [bytes_in])
    archive.add_endpoint("images", images, [pixels_in])
    archive.add_endpoint("features", features, [bytes_in])
    archive.write_out(str(folder), verbose=False)
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "labels.txt").write_text("".join(f"{name}\n" for name in classes), "utf-8")
