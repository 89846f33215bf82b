import pytest

from keras_transfer import rule
from keras_transfer.recipe import AUTO, Recipe


def chosen(images, **options):
    return rule.complete(Recipe(**options), images, 5)


def test_nothing_that_depends_on_the_data_stays_open():
    complete = chosen(400)
    names = ("head_solver", "fine_tune_epochs", "fine_tune_lr", "label_smoothing", "patience", "refit", "views")
    assert AUTO not in [getattr(complete, name) for name in (*names, "batch_size")]


def test_small_sets_get_a_short_phase_2():
    small, large = chosen(2_000), chosen(2_001)
    assert small.fine_tune_epochs < large.fine_tune_epochs
    assert small.refit == large.refit == "head"
    assert small.head_solver == large.head_solver == "newton-cg"


@pytest.mark.parametrize("options", [{"dense": "64"}, {"dropout": 0.3}, {"l2": 1e-4}, {"head_epochs": "5"}])
def test_a_head_that_has_no_closed_form_is_trained(options):
    complete = chosen(400, **options)
    assert complete.head_solver == "adam"
    assert complete.head_lr == 1e-3
    assert complete.head_epochs == (5 if "head_epochs" in options else 20)


def test_what_the_user_says_holds():
    complete = chosen(400, fine_tune_epochs="9", fine_tune_lr="0.5", refit="off", views="3", batch_size="7")
    found = (complete.fine_tune_epochs, complete.fine_tune_lr, complete.refit, complete.views, complete.batch_size)
    assert found == (9, 0.5, "off", 3, 7)


@pytest.mark.parametrize(
    ("data", "size", "least", "expected"),
    [("digits", AUTO, 32, 48), ("digits", AUTO, 75, 75), ("photos", AUTO, 32, 224), ("digits", "96", 32, 96)],
)
def test_the_input_size_is_the_bases_own_but_for_the_digits(data, size, least, expected):
    assert rule.input_size(Recipe(data=data, size=size), 224, least) == expected
