"""Bases with their weights: ImageNet's, random ones, or those of a file.

A weights file is read in the order of its layers, as Keras reads its own `.h5` files, because the layers of
InceptionV3, Xception and others have no stable names. A file made with the classifier top fits too: what comes after
the base is left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_transfer import model as models
from keras_transfer.bases import Base, find
from keras_transfer.errors import UsageError, UserError


@dataclass(frozen=True)
class Source:
    """A base ready to transfer from.

    Attributes:
        row: Its row of the table; for a `.keras` file of the user's, a row made from it.
        base: The network, ending in a feature map.
        weights: `imagenet`, `random`, or the file they came from.
    """

    row: Base
    base: keras.Model
    weights: str


class ImageNetUnavailable(UserError):
    """ImageNet weights are neither on this machine nor to be downloaded."""


def row_of(base: str) -> Base | None:
    """Return the table's row, or None for a path to a `.keras` file.

    Raises:
        UsageError: neither a row nor a file.
    """
    if not base.endswith(".keras"):
        return find(base)
    if not Path(base).expanduser().is_file():
        raise UsageError(f"--base: there is no file {base!r}.")
    return None


def load(base: str, weights: str, size: int, seed: int) -> Source:
    """Build a base at an input size and give it its weights.

    Args:
        base: Name in the table, or path to a `.keras` feature extractor, which brings its own weights.
        weights: `imagenet`, `random`, or a path.
        size: Input side, px.
        seed: Of random weights.

    Raises:
        ImageNetUnavailable: naming the file, where Keras looks for it, and the other choices.
        UserError: the weights do not fit, naming the first layer that does not.
    """
    row = row_of(base)
    if row is None:
        return _from_keras_file(Path(base).expanduser(), size)
    if size < row.least_size:
        raise UsageError(f"--size: {row.name} takes images of at least {row.least_size} px. Received: {size}.")
    keras.utils.set_random_seed(seed)
    if weights == "imagenet":
        return Source(row, _imagenet(row, size), weights)
    network = _construct(row, size, None)
    if weights != "random":
        copy_weights(Path(weights).expanduser(), network)
    return Source(row, network, weights)


def copy_weights(file: Path, base: keras.Model) -> None:
    """Set a base's weights from a file or from an earlier run's version folder.

    Raises:
        UserError: it cannot be read or does not fit.
    """
    if not file.exists():
        raise UsageError(f"--weights: there is no {str(file)!r}. Give 'imagenet', 'random', a file or an earlier run.")
    if file.is_dir():
        from keras_transfer.versions.folders import newest

        file = newest(file) / "assets.extra" / "model.keras"
    if file.name.endswith(".weights.h5"):
        _load_keras3_weights(file, base)
        return
    try:
        if file.suffix == ".keras":
            stored = list(_model_weights(keras.models.load_model(file, compile=False)))
        elif file.suffix in (".h5", ".hdf5"):
            stored = list(_h5_weights(file))
        else:
            raise UsageError(f"--weights: {file.name} is no .h5, .weights.h5 or .keras file.")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"--weights: {file} cannot be read as model weights ({_first_line(error)}).") from error
    _assign(stored, base, file)


def _construct(row: Base, size: int, weights: str | None) -> keras.Model:
    constructor = getattr(keras.applications, row.constructor)
    return constructor(include_top=False, weights=weights, input_shape=(size, size, 3))


def _imagenet(row: Base, size: int) -> keras.Model:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras reports a download where results belong.
            return _construct(row, size, "imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        match = re.search(r"https?://\S+?/([^/\s]+\.h5)", str(error))
        if match is None:
            raise
        folder = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
        raise ImageNetUnavailable(
            f"ImageNet weights of {row.name} are neither on this machine nor to be downloaded. Put {match[1]} into "
            f"{folder}, or give --weights FILE, or --weights random."
        ) from error


def _from_keras_file(file: Path, size: int) -> Source:
    try:
        network = keras.models.load_model(file, compile=False)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"--base: {file} cannot be loaded as a Keras model ({_first_line(error)}).") from error
    shape, out = network.input_shape, network.output_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] != 3 or not isinstance(out, tuple) or len(out) != 4:
        raise UserError(
            f"--base: {file} must take images [N, H, W, 3] and give a feature map [N, h, w, C]. "
            f"It has {shape} -> {out}."
        )
    if shape[1] != size:
        if shape[1] is not None:
            raise UsageError(f"--size: {file} takes images of {shape[1]} px. Received: {size}.")
        sized = keras.models.clone_model(network, input_tensors=keras.Input((size, size, 3)))
        sized.set_weights(network.get_weights())
        network = sized
    if any(layer.compute_dtype != "float32" for layer in models.every_layer(network)):
        network = models.copied_in("float32", network)  # In which it is served, whatever it was trained in.
    blocks = models.cut_points(network)
    name = file.stem
    row = Base(name, "", size, 1, "none", network.count_params(), 0.0, out[3], blocks, blocks[-1].name)
    return Source(row, network, str(file))


def native_size(base: str) -> int:
    """Return the input side of a base, px: the table's, or that of a `.keras` file (224 if it takes any)."""
    row = row_of(base)
    if row is not None:
        return row.size
    try:
        with zipfile.ZipFile(Path(base).expanduser()) as archive:
            config = json.loads(archive.read("config.json"))
        shape = config["config"]["layers"][0]["config"]["batch_shape"]
        return int(shape[1] or 224)
    except (OSError, KeyError, ValueError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"--base: {base} is no Keras functional model ({_first_line(error)}).") from error


def _h5_weights(file: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Layers with weights of a whole-model or weights-only file of Keras 1 and 2, in order."""
    with h5py.File(file, "r") as stream:
        group = stream["model_weights"] if "layer_names" not in stream.attrs and "model_weights" in stream else stream
        for raw in _names(group, "layer_names"):
            arrays = [np.asarray(group[raw][weight]) for weight in _names(group[raw], "weight_names")]
            if arrays:
                yield raw, arrays


def _names(group: h5py.Group, attribute: str) -> list[str]:
    """An attribute too large for HDF5 (64 kB) is stored in numbered parts."""
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        parts = sorted(
            (key for key in group.attrs if key.startswith(attribute)), key=lambda key: int(key[len(attribute) :])
        )
        chunks = [group.attrs[key] for key in parts]
        if not chunks:
            raise KeyError(f"it has no attribute {attribute!r}")
    return [name.decode() if isinstance(name, bytes) else str(name) for chunk in chunks for name in chunk]


def _model_weights(network: keras.Model) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Layers with weights, in order; a base that stands in a larger model as one layer counts layer by layer."""
    for layer in network.layers:
        if isinstance(layer, keras.Model) and len(layer.layers) > 8:
            yield from _model_weights(layer)
        elif layer.weights:
            yield layer.name, layer.get_weights()


def _assign(stored: list[tuple[str, list[np.ndarray]]], base: keras.Model, file: Path) -> None:
    layers = [layer for layer in base.layers if layer.weights]
    for number, layer in enumerate(layers):
        expected = [tuple(weight.shape) for weight in layer.weights]
        if number >= len(stored):
            raise UserError(f"--weights: {file} does not fit {base.name}: it ends before layer {layer.name!r}.")
        name, arrays = stored[number]
        found = [array.shape for array in arrays]
        if found != expected:
            raise UserError(
                f"--weights: {file} does not fit {base.name}: its layer {name!r} has {_shapes(found)}, "
                f"where {layer.name!r} needs {_shapes(expected)}."
            )
    for layer, (_, arrays) in zip(layers, stored, strict=False):
        layer.set_weights(arrays)


def _load_keras3_weights(file: Path, base: keras.Model) -> None:
    try:
        with warnings.catch_warnings():
            # Keras 3.15 warns of bookkeeping that older files lack; weights that are missing are errors.
            warnings.simplefilter("ignore")
            base.load_weights(file)
    except (OSError, ValueError, KeyError) as error:
        layer = re.search(r"<(?:\w+) name=([^,>]+)", str(error)) or re.search(r"[Ll]ayer '([^']+)'", str(error))
        where = f" at layer {layer[1]!r}" if layer else ""
        raise UserError(f"--weights: {file} does not fit {base.name}{where}: {_first_line(error)}") from error


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) or "scalar" for shape in shapes) or "none"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
