import time
from contextlib import contextmanager

import numpy as np
import pytest

from keras_transfer.support.progress import Progress
from keras_transfer.tasks import linear
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.linear import Solution
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression
from keras_transfer.training import penalty
from tests.tasks.test_linear import blobs

CLASSIFICATION = Classification()


def choice(embeddings, targets, groups=None, strata=None, views=1, progress=None, task=CLASSIFICATION):
    strata = targets.argmax(1) if strata is None else strata
    folds = penalty.folds(strata, groups, 0)
    targets = np.concatenate([targets] * views)
    return penalty.choose(task, linear.scale(embeddings), targets, lambda _: None, folds, views, progress)


def one_hot(labels):
    return np.eye(labels.max() + 1, dtype="float32")[labels]


def test_the_penalty_of_the_least_held_out_loss_is_chosen():
    embeddings, labels = blobs(3, each=12, width=40)
    chosen = choice(embeddings, one_hot(labels))
    assert chosen.strength == min(chosen.losses, key=chosen.losses.get)
    unseen, unseen_labels = blobs(3, each=200, width=40, seed=1)
    scaled = linear.scale(embeddings)
    losses = {}
    for strength in chosen.losses:
        head = scaled.head(CLASSIFICATION.solve(scaled, one_hot(labels), strength))
        losses[strength] = CLASSIFICATION.evaluate(head.logits(unseen), np.eye(3)[unseen_labels])["loss"]
    assert losses[chosen.strength] < 1.2 * min(losses.values())
    assert len(losses) > 2


def test_no_image_is_judged_by_a_head_that_saw_it():
    """Labels that mean nothing cannot be told out of fold, whatever the penalty."""
    generator = np.random.default_rng(0)
    embeddings, labels = generator.normal(size=(120, 400)).astype("float32"), np.arange(120) % 3
    chosen = choice(embeddings, one_hot(labels))
    assert 0.15 < (chosen.logits.argmax(1) == labels).mean() < 0.5
    assert chosen.losses[chosen.strength] > 1.0


def test_images_of_a_group_are_held_out_together():
    """Each picture stands there twice: folds that part the two judge by memory."""
    generator = np.random.default_rng(0)
    half, labels = generator.normal(size=(60, 400)).astype("float32"), np.arange(60) % 3
    embeddings, twice = np.concatenate([half, half + 1e-3]), np.concatenate([labels, labels])
    groups = np.arange(120) % 60
    together = choice(embeddings, one_hot(twice), groups)
    apart = choice(embeddings, one_hot(twice))
    assert (together.logits.argmax(1) == twice).mean() < 0.55
    assert (apart.logits.argmax(1) == twice).mean() > 0.8


def test_a_class_within_one_group_is_trained_on_with_all_of_that_group():
    """A patient with all images of a rare class has others too."""
    groups = np.repeat(np.arange(10), 10)
    labels = np.arange(100) % 2
    labels[:4] = 2
    for train, held in penalty.folds(labels, groups, 0):
        assert not set(groups[train]) & set(groups[held])
        assert set(labels[held]) <= set(labels[train])


def test_held_out_images_count_as_those_that_are_fitted():
    embeddings, labels = blobs(3, each=20, width=40)
    embeddings, labels = embeddings[:45], labels[:45]
    targets, folds = one_hot(labels), penalty.folds(labels, None, 0)
    weights = CLASSIFICATION.class_weights(targets)
    assert np.ptp(weights) > 0
    chosen = penalty.choose(CLASSIFICATION, linear.scale(embeddings), targets, CLASSIFICATION.class_weights, folds)
    losses = CLASSIFICATION.losses(chosen.logits, targets)
    assert chosen.losses[chosen.strength] == pytest.approx(np.average(losses, weights=weights))
    assert chosen.losses[chosen.strength] != pytest.approx(losses.mean(), rel=1e-3)


def test_a_rare_class_that_a_fold_trains_on_whole_does_not_outweigh_the_others():
    """Where one of four images has no fold of its own, a head that is nearly its bias alone told all as that class."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], [207, 4])
    embeddings = generator.normal(size=(211, 300)).astype("float32")
    folds = penalty.folds(labels, None, 0)
    assert any((labels[train] == 1).all() or (labels[train] == 1).sum() == 4 for train, _ in folds)
    targets = one_hot(labels)
    chosen = penalty.choose(CLASSIFICATION, linear.scale(embeddings), targets, CLASSIFICATION.class_weights, folds)
    for _, held in folds:
        large = held[labels[held] == 0]
        assert (chosen.logits[large].argmax(1) == 0).mean() > 0.3


def test_stronger_penalties_are_tried_where_the_first_is_the_best():
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    embeddings = generator.normal(size=(400, 50)).astype("float32") + 0.05 * labels[:, None].astype("float32")
    chosen = choice(embeddings, one_hot(labels))
    assert min(chosen.losses) < 1e-3
    assert chosen.strength == min(chosen.losses, key=chosen.losses.get)


def test_weaker_penalties_are_tried_where_they_gain():
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(600, 6)).astype("float32")
    labels = (embeddings[:, 0] * 1000 > 0).astype(int)
    assert choice(embeddings, one_hot(labels)).strength > 10


@pytest.mark.parametrize("counts", [(1, 9), (1, 1), (2, 3, 9)])
def test_rare_classes_are_always_trained_on(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    for train, held in penalty.folds(labels, None, 0):
        assert set(labels[train]) == set(labels)
        assert not set(train) & set(held)
    embeddings = np.random.default_rng(0).normal(size=(len(labels), 5)).astype("float32")
    assert choice(embeddings, one_hot(labels)).strength > 0


def test_other_tasks_choose_alike():
    embeddings, labels = blobs(3)
    several = np.stack([labels == 0, labels >= 1], 1).astype("float32")
    zeros = np.zeros(len(labels), int)
    crossed = choice(embeddings, several, strata=zeros, task=MultiLabel())
    assert MultiLabel().evaluate(crossed.logits, several)["accuracy"] > 0.95
    numbers = (embeddings @ np.arange(5)).astype("float32")[:, None]
    targets = (numbers - numbers.mean()) / numbers.std()
    crossed = choice(embeddings, targets, strata=zeros, task=Regression())
    assert Regression().evaluate(crossed.logits, targets)["r2"] > 0.99


def test_only_images_as_they_are_are_held_out():
    embeddings, labels = blobs(3)
    views = np.concatenate([embeddings, embeddings + 5, embeddings - 5])
    chosen = choice(views, one_hot(labels), views=3)
    assert chosen.logits.shape == (len(labels), 3)
    assert (chosen.logits.argmax(1) == labels).mean() > 0.9


class Folds(Progress):
    """Counts the folds that it is told of."""

    count = 0

    @contextmanager
    def task(self, name, total, unit="images"):
        assert unit == "folds"
        self.total = total
        yield self.advance

    def advance(self, folds):
        self.count += folds


@pytest.mark.parametrize("long", [False, True])
def test_a_head_that_takes_long_is_announced_and_its_folds_are_counted(long, monkeypatch, capsys):
    monkeypatch.setattr(penalty, "_LONG", 0.0 if long else np.inf)  # However busy the machine is.
    embeddings, labels = blobs(3)
    chosen = choice(embeddings, one_hot(labels), progress=(progress := Folds()))
    announced = capsys.readouterr().err
    assert announced.startswith("Solving the head for 3 outputs on 180 embeddings may take up to ") == long
    assert ("--head-solver adam" in announced) == long
    assert progress.count == 5 * len(chosen.losses) <= progress.total


class SlowAtFirst(Classification):
    """Waits at its first solution, as one does that imports its library; the others take no time."""

    begun = False

    def solve(self, embeddings, targets, *options):
        if not self.begun:
            self.begun = True
            time.sleep(1.0)
        width, outputs = embeddings.values.shape[1], targets.shape[1]
        return Solution(np.zeros((width, outputs)), np.zeros(outputs), 1)


def test_what_only_the_first_solution_waits_for_is_not_multiplied(capsys):
    embeddings, labels = blobs(3)
    choice(embeddings, one_hot(labels), progress=Folds(), task=SlowAtFirst())
    assert capsys.readouterr().err == ""
