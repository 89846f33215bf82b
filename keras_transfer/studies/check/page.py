"""The findings as one HTML page with thumbnails, that needs no other file and no network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection import inspector
from keras_transfer.data.inspection.findings import KINDS, UNREADABLE, Finding
from keras_transfer.studies.check.report import Findings
from keras_transfer.support.files import whole

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Decoder

_MAX_SHOWN = 60  # Findings of a kind with pictures; the others are in the JSON report.
_MAX_PICTURES = 6  # Of one finding.
THUMBNAIL = 112  # px

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 1100px; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2rem 0 .2rem }
p.about { margin: 0 0 .7rem; color: #555 } table { border-collapse: collapse; margin: .6rem 0 }
td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top;
         overflow-wrap: anywhere } td.n, th.n { text-align: right }
.bar { background: #4a6fa5; height: .75rem; min-width: 1px; margin-top: .3rem }
img { box-shadow: 0 0 0 1px #ccc } .grid { display: flex; flex-wrap: wrap; gap: .9rem }
.finding { border: 1px solid #ddd; border-radius: 6px; padding: .6rem; max-width: 100% }
.finding .row { display: flex; flex-wrap: wrap; gap: .5rem } figure { margin: 0; width: 112px }
figcaption { font-size: 11px; overflow-wrap: anywhere; color: #444 } .detail { font-size: 13px; margin-top: .4rem;
max-width: 40rem } .none { width: 112px; height: 112px; background: #eee; color: #777; display: flex;
align-items: center; justify-content: center; font-size: 12px }
"""


def write(findings: Findings, examples: Examples, decoder: Decoder, file: Path) -> None:
    """Write the page.

    Args:
        findings: What to show.
        examples: Their images.
        decoder: To thumbnails.
        file: Appears whole or not at all.
    """
    pictures = _thumbnails(findings.warnings, examples, decoder)
    title = f"Check of {html.escape(findings.source)}"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<meta name='viewport' content='width=device-width'><title>{title}</title><style>{_STYLE}</style></head>",
        f"<body><h1>{title}</h1>{_summary(findings)}{_classes(findings)}{_rejected(findings, examples)}",
        *(
            _section(kind, [finding for finding in findings.warnings if finding.kind == kind], examples, pictures)
            for kind in KINDS
            if kind != UNREADABLE
        ),
        "</body></html>",
    ]
    with whole(file) as staging:
        staging.write_text("\n".join(parts), "utf-8", "backslashreplace")  # Names need not be UTF-8.


def _summary(findings: Findings) -> str:
    links = [f"<a href='#{kind}'>{count} {kind}</a>" for kind, count in findings.kinds.items()]
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


def _section(kind: str, of_kind: Sequence[Finding], examples: Examples, pictures: dict[str, str]) -> str:
    if not of_kind:
        return ""
    shown = "".join(_finding(finding, examples, pictures) for finding in of_kind[:_MAX_SHOWN])
    more = f"<p>and {len(of_kind) - _MAX_SHOWN} more</p>" if len(of_kind) > _MAX_SHOWN else ""
    heading = f"<h2 id='{kind}'>{kind} ({len(of_kind)})</h2><p class='about'>{KINDS[kind]}</p>"
    return f"{heading}<div class='grid'>{shown}</div>{more}"


def _finding(finding: Finding, examples: Examples, pictures: dict[str, str]) -> str:
    figures = "".join(
        f"<figure>{_picture(pictures.get(path))}<figcaption>{html.escape(examples.short(path))}</figcaption></figure>"
        for path in finding.paths[:_MAX_PICTURES]
    )
    more = f" (and {len(finding.paths) - _MAX_PICTURES} more)" if len(finding.paths) > _MAX_PICTURES else ""
    row = f"<div class='row'>{figures}</div>" if figures else ""
    return f"<div class='finding'>{row}<div class='detail'>{html.escape(finding.detail)}{more}</div></div>"


def _picture(data: str | None) -> str:
    return f"<img alt='' width='112' height='112' src='{data}'>" if data else "<div class='none'>no picture</div>"


def _thumbnails(warned: Iterable[Finding], examples: Examples, decoder: Decoder) -> dict[str, str]:
    """Return a picture, as a data URI, for each image that the page shows and that can be decoded."""
    from PIL import Image

    from keras_transfer.data.decoding.decode import UNDECODABLE

    shown: dict[str, int] = {}
    names: dict[str, None] = {}
    for finding in warned:
        shown[finding.kind] = shown.get(finding.kind, 0) + 1
        if shown[finding.kind] <= _MAX_SHOWN:
            names |= dict.fromkeys(finding.paths[:_MAX_PICTURES])

    def picture(name: str) -> str | None:
        content, fault = inspector.read(examples.contents, name)
        if fault is not None:
            return None
        try:
            pixels = decoder.pixels(content)
        except UNDECODABLE:
            return None
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=80)
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()

    return {name: data for name, data in zip(names, map(picture, names), strict=True) if data}
