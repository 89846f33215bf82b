import pytest

from keras_transfer.versions import phases

HEAD = {"name": "head", "best_epoch": 10, "validation": {"accuracy": 0.9}, "cross_validation": {"loss": 0.3}}


@pytest.mark.parametrize(
    ("loss", "best_epoch", "words"),
    [
        (0.28, 10, "The loss in cross-validation fell by views (0.3000 before, 0.2800 after), so they are kept."),
        (0.32, 0, "did not fall by views (0.3000 before, 0.3200 after), so the head without them is kept."),
    ],
)
def test_why_a_head_on_views_is_kept_or_not_is_said(loss, best_epoch, words):
    views = HEAD | {"name": "head, views", "best_epoch": best_epoch, "cross_validation": {"loss": loss}}
    (line,) = phases.exported([HEAD, views])
    assert line.endswith(words)


def test_of_too_few_images_for_folds_nothing_is_said():
    plain = {name: value for name, value in HEAD.items() if name != "cross_validation"}
    assert phases.exported([plain, plain | {"name": "head, views", "best_epoch": 0}]) == []
