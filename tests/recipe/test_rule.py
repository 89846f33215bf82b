import dataclasses

import pytest

from keras_transfer.network import bases
from keras_transfer.recipe import rule
from keras_transfer.recipe.options import AUTO
from keras_transfer.recipe.recipe import Recipe


def chosen(images, **options):
    return rule.complete(Recipe(**options), images)


MOBILENET, VGG, RESNET = bases.find("mobilenetv2"), bases.find("vgg16"), bases.find("resnet50")


def tuned(images=1_700, score=0.7, enlarged=1.0, base=MOBILENET, classes=10, gflops=0.1, **options):
    recipe = rule.complete(Recipe(**options), images)
    return rule.fine_tuning(recipe, base, rule.Situation(images, classes, score, enlarged, gflops))


def test_nothing_stays_open_once_the_head_is_known():
    recipe, _ = tuned()
    assert AUTO not in [getattr(recipe, field.name) for field in dataclasses.fields(recipe) if field.name in CHOSEN]


CHOSEN = {
    "head_solver", "thaw", "fine_tune_epochs", "fine_tune_lr", "label_smoothing", "patience", "refit", "views",
    "batch_size",
}  # fmt: skip


def test_images_unlike_those_of_imagenet_are_fine_tuned_deeply():
    recipe, why = tuned(score=0.69)
    assert recipe.thaw == "block6"
    assert (recipe.fine_tune_epochs, recipe.views, recipe.label_smoothing) == (12, 8, 0.1)
    assert why == "1,700 images, the head at 0.69 in cross-validation"


@pytest.mark.parametrize(("images", "epochs"), [(420, 20), (1_000, 20), (1_300, 15), (1_650, 12), (5_000, 12)])
def test_few_images_are_seen_more_often(images, epochs):
    assert tuned(images=images, classes=5)[0].fine_tune_epochs == epochs


def test_images_like_those_of_imagenet_get_a_head_on_several_views():
    recipe, why = tuned(images=420, score=0.9, classes=5)
    assert (recipe.thaw, recipe.views) == ("none", 4)
    assert "gains nothing" in why
    assert tuned(images=1_500, score=0.9)[0].views == 1


def test_enlarged_images_are_fine_tuned_however_well_the_head_does():
    assert tuned(score=0.93, enlarged=3.4)[0].thaw == "block6"
    assert tuned(score=0.93, enlarged=1.9)[0].thaw == "none"


def test_where_little_is_left_to_gain_the_head_is_enough():
    recipe, why = tuned(score=0.97, enlarged=6.0)
    assert recipe.thaw == "none"
    assert "little is left" in why


def test_many_images_are_fine_tuned_on_and_few_are_not():
    recipe, _ = tuned(images=2_000, score=0.95)
    assert (recipe.thaw, recipe.fine_tune_epochs, recipe.views) == ("block6", 12, 4)
    recipe, why = tuned(images=190, score=0.5)
    assert recipe.thaw == "none"
    assert "19 images a class are too few" in why


def test_images_that_are_not_enlarged_need_more_of_each_class():
    assert tuned(images=210, score=0.7, enlarged=3.0)[0].thaw == "block6"
    assert tuned(images=210, score=0.7)[0].thaw == "none"
    assert tuned(images=500, score=0.7)[0].thaw == "block6"


@pytest.mark.parametrize(
    ("base", "rate"), [(MOBILENET, 3e-4), (VGG, 1e-4), (RESNET, 1e-4), (bases.find("resnet50v2"), 1e-4)]
)
def test_the_rate_is_that_of_the_kind_of_network(base, rate):
    assert tuned(base=base)[0].fine_tune_lr == rate


def test_a_processor_fine_tunes_less_of_a_heavy_network():
    heavy, why = tuned(base=VGG, gflops=5.6)
    assert why.endswith("a processor would take long over more than the last stage (--thaw block3)")
    assert (heavy.thaw, heavy.fine_tune_epochs, heavy.views) == ("block5", 12, 4)
    shorter, _ = tuned(images=900, base=VGG, gflops=0.6)
    assert (shorter.thaw, shorter.fine_tune_epochs, shorter.views) == ("block3", 12, 4)
    assert tuned(base=VGG, gflops=0.0)[0].thaw == "block3"


def test_where_nothing_is_gained_that_is_so_whatever_is_asked_for():
    few, like_imagenet = rule.Situation(210, 10, 0.7, 1.0), rule.Situation(1_650, 10, 0.9, 1.0)
    assert not rule.expects_gain(MOBILENET, few)
    assert not rule.expects_gain(MOBILENET, like_imagenet)
    assert rule.expects_gain(MOBILENET, rule.Situation(1_650, 10, 0.7, 3.0))


def test_other_tasks_fine_tune_the_last_stage():
    recipe, _ = tuned(score=None)
    assert (recipe.thaw, recipe.label_smoothing) == (MOBILENET.top, 0.0)


@pytest.mark.parametrize(("images", "score"), [(30, 0.7), (400, 0.97), (600, 0.9)])
def test_of_a_teacher_the_base_learns_where_the_head_alone_would_do(images, score):
    assert tuned(images=images, score=score)[0].thaw == "none"
    recipe, why = tuned(images=images, score=score, teacher="big")
    assert recipe.thaw == tuned(images=1_500, score=0.5)[0].thaw
    assert recipe.label_smoothing == 0.0, "its answers are smooth"
    assert why.endswith("a solved head learns nothing of a teacher")


def test_what_only_fine_tuning_has_a_use_for_goes_where_there_is_none():
    options = {"weight_decay": 0.1, "l2_sp": 0.1, "ema": 0.9, "minutes": 5}
    recipe, _ = tuned(score=0.99, **options)
    assert (recipe.thaw, recipe.weight_decay, recipe.l2_sp) == ("none", 0, 0)
    assert (recipe.ema, recipe.minutes) == ("none", "none")
    recipe, _ = tuned(score=0.5, **options)
    assert (recipe.weight_decay, recipe.l2_sp, recipe.ema, recipe.minutes) == (0.1, 0.1, 0.9, 5)
    assert tuned(score=0.99, dense="8", **options)[0].ema == 0.9, "the head is trained by gradient"
    assert tuned(score=0.99, head_solver="lbfgs", dropout=0.1)[0].dropout == 0


def test_what_is_asked_for_is_done():
    recipe, why = tuned(score=0.95, thaw="block14", fine_tune_epochs=3, fine_tune_lr=1e-3, views=1, patience=2)
    assert (recipe.thaw, recipe.fine_tune_epochs, recipe.fine_tune_lr) == ("block14", 3, 1e-3)
    assert (recipe.views, recipe.patience, why) == (1, 2, "As asked")
    assert tuned(fine_tune_epochs=0)[0].thaw == "none"
    assert tuned(thaw="0")[0].thaw == "none"


@pytest.mark.parametrize(("views", "kept"), [(AUTO, 1), (8, 1), ("fresh", "fresh")])
def test_without_augmentation_there_are_no_views(views, kept):
    assert tuned(augment="none", views=views)[0].views == kept


@pytest.mark.parametrize(("views", "drawn"), [(AUTO, "fresh"), (8, "fresh"), (1, 1)])
def test_where_nothing_is_frozen_no_view_can_be_stored(views, drawn):
    assert tuned(thaw="all", views=views)[0].views == drawn
    assert tuned(thaw="all", augment="none")[0].views == 1


@pytest.mark.parametrize(
    "options", [{"dense": "64"}, {"dropout": 0.3}, {"l2": 1e-4}, {"head_epochs": "5"}, {"head_lr": 0.01}]
)
def test_a_head_that_has_no_closed_form_is_trained(options):
    complete = chosen(400, **options)
    assert complete.head_solver == "adam"
    assert complete.head_lr == options.get("head_lr", 1e-3)
    assert complete.head_epochs == (5 if "head_epochs" in options else 20)


@pytest.mark.parametrize(
    ("data", "size", "least", "expected"),
    [("digits", AUTO, 32, 48), ("digits", AUTO, 75, 75), ("photos", AUTO, 32, 224), ("digits", "96", 32, 96)],
)
def test_the_input_size_is_the_bases_own_but_for_the_digits(data, size, least, expected):
    assert rule.input_size(Recipe(data=data, size=size), 224, least) == expected


@pytest.mark.parametrize(
    ("short_side", "least", "base", "expected"),
    [
        (32.0, 32, "", 160),
        (28.0, 32, "", 160),
        (10.0, 75, "", 75),
        (45.0, 32, "", 224),
        (240.0, 32, "", 224),
        (None, 32, "", 224),
        (32.0, 32, "mobilenetv2", 128),
        (28.0, 32, "mobilenetv2", 128),
        (45.0, 32, "mobilenetv2", 192),
    ],
)
def test_small_pictures_are_enlarged_so_many_times_at_most(short_side, least, base, expected):
    assert rule.input_size(Recipe(data="photos"), 224, least, short_side, base) == expected
    assert rule.input_size(Recipe(data="photos", size=96), 224, least, short_side, base) == 96


@pytest.mark.parametrize(
    ("base", "side", "a_class", "options", "expected"),
    [
        ("mobilenetv2", 32.0, 50, {}, "bicubic"),
        ("mobilenetv2", 32.0, 25, {}, "bilinear"),
        ("mobilenetv2", 49.0, 50, {}, "bilinear"),  # Enlarged by less than twice.
        ("mobilenetv2", None, 50, {}, "bilinear"),
        ("resnet50", 32.0, 50, {}, "bilinear"),
        ("mobilenetv2", 32.0, 50, {"enlarge": "bilinear"}, "bilinear"),
        ("resnet50", 500.0, 5, {"enlarge": "bicubic"}, "bicubic"),
    ],
)
def test_many_small_pictures_are_enlarged_by_cubic_interpolation_where_a_base_gains(
    base, side, a_class, options, expected
):
    assert rule.interpolation(Recipe(size=96, **options), base, side, a_class) == expected


def test_of_other_tasks_fine_tuning_has_to_lower_the_loss():
    assert rule.expects_gain(MOBILENET, rule.Situation(1_700, 10, 0.7, 1.0))
    assert not rule.expects_gain(MOBILENET, rule.Situation(1_700, 1, None, 1.0))
