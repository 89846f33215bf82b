from pathlib import Path

import pytest

from keras_transfer.commands import layout
from keras_transfer.commands.findings import text
from keras_transfer.data.inspection.findings import Finding
from keras_transfer.studies.check.convert import Converted
from keras_transfer.studies.check.findings import Findings


@pytest.mark.parametrize("width", [60, 80, 200, layout.UNLIMITED])
def test_check_breaks_no_path_without_blanks(width):
    source = "photos-of-a-long-summer-by-the-sea,in-the-far-north"
    names = [f"{source}/grey-seal/picture-number-{number}(copy-of-the-first).jpg" for number in range(3)]
    fourth = f"{source}/grey-seal/the-last-picture(copy-of-all-the-others).jpg"
    refused = f"{source}: 1 of 3 images cannot be used, more than a tenth: {names[2]} cannot be decoded. Replace it."
    findings = Findings(
        source, Path(source), 3, {"grey seal": 2}, {}, [(names[2], "cannot be decoded (damaged or truncated)")],
        [
            Finding("refused", [], refused),
            Finding("leak", [*names, fourth], "in train and test: keep them in one split"),
            Finding("suspicious-label", [fourth], "taken for something else"),
        ],
        {"short_side": [1, 2, 3], "aspect": [1, 1, 1]}, 96, False,
        converted=Converted(f"{source} as they should be, all of them JPEG", names[:1], [(names[2], "cut off")]),
    )  # fmt: skip
    lines = text(findings, width).splitlines()
    short = [name.removeprefix(source + "/") for name in [*names, fourth]]
    assert lines[0].startswith(f"{source}:")
    unbroken = (source, *names[2:], *short, findings.converted.folder)
    for name in unbroken:
        assert any(name in line for line in lines), name
    assert all(len(line) <= width for line in lines if not any(name in line for name in unbroken))


def test_images_stand_once_under_their_gravest_finding():
    pair = ["photos/train/cat/1.jpg", "photos/test/cat/1.jpg"]
    sizes = {"short_side": [1, 2, 3], "aspect": [1, 1, 1]}
    listed = [
        Finding("leak", pair, "equal byte for byte"),
        Finding("duplicate", pair, "2 pictures: equal byte for byte"),
        Finding("duplicate", ["photos/train/cat/2.jpg", "photos/train/cat/3.jpg"], "2 pictures: equal byte for byte"),
    ]
    findings = Findings("photos", Path("photos"), 4, {"cat": 4}, {}, [], listed, sizes, 96, True)
    lines = text(findings).splitlines()
    assert sum("test/cat/1.jpg" in line for line in lines) == 1
    assert lines[lines.index("  1 more is above, under a graver finding") - 1].endswith("equal byte for byte")
    assert any(line.startswith("Duplicate (2): ") for line in lines)


def test_what_doubts_a_label_is_told_with_the_graver_finding_on_the_same_picture():
    sizes = {"short_side": [1, 2, 3], "aspect": [1, 1, 1]}
    pairs = [[f"photos/train/cat/{number}.jpg", f"photos/test/dog/{number}.jpg"] for number in range(12)]
    listed = [
        *(Finding("leak", pair, "in train and test: keep them in one split") for pair in pairs),
        Finding("label-conflict", pairs[10], "labelled 'cat', 'dog': one is wrong"),
        Finding("suspicious-label", pairs[11][:1], "labelled 'cat', looks like 'cow' (0.98)"),
        *(Finding("duplicate", pair, "2 pictures: equal byte for byte") for pair in pairs),
    ]
    findings = Findings("photos", Path("photos"), 24, {"cat": 12, "dog": 12}, {}, [], listed, sizes, 96, True)
    told, leak = " ".join(text(findings).split()), "in train and test: keep them in one split"
    assert (
        f"what was learned train/cat/10.jpg, test/dog/10.jpg: {leak}; labelled 'cat', 'dog': one is wrong "
        f"train/cat/11.jpg, test/dog/11.jpg: {leak}; train/cat/11.jpg: labelled 'cat', looks like 'cow' (0.98) "
        f"train/cat/0.jpg, test/dog/0.jpg: {leak} train/"
    ) in told
    assert " and 4 more (--json and --csv list all)" in told
    assert told.count(" 1 is above, under a graver finding") == 2
