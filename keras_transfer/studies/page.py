"""HTML pages with plots and thumbnails, that need no other file and no network."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection import inspector
from keras_transfer.support.errors import UserError
from keras_transfer.support.files import whole

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Decoder

THUMBNAIL = 112  # px

# Of `main` alone: a notebook shows the page among cells of its own.
_STYLE = """
main.report { font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 1100px;
  margin: 2rem auto; padding: 0 1rem;
  h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin: 2rem 0 .2rem }
  p { margin: .6rem 0 } p.about { margin: 0 0 .7rem; color: #555 }
  table { border-collapse: collapse; margin: .6rem 0 }
  td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top; overflow-wrap: anywhere }
  td.n, th.n { text-align: right }
  .bar { background: #4a6fa5; height: .75rem; min-width: 1px; margin-top: .3rem }
  img { box-shadow: 0 0 0 1px #ccc } img.plot { box-shadow: none; max-width: 100%; height: auto }
  .grid { display: flex; flex-wrap: wrap; gap: .9rem }
  .finding { border: 1px solid #ddd; border-radius: 6px; padding: .6rem; max-width: 100% }
  .finding .row { display: flex; flex-wrap: wrap; gap: .5rem }
  figure { margin: 0; width: 112px } figure img { display: block }
  figcaption { font-size: 11px; overflow-wrap: anywhere; color: #444 }
  .detail { font-size: 13px; margin-top: .4rem; max-width: 40rem }
  .none { width: 112px; height: 112px; background: #eee; color: #777; display: flex; align-items: center;
    justify-content: center; font-size: 12px } }
"""


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
    try:
        with whole(file) as staging:
            staging.write_text(text, "utf-8", "backslashreplace")  # Names need not be UTF-8.
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}).") from error


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


def figure(picture: str | None, caption: str) -> str:
    """Return a thumbnail, given as a data URI, with a caption, as text."""
    image = f"<img alt='' src='{picture}'>" if picture else "<div class='none'>no picture</div>"
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def pictures(names: Iterable[str], examples: Examples, decoder: Decoder) -> dict[str, str]:
    """Return a picture, as a data URI, for each of the examples' names that can be decoded."""
    decoded = ((name, _picture(name, examples, decoder)) for name in names)
    return {name: picture for name, picture in decoded if picture is not None}


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
