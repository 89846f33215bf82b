"""Weights of a base from a file.

It is read in the order of its layers, as Keras reads its own `.h5` files, because the layers of InceptionV3, Xception
and others have no stable names. Whole classifiers fit too, with the base nested or flat in them: what comes before and
after its layers is left out.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_transfer.network import h5
from keras_transfer.network.model_files import UNREADABLE, first_line, load_model
from keras_transfer.support import stopping
from keras_transfer.support.errors import UsageError, UserError


@stopping.deferred()
def copy_weights(file: Path, base: keras.Model, name: str) -> None:
    """Set a base's weights from a file.

    Args:
        file: `.weights.h5`, or a `.h5` or `.keras` file of a model that holds the base.
        base: Set in place.
        name: What messages call it.

    Raises:
        UserError: it cannot be read or does not fit.
    """
    if not file.exists():
        raise UsageError(f"--weights: there is no {str(file)!r}. Give 'imagenet', 'random', a file or an earlier run.")
    try:
        if file.name.endswith(".weights.h5"):
            h5.check(file)
            _load_keras3_weights(file, base, name)
        elif file.suffix == ".keras":
            _assign([(layer.name, layer.get_weights()) for layer in _layers(load_model(file))], base, file, name)
        elif file.suffix in (".h5", ".hdf5"):
            h5.check(file)
            with h5py.File(file, "r") as stream:
                _assign(h5.layers(stream), base, file, name)
        else:
            raise UsageError(f"--weights: {file.name} is no .h5, .weights.h5 or .keras file.")
    except UNREADABLE as error:
        raise UserError(f"--weights: {file} cannot be read as model weights ({first_line(error)}).") from error


def _layers(network: keras.Model) -> list[keras.Layer]:
    """Layers with weights, in order; those of models within the model in place of these."""
    layers: list[keras.Layer] = []
    for layer in network.layers:
        layers += _layers(layer) if isinstance(layer, keras.Model) else [layer] if layer.weights else []
    return layers


def _assign(stored: Sequence[h5.LayerWeights], base: keras.Model, file: Path, model: str) -> None:
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
            raise UserError(f"--weights: {file.name[-60:]} does not fit {model}: {misfit}.")
    else:
        places = list(range(start, start + count))
    for layer, place in zip(layers, places, strict=True):
        layer.set_weights([np.asarray(array) for array in stored[place][1]])


def _fitting(needed: list[list[tuple[int, ...]]], given: list[list[tuple[int, ...]]]) -> int:
    """Count the layers that fit, from the first on."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(needed, given, strict=False))
    return sum(1 for _ in pairs)


def _load_keras3_weights(file: Path, base: keras.Model, model: str) -> None:
    try:
        with warnings.catch_warnings():
            # Keras 3.15 warns of bookkeeping that older files lack; weights that are missing are errors.
            warnings.simplefilter("ignore")
            base.load_weights(file)
    except (OSError, ValueError, KeyError) as error:
        layer = re.search(r"<(?:\w+) name=([^,>]+)", str(error)) or re.search(r"[Ll]ayer '([^']+)'", str(error))
        where = f" at layer {layer[1]!r}" if layer else ""
        raise UserError(f"--weights: {file} does not fit {model}{where}: {first_line(error)}") from error


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    shown = ", ".join("x".join(map(str, shape))[:30] or "scalar" for shape in shapes[:4]) or "none"
    return f"{shown}, ..." if len(shapes) > 4 else shown
