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
from typing import Any

import keras
import numpy as np

from keras_transfer.compute import device, features
from keras_transfer.compute.features import Extractor
from keras_transfer.data.augment import View
from keras_transfer.network.bases import TABLE
from keras_transfer.network.cut import cut
from keras_transfer.network.network import Network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training.setup import Setup
from keras_transfer.training.teacher import Teacher
from keras_transfer.training.technique import Technique

# Of a target, the rest being the label's. Hinton et al. gave the labels "a considerably lower weight", Beyer et al.
# none; a tenth for them corrects a teacher that is wrong of an image, and costs little where it is right.
SHARE = 0.9
_BATCH = 256  # Embeddings that the teacher's head is asked about at once.


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
        taught = answers(setup.teacher, setup, indices, views)
        share = np.float32(self.share)
        return [(1 - share) * own + share * answer for own, answer in zip(targets, taught, strict=True)]


def of(recipe: Recipe) -> Distillation | None:
    """Return the technique if the recipe names a teacher."""
    return None if recipe.teacher == "none" else Distillation()


def answers(teacher: Teacher, setup: Setup, indices: np.ndarray, views: Sequence[View | None]) -> list[np.ndarray]:
    """Return what a teacher says of each view of some of a run's images, as targets of that run: float32 `[N, K]` a
    view, probabilities of the run's classes in their order, or numbers as its task has them.

    The teacher sees the same views as the network that learns from it, at its own input size. What its base computes
    of them is stored as any base's is: asked again, it answers at once.

    Args:
        teacher: Its network is loaded each time it is asked.
        setup: Of the run.
        indices: Of its examples.
        views: Of each; None, the image itself, comes before all others.

    Raises:
        UserError: the network or an image cannot be read.
    """
    network = Network.load(teacher.file)
    extractor = _extractor(teacher, network, setup)
    examples, digests = setup.examples.at(indices), setup.digests_of(indices)
    order = [teacher.classes.index(name) for name in setup.examples.classes]
    embedding = keras.Input(network.head.input_shape[1:])
    answering = keras.Model(embedding, network.output(network.head(embedding)))
    answering.jit_compile = False  # On a GPU, Keras's default compiles for longer than this answers.
    sets = extractor.extract(examples, digests, views)
    outputs = [answering.predict(features.embeddings(stored, digests), batch_size=_BATCH, verbose=0) for stored in sets]
    return [setup.task.as_targets(output[:, order]) for output in outputs]


def _extractor(teacher: Teacher, network: Network, setup: Setup) -> Extractor:
    """Return what computes the teacher's embeddings of a run's images, as the run's recipe says to compute."""
    own: dict[str, Any] = {name: getattr(teacher.recipe, name) for name in ("pooling", "resize", "enlarge")}
    recipe = setup.recipe.replace(base=teacher.base, **own)
    plan = device.plan(recipe, setup.task.needs_float32)
    architecture = teacher.base if teacher.recipe.base in TABLE else teacher.digest
    frozen, format = cut(network, None).frozen, setup.examples.format
    extractor = features.extractor(
        frozen, "none", network, teacher.base, architecture, recipe, plan, format, setup.progress
    )
    extractor.whose = " of the teacher"
    return extractor
