import pytest

from keras_transfer.versions import phases

HEAD = {"name": "head", "best_epoch": 10, "validation": {"accuracy": 0.9}, "cross_validation": {"loss": 0.3}}


def test_what_a_head_gains_by_views_is_said_where_folds_tell():
    views = HEAD | {"name": "head, views", "cross_validation": {"loss": 0.28}}
    (line,) = phases.exported([HEAD, views])
    assert line == "Fitted on views, the head's loss in cross-validation is 0.2800; without, 0.3000."
    (line,) = phases.exported([HEAD, views | {"best_epoch": 1, "cross_validation": {"loss": 0.301}}])
    assert line.endswith(" 0.3010; without, 0.3000, which may be chance: it is kept.")
    plain = {name: value for name, value in HEAD.items() if name != "cross_validation"}
    assert phases.exported([plain, plain | {"name": "head, views"}]) == []


@pytest.mark.parametrize("falling", [True, False])
def test_a_loss_that_was_still_falling_is_told_where_fine_tuning_is_dropped(falling):
    scores = {"accuracy": 0.9, "loss": 0.3}
    tuned = {"name": "fine-tune", "best_epoch": 0, "before": scores, "reached": scores, "chance": 0.1}
    (line,) = phases.exported([HEAD, tuned | {"still_falling": falling}])
    assert ("still falling" in line) == falling


@pytest.mark.parametrize("kept", [True, False])
def test_the_losses_by_which_fine_tuning_was_judged_are_told_where_classes_are_weighed(kept):
    before = {"accuracy": 0.9, "loss": 0.66, "weighted_loss": 0.4}
    reached = {"accuracy": 0.8, "loss": 0.52, "weighted_loss": 0.5}
    tuned = {"name": "fine-tune", "best_epoch": 2 * kept, "before": before, "reached": reached, "chance": 0.2}
    (line,) = phases.exported([HEAD, tuned])
    assert "(class-weighted, calibrated: 0.4000 before, 0.5000 after; accuracy 0.900, 0.800)" in line


@pytest.mark.parametrize(("ended", "option"), [({}, "--fine-tune-epochs"), ({"planned_epochs": 20}, "--minutes")])
def test_a_loss_that_was_still_falling_names_what_ended_it(ended, option):
    scores = {"accuracy": 0.9, "loss": 0.3}
    tuned = {"name": "fine-tune", "epochs": 7, "best_epoch": 0, "before": scores, "reached": scores, "chance": 0.1}
    *_, line = phases.exported([HEAD, tuned | ended | {"still_falling": True}])
    assert f"still falling: {option} with" in line
