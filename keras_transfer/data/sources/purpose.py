"""What labelled images are listed for, on which depends what is refused."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from keras_transfer.support.errors import UserError


class Purpose(enum.Enum):
    """What labelled images are listed for.

    Attributes:
        TRAIN: There must be at least two classes, and images to train on.
        INSPECT: One class is enough, also without a folder of its own.
        MEASURE: One class is enough, and a test split alone.
    """

    TRAIN = "train"
    INSPECT = "inspect"
    MEASURE = "measure"

    @property
    def min_classes(self) -> int:
        """Fewest classes that are accepted."""
        return 2 if self is Purpose.TRAIN else 1

    def demand_classes(self, classes: Sequence[str], source: str) -> None:
        """Refuse labels, of whose classes there is one at least, that are too few for a classifier."""
        if len(classes) < self.min_classes:
            raise UserError(f"{source}: every label is {classes[0]!r}. A classifier needs at least two classes.")
