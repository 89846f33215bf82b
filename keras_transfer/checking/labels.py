"""Suspicious labels: pictures that a network trained on the others takes for something else.

Out-of-fold probabilities on the features of a base, as confident learning does (Northcutt et al. 2021,
https://arxiv.org/abs/1911.00068): a label is suspected where it is improbable and another is likelier.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_transfer import embedding, transfer
from keras_transfer.checking.facts import Facts
from keras_transfer.checking.findings import Warned
from keras_transfer.data import duplicates
from keras_transfer.data.examples import Examples
from keras_transfer.progress import Progress
from keras_transfer.recipe import Recipe
from keras_transfer.training import solver

# On 600 photos of five flowers, 18 labels changed, four draws: 13 to 16 of the changed labels were found, with 8 to 12
# of the other 582 photos (docs/measurements.md).
_FOLDS, _REPEATS = 5, 4
_STRENGTH = 0.003  # A strong penalty keeps the network from learning the wrong labels.
_MOST_GIVEN = 0.1  # Probability of the label given.


def suspects(examples: Examples, facts: Sequence[Facts], recipe: Recipe, progress: Progress) -> list[Warned]:
    """Return the images whose labels are suspicious, the most suspicious first.

    Args:
        examples: With classes.
        facts: Of each of them; what cannot be used is left out.
        recipe: Gives the base, its weights, and size.
        progress: Hears of the pass through the base.
    """
    rows = [row for row, one in enumerate(facts) if one.fault is None]
    usable = examples.at(np.asarray(rows, "int64"))
    digests = [facts[row].digest for row in rows]
    embeddings, _ = embedding.compute(transfer.with_size(recipe), usable, digests, progress)
    groups = duplicates.alike(np.asarray([facts[row].hash for row in rows]))
    probabilities = out_of_fold(embeddings, usable.labels, len(usable.classes), groups, recipe.seed)
    found = []
    for row in suspicious(probabilities, usable.labels):
        best, given = int(probabilities[row].argmax()), int(usable.labels[row])
        detail = (
            f"labelled {usable.classes[given]!r} (probability {probabilities[row, given]:.3f}), looks like "
            f"{usable.classes[best]!r} ({probabilities[row, best]:.3f})"
        )
        found.append(Warned("suspicious-label", [usable.paths[row]], detail))
    return found


def out_of_fold(embeddings: np.ndarray, labels: np.ndarray, classes: int, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return probabilities, float `[N, K]`: means over four drawings of five folds, each by logistic regression on
    the folds without the image and its group.
    """
    from scipy.special import softmax
    from sklearn.model_selection import StratifiedGroupKFold

    found = np.zeros((len(labels), classes))
    for repeat in range(_REPEATS):
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed + repeat)
        for train, held in folds.split(embeddings, labels, groups):
            present = np.unique(labels[train])
            targets = np.searchsorted(present, labels[train])
            head = solver.softmax(solver.standardise(embeddings[train]), targets, len(present), _STRENGTH)
            found[np.ix_(held, present)] += softmax(head.logits(embeddings[held]).astype("float64"), axis=1)
    return found / _REPEATS


def suspicious(probabilities: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return the positions of suspicious labels, int `[N]`, the least likely label first."""
    own = probabilities[np.arange(len(labels)), labels]
    chosen = (probabilities.argmax(1) != labels) & (own <= _MOST_GIVEN)
    return sorted(np.flatnonzero(chosen).tolist(), key=lambda row: float(own[row]))
