import io
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from PIL import Image

from keras_transfer.studies import plots
from keras_transfer.support.errors import UsageError

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


def test_predicted_numbers_are_drawn_however_few_and_equal():
    numbers = np.array([1.7e9, 1.7e9 + 500, 1.7e9 + 900])
    good, bad = plots.predicted(numbers, numbers), plots.predicted(numbers, numbers[::-1])
    assert good.startswith(b"\x89PNG")
    assert good != bad
    assert plots.predicted(numbers[:1], numbers[:1])


def test_a_plot_is_as_white_as_its_page_whatever_style_the_user_has():
    plain = plots.curves(EPOCHS, "accuracy", {})
    with matplotlib.rc_context({"axes.facecolor": "black", "figure.facecolor": "black", "text.usetex": True}):
        assert plots.curves(EPOCHS, "accuracy", {}) == plain
        assert matplotlib.rcParams["figure.facecolor"] == "black"


def test_without_matplotlib_a_plot_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="pip install matplotlib"):
        plots.curves(EPOCHS, "accuracy", {})


def test_a_command_imports_matplotlib_only_to_draw_and_says_nothing_of_a_home_folder_that_cannot_be_written(tmp_path):
    """Keras imports pyplot if it can; matplotlib makes a folder for its fonts elsewhere then, and logs so."""
    (tmp_path / "file").write_text("")
    code = (
        "import sys; from keras_transfer.support import logs, program; from keras_transfer.studies import plots\n"
        "program.start_command_line(); logs.import_tensorflow(); print('matplotlib' in sys.modules)\n"
        f"print(plots.curves({EPOCHS!r}, 'accuracy', {{}})[1:4])"
    )
    home = {"HOME": str(tmp_path / "file"), "MPLCONFIGDIR": str(tmp_path / "file" / "m"), "XDG_CACHE_HOME": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ | home, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "False\nb'PNG'\n"
