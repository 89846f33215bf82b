"""Suspicious labels: pictures that a network trained on the others takes for something else.

Out-of-fold scores on the features of a base, as confident learning has them (Northcutt et al. 2021,
https://arxiv.org/abs/1911.00068), and a model of labels: each is drawn from the probabilities that the scores stand
for, or, at a rate that is estimated, from all classes alike. A label is suspected where the second is likelier. So
where classes are hard to tell apart, an improbable label is no reason yet, and where they are easy, many wrong ones
do not hide each other. Few images say little of either, so both begin where others were measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection import duplicates
from keras_transfer.data.inspection.findings import Finding, near_links
from keras_transfer.data.inspection.inspector import Inspection
from keras_transfer.network.weights import PretrainedBase
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies import features
from keras_transfer.studies.check.findings import FEWEST
from keras_transfer.support.progress import Progress

# Measured on labels that were changed on purpose: docs/measurements.md.
_FOLDS, _REPEATS = 5, 2
_SHRINKAGE = 0.5  # Of the covariance towards a multiple of the identity.
# A mean of few vectors is further from any other vector than that of many, by the trace of covariance times precision
# over the vectors: as much of the width is that trace taken for.
_MEAN_ERROR = 0.5
# The fewer images, the less of their covariance is seen, and the larger are the scores: by so much, plus so many times
# the width over the images. How far the logarithm of the temperature is believed to be from that, by a normal
# distribution: without it, of few images every mistake is a random label, at a temperature near 0.
_TEMPERATURE, _TEMPERATURE_FEW, _TEMPERATURE_WIDTH = 3.0, 2.0, 1.0
# What is believed of the rate of wrong labels before any is seen, and with the weight of how many images: the mean of
# ten known data sets (Northcutt, Athalye and Mueller 2021, https://arxiv.org/abs/2103.14749).
_RATE, _RATE_IMAGES = 0.033, 100


def suspects(
    examples: Examples,
    inspections: Sequence[Inspection],
    recipe: Recipe,
    pretrained: PretrainedBase,
    progress: Progress,
) -> tuple[list[Finding] | None, list[str]]:
    """Return the images whose labels are suspicious, the most suspicious first, and the classes of too few images,
    whose labels are not checked.

    Args:
        examples: With classes and digests.
        inspections: Of each of them; what cannot be used is left out.
        recipe: Of the base, as `features.load_base` returns it.
        pretrained: The base.
        progress: Is told about the pass through the base.

    Returns:
        No list of images, but None, where fewer than two classes can be checked.
    """
    indices = np.flatnonzero([inspection.fault is None for inspection in inspections])
    usable = examples.at(indices)
    groups = duplicates.components(len(usable), near_links([inspections[index] for index in indices.tolist()]))
    counts = different(usable.labels, groups, len(usable.classes))
    enough = counts >= FEWEST
    if enough.sum() < 2:
        return None, [usable.classes[number] for number in np.flatnonzero(~enough)]
    few = [usable.classes[number] for number in np.flatnonzero((counts > 0) & ~enough)]
    # A class of few images is not learned well enough to be seen in others' images either.
    kept = np.flatnonzero(enough[usable.labels])
    usable, groups = usable.at(kept), groups[kept]
    numbers, labels = np.unique(usable.labels, return_inverse=True)
    embeddings = features.compute(recipe, pretrained, usable, progress)
    scores = out_of_fold(embeddings, labels, len(numbers), groups, recipe.seed)
    probabilities, doubts = doubt(scores, labels)
    findings = []
    for index in suspicious(probabilities, doubts, labels):
        best, given = int(probabilities[index].argmax()), int(labels[index])
        detail = (
            f"labelled {usable.classes[numbers[given]]!r} (probability {_shown(probabilities[index, given])}), looks "
            f"like {usable.classes[numbers[best]]!r} ({_shown(probabilities[index, best])})"
        )
        findings.append(Finding("suspicious-label", [usable.paths[index]], detail))
    return findings, few


def different(labels: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """Return how many groups of like images, int `[N]`, each class has, int `[K]`: a fold holds whole groups, so that
    many copies of one image teach nothing of themselves.
    """
    pairs = np.unique(np.stack([labels, groups]), axis=1)
    return np.bincount(pairs[0], minlength=classes)


def out_of_fold(embeddings: np.ndarray, labels: np.ndarray, classes: int, groups: np.ndarray, seed: int) -> np.ndarray:
    """Return scores, float `[N, K]`, of each image by what was learned without it and its group.

    Scores of linear discriminants, means over two drawings of five folds. Roots of the features come nearer to the
    normal distributions that discriminants assume. Scores are divided by the temperature that is expected of so many
    images, so that about 1 is left for `doubt` to find.

    Args:
        embeddings: Float `[N, D]`.
        labels: Int `[N]`, of classes with several groups each.
        classes: K.
        groups: Int `[N]`; of images of one group, none is learned from where another is scored.
        seed: Of the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    roots = (np.sign(embeddings) * np.sqrt(np.abs(embeddings))).astype("float32")
    scores = np.zeros((len(labels), classes))
    for repeat in range(_REPEATS):
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=(seed + repeat) % 2**32)
        for train, held in folds.split(roots, labels, groups):
            scores[held] += discriminants(roots[train], labels[train], classes, roots[held]) / _REPEATS
    return scores / (_TEMPERATURE + _TEMPERATURE_FEW * roots.shape[1] / len(roots))


def doubt(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each class, float `[N, K]`, and that of the label being a random one, float `[N]`.

    The temperature of the scores and the rate of random labels are those under which the labels are likeliest, with the
    prior beliefs of both.

    Args:
        scores: Float `[N, K]`, of what does not know the image's own label, as `out_of_fold` returns them.
        labels: Int `[N]`.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, softmax

    indices, classes = np.arange(len(labels)), scores.shape[1]

    def likelihoods(logarithm: float, logit: float) -> tuple[np.ndarray, float]:
        rate = expit(logit)
        own = softmax(scores / np.exp(logarithm), axis=1)[indices, labels]
        return (1 - rate) * own, float(rate / classes)

    def loss(values: np.ndarray) -> float:
        meant, random = likelihoods(*values)
        prior = _RATE * np.log(expit(values[1])) + (1 - _RATE) * np.log(expit(-values[1]))
        unusual = 0.5 * (values[0] / _TEMPERATURE_WIDTH) ** 2
        return unusual - float(np.log(meant + random + 1e-300).sum() + _RATE_IMAGES * prior)

    fitted = minimize(loss, [0.0, np.log(_RATE)], method="Nelder-Mead").x
    meant, random = likelihoods(*fitted)
    return softmax(scores / np.exp(fitted[0]), axis=1), random / (meant + random)


def discriminants(train: np.ndarray, labels: np.ndarray, classes: int, held: np.ndarray) -> np.ndarray:
    """Return the scores, float `[M, K]`, of held vectors by linear discriminants of training vectors.

    As scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=...)`, which takes some ten times as long: it
    decomposes the covariance, where a Cholesky solver does. But classes of fewer images are not further away for that.

    Args:
        train: Float `[N, D]`.
        labels: Int `[N]`, below `classes`; a class without images gets the score of the least likely other.
        classes: K.
        held: Float `[M, D]`.
    """
    from scipy.linalg import solve

    present, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([train[which == number].mean(0) for number in range(len(present))])
    centred = train - means[which]
    covariance = centred.T @ centred * ((1 - _SHRINKAGE) / len(train))
    # The trace of the covariance, over its size; slightly more keeps constant features from making it singular.
    covariance[np.diag_indices_from(covariance)] += _SHRINKAGE * np.square(centred).sum() / centred.size + 1e-6
    weights = solve(covariance, means.T, assume_a="pos")
    discriminants = held @ weights - 0.5 * np.sum(means.T * weights, axis=0) + np.log(counts / len(train))
    discriminants += 0.5 * _MEAN_ERROR * train.shape[1] / counts
    scores = np.tile(discriminants.min(axis=1, keepdims=True), (1, classes)).astype("float64")
    scores[:, present] = discriminants
    return scores


def suspicious(probabilities: np.ndarray, doubts: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return the positions of labels, int `[N]`, that are likely wrong, the least likely label first."""
    chosen = (probabilities.argmax(1) != labels) & (doubts > 0.5)
    return sorted(np.flatnonzero(chosen).tolist(), key=lambda index: -float(doubts[index]))


def _shown(probability: float) -> str:
    """Return a probability as it is told: none is 0."""
    return "<0.001" if probability < 0.0005 else f"{probability:.3f}"
