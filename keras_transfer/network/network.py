"""The network of a run: preprocessing, base, pooling and head.

Every part is a Keras functional model of standard layers, so the whole saves to one `.keras` file that needs
nothing of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_transfer.network.bases import Base
from keras_transfer.network.model_files import UNREADABLE, why_not_loaded
from keras_transfer.network.precision import every_layer
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError

# ImageNet statistics as in keras.applications.imagenet_utils.preprocess_input.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Network:
    """The parts of a classifier, in the order in which an image passes them.

    Attributes:
        prepare: Pixels 0..255, float `[N, H, W, 3]`, to the base's input.
        base: To a feature map `[N, h, w, C]`.
        pool: To an embedding `[N, D]`.
        head: To logits `[N, K]`.
        output: To what is served: probabilities, or numbers in the user's units.
    """

    prepare: keras.Model
    base: keras.Model
    pool: keras.Layer
    head: keras.Model
    output: keras.Layer

    @classmethod
    def load(cls, file: Path) -> Network:
        """Return the parts of the classifier in a version's `model.keras`, of this release or an earlier one.

        Raises:
            UserError: it cannot be read, or is not what `classifier` made.
        """
        if not file.is_file():
            raise UserError(f"{file} is missing, from which the network is loaded: fit the version anew.")
        try:
            whole = keras.models.load_model(file, compile=False)
            _, prepare, base, pool, head, output = whole.layers
        except UNREADABLE as error:
            raise UserError(
                f"{file} cannot be loaded as a network of this program ({why_not_loaded(error)})."
            ) from error
        return cls(prepare, base, pool, head, output)

    @property
    def size(self) -> int:
        """Input side in pixels."""
        return int(self.base.input_shape[1])

    def weights(self) -> list[list[np.ndarray]]:
        """Return all weights of base and head."""
        return [model.get_weights() for model in (self.base, self.head)]

    def set_weights(self, weights: list[list[np.ndarray]]) -> None:
        """Go back to weights of base and head, as `weights` returned them."""
        for model, arrays in zip((self.base, self.head), weights, strict=True):
            model.set_weights(arrays)

    def divide_logits(self, temperature: float) -> None:
        """Divide all logits by a number, folded into the weights of their layer."""
        layer = self.head.get_layer("logits")
        layer.set_weights([value / temperature for value in layer.get_weights()])

    def classifier(self) -> keras.Model:
        """Return the whole: float pixels `[N, H, W, 3]` in 0..255 to probabilities (or numbers), float32
        `[N, K]`.
        """
        logits = self.logits()
        return keras.Model(logits.input, self.output(logits.output))

    def logits(self) -> keras.Model:
        """Return the part below the output: pixels to logits `[N, K]`."""
        embedding = self.embedder()
        return keras.Model(embedding.input, self.head(embedding.output))

    def embedder(self) -> keras.Model:
        """Return the part below the head: pixels to embedding `[N, D]`."""
        pixels = keras.Input(self.base.input_shape[1:], name="images")
        return keras.Model(pixels, self.pool(self.base(self.prepare(pixels))))


def build(base: keras.Model, spec: Base, recipe: Recipe, classes: int, output: keras.Layer | None = None) -> Network:
    """Put preprocessing and a new head around a base.

    Args:
        base: Ends in a feature map.
        spec: What the table of bases says of it.
        recipe: Gives pooling, dense widths, dropout and L2.
        classes: Width of the output.
        output: From logits to what is served; None is a softmax.
    """
    freeze_statistics(base)
    pool = _pooling(recipe.pooling)
    embedding = keras.Input(pool.compute_output_shape(base.output_shape)[1:], name="embedding")
    penalty = keras.regularizers.L2(recipe.l2) if recipe.l2 else None
    x = embedding
    for number, width in enumerate([*recipe.dense, classes]):
        if recipe.dropout:
            x = keras.layers.Dropout(recipe.dropout, seed=recipe.seed + number)(x)
        last = number == len(recipe.dense)
        x = keras.layers.Dense(
            width,
            None if last else "relu",
            kernel_initializer=keras.initializers.GlorotUniform(recipe.seed + number),
            kernel_regularizer=penalty,
            name="logits" if last else f"dense_{number + 1}",
        )(x)
    head = keras.Model(embedding, x, name="head")
    return Network(
        preparation(spec.preprocessing, base.input_shape[1:]),
        base,
        pool,
        head,
        output or keras.layers.Softmax(),
    )


def freeze_statistics(base: keras.Model) -> None:
    """Put every BatchNormalization into inference mode for good, whatever else is thawed.

    As https://keras.io/guides/transfer_learning/ advises: its moving statistics are the source's, and a few batches
    of new data would destroy them.
    """
    for layer in every_layer(base):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _pooling(name: str) -> keras.Layer:
    layers = keras.layers
    return {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}[name](
        name="pool"
    )


def preparation(mode: str, shape: tuple[int, ...]) -> keras.Model:
    """The base's own `preprocess_input`, as standard layers that save and export."""
    pixels = keras.Input(shape, name="pixels")
    if mode == "caffe":
        x = keras.layers.Rescaling([1.0] * 3, [-mean for mean in _CAFFE_MEAN_BGR])(pixels[..., ::-1])
    elif mode == "tf":
        x = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    elif mode == "torch":
        deviation = np.array(_TORCH_DEVIATION)
        x = keras.layers.Rescaling((1 / 255 / deviation).tolist(), (-np.array(_TORCH_MEAN) / deviation).tolist())(
            pixels
        )
    else:
        x = keras.layers.Identity()(pixels)
    return keras.Model(pixels, x, name="prepare")
