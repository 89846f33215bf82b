"""From inspections to findings: what a person should look at, the gravest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, REGRESSION, SPLITS, UNASSIGNED, Examples
from keras_transfer.data.inspection import duplicates
from keras_transfer.data.inspection.inspector import Inspection
from keras_transfer.recipe.recipe import Recipe

_FEW = 10  # Images of a class, below which no split of it tells much.
_IMBALANCE = 5.0  # Largest class over smallest, from which on weights are advised.
_LOST, _SHARE = 0.5, 0.25  # Share of a picture that is cropped away, and share of the pictures that lose as much.
_MEASURED = 0.1  # Share of the targets' deviation by which two of one thing may differ: it was measured twice.
_FULL_BITS = 15  # Of 16; a set of pictures whose values need fewer was not scaled.

UNREADABLE = "unreadable"
# What the kind of a finding means, in the order in which they are shown.
KINDS = {
    "refused": "`fit` stops here",
    UNREADABLE: "cannot be used; `fit` leaves it out",
    "leak": "the same picture in two splits: the test would be on what was learned",
    "label-conflict": "the same picture under different labels",
    "suspicious-label": "a network trained on the other pictures takes it for something else",
    "duplicate": "files of equal bytes",
    "near-duplicate": "pictures that hardly differ, or copies that are mirrored, turned or cropped",
    "imbalance": "classes of very different sizes",
    "one-class": "a classifier needs two classes",
    "few": "classes with few images",
    "crop": "the centre crop hides much of many pictures",
    "dark-16-bit": "values of fewer than 16 bits, which are nearly black as 16 bits",
    "misnamed": "the extension is not the content",
    "near-constant": "nearly one colour",
    "tiny": "very small",
    "huge": "very large",
    "orientation": "stored turned",
    "animated": "several frames",
    "cmyk": "printing colours",
    "16-bit": "16 bits a channel",
    "alpha": "transparent parts",
    "palette": "palette colours",
}


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes:
        kind: One of `KINDS`.
        paths: The images it is about.
        detail: What is wrong, and what to do.
    """

    kind: str
    paths: list[str]
    detail: str


def findings(examples: Examples, inspections: Sequence[Inspection], recipe: Recipe) -> list[Finding]:
    """Return the findings on images that can be used, the gravest first.

    Args:
        examples: With digests.
        inspections: Of each of them.
        recipe: Gives what was chosen already, about which nothing need be advised.
    """
    listed = [
        *_alike(examples, inspections),
        *_balance(examples, recipe),
        *_cropped(inspections, recipe),
        *_dark(examples, inspections),
    ]
    for path, inspection in zip(examples.paths, inspections, strict=True):
        listed += [Finding(kind, [path], detail) for kind, detail in inspection.notes]
    return in_order(listed)


def in_order(listed: Sequence[Finding]) -> list[Finding]:
    """Return findings with the gravest first."""
    order = list(KINDS)
    return sorted(listed, key=lambda finding: order.index(finding.kind))


def near_links(inspections: Sequence[Inspection]) -> np.ndarray:
    """Return what links images that hardly differ, or of which one resembles a part of another, by positions, as
    `duplicates.near`.
    """
    rich = [index for index, seen in enumerate(inspections) if seen.comparable]
    if not rich:
        return np.zeros((0, 4), "int64")
    links = duplicates.near(duplicates.unpacked([inspections[index].hash for index in rich]))
    links[:, :2] = np.asarray(rich)[links[:, :2]]
    return duplicates.spanning(len(inspections), np.concatenate([links, _resembling(inspections)]))


def _resembling(inspections: Sequence[Inspection]) -> np.ndarray:
    positions = {seen.digest: index for index, seen in enumerate(inspections)}
    links = [
        (*sorted((index, positions[other])), bits, 1)
        for index, seen in enumerate(inspections)
        for other, bits in seen.resembles
        if other in positions
    ]
    return np.asarray(links, "int64").reshape(-1, 4)


def class_counts(examples: Examples) -> dict[str, int]:
    """Return the images of each class; nothing where there are no classes."""
    if examples.task == CLASSIFICATION:
        counts = Counter(examples.labels.tolist())
        return {name: counts[number] for number, name in enumerate(examples.classes)}
    if examples.task == MULTI_LABEL:
        return {name: int(count) for name, count in zip(examples.classes, examples.labels.sum(0), strict=True)}
    return {}


def _alike(examples: Examples, inspections: Sequence[Inspection]) -> list[Finding]:
    exact = duplicates.exact(examples.digests)
    listed = []
    for indices in _groups(exact):
        listed += _of_group(examples, indices, "duplicate", "equal byte for byte")
        listed += _conflict(examples, indices, "equal byte for byte")
    links = near_links(inspections)
    for indices, bits, changed in _linked(len(examples), links):
        if len(set(exact[indices])) > 1:
            change = "mirrored, turned or cropped, " if changed else ""
            listed += _of_group(examples, indices, "near-duplicate", f"{change}{_distance(bits)}")
    # Of a picture that is mirrored, turned or cropped, another label may be right.
    for indices, bits, _ in _linked(len(examples), links[links[:, 3] == 0]):
        if len(set(exact[indices])) > 1:
            listed += _conflict(examples, indices, _distance(bits))
    return listed


def _linked(count: int, links: np.ndarray) -> Iterator[tuple[list[int], int, bool]]:
    """Yield each group of images that are linked, the most bits of its links, and whether one is of a change."""
    groups = duplicates.components(count, links)
    bits, changed = np.zeros((2, count), "int64")
    np.maximum.at(bits, groups[links[:, 0]], links[:, 2])
    np.maximum.at(changed, groups[links[:, 0]], links[:, 3])
    for indices in _groups(groups):
        group = groups[indices[0]]
        yield indices, int(bits[group]), bool(changed[group])


def _distance(bits: int) -> str:
    return f"perceptual hashes at a distance of at most {bits} of 256 bits"


def _of_group(examples: Examples, indices: list[int], kind: str, how: str) -> list[Finding]:
    """Return the finding on a group of equal pictures, and that which follows from their splits."""
    paths = [examples.paths[index] for index in indices]
    listed = [Finding(kind, paths, f"{len(indices)} pictures: {how}")]
    splits = sorted({int(examples.splits[index]) for index in indices} - {UNASSIGNED})
    if len(splits) > 1:
        names = " and ".join(SPLITS[split] for split in splits)
        listed.append(Finding("leak", paths, f"in {names} ({how}): keep them in one split"))
    return listed


def _conflict(examples: Examples, indices: list[int], how: str) -> list[Finding]:
    """Return the finding on a group of equal pictures whose labels differ; numbers, by more than measuring makes."""
    if examples.task == REGRESSION:
        values = examples.labels[indices, 0]
        ends = [examples.label_text(indices[end]) for end in (values.argmin(), values.argmax())]
        differ = np.ptp(values) > _MEASURED * examples.labels.std()
        said = f"with the targets {' and '.join(ends)}"
    else:
        labels = list(dict.fromkeys(examples.label_text(index) for index in indices))  # In the order of the pictures.
        differ, said = len(labels) > 1, f"labelled {', '.join(map(repr, labels))}"
    paths = [examples.paths[index] for index in indices]
    return [Finding("label-conflict", paths, f"{said} ({how}): one is wrong")] if differ else []


def _balance(examples: Examples, recipe: Recipe) -> list[Finding]:
    counts = class_counts(examples)
    if not counts:
        return []
    if len(counts) == 1 and sum(counts.values()) == len(examples):
        name = next(iter(counts))
        return [Finding("one-class", [], f"all images are in one class, {name!r}: nothing to tell apart")]
    listed = []
    present = [name for name, count in counts.items() if count] or list(counts)
    largest, smallest = max(present, key=lambda name: counts[name]), min(present, key=lambda name: counts[name])
    if counts[largest] > _IMBALANCE * max(counts[smallest], 1) and recipe.class_weights == "none":
        single = examples.task == CLASSIFICATION
        advice = "--class-weights balanced makes both count" if single else "add images"
        listed.append(
            Finding(
                "imbalance",
                [],
                f"{counts[largest]} images of {largest!r}, {counts[smallest]} of {smallest!r}: {advice}",
            )
        )
    few = [name for name, count in counts.items() if count < _FEW]
    if few:
        detail = f"fewer than {_FEW} images of {', '.join(map(repr, few[:10]))}: add images, or leave the class out"
        listed.append(Finding("few", [], detail))
    return listed


def _cropped(inspections: Sequence[Inspection], recipe: Recipe) -> list[Finding]:
    sides = np.asarray([(seen.height, seen.width) for seen in inspections if seen.height and seen.width], "float64")
    if recipe.resize != "crop" or not len(sides):
        return []
    lost = 1 - sides.min(1) / sides.max(1)
    share = float((lost >= _LOST).mean())
    if share < _SHARE:
        return []
    detail = (
        f"--resize crop cuts away half or more of {share:.0%} of the pictures (the median picture loses "
        f"{np.median(lost):.0%} of its area): --resize squash or --resize pad shows them whole"
    )
    return [Finding("crop", [], detail)]


def _dark(examples: Examples, inspections: Sequence[Inspection]) -> list[Finding]:
    """Return one finding on all grey pictures of 16 bits, if their values fill fewer: scanners write 10 to 14."""
    deep = [index for index, seen in enumerate(inspections) if seen.peak]
    peak = max((inspections[index].peak for index in deep), default=0)
    if not 255 < peak < 2**_FULL_BITS:
        return []
    bits = peak.bit_length()
    detail = (
        f"{len(deep)} pictures of 16 bits hold values up to {peak:,} only ({bits} bits): of 256 grey levels "
        f"{peak // 256 + 1} are left. Multiply the values by {2 ** (16 - bits)} and write them again"
    )
    return [Finding("dark-16-bit", [examples.paths[index] for index in deep], detail)]


def _groups(ids: np.ndarray) -> list[list[int]]:
    """Return the positions of each id that occurs more than once."""
    order = np.argsort(ids, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1) if len(ids) else []
    return [part.tolist() for part in parts if len(part) > 1]
