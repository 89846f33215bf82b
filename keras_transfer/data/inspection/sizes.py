"""How large a source's pictures are, by a few of them, before all are read."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image

from keras_transfer.data.examples import Examples, spread

_LOOKED_AT = 64


def median_short_side(examples: Examples) -> float | None:
    """Return the short side of the median picture, px, of a few that are spread over a listing; None if none opens."""
    sides = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of decompression bombs: only the header is read.
        for index in spread(len(examples), _LOOKED_AT):
            try:
                content = examples.contents.read(examples.paths[index])
                sides.append(min(Image.open(io.BytesIO(content)).size))
            # Pillow raises many kinds on files that are none of an image; the inspection tells of them.
            except Exception:
                continue
    return float(np.median(sides)) if sides else None
