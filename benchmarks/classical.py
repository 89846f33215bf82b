"""Classifiers of scikit-learn on copied feature vectors, what they can be tuned by chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
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
