"""The graph of a functional model: which operation is called on what, and the same calls on other tensors; the layers
within a layer, and the names of layers.

Keras tells none of it in public. This module alone reads these private parts (`KerasTensor._keras_history`,
`Operation._inbound_nodes` and their `arguments`, `Function._run_through_graph`, `Layer._flatten_layers`, the counters
of names), which are the same from Keras 3.8 to 3.15. Its maintainers know of no other way (https://github.com/keras-team/keras/issues/20267);
`tests/network/test_graph.py` fails when there is one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.backend.common import global_state


@dataclass(frozen=True)
class Call:
    """A step of a model's graph: an operation, what it is called on, with which keywords, and what it gives."""

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    keywords: dict[str, Any]
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
            keywords, outputs = dict(node.arguments.kwargs), list(node.output_tensors)
            steps.setdefault(id(node), Call(node.operation, inputs, keywords, outputs))
            waiting.pop()
    return list(steps.values())


def makers(steps: Iterable[Call]) -> dict[int, Call]:
    """Return the step that makes each tensor, by the tensor's `id`."""
    return {id(tensor): call for call in steps for tensor in call.outputs}


def call_each(network: keras.Model, inputs: Sequence[keras.KerasTensor], call: Callable[..., Any]) -> Any:
    """Return the outputs of a functional model for other inputs, each of its steps called by a function.

    `keras.models.clone_model` does so too, but only for a model's own inputs: from tensors within another model it
    makes a model that is not connected to them.

    Args:
        network: Functional.
        inputs: In place of the model's own.
        call: Takes an operation and what it is called on.
    """
    return network._run_through_graph(list(inputs), operation_fn=lambda operation: operation, call_fn=call)


def one_or_list(items: Sequence[Any]) -> Any:
    """Return the only item, or all as a list: how Keras wants the inputs of a model."""
    return items[0] if len(items) == 1 else list(items)


def gflops(network: keras.Model) -> float:
    """Return about how many operations, in 1e9, a functional model takes for an image: those of its kernels, each used
    once at every position of its layer's output, a multiply-add as two.
    """
    operations = 0
    for call in calls(network):
        kernels = [weight.shape for weight in getattr(call.operation, "weights", ()) if len(weight.shape) > 1]
        positions = math.prod(length or 1 for length in call.outputs[0].shape[1:-1])
        operations += 2 * positions * sum(map(math.prod, kernels))
    return operations / 1e9


def layers_within(layer: keras.Layer) -> list[keras.Layer]:
    """Return all layers that a layer is made of: of a model, those of its graph, and what these are made of."""
    return list(layer._flatten_layers(include_self=False, recursive=True))


@contextmanager
def names_from_the_start() -> Iterator[None]:
    """Number the automatic names of what is built meanwhile as in a new process (`dense`, `dense_1`), so that what is
    built twice has the same names; afterwards Keras goes on counting where it was.
    """
    counts = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", counts)


def _node(tensor: keras.KerasTensor) -> Any:
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]
