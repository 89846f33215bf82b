from contextlib import contextmanager

import pytest

import keras_transfer as kt
from keras_transfer.studies import features, recommend
from keras_transfer.studies.check.check import check
from keras_transfer.support import logs


class Reached(Exception):
    """TensorFlow would be imported now."""


class Told(kt.Progress):
    """Keeps what it is told to show."""

    def __init__(self):
        super().__init__(quiet=True)
        self.shown = []

    @contextmanager
    def activity(self, name):
        self.shown.append(name)
        yield


@pytest.mark.parametrize(
    "study",
    [
        lambda recipe, progress: check(recipe, progress=progress),
        features.arrays,
        lambda recipe, progress: recommend.recommend(recipe, ["mobilenet", "mobilenetv2"], progress),
    ],
    ids=["check", "features", "recommend"],
)
def test_the_seconds_of_the_import_are_explained(study, photos, monkeypatch):
    def reach():
        raise Reached

    monkeypatch.setattr(logs, "import_tensorflow", reach)
    progress = Told()
    with pytest.raises(Reached):
        study(kt.Recipe(data=str(photos)), progress)
    assert progress.shown == ["Importing TensorFlow"]
