from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.compute import device
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.training import head as heads
from keras_transfer.training import loop
from keras_transfer.training import trainer as module
from keras_transfer.training.phase import LAST, Phase, Solver
from keras_transfer.versions.phases import exported
from tests.conftest import once
from tests.training.trainers import fine_tune, run, served_loss, trainer

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


@pytest.mark.essential
def test_phase_two_never_ends_worse_than_phase_one(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=2, fine_tune_lr=30.0, batch_size=4)
    phases = run(one)
    assert phases[1].best_epoch == 0
    assert phases[1].validation["loss"] == pytest.approx(phases[0].validation["loss"], abs=1e-5)
    assert phases[1].details["reached"]["loss"] > phases[0].validation["loss"]
    assert served_loss(one) == pytest.approx(phases[0].validation["loss"], abs=1e-4)


def test_the_head_is_kept_where_fine_tuning_diverges(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, dense="8", fine_tune_epochs=3, fine_tune_lr=1e38, batch_size=4)
    head, tuned = run(one)
    assert (tuned.epochs, tuned.best_epoch) == (1, 0)
    assert served_loss(one) == pytest.approx(head.validation["loss"], abs=1e-5)  # It is calibrated once more.
    assert tuned.validation["loss"] == pytest.approx(served_loss(one), abs=1e-5)
    (line,) = exported([head.record(), tuned.record()])
    assert line == (
        "The loss of phase 'fine-tune' became NaN or infinite, so the network before it is kept. Lower --fine-tune-lr."
    )


@pytest.mark.parametrize("options", [{"dense": "8", "head_epochs": 2, "thaw": "none"}, {"method": "full"}])
def test_what_gradients_trained_is_calibrated(photos, tiny_base, monkeypatch, options):
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=1, **options)
    monkeypatch.setattr(one.setup.task, "temperature", lambda logits, targets: 2.0)
    (phase,) = run(one)
    assert phase.details["temperature"] == 2
    assert phase.validation["loss"] == pytest.approx(served_loss(one), abs=1e-5)
    assert phase.validation["loss"] != pytest.approx(phase.history[-1]["val_loss"], rel=0.01)


@pytest.mark.parametrize("dropped", [True, False])
def test_the_network_that_is_kept_is_calibrated_whichever_it_is(photos, tiny_base, monkeypatch, dropped):
    one = trainer(photos, base=tiny_base, size=24, dense="8", head_epochs=1, fine_tune_epochs=1)
    temperatures = iter([1.0, 2.0, 4.0])  # Of the head when it was trained, before and after.
    monkeypatch.setattr(one.setup.task, "temperature", lambda logits, targets: next(temperatures))
    monkeypatch.setattr(module, "worse", lambda before, after, allowed: (dropped, 0.1))
    _, tuned = run(one)
    assert tuned.details["temperature"] == (2 if dropped else 4)
    assert tuned.validation["loss"] == tuned.details["before" if dropped else "reached"]["loss"]
    assert tuned.validation["loss"] == pytest.approx(served_loss(one), abs=1e-5)
    assert one.exported.name == ("head" if dropped else "fine-tune")
    assert one.exported.validation == tuned.validation, "the scores of what is exported have its last temperature"


def test_fine_tuning_is_judged_by_how_much_classes_count(photos, tiny_base, monkeypatch):
    judged, recorded = [], []
    monkeypatch.setattr(module, "worse", lambda *losses: judged.append(losses[:2]) or (False, 0.1))
    counts = np.arange(6, dtype="float32")
    for weights in ("none", "balanced"):
        one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=1, class_weights=weights)
        assert len(one.setup.validation) == len(counts)
        real = one.setup.task.class_weights
        monkeypatch.setattr(
            one.setup.task, "class_weights", lambda targets, real=real: counts if len(targets) == 6 else real(targets)
        )
        _, tuned = run(one)
        recorded.append([tuned.details[key].get("weighted_loss") for key in ("before", "reached")])
    np.testing.assert_allclose(judged[1][0], judged[0][0] * counts, rtol=1e-3)
    assert recorded == [[None, None], [losses.mean() for losses in judged[1]]]


def test_epochs_are_chosen_by_how_much_classes_count(photos, tiny_base, monkeypatch):
    counts = np.arange(6, dtype="float32")
    options = {"method": "full", "patience": 3, "augment": "none", "precision": "float32", "refit": "off"}
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=1, class_weights="balanced", **options)
    monkeypatch.setattr(one.setup.task, "class_weights", lambda targets: np.resize(counts, len(targets)))
    (result,) = run(one)
    validation = one.setup.validation
    losses = one.setup.task.losses(
        one.logits(validation) * result.details["temperature"], one.setup.targets_of(validation)
    )
    assert result.history[0]["val_loss"] == pytest.approx(np.average(losses, weights=counts), rel=1e-3)
    assert result.history[0]["val_loss"] != pytest.approx(losses.mean(), rel=1e-3)


def test_both_ends_of_phase_two_are_judged_in_float32(photos, tiny_base):
    """Not in bfloat16, which tells other losses of the same weights."""
    options = {"precision": "bfloat16", "engine": "tensorflow", "fine_tune_epochs": 1, "fine_tune_lr": 1e-8}
    one = trainer(photos, base=tiny_base, size=24, **options)
    _, tuned = run(one)
    assert tuned.details["before"]["loss"] == pytest.approx(tuned.details["reached"]["loss"], rel=1e-5)
    assert tuned.best_epoch == 0, "what gains no more than rounding is not kept"
    trained = tuned.history[0]["val_loss"]
    assert abs(trained - tuned.details["before"]["loss"]) > 1e-6 * trained


@pytest.mark.parametrize(
    ("xla", "pays", "compiled"),
    [("off", 6, "nothing"), ("auto", 7, "nothing"), ("auto", 6, "training"), ("on", 7, "training and frozen part")],
)
def test_a_gpu_compiles_long_training_alone(photos, tiny_base, fresh_cache, monkeypatch, xla, pays, compiled):
    """Keras compiles all that it is not told to leave alone, if there is a GPU."""
    monkeypatch.setattr(device, "_gpu_capability", lambda: (7, 5))
    monkeypatch.setattr(device, "_XLA_PAYS", pays)
    made, function = [], tf.function

    def recorded(*args, **options):
        if "reduce_retracing" in options:  # A step of a model's; Keras has other functions in its layers.
            made.append(options.get("jit_compile", False))
        return function(*args, **options)

    one = trainer(photos, base=tiny_base, size=24, xla=xla, batch_size=10, fine_tune_epochs=2)
    assert len(one.setup.train) == 30
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [SimpleNamespace(device_type="GPU")])
    monkeypatch.setattr(tf, "function", recorded)
    one.feed("middle_conv")
    frozen = any(made)
    run(one)
    assert any(made) == (compiled != "nothing")
    assert frozen == (compiled == "training and frozen part")
    assert not one.feed("middle_conv")._in_float32.jit_compile, "what judges is not"


def test_everything_can_be_thawed_and_nothing(photos, tiny_base):
    whole = trainer(photos, base=tiny_base, size=24, thaw="all", fine_tune_epochs=1)
    phases = run(whole)
    assert phases[1].trainable_parameters == 2895
    assert [phase.name for phase in run(trainer(photos, base=tiny_base, size=24, thaw="none"))] == ["head"]


def test_a_trained_head_stops_early_and_keeps_its_best_epoch(photos, tiny_base, monkeypatch):
    one = trainer(
        photos, base=tiny_base, size=24, dense="16", dropout=0.2, head_epochs=30, head_lr=0.05, patience=2, thaw="none"
    )
    monkeypatch.setattr(one.setup.task, "temperature", lambda logits, targets: 1.0)
    (phase,) = run(one)
    assert phase.epochs < 30
    losses = [row["val_loss"] for row in phase.history]
    assert phase.best_epoch == int(np.argmin(losses)) + 1
    assert phase.validation["loss"] == pytest.approx(min(losses), rel=0.01)  # In float64; Keras's is of float32.


def test_the_solved_head_is_calibrated_by_its_held_out_logits(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, refit="head", thaw="none")
    head, refit = run(one)
    temperature = head.details["temperature"]
    assert temperature != pytest.approx(1.0, abs=1e-3)
    exported = one.setup.network.head.get_layer("logits").get_weights()[0]
    plain = heads.solve(one.feed("head"), one.setup.seen, Solver("newton-cg", refit.details["strength"]), "head")
    assert plain.validation == {}
    np.testing.assert_allclose(
        exported, one.setup.network.head.get_layer("logits").get_weights()[0] / temperature, rtol=1e-3, atol=1e-5
    )


def test_embeddings_too_large_for_memory_are_trained_on(photos, tiny_base, monkeypatch, capsys):
    monkeypatch.setattr(heads, "SOLVER_BYTES", 0)
    one = trainer(photos, Progress(), base=tiny_base, size=24, thaw="none", refit="on")
    phase, _ = run(one)
    assert "too large to solve" in capsys.readouterr().err
    assert one.recipe.head_solver == "adam"
    assert phase.history[-1]["loss"] < phase.history[0]["loss"]


def test_a_head_that_is_too_large_to_solve_has_the_patience_of_one_that_was_to_be_trained(
    photos, tiny_base, monkeypatch
):
    asked = trainer(photos, base=tiny_base, size=24, method="frozen", head_solver="adam")
    monkeypatch.setattr(heads, "SOLVER_BYTES", 0)
    one = trainer(photos, base=tiny_base, size=24, method="frozen")
    run(one)
    assert one.recipe.head_solver == "adam"
    assert one.recipe.patience == asked.recipe.patience == 3


def test_a_solved_head_heeds_how_much_classes_count(photos, tiny_base, monkeypatch):
    answers = {}
    for weights in ("none", "balanced"):
        one = trainer(photos, base=tiny_base, size=24, class_weights=weights)
        monkeypatch.setattr(one.setup.task, "class_weights", lambda targets: 0.01 + 10 * targets[:, 0])
        heads.solve(one.feed("head"), one.setup.train, Solver("newton-cg", 0.001), "head")
        answers[weights] = one.feed("head").logits(one.setup.train).argmax(1)
    assert (answers["none"] == 0).mean() < 0.5
    assert (answers["balanced"] == 0).all(), "the first class counts a thousand times as much"


def test_the_row_of_a_solved_head_has_the_loss_that_epochs_have(photos, tiny_base, monkeypatch):
    one = trainer(photos, base=tiny_base, size=24, class_weights="balanced")
    counts = np.arange(6, dtype="float32")
    monkeypatch.setattr(one.setup.task, "class_weights", lambda targets: np.resize(counts, len(targets)))
    result = heads.solve(one.feed("head"), one.setup.train, Solver("newton-cg", 0.1), "head")
    validation = one.setup.validation
    losses = one.setup.task.losses(one.feed("head").logits(validation), one.setup.targets_of(validation))
    assert result.history[0]["val_loss"] == pytest.approx(np.average(losses, weights=counts), rel=1e-3)
    assert result.validation["loss"] == pytest.approx(losses.mean(), rel=1e-3)
    assert result.validation["loss"] != pytest.approx(result.history[0]["val_loss"], rel=1e-3)


def test_a_loss_that_is_no_number_says_what_to_lower(photos, tiny_base):
    one = trainer(photos, base=tiny_base, size=24, head_epochs=1, thaw="none")
    one.setup.network.head.set_weights([np.full_like(value, np.nan) for value in one.setup.network.head.get_weights()])
    with pytest.raises(UserError, match="--head-lr"):
        run(one)


@pytest.mark.parametrize(
    ("losses", "falling"),
    [([0.9, 0.5, 0.4], True), ([0.9, 0.5, 0.499], False), ([0.3, 0.5, 0.4], False), ([0.4], False)],
)
def test_a_phase_whose_last_epoch_was_clearly_the_best_is_recorded_so(losses, falling, photos, tiny_base, monkeypatch):
    one = trainer(photos, base=tiny_base, size=24, fine_tune_epochs=1, fine_tune_lr=1e-8)
    trained = loop.train

    def with_losses(*arguments):
        return replace(trained(*arguments), history=[{"val_loss": loss} for loss in losses])

    monkeypatch.setattr(loop, "train", with_losses)
    assert run(one)[1].details["still_falling"] == falling
