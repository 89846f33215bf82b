import errno
import json
import os
import signal
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import pytest

from keras_transfer.support import stopping
from keras_transfer.support.errors import Interruption, UserError
from keras_transfer.support.progress import Progress
from keras_transfer.training import methods
from keras_transfer.training.state import TrainingState, folder_of
from keras_transfer.training.trainer import Trainer
from tests.training.trainers import QUIET, trainer

STEPS = 4  # Batches an epoch.
COMMON = {"size": 24, "batch_size": 8, "seed": 1, "patience": "none", "engine": "tensorflow"}
EVERYTHING = COMMON | {
    "views": 2, "refit": "on", "dropout": 0.3, "dense": "8", "head_epochs": 2, "fine_tune_epochs": 3,
    "fine_tune_lr": 3e-3, "ema": 0.7, "l2_sp": 0.1,
}  # fmt: skip
HEAD = COMMON | {"thaw": "none", "dropout": 0.3, "head_epochs": 3, "ema": 0.7}


class Batches(Progress):
    """Counts the batches that are trained on, and does something after some of them."""

    def __init__(self, after=None, do=None):
        super().__init__()
        self.count, self.after, self.do = 0, after, do

    @contextmanager
    def task(self, name, total, unit="images"):
        yield self.advance if name in ("Head", "Fine-tuning") else lambda images: None

    def advance(self, images):
        self.count += 1
        if self.count == self.after:
            self.do()


def interrupt():
    raise KeyboardInterrupt


def train(photos, base, options, state=None, every=1, progress=QUIET, always=True):
    kept = None if state is None else TrainingState(state, every, progress, always)
    one = trainer(photos, progress, kept, base=base, **options)
    with one.kept_when_stopped():
        methods.run(one)
    return one


def left(one):
    """What a run leaves, without how long it took."""
    weights = [value for model in (one.setup.network.base, one.setup.network.head) for value in model.get_weights()]
    results = [asdict(replace(result, seconds=0.0, images_per_second=0.0)) for result in one.results]
    return [value.tobytes() for value in weights], json.dumps(results, default=float)


@pytest.fixture(scope="module")
def head(photos, deep_base):
    """What the training of a head alone leaves."""
    return left(train(photos, deep_base, HEAD))


def test_a_run_that_is_interrupted_again_and_again_ends_as_if_it_had_not_been(photos, deep_base, tmp_path, capsys):
    """Bit for bit, with dropout, stochastic depth, views, L2-SP, averaged weights, and everything trained once more."""
    expected, total = left(train(photos, deep_base, EVERYTHING, progress=(counted := Batches()))), 0
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines() if "  loss " in line][-1] == "refit,"
    for after, every in (
        (3 * STEPS + 1, 2),  # In the second epoch of fine-tuning; a step is lost.
        (2 * STEPS + 3, 1),  # In the refit of the head.
        (2 * STEPS - 2 + STEPS + 2, 1),  # In the refit of the base.
    ):
        with pytest.raises(KeyboardInterrupt):
            train(photos, deep_base, EVERYTHING, tmp_path, every, progress := Batches(after, interrupt))
        total += progress.count
    resumed = train(photos, deep_base, EVERYTHING, tmp_path, progress=(progress := Batches()))
    assert left(resumed) == expected
    said = capsys.readouterr().err
    assert said.count("where an interrupted run left off") == 3
    assert said.count("fine-tune: had ended") == 2
    assert counted.count < total + progress.count <= counted.count + 3


def test_patience_goes_on_where_it_was_interrupted(photos, deep_base, tmp_path):
    options = HEAD | {"head_epochs": 12, "head_lr": 3.0, "patience": 2, "ema": "none"}
    expected = train(photos, deep_base, options)
    ended = expected.results[0].epochs
    assert 2 < ended < 12
    with pytest.raises(KeyboardInterrupt):
        train(photos, deep_base, options, tmp_path, 100, Batches((ended - 1) * STEPS + 1, interrupt))
    assert left(train(photos, deep_base, options, tmp_path)) == left(expected)


def test_a_resumed_run_that_drops_a_phase_has_the_scores_of_what_it_exports(photos, deep_base, tmp_path):
    """Those of the head, which was calibrated once more after it had ended."""
    options = COMMON | {"dense": "8", "head_epochs": 2, "fine_tune_epochs": 1, "fine_tune_lr": 30.0}
    one = train(photos, deep_base, options, tmp_path)
    head, tuned = one.results
    assert tuned.best_epoch == 0
    assert head.validation == tuned.validation
    resumed = train(photos, deep_base, options, tmp_path, progress=(progress := Batches()))
    assert progress.count == 0
    assert left(resumed) == left(one)


def test_what_is_kept_only_when_training_is_stopped_is_gone_on_from_all_the_same(photos, deep_base, tmp_path):
    expected = left(train(photos, deep_base, EVERYTHING))
    folder = tmp_path / "state"
    stop = Batches(2 * STEPS + STEPS + 2, lambda: os.kill(os.getpid(), signal.SIGINT))  # In fine-tuning.
    with stopping.raised("Stopped."), pytest.raises(stopping.Stopped, match="go on with the same command"):
        train(photos, deep_base, EVERYTHING, folder, 1, stop, always=False)
    files = sorted(file.name for file in folder.iterdir())
    assert files == ["00-ended.npz", "01-00001-0000002.npz"]
    assert left(train(photos, deep_base, EVERYTHING, folder, progress=(resumed := Batches()))) == expected
    whole = Batches()
    train(photos, deep_base, EVERYTHING, progress=whole)
    assert resumed.count == whole.count - stop.count


@pytest.mark.parametrize(("part", "calls"), [(0, 1), (1, 3)])
def test_a_signal_after_the_last_step_waits_for_what_is_kept(photos, deep_base, tmp_path, monkeypatch, part, calls):
    """While what was trained is calibrated, and judged."""
    options = EVERYTHING | {"refit": "off"}
    expected, calibrated, count = left(train(photos, deep_base, options)), Trainer._calibrated, iter(range(1, 9))

    def stop(self, feed):
        if next(count) == calls:
            os.kill(os.getpid(), signal.SIGINT)
        return calibrated(self, feed)

    monkeypatch.setattr(Trainer, "_calibrated", stop)
    with stopping.raised("Stopped."), pytest.raises(stopping.Stopped, match="--resume"):
        train(photos, deep_base, options, tmp_path, always=False)
    monkeypatch.undo()
    assert max(file.name for file in tmp_path.iterdir()) == f"{part:02d}-ended.npz"
    assert left(train(photos, deep_base, options, tmp_path, progress=(resumed := Batches()))) == expected
    assert resumed.count == (0 if part else 3 * STEPS)


@pytest.mark.parametrize("error", [OSError("The disk is gone."), Interruption("The disk is gone.")])
def test_what_had_ended_is_kept_where_a_disk_fails(photos, deep_base, tmp_path, error):
    def fail():
        raise error

    with pytest.raises(UserError, match=r"The disk is gone\. What was trained is kept: go on with the same command"):
        train(photos, deep_base, EVERYTHING, tmp_path, progress=Batches(2 * STEPS + 1, fail), always=False)
    assert [file.name for file in tmp_path.iterdir()] == ["00-ended.npz"]


def test_where_nothing_can_be_kept_as_asked_that_is_said_at_once(photos, deep_base, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    state = TrainingState(tmp_path / "file" / "state", 1, Progress())
    warning = capsys.readouterr().err
    assert warning.endswith("after an interruption, --resume would find nothing to go on from.\n")
    with pytest.raises(stopping.Stopped, match="what was trained is lost"), state.kept_when_stopped():
        raise stopping.Stopped(stopping.RESUMABLE, 130)
    state.discard()


def test_what_an_interrupted_run_left_stays_to_go_on_from_on_a_full_disk(tmp_path, capsys, monkeypatch):
    def full(stream, **arrays):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    earlier = TrainingState(tmp_path, 1, QUIET)
    earlier.end(0, {}, {})
    earlier._lock.release()
    state = TrainingState(tmp_path, 1, Progress())
    assert state.ended(0) is not None
    monkeypatch.setattr(np, "savez", full)
    state.end(1, {}, {})
    with pytest.raises(stopping.Stopped, match="--resume"), state.kept_when_stopped():
        raise stopping.Stopped(stopping.RESUMABLE, 130)
    assert "--resume would go on from an older state" in capsys.readouterr().err
    state.discard()


def test_where_nothing_can_be_kept_a_stop_says_so_and_nothing_of_going_on(photos, deep_base, tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    stop = Batches(STEPS + 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with stopping.raised("Stopped."), pytest.raises(stopping.Stopped, match=r"^Stopped\.$"):
        train(photos, deep_base, HEAD, tmp_path / "file" / "state", 1, stop, always=False)
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "Warning" in line]
    assert "what was trained is lost" in warning


def test_what_is_not_stopped_keeps_nothing_and_forgets_what_was_kept(photos, deep_base, tmp_path):
    folder = tmp_path / "state"
    train(photos, deep_base, HEAD, folder, always=False)
    assert not folder.exists()
    train(photos, deep_base, HEAD, folder, 1)
    assert list(folder.iterdir())
    TrainingState(folder, 1, QUIET, always=False).discard()
    assert not folder.exists()


def test_damaged_states_are_passed_over(photos, deep_base, tmp_path, head, capsys):
    train(photos, deep_base, HEAD, tmp_path, 1)
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == ["00-00002-0000003.npz", "00-00003-0000000.npz", "00-ended.npz"]
    (tmp_path / files[2]).write_bytes((tmp_path / files[2]).read_bytes()[:100])
    content = bytearray((tmp_path / files[1]).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 1000] = bytes(1000)
    (tmp_path / files[1]).write_bytes(content)
    capsys.readouterr()
    resumed = train(photos, deep_base, HEAD, tmp_path, 1, Batches())
    assert left(resumed) == head
    ended, newest, goes_on, *_ = capsys.readouterr().err.splitlines()
    assert (files[2] in ended, "is damaged" in ended, files[1] in newest) == (True, True, True)
    assert goes_on == "head: goes on after epoch 2 of 3, step 3, where an interrupted run left off."


@pytest.mark.once
def test_a_full_disk_is_told_once_and_leaves_the_older_states(photos, deep_base, tmp_path, head, capsys, monkeypatch):
    def full(stream, **arrays):
        if progress.count > STEPS + 1:
            stream.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(stream, **arrays)

    write = np.savez
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(KeyboardInterrupt):
        train(photos, deep_base, HEAD, tmp_path, 1, progress := Batches(2 * STEPS, interrupt))
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "Warning" in line]
    assert "No space left on device" in warning
    assert sorted(file.name for file in tmp_path.iterdir()) == ["00-00001-0000000.npz", "00-00001-0000001.npz"]
    progress.count = -1000
    assert left(train(photos, deep_base, HEAD, tmp_path)) == head


def test_a_signal_ends_training_after_its_step(photos, deep_base, tmp_path, head):
    progress = Batches(STEPS + 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with stopping.raised("Stopped."), pytest.raises(stopping.Stopped) as stopped:
        train(photos, deep_base, HEAD, tmp_path, 100, progress)
    assert stopped.value.exit_code == 143
    assert max(file.name for file in tmp_path.iterdir()) == "00-00001-0000002.npz"
    progress = Batches()
    assert left(train(photos, deep_base, HEAD, tmp_path, 100, progress)) == head
    assert progress.count == 3 * STEPS - STEPS - 2


def test_a_state_belongs_to_what_its_results_depend_on(photos, tiny_base, deep_base, tmp_path):
    def folder(setup, **changes):
        return folder_of(replace(setup, **changes), tmp_path)

    setup = trainer(photos, base=tiny_base, size=24).setup
    examples, recipe = setup.examples, setup.recipe
    same = recipe.replace(data="./elsewhere", output="elsewhere", keep=1, checkpoint_every=7)
    assert folder(setup, recipe=same) == folder(setup)
    labels, splits = examples.labels.copy(), examples.splits.copy()
    labels[0], splits[0] = 1 - labels[0], (splits[0] + 1) % 3
    others = [
        folder(setup, recipe=recipe.replace(seed=5)),
        folder(setup, examples=replace(examples, labels=labels)),
        folder(setup, examples=replace(examples, splits=splits)),
        folder(setup, examples=replace(examples, classes=("a", "b", "c"))),
        folder(setup, examples=replace(examples, digests=[b"0" * 16, *examples.digests[1:]])),
        folder(trainer(photos, base=deep_base, size=24).setup, recipe=recipe),
    ]
    setup.network.base.get_layer("low_conv").set_weights(
        [value + 1e-6 for value in setup.network.base.get_layer("low_conv").get_weights()]
    )
    assert len({folder_of(setup, tmp_path), *others, folder(setup, recipe=same)}) == 7
