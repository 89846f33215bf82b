"""Findings on the same pictures, brought together, so that each picture is shown once: under the gravest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from keras_transfer.data.inspection.findings import Finding

DUPLICATES = ("duplicate", "near-duplicate")
# What follows from pictures being alike, or doubts their label; other findings are on something else.
_ALIKE = ("leak", "label-conflict", "suspicious-label", *DUPLICATES)


@dataclass(frozen=True)
class Group:
    """A finding, with those on the same pictures, or some of them, that are no graver.

    Attributes:
        finding: The gravest.
        lesser: The others, the gravest first.
    """

    finding: Finding
    lesser: list[Finding] = field(default_factory=list)


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """Return all findings, each in one group, by the gravest finding of a group.

    Args:
        findings: The gravest first.
    """
    groups: list[Group] = []
    by_path: dict[str, list[tuple[Group, set[str]]]] = {}
    kinds = list(dict.fromkeys(finding.kind for finding in findings))
    # Of a kind, the largest first: pictures that are equal may be part of those that hardly differ.
    for finding in sorted(findings, key=lambda finding: (kinds.index(finding.kind), -len(finding.paths))):
        if finding.kind not in _ALIKE:
            groups.append(Group(finding))
            continue
        paths = set(finding.paths)
        holding = (group for group, whole in by_path.get(finding.paths[0], ()) if paths <= whole)
        group = next(holding, None)
        if group is None:
            group = Group(finding)
            groups.append(group)
            for path in paths:
                by_path.setdefault(path, []).append((group, paths))
        else:
            group.lesser.append(finding)
    return groups
