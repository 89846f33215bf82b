"""What tells a network of the user's own from others: by it, activations are stored."""

from __future__ import annotations

import hashlib

import keras
import numpy as np

from keras_transfer.network.precision import every_layer


def fingerprint(network: keras.Model) -> str:
    """Return a digest of a model's graph and, where not all of its code is Keras's own, of what it makes of two images.

    A configuration does not say what a layer of the user's own computes, nor a function that is registered with Keras:
    who edits them, or something that they call, keeps their names. A network that answers otherwise each time is
    another one each time.

    Args:
        network: With the weights that it is to have, from images `[N, h, w, 3]` of a fixed size to one tensor.
    """
    graph = network.to_json()
    digest = hashlib.blake2b(graph.encode(), digest_size=16)
    if _has_own_code(network, graph):
        digest.update(_answers(network).tobytes())
    return digest.hexdigest()


def _has_own_code(network: keras.Model, graph: str) -> bool:
    foreign = (type(layer).__module__.split(".")[0] != "keras" for layer in every_layer(network))
    return any(foreign) or any(f'"{name}"' in graph for name in keras.saving.get_custom_objects())


def _answers(network: keras.Model) -> np.ndarray:
    """Return what a model makes of noise in pixels, 0 to 255, and of the same noise from -1 to 1, in which some models
    take them. On a processor, which computes the same each time.
    """
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *network.input_shape[1:])).astype("float32")
    with keras.device("cpu:0"):
        images = keras.ops.convert_to_tensor(np.concatenate([noise, 127.5 * (noise + 1)]))
        return keras.ops.convert_to_numpy(network(images, training=False))
