"""The network of a run: preprocessing, base, pooling and head, and where the frozen part ends.

Every part is a Keras functional model of standard layers, so the whole saves to one `.keras` file that needs
nothing of this package, and its halves on either side of a boundary share their layers with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_transfer.bases import Base, Block
from keras_transfer.recipe import Recipe

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

    @property
    def size(self) -> int:
        """Input side in pixels."""
        return int(self.base.input_shape[1])

    def classifier(self) -> keras.Model:
        """Return the whole: float pixels `[N, H, W, 3]` in 0..255 to probabilities (or numbers), float32
        `[N, K]`.
        """
        pixels = keras.Input(self.base.input_shape[1:], name="images")
        return keras.Model(pixels, self.output(self.head(self.pool(self.base(self.prepare(pixels))))))

    def embedder(self) -> keras.Model:
        """Return the part below the head: pixels to embedding `[N, D]`."""
        pixels = keras.Input(self.base.input_shape[1:], name="images")
        return keras.Model(pixels, self.pool(self.base(self.prepare(pixels))))


@dataclass(frozen=True)
class Halves:
    """A network cut at a boundary, the halves sharing their layers with it.

    Attributes:
        frozen: Pixels to the activations at the boundary, a list, followed by the embedding: all that is to be stored.
        below: Pixels to the activations at the boundary, one tensor or a list.
        tail: Activations at the boundary, one tensor or a list, to logits.
    """

    frozen: keras.Model
    below: keras.Model
    tail: keras.Model


def build(base: keras.Model, row: Base, recipe: Recipe, classes: int, output: keras.Layer | None = None) -> Network:
    """Put preprocessing and a new head around a base.

    Args:
        base: Ends in a feature map.
        row: Its row of the table.
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
        preparation(row.preprocessing, base.input_shape[1:]),
        base,
        pool,
        head,
        output or keras.layers.Softmax(),
    )


@contextmanager
def computing_in(policy: str, *models: keras.Model, but: Sequence[keras.Layer] = ()) -> Iterator[None]:
    """Let models compute under a Keras dtype policy for a while. What is traced meanwhile stays so.

    Args:
        policy: One that keeps variables in float32: `float32`, `mixed_bfloat16` or `mixed_float16`.
        models: Whose float32 layers do; the policies of others, which their maker chose, are left alone.
        but: Layers that go on in float32.
    """
    kept = {id(layer) for layer in but}
    layers = {id(layer): layer for model in models for layer in every_layer(model)}
    changed = [layer for key, layer in layers.items() if key not in kept and layer.dtype_policy.name == "float32"]
    for layer in changed:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer in changed:
            layer.dtype_policy = "float32"


def every_layer(layer: keras.Layer) -> Iterator[keras.Layer]:
    """Yield a layer and, of a model, all within it."""
    yield layer
    for inner in layer.layers if isinstance(layer, keras.Model) else ():
        yield from every_layer(inner)


def copied_in(dtype: str, model: keras.Model) -> keras.Model:
    """Return a copy of a model whose weights and arithmetic are of one dtype, whatever theirs were."""
    twin = keras.models.clone_model(model, clone_function=partial(copied, dtype=dtype), recursive=True)
    twin.set_weights(model.get_weights())
    return twin


def copied(step: keras.Operation, dtype: str, name: str | None = None) -> keras.Operation:
    """Return a copy of a step of a graph, without its weights, that computes in a dtype."""
    config = step.get_config()
    # Keras 3.8 records the casts of its policies as steps of their own.
    if isinstance(step, keras.Layer) or config.get("dtype") in ("bfloat16", "float16"):
        config["dtype"] = dtype
    if name is not None and "name" in config:  # Which operations of Keras 3.8 do not take.
        config["name"] = name
    return type(step).from_config(config)


def freeze_statistics(base: keras.Model) -> None:
    """Put every BatchNormalization into inference mode for good, whatever else is thawed.

    As https://keras.io/guides/transfer_learning/ advises: its moving statistics are the source's, and a few batches
    of new data would destroy them.
    """
    for layer in every_layer(base):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def cut(network: Network, block: Block | None) -> Halves:
    """Cut a network below a block, or, without one, below the head.

    All that the boundary layer depends on is frozen, all else trained. The boundary is each tensor that leads from
    the one to the other, found in the base's graph: one for most bases, two for NASNet, whose cells read the two
    cells before them.
    """
    pixels = keras.Input(network.base.input_shape[1:], name="images")
    prepared = network.prepare(pixels)
    if block is None:
        embedding = network.pool(network.base(prepared))
        return Halves(keras.Model(pixels, [embedding]), keras.Model(pixels, embedding), network.head)
    tensors = cut_tensors(network.base, block.boundary)[0]
    *activations, feature_map = keras.Model(network.base.input, [*tensors, network.base.output])(prepared)
    frozen = keras.Model(pixels, [*activations, network.pool(feature_map)])
    below = keras.Model(pixels, one_or_list(activations))
    inputs = one_or_list([keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in tensors])
    above = keras.Model(one_or_list(tensors), network.base.output, name="thawed")
    return Halves(frozen, below, keras.Model(inputs, network.head(network.pool(above(inputs)))))


class Frozen(keras.layers.Layer):
    """A model as a layer that is never trained: no gradients, and no dropout even while what is above it trains.

    Keras hands `training=True` down to a model that is called within another, even if it was called with
    `training=False` (https://github.com/keras-team/keras/issues/20285); a layer whose `call` takes no such argument
    stops that. The model's weights are not this layer's, so that they keep their `trainable` flags.
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.forward = partial(network, training=False)

    def call(self, inputs: Any) -> Any:
        """Return the model's outputs in inference mode."""
        return keras.tree.map_structure(keras.ops.stop_gradient, self.forward(inputs))


def cut_points(base: keras.Model) -> tuple[Block, ...]:
    """Return the blocks of a base that is in no table, each named after a layer with weights that opens it.

    A layer that the base calls several times opens none, and is never on both sides of a boundary.
    """
    blocks = {"": Block("all", "")}
    for layer in [layer for layer in base.layers if layer.weights][1:]:
        if isinstance(layer, keras.layers.BatchNormalization):
            continue
        frozen, thawed = _split(base, f"<{layer.name}")
        tensors = _crossing(frozen, thawed)
        split = {id(call.operation) for call in frozen if isinstance(call.operation, keras.Layer)}
        shared = any(id(call.operation) in split for call in thawed)
        if len(tensors) == 1 and not shared and sum(call.operation is layer for call in thawed) == 1:
            blocks.setdefault(tensors[0].name, Block(layer.name, f"<{layer.name}"))
    return tuple(blocks.values())


def one_or_list(items: Sequence[Any]) -> Any:
    """Return the only item, or all as a list: how Keras wants the inputs of a model."""
    return items[0] if len(items) == 1 else list(items)


def cut_tensors(base: keras.Model, boundary: str) -> tuple[list[keras.KerasTensor], list[keras.Layer]]:
    """Return the tensors that lead from the frozen into the thawed part of a base, and the layers of the latter.

    Args:
        base: Any functional model.
        boundary: As in `Block`.
    """
    frozen, thawed = _split(base, boundary)
    operations = {id(call.operation) for call in thawed}
    return _crossing(frozen, thawed), [layer for layer in base.layers if id(layer) in operations]


def _split(base: keras.Model, boundary: str) -> tuple[list[Call], list[Call]]:
    """Frozen and thawed steps: the boundary's tensors and all that they depend on, and the others."""
    order = {id(operation): number for number, operation in enumerate(base.operations)}
    steps = sorted(calls(base), key=lambda call: order[id(call.operation)])
    ends = list(base.inputs)
    if boundary:
        opening = [call for call in steps if call.operation.name == boundary.removeprefix("<")]
        ends = [tensor for call in opening for tensor in (call.inputs if boundary[0] == "<" else call.outputs)]
    maker = {id(tensor): call for call in steps for tensor in call.outputs}
    frozen: set[int] = set()
    waiting = [maker[id(tensor)] for tensor in ends]
    while waiting:
        call = waiting.pop()
        if id(call) not in frozen:
            frozen.add(id(call))
            waiting += [maker[id(tensor)] for tensor in call.inputs]
    return [call for call in steps if id(call) in frozen], [call for call in steps if id(call) not in frozen]


def _crossing(frozen: list[Call], thawed: list[Call]) -> list[keras.KerasTensor]:
    made = {id(tensor) for call in frozen for tensor in call.outputs}
    return list({id(tensor): tensor for call in thawed for tensor in call.inputs if id(tensor) in made}.values())


@dataclass(frozen=True)
class Call:
    """A step of a model's graph: an operation, what it is called on, and what it gives."""

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def calls(network: keras.Model) -> list[Call]:
    """Return the steps of a functional model, each after those that it depends on.

    An operation's own `input` and `output` are those of its first call, in this model or another; of a model that is
    called as a layer, they are those within it. The history of the tensors knows better.
    """
    starts = {id(tensor) for tensor in network.inputs}
    steps: dict[int, Call] = {}
    waiting = list(network.outputs)
    while waiting:
        tensor = waiting[-1]
        node = _node(tensor)
        inputs = [] if id(tensor) in starts else list(node.input_tensors)
        missing = [needed for needed in inputs if id(_node(needed)) not in steps]
        if missing:
            waiting += missing
        else:
            steps.setdefault(id(node), Call(node.operation, inputs, list(node.output_tensors)))
            waiting.pop()
    return list(steps.values())


def _node(tensor: keras.KerasTensor) -> Any:
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


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
