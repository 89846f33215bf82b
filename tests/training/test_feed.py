import errno
import itertools
import shutil

import keras
import numpy as np
import pytest

from keras_transfer.compute import engine, features, shards, store
from keras_transfer.compute.store import ActivationSet
from keras_transfer.data import pipeline, verified
from keras_transfer.data.augment import View
from keras_transfer.network.graph import layers_within
from keras_transfer.support import files, progress
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.training.feed import Feed
from keras_transfer.training.phase import Phase, Solver
from tests.conftest import draw, write_photos
from tests.training.trainers import Elapsed, decoded, fine_tune, run, trainer


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
@pytest.mark.parametrize("embedding", [True, False])
def test_a_pass_says_where_it_ends(photos, tiny_base, fresh_cache, capsys, monkeypatch, embedding):
    """With the embedding, the whole base is computed."""
    monkeypatch.setattr(progress, "_WORTH_A_LINE", 0.0)
    setup = trainer(photos, Progress(), base=tiny_base, size=24, views=3).setup
    Feed(setup, setup.pretrained.spec.thawed("middle_conv"), 3, embedding).extract()
    told = capsys.readouterr().err.splitlines()
    below = "" if embedding else " below middle_conv"
    images = len(setup.seen), 2 * len(setup.seen if embedding else setup.train)
    for name, count in zip(("Features", "Augmented views"), images, strict=True):
        assert any(line.startswith(f"{name}{below}: {count} images, ") for line in told)


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


def test_no_view_is_begun_for_which_there_is_no_time(photos, tiny_base, fresh_cache, capsys):
    one = trainer(photos, Progress(), base=tiny_base, size=24, views=3, fine_tune_epochs=2, minutes=10)
    one.timer = Elapsed(599.99)  # Views may take a third of a hundredth of a second.
    results = run(one)
    assert capsys.readouterr().err.count("There is time for 1 of 3 views of each image.") == 1
    assert (one.recipe.views, one.computed) == (1, len(one.setup.seen))
    assert [phase.views for phase in one.phases] == [1, 1]
    assert results[-1].name == "fine-tune"
    assert results[-1].details["planned_epochs"] == 2


@pytest.mark.once
@pytest.mark.parametrize("refit", ["off", "on"])
def test_once_the_head_is_fitted_only_what_trains_is_computed(photos, tiny_base, fresh_cache, refit):
    """Neither the embedding, which costs the whole forward pass, nor views of images that only validate."""
    one = trainer(photos, base=tiny_base, size=24, refit=refit)
    one.run(Phase("head", "head", Solver("newton-cg")))
    before, seen = one.computed, one.setup.seen
    feed = one.feed("middle_conv", 2)
    assert [len(stored.specs()) for stored in feed.sets] == [1, 1]
    assert one.computed - before == len(seen) + len(seen if refit == "on" else one.setup.train)


@pytest.mark.once
def test_an_image_more_is_one_more_to_compute_of_each_view(tmp_path, tiny_base, fresh_cache):
    data, view, computed = write_photos(tmp_path / "data", 7), View(1, 0, True), []
    for _ in range(2):
        one = trainer(data, base=tiny_base, size=24)
        extractor = Feed(one.setup, None).extractor
        (stored,) = extractor.extract(one.setup.examples, one.setup.examples.digests, [view])
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
    (stored,) = feed.extractor.extract(examples, digests)
    actual = features.embeddings(stored, digests)
    np.testing.assert_allclose(actual, feed.cut.frozen(decoded(examples, feed))[-1], atol=1e-4)


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
            photos, base=tiny_base, size=24, views="fresh", augment=augment, fine_tune_epochs=1, fine_tune_lr=1e-4
        )
        losses.append(run(one)[1].history[0]["loss"])
    assert losses[0] != pytest.approx(losses[1], rel=0.01)


@pytest.mark.once
def test_without_room_the_frozen_part_runs_in_each_epoch_and_says_so(photos, tiny_base, fresh_cache, capsys):
    one = trainer(photos, Progress(), base=tiny_base, size=24, cache_limit=0.00005, fine_tune_epochs=1, views=4)
    run(one)
    warned = capsys.readouterr().err
    assert "--cache-limit is 5e-05 GB" in warned
    assert "computed anew in each epoch, on new views of each image" in " ".join(warned.split())
    assert not one.feed("middle_conv", 4).stored
    assert one.recipe.views == one.phases[-1].views == "fresh"


@pytest.mark.parametrize(
    ("views", "augment", "changes"), [(4, "default", True), (1, "default", False), (4, "none", False)]
)
def test_where_nothing_is_stored_views_are_new_in_each_epoch(photos, tiny_base, views, augment, changes):
    one = trainer(photos, base=tiny_base, size=24, augment=augment)
    feed, train = one.feed("all", views), one.setup.train
    assert not feed.stored

    def pixels(augmented):
        batches = feed.batches(train, pipeline.Sequential(len(train), 8), augmented=augmented)
        return np.concatenate([images for images, *_ in batches])

    changed = (pixels(True) != pixels(False)).any((1, 2, 3))
    assert changed.all() if changes else not changed.any()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stores_half_and_trains(photos, tiny_base, fresh_cache, precision):
    one = trainer(photos, base=tiny_base, size=24, precision=precision, engine="tensorflow", fine_tune_epochs=1)
    phases = run(one)
    assert [dtype.itemsize for _, dtype in one.feed("middle_conv").sets[0].specs()] == [2, 2]
    assert np.isfinite(phases[1].history[0]["loss"])
    # Gradients of float16 vanish below 6e-8, those of bfloat16 do not.
    scaled = isinstance(one.feed("middle_conv").trainable.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "float16")


def test_a_processor_convolves_channel_by_channel_in_float32(photos, fresh_cache):
    options = {"size": 32, "precision": "bfloat16", "engine": "tensorflow"}
    feed = trainer(photos, base="mobilenet", weights="random", **options).feed("block13")
    with feed.computing(feed.trainable):
        dtypes = {layer.name: layer.compute_dtype for layer in layers_within(feed.trainable)}
    assert (dtypes["conv_dw_13"], dtypes["conv_pw_13"], dtypes["logits"]) == ("float32", "bfloat16", "float32")


@pytest.mark.once
def test_views_that_are_computed_in_one_pass_are_those_of_one_each(photos, tiny_base, fresh_cache, monkeypatch):
    """Whatever is stored of some of them; and those before a failure stay."""
    setup = trainer(photos, base=tiny_base, size=24).setup
    digests, views = list(setup.examples.digests), [View(number, 0, True) for number in (1, 2, 3)]

    def extractor():
        return Feed(setup, None).extractor

    def embeddings(sets):
        return [features.embeddings(stored, digests) for stored in sets]

    singles = [extractor().extract(setup.examples, digests, [view])[0] for view in views]
    expected = embeddings(singles)
    for stored in singles[1:]:
        shutil.rmtree(stored.folder)
    extractor().extract(setup.examples.at(np.arange(5)), digests[:5], [views[1]])
    whole = extractor()
    for actual, right in zip(embeddings(whole.extract(setup.examples, digests, views)), expected, strict=True):
        np.testing.assert_array_equal(actual, right)
    assert whole.computed == 2 * len(digests) - 5
    for stored in whole.extract(setup.examples, digests, views):
        shutil.rmtree(stored.folder)
    monkeypatch.setattr(engine, "BATCH", 4)
    monkeypatch.setattr(verified, "images", limited(verified.images, 2 * len(digests) // 4 + 6))
    with pytest.raises(RuntimeError):
        extractor().extract(setup.examples, digests, views)
    assert [extractor().count_missing(digests, view) for view in views] == [0, 0, len(digests)]


def limited(images, batches):
    """Images that break off after so many batches."""

    def broken(*args):
        yield from itertools.islice(images(*args), batches)
        raise RuntimeError

    return broken
