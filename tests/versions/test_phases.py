from keras_transfer.versions import phases

HEAD = {"name": "head", "best_epoch": 10, "validation": {"accuracy": 0.9}, "cross_validation": {"loss": 0.3}}


def test_what_a_head_gains_by_views_is_said_where_folds_tell():
    views = HEAD | {"name": "head, views", "cross_validation": {"loss": 0.28}}
    (line,) = phases.exported([HEAD, views])
    assert line == "Fitted on views, the head's loss in cross-validation is 0.2800; without, 0.3000."
    plain = {name: value for name, value in HEAD.items() if name != "cross_validation"}
    assert phases.exported([plain, plain | {"name": "head, views"}]) == []
