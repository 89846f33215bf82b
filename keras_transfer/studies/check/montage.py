"""Some pictures of each class, drawn at random, which show what it holds."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.examples import MULTI_LABEL, Examples
from keras_transfer.studies import page

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Decoder

_MAX_PICTURES, _MAX_CLASSES = 400, 200  # Of the page, whatever the number of images.
_MOST, _LEAST = 8, 2  # Of a class.
_FEW = 4  # Of a class, up to which several classes stand side by side.


def section(examples: Examples, decoder: Decoder, folder: Path, seed: int) -> str:
    """Return the pictures of each class, as HTML; nothing of images without classes.

    Args:
        examples: That can be used.
        decoder: To thumbnails.
        folder: Of the page, from which pictures lead to their files.
        seed: Of the drawing; that of a class does not depend on other classes.
    """
    drawn = _drawn(examples, seed)
    if not drawn:
        return ""
    names = [name for names in drawn.values() for name in names]
    pictures = page.pictures(names, examples, decoder, folder)
    rows = "".join(_row(label, names, examples, pictures) for label, names in drawn.items())
    rest = len(examples.classes) - len(drawn)
    more = f"<p>and {rest:,} more classes</p>" if rest else ""
    few = " few" * (max(map(len, drawn.values())) <= _FEW)
    about = "<p class='about'>Drawn at random, cropped to squares.</p>"
    return f"<h2 id='pictures'>Pictures of each class</h2>{about}<div class='samples{few}'>{rows}</div>{more}"


def _drawn(examples: Examples, seed: int) -> dict[str, list[str]]:
    """Return the names of a few images of each class, of the first classes where there are many."""
    if examples.labels.ndim == 1:
        of_class = [
            np.flatnonzero(examples.labels == number) for number in range(min(len(examples.classes), _MAX_CLASSES))
        ]
    elif examples.task == MULTI_LABEL:
        of_class = [np.flatnonzero(column) for column in examples.labels.T[:_MAX_CLASSES]]
    else:
        return {}
    count = min(_MOST, max(_LEAST, _MAX_PICTURES // max(1, len(of_class))))
    drawn = {}
    for number, indices in enumerate(of_class):
        chosen = np.random.default_rng([seed, number]).permutation(indices)[:count]
        drawn[examples.classes[number]] = [examples.paths[index] for index in chosen]
    return drawn


def _row(label: str, names: list[str], examples: Examples, pictures: Mapping[str, page.Picture]) -> str:
    shown = "".join(
        f"<figure>{page.thumbnail(pictures[name], examples.short(name))}</figure>" for name in names if name in pictures
    )
    return f"<div class='sample'><div class='name'>{html.escape(label)}</div><div class='pictures'>{shown}</div></div>"
