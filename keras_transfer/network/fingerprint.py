"""What tells a network of the user's own from others, whatever their weights: by it, activations are stored."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from types import CodeType

import keras

from keras_transfer.network.precision import every_layer


def fingerprint(network: keras.Model) -> str:
    """Return a digest of a model's graph and of the code of its layers, as far as they are not Keras's own.

    A layer's configuration does not say what it computes: who edits its class keeps the name. What the code calls
    outside of the class is not looked at.
    """
    digest = hashlib.blake2b(network.to_json().encode(), digest_size=16)
    kinds = {kind for layer in every_layer(network) for kind in type(layer).__mro__ if not is_of_keras(kind)}
    for kind in sorted(kinds, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}"):
        for name, value in sorted(vars(kind).items()):
            code = getattr(inspect.unwrap(getattr(value, "__func__", value)), "__code__", None)
            for part in _parts(code) if code is not None else ():
                digest.update(f"{name} {part}\n".encode())
    return digest.hexdigest()


def is_of_keras(kind: type) -> bool:
    """Say whether Keras knows a class wherever it runs: it is its own, or Python's."""
    return kind.__module__.split(".")[0] in ("keras", "builtins")


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
