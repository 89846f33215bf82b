"""Classifiers of scikit-learn on copied feature vectors, what they can be tuned by chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from keras_transfer.data.examples import Examples
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies import features
from keras_transfer.support.progress import Progress
from keras_transfer.tasks import linear


class TowardsClassMeans(ClassifierMixin, BaseEstimator):
    """Logistic regression whose penalty pulls its kernel towards that of the nearest class mean, not towards zero.

    Args:
        C: Inverse of the penalty.
        scale: Of the kernel that it is pulled towards; 0 is logistic regression.
    """

    def __init__(self, C: float = 1.0, scale: float = 1.0) -> None:
        self.C, self.scale = C, scale

    def fit(self, embeddings: np.ndarray, labels: np.ndarray) -> TowardsClassMeans:
        """Fit embeddings `[N, D]` and labels `[N]`, scaled as the program's heads have them."""
        scaled = linear.scale(embeddings)
        values, self.classes_ = scaled.values, np.unique(labels)
        targets = (labels[:, None] == self.classes_).astype("float64")
        means = (targets.T @ values) / targets.sum(0)[:, None]
        kernel = self.scale * means.T / values.var(0).sum()
        bias = -0.5 * (kernel * means.T).sum(0)

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            change = parameters.reshape(-1, len(bias))
            logits = values @ (kernel + change[:-1]) + bias + change[-1]
            error = self.C * (softmax(logits, 1) - targets)
            gradient = np.concatenate([values.T @ error + change[:-1], error.sum(0, keepdims=True)])
            penalty = 0.5 * (change[:-1] ** 2).sum()
            return penalty - self.C * (log_softmax(logits, 1) * targets).sum(), gradient.ravel()

        minimum = minimize(loss, np.zeros((values.shape[1] + 1) * len(bias)), jac=True, method="L-BFGS-B")
        change = minimum.x.reshape(-1, len(bias))
        self.head_ = scaled.head(linear.Solution(kernel + change[:-1], bias + change[-1], minimum.nit))
        return self

    def predict_proba(self, embeddings: np.ndarray) -> np.ndarray:
        """Return probabilities `[N, K]`."""
        return softmax(self.head_.logits(embeddings), 1)

    def predict(self, embeddings: np.ndarray) -> np.ndarray:
        """Return labels `[N]`."""
        return self.classes_[self.predict_proba(embeddings).argmax(1)]


_FOLDS = 5  # At most: no more than a class has images.
# Classifiers and what is tried, by the name of the choice.
CLASSIFIERS: dict[str, tuple[Any, dict[str, Sequence[float | None]]]] = {
    "logistic regression": (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": [10.0**exponent for exponent in range(-5, 2)]},
    ),
    "discriminants": (
        LinearDiscriminantAnalysis("lsqr"),
        {"shrinkage": [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.99]},
    ),
    "class means": (
        make_pipeline(StandardScaler(), NearestCentroid()),
        {"nearestcentroid__shrink_threshold": [None, 0.1, 0.2, 0.5, 1.0]},
    ),
    "towards class means": (
        TowardsClassMeans(),
        {"C": [10.0**exponent for exponent in range(-3, 3)], "scale": [0.0, 10.0, 30.0]},
    ),
}


def probabilities(recipe: Recipe, examples: Examples, name: str) -> np.ndarray:
    """Return the probabilities, float `[N, K]`, that a classifier of `CLASSIFIERS` gives to the test images, fitted and
    tuned on all others.
    """
    recipe, pretrained = features.load_base(recipe, examples, Progress(quiet=True))
    embeddings = features.compute(recipe, pretrained, examples, Progress(quiet=True))
    test = np.zeros(len(examples), bool)
    test[examples.indices("test")] = True
    labels = examples.labels[~test]
    folds = StratifiedKFold(min(_FOLDS, int(np.bincount(labels).min())), shuffle=True, random_state=recipe.seed)
    classifier, grid = CLASSIFIERS[name]
    with threadpool_limits(1):
        search = GridSearchCV(classifier, grid, cv=folds, n_jobs=1).fit(embeddings[~test], labels)
        return search.predict_proba(embeddings[test])
