"""What tells a network of the user's own from others, whatever their weights: by it, activations are stored."""

from __future__ import annotations

import contextlib
import dis
import hashlib
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import keras

from keras_transfer.network.precision import every_layer


def fingerprint(network: keras.Model) -> str:
    """Return a digest of a model's graph and of the code of its layers, as far as they are not Keras's own.

    A configuration does not say what a layer computes, nor a function that is registered with Keras: who edits them
    keeps their names. With code go the numbers and words that it reads: those of its class, its module and what it is
    defined in. Functions that it calls elsewhere are not looked at.
    """
    graph = network.to_json()
    registered = keras.saving.get_custom_objects().items()
    own = {type(layer) for layer in every_layer(network)} | {own for name, own in registered if f'"{name}"' in graph}
    codes = sorted({f"{name} {' '.join(parts)}" for item in own for name, parts in _members(item)})
    return hashlib.blake2b("\n".join([graph, *codes]).encode(), digest_size=16).hexdigest()


def _is_of_keras(kind: Any) -> bool:
    """Say whether Keras knows a class or function wherever it runs: it is its own, or Python's."""
    return kind.__module__.split(".")[0] in ("keras", "builtins")


def _members(item: Any) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield name and parts of a function, or of the methods and constants of a class, but of Keras's."""
    members = (
        (f"{kind.__qualname__}.{name}", value)
        for kind in (item.__mro__ if isinstance(item, type) else ())
        if not _is_of_keras(kind)
        for name, value in vars(kind).items()
        if callable(getattr(value, "__func__", value)) or isinstance(value, property) or not name.startswith("__")
    )
    for name, value in members if isinstance(item, type) else [("", item)]:
        wrapped = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        function = inspect.unwrap(wrapped) if callable(wrapped) else wrapped
        if inspect.isfunction(function):
            yield name, _parts_of_function(function)
        elif _is_constant(function):
            yield name, iter([repr(function)])


def _parts_of_function(function: FunctionType) -> Iterator[str]:
    """Yield what a function is made of, and the constants that it reads from where it was defined."""
    code = function.__code__
    yield from _parts(code)
    read = {name: function.__globals__.get(name) for name in sorted(_globals_of(code))}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # It is empty.
            read[name] = cell.cell_contents
    read |= {"defaults": function.__defaults__, **(function.__kwdefaults__ or {})}
    yield from (f"{name}={value!r}" for name, value in read.items() if _is_constant(value))


def _globals_of(code: CodeType) -> set[str]:
    """Return the names that a code, or one within it, reads from its module."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return names.union(*(_globals_of(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _is_constant(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_constant, value))
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes))


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
