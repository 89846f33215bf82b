"""How large pictures are, as their headers say."""

from __future__ import annotations

import io

import numpy as np

from keras_transfer.data.examples import Examples

_SAMPLE = 50  # Images whose headers are read.


def median_short_side(examples: Examples, unknown: int) -> float:
    """Return the median short side, px, of some of the images; those whose header tells none count as `unknown`."""
    chosen = np.linspace(0, len(examples) - 1, min(_SAMPLE, len(examples))).round().astype(int)
    return float(np.median([_short_side(examples, examples.paths[index]) or unknown for index in chosen]))


def _short_side(examples: Examples, name: str) -> int | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(examples.contents.read(name))) as image:
            return min(image.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
