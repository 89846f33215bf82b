import io
import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from keras_transfer import commands
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies.check.check import check
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from tests.command_line import run
from tests.conftest import draw, prepared, write_photos
from tests.data.decoding.files import exif
from tests.studies.check.findings import kinds

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A folder in which one of everything is wrong."""
    data = write_photos(tmp_path_factory.mktemp("data") / "photos", each=12)
    red, blue, green = (data / name for name in ("red", "blue", "green"))
    shutil.copy(red / "00.jpg", red / "twin.jpg")
    shutil.copy(red / "03.jpg", blue / "wrong.jpg")
    (green / "cut.jpg").write_bytes((green / "00.jpg").read_bytes()[:200])
    (green / "empty.png").touch()
    (green / "note.jpg").write_text("hello")
    shutil.copy(blue / "01.png", blue / "misnamed.jpg")
    (blue / "misnamed.jpg").write_bytes(png_of(blue / "04.png"))
    Image.new("RGB", (64, 64), (9, 9, 9)).save(green / "flat.png")
    Image.new("CMYK", (64, 64)).save(green / "press.jpg")
    Image.fromarray(np.random.default_rng(5).integers(0, 65536, (40, 40)).astype("uint16")).save(green / "deep.png")
    Image.open(red / "06.jpg").convert("RGBA").save(red / "clear.png")
    frames = [Image.open(red / f"{n:02d}.png").convert("P") for n in (1, 4)]
    frames[0].save(red / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(blue / "09.jpg").rotate(90, expand=True).save(blue / "turned.jpg", exif=exif)
    Image.new("RGB", (20, 90), (200, 9, 9)).save(red / "tiny.png")
    return data


def png_of(file):
    stream = io.BytesIO()
    ImageEnhance.Contrast(Image.open(file)).enhance(0.3).rotate(90).save(stream, "PNG")
    return stream.getvalue()


def test_numbers_are_told_by_least_median_and_largest_and_copies_of_other_numbers(photos, tmp_path, capsys):
    files = sorted(photos.rglob("*.png"))[:9]
    rows = [f"{file},{number / 4}" for number, file in enumerate(files)]
    shutil.copy(files[0], tmp_path / "copy.png")
    (tmp_path / "t.csv").write_text("\n".join(["path,target", *rows, "copy.png,2"]) + "\n")
    given = ("check", tmp_path / "t.csv", "--task", "regression", "--allow-outside", "--quiet")
    code, out, err = run(*given, "--fail-on", "label-conflict", "--html", tmp_path / "c.html", capsys=capsys)
    assert (code, err) == (1, f"Error: {tmp_path}/t.csv: 1 label-conflict (--fail-on).\n")
    assert "Targets of 0 to 2, median 1.125.\n" in out
    assert "copy.png: with the targets 0 and 2 (equal byte for byte): one is wrong" in " ".join(out.split())
    assert "Targets of 0 to 2, median 1.125." in (tmp_path / "c.html").read_text()
    _, out, _ = run(*given, "--json", capsys=capsys)
    assert json.loads(out)["targets"] == [0, 1.125, 2]


def test_everything_seeded_is_found(seeded):
    report = check(Recipe(data=str(seeded)), progress=QUIET)
    assert report.files == 36 + 13
    rejected = {path.rsplit("/", 1)[-1]: reason for path, reason in report.rejected}
    assert set(rejected) == {"cut.jpg", "empty.png", "note.jpg"}
    assert rejected["empty.png"] == "is empty"
    assert sorted(kinds(report, "duplicate")) == [["blue/wrong.jpg", "red/03.jpg"], ["red/00.jpg", "red/twin.jpg"]]
    assert kinds(report, "label-conflict") == [["blue/wrong.jpg", "red/03.jpg"]]
    near = sorted(kinds(report, "near-duplicate"))
    assert near == [
        ["blue/09.jpg", "blue/turned.jpg"],
        ["red/01.png", "red/moving.gif"],
        ["red/06.jpg", "red/clear.png"],
    ]
    assert kinds(report, "misnamed") == [["blue/misnamed.jpg"]]
    assert ["green/flat.png"] in kinds(report, "near-constant")
    assert kinds(report, "cmyk") == [["green/press.jpg"]]
    assert kinds(report, "16-bit") == [["green/deep.png"]]
    assert kinds(report, "alpha") == [["red/clear.png"]]
    assert kinds(report, "animated") == [["red/moving.gif"]]
    assert kinds(report, "orientation") == [["blue/turned.jpg"]]
    assert kinds(report, "tiny") == [["red/tiny.png"]]
    assert not kinds(report, "leak")
    assert report.classes == {"blue": 15, "green": 15, "red": 16}
    assert repr(report).startswith(f"<Findings {seeded}: 49 images, 3 cannot be used, 3 classes; ")
    assert "2 duplicate, " in repr(report)


@pytest.mark.once
def test_a_run_says_what_the_check_finds(seeded, tmp_path):
    """Of the same data, with every kind of fault, in splits of its own."""
    data = tmp_path / "data"
    shutil.copytree(seeded, data / "train")
    write_photos(data / "test", each=12, seed=50)
    shutil.copy(data / "train" / "red" / "04.png", data / "test" / "red" / "leak.png")
    ImageOps.mirror(Image.open(data / "train" / "blue" / "06.jpg")).save(data / "test" / "blue" / "mirrored.png")
    Image.fromarray(np.full((40, 40), 4000, "uint16")).save(data / "train" / "green" / "deep.png")
    for number in range(120):
        draw((9, 9, 9), number, (160, 40)).save(data / "train" / "green" / f"wide{number}.png")
    findings = check(Recipe(data=str(data)), progress=QUIET)
    run = prepared(data)
    leaks = kinds(findings, "leak")
    assert leaks == [["red/04.png", "red/leak.png"], ["blue/06.jpg", "blue/mirrored.png"]]
    left_out = {path for path, _ in run.rejected}
    assert left_out == {path for path, _ in findings.rejected} | {str(data / "test" / "red" / "leak.png")}
    assert {path for path, _ in findings.rejected} == {
        one.paths[0] for one in findings.warnings if one.kind == "unreadable"
    }
    told = "\n".join(run.warnings)
    assert "are alike, in train and test" in told or "are alike, in validation and test" in told
    assert "--group-duplicates" not in told  # The test split is given.
    for kind in ("label-conflict", "imbalance", "dark-16-bit", "crop"):
        # Of the picture that was left out, a share may be lacking: 83% and 82% are the same.
        details = [one.detail.partition("%")[0][:40] for one in findings.warnings if one.kind == kind]
        assert details, kind
        assert any(detail in told for detail in details), kind
    assert len(run.warnings) == 5


@pytest.mark.once
def test_what_a_run_would_refuse_is_found(tmp_path):
    data = write_photos(tmp_path / "data", each=3)
    for number in (1, 2):
        (data / "red" / f"{number:02d}.{('png', 'bmp')[number - 1]}").unlink()
    findings = check(Recipe(data=str(data)), progress=QUIET)
    with pytest.raises(UserError) as refusal:
        prepared(data)
    assert [one.detail for one in findings.warnings if one.kind == "refused"] == [str(refusal.value)]


def test_an_empty_class_folder_hides_nothing_else(tmp_path):
    data = write_photos(tmp_path / "data", each=12)
    (data / "yellow").mkdir()
    shutil.copy(data / "red" / "00.jpg", data / "red" / "twin.jpg")
    findings = check(Recipe(data=str(data)), progress=QUIET)
    assert findings.classes["yellow"] == 0
    assert kinds(findings, "duplicate") == [["red/00.jpg", "red/twin.jpg"]]
    (refused,) = [one.detail for one in findings.warnings if one.kind == "refused"]
    assert "class 'yellow' has no image" in refused


def test_the_command_prints_json_and_writes_a_page(seeded, tmp_path, capsys):
    page = tmp_path / "report.html"
    commands.main(["check", str(seeded), "--json", "--html", str(page)])
    report = json.loads(capsys.readouterr().out)
    assert {"files", "classes", "rejected", "warnings"} <= set(report)
    assert {"path", "reason"} == set(report["rejected"][0])
    assert {"kind", "paths", "detail"} == set(report["warnings"][0])
    text = page.read_text("utf-8")
    assert "Label conflict (1)</h2>" in text
    targets = set(re.findall("href='#([^']+)'", text))
    assert "label-conflict" in targets <= set(re.findall("id='([^']+)'", text))
    findings, _, samples = text.partition("<h2 id='pictures'>")
    assert findings.count("wrong.jpg</figcaption>") == 1, "under the graver of two findings"
    assert "1 of them above, under a graver finding: <a href='#label-conflict-1'>blue/wrong.jpg</a>" in text
    (link,) = re.findall("href='([^']*)' target='_blank'><img alt='blue/wrong.jpg'", findings)
    assert (page.parent / link).resolve() == (seeded / "blue" / "wrong.jpg").resolve()
    assert samples.count("<img") == 3 * 8
    assert text.count("data:image/jpeg;base64,") >= 10
    assert "http" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    commands.main(["check", str(seeded)])
    assert "Cannot be used:" in capsys.readouterr().out


def test_names_that_are_not_utf8_are_escaped_on_the_page(tmp_path, capsys):
    data = os.fsdecode(os.fsencode(tmp_path) + b"/jardin\xe9")
    for name in ("red", "blue"):
        os.makedirs(f"{data}/{name}")
        for number in range(4):
            draw((number * 60, 90, 30), number).save(f"{data}/{name}/{number}.png")
    shutil.copy(f"{data}/red/0.png", os.fsencode(f"{data}/red") + b"/copi\xe9.png")
    code, output, _ = run("check", data, "--html", tmp_path / "page.html", capsys=capsys)
    assert (code, "\\udce9: 9 images, 0 cannot be used" in output.replace("\n", " ")) == (0, True)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "jardin\\udce9</h1>" in text
    assert "<figcaption>red/copi\\xe9.png</figcaption>" in text
    assert [file.name for file in tmp_path.iterdir() if file.suffix] == ["page.html"]


@pytest.mark.once
def test_findings_of_the_kinds_that_are_named_fail_the_command(seeded, photos, capsys):
    with pytest.raises(SystemExit) as exit:
        commands.main(["check", str(seeded), "--json", "--fail-on", "leak,unreadable, label-conflict"])
    assert exit.value.code == 1
    captured = capsys.readouterr()
    kinds = [finding["kind"] for finding in json.loads(captured.out)["warnings"]]
    assert kinds.count("unreadable") == 3
    assert captured.err.endswith(f"Error: {seeded}: 3 unreadable, 1 label-conflict (--fail-on).\n")
    commands.main(["check", str(photos), "--fail-on", "leak,unreadable"])
    assert "\nNothing is wrong with them.\n" in capsys.readouterr().out


def test_labels_that_no_network_can_check_fail_the_command_that_asks_for_it(photos, tmp_path, capsys):
    rows = [f"{file},{'a;b' if number % 2 else 'b'}" for number, file in enumerate(sorted(photos.glob("*/*")))]
    (tmp_path / "t.csv").write_text("\n".join(["path,labels", *rows]))
    arguments = ["check", str(tmp_path / "t.csv"), "--allow-outside", "--base", "mobilenetv2"]
    with pytest.raises(SystemExit) as exit:
        commands.main([*arguments, "--fail-on", "suspicious-label"])
    assert exit.value.code == 1
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        told = " ".join(text.split())
        assert "Labels were not checked: that takes images of which each has one of several classes." in told
        assert "--base names" not in told


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (
            "leak,unreadible",
            r"--fail-on must be one or more of 'refused', 'unreadable', .*: 'unreadible'.*mean 'unreadable'",
        ),
        ("", "--fail-on must be one or more of"),
        ("suspicious-label", "--fail-on suspicious-label needs --base"),
    ],
)
def test_other_kinds_than_those_of_findings_are_refused(kinds, message, capsys):
    with pytest.raises(SystemExit) as exit:
        commands.main(["check", "photos/", "--fail-on", kinds])
    assert exit.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_folder_without_classes_is_looked_over_all_the_same(photos):
    report = check(Recipe(data=str(photos / "red")), progress=QUIET)
    assert report.files == 14
    assert [one.kind for one in report.warnings if one.kind == "one-class"] == ["one-class"]


def test_what_a_source_was_taken_for_is_shown_and_nothing_usable_is_an_error(tmp_path):
    data = write_photos(tmp_path / "data" / "around", each=3).parent
    assert check(Recipe(data=str(data)), progress=QUIET).understood.startswith("All folders are in around/. 3 classes")
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x\nb.jpg,y\n")
    with pytest.raises(UserError, match=r"no image can be used\. .*a\.jpg cannot be read"):
        check(Recipe(data=str(tmp_path / "t.csv")), progress=QUIET)


def test_what_the_centre_crop_hides_is_told(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(np.random.default_rng(number).integers(0, 256, (40, 160, 3)).astype("uint8")).save(
                tmp_path / name / f"{number}.png"
            )
    (told,) = [one for one in check(Recipe(data=str(tmp_path)), progress=QUIET).warnings if one.kind == "crop"]
    assert "half or more of 100% of the pictures (the median picture loses 75%" in told.detail
    assert "--resize squash" in told.detail


def test_values_of_twelve_bits_are_told_once_for_the_set(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            values = np.random.default_rng(number).integers(0, 4096, (40, 40)).astype("uint16")
            values[0, 0] = 4095
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    (told,) = [one for one in check(Recipe(data=str(tmp_path)), progress=QUIET).warnings if one.kind == "dark-16-bit"]
    assert len(told.paths) == 6
    assert "6 pictures of 16 bits hold values up to 4,095 only (12 bits)" in told.detail


def test_a_photo_is_said_to_be_turned_where_the_decoder_turns_it(tmp_path):
    (tmp_path / "a").mkdir()
    stream = io.BytesIO()
    draw((200, 40, 40), 1).save(stream, "JPEG")
    content = stream.getvalue()
    for name, block in (("turned", exif()), ("as-stored", exif(">", 1)), ("long", exif(">", 4))):
        (tmp_path / "a" / f"{name}.jpg").write_bytes(content[:2] + block + content[20:])
    told = kinds(check(Recipe(data=str(tmp_path)), progress=QUIET), "orientation")
    assert told == [["a/long.jpg"], ["a/turned.jpg"]]
