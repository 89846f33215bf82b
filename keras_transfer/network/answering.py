"""What models answer to one batch after the other."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def answer(model: keras.Model, batch: Any, rows: int) -> list[np.ndarray]:
    """Return a model's outputs for a batch. A shorter one is filled up with zeros: Keras traces a model once more for a
    second size, which takes half a second of MobileNetV2 and two where a GPU computes, and XLA compiles each size anew.

    Args:
        model: Each of whose answers depends on its own row alone.
        batch: Its inputs, in which images are rows.
        rows: That the batches before it had.
    """
    count = len(keras.tree.flatten(batch)[0])
    missing = max(0, rows - count)
    if missing:
        batch = keras.tree.map_structure(
            lambda array: np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1)), batch
        )
    return [output[:count] for output in keras.tree.flatten(model.predict_on_batch(batch))]
