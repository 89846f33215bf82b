"""Where the frozen part of a network ends: its graph, and the boundary between two parts that share its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from keras_transfer.network.blocks import Block
from keras_transfer.network.folding import call_folded
from keras_transfer.network.graph import Call, calls, makers, one_or_list
from keras_transfer.network.network import Network
from keras_transfer.support.errors import UsageError, nearest
from keras_transfer.support.terminal import listed


@dataclass(frozen=True)
class Cut:
    """A network cut at a boundary, the parts sharing their layers with it.

    Attributes:
        frozen: Pixels to the activations at the boundary, a list, followed by the embedding where that is wanted: all
            that is to be stored.
        below: Pixels to the activations at the boundary, one tensor or a list.
        above: Activations at the boundary, one tensor or a list, to logits, computed with fewer operations (`folding`).
    """

    frozen: keras.Model
    below: keras.Model
    above: keras.Model


def cut(network: Network, block: Block | None, embedding: bool = True) -> Cut:
    """Cut a network below a block, or, without one, below the head, where the embedding is all that is to be stored.

    All that the boundary layer depends on is frozen, all else trained. The boundary is each tensor that leads from
    the one to the other, found in the base's graph: one for most bases, two for NASNet, whose cells read the two
    cells before them.
    """
    pixels = keras.Input(network.base.input_shape[1:], name="images")
    prepared = network.prepare(pixels)
    if block is None:
        embedding = network.pool(network.base(prepared))
        return Cut(keras.Model(pixels, [embedding]), keras.Model(pixels, embedding), network.head)
    tensors = cut_tensors(network.base, block.boundary)[0]
    outputs = [*tensors, network.base.output] if embedding else tensors
    stored = keras.tree.flatten(keras.Model(network.base.input, outputs)(prepared))
    activations = stored[: len(tensors)]
    frozen = keras.Model(pixels, [*activations, *map(network.pool, stored[len(tensors) :])])
    below = keras.Model(pixels, one_or_list(activations))
    inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in tensors]
    features = call_folded(keras.Model(one_or_list(tensors), network.base.output), inputs)
    return Cut(frozen, below, keras.Model(one_or_list(inputs), network.head(network.pool(features))))


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
        tensors, shared = _crossing(frozen, thawed), _shared(frozen, thawed)
        if len(tensors) == 1 and not shared and sum(call.operation is layer for call in thawed) == 1:
            blocks.setdefault(tensors[0].name, Block(layer.name, f"<{layer.name}"))
    return tuple(blocks.values())


def demand_blocks(base: keras.Model, name: str, blocks: Sequence[Block]) -> None:
    """Raise `UsageError` where blocks that a user has named are not parts of a base, from the image upwards.

    Args:
        base: Any functional model.
        name: What messages call it.
        blocks: To look at.
    """
    steps, before = [operation.name for operation in base.operations], len(base.operations) + 1
    for block in blocks:
        start = block.boundary.removeprefix("<")
        if block.boundary and start not in steps:
            raise UsageError(
                f"register_base: {name} has no layer {start!r}, at which block {block.name!r} begins."
                f"{nearest(start, steps)} Its layers: {listed(steps)}."
            )
        frozen, thawed = _split(base, block.boundary)
        shared = _shared(frozen, thawed)
        if shared:
            raise UsageError(
                f"register_base: block {block.name!r} cannot begin there, for layer {shared[0].name!r} is called on "
                "both sides."
            )
        if not 0 < len(thawed) < before:
            what = "holds nothing" if not thawed else "does not lie above the one before it"
            raise UsageError(
                f"register_base: blocks are named from the image upwards, and {block.name!r}, at {start!r}, {what}."
            )
        before = len(thawed)


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
    maker = makers(steps)
    frozen: set[int] = set()
    waiting = [maker[id(tensor)] for tensor in ends]
    while waiting:
        call = waiting.pop()
        if id(call) not in frozen:
            frozen.add(id(call))
            waiting += [maker[id(tensor)] for tensor in call.inputs]
    return [call for call in steps if id(call) in frozen], [call for call in steps if id(call) not in frozen]


def _shared(frozen: list[Call], thawed: list[Call]) -> list[keras.Layer]:
    """Return the layers that are called on both sides of a boundary."""
    below = {id(call.operation) for call in frozen if isinstance(call.operation, keras.Layer)}
    return [call.operation for call in thawed if id(call.operation) in below]


def _crossing(frozen: list[Call], thawed: list[Call]) -> list[keras.KerasTensor]:
    made = makers(frozen)
    return list({id(tensor): tensor for call in thawed for tensor in call.inputs if id(tensor) in made}.values())
