"""The findings of `check`, as the command prints them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_transfer.commands.layout import NARROW, aligned, with_path, wrapped

if TYPE_CHECKING:
    from keras_transfer.data.inspection.findings import Finding
    from keras_transfer.studies.check.convert import Converted
    from keras_transfer.studies.check.findings import Findings
    from keras_transfer.studies.check.groups import Group

_MAX_FINDINGS = 8  # Of a kind, in the terminal.
_MAX_PATHS = 3  # Of a finding.


def text(findings: Findings, width: int = NARROW) -> str:
    """What `check` says."""
    splits = list(findings.splits)
    counts = f"{findings.source}: {findings.files:,} images, {len(findings.rejected):,} cannot be used"
    lines = [wrapped(counts, width)]
    if findings.understood:
        lines.append(wrapped(findings.understood, width))
    if findings.classes:
        rows = [("class", "images", *splits)]
        rows += [
            (name, str(count), *(str(findings.splits[split].get(name, 0)) for split in splits))
            for name, count in findings.classes.items()
        ]
        lines += ["", *aligned(rows, width, (0,))]
    if findings.targets:
        lines += ["", findings.targets_text]
    if findings.rejected:
        rejected = [f"{_short(findings, path)} {why}" for path, why in findings.rejected]
        lines += ["", "Cannot be used:", *_first(rejected, width)]
    lines += _by_kind(findings, width)
    if not findings.warnings:
        lines += ["", "Nothing is wrong with them."]
    low, middle, high = findings.sizes["short_side"]
    sizes = f"Short sides of {low:.0f} to {high:.0f} px, median {middle:.0f}: --size {findings.advised_size} advised."
    lines += ["", wrapped(sizes, width)]
    if findings.converted is not None:
        lines += _converted(findings, findings.converted, width)
    if findings.unchecked:
        lines.append(wrapped(findings.unchecked, width))
    return "\n".join(lines)


def _by_kind(findings: Findings, width: int) -> list[str]:
    """Return the findings on images that can be used, each group of images once, under its gravest finding."""
    from keras_transfer.data.inspection.findings import KINDS, UNREADABLE
    from keras_transfer.studies.check.findings import heading
    from keras_transfer.studies.check.groups import grouped

    groups, lines = grouped(findings.warnings), []
    for kind, count in findings.kinds.items():
        if kind == UNREADABLE:
            continue
        # Those that tell of more than the gravest finding come first, for few are shown.
        own = sorted((group for group in groups if group.finding.kind == kind), key=lambda group: not _more(group))
        lines += ["", wrapped(f"{heading(kind)} ({count:,}): {KINDS[kind]}", width, "  ")]
        lines += _first([_group(findings, group) for group in own], width)
        if rest := count - len(own):
            more = f"{rest:,} more" if own else f"{rest:,}"
            lines.append(f"  {more} {'is' if rest == 1 else 'are'} above, under a graver finding")
    return lines


def _converted(findings: Findings, copies: Converted, width: int) -> list[str]:
    count = f"Wrote {len(copies.written)} converted {'copy' if len(copies.written) == 1 else 'copies'}"
    written = with_path(f"{count} in ", copies.folder, width, ".") if copies.written else f"{count}."
    lines = ["", written]
    if copies.table:
        lines.append(wrapped(f"{copies.table} there is your table, as it names the copies.", width))
    elif copies.table is not None:
        lines.append(wrapped("Change the paths of these images in your table to those of the copies.", width))
    return lines + _first([f"{name} cannot be converted ({why})" for name, why in copies.refused], width)


def _short(findings: Findings, path: str) -> str:
    return os.path.relpath(path, findings.root)


def _names(findings: Findings, paths: Sequence[str]) -> str:
    names = ", ".join(_short(findings, path) for path in paths[:_MAX_PATHS])
    return f"{names} and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else names


def _more(group: Group) -> list[Finding]:
    """Return the lesser findings of a group that its gravest does not imply: pictures in two splits are alike in any
    case, but need have no wrong label.
    """
    from keras_transfer.studies.check.groups import DUPLICATES

    return [finding for finding in group.lesser if finding.kind not in (group.finding.kind, *DUPLICATES)]


def _group(findings: Findings, group: Group) -> str:
    """Return the gravest finding of a group, with what others say of its pictures, or of some of them."""
    names, more = _names(findings, group.finding.paths), _more(group)
    texts = [f"{names}: {group.finding.detail}" if names else group.finding.detail]
    for finding in more[:_MAX_PATHS]:
        same = set(finding.paths) == set(group.finding.paths)
        texts.append(finding.detail if same else f"{_names(findings, finding.paths)}: {finding.detail}")
    if len(more) > _MAX_PATHS:
        texts.append(f"and {len(more) - _MAX_PATHS} more findings")
    return "; ".join(texts)


def _first(lines: Sequence[str], width: int) -> list[str]:
    first = [wrapped(f"  {line}", width, "    ") for line in lines[:_MAX_FINDINGS]]
    if len(lines) > _MAX_FINDINGS:
        first.append(f"  and {len(lines) - _MAX_FINDINGS} more (--json and --csv list all)")
    return first
