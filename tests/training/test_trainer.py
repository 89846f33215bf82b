import errno
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_transfer.compute import device, features, shards, store
from keras_transfer.compute.store import ActivationSet
from keras_transfer.data import pipeline, sources, splits
from keras_transfer.data.augment import View
from keras_transfer.data.inspection import inspector
from keras_transfer.network import network as model
from keras_transfer.network import weights
from keras_transfer.recipe import rule
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import files
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.tasks.of_examples import task_of
from keras_transfer.training import head as heads
from keras_transfer.training import loop, methods
from keras_transfer.training.feed import Feed
from keras_transfer.training.phase import LAST, GradientDescent, Phase, Solver
from keras_transfer.training.setup import Setup
from keras_transfer.training.trainer import Trainer
from tests.conftest import draw, once, write_photos

QUIET = Progress(quiet=True)


def trainer(photos, progress=QUIET, state=None, **options):
    given = {"seed": 0, "refit": "off", "thaw": "middle_conv", "precision": "float32", "views": 1}
    if not options["base"].endswith(".keras"):
        given["weights"] = "random"
    # Gentle and short, as most tests want it.
    given |= {"fine_tune_epochs": 3, "fine_tune_lr": 1e-4, "label_smoothing": 0.0}
    recipe = Recipe(data=str(photos), **given | options)
    examples, _ = inspector.inspect(sources.load(recipe.data), recipe.max_pixels, QUIET)
    examples = splits.assign(examples, recipe.shares, recipe.seed)
    recipe = rule.complete(recipe, len(examples.indices("train")))
    pretrained = weights.load(recipe.base, recipe.weights, int(recipe.size), recipe.seed)
    task = task_of(examples)
    network = model.build(pretrained.base, pretrained.spec, recipe, len(examples.classes), task.output())
    setup = Setup(recipe, pretrained, network, examples, task, device.plan(recipe), progress)
    return Trainer(setup, Stopwatch(), state)


def run(one):
    methods.run(one)
    return one.results


def fine_tune(one, **options):
    """Phase 2 alone, from the weights as they are."""
    recipe = one.recipe
    by = GradientDescent(int(recipe.fine_tune_epochs), float(recipe.fine_tune_lr))
    return one.run(Phase("fine-tune", recipe.thaw, by, recipe.views, **options))


DROPPING = {"dense": "8", "dropout": 0.3, "head_epochs": 2}


@pytest.mark.parametrize(
    ("base", "size", "thaw", "head"),
    [
        ("tiny", 24, "middle_conv", {}),
        ("tiny", 24, "middle_conv", DROPPING),
        *once(("mobilenet", 32, "block13", {})),
    ],
)
def test_stored_activations_train_as_the_whole_network_does(photos, tiny_base, base, size, thaw, head):
    """Losses are equal epoch by epoch to 1e-4, in float32 and without augmentation.

    `tests/network/test_cut.py` holds the gradients of deep networks to it.
    """
    options = {"base": tiny_base if base == "tiny" else base, "size": size, "thaw": thaw, "augment": "none", **head}
    options |= {"fine_tune_epochs": 2, "fine_tune_lr": 1e-3, "label_smoothing": 0.1, "batch_size": 16}
    histories = []
    for views in ("1", "fresh"):
        one = trainer(photos, **options | {"views": views, "engine": "tensorflow"})
        assert one.feed(thaw, one.recipe.views).stored == (views == "1")
        histories.append([phase.history for phase in run(one)])
    (_, stored), (_, whole) = histories
    assert len(stored) == 2
    for one, other in zip(stored, whole, strict=True):
        for key in ("loss", "val_loss", "accuracy", "val_accuracy"):
            assert one[key] == pytest.approx(other[key], abs=1e-4), key
    assert abs(stored[0]["loss"] - stored[-1]["loss"]) > 1e-3, "the comparison needs a loss that moves"


def test_the_frozen_part_stays_and_the_thawed_part_moves(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=2, fine_tune_lr=1e-3)
    before = {layer.name: [np.copy(value) for value in layer.get_weights()] for layer in one.setup.network.base.layers}
    one.run(Phase("head", "head", Solver("newton-cg")))
    fine_tune(one, keep=LAST)
    changed = {
        layer.name
        for layer in one.setup.network.base.layers
        if any((a != b).any() for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
    }
    assert changed == {"middle_conv", "high_conv"}


def test_a_phase_without_patience_leaves_its_last_epoch(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, dense="8", head_epochs=6, head_lr=0.5, patience="none", thaw="none")
    (phase,) = run(one)
    assert phase.epochs == phase.best_epoch == 6
    scores = one.scores(one.feed("head"), one.setup.validation)
    assert scores["loss"] == pytest.approx(phase.validation["loss"], rel=1e-4)


def served_loss(one):
    """The validation loss of the network as it is served: float32, from decoded pixels."""
    held = [one.setup.examples.paths[row] for row in one.setup.validation]
    pixels = next(iter(pipeline.images(one.setup.examples.contents, held, one.feed("head").extractor.decoder, 100)))
    probabilities = np.asarray(one.setup.network.classifier()(pixels))
    return -np.log(probabilities[np.arange(len(held)), one.setup.examples.labels[one.setup.validation]]).mean()


@pytest.mark.essential
def test_phase_two_never_ends_worse_than_phase_one(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=2, fine_tune_lr=30.0, batch_size=4)
    phases = run(one)
    assert phases[1].best_epoch == 0
    assert phases[1].validation["loss"] == pytest.approx(phases[0].validation["loss"], abs=1e-5)
    assert phases[1].details["reached"]["loss"] > phases[0].validation["loss"]
    assert served_loss(one) == pytest.approx(phases[0].validation["loss"], abs=1e-4)


def test_both_ends_of_phase_two_are_judged_in_float32(photos, tiny_base):
    """Not in bfloat16, which tells other losses of the same weights."""
    options = {"precision": "bfloat16", "engine": "tensorflow", "fine_tune_epochs": 1, "fine_tune_lr": 1e-8}
    one = trainer(photos, base=tiny_base, size=24, **options)
    _, tuned = run(one)
    assert tuned.details["before"]["loss"] == pytest.approx(tuned.details["reached"]["loss"], rel=1e-5)
    assert tuned.best_epoch == 0, "what gains no more than rounding is not kept"
    trained = tuned.history[0]["val_loss"]
    assert abs(trained - tuned.details["before"]["loss"]) > 1e-6 * trained


@pytest.mark.once
def test_a_second_run_computes_nothing_anew(photos, tiny_base, fresh_cache):
    first, second = (
        trainer(photos, base=tiny_base, size=24),
        trainer(photos, base=tiny_base, size=24, dense="8", fine_tune_lr=1e-2),
    )
    for one in (first, second):
        one.feed("middle_conv")
    assert first.computed == len(first.setup.seen)
    assert second.computed == 0
    other = trainer(photos, base=tiny_base, size=24, pooling="max")
    other.feed("middle_conv")
    assert other.computed == len(other.setup.seen)


@pytest.mark.once
def test_activations_of_another_decoder_are_not_used(photos, tiny_base, fresh_cache, monkeypatch):
    trainer(photos, base=tiny_base, size=24).feed("middle_conv")
    monkeypatch.setattr(features, "REVISION", features.REVISION + 1)
    later = trainer(photos, base=tiny_base, size=24)
    later.feed("middle_conv")
    assert later.computed == len(later.setup.seen)


@pytest.mark.once
def test_views_are_stored_and_repeat(photos, tiny_base, fresh_cache):
    one = trainer(photos, base=tiny_base, size=24, views=3)
    feed = one.feed("middle_conv", 3)
    assert one.computed == 3 * len(one.setup.seen)
    digests = one.setup.digests_of(one.setup.train)
    plain, *augmented = (stored.read(digests, [1])[0] for stored in feed.sets)
    assert all(np.abs(plain - view).max() > 0 for view in augmented)
    again = trainer(photos, base=tiny_base, size=24, views=3)
    run(again)
    assert again.computed == 0


@pytest.mark.once
def test_an_image_more_is_one_more_to_compute_of_each_view(tmp_path, tiny_base, fresh_cache):
    data, view, computed = write_photos(tmp_path / "data", 7), View(1, 0, True), []
    for _ in range(2):
        one = trainer(data, base=tiny_base, size=24)
        extractor = Feed(one.setup, None).extractor
        stored = extractor.extract(one.setup.examples, one.setup.examples.digests, view)
        computed.append((extractor.computed, stored.read(list(one.setup.examples.digests)[:7], [0])[0]))
        draw((9, 9, 9), 5).save(data / "red" / "more.png")
    (first, before), (more, after) = computed
    assert (first, more) == (21, 1)
    np.testing.assert_array_equal(before, after)


@pytest.mark.once
def test_what_a_trained_base_computes_is_not_stored_as_that_of_the_pretrained(photos, tiny_base, fresh_cache):
    trainer(photos, base=tiny_base, size=24).feed("middle_conv")
    trained = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=1, fine_tune_lr=0.01)
    fine_tune(trained)  # Its activations were found stored: no engine has started yet.
    test = trained.setup.examples.indices("test")
    trained.logits(test)
    fresh = trainer(photos, base=tiny_base, size=24)
    examples, digests = fresh.setup.examples.at(test), fresh.setup.digests_of(test)
    feed = Feed(fresh.setup, fresh.setup.pretrained.spec.thawed("middle_conv"))
    actual = features.embeddings(feed.extractor.plain(examples, digests), digests)
    pixels = next(iter(pipeline.images(examples.contents, examples.paths, feed.extractor.decoder, 100)))
    np.testing.assert_allclose(actual, feed.cut.frozen(pixels)[-1], atol=1e-4)


@pytest.mark.once
def test_damage_is_said_in_one_line_and_computed_anew(photos, tiny_base, fresh_cache, capsys):
    first = trainer(photos, base=tiny_base, size=24)
    (plain,) = first.feed("middle_conv").sets
    digests = first.setup.digests_of(first.setup.train)
    before = plain.read(digests, [0])[0]
    file = next(fresh_cache.rglob("0.npy"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    again = trainer(photos, base=tiny_base, size=24)
    (plain,) = again.feed("middle_conv").sets
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Warning: 1 shard of stored activations was damaged")
    assert again.computed == len(again.setup.seen)
    np.testing.assert_allclose(plain.read(digests, [0])[0], before, atol=1e-5)


@pytest.mark.once
def test_clearing_the_cache_while_a_run_trains_does_no_harm(photos, tiny_base, fresh_cache):
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=1)
    feed = one.feed("middle_conv")
    store.clear()
    fine_tune(one)
    assert np.isfinite(feed.logits(one.setup.validation)).all()
    assert one.computed == len(one.setup.seen), "what was open is still read"


@pytest.mark.once
def test_only_a_run_that_writes_makes_room(photos, tiny_base, fresh_cache):
    first = trainer(photos, base=tiny_base, size=24)
    first.feed("middle_conv")
    ActivationSet({"base": "another"}).write([b"0" * 16], [[np.zeros((1, 10_000), "float32")]])
    limit = files.folder_size(fresh_cache) / 1e9
    trainer(photos, base=tiny_base, size=24, cache_limit=limit).feed("middle_conv")
    assert len(store.contents()) == 2
    trainer(photos, base=tiny_base, size=24, cache_limit=limit, pooling="max").feed("middle_conv")
    assert {record["key"]["base"] for record in store.contents()} != {"another", first.setup.pretrained.spec.name}


@pytest.mark.once
@pytest.mark.parametrize(("thaw", "goes_on"), [("middle_conv", True), ("none", False)])
def test_a_full_disk_is_said_and_where_possible_got_around(
    photos, tiny_base, fresh_cache, monkeypatch, capsys, thaw, goes_on
):
    one = trainer(photos, Progress(), base=tiny_base, size=24, thaw=thaw)
    full = OSError(errno.ENOSPC, "No space left on device")
    attempts = []

    def write(parent, key, *rest):
        attempts.append(key["boundary"])
        if not goes_on or key["boundary"] != "none":
            raise full
        return original(parent, key, *rest)

    original = shards.write
    monkeypatch.setattr(shards, "write", write)
    if goes_on:
        assert not one.feed(thaw).stored
        assert "(No space left on device)" in capsys.readouterr().err
    else:
        with pytest.raises(UserError, match=r"cannot be written to .*No space left.*KERAS_TRANSFER_CACHE"):
            one.feed("head")


def test_fresh_views_train_on_new_pictures_each_epoch(photos, tiny_base):
    losses = []
    for augment in ("default", "none"):
        one = trainer(
            photos, base=tiny_base, size=24, views="fresh", augment=augment, fine_tune_epochs=2, fine_tune_lr=1e-4
        )
        losses.append(run(one)[1].history[0]["loss"])
    assert losses[0] != pytest.approx(losses[1], rel=0.01)


def test_everything_can_be_thawed_and_nothing(photos, tiny_base):
    whole = trainer(photos, base=tiny_base, size=24, thaw="all", fine_tune_epochs=1)
    phases = run(whole)
    assert phases[1].trainable_parameters == 2895
    assert [phase.name for phase in run(trainer(photos, base=tiny_base, size=24, thaw="none"))] == ["head"]


def test_a_trained_head_stops_early_and_keeps_its_best_epoch(photos, tiny_base):
    one = trainer(
        photos, base=tiny_base, size=24, dense="16", dropout=0.2, head_epochs=30, head_lr=0.05, patience=2, thaw="none"
    )
    (phase,) = run(one)
    assert phase.epochs < 30
    losses = [row["val_loss"] for row in phase.history]
    assert phase.best_epoch == int(np.argmin(losses)) + 1
    assert phase.validation["loss"] == pytest.approx(min(losses))


@pytest.mark.once
def test_without_room_the_frozen_part_runs_in_each_epoch_and_says_so(photos, tiny_base, fresh_cache, capsys):
    one = trainer(photos, Progress(), base=tiny_base, size=24, cache_limit=0.00005, fine_tune_epochs=1)
    run(one)
    assert "--cache-limit is 5e-05 GB" in capsys.readouterr().err
    assert not one.feed("middle_conv").stored


def test_a_solved_head_is_solved_again_with_the_validation_images(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, refit="head", thaw="none")
    head, refit = run(one)
    assert refit.details["images"] == len(one.setup.train) + len(one.setup.validation)
    assert refit.validation == head.details["cross_validation"]
    kernel = one.setup.network.head.get_layer("logits").get_weights()[0]
    other = trainer(photos, base=tiny_base, size=24, refit="off", thaw="none")
    run(other)
    assert np.abs(kernel - other.setup.network.head.get_layer("logits").get_weights()[0]).max() > 0


TUNED = {"size": 24, "fine_tune_epochs": 4, "fine_tune_lr": 1e-3, "batch_size": 8, "patience": "none", "seed": 1}


def test_the_solved_head_is_calibrated_by_its_held_out_logits(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, refit="head", thaw="none")
    head, refit = run(one)
    temperature = head.details["temperature"]
    assert temperature != pytest.approx(1.0, abs=1e-3)
    exported = one.setup.network.head.get_layer("logits").get_weights()[0]
    plain = one._run(
        Phase("head", "head", Solver("newton-cg", refit.details["strength"])), one.feed("head"), one.setup.seen
    )
    assert plain.validation == {}
    np.testing.assert_allclose(
        exported, one.setup.network.head.get_layer("logits").get_weights()[0] / temperature, rtol=1e-3, atol=1e-5
    )


def test_a_thawed_network_that_was_kept_is_not_trained_again_by_default(photos, tiny_base):
    one = trainer(photos, base=tiny_base, refit="head", **TUNED)
    phases = run(one)
    assert [phase.name for phase in phases] == ["head", "fine-tune"]
    assert phases[1].best_epoch > 0
    assert served_loss(one) == pytest.approx(phases[1].validation["loss"], abs=1e-4)


@pytest.mark.essential
def test_a_refit_runs_the_schedule_that_was_chosen(photos, tiny_base):
    """As many steps as led to the chosen epoch, at the rates of the whole schedule."""
    one = trainer(photos, base=tiny_base, refit="on", **TUNED)
    *_, tuned, refit = run(one)
    assert (refit.name, refit.validation) == ("refit", {})
    assert refit.epochs == tuned.best_epoch
    optimizer = one.feed("middle_conv").trainable.optimizer
    steps = -(-len(one.setup.train) // 8)
    assert int(optimizer.iterations) == tuned.best_epoch * steps
    schedule = optimizer._learning_rate
    assert schedule.decay_steps + schedule.warmup_steps == 4 * steps


@pytest.mark.once
def test_a_refit_that_lost_is_dropped(photos, tiny_base, monkeypatch):
    one = trainer(photos, base=tiny_base, refit="on", **TUNED)
    real, calls = loop.train, []

    def diverging(phase, model, batches, *rest):
        calls.append(batches.validation)
        if batches.validation is None:
            phase = replace(phase, by=replace(phase.by, learning_rate=30.0))
        return real(phase, model, batches, *rest)

    monkeypatch.setattr(loop, "train", diverging)
    *_, tuned, refit = run(one)
    assert len(calls) == 2
    assert refit.best_epoch == 0
    assert refit.details["training_loss"]["after"] > refit.details["training_loss"]["before"]
    assert served_loss(one) == pytest.approx(tuned.validation["loss"], abs=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stores_half_and_trains(photos, tiny_base, fresh_cache, precision):
    one = trainer(photos, base=tiny_base, size=24, precision=precision, engine="tensorflow", fine_tune_epochs=1)
    phases = run(one)
    assert [dtype.itemsize for _, dtype in one.feed("middle_conv").sets[0].specs()] == [2, 2]
    assert np.isfinite(phases[1].history[0]["loss"])
    # Gradients of float16 vanish below 6e-8, those of bfloat16 do not.
    scaled = isinstance(one.feed("middle_conv").trainable.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "float16")


def test_embeddings_too_large_for_memory_are_trained_on(photos, tiny_base, monkeypatch, capsys):
    monkeypatch.setattr(heads, "SOLVER_BYTES", 0)
    one = trainer(photos, Progress(), base=tiny_base, size=24, thaw="none", refit="on")
    phase, _ = run(one)
    assert "too large to solve" in capsys.readouterr().err
    assert one.recipe.head_solver == "adam"
    assert phase.history[-1]["loss"] < phase.history[0]["loss"]


def test_a_loss_that_is_no_number_says_what_to_lower(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, head_epochs=1, thaw="none")
    one.setup.network.head.set_weights([np.full_like(value, np.nan) for value in one.setup.network.head.get_weights()])
    with pytest.raises(UserError, match="--head-lr"):
        run(one)
