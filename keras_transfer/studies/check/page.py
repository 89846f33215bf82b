"""The findings of `check` as an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection.findings import KINDS, UNREADABLE, Finding
from keras_transfer.studies import page
from keras_transfer.studies.check.report import Findings

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Decoder

_MAX_SHOWN = 60  # Findings of a kind with pictures; the others are in the JSON report.
_MAX_PICTURES = 6  # Of one finding.


def write(findings: Findings, examples: Examples, decoder: Decoder, file: Path) -> None:
    """Write the page.

    Args:
        findings: What to show.
        examples: Their images.
        decoder: To thumbnails.
        file: Appears whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    pictures = page.pictures(_shown(findings.warnings), examples, decoder, file.parent)
    of_kinds = (
        _section(kind, [finding for finding in findings.warnings if finding.kind == kind], examples, pictures)
        for kind in KINDS
        if kind != UNREADABLE
    )
    head = [_summary(findings), _classes(findings), _rejected(findings, examples)]
    page.write(file, f"Check of {findings.source}", [*head, *of_kinds])


def _summary(findings: Findings) -> str:
    links = [f"<a href='#{kind}'>{count} {_words(kind).lower()}</a>" for kind, count in findings.kinds.items()]
    low, middle, high = findings.sizes["short_side"]
    labels = "" if findings.labels_checked else " Labels were not checked: --base names a network to check them with."
    return (
        f"<p>{findings.files:,} images listed, {len(findings.rejected):,} cannot be used. "
        f"Found: {', '.join(links) or 'nothing is wrong'}."
        f"{labels}</p><p>Short sides of {low:.0f} to {high:.0f} px, half of them above {middle:.0f}; advised: "
        f"<code>--size {findings.advised_size}</code>.</p>"
    )


def _classes(findings: Findings) -> str:
    if not findings.classes:
        return ""
    largest = max(findings.classes.values()) or 1
    splits = list(findings.splits)
    head = "".join(f"<th class='n'>{name}</th>" for name in ["images", *splits])
    rows = [
        f"<tr><td>{html.escape(name)}</td><td class='n'>{count}</td>"
        + "".join(f"<td class='n'>{findings.splits[split].get(name, 0)}</td>" for split in splits)
        + f"<td><div class='bar' style='width:{round(260 * count / largest)}px'></div></td></tr>"
        for name, count in findings.classes.items()
    ]
    return f"<h2>Classes</h2><table><tr><th>class</th>{head}<th></th></tr>{''.join(rows)}</table>"


def _rejected(findings: Findings, examples: Examples) -> str:
    if not findings.rejected:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(examples.short(path))}</td><td>{html.escape(reason)}</td></tr>"
        for path, reason in findings.rejected
    )
    return f"<h2 id='{UNREADABLE}'>Cannot be used ({len(findings.rejected)})</h2><table>{rows}</table>"


def _section(kind: str, of_kind: Sequence[Finding], examples: Examples, pictures: dict[str, page.Picture]) -> str:
    if not of_kind:
        return ""
    shown = "".join(_finding(finding, examples, pictures) for finding in of_kind[:_MAX_SHOWN])
    more = f"<p>and {len(of_kind) - _MAX_SHOWN} more</p>" if len(of_kind) > _MAX_SHOWN else ""
    heading = f"<h2 id='{kind}'>{_words(kind)} ({len(of_kind)})</h2><p class='about'>{KINDS[kind]}</p>"
    return f"{heading}<div class='grid'>{shown}</div>{more}"


def _words(kind: str) -> str:
    return kind.replace("-", " ").capitalize()


def _finding(finding: Finding, examples: Examples, pictures: dict[str, page.Picture]) -> str:
    figures = "".join(page.figure(pictures.get(path), examples.short(path)) for path in finding.paths[:_MAX_PICTURES])
    more = f" (and {len(finding.paths) - _MAX_PICTURES} more)" if len(finding.paths) > _MAX_PICTURES else ""
    row = f"<div class='row'>{figures}</div>" if figures else ""
    return f"<div class='finding'>{row}<div class='detail'>{html.escape(finding.detail)}{more}</div></div>"


def _shown(warned: Iterable[Finding]) -> list[str]:
    """Return the names of the images that the page shows."""
    shown: dict[str, int] = {}
    names: dict[str, None] = {}
    for finding in warned:
        shown[finding.kind] = shown.get(finding.kind, 0) + 1
        if shown[finding.kind] <= _MAX_SHOWN:
            names |= dict.fromkeys(finding.paths[:_MAX_PICTURES])
    return list(names)
