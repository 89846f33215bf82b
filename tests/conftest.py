from __future__ import annotations

import os
import signal
import tarfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from PIL import Image

from keras_transfer.support import program

REPOSITORY = Path(__file__).parent.parent
# A script that tests in the background has Ctrl-C ignored, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
program.start_command_line()  # Messages are asserted as the command line has them.
COLOURS = {"blue": (30, 60, 200), "green": (40, 180, 60), "red": (210, 50, 40)}


# Folders and modules whose tests need no TensorFlow.
QUICK = ("recipe", "support", "tasks/test_linear.py", "tasks/test_reports.py", "training/test_penalty.py",
         "compute/test_open_files.py", "compute/test_shards.py", "compute/test_store.py",
         "data/inspection/test_copies.py", "data/test_splits.py", "data/sources/test_folders.py",
         "data/sources/test_csv_table.py", "data/sources/test_zipped.py", "test_docs.py")  # fmt: skip


def pytest_collection_modifyitems(items):
    folder = Path(__file__).parent
    for item in items:
        if item.path.relative_to(folder).as_posix().startswith(QUICK):
            item.add_marker(pytest.mark.quick)


def once(*values):
    """Parameters that show on more bases, files or options what others show: they run on the newest versions alone."""
    return [pytest.param(*((value,) if isinstance(value, str) else value), marks=pytest.mark.once) for value in values]


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep the activations and samples of the tests out of the user's cache."""
    if "KERAS_TRANSFER_CACHE" not in os.environ:
        os.environ["KERAS_TRANSFER_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "fresh-cache"))
    return tmp_path / "fresh-cache"


def draw(colour, seed, size=(40, 36)):
    """A noisy patch of a colour, which random features tell apart."""
    generator = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + generator.normal(0, 40, (size[1], size[0], 3)), 0, 255)
    return Image.fromarray(pixels.astype("uint8"))


def write_photos(folder, each=14, seed=0):
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            suffix = ("jpg", "png", "bmp")[index % 3]
            draw(colour, seed + number * 1000 + index).save(folder / name / f"{index:02d}.{suffix}")
    return folder


def prepared(data, progress=None, **options):
    """What a run on some data trains and tests on."""
    from keras_transfer.data import prepare
    from keras_transfer.recipe.recipe import Recipe
    from keras_transfer.support.progress import Progress

    recipe, progress = Recipe(data=str(data), **options), progress or Progress(quiet=True)
    return prepare.inspected(recipe, prepare.listing(recipe, progress), progress)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Three classes of fourteen pictures, as JPEG, PNG and BMP."""
    return write_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def shared_data():
    """Real photos and weights, where there are any beside the checkout."""
    folder = Path(os.environ.get("KERAS_TRANSFER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (KERAS_TRANSFER_TEST_DATA names another folder)")
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A feature extractor of three blocks, small enough to train in a second, whose random features tell colours
    apart.
    """
    import keras

    keras.utils.set_random_seed(7)
    x = inputs = keras.Input((24, 24, 3))
    for name, width in (("low", 8), ("middle", 12), ("high", 16)):
        x = keras.layers.Conv2D(width, 3, 2, "same", kernel_initializer="he_normal", name=f"{name}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
        x = keras.layers.ReLU(name=name)(x)
    file = tmp_path_factory.mktemp("bases") / "tiny.keras"
    keras.Model(inputs, x).save(file)
    return str(file)


@pytest.fixture(scope="session")
def version(photos, tiny_base, tmp_path_factory):
    """A version fitted on `photos`, and the result of that run."""
    import keras_transfer as kt

    folder = tmp_path_factory.mktemp("models") / "colours"
    recipe = kt.Recipe(
        base=tiny_base, data=str(photos), output=str(folder), thaw="middle_conv", fine_tune_epochs=2, views=1
    )
    return kt.fit(recipe, progress=kt.Progress(quiet=True))


@pytest.fixture(scope="session")
def classifier(version):
    """The version of `version`, loaded: to load it and to predict first take seconds each. No test changes it."""
    import keras_transfer as kt

    return kt.load(version.folder)


@pytest.fixture
def released(tmp_path):
    """The folder of a model whose version release 0.1.0 fitted on `photos`, before its graph gave an `error` for each
    file.
    """
    with tarfile.open(REPOSITORY / "tests" / "versions" / "version-0.1.0.tar.xz") as packed:
        packed.extractall(tmp_path / "colours")
    return tmp_path / "colours"
