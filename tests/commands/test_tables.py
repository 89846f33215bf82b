import numpy as np
import pytest

from keras_transfer.commands import tables
from keras_transfer.recipe import choices
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.tasks.classification import Classification

LONG = "/home/somebody/projects/photos-of-flowers/" + "deeper/" * 10


def report(classes, images=20):
    labels = np.arange(images) % classes  # All answered right.
    return Classification().report(np.eye(classes, dtype="float32")[labels], labels) | {
        "rejected": [],
        "excluded_as_seen": 0,
    }


def run_metrics(classes):
    names = [f"class {number}" for number in range(classes)]
    phase = {
        "name": "head",
        "epochs": 11,
        "best_epoch": 11,
        "trainable_parameters": 5125,
        "seconds": 0.4,
        "validation": {"accuracy": 0.9, "loss": 0.1},
    }
    return {
        "base": "mobilenet",
        "weights": LONG + "weights.h5",
        "size": 224,
        "engine": "openvino",
        "precision": "float32",
        "seed": 0,
        "task": "classification",
        "data": {"source": "photos/", "classes": names, "train": 40, "validation": 20, "test": 20, "rejected": 0},
        "automatic": ["thaw"],
        "asked": {},
        "thawed": "none",
        "phases": [phase],
        "test": report(classes),
        "seconds": {"total": 20.0},
    }


def test_end_of_fit_names_files_and_next_commands():
    text = tables.run(run_metrics(3), Recipe(), "models/my photos/1", {})
    assert "Wrote models/my photos/1 in 20 s." in text
    assert "models/my photos/1/assets.extra/README.md" in text
    assert "  keras-transfer predict 'models/my photos' a.jpg\n" in text
    assert "  keras-transfer serve 'models/my photos' --embedded" in text
    assert "Warning" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if LONG not in line)


def test_end_of_fit_groups_the_digits_of_numbers_as_its_first_lines_do():
    metrics = run_metrics(3)
    metrics["data"] |= {"train": 1259, "validation": 269, "test": 269}
    refit = {"name": "refit", "images": 1528}
    metrics["phases"].append(metrics["phases"][0] | refit)
    text = " ".join(tables.run(metrics, Recipe(), "m/1", {}).split())
    assert "1,259 / 269 / 269 images" in text
    assert "on all 1,528 training" in text


def test_end_of_fit_says_that_features_were_stored():
    text = " ".join(tables.run(run_metrics(3) | {"engine": "cache"}, Recipe(), "m/1", {}).split())
    assert "224 px, features from the cache, float32" in text


def test_end_of_fit_breaks_no_path_that_fits_a_line():
    folder = "models/" + "x" * 48 + "/1"
    lines = tables.run(run_metrics(3), Recipe(), folder, {}).splitlines()
    assert f"Wrote {folder} in 20 s." in lines
    assert f"{folder}/assets.extra/README.md" in lines
    assert f"{folder}/assets.extra/ (metrics.json, history.csv, ...)" in lines
    wide = tables.run(run_metrics(3), Recipe(), folder, {}, 120).splitlines()
    assert f"Model card: {folder}/assets.extra/README.md" in wide


def test_end_of_fit_warns_of_classes_with_few_images():
    text = tables.run(run_metrics(3), Recipe(), "m/1", {"class 0": 3, "class 1": 30, "class 2": 30})
    assert "Warning: Fewer than 5 training images of class 0" in text


def folds(**scores):
    """What `metrics.json` has of two folds of these mean scores."""
    each = [{name: value + change for name, value in scores.items()} for change in (-0.1, 0.1)]
    return {"count": 2, "mean": scores, "standard_deviation": dict.fromkeys(scores, 0.141), "each": each}


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"accuracy": 0.8}, "accuracy 0.800"),
        ({"accuracy": 0.9, "mean_average_precision": 0.8}, "mean average precision 0.800"),
        ({"r2": 0.8}, "r2 0.800"),
    ],
)
def test_end_of_fit_has_the_score_of_the_folds(scores, words):
    text = " ".join(tables.run(run_metrics(3) | {"folds": folds(**scores)}, Recipe(), "m/1", {}).split())
    assert f"2 folds: test {words}, standard deviation 0.141 (0.700, 0.900)." in text


@pytest.mark.parametrize(
    ("thawed", "words"),
    [
        ("block16", "Fine-tuning: block16 and above."),
        ("all", "Fine-tuning: all blocks."),
        ("none", "As asked: --head-solver lbfgs --thaw 1 --fine-tune-epochs 3"),
    ],
)
def test_end_of_fit_says_in_words_what_was_fine_tuned(thawed, words):
    recipe = Recipe(
        thaw="1", head_solver="lbfgs", fine_tune_epochs=3, fine_tune_lr=1e-4, views=1, label_smoothing=0.1,
        batch_size=16, refit="head",
    )  # fmt: skip
    metrics = run_metrics(3) | {"thawed": thawed, "automatic": ["head_solver"], "asked": choices.asked(recipe)}
    assert words in " ".join(tables.run(metrics, recipe, "m/1", {}).split())


@pytest.mark.parametrize(
    ("best_epoch", "loss", "words"),
    [
        (
            0,
            0.2,
            "did not improve the validation loss (calibrated: 0.1000 before, 0.2000 after; accuracy 0.900, 0.850)",
        ),
        (0, 0.5, "0.5000 after; accuracy 0.900, 0.850), so the head is kept. Lower --fine-tune-lr."),
        (
            3,
            0.12,
            "loss rose (calibrated: 0.1000 before, 0.1200 after; accuracy 0.900, 0.850) by no more than chance",
        ),
        (3, 0.05, None),
    ],
)
def test_end_of_fit_says_why_fine_tuning_is_kept_or_not_where_the_loss_rose(best_epoch, loss, words):
    metrics = run_metrics(3)
    before, reached = {"accuracy": 0.9, "loss": 0.1}, {"epoch": 3, "accuracy": 0.85, "loss": loss}
    judged = {"before": before, "reached": reached, "chance": 0.03}
    metrics["phases"].append(metrics["phases"][0] | judged | {"name": "fine-tune", "best_epoch": best_epoch})
    text = " ".join(tables.run(metrics, Recipe(), "m/1", {}).split())
    assert words in text if words else "validation loss" not in text
    assert f"fine-tune 11 {best_epoch or 'none'} 5,125 0.4 0.850 {loss:.3f}" in text


@pytest.mark.parametrize(("classes", "shown"), [(5, False), (6, True)])
def test_top5_is_shown_above_five_classes(classes, shown):
    metrics = run_metrics(classes)
    assert ("top-5" in tables.run(metrics, Recipe(), "m/1", {})) is shown
    assert ("top-5" in tables.evaluation(metrics["test"], metrics, "photos/", {})) is shown
    assert "top5_accuracy" in metrics["test"]


def test_predictions_fit_80_columns():
    records = [
        {"path": LONG + "a.jpg", "label": "rose", "confidence": 0.98, "probabilities": {}},
        {"path": LONG + "b.jpg", "error": "cannot be decoded (damaged or truncated)"},
        {"path": "c.jpg", "label": "", "confidence": 0.2, "probabilities": {}},
    ]
    lines = tables.predictions(records, {}).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].endswith("a.jpg  rose    0.980")
    assert lines[2].endswith("b.jpg  -       -")
    assert "(none)" in lines[3]


def test_r2_of_a_single_image_is_undefined():
    report = {"images": 1, "rejected": [], "excluded_as_seen": 0, "root_mean_squared_error": 1.0}
    report |= {"mean_absolute_error": 1.0, "r2": float("nan"), "per_class": {}}
    assert "R2 undefined (1 images)." in tables.evaluation(report, {}, "photos", {})


def test_predicted_numbers_have_no_exponent():
    values = [float(np.float32(value)) for value in (1375179.4, 1.7e9, 0.0002)]
    text = tables.predictions([{"path": "a.jpg", "value": value} for value in values], {})
    assert [line.split()[1] for line in text.splitlines()] == ["value", "1375179.4", "1700000000", "0.0002"]
    test = {"mean_absolute_error": 123412.3, "root_mean_squared_error": 2e5, "r2": 0.5, "images": 20}
    report = test | {"rejected": [], "excluded_as_seen": 0}
    assert "Mean absolute error 123400, root mean squared error 200000, R2 0.500" in tables.evaluation(
        report, {}, "t", {}
    )


def test_what_losses_of_numbers_are_in_is_said_below_their_table():
    metrics = run_metrics(2)
    metrics["phases"][0]["validation"] = {"r2": 0.9, "loss": 0.1}
    assert "units of the variance" not in tables.run(metrics, Recipe(), "m/1", {})
    assert "units of the variance" in tables.run(metrics | {"task": "regression"}, Recipe(), "m/1", {})
