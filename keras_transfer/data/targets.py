"""Whether a network can learn the numbers to predict."""

from __future__ import annotations

import numpy as np

from keras_transfer.data.examples import REGRESSION, Examples
from keras_transfer.support.errors import UserError
from keras_transfer.support.numerals import number_text

_FLOAT32 = np.finfo("float32")
_MIN_STEPS = 100  # Of float32 in a standard deviation: rounding is then some thousandths of it.


def demand_learnable(examples: Examples) -> None:
    """Refuse numbers to train on that are all equal, and numbers that float32, in which networks compute, cannot hold
    or cannot tell apart.

    Args:
        examples: With splits; of other tasks than regression, all can be learnt.

    Raises:
        UserError: naming the column, the range of its numbers, and what to do.
    """
    if examples.task != REGRESSION:
        return
    train = examples.labels[examples.indices("train")]
    if not np.ptp(train):
        raise UserError(
            f"{examples.source}: all {len(train)} numbers to train on in column {examples.classes[0]!r} are "
            f"{number_text(train[0, 0])}, so there is nothing to learn. Name another column, as --columns "
            "label=NAME, or add images with other numbers."
        )
    low, high = float(examples.labels.min()), float(examples.labels.max())
    largest = max(-low, high)
    column = f"{examples.source}: the numbers in column {examples.classes[0]!r}"
    reach = f"reach from {number_text(low)} to {number_text(high)}"
    if largest > float(_FLOAT32.max) / 2:  # A network may predict somewhat more than there is.
        raise UserError(f"{column} {reach}, beyond float32, in which networks compute. Give them in a larger unit.")
    # Below the smallest normal number, processors may take numbers for zero.
    step = max(float(np.spacing(np.float32(largest))), float(_FLOAT32.tiny))
    if train.std() >= _MIN_STEPS * step:
        return
    if step == _FLOAT32.tiny:
        raise UserError(
            f"{column} {reach}, too small for float32, in which networks compute. Give them in a smaller unit."
        )
    raise UserError(
        f"{column} {reach}, too close together for float32, in which networks compute and which has steps of "
        f"{number_text(step, 3)} there. Subtract a constant from all, such as {number_text(low)}."
    )
