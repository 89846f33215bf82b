"""Bases with their weights: ImageNet's, random ones, or those of a file.

A weights file is read in the order of its layers, as Keras reads its own `.h5` files, because the layers of
InceptionV3, Xception and others have no stable names. Whole classifiers fit too, with the base nested or flat in them:
what comes before and after its layers is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_transfer.network import h5, imagenet, own_base
from keras_transfer.network.bases import Base, in_table
from keras_transfer.network.cut import cut_points
from keras_transfer.network.model_files import UNREADABLE, first_line, input_side, load_model
from keras_transfer.network.precision import copied, every_layer
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.support.progress import Progress


@dataclass(frozen=True)
class PretrainedBase:
    """A base ready to transfer from.

    Attributes:
        spec: What the table of bases says of it; for a file of the user's, what is known from the file.
        base: The network, ending in a feature map.
        weights: `imagenet`, `random`, or the file they came from.
        key: What tells its network from others, whatever their weights.
        caution: What may be wrong with how it is used, a line for the user; mostly empty.
    """

    spec: Base
    base: keras.Model
    weights: str
    key: str
    caution: str = ""


class ImageNetUnavailable(UserError):
    """ImageNet weights are neither on this machine nor to be downloaded."""


def load(base: str, weights: str, size: int, seed: int, progress: Progress | None = None) -> PretrainedBase:
    """Build a base at an input size and give it its weights.

    Args:
        base: Name in the table, or path to a `.keras` or `.h5` model, which brings its own weights.
        weights: `imagenet`, `random`, or a path.
        size: Input side, px.
        seed: Of random weights, and of what is random in training.
        progress: Is told of a download; by default, nobody.

    Raises:
        ImageNetUnavailable: naming the file, where Keras looks for it, and the other choices.
        UserError: the weights do not fit, naming the first layer that does not.
    """
    spec = in_table(base)
    keras.utils.set_random_seed(seed)
    if spec is None:
        if weights not in ("imagenet", "random"):
            raise UsageError(f"--weights: {base} brings its own. Received: {weights!r}.")
        return _from_file(Path(base).expanduser(), size, weights)
    spec.demand_size(size)
    if weights == "imagenet":
        return PretrainedBase(spec, _imagenet(spec, size, progress or Progress(quiet=True)), weights, spec.name)
    network = _construct(spec, size, None)
    if weights != "random":
        copy_weights(Path(weights).expanduser(), network)
    return PretrainedBase(spec, network, weights, spec.name)


def copy_weights(file: Path, base: keras.Model) -> None:
    """Set a base's weights from a file.

    Raises:
        UserError: it cannot be read or does not fit.
    """
    if not file.exists():
        raise UsageError(f"--weights: there is no {str(file)!r}. Give 'imagenet', 'random', a file or an earlier run.")
    try:
        if file.name.endswith(".weights.h5"):
            h5.check(file)
            _load_keras3_weights(file, base)
        elif file.suffix == ".keras":
            _assign([(layer.name, layer.get_weights()) for layer in _layers(load_model(file))], base, file)
        elif file.suffix in (".h5", ".hdf5"):
            h5.check(file)
            with h5py.File(file, "r") as stream:
                _assign(h5.layers(stream), base, file)
        else:
            raise UsageError(f"--weights: {file.name} is no .h5, .weights.h5 or .keras file.")
    except UNREADABLE as error:
        raise UserError(f"--weights: {file} cannot be read as model weights ({first_line(error)}).") from error


def _construct(spec: Base, size: int, weights: str | None) -> keras.Model:
    constructor = getattr(keras.applications, spec.constructor)
    return constructor(include_top=False, weights=weights, input_shape=(size, size, 3))


def _imagenet(spec: Base, size: int, progress: Progress) -> keras.Model:
    try:
        # What Keras says of a file that it downloads anew belongs among the messages, not the results.
        with contextlib.redirect_stdout(sys.stderr), _download_shown(spec, size, progress):
            return _construct(spec, size, "imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails.
        reason = _download_failure(error)
        if reason is None:
            raise
        file = imagenet.file(spec.name, size)
        raise ImageNetUnavailable(
            f"ImageNet weights of {spec.name} are not on this machine, and cannot be downloaded ({reason}). Put "
            f"{imagenet.address(spec.name, size)} as {file.name} into {file.parent}, where Keras looks for it, or give "
            "--weights FILE, or --weights random."
        ) from error


@contextlib.contextmanager
def _download_shown(spec: Base, size: int, progress: Progress) -> Iterator[None]:
    """Show the download of weights that are not stored yet as a step of the run, in place of Keras's own bar."""
    if imagenet.file(spec.name, size).exists() or not keras.config.is_interactive_logging_enabled():
        yield
        return
    keras.config.disable_interactive_logging()
    try:
        with progress.activity(f"Downloading ImageNet weights of {spec.name} ({spec.download_mb} MB)"):
            yield
    finally:
        keras.config.enable_interactive_logging()


def _download_failure(error: Exception) -> str | None:
    """Return why a download failed, in words; None if something else did."""
    fetch = re.search(r"URL fetch failure on \S+: (\S+) -- (.*)", str(error))
    if fetch is not None:
        code, message = fetch[1], fetch[2].strip()[:100]
        return (
            f"the server answers {code} {message}" if code.isdigit() and int(code) >= 100 else f"no network: {message}"
        )
    if "file hash does not match" in str(error):
        return "the checksum of what came is wrong: it is incomplete, or was changed on the way"
    if isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException)):
        return f"the download broke off: {first_line(error)[:100]}"
    if isinstance(error, PermissionError):
        return f"{error.filename} cannot be written"
    return None


def _from_file(file: Path, size: int, weights: str) -> PretrainedBase:
    network = own_base.extractor(file, size)
    if weights == "random":
        network = _drawn_anew(network)
    blocks = cut_points(network)
    channels = network.output_shape[3]
    spec = Base(file.stem, "", size, 1, "none", network.count_params(), 0.0, channels, blocks, blocks[-1].name)
    key = hashlib.blake2b(network.to_json().encode(), digest_size=16).hexdigest()
    if weights == "random":
        return PretrainedBase(spec, network, weights, key)
    caution = (
        f"{file.name} is given pixels 0..255, for it scales none. If it was trained on others (-1..1, 0..1), "
        "save it with a Rescaling layer first, or name its network by --base, and this file by --weights."
    )
    return PretrainedBase(spec, network, str(file), key, caution if own_base.takes_pixels_unscaled(network) else "")


def _drawn_anew(network: keras.Model) -> keras.Model:
    """Return a copy of a model with new random weights; how it normalises pixels stays."""
    twin = keras.models.clone_model(network, clone_function=partial(copied, dtype="float32"))
    for layer, drawn in zip(network.layers, twin.layers, strict=True):
        if isinstance(layer, keras.layers.Normalization):
            drawn.set_weights(layer.get_weights())
    return twin


def native_size(base: str) -> int:
    """Return the input side of a base, px: the table's, or that of a model's file (224 if it takes any)."""
    spec = in_table(base)
    return spec.size if spec is not None else input_side(Path(base).expanduser()) or 224


def _layers(network: keras.Model) -> list[keras.Layer]:
    """Layers with weights, in order; those of models within the model in place of these."""
    return [layer for layer in every_layer(network) if layer.weights and not isinstance(layer, keras.Model)]


def _assign(stored: Sequence[h5.LayerWeights], base: keras.Model, file: Path) -> None:
    """Set a base's weights from those of a model that holds it, wherever its layers stand among the others."""
    layers = _layers(base)
    needed = [[tuple(weight.shape) for weight in layer.weights] for layer in layers]
    given = [[tuple(array.shape) for array in arrays] for _, arrays in stored]
    fits = [_fitting(needed, given[start:]) for start in range(len(given) or 1)]
    start = max(range(len(fits)), key=lambda number: fits[number])
    count = fits[start]
    if count < len(layers):
        named = {name: number for number, (name, _) in enumerate(stored)}
        places = [named.get(layer.name, -1) for layer in layers]
        if -1 in places or any(given[place] != shapes for place, shapes in zip(places, needed, strict=True)):
            layer = layers[count].name
            misfit = f"it ends before layer {layer!r}"
            if start + count < len(stored):
                name, shapes = stored[start + count][0], given[start + count]
                misfit = (
                    f"its layer {name[:40]!r} has {_shapes(shapes)}, where {layer!r} needs {_shapes(needed[count])}"
                )
            raise UserError(f"--weights: {file.name[-60:]} does not fit {base.name}: {misfit}.")
    else:
        places = list(range(start, start + count))
    for layer, place in zip(layers, places, strict=True):
        layer.set_weights([np.asarray(array) for array in stored[place][1]])


def _fitting(needed: list[list[tuple[int, ...]]], given: list[list[tuple[int, ...]]]) -> int:
    """Count the layers that fit, from the first on."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(needed, given, strict=False))
    return sum(1 for _ in pairs)


def _load_keras3_weights(file: Path, base: keras.Model) -> None:
    try:
        with warnings.catch_warnings():
            # Keras 3.15 warns of bookkeeping that older files lack; weights that are missing are errors.
            warnings.simplefilter("ignore")
            base.load_weights(file)
    except (OSError, ValueError, KeyError) as error:
        layer = re.search(r"<(?:\w+) name=([^,>]+)", str(error)) or re.search(r"[Ll]ayer '([^']+)'", str(error))
        where = f" at layer {layer[1]!r}" if layer else ""
        raise UserError(f"--weights: {file} does not fit {base.name}{where}: {first_line(error)}") from error


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    shown = ", ".join("x".join(map(str, shape))[:30] or "scalar" for shape in shapes[:4]) or "none"
    return f"{shown}, ..." if len(shapes) > 4 else shown
