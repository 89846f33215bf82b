"""Feature extraction: the base stays as it is, and a head is fitted on its features."""

from __future__ import annotations

from collections.abc import Iterator

from keras_transfer.training.methods import shared
from keras_transfer.training.phase import Phase
from keras_transfer.training.trainer import Trainer

NAME = "frozen"


def phases(trainer: Trainer) -> Iterator[Phase]:
    """Yield the head's phase."""
    views = shared.stored_views(shared.completed(trainer, "none"))
    shared.say_views(trainer, views)
    yield shared.head_phase(trainer, views)
