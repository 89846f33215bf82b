from pathlib import Path

import pytest

from keras_transfer.commands import listings
from keras_transfer.network import imagenet
from keras_transfer.network.bases import bases
from keras_transfer.support.leftovers import Leftover
from keras_transfer.versions.folders import Version

LONG = "/home/somebody/projects/photos-of-flowers/" + "deeper/" * 10
HEADING = ["model", "test", "data", "base", "written", "MB", "weights"]


def listed(width, name="flowers-mobilenetv2", score="accuracy"):
    version = Version(f"saved_models/{name}", 3, "inceptionresnetv2", LONG + "w" * 30 + ".h5", (score, 0.9), 1, 0)
    return listings.models([version], ["photos"], width).splitlines()


@pytest.mark.parametrize(("width", "shown"), [(60, 3), (70, 4), (80, 5), (100, 6), (110, 7), (1000, 7)])
def test_models_leave_out_columns_before_names_are_shortened(width, shown):
    heading, line = listed(width)
    assert heading.split() == HEADING[:shown]
    assert max(len(heading), len(line)) <= width
    assert line.startswith("saved_models/flowers-mobilenetv2/3 ")
    assert " photos" in line
    assert LONG not in line
    assert line.endswith("w.h5") is (shown == 7)


def test_names_too_long_for_the_terminal_lose_their_middle():
    heading, line = listed(60, "flowers-" * 8)
    assert heading.split() == HEADING[:2]
    assert len(line) == 60
    assert "/3 " in line
    assert listed(1000, "flowers-" * 8)[1].startswith("saved_models/" + "flowers-" * 8 + "/3 ")


@pytest.mark.parametrize(
    ("score", "shown"), [("accuracy", "0.900"), ("mean_average_precision", "mAP 0.900"), ("r2", "r2 0.900")]
)
def test_models_name_a_score_that_is_no_accuracy(score, shown):
    assert f"mobilenetv2/3  {shown}  photos" in listed(80, score=score)[1]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_bases_fit_the_terminal_and_keep_accuracy_and_cost(width):
    page = listings.bases(bases(), width).splitlines()
    assert max(map(len, page)) <= width
    assert page[0].split()[:5] == ["base", "top-1", "MB", "px", "GFLOPs"]
    assert sum("start here" in line for line in page) == 3


def test_bases_say_what_a_heading_means():
    page = listings.bases(bases(), 200)
    assert " M params " in page.splitlines()[0]
    assert "M params: millions of parameters." in page.replace("\n", " ")


def test_where_there_are_no_models_the_list_says_what_makes_one():
    assert listings.models([], []) == "There are no models there: keras-transfer fit photos/ makes one."


def stored(**key):
    return {"key": key, "images": 5, "bytes": 2_000_000, "last_used": 0.0}


def test_cache_says_in_words_what_is_stored():
    keys = [("none", "plain"), ("block5", 2)]
    records = [stored(base="vgg16", boundary=boundary, size=224, view=view) for boundary, view in keys]
    heading, features, augmented, total = listings.cache([*records], []).splitlines()
    assert total == "4.0 MB in all."
    assert heading.split() == ["base", "activations", "px", "view", "images", "MB", "last", "used"]
    assert features.split()[:5] == ["vgg16", "features", "224", "original", "5"]
    assert " input of block5 " in augmented
    assert " augmented 2 " in augmented


def test_cache_lists_what_interrupted_runs_left():
    records = [stored(base="mobilenet", boundary="none", size=224, view="plain"), stored()]
    text = listings.cache(records, [Leftover(Path("saved_models/a/.writing-1"), 3_000_000, 0.0)])
    assert "saved_models/a/.writing-1  3.0" in text
    assert "cache --clear deletes them too" in text
    assert "left by" not in listings.cache(records, [])


def test_the_listing_fits_the_terminal_and_uses_its_room(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    file = imagenet.file("vgg16", 224)
    file.parent.mkdir()
    file.touch()
    narrow, wide = (listings.bases(bases(), width).splitlines() for width in (80, 160))
    assert max(map(len, narrow)) <= 80 < max(map(len, wide)) <= 160
    assert "blocks" not in narrow[0]
    assert "blocks" in wide[0]
    assert sum("start here" in line for line in narrow) == 3
    assert [line.split()[0] for line in narrow if "yes" in line] == ["vgg16"]
    assert next(line for line in narrow if line.startswith("vgg16")).split()[1:4] == ["71.3%", "59", "224"]
