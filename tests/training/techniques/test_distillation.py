from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data.augment import View
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.support.progress import Stopwatch
from keras_transfer.training import methods
from keras_transfer.training.phase import GradientDescent, Phase
from keras_transfer.training.state import TrainingState, folder_of
from keras_transfer.training.techniques import distillation
from keras_transfer.training.techniques.distillation import SHARE, Distillation
from keras_transfer.training.trainer import Trainer
from tests.training.test_state import Batches, interrupt, left
from tests.training.trainers import QUIET, Elapsed, trainer


@pytest.fixture(scope="module")
def student(photos, tiny_base, version):
    """A trainer whose network is larger than its teacher's, so that input sizes differ, and whose classes are in
    another order than the teacher's.
    """
    one = trainer(photos, base=tiny_base, size=32, teacher=str(version.folder), engine="tensorflow")
    classes = ("red", "blue", "green")
    order = np.asarray([classes.index(name) for name in one.setup.examples.classes])
    examples = replace(one.setup.examples, classes=classes, labels=order[one.setup.examples.labels])
    return with_examples(one, examples)


def with_examples(one, examples):
    return Trainer(replace(one.setup, examples=examples), Stopwatch())


def test_a_teacher_says_of_an_image_what_it_serves_in_the_order_of_the_students_classes(student, classifier):
    setup = student.setup
    indices = setup.examples.indices("validation")
    (answers,) = distillation.answers(setup.teacher, setup, indices, [None])
    predictions = classifier.predict([setup.examples.paths[index] for index in indices])
    served = [[prediction.probabilities[name] for name in setup.examples.classes] for prediction in predictions]
    np.testing.assert_allclose(answers, served, atol=1e-3)
    assert (answers.argmax(1) == setup.examples.labels[indices]).all()


def test_a_teacher_sees_the_views_that_are_trained_on_at_its_own_size(student, classifier):
    setup = student.setup
    indices, views = setup.train[:4], [None, View(1, setup.recipe.seed, True), View(2, setup.recipe.seed, True)]
    decoder = Decoder(classifier.size, setup.recipe.resize, setup.recipe.max_pixels)
    answers = distillation.answers(setup.teacher, setup, indices, views)
    for view, answered in zip(views, answers, strict=True):
        pictures = [decoder.pixels(Path(setup.examples.paths[index]).read_bytes()) for index in indices]
        if view is not None:
            draws = [view.draws(digest) for digest in setup.digests_of(indices)]
            pictures = [np.asarray(view.picture(*pair)) for pair in zip(pictures, draws, strict=True)]
        served = classifier.run("images", [picture.astype("float32") for picture in pictures])["probabilities"]
        order = [classifier.classes.index(name) for name in setup.examples.classes]
        np.testing.assert_allclose(answered, served[:, order], atol=1e-3)
    assert not np.allclose(answers[0], answers[1], atol=1e-4)


def test_each_view_is_trained_towards_its_own_answers(student):
    setup = student.setup
    feed = student.feed("middle_conv", 2)
    indices = setup.train
    soft = feed.soft_targets(indices, [Distillation()])
    answers = distillation.answers(setup.teacher, setup, indices, [None, View(1, setup.recipe.seed, setup.flips)])
    labels = setup.targets_of(indices)
    for view, table in enumerate(soft):
        np.testing.assert_allclose(table, (1 - SHARE) * labels + SHARE * answers[view], atol=1e-6)

    class Order:
        """One batch of each view, backwards."""

        start, stop = 0, 2

        def batch(self, number):
            return number, np.arange(len(indices))[::-1]

    for view, (_, table) in enumerate(feed.batches(indices, Order(), augmented=True, soft=soft)):
        np.testing.assert_array_equal(table, np.concatenate([soft[view], labels], 1)[::-1])


def test_a_student_follows_its_teacher_where_labels_are_wrong(student):
    """All labels of the training images are wrong; their share of the targets is small."""
    examples = student.setup.examples
    wrong = np.where(examples.splits == 0, (examples.labels + 1) % 3, examples.labels)
    for taught in (True, False):
        one = with_examples(student, replace(examples, labels=wrong))
        one.setup.network.head.get_layer("logits").set_weights([np.zeros((16, 3)), np.zeros(3)])
        used = (Distillation(),) if taught else ()
        phase = Phase("head", "head", GradientDescent(40, 0.3), techniques=used)
        result = one.run(phase)
        assert (result.validation["accuracy"] > 0.8) == taught
        assert (result.history[-1]["accuracy"] < 0.2) == taught, "the score of training is by the labels"


def test_of_views_drawn_anew_the_answer_on_the_image_itself_is_learned(student):
    feed = student.feed("all", "fresh")
    (soft,) = feed.soft_targets(student.setup.train, [Distillation()])
    (answers,) = distillation.answers(student.setup.teacher, student.setup, student.setup.train, [None])
    labels = student.setup.targets_of(student.setup.train)
    np.testing.assert_allclose(soft, (1 - SHARE) * labels + SHARE * answers, atol=1e-6)


COMMON = {
    "size": 24, "batch_size": 8, "patience": "none", "engine": "tensorflow", "thaw": "auto", "views": 2,
    "fine_tune_epochs": 3, "fine_tune_lr": 3e-3, "label_smoothing": "auto",
}  # fmt: skip


def test_few_images_are_fine_tuned_on_for_a_teacher_and_go_on_after_an_interruption(
    photos, tiny_base, version, tmp_path
):
    options = COMMON | {"base": tiny_base, "teacher": str(version.folder)}

    def run(state=None, progress=QUIET):
        kept = None if state is None else TrainingState(state, 1, progress)
        one = trainer(photos, progress, kept, **options)
        methods.run(one)
        return one

    expected = run()
    assert [phase.name for phase in expected.phases] == ["head", "fine-tune"]
    assert expected.phases[1].techniques == (Distillation(),)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Batches(6, interrupt))
    progress = Batches()
    assert left(run(tmp_path, progress)) == left(expected)
    assert 0 < progress.count < 12, "it went on from the second epoch"


def test_where_the_time_ends_with_the_head_nothing_is_learned_of_a_teacher(photos, tiny_base, version):
    one = trainer(photos, **COMMON | {"base": tiny_base, "teacher": str(version.folder), "minutes": 0.1})
    one.timer = Elapsed(7)
    methods.run(one)
    assert [phase.name for phase in one.phases] == ["head"]
    assert (one.recipe.thaw, one.recipe.teacher) == ("none", "none")


def test_a_state_belongs_to_the_teacher_that_it_was_trained_with(student, tmp_path):
    setup = student.setup
    (tmp_path / "model.keras").write_bytes(setup.teacher.file.read_bytes() + b" ")
    changed = replace(setup, teacher=replace(setup.teacher, file=tmp_path / "model.keras"))
    assert len({folder_of(one, Path()) for one in (setup, changed, replace(setup, teacher=None))}) == 3
