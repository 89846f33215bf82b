"""Knowledge distillation: a small network learns the answers of a larger one (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531).

The teacher sees the very views that the network sees that learns from it: with answers on other views the student
was worse, however long it trained (Beyer et al. 2022, https://arxiv.org/abs/2106.05237). Views that are drawn anew in
each epoch are the exception; there, its answer on the plain image stands for all.

No temperature softens its answers, as Hinton's did. Every version of this program is calibrated: its probabilities are
estimates of how often a class is right, and of all targets the true ones let a network learn with the least variance
(Menon et al. 2021, https://arxiv.org/abs/2005.10419). So the sum of two losses, by the label and by the teacher, is
one, by their weighted mean; label smoothing has nothing to add. A temperature would need a second output in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_transfer.data.augment import View
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training.setup import Setup
from keras_transfer.training.technique import Technique

# Of a target, the rest being the label's. Hinton et al. gave the labels "a considerably lower weight", Beyer et al.
# none; a tenth for them corrects a teacher that is wrong of an image, and costs little where it is right.
SHARE = 0.9


@dataclass(frozen=True)
class Distillation(Technique):
    """The teacher's answers, blended with the labels, are what is learnt: probabilities, of one class or of several, or
    numbers.

    Attributes:
        share: Of the teacher, 0 to 1.
    """

    share: float = SHARE

    def targets(
        self, targets: Sequence[np.ndarray], setup: Setup, indices: np.ndarray, views: Sequence[View | None]
    ) -> Sequence[np.ndarray]:
        """Return the targets, float32 `[N, K]` a view, moved towards the teacher's answers on that view.

        Raises:
            UserError: the teacher or an image cannot be read.
        """
        if setup.teacher is None:
            raise TypeError("A recipe that names a teacher is trained with it.")
        answers = setup.teacher.answers(setup, indices, views)
        share = np.float32(self.share)
        return [(1 - share) * own + share * answer for own, answer in zip(targets, answers, strict=True)]


def of(recipe: Recipe) -> Distillation | None:
    """Return the technique if the recipe names a teacher."""
    return None if recipe.teacher == "none" else Distillation()
