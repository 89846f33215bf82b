import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.commands import tables
from keras_transfer.data import sources
from keras_transfer.data.examples import MULTI_LABEL, Examples, training_digests
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.training.techniques import distillation
from keras_transfer.versions import card, predictions, teachers
from tests.conftest import write_photos
from tests.training.trainers import trainer

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def student(photos, tiny_base, version, tmp_path_factory):
    """A run whose head learned from `version`."""
    return kt.fit(
        kt.Recipe(
            base=tiny_base, data=str(photos), output=str(tmp_path_factory.mktemp("models") / "student"),
            method="frozen", dense="8", head_epochs=3, views=1, teacher=str(version.folder.parent),
        ),
        progress=QUIET,
    )  # fmt: skip


@pytest.fixture
def teacher(version):
    return teachers.resolved(kt.Recipe(teacher=str(version.folder.parent)))[1]


def test_a_run_records_who_taught_and_how_often_both_predict_the_same(student, version, classifier):
    record = student.metrics["teacher"]
    name = f"colours/{version.folder.name}"
    assert (record["version"], record["base"], record["learned_from"]) == (name, version.metrics["base"], True)
    pictures = [content for _, _, content in student.model.training_images().files("test")]
    predicted = [[prediction.label for prediction in model.predict(pictures)] for model in (student.model, classifier)]
    assert record["agreement"] == np.mean([first == second for first, second in zip(*predicted, strict=True)])
    told = f"It learned from the teacher {name} (tiny) besides the labels. The two predict the same of a share of "
    assert told in (student.folder / "assets.extra" / "README.md").read_text()
    assert told[:40] in student.report.read_text()
    assert told[:40] in tables.run(student.metrics, student.recipe, str(student.folder), {})
    recipe = kt.load_recipe(student.folder)
    assert teachers.resolved(recipe)[1].name == name, "the recipe names the version, from any folder"
    assert recipe.teacher == str(version.folder)


def test_the_card_says_where_nothing_of_a_teacher_is_kept(student):
    metrics = student.metrics | {"teacher": student.metrics["teacher"] | {"learned_from": False}}
    text = card.text(metrics, student.recipe, "student")
    assert "Nothing that was learned from the teacher colours/" in text
    assert "It learned" not in text


def test_test_images_that_a_teacher_knows_are_trained_on(photos, tiny_base, version, student, tmp_path):
    recipe = student.recipe.replace(seed=5, output=str(tmp_path / "m"))
    result = kt.fit(recipe, progress=QUIET)
    known, own = (training_digests(folder / "assets.extra") for folder in (version.folder, result.folder))
    assert known < own
    assert 0 < result.metrics["test"]["images"] < 6


def test_a_teacher_of_other_classes_or_another_task_is_refused(teacher, photos, tmp_path):
    listed = sources.load(str(photos))
    teachers.demand_same_classes(teacher, listed)
    teachers.demand_same_classes(None, listed)
    with pytest.raises(UserError, match=r"is for classification, .* for regression"):
        teachers.demand_same_classes(teacher, replace(listed, task="regression"))
    fewer = write_photos(tmp_path / "fewer", each=3)
    shutil.rmtree(fewer / "green")
    with pytest.raises(UserError, match=r"only colours/1 has 'green'; the others are blue, red\.") as caught:
        teachers.demand_same_classes(teacher, sources.load(str(fewer)))
    assert caught.value.exit_code == 1
    (fewer / "green").mkdir()
    (fewer / "red").rename(fewer / "pink")
    shutil.copytree(fewer / "blue", fewer / "green", dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"only colours/1 has 'red'; the others are blue, green, pink\."):
        teachers.demand_same_classes(teacher, sources.load(str(fewer)))
    shutil.copytree(fewer / "blue", fewer / "red")
    with pytest.raises(UserError, match=r"only .*fewer has 'pink'; the others are blue, green, red\."):
        teachers.demand_same_classes(teacher, sources.load(str(fewer)))


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.keras", None, "model.keras: No such file"),
        ("metrics.json", "{", "is damaged"),
        ("metrics.json", "{}", "is damaged: 'base'"),
        ("splits.csv", "path,label\na.jpg,red\n", "is damaged: 'split'"),
    ],
)
def test_a_version_that_cannot_teach_is_refused_in_one_line(version, tmp_path, file, content, words):
    extra = tmp_path / "big" / "1" / "assets.extra"
    extra.mkdir(parents=True)
    (extra.parent / "saved_model.pb").touch()
    for name in ("metrics.json", "recipe.json", "splits.csv", "model.keras"):
        shutil.copy(version.folder / "assets.extra" / name, extra / name)
    if content is None:
        (extra / file).unlink()
    else:
        (extra / file).write_text(content)
    with pytest.raises(UserError, match=f"--teacher: the version cannot be learned from .*{words}") as caught:
        teachers.resolved(kt.Recipe(teacher=str(tmp_path / "big")))
    assert "\n" not in str(caught.value)


@pytest.mark.once  # Keras of 3.8 cannot load its network.
def test_a_version_of_an_earlier_release_can_teach(released, photos, tiny_base):
    setup = trainer(photos, base=tiny_base, size=24, teacher=str(released)).setup
    (answers,) = distillation.answers(setup.teacher, setup, setup.train, [None])
    assert (answers.argmax(1) == setup.examples.labels[setup.train]).mean() > 0.9


def test_of_several_labels_both_predict_the_same_where_all_are(teacher, monkeypatch):
    says = np.asarray([[0.9, 0.6, 0.1], [0.2, 0.1, 0.3], [0.9, 0.4, 0.6]], "float32")
    monkeypatch.setattr(distillation, "answers", lambda teacher, setup, indices, views: [says[indices]])
    paths, splits = ["a.jpg", "b.jpg", "c.jpg"], np.full(3, 2, "int8")
    examples = Examples("", Path(), paths, np.zeros((3, 3), "float32"), splits, ("x", "y", "z"), MULTI_LABEL)
    trained = SimpleNamespace(setup=SimpleNamespace(examples=examples, task=MultiLabel()), phases=[], results=[])
    told = {"c.jpg": "x", "a.jpg": "x|y", "b.jpg": ""}
    tested = [predictions.Tested(name, name, "", predicted, 0.9) for name, predicted in told.items()]
    record = teachers.record(teacher, trained, tested)
    assert (record["agreement"], record["learned_from"]) == (2 / 3, False)
    assert "agreement" not in teachers.record(teacher, trained, [])


def test_who_teaches_is_said_and_that_its_weights_were_random(teacher, capsys):
    teachers.announce(teacher, Progress())
    teachers.announce(None, Progress())
    told = capsys.readouterr().err
    assert "Learns from colours/1 (tiny) too" in told
    assert "Warning" not in told
    teachers.announce(replace(teacher, weights="random"), QUIET)
    assert "Warning: The base of the teacher colours/1 began with random weights." in capsys.readouterr().err
