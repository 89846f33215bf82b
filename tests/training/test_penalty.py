import numpy as np
import pytest

from keras_transfer.tasks import linear
from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression
from keras_transfer.training import penalty
from tests.tasks.test_linear import blobs


def choice(objective, embeddings, groups=None, strata=None, views=1):
    strata = objective.targets.argmax(1) if strata is None else strata
    folds = penalty.folds(strata, groups, 0)
    targets = np.concatenate([objective.targets] * views)
    return penalty.choose(objective, linear.scale(embeddings), targets, None, folds, views)


def classification(labels):
    return Classification(np.eye(labels.max() + 1, dtype="float32")[labels])


def test_the_penalty_of_the_least_held_out_loss_is_chosen():
    embeddings, labels = blobs(3, each=12, width=40)
    chosen = choice(classification(labels), embeddings)
    assert chosen.strength == min(chosen.losses, key=chosen.losses.get)
    unseen, unseen_labels = blobs(3, each=200, width=40, seed=1)
    scaled = linear.scale(embeddings)
    objective = classification(labels)
    losses = {}
    for strength in chosen.losses:
        head = scaled.head(objective.solve(scaled, objective.targets, strength))
        losses[strength] = objective.judge(head.logits(unseen), np.eye(3)[unseen_labels])["loss"]
    assert losses[chosen.strength] < 1.2 * min(losses.values())
    assert len(losses) > 2


def test_no_image_is_judged_by_a_head_that_saw_it():
    """Labels that mean nothing cannot be told out of fold, whatever the penalty."""
    generator = np.random.default_rng(0)
    embeddings, labels = generator.normal(size=(120, 400)).astype("float32"), np.arange(120) % 3
    chosen = choice(classification(labels), embeddings)
    assert 0.15 < (chosen.logits.argmax(1) == labels).mean() < 0.5
    assert chosen.losses[chosen.strength] > 1.0


def test_images_of_a_group_are_held_out_together():
    """Each picture stands there twice: folds that part the two judge by memory."""
    generator = np.random.default_rng(0)
    half, labels = generator.normal(size=(60, 400)).astype("float32"), np.arange(60) % 3
    embeddings, twice = np.concatenate([half, half + 1e-3]), np.concatenate([labels, labels])
    groups = np.arange(120) % 60
    together = choice(classification(twice), embeddings, groups)
    apart = choice(classification(twice), embeddings)
    assert (together.logits.argmax(1) == twice).mean() < 0.55
    assert (apart.logits.argmax(1) == twice).mean() > 0.8


def test_stronger_penalties_are_tried_where_the_first_is_the_best():
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    embeddings = generator.normal(size=(400, 50)).astype("float32") + 0.05 * labels[:, None].astype("float32")
    chosen = choice(classification(labels), embeddings)
    assert min(chosen.losses) < 1e-3
    assert chosen.strength == min(chosen.losses, key=chosen.losses.get)


def test_weaker_penalties_are_tried_where_they_gain():
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(600, 6)).astype("float32")
    labels = (embeddings[:, 0] * 1000 > 0).astype(int)
    assert choice(classification(labels), embeddings).strength > 10


@pytest.mark.parametrize("counts", [(1, 9), (1, 1), (2, 3, 9)])
def test_rare_classes_are_always_trained_on(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    for train, held in penalty.folds(labels, None, 0):
        assert set(labels[train]) == set(labels)
        assert not set(train) & set(held)
    embeddings = np.random.default_rng(0).normal(size=(len(labels), 5)).astype("float32")
    chosen = choice(classification(labels), embeddings)
    assert chosen.strength > 0
    assert np.isfinite(chosen.solution.kernel).all()


def test_other_tasks_choose_alike():
    embeddings, labels = blobs(3)
    several = np.stack([labels == 0, labels >= 1], 1).astype("float32")
    zeros = np.zeros(len(labels), int)
    crossed = choice(MultiLabel(several), embeddings, strata=zeros)
    assert MultiLabel(several).judge(crossed.logits, several)["accuracy"] > 0.95
    numbers = (embeddings @ np.arange(5)).astype("float32")[:, None]
    objective = Regression((numbers - numbers.mean()) / numbers.std())
    crossed = choice(objective, embeddings, strata=zeros)
    assert objective.judge(crossed.logits, objective.targets)["r2"] > 0.99


def test_only_images_as_they_are_are_held_out():
    embeddings, labels = blobs(3)
    views = np.concatenate([embeddings, embeddings + 5, embeddings - 5])
    chosen = choice(classification(labels), views, views=3)
    assert chosen.logits.shape == (len(labels), 3)
    assert (chosen.logits.argmax(1) == labels).mean() > 0.9
