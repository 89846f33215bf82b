"""The served graph: from the bytes of an image file to label and confidence, in plain TensorFlow operations.

A model server batches requests of different clients, so a file that cannot be decoded must not fail its neighbours:
among several files it gets an `error` of its own. A request of one file fails as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from keras_transfer.data.decoding import formats
from keras_transfer.data.decoding.decode import Decoder, kind_of
from keras_transfer.data.examples import Examples
from keras_transfer.network import folding
from keras_transfer.network.network import Network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import logs
from keras_transfer.support.errors import failed_write
from keras_transfer.tasks import TASKS
from keras_transfer.tasks.task import Task
from keras_transfer.versions import folders

Outputs = dict[str, tf.Tensor]

_OVERSHOOT = 64.0  # Pixels beyond 0..255, where pictures were resized by bicubic interpolation and not clipped.
_PARALLEL = 8  # Files decoded at once; TensorFlow runs as many as the machine has cores.


def save(network: Network, recipe: Recipe, examples: Examples, folder: Path) -> None:
    """Write a SavedModel with three signatures.

    `serving_default` takes `image_bytes`, string `[N]`; `images` takes `images`, float32 pixels 0..255 `[N, H, W,
    3]`; both give `probabilities` float32 `[N, K]`, `label` string `[N]` (several labels are separated by `|`) and
    `confidence` float32 `[N]`, the largest probability; where an image may have several labels, that of the least sure
    decision: the least, over the classes, of the larger of `p` and `1 - p`. Regression gives `value` float32 `[N]`
    instead. `features` takes `image_bytes` and gives `embedding` float32 `[N, D]`. What takes bytes also gives `error`,
    string `[N]`: why a file of several could not be decoded; its numbers are NaN then and its label is empty. So are
    those of `images` that are not finite or far outside of 0..255.

    Args:
        network: Trained, in the precision to serve.
        recipe: Gives the rule by which files are decoded.
        examples: Give task and classes, which are written to `assets/labels.txt` too.
        folder: Exists and is empty.

    Raises:
        OSError: the folder cannot be written to.
    """
    size = network.size
    network = folding.folded(network)  # Half as much to trace, write, load and compute.
    pixels = keras.Input((size, size, 3), name="images")
    embedding = network.embedder()(pixels)
    whole = keras.Model(pixels, [embedding, network.output(network.head(embedding))])
    pixels_in = tf.TensorSpec((None, size, size, 3), tf.float32, name="images")
    # Traced once and called by each signature, which makes the export three times as fast and a third as large.
    tower = tf.function(lambda images: whole(images, training=False), input_signature=[pixels_in], autograph=False)
    decoder = Decoder.of(recipe, size)
    # Traced once and called by each signature, as the tower is.
    decode_all = tf.function(_decode_all(decoder), [tf.TensorSpec((None,), tf.string)], autograph=False)
    named_outputs = _named_outputs(TASKS[examples.task], examples.classes)

    def images(images: tf.Tensor) -> Outputs:
        # TensorFlow holds callers in the same process to dtypes alone, and convolves pictures of any size.
        images = tf.ensure_shape(images, (None, size, size, 3))
        inside = (images >= -_OVERSHOOT) & (images <= 255 + _OVERSHOOT)  # NaN is neither.
        are_pixels = tf.reduce_all(inside, axis=[1, 2, 3])
        return named_outputs(_nan_unless(are_pixels, tower(images)[1]))

    def serve(image_bytes: tf.Tensor) -> Outputs:
        decoded, error = decode_all(image_bytes)
        return named_outputs(_nan_unless(tf.equal(error, ""), tower(decoded)[1])) | {"error": error}

    def features(image_bytes: tf.Tensor) -> Outputs:
        decoded, error = decode_all(image_bytes)
        return {"embedding": _nan_unless(tf.equal(error, ""), tower(decoded)[0]), "error": error}

    bytes_in = tf.TensorSpec((None,), tf.string, name="image_bytes")
    module = tf.Module()
    module.weights = [weight.value for weight in whole.variables]
    signatures = {"serving_default": (serve, bytes_in), "images": (images, pixels_in), "features": (features, bytes_in)}
    traced = {
        name: tf.function(call, [spec], autograph=False).get_concrete_function()
        for name, (call, spec) in signatures.items()
    }
    with logs.without_notes():
        try:
            tf.saved_model.save(module, str(folder), signatures=traced)
        except tf.errors.OpError as error:
            failed = failed_write(error)
            if failed is None:
                raise
            raise failed from error
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "labels.txt").write_bytes(folders.labels_text(examples.classes).encode())


def _named_outputs(task: type[Task], classes: Sequence[str]) -> Callable[[tf.Tensor], Outputs]:
    """Return what turns the network's output, float32 `[N, K]`, into named outputs: of NaN, NaN and an empty label."""
    labels = tf.constant([*classes, ""], tf.string)  # The last is that of none.

    def single_label(probabilities: tf.Tensor) -> Outputs:
        largest = tf.argmax(probabilities, axis=1, output_type=tf.int32)
        # Gathered, for a maximum need not be NaN of NaN.
        confidence = tf.gather(probabilities, largest, batch_dims=1)
        # OpenVINO gathers strings, but does not choose between them.
        label = tf.gather(labels, tf.where(tf.math.is_nan(confidence), len(classes), largest))
        return {"label": label, "confidence": confidence}

    def several_labels(probabilities: tf.Tensor) -> Outputs:
        chosen = tf.where(probabilities >= 0.5, labels[:-1] + "|", "")
        label = tf.strings.regex_replace(tf.strings.reduce_join(chosen, axis=1), r"\|$", "")
        sure = tf.maximum(probabilities, 1 - probabilities)  # Of each label, that it is there or that it is not.
        return {"label": label, "confidence": tf.gather(sure, tf.argmin(sure, axis=1), batch_dims=1)}

    def classify(probabilities: tf.Tensor) -> Outputs:
        decide = single_label if task.single_label else several_labels
        return {task.served: probabilities, **decide(probabilities)}

    def measure(values: tf.Tensor) -> Outputs:
        return {task.served: values[:, 0]}

    return classify if task.has_classes else measure


def _decode_all(decoder: Decoder) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return what decodes strings `[N]` to float32 `[N, size, size, 3]` and an error, string `[N]`, for each."""
    shape = (decoder.size, decoder.size, 3)

    def one_by_one(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Without tf.data, whose start costs 15 ms.
        return tf.map_fn(decoder, contents, fn_output_signature=tf.uint8), tf.constant([""])[: tf.size(contents)]

    def in_parallel(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.size(contents)
        files = tf.data.Dataset.from_tensor_slices((tf.range(count), contents))
        decoded = files.map(
            lambda index, content: (index, decoder(content)), num_parallel_calls=_PARALLEL
        ).ignore_errors()
        # One more, so that there is a batch even where nothing could be decoded.
        spare = tf.data.Dataset.from_tensors((count, tf.zeros(shape, tf.uint8)))
        batches = decoded.concatenate(spare).batch(tf.cast(count, tf.int64) + 1)
        indices, pixels = batches.with_options(_quick_to_start()).get_single_element()
        pixels = tf.scatter_nd(indices[:, None], pixels, tf.concat([[count + 1], shape], 0))[:-1]
        is_decoded = tf.scatter_nd(indices[:, None], tf.ones_like(indices), [count + 1])[:-1] > 0
        return pixels, tf.where(is_decoded, "", _reasons(contents))

    def decode_all(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, error = tf.cond(tf.size(contents) > 1, lambda: in_parallel(contents), lambda: one_by_one(contents))
        return tf.cast(tf.ensure_shape(pixels, (None, *shape)), tf.float32), tf.ensure_shape(error, (None,))

    return decode_all


def _quick_to_start() -> tf.data.Options:
    """Return options without what costs more to start than it saves on a batch."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _reasons(contents: tf.Tensor) -> tf.Tensor:
    """Return for each file that could not be decoded, strings `[N]`, why, as far as its first bytes tell."""
    reasons = [formats.DAMAGED_WEBP if name == "WebP" else formats.DAMAGED for _, _, name in formats.FORMATS]
    reason = tf.gather([*reasons, formats.UNKNOWN], kind_of(contents))
    return tf.where(tf.equal(tf.strings.length(contents), 0), "is empty", reason)


def _nan_unless(valid: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Return numbers `[N, D]`, those of an image as NaN unless bool `[N]` says that it is valid."""
    return tf.where(valid[:, None], values, float("nan"))
