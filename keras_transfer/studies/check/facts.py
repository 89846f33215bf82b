"""What the header of an image says of it, and what its pixels say at a glance."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data import audit, duplicates
from keras_transfer.data.contents import each
from keras_transfer.data.decoding import formats
from keras_transfer.data.examples import Examples
from keras_transfer.support.progress import Progress

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Glance

_EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".webp": "WebP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_TINY, _HUGE = 32, 40_000_000  # Short side, px; width times height.
_CONSTANT = 3.0  # Standard deviation of a picture's grey levels, 0..255.
_MEAN = np.full(3, 1 / 3, "float32")  # Of the colours; as a product it takes a tenth of the time.


@dataclass
class Facts:
    """One image.

    Attributes:
        path: Its name.
        digest: BLAKE2b of its bytes, 16 bytes.
        fault: Why it cannot be used, or None.
        width: As stored, px; 0 if its header cannot be read.
        height: As stored, px.
        peak: The largest value of a grey picture with 16 bits a pixel; 0 of others.
        notes: Kind and detail of what is unusual about it.
        hash: Perceptual hash, bool `[256]`; None if it cannot be decoded.
    """

    path: str
    digest: bytes
    fault: str | None
    width: int = 0
    height: int = 0
    peak: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    hash: np.ndarray | None = None


def gather(examples: Examples, glance: Glance, progress: Progress) -> list[Facts]:
    """Return the facts of every image: each is read, and decoded as training and serving would.

    Args:
        examples: Whose images.
        glance: Decodes them.
        progress: Hears of both passes.
    """
    found: list[Facts] = []
    with progress.task("Reading files", len(examples), "files") as advance:
        for facts in each(lambda name: _read(examples, name), examples.paths):
            found.append(facts)
            advance(1)
    whole = [row for row, facts in enumerate(found) if facts.fault is None]
    _look(examples, glance, found, whole, progress)
    for row in whole:
        if found[row].hash is None:
            found[row].fault = audit.reason(examples.contents, found[row].path, glance.max_pixels)
    return found


def _read(examples: Examples, name: str) -> Facts:
    content, fault = audit.examine(examples.contents, name)
    facts = Facts(name, audit.digest(content), fault)
    kind = formats.image_format(content[:16])
    promised = _EXTENSIONS.get(os.path.splitext(name)[1].lower())
    if kind and promised and kind != promised:
        facts.notes.append(("misnamed", f"is a {kind} file with the extension of a {promised} file"))
    if kind:
        _inspect(content, facts)
    return facts


def _inspect(content: bytes, facts: Facts) -> None:
    """Take from the header what the decoder and Pillow can read of it, without decoding."""
    from PIL import Image

    from keras_transfer.data.decoding.decode import announced_size
    from keras_transfer.data.decoding.exif import orientation_of

    notes = facts.notes
    facts.height, facts.width = announced_size(content) or (0, 0)
    orientation = orientation_of(content)
    if orientation > 1:
        notes.append(("orientation", f"is stored turned (EXIF orientation {orientation}), and stood upright"))
    if facts.width and min(facts.width, facts.height) < _TINY:
        notes.append(("tiny", f"is {facts.width} x {facts.height} px"))
    if facts.width * facts.height > _HUGE:
        notes.append(("huge", f"is {facts.width} x {facts.height} px"))
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")
            frames = int(getattr(image, "n_frames", 1)) if image.format in ("GIF", "PNG", "WEBP") else 1
            mode = image.mode
            deep = "16" in mode or mode == "I" or (image.format == "PNG" and content[24:25] == b"\x10")
            transparent = "A" in mode or "transparency" in image.info
            if mode.startswith("I") and facts.width * facts.height <= _HUGE:
                facts.peak = int(np.asarray(image).max())
    except Exception:  # Pillow meets anything here; whether the image is used is decided by decoding it.
        return
    if frames > 1:
        notes.append(("animated", f"has {frames} frames; the first is used"))
    if mode == "CMYK":
        notes.append(("cmyk", "is in CMYK colours, converted to RGB without a colour profile"))
    if deep:
        notes.append(("16-bit", "has 16 bits a channel, of which the upper 8 are used"))
    if mode == "P":
        notes.append(("palette", "has a palette, which is applied"))
    if transparent:
        notes.append(("alpha", "has transparent parts, which are composed on white"))


def _look(examples: Examples, glance: Glance, found: Sequence[Facts], rows: Sequence[int], progress: Progress) -> None:
    from keras_transfer.data import pipeline

    names = [examples.paths[row] for row in rows]
    with progress.task("Decoding", len(rows)) as advance:
        for position, pixels in pipeline.decodable(examples.contents, names, glance):
            facts = found[rows[position]]
            facts.hash = duplicates.perceptual_hash(pixels)
            spread = float((pixels @ _MEAN).std())
            if spread < _CONSTANT:
                facts.notes.append(("near-constant", f"is of nearly one colour (standard deviation {spread:.1f})"))
            advance(1)
