"""What `check` finds in real photos, of which some were copied or got another label."""

import itertools
import random
import shutil

import pytest
from PIL import Image, ImageEnhance, ImageOps

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies.check.check import check
from keras_transfer.support.progress import Progress
from tests.studies.check.findings import kinds

pytestmark = pytest.mark.once
QUIET = Progress(quiet=True)
CHANGES = [
    lambda image: image.resize((image.width // 2, image.height // 2)),
    lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    ImageOps.mirror,
    lambda image: image.rotate(2, Image.BILINEAR),
    lambda image: image.rotate(90, expand=True),
    lambda image: image.rotate(10, Image.BILINEAR, fillcolor="white"),
    lambda image: image.crop((0, image.height // 7, image.width * 6 // 7, image.height)),
    lambda image: ImageOps.mirror(image.rotate(-8, Image.BILINEAR)),
]


def in_order(pairs):
    return {tuple(sorted(pair)) for pair in pairs}


def test_what_leaks_between_splits_is_found_and_nothing_else(shared_data, tmp_path):
    """Real photos, of which some stand in the other split too: made smaller, brighter, mirrored, turned, cropped."""
    generator = random.Random(0)
    files = sorted((shared_data / "flowers").glob("*/*.jpg"))
    picked = generator.sample(files, 150)
    train, test, copied = picked[:100], picked[100:], picked[:24]
    for split, chosen in (("train", train), ("test", test)):
        for name in {file.parent.name for file in files}:
            (tmp_path / split / name).mkdir(parents=True, exist_ok=True)
        for file in chosen:
            (tmp_path / split / file.parent.name / file.name).symlink_to(file)
    planted = set()
    for number, file in enumerate(copied):
        image = CHANGES[number % 8](Image.open(file).convert("RGB"))
        image.save(tmp_path / "test" / file.parent.name / f"copy{number}.jpg", quality=70)
        planted.add((f"copy{number}.jpg", file.name))
    report = check(Recipe(data=str(tmp_path)), progress=QUIET)
    pairs = {
        tuple(sorted(path.rsplit("/", 1)[-1] for path in one.paths)) for one in report.warnings if one.kind == "leak"
    }
    assert pairs == {tuple(sorted(pair)) for pair in planted}
    assert len(kinds(report, "near-duplicate")) == len(planted)
    assert not kinds(report, "duplicate")
    assert not report.rejected


def test_of_a_seeded_folder_nothing_is_missed_and_nothing_else_reported(shared_data, tmp_path):
    """Real photos of two things that a base tells apart; leaks, copies and wrong labels among them."""
    (weights,) = (shared_data / "weights").glob("mobilenet*.h5")
    generator = random.Random(0)
    photos = {
        "flower": sorted((shared_data / "flowers").glob("*/*.jpg")),
        "frog": sorted((shared_data / "cifar10" / "train" / "frog").glob("*.jpg")),
    }
    for split, name in itertools.product(("train", "test"), photos):
        (tmp_path / split / name).mkdir(parents=True)
    leaks, conflicts, wrong = set(), set(), set()
    for name, other in (("flower", "frog"), ("frog", "flower")):
        picked = generator.sample(photos[name], 120)
        for number, file in enumerate(picked):
            label = other if number in (20, 110) else name
            file_name = f"{name}-{number}.jpg"
            (tmp_path / ("train" if number < 90 else "test") / label / file_name).symlink_to(file)
            wrong |= {file_name} if label == other else set()
        for number in range(8):
            copy = tmp_path / "test" / name / f"leak-{name}-{number}.jpg"
            shutil.copy(picked[number], copy)
            if name == "flower":
                CHANGES[number](Image.open(copy).convert("RGB")).save(copy, quality=80)
            leaks.add((f"{name}-{number}.jpg", copy.name))
        copy = tmp_path / "train" / other / f"conflict-{name}.jpg"
        shutil.copy(picked[10], copy)
        conflicts.add((copy.name, f"{name}-10.jpg"))
        wrong.add(copy.name)

    recipe = Recipe(data=str(tmp_path), base="mobilenet", weights=str(weights))
    warnings = check(recipe, labels=True, progress=QUIET).warnings

    def named(*kinds):
        return {tuple(sorted(path.rsplit("/", 1)[-1] for path in one.paths)) for one in warnings if one.kind in kinds}

    assert named("leak") == in_order(leaks)
    assert named("label-conflict") == in_order(conflicts)
    assert named("duplicate", "near-duplicate") == in_order(leaks | conflicts)
    assert named("suspicious-label") == {(name,) for name in wrong}


def test_wrong_labels_among_real_photos(shared_data, tmp_path):
    """Labels that were changed are found; of the others, few are suspected."""
    (weights,) = (shared_data / "weights").glob("mobilenet*.h5")
    generator = random.Random(1)
    files = sorted((shared_data / "flowers").glob("*/*.jpg"))
    names = sorted({file.parent.name for file in files})
    wrong = set(generator.sample(files, 12))
    rows = ["path,label"]
    for file in files:
        label = file.parent.name
        if file in wrong:
            label = generator.choice([name for name in names if name != label])
        rows.append(f"{file},{label}")
    table = tmp_path / "flowers.csv"
    table.write_text("\n".join(rows))
    recipe = Recipe(data=str(table), base="mobilenet", weights=str(weights), allow_outside=True)
    report = check(recipe, labels=True, progress=QUIET)
    suspected = {one.paths[0] for one in report.warnings if one.kind == "suspicious-label"}
    assert len(suspected & {str(file) for file in wrong}) >= 8
    assert len(suspected - {str(file) for file in wrong}) <= 6
