"""A Keras model of the user's own as a base: a feature extractor, or a whole classifier whose head is left out.

Models within the model are opened, so that it can be cut anywhere, and its augmentation is left out: the program
augments by itself.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.network.cut import one_or_list
from keras_transfer.network.graph import Call, call_each, calls, makers
from keras_transfer.network.model_files import UNREADABLE, first_line, load_model
from keras_transfer.network.precision import copied
from keras_transfer.support.errors import UsageError, UserError

_MAX_VALUES = 1 << 28  # Of one tensor for one image: 1 GB. EfficientNetB7 at 600 px has 17 million.
_AUGMENTATION = tuple(
    kind
    for name, kind in vars(keras.layers).items()
    if name.startswith(("Rand", "AugMix", "CutMix", "MixUp")) and name != "RandomCrop"  # Which crops in inference too.
)
_KEEP_VALUES = (
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
    keras.layers.CenterCrop,
    keras.layers.Resizing,
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
)
_HEAD_OPENINGS = ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten", "Mean", "Max", "Reshape")


def extractor(file: Path, size: int) -> keras.Model:
    """Load a model and return what makes its feature map, in float32.

    Args:
        file: `.keras`, or a whole model's `.h5`.
        size: Side of the input images, px.

    Returns:
        Images `[N, size, size, 3]` to a feature map `[N, h, w, C]`, a flat functional model.

    Raises:
        UserError: it cannot be loaded, or has no such part.
        UsageError: it takes images of another size.
    """
    network = load_model(file)
    shapes = [tuple(tensor.shape) for tensor in network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in (3, None):
        raise UserError(f"--base: {file} must take images [N, H, W, 3]. It takes {_listed(shapes)}.")
    side = shapes[0][1:3]
    try:
        flat = _flattened(network, (*side, 3))
        base = keras.Model(flat.input, _feature_map(flat, file), name=flat.name)
    except UNREADABLE as error:
        raise UserError(f"--base: {file} cannot be taken apart ({first_line(error)}).") from error
    if side == (size, size):
        return _bounded(base, file)
    taken = "x".join(str(length or "any") for length in dict.fromkeys(side))
    refusal = f"--size: {file} takes images of {taken} px. Received: {size}."
    try:
        sized = _bounded(_flattened(base, (size, size, 3)), file)
        pixels = np.zeros((2, size, size, 3), "float32")
        if len(sized(pixels)) != len(pixels):
            raise UsageError(refusal)  # An operation that reshapes to fixed sizes counts images anew.
    except UNREADABLE as error:
        raise UsageError(refusal if None not in side else f"{refusal} ({first_line(error)})") from error
    return sized


def takes_pixels_unscaled(base: keras.Model) -> bool:
    """Whether the first weights of a base, as `extractor` returns it, meet pixels 0..255 as they are."""
    unscaled = {id(tensor) for tensor in base.inputs}
    for call in calls(base):
        if not any(id(tensor) in unscaled for tensor in call.inputs):
            continue
        if isinstance(call.operation, _KEEP_VALUES):
            unscaled |= {id(tensor) for tensor in call.outputs}
        elif isinstance(call.operation, keras.Layer) and call.operation.weights:
            return not isinstance(call.operation, (keras.layers.Normalization, keras.layers.BatchNormalization))
    return False


def _flattened(network: keras.Model, shape: tuple[int | None, ...]) -> keras.Model:
    """Copy a model in float32, at an input shape, with the layers of all models within it in one graph."""
    copies: dict[int, tuple[keras.Operation, keras.Operation]] = {}
    names: set[str] = set()

    def copy(step: keras.Operation) -> keras.Operation:
        if id(step) not in copies:
            numbered = (f"{step.name}_{number}" for number in itertools.count(2))
            name = next(name for name in itertools.chain([step.name], numbered) if name not in names)
            names.add(name)
            copies[id(step)] = step, copied(step, "float32", name)
        return copies[id(step)][1]

    def call(step: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(step, keras.Sequential):
            for layer in step.layers:
                args = (call(layer, *args),)
            return args[0]
        if hasattr(step, "operations"):
            return call_each(step, keras.tree.flatten(args), call)
        return args[0] if isinstance(step, _AUGMENTATION) else copy(step)(*args, **kwargs)

    images = keras.Input(shape, name="images")
    names.add("images")
    flat = keras.Model(images, one_or_list(keras.tree.flatten(call(network, images))), name=network.name)
    for original, twin in copies.values():
        if isinstance(original, keras.Layer) and original.weights:
            twin.set_weights(original.get_weights())
    return flat


def _feature_map(flat: keras.Model, file: Path) -> keras.KerasTensor:
    """Return where the base of a model ends: its output, or what the pooling takes that its head begins with."""
    steps = calls(flat)
    if len(flat.outputs) > 1:
        maker = makers(steps)
        shown = ", ".join(f"{maker[id(end)].operation.name} {_listed([end.shape[1:]])}" for end in flat.outputs)
        raise UserError(f"--base: {file} has {len(flat.outputs)} outputs ({shown}): save a model with one of them.")
    output = flat.outputs[0]
    ends = [tensor for call in reversed(steps) for tensor in call.outputs if _is_feature_map(tensor)]
    for tensor in [output] if _is_feature_map(output) else ends:
        users = [call.operation for call in steps if any(tensor is taken for taken in call.inputs)]
        opens = all(type(user).__name__ in _HEAD_OPENINGS for user in users)
        if opens and not _leads_past(tensor, flat, steps) and tensor is not flat.inputs[0]:
            return tensor
    raise UserError(
        f"--base: {file} must give a feature map [N, h, w, C], or pool or flatten one for its head. "
        f"It gives {_listed([output.shape])}: save the part up to such a layer as a model of its own."
    )


def _leads_past(tensor: keras.KerasTensor, flat: keras.Model, steps: list[Call]) -> bool:
    """Whether the images reach the output by a way that avoids a tensor."""
    maker = makers(steps)
    waiting = [output for output in flat.outputs if output is not tensor]
    visited = {id(tensor)}
    while waiting:
        current = waiting.pop()
        if current is flat.inputs[0]:
            return True
        if id(current) not in visited:
            visited.add(id(current))
            waiting += [taken for taken in maker[id(current)].inputs if taken is not tensor]
    return False


def _is_feature_map(tensor: keras.KerasTensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[3] is not None


def _bounded(base: keras.Model, file: Path) -> keras.Model:
    for call in calls(base):
        for tensor in call.outputs:
            if math.prod(length or 1 for length in tensor.shape) > _MAX_VALUES:
                raise UserError(
                    f"--base: {file} is refused: its layer {call.operation.name!r} makes {_listed([tensor.shape[1:]])} "
                    "numbers of an image."
                )
    return base


def _listed(shapes: list[Any]) -> str:
    return " and ".join("x".join(str(length or "any") for length in shape) for shape in shapes)
