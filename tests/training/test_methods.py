import dataclasses

import keras
import numpy as np
import pytest

from keras_transfer.recipe import recipe as recipes
from keras_transfer.recipe import rule
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.training import methods
from keras_transfer.training.phase import BEST_IF_BETTER
from tests.training.trainers import Elapsed, run, trainer

OPTIONS = {"size": 24, "fine_tune_epochs": 2, "fine_tune_lr": 1e-3, "label_smoothing": 0.0}


def weights(one):
    return {layer.name: [np.copy(value) for value in layer.get_weights()] for layer in one.setup.network.base.layers}


def changed(one, before):
    after = weights(one)
    return {name for name in before if any((a != b).any() for a, b in zip(before[name], after[name], strict=True))}


def test_every_method_can_be_asked_for():
    assert list(methods.METHODS) == list(recipes.METHODS)


@pytest.mark.parametrize(
    ("method", "phases", "trained"),
    [
        ("frozen", ["head"], set()),
        ("full", ["full"], {"low_conv", "middle_conv", "high_conv"}),
    ],
)
def test_a_method_trains_what_it_says(photos, tiny_base, method, phases, trained):
    one = trainer(photos, base=tiny_base, method=method, thaw="auto", **OPTIONS)
    before = weights(one)
    assert [result.name for result in run(one)] == phases
    assert changed(one, before) == trained
    probabilities = one.logits(one.setup.validation).argmax(1)
    assert (probabilities == one.setup.examples.labels[one.setup.validation]).mean() > 0.5


def test_scratch_trains_everything_from_random_weights(photos, tiny_base):
    options = {"base": tiny_base, "method": "scratch", "augment": "none", "batch_size": 8, "views": "fresh"}
    one, again = (trainer(photos, **OPTIONS | options | {"fine_tune_epochs": 4}) for _ in range(2))
    before = weights(one)
    assert one.setup.pretrained.weights == "random"
    pretrained = weights(trainer(photos, base=tiny_base, **OPTIONS))
    assert (before["low_conv"][0] != pretrained["low_conv"][0]).any()
    assert (before["low_conv"][0] == weights(again)["low_conv"][0]).all(), "by the seed"
    (result,) = run(one)
    assert changed(one, before) == {
        f"{block}_{layer}" for block in ("low", "middle", "high") for layer in ("conv", "bn")
    }
    losses = [epoch["loss"] for epoch in result.history]
    assert losses[-1] < losses[0]


def test_a_base_from_scratch_answers_as_it_was_trained_however_slowly_its_statistics_move(photos, tiny_base, tmp_path):
    base = keras.saving.load_model(tiny_base)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.999  # MobileNetV2's.
    base.save(tmp_path / "slow.keras")
    options = {"base": str(tmp_path / "slow.keras"), "method": "scratch", "augment": "none", "batch_size": 8}
    one = trainer(photos, **OPTIONS | options | {"fine_tune_epochs": 15, "views": "fresh"})
    (result,) = run(one)
    images = one.setup.train
    answered = (one.logits(images).argmax(1) == one.setup.examples.labels[images]).mean()
    assert answered > result.history[-1]["accuracy"] - 0.1 > 0.7


@pytest.mark.parametrize(
    ("method", "views", "told"),
    [("frozen", 4, "on 4 views of each image"), ("full", "fresh", "on new views of each image in each epoch")],
)
def test_a_method_chooses_what_is_left_open(photos, tiny_base, method, views, told, capsys):
    names = ("thaw", "views", "fine_tune_lr", "label_smoothing")
    options = {"base": tiny_base, "size": 24, "method": method, "fine_tune_epochs": 1, **dict.fromkeys(names, "auto")}
    one = trainer(photos, Progress(), **options)
    run(one)
    assert one.recipe.views == views
    assert f"Trained {told} (mirrored ones among them: --augment no-flip" in capsys.readouterr().err
    assert "auto" not in [getattr(one.recipe, name) for name in names]


def test_images_pass_the_frozen_part_once_though_views_are_chosen_after_the_head(photos, tiny_base, fresh_cache):
    options = {"size": 24, "thaw": "middle_conv", "views": "auto", "augment": "default"}
    one = trainer(photos, base=tiny_base, **options, fine_tune_epochs=1)
    assert [result.name for result in run(one)] == ["head", "fine-tune"]
    assert one.recipe.views > 1
    assert one.computed == len(one.setup.seen) + (one.recipe.views - 1) * len(one.setup.train)
    test = one.setup.examples.indices("test")
    assert one.logits(test).shape == (len(test), 3)


def test_few_images_get_a_head_on_several_views_and_no_more(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, thaw="auto", views="auto", fine_tune_epochs="auto")
    assert [result.name for result in run(one)] == ["head", "head, views"]
    assert (one.recipe.thaw, one.recipe.views, one.thawed) == ("none", 4, "none")
    assert one.computed <= 4 * len(one.setup.seen)


def test_what_is_fine_tuned_follows_from_what_the_head_reached(photos, tiny_base, monkeypatch, capsys):
    situations = []

    def told(recipe, base, situation):
        situations.append(situation)
        return recipe.replace(thaw="high_conv", views=2, fine_tune_epochs=1), "because"

    monkeypatch.setattr(rule, "fine_tuning", told)
    options = OPTIONS | {"fine_tune_lr": 1e-8, "label_smoothing": 0.1}
    one = trainer(photos, Progress(), base=tiny_base, thaw="auto", views="auto", **options)
    assert [result.name for result in run(one)] == ["head", "fine-tune"]
    assert one.reason == "because: high_conv of the base and all above it are fine-tuned on 2 views of each image."
    err = capsys.readouterr().err
    assert one.reason.rstrip(".") in err
    schedule = ", for 1 epoch at a learning rate of 1e-08, in batches of 32, with label smoothing 0.1"
    assert schedule in err, "before it trains"
    (situation,) = situations
    assert (situation.images, situation.classes) == (len(one.setup.train), 3)
    assert situation.score == one.results[0].details["cross_validation"]["accuracy"]
    assert situation.enlarged == pytest.approx(24 / 36)
    assert one.phases[1].keep == BEST_IF_BETTER, "so few images do not speak for a gain"


def test_two_phases_that_thaw_have_each_their_own_boundary(photos, tiny_base):
    """As gradual unfreezing will: from the top down, on the same images."""
    from keras_transfer.training.phase import BEST_UNLESS_WORSE, GradientDescent, Phase, Solver

    one = trainer(photos, base=tiny_base, size=24)
    one.run(Phase("head", "head", Solver("newton-cg")))
    before = weights(one)
    one.run(Phase("high", "high_conv", GradientDescent(1, 1e-3), keep="last"))
    assert changed(one, before) == {"high_conv"}
    one.run(Phase("middle", "middle_conv", GradientDescent(1, 1e-3), keep="last"))
    assert changed(one, before) == {"middle_conv", "high_conv"}
    one.run(Phase("again", "high_conv", GradientDescent(1, 30.0), keep=BEST_UNLESS_WORSE))
    assert one.results[-1].best_epoch == 0


@pytest.mark.parametrize(
    ("classes", "augment", "flips"),
    [
        (("blue", "red"), "default", True),
        (("blue", "red"), "no-flip", False),
        (("b", "d"), "default", False),
        (("10", "7"), "default", False),
    ],
)
def test_views_are_mirrored_where_that_may_mean_the_same(photos, tiny_base, classes, augment, flips):
    setup = trainer(photos, base=tiny_base, size=24, augment=augment).setup
    assert dataclasses.replace(setup, examples=dataclasses.replace(setup.examples, classes=classes)).flips == flips


def test_where_the_time_ends_with_the_head_it_is_kept_and_that_is_said(photos, tiny_base, capsys):
    one = trainer(photos, Progress(), base=tiny_base, thaw="auto", views="auto", minutes=0.1, **OPTIONS)
    one.timer = Elapsed(7)
    assert [result.name for result in run(one)] == ["head"]
    assert "The minutes were over with the head." in capsys.readouterr().err
    assert (one.recipe.thaw, one.recipe.minutes) == ("none", "none")


def test_where_the_time_ends_before_fine_tuning_the_head_is_exported_as_without(photos, tiny_base, fresh_cache):
    class Announced(Progress):
        """Time is over once fine-tuning was announced, while what it trains on is computed."""

        said = ""

        def say(self, message):
            self.said += f"{message} "
            if "fine-tuned on" in message:
                one.timer = Elapsed(7)

    one = trainer(photos, Announced(quiet=True), base=tiny_base, minutes=0.1, **OPTIONS | {"refit": "head"})
    one.timer = Elapsed(0)
    assert [result.name for result in run(one)] == ["head", "refit"]
    assert "The minutes were over before fine-tuning began: the head is kept." in one.setup.progress.said
    assert (one.recipe.thaw, one.recipe.minutes, one.thawed) == ("none", "none", "none")


def test_a_head_alone_is_fitted_on_no_more_views_than_there_was_time_for(photos, tiny_base, fresh_cache):
    """Neither those that were asked for, nor those that the rule chooses where nothing is fine-tuned."""
    for views in (3, "auto"):
        one = trainer(photos, base=tiny_base, minutes=10, **OPTIONS | {"thaw": "auto", "views": views, "refit": "head"})
        one.timer = Elapsed(599.999)
        run(one)
        assert (one.recipe.thaw, one.recipe.views) == ("none", 1)
        assert one.computed == (len(one.setup.seen) if views == 3 else 0)


def test_a_method_without_a_head_of_its_own_needs_time_for_training(photos, tiny_base):
    one = trainer(photos, base=tiny_base, method="full", minutes=0.1, **OPTIONS)
    one.timer = Elapsed(7)
    with pytest.raises(UserError, match=r"--minutes 0\.1 is too little: training could begin after 0\.1 min"):
        run(one)
