"""What tells a network of the user's own from others, whatever their weights: by it, activations are stored."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

import keras

from keras_transfer.network.precision import every_layer


def fingerprint(network: keras.Model) -> str:
    """Return a digest of a model's graph and of the code of its layers, as far as they are not Keras's own.

    A configuration does not say what a layer computes, nor a function that is registered with Keras: who edits them
    keeps their names. What their code calls elsewhere is not looked at.
    """
    graph = network.to_json()
    registered = keras.saving.get_custom_objects().items()
    own = {type(layer) for layer in every_layer(network)} | {own for name, own in registered if f'"{name}"' in graph}
    codes = sorted({f"{name} {' '.join(_parts(code))}" for item in own for name, code in _functions(item)})
    return hashlib.blake2b("\n".join([graph, *codes]).encode(), digest_size=16).hexdigest()


def _is_of_keras(kind: Any) -> bool:
    """Say whether Keras knows a class or function wherever it runs: it is its own, or Python's."""
    return kind.__module__.split(".")[0] in ("keras", "builtins")


def _functions(item: Any) -> Iterator[tuple[str, CodeType]]:
    """Yield name and code of a function, or of the methods of a class, but of Keras's."""
    members = (
        (f"{kind.__qualname__}.{name}", value)
        for kind in (item.__mro__ if isinstance(item, type) else ())
        if not _is_of_keras(kind)
        for name, value in vars(kind).items()
    )
    for name, value in members if isinstance(item, type) else [("", item)]:
        code = getattr(inspect.unwrap(getattr(value, "__func__", value)), "__code__", None)
        if code is not None:
            yield name, code


def _parts(code: CodeType) -> Iterator[str]:
    """Yield what makes a function: the same in every process, unlike its file and line in a notebook."""
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
        else:
            # The order of a set changes from process to process.
            yield repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)
