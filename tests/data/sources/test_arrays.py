import io

import numpy as np
import pytest
from PIL import Image

from keras_transfer.data import sources
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.support.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), "uint8")


def test_rows_are_read_without_loss(tmp_path):
    np.savez(tmp_path / "d.npz", x=PIXELS, y=np.array([0, 1, 2, 0, 1, 2]), classes=np.array(["a", "b", "c"]))
    examples = sources.load(str(tmp_path / "d.npz"))
    assert examples.classes == ("a", "b", "c")
    for name, pixels in zip(examples.paths, PIXELS, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(examples.contents.read(name)))), pixels)


def test_the_layouts_of_keras_datasets_and_medmnist(tmp_path):
    grey = PIXELS[..., 0]
    np.savez(tmp_path / "k.npz", x_train=grey, y_train=np.arange(6) % 2, x_test=grey[:4], y_test=np.arange(4) % 2)
    np.savez(
        tmp_path / "m.npz", train_images=grey[..., None] / 255.0, train_labels=np.arange(6)[:, None] % 2,
        val_images=grey[:2] / 255.0, val_labels=np.arange(2),
        test_images=grey[:4] / 255.0, test_labels=np.arange(4) % 2,
    )  # fmt: skip
    for name, counts in (("k", [6, 0, 4]), ("m", [6, 2, 4])):
        examples = sources.load(str(tmp_path / f"{name}.npz"))
        assert examples.classes == ("0", "1")
        assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == counts
        content = examples.contents.read(examples.paths[0])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), grey[0])


@pytest.mark.parametrize("names", [("x_validation", "y_validation"), ("valid_images", "valid_labels")])
def test_a_split_may_be_called_by_any_word_that_folders_may(tmp_path, names):
    images, labels = names
    np.savez(
        tmp_path / "d.npz", x_train=PIXELS, y_train=np.arange(6) % 2,
        **{images: PIXELS[:3], labels: np.arange(3) % 2},
    )  # fmt: skip
    assert np.bincount(sources.load(str(tmp_path / "d.npz")).splits).tolist() == [6, 3]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("X_test", r"d\.npz: X_test has no y_test\. Leave X_test out, or add that\."),
        ("test_labels", r"d\.npz: test_labels has no test_images\."),
    ],
)
def test_an_array_of_a_split_that_is_not_read_is_refused(tmp_path, name, words):
    np.savez(tmp_path / "d.npz", x_train=PIXELS, y_train=np.arange(6) % 2, **{name: PIXELS})
    with pytest.raises(UserError, match=words):
        sources.load(str(tmp_path / "d.npz"))


@pytest.mark.parametrize("names", [("x_foo", "y_foo"), ("extra_images", "extra_labels")])
def test_images_and_labels_of_an_unknown_split_are_refused_and_other_arrays_passed_over(tmp_path, names):
    known = {"x_train": PIXELS, "y_train": np.arange(6) % 2}
    np.savez(tmp_path / "d.npz", **known, **dict.fromkeys(names, PIXELS))
    with pytest.raises(UserError, match=rf"d\.npz: {names[0]} is of no split that is known \(x_train, x_val, "):
        sources.load(str(tmp_path / "d.npz"))
    np.savez(tmp_path / "d.npz", **known, x_foo=PIXELS, fine_labels=np.arange(6), labels=["a", "b"])
    assert len(sources.load(str(tmp_path / "d.npz"))) == 6


def test_a_split_that_is_given_twice_is_refused(tmp_path):
    pixels = dict.fromkeys(("x_train", "train_images"), PIXELS)
    np.savez(tmp_path / "d.npz", **pixels, y_train=np.arange(6) % 2, train_labels=np.arange(6) % 2)
    with pytest.raises(UserError, match=r"train_images is of the same split as x_train\. Leave train_images out\.$"):
        sources.load(str(tmp_path / "d.npz"))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": PIXELS}, "needs arrays x and y.*It has a"),
        ({"x": PIXELS[0, 0], "y": np.zeros(9)}, r"x must be \[N, H, W, 3\] or \[N, H, W\]\. Received: \[7, 3\]"),
        ({"x": PIXELS, "y": np.arange(5)}, "y must have one label for each of 6 images"),
        ({"x": PIXELS - 300.0, "y": np.arange(6)}, "x must hold 0..255"),
        ({"x": PIXELS % 2, "y": np.arange(6)}, "x holds whole numbers of 0 and 1: give it as booleans, or as 0..2"),
        ({"x": PIXELS, "y": np.zeros(6)}, "every label is '0'"),
        ({"x": PIXELS[:0], "y": np.zeros(0)}, r"x holds no pixels: its shape is \[0, 9, 7, 3\]"),
        ({"x": PIXELS[:, :0], "y": np.arange(6)}, r"x holds no pixels: its shape is \[6, 0, 7, 3\]"),
        ({"x": PIXELS, "y": np.array([1e30, 0] * 3)}, r"y\[0\] is 1e\+30"),
        ({"x": PIXELS, "y": np.array(["a", "b"] * 3, object)}, r"np\.array\(labels, dtype=str\)"),
        ({"x": PIXELS, "y": np.arange(6) % 2, "classes": ["a", "a"]}, "two classes are named 'a'"),
        ({"arr_0": PIXELS, "arr_1": np.arange(6)}, r"np\.savez\('data\.npz', x=images, y=labels\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, arrays, words):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(UserError, match=words):
        sources.load(str(tmp_path / "d.npz"))


def test_booleans_are_black_and_white(tmp_path):
    np.savez(tmp_path / "d.npz", x=PIXELS > 127, y=np.arange(6) % 2)
    examples = sources.load(str(tmp_path / "d.npz"))
    pictures = [np.asarray(Image.open(io.BytesIO(examples.contents.read(path)))) for path in examples.paths]
    np.testing.assert_array_equal(pictures, np.where(PIXELS > 127, 255, 0))


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "d.npz").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"cannot be read as an \.npz file"):
        sources.load(str(tmp_path / "d.npz"))


def test_a_file_that_is_empty_damaged_or_one_array_is_named(tmp_path):
    file = tmp_path / "d.npz"
    file.touch()
    with pytest.raises(UserError, match=r"d\.npz cannot be read as an \.npz file of plain arrays \("):
        sources.load(str(file))
    np.savez_compressed(file, x=PIXELS, y=np.arange(6) % 2)
    whole = bytearray(file.read_bytes())
    whole[60:90] = b"\xff" * 30
    file.write_bytes(whole)
    with pytest.raises(UserError, match=r"d\.npz cannot be read as an \.npz file of plain arrays \("):
        sources.load(str(file))
    with file.open("wb") as stream:
        np.save(stream, PIXELS)
    with pytest.raises(UserError, match=r"d\.npz holds one array\. np\.savez\("):
        sources.load(str(file))


def test_names_that_are_whole_numbers_are_in_their_order(tmp_path):
    np.savez(tmp_path / "d.npz", x=PIXELS, y=np.array(["10", "9", "1", "10", "9", "1"]))
    examples = sources.load(str(tmp_path / "d.npz"))
    assert examples.classes == ("1", "9", "10")
    assert [examples.label_text(row) for row in range(3)] == ["10", "9", "1"]


def test_labels_may_be_one_hot_or_several(tmp_path):
    def load(**arrays):
        np.savez(tmp_path / "d.npz", x=PIXELS, **arrays)
        return sources.load(str(tmp_path / "d.npz"))

    one_hot = load(y=np.eye(3)[[0, 1, 2, 1, 0, 2]], classes=["red", "green", "blue"])
    assert (one_hot.classes, one_hot.labels.tolist()) == (("red", "green", "blue"), [0, 1, 2, 1, 0, 2])
    several = load(y=np.eye(3, dtype="uint8")[[0, 1, 2, 1, 0, 2]] | np.eye(3, dtype="uint8")[0])
    assert (several.task, several.classes) == ("multi-label", ("0", "1", "2"))
    assert several.labels.tolist()[:3] == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert load(y=np.asarray([-1, 1, 1, -1, 1, 1])).classes == ("-1", "1")
    assert load(y=np.asarray([0.0, 1, 1, 0, 1, 2])).classes == ("0", "1", "2")
    with pytest.raises(UserError, match=r"y\[1\] is 0.5"):
        load(y=np.asarray([0.0, 0.5, 1, 0, 1, 2]))
    with pytest.raises(UserError, match=r"x\[5\]: label 3 has no name among the 3 given"):
        load(y=np.asarray([0, 1, 1, 0, 1, 3]), classes=["red", "green", "blue"])


def test_arrays_that_are_not_needed_are_not_read(tmp_path):
    """One that cannot be read stands for one that would fill the memory."""
    np.savez(tmp_path / "d.npz", x=PIXELS, y=np.arange(6) % 2, embeddings=np.asarray([{}], dtype=object))
    assert len(sources.load(str(tmp_path / "d.npz"))) == 6


def test_names_of_arrays_may_be_in_capitals_and_labels_in_bytes(tmp_path):
    np.savez(tmp_path / "d.npz", X_train=PIXELS, Y_train=np.array([b"cat", "ros\u00e9".encode()] * 3))
    examples = sources.load(str(tmp_path / "d.npz"))
    assert examples.classes == ("cat", "ros\u00e9")
    assert examples.understood == "X_train, Y_train are read. 2 classes: cat, ros\u00e9."
    assert examples.contents.read(examples.paths[0]).startswith(b"\x89PNG")


def test_one_class_can_be_measured_but_not_trained_on(tmp_path):
    np.savez(tmp_path / "d.npz", x=PIXELS, y=np.ones(6, "int64"), classes=["cat", "dog"])
    assert sources.load(str(tmp_path / "d.npz"), purpose=Purpose.MEASURE).classes == ("dog",)
    with pytest.raises(UserError, match="at least two classes"):
        sources.load(str(tmp_path / "d.npz"))
