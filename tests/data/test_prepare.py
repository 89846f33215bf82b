import os
import re
import shutil

import numpy as np
import pytest

from keras_transfer.compute import store
from keras_transfer.data import prepare
from keras_transfer.data.contents import Files
from keras_transfer.data.decoding.decode import Thumbnail
from keras_transfer.data.inspection import decodable
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from tests.conftest import COLOURS, draw, prepared, write_photos
from tests.data.inspection.pictures import pictures


def names(pairs):
    return [path.rsplit("/", 1)[-1] for path, _ in pairs]


def test_what_cannot_be_decoded_is_left_out_and_listed(tmp_path):
    data = write_photos(tmp_path / "data")
    cut = data / "green" / "00.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    (data / "red" / "note.txt").write_text("hello")
    result = prepared(data)
    assert sorted(names(result.rejected)) == ["00.jpg", "note.txt"]
    assert len(result.examples) == 41 == len(result.examples.digests)
    assert not {path for path, _ in result.rejected} & set(result.examples.paths)
    assert (np.bincount(result.examples.splits) > 0).all()
    result.write_rejected(tmp_path / "rejected.csv")
    assert (tmp_path / "rejected.csv").read_text().splitlines()[0] == "path,reason"
    with pytest.raises(UserError, match=r"00\.jpg cannot be decoded.*without --strict"):
        prepared(data, strict=True)


def test_a_film_among_the_photos_is_not_read(tmp_path):
    with (tmp_path / "film.mov").open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(OSError, match="2,147,483,648 bytes are too many for an image"):
        Files().read(str(tmp_path / "film.mov"))


def test_more_than_a_tenth_stops_the_run(tmp_path):
    data = write_photos(tmp_path / "data")
    for number in range(6):
        (data / "red" / f"note{number}.txt").write_text("hello")
    with pytest.raises(UserError, match="6 of 48 images cannot be used, more than a tenth"):
        prepared(data)


@pytest.mark.parametrize("seed", range(4))
def test_exact_duplicates_stay_on_one_side(tmp_path, seed):
    data = write_photos(tmp_path / "data")
    for number in range(0, 12, 3):
        for copy in range(2):
            shutil.copy(data / "red" / f"{number:02d}.jpg", data / "red" / f"copy{number}-{copy}.jpg")
    result = prepared(data, seed=seed)
    sides = {}
    for digest, split in zip(result.examples.digests, result.examples.splits, strict=True):
        assert sides.setdefault(digest, split) == split
    assert len(result.examples) == 50


def test_near_duplicates_stay_on_one_side_where_asked(tmp_path):
    data = tmp_path / "data"
    for seed, name in enumerate(("a", "b")):
        (data / name).mkdir(parents=True)
        for number, original in enumerate(pictures(8, seed)):
            turned = original.rotate(90, expand=True), original.rotate(10)
            for copy, picture in enumerate((original, original.crop((20, 0, 192, 115)), *turned)):
                picture.save(data / name / f"{number}-{copy}.jpg", quality=85)
    result = prepared(data, group_duplicates=True)
    sides = {}
    for path, split in zip(result.examples.paths, result.examples.splits, strict=True):
        assert sides.setdefault(path.rsplit("-", 1)[0], split) == split
    assert set(result.examples.splits) == {0, 1, 2}
    assert not any("are alike" in warning for warning in result.warnings)
    plain = prepared(data)
    (warning,) = [warning for warning in plain.warnings if "are alike" in warning]
    assert re.match(r"a/\d-\d\.jpg and a/\d-\d\.jpg(, and 1 more,)? are alike, in ", warning)
    assert "keep them in one split (--group-duplicates does)." in warning
    apart = {}
    for path, split in zip(plain.examples.paths, plain.examples.splits, strict=True):
        apart.setdefault(path.rsplit("-", 1)[0], set()).add(split)
    assert max(map(len, apart.values())) > 1


def test_groups_beyond_the_first_are_counted(tmp_path):
    data = write_photos(tmp_path / "data", 8)
    for photo in sorted((data / "red").iterdir())[:2]:
        shutil.copy(photo, data / "blue" / f"copy-{photo.name}")
    (warning,) = [warning for warning in prepared(data).warnings if "one is wrong" in warning]
    assert warning.endswith("one is wrong. So is 1 more group of pictures; `check` lists them.")


def test_a_given_test_split_loses_what_training_has(tmp_path):
    data = tmp_path / "data"
    write_photos(data / "train", 8)
    write_photos(data / "test", 4, seed=50)
    shutil.copy(data / "train" / "red" / "00.jpg", data / "test" / "red" / "leak.jpg")
    result = prepared(data)
    ((path, why),) = result.rejected
    assert path.endswith("test/red/leak.jpg")
    assert "is in the train split too" in why or "is in the validation split too" in why
    assert len(result.examples.indices("test")) == 12


@pytest.mark.parametrize(("split", "verb"), [("validation", "validate"), ("test", "test")])
def test_a_given_split_that_has_only_copies_is_refused(tmp_path, split, verb):
    write_photos(tmp_path / "data" / "train", 8)
    shutil.copytree(tmp_path / "data" / "train", tmp_path / "data" / split)
    with pytest.raises(UserError, match=f"every image of its {split} split is in another .* none is left to {verb}"):
        prepared(tmp_path / "data")


@pytest.mark.parametrize("grouped", [False, True])
def test_the_copy_of_an_undecodable_image_in_another_split_is_left_out_with_it(tmp_path, grouped):
    data = tmp_path / "data"
    write_photos(data / "train", 8)
    write_photos(data / "test", 4, seed=50)
    cut = data / "train" / "red" / "00.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    shutil.copy(cut, data / "test" / "red" / "copy.jpg")
    shutil.copy(data / "train" / "blue" / "01.png", data / "test" / "blue" / "leak.png")
    result = prepared(data, group_duplicates=grouped)
    assert sorted(names(result.rejected)) == ["00.jpg", "copy.jpg", "leak.png"]
    assert len(result.examples) == 24 + 12 - 1 == len(result.examples.digests)


def test_a_class_without_a_picture_left_is_named(tmp_path):
    data = write_photos(tmp_path / "data", 20)
    shutil.rmtree(data / "red")
    (data / "red").mkdir()
    for name in "xyz":
        (data / "red" / f"{name}.jpg").write_text("hello")
    with pytest.raises(UserError, match="class 'red' has no image"):
        prepared(data)


def test_a_picture_that_a_table_names_twice_is_two_examples_of_one_group(tmp_path):
    data = write_photos(tmp_path / "data")
    lines = [f"{path.relative_to(data)},{path.parent.name}" for path in sorted(data.glob("*/*"))]
    cut = data / "green" / "00.jpg"
    cut.write_bytes(cut.read_bytes()[:200])
    (data / "table.csv").write_text("\n".join(["path,label", *lines, lines[-1]]))
    result = prepared(data / "table.csv")
    assert len(result.examples) == 42 == len(result.examples.digests)
    assert all(result.examples.digests)
    twice = [row for row, path in enumerate(result.examples.paths) if path == result.examples.paths[-1]]
    assert len(twice) == 2
    assert len({int(result.examples.splits[row]) for row in twice}) == 1


def test_what_was_decoded_once_is_believed_until_its_bytes_change(tmp_path, fresh_cache, monkeypatch):
    data = write_photos(tmp_path / "data")
    decoded = []
    decode = Thumbnail.__call__

    def counting(thumbnail, content):
        decoded.append(content)
        return decode(thumbnail, content)

    def count():
        done = len(decoded)
        decoded.clear()
        return done

    monkeypatch.setattr(Thumbnail, "__call__", counting)
    cut = data / "red" / "03.jpg"
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-50])
    assert names(prepared(data).rejected) == ["03.jpg"]
    assert count() == 42
    assert names(prepared(data).rejected) == ["03.jpg"]  # Bad ones are decoded again, for the reason.
    assert count() == 1
    cut.write_bytes(whole)
    assert not prepared(data).rejected
    assert count() == 1
    known_sizes = prepared(data).examples.sizes
    assert count() == 0
    prepared(data, group_duplicates=True)  # Looks at them closely.
    assert count() == 42
    store.clear()
    np.testing.assert_array_equal(prepared(data).examples.sizes, known_sizes)
    assert count() == 42


class Listener(Progress):
    """Keeps what is said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.mark.parametrize("seed", range(3))
def test_copies_by_name_stay_on_one_side_and_that_is_said(tmp_path, seed):
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for photo in range(6):
            for copy in range(3):
                draw(colour, sum(map(ord, name)) * 1000 + photo * 10 + copy).save(
                    tmp_path / name / f"{photo}_jpg.rf.{copy:08d}.png"
                )
    listener = Listener()
    result = prepared(tmp_path, listener, seed=seed)
    sides = {}
    for path, split in zip(result.examples.paths, result.examples.splits, strict=True):
        assert sides.setdefault(path.split("_jpg.rf")[0], split) == split
    assert set(result.examples.splits) == {0, 1, 2}
    assert any("54 images are copies of 18 photos by their names" in line for line in listener.lines)


def test_what_the_source_was_taken_for_is_said(photos):
    listener = Listener()
    prepared(photos, listener)
    assert listener.lines == ["3 classes: blue, green, red."]


def test_of_two_shares_a_part_of_the_first_validates_and_that_is_said(photos):
    listener = Listener()
    examples = prepared(photos, listener, split="80/20").examples
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [27, 6, 9]
    assert listener.lines[1] == (
        "--split has two shares, 80 to train and 20 to test: 15 of the 80 are for validation, by which the training is "
        "chosen."
    )


def test_imbalance_is_warned_of(tmp_path):
    data = write_photos(tmp_path / "data", 16)
    assert prepared(data).warnings == []
    for number in range(3, 16):
        next((data / "red").glob(f"{number:02d}.*")).unlink()
    (warning,) = prepared(data).warnings
    assert warning.startswith("16 images of 'blue', 3 of 'red': --class-weights balanced")
    assert prepared(data, class_weights="balanced").warnings == []


def test_names_that_are_not_utf8_are_decoded_and_written_escaped(tmp_path, fresh_cache):
    data = write_photos(tmp_path / "data")
    os.rename(data / "red" / "00.jpg", os.fsencode(data / "red") + b"/ros\xe9.jpg")
    with open(os.fsencode(data / "red") + b"/not\xe9.jpg", "w") as stream:
        stream.write("hello")
    result = prepared(data)
    assert len(result.examples) == 42
    result.examples.write_csv(tmp_path / "splits.csv")
    assert "red/ros\\xe9.jpg,red," in (tmp_path / "splits.csv").read_text("utf-8")
    result.write_rejected(tmp_path / "rejected.csv")
    assert "not\\xe9.jpg" in (tmp_path / "rejected.csv").read_text("utf-8")


def test_what_another_decoder_decoded_is_decoded_again(fresh_cache, monkeypatch):
    from keras_transfer.data.decoding import decode

    decodable.add(100, np.zeros(1, decodable.ROW))
    assert len(decodable.load(100)) == 1
    monkeypatch.setattr(decode, "REVISION", decode.REVISION + 1)
    assert not len(decodable.load(100))


def test_a_run_warns_of_what_the_crop_hides(tmp_path):
    for number, (name, colour) in enumerate(COLOURS.items()):
        (tmp_path / name).mkdir()
        for index in range(6):
            draw(colour, 10 * number + index, (160, 40)).save(tmp_path / name / f"{index}.png")
    (warning,) = [line for line in prepared(tmp_path).warnings if "--resize" in line]
    assert "cuts away half or more of 100% of the pictures" in warning
    assert not any("--resize" in line for line in prepared(tmp_path, resize="squash").warnings)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        ("path,dog|cat,bright\n{0},1,0\n{1},0,1\n{2},1,1\n", {"task": "multi-label"}, r"'dog\|cat' holds '\|'"),
        (
            "path,target\n{0},1.5\n{1},2.5\n{2},3.5\n",
            {"task": "regression", "label_smoothing": 0.1},
            "--label-smoothing is for classes",
        ),
    ],
)
def test_what_a_task_cannot_have_is_refused_before_any_work(photos, tmp_path, table, options, words):
    files = sorted(photos.glob("red/*"))
    (tmp_path / "a.csv").write_text(table.format(*files))
    with pytest.raises(UserError, match=words):
        prepare.listing(Recipe(data=str(tmp_path / "a.csv"), allow_outside=True, **options), Progress(quiet=True))
