import io

import numpy as np
from PIL import Image

from keras_transfer.studies import plots

HEAD = {"phase": "head", "iterations": 10, "val_loss": 0.3, "val_accuracy": 0.9}
EPOCHS = [
    {"phase": "fine-tune", "epoch": number, "loss": 1 / number, "accuracy": 0.8, "val_loss": 0.5, "val_accuracy": 0.8}
    for number in (1, 2, 3)
]


def test_curves_are_drawn_of_what_was_trained_by_epochs_and_mark_the_one_that_was_kept():
    assert plots.curves([HEAD], "accuracy", {"head": 10}) is None
    drawn = [
        plots.curves(history, "accuracy", kept)
        for history, kept in [(EPOCHS, {}), (EPOCHS, {"fine-tune": 2}), ([HEAD, *EPOCHS], {}), (EPOCHS[:2], {})]
    ]
    pictures = [np.asarray(Image.open(io.BytesIO(png))) for png in drawn]
    assert all(picture.shape == pictures[0].shape for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_phases_without_validation_and_scores_without_names_of_their_own_are_drawn():
    refit = [{"phase": "refit", "epoch": number, "loss": 0.4, "accuracy": 0.9} for number in (1, 2)]
    assert plots.curves([*EPOCHS, *refit], "accuracy", {"fine-tune": 3})
    assert plots.curves(refit, "mean_average_precision", {})


def test_calibration_is_drawn_of_enough_images():
    generator = np.random.default_rng(0)
    confidences = generator.uniform(0.5, 1, 200)
    correct = generator.random(200) < confidences
    assert plots.calibration(confidences[:79], correct[:79]) is None
    good, bad = plots.calibration(confidences, correct), plots.calibration(confidences, ~correct)
    assert good.startswith(b"\x89PNG")
    assert good != bad
