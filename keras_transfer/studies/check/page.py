"""The findings of `check` as an HTML page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.contents import Files
from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection.findings import KINDS, UNREADABLE
from keras_transfer.studies import page
from keras_transfer.studies.check import montage
from keras_transfer.studies.check.findings import Findings, heading
from keras_transfer.studies.check.groups import Group

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Decoder

_MAX_SHOWN = 60  # Findings of a kind with pictures; the others are in the CSV table and the JSON report.
_MAX_PICTURES = 6  # Of one finding.
_MAX_ROWS = 200  # Of a table.
_MAX_REFERENCES = 12
_MAX_NAMES = 3  # In a line of text.


def write(
    findings: Findings, groups: Sequence[Group], examples: Examples, decoder: Decoder, file: Path, seed: int
) -> None:
    """Write the page.

    Args:
        findings: What to show.
        groups: Its findings, each in one group.
        examples: Their images.
        decoder: To thumbnails.
        file: Appears whole or not at all.
        seed: Of the pictures that are drawn of each class.

    Raises:
        UserError: it cannot be written.
    """
    # The place of each finding that has pictures: the name of its group within the page.
    names = {id(group): name for kind in KINDS for name, group in _named(kind, groups)}
    shown = [path for group in groups if id(group) in names for path in group.finding.paths[:_MAX_PICTURES]]
    pictures = page.pictures(dict.fromkeys(shown), examples, decoder, file.parent)
    rejected = {path for path, _ in findings.rejected}
    usable = examples.at(np.flatnonzero([path not in rejected for path in examples.paths]))
    classes = [_classes(findings), montage.section(usable, decoder, file.parent, seed)]
    parts = [
        _summary(findings),
        "<p><a href='#classes'>Classes</a> and <a href='#pictures'>pictures of each</a>.</p>" * all(classes),
        "<p class='about'>A picture leads to its file.</p>" * isinstance(examples.contents, Files),
        _rejected(findings, examples),
        *(_section(kind, groups, names, examples, pictures) for kind in findings.kinds if kind != UNREADABLE),
        *classes,
    ]
    page.write(file, f"Check of {findings.source}", parts)


def _named(kind: str, groups: Iterable[Group]) -> list[tuple[str, Group]]:
    """Return those groups of a kind that are shown, each with its name within the page."""
    of_kind = [group for group in groups if group.finding.kind == kind and kind != UNREADABLE]
    return [(f"{kind}-{number}", group) for number, group in enumerate(of_kind[:_MAX_SHOWN], 1)]


def _summary(findings: Findings) -> str:
    rows = "".join(
        f"<tr><td class='n'>{count:,}</td><td><a href='#{kind}'>{heading(kind)}</a></td><td>{_meaning(kind)}</td></tr>"
        for kind, count in findings.kinds.items()
    )
    low, middle, high = findings.sizes["short_side"]
    labels = f" {findings.unchecked}".rstrip()
    listed = (
        f"<table>{rows}</table><p><code>check --csv FILE</code> lists each image with what to do about it.</p>"
        if rows
        else "<p>Nothing is wrong with them.</p>"
    )
    return (
        f"<p>{findings.files:,} images listed, {len(findings.rejected):,} cannot be used.{labels}</p>{listed}"
        f"<p>Short sides of {low:.0f} to {high:.0f} px, half of them above {middle:.0f}; advised: "
        f"<code>--size {findings.advised_size}</code>.</p>" + f"<p>{findings.targets_text}</p>" * bool(findings.targets)
    )


def _meaning(kind: str) -> str:
    return html.escape(KINDS[kind].replace("`", ""))


def _classes(findings: Findings) -> str:
    if not findings.classes:
        return ""
    largest = max(findings.classes.values()) or 1
    splits = list(findings.splits)
    head = "".join(f"<th class='n'>{name}</th>" for name in ["images", *splits])
    rows = [
        f"<tr><td>{html.escape(name)}</td><td class='n'>{count}</td>"
        + "".join(f"<td class='n'>{findings.splits[split].get(name, 0)}</td>" for split in splits)
        + f"<td class='bars'><div class='bar' style='width:{100 * count / largest:.0f}%'></div></td></tr>"
        for name, count in list(findings.classes.items())[:_MAX_ROWS]
    ]
    table = f"<table><tr><th>class</th>{head}<th></th></tr>{''.join(rows)}</table>"
    return f"<h2 id='classes'>Classes ({len(findings.classes):,})</h2>{table}{_more(len(findings.classes), _MAX_ROWS)}"


def _rejected(findings: Findings, examples: Examples) -> str:
    if not findings.rejected:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(examples.short(path))}</td><td>{html.escape(reason)}</td></tr>"
        for path, reason in findings.rejected[:_MAX_ROWS]
    )
    count = len(findings.rejected)
    title = f"<h2 id='{UNREADABLE}'>{heading(UNREADABLE)} ({count:,})</h2>"
    return f"{title}<table>{rows}</table>{_more(count, _MAX_ROWS)}"


def _more(count: int, shown: int) -> str:
    return f"<p>and {count - shown:,} more</p>" if count > shown else ""


def _section(
    kind: str,
    groups: Sequence[Group],
    names: Mapping[int, str],
    examples: Examples,
    pictures: Mapping[str, page.Picture],
) -> str:
    """Return the findings of a kind: with pictures, or, of those on pictures that stand under a graver one, a link."""
    own = [group for group in groups if group.finding.kind == kind]
    above = [(group, finding) for group in groups for finding in group.lesser if finding.kind == kind]
    cards = "".join(_card(group, names[id(group)], examples, pictures) for group in own if id(group) in names)
    references = ""
    if above:
        links = [
            f"<a href='#{names.get(id(group), group.finding.kind)}'>{html.escape(examples.short(finding.paths[0]))}</a>"
            for group, finding in above[:_MAX_REFERENCES]
        ]
        rest = f" and {len(above) - _MAX_REFERENCES:,} more" * (len(above) > _MAX_REFERENCES)
        references = f"<p>{len(above):,} of them above, under a graver finding: {', '.join(links)}{rest}</p>"
    title = f"<h2 id='{kind}'>{heading(kind)} ({len(own) + len(above):,})</h2><p class='about'>{_meaning(kind)}</p>"
    return f"{title}<div class='grid'>{cards}</div>{_more(len(own), _MAX_SHOWN)}{references}"


def _card(group: Group, name: str, examples: Examples, pictures: Mapping[str, page.Picture]) -> str:
    paths = group.finding.paths
    figures = "".join(page.figure(pictures.get(path), examples.short(path)) for path in paths[:_MAX_PICTURES])
    form = " text" if not paths else " single" if len(paths) == 1 else ""
    more = f" (and {len(paths) - _MAX_PICTURES:,} more)" if len(paths) > _MAX_PICTURES else ""
    row = figures if len(paths) == 1 else f"<div class='pictures'>{figures}</div>"
    text = html.escape(group.finding.detail) + more + _also(group, examples)
    return f"<div class='finding{form}' id='{name}'>{row}<div class='detail'>{text}</div></div>"


def _also(group: Group, examples: Examples) -> str:
    """Return the lesser findings of a group, each in a line, with the names of the images unless all are meant."""
    lines = []
    for finding in group.lesser[:_MAX_PICTURES]:
        line = heading(finding.kind).lower()
        if set(finding.paths) != set(group.finding.paths):
            shown = ", ".join(map(examples.short, finding.paths[:_MAX_NAMES]))
            line += f": {shown}" + f" and {len(finding.paths) - _MAX_NAMES:,} more" * (len(finding.paths) > _MAX_NAMES)
        if finding.kind == "suspicious-label":
            line += f", {finding.detail}"
        lines.append(f"<br>Also {html.escape(line)}")
    return "".join(lines)
