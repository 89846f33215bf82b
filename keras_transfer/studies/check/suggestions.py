"""What to do about each image with a finding, as a table for a spreadsheet: `check --csv`."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from keras_transfer.data.decoding import formats
from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection.findings import UNREADABLE, Finding
from keras_transfer.studies.check.findings import heading
from keras_transfer.studies.check.groups import Group
from keras_transfer.support.files import output_file

KEEP, DELETE, CONVERT, RENAME = "keep", "delete", "convert", "rename"
LOOK_AT_LABEL, LOOK_AT_PICTURE = "look at the label", "look at the picture"
LISTED_TWICE, READ_DETAIL, NOTHING = "listed twice", "read the detail", "nothing to do"
_COLUMNS = ("path", "problem", "suggestion", "same_picture_as", "detail")
_BY_KIND = {
    "suspicious-label": LOOK_AT_LABEL,
    "misnamed": RENAME,
    "near-constant": LOOK_AT_PICTURE,
    "tiny": LOOK_AT_PICTURE,
    **dict.fromkeys(("huge", "orientation", "animated", "cmyk", "16-bit", "alpha", "palette"), NOTHING),
}
_OF_LABELS = ("label-conflict", "suspicious-label")
_OF_NO_USE = (formats.EMPTY, formats.DAMAGED, formats.UNKNOWN)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # What spreadsheets may take the beginning of a formula for.


def write(groups: Sequence[Group], examples: Examples, file: Path) -> None:
    """Write `path,problem,suggestion,same_picture_as,detail`, one row a finding and image, the gravest first.

    Pictures with several findings because they are alike have the rows of the gravest. A finding on the images as a
    whole has an empty path.

    Args:
        groups: What to write.
        examples: Their images, with digests.
        file: Appears whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    with (
        output_file(file) as staging,
        staging.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out,
    ):
        writer = csv.writer(out)
        writer.writerow(_COLUMNS)
        for group, path, suggestion, same in _suggested(groups, examples):
            names = ["" if name is None else _cell(examples.short(name)) for name in (path, same)]
            writer.writerow((names[0], heading(group.finding.kind), suggestion, names[1], _detail(group, path)))


def _cell(name: str) -> str:
    """Return the name of an image as a cell that no spreadsheet computes: `./=1.jpg` is the same file as `=1.jpg`."""
    return f"./{name}" if name.startswith(_FORMULA) else name


def _detail(group: Group, path: str | None) -> str:
    """Return what was seen, with what else there is to say of the label of this very image."""
    doubts = [finding.detail for finding in group.lesser if finding.kind in _OF_LABELS and path in finding.paths]
    return "; ".join([group.finding.detail, *doubts])


def _suggested(groups: Iterable[Group], examples: Examples) -> Iterator[tuple[Group, str | None, str, str | None]]:
    """Yield group, path, suggestion and the path of the same picture; no path of a finding on the images as a whole."""
    indices = {path: index for index, path in enumerate(examples.paths)}
    for group in groups:
        finding = group.finding
        if not finding.paths:
            yield group, None, READ_DETAIL, None
        elif len(finding.paths) == 1 or finding.kind == "dark-16-bit":
            yield from ((group, path, _of_single(finding), None) for path in finding.paths)
        else:
            for path, suggestion, same in _of_alike(finding.paths, indices, examples):
                yield group, path, suggestion, same


def _of_single(finding: Finding) -> str:
    if finding.kind != UNREADABLE:
        return _BY_KIND.get(finding.kind, READ_DETAIL)
    if finding.detail in _OF_NO_USE:
        return DELETE
    return CONVERT if formats.CONVERT in finding.detail or "in the format" in finding.detail else READ_DETAIL


def _of_alike(
    paths: Sequence[str], indices: Mapping[str, int], examples: Examples
) -> Iterator[tuple[str, str, str | None]]:
    """Yield path, suggestion and the path of the same picture, of pictures that are alike.

    Under one label, the first is kept, in the order of splits, for that is the copy that a run keeps; but a file before
    a link, which shows nothing without its file.
    """
    distinct = list(dict.fromkeys(paths))
    labels = {path: examples.label_text(indices[path]) for path in distinct}
    if len(set(labels.values())) > 1:
        for path in distinct:
            yield path, LOOK_AT_LABEL, next(name for name in distinct if labels[name] != labels[path])
        return
    distinct.sort(key=lambda path: (os.path.islink(path), examples.splits[indices[path]]))
    originals: dict[bytes, str] = {}
    files: set[str] = set()
    for path in distinct:
        digest, file = examples.digests[indices[path]], os.path.realpath(path)
        original = originals.setdefault(digest, path)
        if len(distinct) == 1 or (file in files and not os.path.islink(path)):
            yield path, LISTED_TWICE, original
        elif original != path:
            yield path, DELETE, original
        elif path == distinct[0]:
            yield path, KEEP, None
        else:
            yield path, LOOK_AT_PICTURE, distinct[0]
        files.add(file)
