"""A Keras model of the user's own as a base: of a file a feature extractor, or a whole classifier whose head is left
out; of a registered base what its function builds.

Models within the model are opened, so that it can be cut anywhere, and its augmentation is left out: the program
augments by itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.network.graph import Call, call_each, calls, makers, one_or_list
from keras_transfer.network.model_files import UNREADABLE, first_line, last_reason, load_model
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


def from_file(file: Path, size: int) -> keras.Model:
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
    return flat_base(load_model(file), size, str(file), has_head=True)


def flat_base(network: keras.Model, size: int, name: str, has_head: bool = False) -> keras.Model:
    """Return a copy in float32 of what makes a model's feature map.

    Args:
        network: With inputs: functional, or Sequential.
        size: Side of the input images, px.
        name: What messages call it.
        has_head: Whether it may be a classifier, whose feature map is to be looked for.

    Returns:
        Images `[N, size, size, 3]` to a feature map `[N, h, w, C]`, a flat functional model, all of it trainable.

    Raises:
        UserError: it has no such part.
        UsageError: it takes images of another size.
    """
    shapes = [tuple(tensor.shape) for tensor in network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in (3, None):
        raise UserError(f"--base: {name} must take images [N, H, W, 3]. It takes {_listed(shapes)}.")
    side = shapes[0][1:3]
    try:
        flat = _flattened(network, (*side, 3))
        base = keras.Model(flat.input, _feature_map(flat, name, has_head), name=flat.name if has_head else name)
    except UNREADABLE as error:
        raise UserError(f"--base: {name} cannot be taken apart ({first_line(error)}).") from error
    if side == (size, size):
        return _bounded(base, name)
    taken = "x".join(str(length or "any") for length in dict.fromkeys(side))
    refusal = f"--size: {name} takes images of {taken} px. Received: {size}."
    try:
        sized = _bounded(_flattened(base, (size, size, 3)), name)
        pixels = np.zeros((2, size, size, 3), "float32")
        if len(sized(pixels)) != len(pixels):
            raise UsageError(refusal)  # An operation that reshapes to fixed sizes counts images anew.
    except UNREADABLE as error:
        raise UsageError(refusal if None not in side else f"{refusal} ({first_line(error)})") from error
    return sized


def built(name: str, build: Callable[[int], Any], size: int) -> keras.Model:
    """Return the model that the function of a registered base gives.

    Raises:
        UserError: it fails, or gives no model that can be opened, or one with layers that Keras cannot save.
    """
    try:
        network = build(size)
    except Exception as error:  # It is the user's code.
        raise UserError(
            f"--base: build({size}) of {name} failed: {type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
        raise UserError(
            f"--base: build({size}) of {name} must return a functional or Sequential keras.Model that begins with a "
            f"keras.Input. Received: {type(network).__name__}."
        )
    for layer in _steps(network):
        if isinstance(layer, keras.layers.Lambda):
            raise UserError(f"--base: layer {layer.name!r} of {name} is a Lambda, which no saved version could load.")
        try:
            config = keras.saving.serialize_keras_object(layer)
            config.pop("build_config", None)  # So that no weights are made.
            keras.saving.deserialize_keras_object(config)
        except Exception as error:  # Configurations are the user's code too.
            raise UserError(
                f"--base: layer {layer.name!r} of {name} cannot be saved and loaded ({last_reason(error)}): decorate "
                "classes and functions of your own with @keras.saving.register_keras_serializable(), and let "
                "get_config give what __init__ takes."
            ) from error
    return network


def _steps(network: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model; those of functional models within it in place of these."""
    for layer in network.layers:
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            yield from _steps(layer)
        else:
            yield layer


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
            twin.trainable = True  # Whoever made the model may have frozen it; what is thawed here is to train.
    return flat


def _feature_map(flat: keras.Model, name: str, has_head: bool) -> keras.KerasTensor:
    """Return where the base of a model ends: its output, or what the pooling takes that its head begins with."""
    steps = calls(flat)
    if len(flat.outputs) > 1:
        maker = makers(steps)
        shown = ", ".join(f"{maker[id(end)].operation.name} {_listed([end.shape[1:]])}" for end in flat.outputs)
        raise UserError(f"--base: {name} has {len(flat.outputs)} outputs ({shown}): give a model with one of them.")
    output = flat.outputs[0]
    maps = [tensor for call in steps for tensor in call.outputs if _is_feature_map(tensor)]
    ends = []
    for tensor in [output] if _is_feature_map(output) else maps if has_head else []:
        users = [call for call in steps if any(tensor is taken for taken in call.inputs)]
        if all(map(_opens_head, users)) and not _leads_past(tensor, flat, steps) and tensor is not flat.inputs[0]:
            ends.append(tensor)
    # The head of a MobileNet goes on with a pooled map of one position.
    large = [tensor for tensor in ends if tuple(tensor.shape[1:3]) != (1, 1)]
    if ends:
        return large[-1] if large else ends[0]
    raise UserError(
        f"--base: {name} must give a feature map [N, h, w, C]{', or pool or flatten one for its head' * has_head}. "
        f"It gives {_listed([output.shape])}: let the model end with such a map."
    )


def _opens_head(call: Call) -> bool:
    kind = type(call.operation).__name__
    # A transformer reshapes too, to tokens [N, T, C], and is no head.
    return kind in _HEAD_OPENINGS and (kind != "Reshape" or len(call.outputs[0].shape) == 2)


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


def _bounded(base: keras.Model, name: str) -> keras.Model:
    for call in calls(base):
        for tensor in call.outputs:
            if math.prod(length or 1 for length in tensor.shape) > _MAX_VALUES:
                raise UserError(
                    f"--base: {name} is refused: its layer {call.operation.name!r} makes {_listed([tensor.shape[1:]])} "
                    "numbers of an image."
                )
    return base


def _listed(shapes: list[Any]) -> str:
    return " and ".join("x".join(str(length or "any") for length in shape) for shape in shapes)
