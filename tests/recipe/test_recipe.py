import dataclasses
import inspect
import json
import pydoc
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError


def test_values_may_be_given_as_the_command_line_gives_them():
    recipe = Recipe(split="80/10/10", dense="256,128", size="64", head_lr="1e-2", patience="none", views="fresh")
    assert recipe.split == (80.0, 10.0, 10.0)
    assert recipe.dense == (256, 128)
    assert (Recipe(dense=256).dense, Recipe(dense="").dense, Recipe(dense=[8, "4"]).dense) == ((256,), (), (8, 4))
    assert (Recipe(checkpoint_every="50").checkpoint_every, Recipe(checkpoint_every="05m").checkpoint_every) == (
        50,
        "5m",
    )
    assert (recipe.size, recipe.head_lr, recipe.patience, recipe.views) == (64, 0.01, "none", "fresh")


def test_shares_may_be_parts_of_one():
    assert Recipe(split="0.8/0.1/0.1").shares == Recipe(split="80/10/10").shares
    assert Recipe(split="80/20").shares == Recipe(split="0.8/0.2").shares == (65.0, 15.0, 20.0)
    assert Recipe.from_json(Recipe(split="90/10").to_json()).shares == (80.0, 10.0, 10.0)


def test_columns_by_their_roles():
    assert Recipe(columns="path=ID, label=breed").column_roles == {"path": "id", "label": "breed"}
    assert Recipe().column_roles == {}


def test_training_from_scratch_is_recorded_as_random_weights():
    recipe = Recipe(method="scratch")
    assert recipe.weights == "random"
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_json_gives_the_recipe_back():
    recipe = Recipe(base="resnet50", dense="64", dropout=0.5, thaw="2", size=96)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_of_a_later_release_is_refused_and_of_an_earlier_one_read(tmp_path):
    earlier = {
        key: value for key, value in json.loads(Recipe(seed=5).to_json()).items() if key not in ("schema", "keep")
    }
    assert Recipe.from_json(json.dumps(earlier)) == Recipe(seed=5)
    with pytest.raises(UsageError, match=r"schema 99, and this release reads \d+ at most: update the program"):
        Recipe.from_json(json.dumps(earlier | {"schema": 99, "new_key": 1}))


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\x00"])
def test_what_is_no_recipe_is_refused_in_one_line(text, tmp_path):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UsageError, match="recipe") as caught:
        Recipe.from_json(tmp_path / "recipe.json")
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_named_with_the_nearest_known_one():
    with pytest.raises(UsageError, match=r"'bsae'.*'base'"):
        Recipe.from_json('{"bsae": "vgg16"}')


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pooling": "average"}, r"--pooling must be one of 'avg', 'max', 'flatten'\. Received: 'average'"),
        ({"resize": "sqash"}, "Did you mean 'squash'"),
        ({"split": "0.8/0.1/0.2"}, "--split must be positive shares that add up to 100"),
        ({"split": "100"}, "--split must be positive shares"),
        ({"columns": "paht=id"}, r"--columns must say .*Received: 'paht=id'\. Did you mean 'path'"),
        ({"columns": "label"}, "--columns must say"),
        ({"split": "70/20/20"}, "--split must be positive shares"),
        ({"split": "100/0/0"}, "--split must be positive shares"),
        ({"dense": "12,x"}, "--dense must be widths"),
        ({"dense": 0.5}, "--dense must be widths"),
        ({"dropout": 1.5}, "--dropout must be a number from 0 to 0.95"),
        ({"size": "large"}, "--size must be a whole number of at least 16 or"),
        ({"seed": "2.5"}, "--seed must be a whole number"),
        ({"head_lr": "nan"}, "--head-lr must be a number"),
        ({"views": "frehs"}, "Did you mean 'fresh'"),
        ({"data": ""}, "--data must not be empty"),
        ({"head_solver": "lbfgs", "dense": "8"}, "solves a linear head"),
        ({"method": "scratch", "weights": "w.h5"}, r"--method scratch starts from random weights.*Received: 'w\.h5'"),
        ({"checkpoint_every": "0m"}, r"--checkpoint-every must be steps, as 500, or minutes, as 5m\. Received: '0m'"),
        ({"checkpoint_every": "2h"}, "--checkpoint-every must be steps"),
        ({"head_solver": "lbfgs", "head_epochs": 5}, "--head-epochs trains the head by gradient"),
        (
            {"head_solver": "lbfgs", "head_lr": 0.1},
            "--head-lr trains the head by gradient; leave it out with --head-so",
        ),
        ({"l2": float("inf")}, "--l2 must be a number of at least 0"),
        ({"seed": 2**32}, "--seed must be a whole number from 0 to 4294967295"),
        ({"method": "frozen", "thaw": "3"}, r"--method frozen trains the head alone: leave --thaw out\. Received: '3'"),
        ({"method": "full", "thaw": "none"}, "--method full trains everything: leave --thaw out"),
        (
            {"method": "full", "fine_tune_epochs": 0},
            "--method full trains for --fine-tune-epochs: 0 would train nothing",
        ),
        ({"method": "frozen", "weight_decay": 0.1}, "--weight-decay is for fine-tuning, and nothing is fine-tuned"),
        ({"method": "frozen", "dense": "8", "label_smoothing": 0.1}, "--label-smoothing is for fine-tuning"),
        ({"thaw": "none", "l2_sp": 0.1}, "--l2-sp is for fine-tuning, and nothing is fine-tuned"),
        (
            {"method": "scratch", "l2_sp": 0.1},
            "--l2-sp keeps weights near those of the source, and random weights have",
        ),
        (
            {"thaw": "none", "head_solver": "lbfgs", "dropout": 0.1},
            "--dropout is for training by gradient, .*lbfgs solves",
        ),
        ({"method": "frozen", "head_solver": "lbfgs", "l2": 0.1}, "--l2 is for training by gradient"),
        ({"thaw": "none", "ema": 0.9}, "--ema averages over steps of training, and the head is solved without any"),
        ({"teacher": "big", "folds": 5}, "--teacher: it was trained on images that --folds tests on"),
        ({"teacher": "big", "method": "frozen"}, "--teacher needs a phase .* by gradient.*--method frozen"),
        ({"teacher": "big", "thaw": "0"}, "--teacher needs a phase .* by gradient.*--thaw none"),
        ({"teacher": "big", "fine_tune_epochs": 0}, "--teacher needs a phase .* by gradient.*--fine-tune-epochs 0"),
        ({"teacher": "big", "thaw": "none", "head_solver": "lbfgs"}, "--teacher needs a phase .* by gradient"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(changes, words):
    with pytest.raises(UsageError, match=words):
        Recipe(**changes)


@pytest.mark.parametrize("option", ["minutes", "ema", "l2", "dropout", "cache_limit", "label_smoothing", "head_lr"])
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers(option, value):
    name = option.replace("_", "-")
    with pytest.raises(UsageError, match=rf"^--{name} must be a number .*\. Received: {value}\."):
        Recipe(**{option: value})
    with pytest.raises(UsageError, match="--split must be positive shares"):
        Recipe(split=(98, True, True))


@pytest.mark.parametrize("option", ["thaw", "encoding", "group_by", "columns"])
@pytest.mark.parametrize("value", [None, True, ["a"], 2.5])
def test_what_is_no_text_is_refused(option, value):
    name = option.replace("_", "-")
    with pytest.raises(UsageError) as told:
        Recipe(**{option: value})
    assert told.value.args[0] == f"--{name} must be text. Received: {value!r}."


def test_blocks_may_be_counted_and_a_folder_be_a_path():
    assert (Recipe(thaw=3).thaw, Recipe(thaw=np.int64(0)).thaw) == ("3", "0")
    assert Recipe(tfds_dir=Path("sets")).tfds_dir == "sets"
    with pytest.raises(UsageError, match="--group-by must be text"):
        Recipe(group_by=3)
    with pytest.raises(UsageError, match="--tfds-dir must be a path"):
        Recipe(tfds_dir=None)


@pytest.mark.parametrize("option", ["size", "pooling"])
def test_an_array_is_no_value(option):
    with pytest.raises(UsageError, match=f"--{option} must be"):
        Recipe(**{option: np.zeros(2)})


def test_a_recipe_of_an_early_release_enlarges_as_that_did():
    written = json.loads(Recipe().to_json())
    assert Recipe.from_json(json.dumps(written)).enlarge == "auto"
    del written["enlarge"]
    assert Recipe.from_json(json.dumps(written)).enlarge == "bilinear"
    assert Recipe.from_json('{"base": "vgg16"}').enlarge == "auto", "it is by hand"


@pytest.mark.parametrize(
    "idle",
    [
        {"thaw": "none", "weight_decay": 0.1, "minutes": 5},
        {"thaw": "none", "head_solver": "lbfgs", "dropout": 0.2, "l2": 0.1, "ema": 0.9},
        {"method": "frozen", "thaw": "3"},
        {"method": "frozen", "dense": [8], "label_smoothing": 0.1},
        {"method": "full", "thaw": "none"},
        {"fine_tune_epochs": 0, "head_solver": "lbfgs", "teacher": "big"},
    ],
)
def test_what_did_nothing_in_a_recipe_of_an_early_release_is_left_out(idle):
    record = json.loads(Recipe(seed=3).to_json()) | idle
    recipe = Recipe.from_json(json.dumps(record))
    assert recipe.seed == 3
    assert Recipe.from_json(recipe.to_json()) == recipe
    del record["schema"]
    with pytest.raises(UsageError):
        Recipe.from_json(json.dumps(record))


@pytest.mark.parametrize(
    "options",
    [{}, {"method": "full"}, {"method": "scratch"}, {"method": "frozen", "dense": "8"}, {"thaw": "none", "l2": 1e-3},
     {"thaw": "none", "head_solver": "adam"}],
)  # fmt: skip
def test_a_teacher_may_teach_whatever_is_trained_by_gradient(options):
    recipe = Recipe(teacher="big", **options)
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("word", "hint"),
    [("bse", "Did you mean 'base'"), ("lr", "Did you mean 'head_lr' or 'fine_tune_lr'"), ("nothing_near", "")],
)
def test_unknown_keyword_gets_a_hint(word, hint):
    with pytest.raises(UsageError, match=f"No such option '{word}'.*{hint}"):
        Recipe(**{word: "x"})


def test_editors_see_the_fields():
    assert list(inspect.signature(Recipe).parameters) == [field.name for field in dataclasses.fields(Recipe)]


@pytest.mark.parametrize(
    "options",
    [{"method": "frozen", "thaw": "none"}, {"method": "full", "thaw": "all", "weight_decay": 0.1},
     {"method": "frozen", "ema": 0.9, "l2": 0.1}, {"weight_decay": 0.1, "ema": 0.9, "l2_sp": 0.1},
     {"head_solver": "lbfgs", "dropout": 0.1, "l2": 0.1}],
)  # fmt: skip
def test_options_that_do_something_are_taken(options):
    recipe = Recipe(**options)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_help_of_the_recipe_tells_of_every_option():
    text = " ".join(pydoc.plain(pydoc.render_doc(Recipe)).replace("|", "").split())
    for field in dataclasses.fields(Recipe):
        assert f" {field.name}: {field.metadata['help']}" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "frozen"}, "--method frozen has none"),
        ({"thaw": "none"}, "--thaw none has none"),
        ({"fine_tune_epochs": 0}, "--fine-tune-epochs 0 has none"),
        ({"folds": 4}, "--folds trains again"),
        ({"refit": "on"}, "--refit on trains again"),
    ],
)
def test_minutes_are_refused_where_they_would_end_nothing_or_not_all(options, words):
    Recipe(minutes=5, refit="head")
    with pytest.raises(UsageError, match=f"--minutes ends fine-tuning; {words}"):
        Recipe(minutes=5, **options)
