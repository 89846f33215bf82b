"""The dtype policies of a model's layers: what it computes in for a while, and copies in another dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras

from keras_transfer.network.graph import layers_within


@contextmanager
def computing_in(policy: str, *models: keras.Model, keep_float32: Sequence[keras.Layer] = ()) -> Iterator[None]:
    """Let models compute under a Keras dtype policy for a while. What is traced meanwhile stays so.

    Args:
        policy: One that keeps variables in float32: `float32`, `mixed_bfloat16` or `mixed_float16`.
        models: Whose float32 layers do; the policies of others, which their maker chose, are left alone.
        keep_float32: Layers that go on in float32.
    """
    kept = {id(layer) for layer in keep_float32}
    layers = {id(layer): layer for model in models for layer in every_layer(model)}
    changed = [layer for key, layer in layers.items() if key not in kept and layer.dtype_policy.name == "float32"]
    for layer in changed:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer in changed:
            layer.dtype_policy = "float32"


def every_layer(layer: keras.Layer) -> list[keras.Layer]:
    """Return a layer and all within it: those of a model, and those that a layer is made of."""
    return [layer, *layers_within(layer)]


def copied_in(dtype: str, model: keras.Model) -> keras.Model:
    """Return a copy of a model whose weights and arithmetic are of one dtype, whatever theirs were."""
    twin = keras.models.clone_model(model, clone_function=partial(copied, dtype=dtype), recursive=True)
    twin.set_weights(model.get_weights())
    return twin


def copied(step: keras.Operation, dtype: str, name: str | None = None, **changed: Any) -> keras.Operation:
    """Return a copy of a step of a graph, without its weights, that computes in a dtype; `changed` are entries of its
    configuration.
    """
    config = step.get_config() | changed
    # Keras 3.8 records the casts of its policies as steps of their own.
    if isinstance(step, keras.Layer) or config.get("dtype") in ("bfloat16", "float16"):
        config["dtype"] = dtype
    if name is not None and "name" in config:  # Which operations of Keras 3.8 do not take.
        config["name"] = name
    return type(step).from_config(config)
