"""Files of whole Keras models, which are not trusted: read, and loaded in bounded memory.

A configuration may ask for terabytes, be nested without end, or hold program code; weights may lie in other files.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras

from keras_transfer.network import h5
from keras_transfer.support import stopping
from keras_transfer.support.errors import UserError

# What reading a damaged file may raise, in zipfile, json, h5py and Keras.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    SystemError,  # Of h5py, where HDF5 fails in a callback.
)


# Of an InputLayer of Keras 3, of one of Keras 2, and of a Sequential model.
_SHAPE_KEYS = ("batch_shape", "batch_input_shape", "build_input_shape")
# Of these layers, groups is always 1, and the others are of no use to weights that are there.
_KERAS2_LAYERS = ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
_KERAS2_OPTIONS = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")


def configuration(file: Path) -> dict[str, Any]:
    """Return the configuration of a model's file, as JSON has it.

    Raises:
        UserError: it cannot be read, or holds weights alone.
    """
    try:
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                size = archive.getinfo("config.json").file_size
                if size > h5.MAX_CONFIG_BYTES:
                    raise ValueError(f"its configuration has {size / 1e6:.0f} MB")
                return h5.parsed(archive.read("config.json"))
        with h5py.File(file, "r") as stream:
            config = h5.config(stream)
    except UNREADABLE as error:
        raise UserError(f"{file} cannot be read as a Keras model ({first_line(error)}).") from error
    if config is None:
        raise UserError(
            f"{file} holds weights without a network: name their base, and give them to `fit --weights`, or put them, "
            "under the name of the download, where Keras keeps downloads (~/.keras/models)."
        )
    return config


def input_side(file: Path) -> int | None:
    """Return the height of the images that a model's file takes, px; None if it takes any, or does not say."""
    layer: Any = configuration(file)
    while isinstance(layer, dict):
        config = layer.get("config")
        config = {"layers": config} if isinstance(config, list) else config if isinstance(config, dict) else {}
        shape = next((config[key] for key in _SHAPE_KEYS if key in config), None)
        if isinstance(shape, list) and len(shape) == 4:
            return shape[1] if isinstance(shape[1], int) else None
        layers = config.get("layers")
        layer = layers[0] if isinstance(layers, list) and layers else None
    return None


@stopping.deferred()
def load_model(file: Path) -> keras.Model:
    """Load a `.keras` or whole `.h5` file with its weights, in bounded memory.

    Raises:
        UserError: it cannot be loaded, or its contents or sizes are refused.
    """
    config = configuration(file)
    values = _values(file)
    if file.suffix != ".keras" and "Lambda" in _classes(config):
        # Not every release of Keras has a safe mode for these files.
        raise UserError(f"{file} has a Lambda layer, which is program code: save the model without it.")
    keras2 = {name: _without_keras2_options(getattr(keras.layers, name)) for name in _KERAS2_LAYERS}
    try:
        with _weights_of_at_most(4 * values + 1_000_000, file):
            if file.suffix == ".keras":
                return keras.models.load_model(file, compile=False, safe_mode=True)
            with tempfile.TemporaryDirectory() as folder:
                readable = _renumbered(file, config, Path(folder))
                return keras.models.load_model(readable, custom_objects=keras2, compile=False)
    except UNREADABLE as error:
        version = _keras_version(file) if file.suffix == ".keras" else ""
        if version.startswith("2."):
            raise UserError(
                f"{file} was written by Keras {version}, and Keras {keras.__version__} cannot load it: load it there, "
                "save it as .h5, and give that."
            ) from error
        raise UserError(f"{file} cannot be loaded as a Keras model ({why_not_loaded(error)}).") from error


def why_not_loaded(error: Exception) -> str:
    """Return what Keras says of a model that it cannot load; of a class that it does not know, what to do."""
    unknown = re.search(r"Could not (?:locate|deserialize) (?:class|function) '([\w.>]+)'", str(error))
    if unknown is None:
        return last_reason(error)
    return f"Keras does not know its {unknown[1]!r}: first run the code that defines it, as before the base was fitted"


def last_reason(error: Exception) -> str:
    """Return the first sentence, without configurations, of the innermost error that an error of Keras names."""
    innermost = str(error).split("Exception encountered: ")[-1].strip()
    return re.split(r"[:,]? (?:using )?(?:config=)?\{|\. |\n", innermost)[0][:200] or type(error).__name__


def _renumbered(file: Path, config: dict[str, Any], folder: Path) -> Path:
    """Return a copy of an `.h5` file of Keras 2 as Keras 3 reads it; of a file that it reads, the file.

    The calls of a layer are numbered from 0, and in Keras 2 those of a model within the model from 1, for it counted
    as called when it was built; Keras 3 takes that call for missing.
    """
    if not renumber(config):
        return file
    copy = folder / "renumbered.h5"
    shutil.copyfile(file, copy)
    copy.chmod(0o600)
    with h5py.File(copy, "r+") as stream:
        stream.attrs["model_config"] = json.dumps(config)
    return copy


def renumber(model: dict[str, Any]) -> bool:
    """Number the calls of models within a model from 0, in place; tell whether any was not."""
    inner = model.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or not isinstance(layers, list):
        return False
    changed = [renumber(layer) for layer in layers if isinstance(layer, dict)]
    nested = {layer.get("name") for layer in layers if "layers" in (layer.get("config") or ())}
    references: dict[str, list[list[Any]]] = {}
    waiting = [inner.get("output_layers"), *(layer.get("inbound_nodes") for layer in layers)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str) and isinstance(item[1], int):
            references.setdefault(item[0], []).append(item)
        if isinstance(item, (list, dict)):
            waiting += item.values() if isinstance(item, dict) else item
    for name, calls in references.items():
        if name in nested and min(call[1] for call in calls) == 1:
            changed.append(True)
            for call in calls:
                call[1] -= 1
    return any(changed)


def _without_keras2_options(kind: type[keras.Layer]) -> type[keras.Layer]:
    """Return what makes a layer of a kind from its configuration by Keras 2, which has options that Keras 3 refuses."""

    class Reader(kind):
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> keras.Layer:
            return kind.from_config({key: value for key, value in config.items() if key not in _KERAS2_OPTIONS})

    return Reader


@contextmanager
def _weights_of_at_most(limit: int, file: Path) -> Iterator[None]:
    """Stop a model from being built with more values than its file can fill, before memory is asked for. Models that
    other threads build meanwhile do not count.
    """
    plain: Callable[..., Any] = keras.layers.Layer.add_weight
    total, loading = 0, threading.get_ident()

    def counted(layer: keras.Layer, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        nonlocal total
        if threading.get_ident() == loading:
            total += math.prod(shape or ())
            if total > limit:
                raise ValueError("its configuration asks for more weights than it holds")
        return plain(layer, shape, *args, **kwargs)

    keras.layers.Layer.add_weight = counted
    try:
        yield
    except Exception as error:
        if total <= limit:
            raise
        raise UserError(f"{file} is refused: its configuration asks for more weights than it holds.") from error
    finally:
        keras.layers.Layer.add_weight = plain


def _values(file: Path) -> int:
    """Return how many values a file's weights have, once it has been checked."""
    try:
        if file.suffix != ".keras":
            return h5.check(file)
        with zipfile.ZipFile(file) as archive, tempfile.TemporaryDirectory() as folder:
            member = archive.getinfo("model.weights.h5")
            if member.file_size > max(1 << 30, 4 * file.stat().st_size):
                raise UserError(f"{file} is refused: its weights would have {member.file_size / 1e9:,.1f} GB.")
            unpacked = Path(folder) / "model.weights.h5"
            with archive.open(member) as source, unpacked.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            return h5.check(unpacked, str(file))
    except UNREADABLE as error:
        raise UserError(f"{file} cannot be read as a Keras model ({first_line(error)}).") from error


def _keras_version(file: Path) -> str:
    with zipfile.ZipFile(file) as archive:
        return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))


def _classes(config: Any) -> set[str]:
    """Return the names of all classes in a configuration."""
    classes: set[str] = set()
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            classes.add(str(item.get("class_name")))
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return classes


def first_line(error: Exception) -> str:
    """Return what an error says in at most 200 characters."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
