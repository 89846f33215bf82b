import os
import shutil
import threading
from pathlib import Path

import pytest

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import leftovers
from keras_transfer.support.errors import Interruption, UsageError
from keras_transfer.versions import card, earlier, folders


def fill(folder):
    with folders.new_version(folder) as beside:
        (beside / "saved_model.pb").write_text("x")
        return folders.publish(beside)


def test_versions_are_numbered_and_the_newest_is_found(tmp_path):
    made = [fill(tmp_path / "name") for _ in range(11)]
    assert [path.name for path in made] == [str(number) for number in range(1, 12)]
    assert folders.newest(tmp_path / "name") == tmp_path / "name" / "11"
    assert folders.newest(tmp_path / "name" / "3") == tmp_path / "name" / "3"


@pytest.mark.parametrize("count", [1, 3])
def test_a_folder_of_models_in_place_of_one_lists_them(tmp_path, count):
    for number in range(count):
        fill(tmp_path / f"model{number}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as refusal:
        folders.newest(tmp_path)
    names = ", ".join(f"{tmp_path}/model{number}" for number in range(count))
    assert str(refusal.value) == f"{str(tmp_path)!r} holds models, and is none itself. Name one: {names}."


def test_a_mistyped_model_names_the_one_beside_it(tmp_path):
    fill(tmp_path / "flowers")
    with pytest.raises(UsageError, match=r"no such folder\. Did you mean 'flowers'\?"):
        folders.newest(tmp_path / "flower")
    with pytest.raises(UsageError, match=r"it has no version folder with a saved_model\.pb\."):
        folders.newest(tmp_path / "flowers" / "1" / "saved_model.pb")


def test_what_fails_leaves_nothing(tmp_path):
    def fail():
        with folders.new_version(tmp_path / "deep" / "name") as beside:
            (beside / "saved_model.pb").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_runs_that_finish_at_once_get_different_numbers(tmp_path):
    threads = [threading.Thread(target=fill, args=(tmp_path / "name",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.name) for path in (tmp_path / "name").iterdir()) == list(range(1, 9))


def test_models_are_listed_with_what_they_are(version, tmp_path):
    shutil.copytree(version.folder, tmp_path / "colours" / "2")
    shutil.copytree(version.folder, tmp_path / "colours" / "10")
    (tmp_path / "no-model").mkdir()
    listing = folders.listing(tmp_path)
    assert [(Path(entry.model).name, entry.version) for entry in listing] == [("colours", 2), ("colours", 10)]
    assert listing == folders.listing(tmp_path / "colours")
    assert listing[0].score == ("accuracy", version.metrics["test"]["accuracy"])
    assert listing[0].bytes > 10_000
    (tmp_path / "colours" / "2" / "assets.extra" / "metrics.json").write_text("{")
    damaged, whole = folders.listing(tmp_path)
    assert (damaged.base, whole) == ("?", listing[1])


def test_old_versions_go_and_what_is_no_version_stays(version, tmp_path):
    for number in (1, 2, 9, 10):
        shutil.copytree(version.folder, tmp_path / str(number))
    (tmp_path / "7").mkdir()
    assert [path.name for path in folders.prune(tmp_path, 2)] == ["1", "2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "7", "9"]
    assert folders.prune(tmp_path, 5) == []


@pytest.mark.parametrize("option", ["weights", "base", "teacher"])
def test_what_a_version_came_from_does_not_go(version, tmp_path, monkeypatch, option):
    for number in (1, 2, 3):
        shutil.copytree(version.folder, tmp_path / "m" / str(number))
    (tmp_path / "link").symlink_to(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    source = "link/1" if option == "teacher" else "link/1/assets.extra/model.keras"
    needed = earlier.versions(Recipe(**{option: source}))
    assert [path.name for path in folders.prune(Path("m"), 1, needed)] == ["2"]
    assert sorted(path.name for path in Path("m").iterdir()) == ["1", "3"]


def test_the_card_says_what_was_measured(version):
    card = (version.folder / "assets.extra" / "README.md").read_text("utf-8")
    test = version.metrics["test"]
    assert f"| accuracy | {test['accuracy']:.4g} ({test['accuracy_interval'][0]:.3f} to" in card
    assert "blue, green, red" in card
    assert "`splits.csv`" in card


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("regression", ["a number: price", "It gives a number for any picture"]),
        ("multi-label", ["1 class, none, one or several an image: price", "any of these answers, or none", "Wilson"]),
        ("classification", ["1 class: price", "one of these answers to any picture", "Wilson"]),
    ],
)
def test_the_card_is_of_the_models_task(version, task, words):
    data = {**version.metrics["data"], "classes": ["price"]}
    text = card.text({**version.metrics, "task": task, "data": data}, version.recipe, "m")
    assert all(word in text for word in words)
    assert ("Wilson" in text) == ("Wilson" in words)


def test_a_folder_named_by_a_digit_that_is_no_number_is_no_version(tmp_path):
    made = fill(tmp_path / "name")
    shutil.copytree(made, tmp_path / "name" / "²")
    assert folders.newest(tmp_path / "name") == made
    assert len(folders.listing(tmp_path)) == 1


def test_an_address_in_place_of_a_folder_names_the_command_for_it():
    with pytest.raises(UsageError, match=r"is an address.*request http://localhost:8501/v1/models/x"):
        folders.newest("http://localhost:8501/v1/models/x")


def test_records_hold_absolute_paths(photos, tiny_base, tmp_path, monkeypatch, fresh_cache):
    import keras_transfer as kt

    monkeypatch.chdir(photos.parent)
    recipe = kt.Recipe(base=tiny_base, data=photos.name, output=str(tmp_path / "m"), thaw="none", views=1)
    folder = kt.fit(recipe, progress=kt.Progress(quiet=True)).folder
    monkeypatch.chdir(tmp_path)
    model = kt.load(folder)
    assert model.recipe.data == model.metrics["data"]["source"] == str(photos)
    assert model.evaluate()["images"] == model.metrics["data"]["test"]
    assert f"`{photos.name}`" in (folder / "assets.extra" / "README.md").read_text("utf-8")


def test_the_card_names_files_without_the_folders_of_the_machine(version):
    from keras_transfer.versions import card

    recipe = version.recipe.replace(data="/home/somebody/photos")
    paths = {
        "/home/somebody/w.h5": "w.h5",
        "../bases/w.h5": "w.h5",
        "/home/somebody/saved_models/photos/3/assets.extra/model.keras": "photos/3/assets.extra/model.keras",
    }
    for weights, shown in paths.items():
        text = card.text(version.metrics | {"weights": weights}, recipe, "m")
        assert f"(weights: {shown})" in text
        assert f"That of `{shown}`, which the weights came from." in text
        assert "Source: `photos`" in text
        assert "somebody" not in text


def test_the_card_of_a_version_that_was_not_tested_says_so(version):
    from keras_transfer.versions import card

    text = card.text(version.metrics | {"test": {"images": 0, "rejected": []}}, version.recipe, "m")
    assert "Not tested: `evaluate` measures it." in text
    assert "through the exported graph" not in text


def test_names_of_classes_are_text_in_card_and_table(version):
    from keras_transfer.commands import tables
    from keras_transfer.versions import card

    names = ["<script>alert(1)</script>", "a|b`c", "[link](http://x)", "\x1b[31mred", "two\nlines"]
    metrics = version.metrics | {"data": version.metrics["data"] | {"classes": names}}
    written = card.text(metrics, version.recipe, "<b>m</b>")
    assert "<script>" not in written.replace("\\<", "")
    assert "# \\<b\\>m" in written
    assert "a\\|b\\`c, \\[link\\](http://x)" in written
    table = tables.predictions([{"path": "a\u202eb.jpg", "label": name, "confidence": 0.5} for name in names], {})
    assert "\x1b" not in table
    assert "?[31mred" in table
    assert len(table.splitlines()) == len(names) + 1


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_version_has_the_rights_that_the_umask_gives(tmp_path, fresh_cache, mask):
    before = os.umask(mask)
    try:
        with folders.new_version(tmp_path / "m") as staging:
            (staging / "saved_model.pb").write_text("")
            version = folders.publish(staging)
    finally:
        os.umask(before)
    assert version.stat().st_mode & 0o777 == 0o777 & ~mask
    assert (version / "saved_model.pb").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_version_that_fails_leaves_nothing_and_a_pruned_one_neither(tmp_path, fresh_cache):
    with pytest.raises(ZeroDivisionError), folders.new_version(tmp_path / "models" / "m"):
        1 / 0  # noqa: B018
    assert not (tmp_path / "models").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(Interruption, match="cannot be written to"), folders.new_version(tmp_path / "file" / "m"):
        pass
    for _ in range(3):
        with folders.new_version(tmp_path / "m") as staging:
            (staging / "saved_model.pb").write_text("")
            folders.publish(staging)
    assert [path.name for path in folders.prune(tmp_path / "m", 1)] == ["1", "2"]
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["3"]
    assert leftovers.leftovers() == []


def test_a_folder_that_is_called_like_weights_is_not_taken_for_an_earlier_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("imagenet", "random"):
        (tmp_path / name).mkdir()
        recipe = Recipe(weights=name)
        assert folders.with_weights_file(recipe) is recipe
