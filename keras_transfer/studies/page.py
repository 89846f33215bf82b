"""HTML pages with plots and thumbnails, that need no other file and no network."""

from __future__ import annotations

import base64
import html
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from keras_transfer.data.contents import Files
from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection import inspector
from keras_transfer.support.files import output_file

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Decoder

THUMBNAIL = 112  # px
# Of files that browsers show as pictures, whatever is in them: a file with another may be a page with scripts too.
_SHOWN_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".webp"}

# Of `main` alone: a notebook shows the page among cells of its own.
_STYLE = """
main.report { --ink: #1b1b1b; --faint: #555; --paper: #fff; --tile: #f3f3f3; --line: #d8d8d8; --bar: #4a6fa5;
  --link: #1d4f9c; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1100px; margin: 0 auto; padding: 1rem;
  h1 { font-size: 1.5rem; margin-bottom: .2rem; overflow-wrap: anywhere }
  h2 { font-size: 1.15rem; margin: 2rem 0 .2rem; overflow-wrap: anywhere }
  p { margin: .6rem 0; overflow-wrap: anywhere } p.about { margin: 0 0 .7rem; color: var(--faint) }
  a { color: var(--link) } a.picture { display: block } a:focus-visible { outline: 3px solid var(--link) }
  table { border-collapse: collapse; margin: .6rem 0; display: block; overflow-x: auto }
  td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top; max-width: 30rem;
    overflow-wrap: break-word }
  td.n, th.n { text-align: right } td.bars { width: 260px; min-width: 60px }
  .bar { background: var(--bar); height: .75rem; min-width: 1px; margin-top: .3rem; print-color-adjust: exact }
  img.plot { max-width: 100%; height: auto }
  .grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(250px, 100%), 1fr)); gap: .8rem }
  .finding { border: 1px solid var(--line); border-radius: 6px; padding: .5rem; break-inside: avoid }
  .finding.text { grid-column: 1 / -1 } .finding.single { display: flex; gap: .5rem }
  .pictures { display: flex; flex-wrap: wrap; gap: .5rem }
  figure { margin: 0; width: 112px; flex: none; break-inside: avoid }
  figure img, .none { display: block; width: 112px; height: 112px; object-fit: contain; background: var(--tile);
    outline: 1px solid var(--line); outline-offset: -1px }
  figcaption { font-size: 11px; overflow-wrap: anywhere; color: var(--faint) }
  .detail { font-size: 13px; margin-top: .3rem; overflow-wrap: anywhere } .single .detail { margin-top: 0 }
  .none { color: var(--faint); font-size: 12px; line-height: 112px; text-align: center }
  .sample { display: grid; grid-template-columns: 9rem 1fr; gap: .2rem .8rem; margin: .5rem 0; break-inside: avoid }
  .samples.few { display: grid; grid-template-columns: repeat(auto-fill, minmax(180px, 1fr)); gap: .4rem .8rem }
  .few .sample { grid-template-columns: 1fr } .sample .name { overflow-wrap: anywhere }
  .sample .pictures { gap: .25rem } .sample figure { width: 80px }
  .sample img { width: 80px; height: 80px; object-fit: cover } }
@media (max-width: 600px) { main.report .sample { grid-template-columns: 1fr } }
@media screen and (prefers-color-scheme: dark) {
  main.report { --ink: #e3e3e3; --faint: #a3a3a3; --paper: #17191d; --tile: #24272d; --line: #3b3f46; --bar: #7d9fd1;
    --link: #8db4ee }
  body:has(> main.report) { background: #17191d } }
"""


@dataclass(frozen=True)
class Picture:
    """A thumbnail.

    Attributes:
        source: A data URI.
        link: To the file that it shows, relative to the page's folder; None where there is none to open.
    """

    source: str
    link: str | None = None


def write(file: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page, which appears whole or not at all.

    Args:
        file: To write.
        title: As text.
        parts: Of its body, as HTML.

    Raises:
        UserError: it cannot be written.
    """
    title = html.escape(title)
    text = "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            f"<meta name='viewport' content='width=device-width'><title>{title}</title><style>{_STYLE}</style></head>",
            f"<body><main class='report'><h1>{title}</h1>",
            *parts,
            "</main></body></html>",
        ]
    )
    with output_file(file) as staging:
        staging.write_text(text, "utf-8", "backslashreplace")  # Names need not be UTF-8.


def table(heading: Sequence[str], rows: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Return a table of text, each column a heading's, numbers flush right but in the columns of words."""
    classes = ["" if column in words else " class='n'" for column in range(len(heading))]
    lines = [
        "".join(f"<{tag}{name}>{html.escape(cell)}</{tag}>" for name, cell in zip(classes, cells, strict=True))
        for tag, cells in [("th", heading), *(("td", row) for row in rows)]
    ]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def plot(png: bytes, width: int, about: str) -> str:
    """Return a plot, the bytes of a PNG file, that is `width` pixels wide where there is room; `about` is its text for
    those who do not see it.
    """
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f"<img class='plot' width='{width}' alt='{html.escape(about, quote=True)}' src='{source}'>"


def figure(picture: Picture | None, caption: str) -> str:
    """Return a thumbnail that leads to its file, with a caption, as text; None is of what has no picture."""
    shown = thumbnail(picture, caption) if picture else "<div class='none'>no picture</div>"
    return f"<figure>{shown}<figcaption>{html.escape(caption)}</figcaption></figure>"


def thumbnail(picture: Picture, name: str) -> str:
    """Return a thumbnail that leads to its file, if it has one, by mouse and by keyboard.

    Args:
        picture: What to show.
        name: As text, of what opens.
    """
    if picture.link is None:
        return f"<img alt='' src='{picture.source}'>"
    image = f"<img alt='{html.escape(name, quote=True)}' src='{picture.source}'>"
    return f"<a class='picture' href='{picture.link}' target='_blank'>{image}</a>"


def without_links(text: str) -> str:
    """Return a page whose thumbnails lead nowhere: within another page, their links would start from its place."""
    return re.sub("<a class='picture'[^>]*>(<img [^>]*>)</a>", r"\1", text)


def pictures(
    names: Iterable[str], examples: Examples, decoder: Decoder, folder: Path | None = None
) -> dict[str, Picture]:
    """Return a picture of each of the examples' names that can be decoded.

    Args:
        names: Of images.
        examples: Their images.
        decoder: To thumbnails.
        folder: Of the page, from which links lead to files; None makes no links.
    """
    start = folder if isinstance(examples.contents, Files) else None
    sources = ((name, _picture(name, examples, decoder)) for name in names)
    return {
        name: Picture(source, None if start is None else _link(name, start))
        for name, source in sources
        if source is not None
    }


def _link(file: str, folder: Path) -> str | None:
    """Return the address of a file from a page in a folder; None of one that a browser may not take for a picture."""
    if Path(file).suffix.lower() not in _SHOWN_SUFFIXES:
        return None
    try:
        relative = os.path.relpath(file, folder)
    except ValueError:  # It lies on another drive of Windows.
        return Path(file).absolute().as_uri()
    return quote(os.fsencode(Path(relative).as_posix()))


def _picture(name: str, examples: Examples, decoder: Decoder) -> str | None:
    from PIL import Image

    from keras_transfer.data.decoding.decode import UNDECODABLE, announced_size

    content, fault = inspector.read(examples.contents, name)
    if fault is not None:
        return None
    try:
        pixels = decoder.pixels(content)
    except UNDECODABLE:
        return None
    stream = io.BytesIO()
    Image.fromarray(_without_bars(pixels, announced_size(content) or (1, 1))).save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def _without_bars(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture, uint8 `[S, S, 3]`, without the black bars that pad it, by the sides of its file, px."""
    width = len(pixels) * (1 - min(size) / max(size)) / 2
    bar, cut = int(width), min(math.ceil(width), len(pixels) // 2 - 1)
    if not bar:
        return pixels
    # The file's height may be the picture's width: EXIF says so of turned ones. A picture may have black edges itself.
    above, aside = (not side[:bar].any() and not side[-bar:].any() for side in (pixels, pixels.swapaxes(0, 1)))
    lying = above and (not aside or size[0] < size[1])
    return pixels[cut:-cut] if lying else pixels[:, cut:-cut]
