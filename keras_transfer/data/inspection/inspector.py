"""Each image, read and decoded once: its digest, whether it can be used, and what it looks like small."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.contents import Contents, map_in_order
from keras_transfer.data.decoding import formats
from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection import crops, decodable, duplicates
from keras_transfer.support.progress import Progress

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Thumbnail

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
TINY = 32  # Short side, px, below which a picture shows too little.
CONSTANT = 3.0  # Standard deviation of grey levels, 0..255, below which a picture is of one colour.
_HUGE = 40_000_000  # Width times height.
_GREY_OF_16_BITS = b"\x10\x00"  # Depth and kind of colour in the header of a PNG file, from byte 24 on.
_MEAN = np.full(3, 1 / 3, "float32")  # Of the colours; as a product it takes a tenth of the time.


@dataclass(slots=True)
class Inspection:
    """What was seen of an image.

    Attributes:
        digest: BLAKE2b of its bytes, 16 bytes; of no bytes if it cannot be read.
        fault: Why it cannot be used, or None.
        hash: Its perceptual hash, 32 bytes; empty if it cannot be decoded.
        height: As its header announces, px; 0 if it cannot be decoded.
        width: As its header announces, px.
        peak: The largest value of a grey PNG file with 16 bits a pixel; 0 of others.
        contrast: Standard deviation of its grey levels, 0..255.
        notes: Kind and detail of what is unusual about the file.
        format: As its first bytes announce; None if it is not one that can be read.
        resembles: Cropped or turned copies, and what it is such a copy of: their digests and the bits in which hashes
            differ; of each pair on one side. Empty if it was not looked at closely.
    """

    digest: bytes
    fault: str | None = None
    hash: bytes = b""
    height: int = 0
    width: int = 0
    peak: int = 0
    contrast: float = 0.0
    notes: tuple[tuple[str, str], ...] = ()
    format: str | None = None
    resembles: Sequence[tuple[bytes, int]] = ()

    @property
    def comparable(self) -> bool:
        """Whether it shows enough to be compared: pictures of one colour, or of few pixels, are like many others."""
        return bool(self.hash) and self.contrast >= CONSTANT and min(self.height, self.width) >= TINY


def inspect(
    examples: Examples, max_pixels: int, progress: Progress, closely: bool = False
) -> tuple[Examples, list[Inspection]]:
    """Read every image once and decode it, as training and serving do, but small.

    Args:
        examples: As listed.
        max_pixels: Largest picture that is decoded, width times height.
        progress: Is told about each image.
        closely: Decode every image, for its notes, also those that decoded in an earlier run, as their digests tell,
            and look for cropped and turned copies among `crops.MAX_IMAGES` at most.

    Returns:
        The examples with digests, sizes and format, and the inspection of each.
    """
    from keras_transfer.data.decoding.decode import Thumbnail

    table = decodable.load(max_pixels)
    places = {row.tobytes(): place for place, row in enumerate(table["digest"])}
    thumbnail = Thumbnail(max_pixels)
    windows: dict[bytes, np.ndarray] | None = {} if closely and len(examples) <= crops.MAX_IMAGES else None

    def inspection_of(name: str) -> Inspection:
        content, fault = read(examples.contents, name)
        key = digest(content)
        remembered = fault is None and key in places and not closely
        if remembered:
            seen = _remembered(key, table[places[key]])
        else:
            seen = _inspected(content, fault, key, name, thumbnail, windows)
        seen.format = formats.image_format(content[: formats.HEAD])
        return seen

    inspections: list[Inspection] = []
    with progress.task("Reading images", len(examples)) as advance, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of Pillow.
        for inspection in map_in_order(inspection_of, examples.paths):
            inspections.append(inspection)
            advance(1)
    if windows is not None:
        hashes = {seen.digest: seen.hash for seen in inspections if seen.comparable and seen.digest in windows}
        resembling = crops.resembling(hashes, windows, progress)
        for seen in inspections:
            seen.resembles = resembling.get(seen.digest, ())
    elif closely:
        progress.say(f"Cropped and slightly turned copies are looked for among {crops.MAX_IMAGES:,} images at most.")
    new = {seen.digest: seen for seen in inspections if seen.fault is None and seen.digest not in places}
    decodable.add(max_pixels, _rows(list(new.values())))
    sizes = np.asarray([(seen.height, seen.width) for seen in inspections], "int32").reshape(-1, 2)
    kinds = {seen.format for seen in inspections if seen.fault is None}
    digests, kind = [seen.digest for seen in inspections], kinds.pop() if len(kinds) == 1 else None
    return replace(examples, digests=digests, sizes=sizes, format=kind), inspections


def with_digests(examples: Examples, progress: Progress) -> tuple[Examples, dict[int, str]]:
    """Read every image once, without decoding it.

    Returns:
        The examples with digests, and, by position, why an image cannot be used, as far as its first bytes tell.
    """

    def digest_of(name: str) -> tuple[bytes, str | None]:
        content, fault = read(examples.contents, name)
        return digest(content), fault

    digests, faults = [], {}
    with progress.task("Reading files", len(examples), "files") as advance:
        for index, (key, fault) in enumerate(map_in_order(digest_of, examples.paths)):
            digests.append(key)
            if fault is not None:
                faults[index] = fault
            advance(1)
    return replace(examples, digests=digests), faults


def read(contents: Contents, name: str) -> tuple[bytes, str | None]:
    """Return the bytes of an image, and why it cannot be used, as far as its first bytes tell, and that a JPEG has a
    scan, for libjpeg tells standard error of one that has none; `b""` if unreadable.
    """
    try:
        content = contents.read(name)
    except OSError as error:
        return b"", f"cannot be read ({error.strerror or error})"
    return content, formats.DAMAGED if formats.lacks_scan(content) else formats.fault(content[: formats.HEAD])


def digest(content: bytes) -> bytes:
    """Return what tells an image from all others, 16 bytes of BLAKE2b."""
    return hashlib.blake2b(content, digest_size=16).digest()


def reason(content: bytes, max_pixels: int) -> str:
    """Return why the decoder refused these bytes."""
    fault = formats.fault(content[: formats.HEAD])
    if fault is not None:
        return fault
    import tensorflow as tf

    from keras_transfer.data.decoding.decode import announced_size
    from keras_transfer.data.decoding.webp import DECODABLE

    if formats.image_format(content[: formats.HEAD]) == "WebP" and not DECODABLE:
        return (
            f"is a WebP image, which TensorFlow {tf.__version__} cannot decode; update it to "
            f"{formats.WEBP_RELEASE} or newer, or {formats.CONVERT}"
        )
    size = announced_size(content)
    if size is not None and size[0] * size[1] > max_pixels:
        return f"has {size[0] * size[1]:,} pixels, more than --max-pixels {max_pixels:,}"
    return formats.DAMAGED


def listed(rejected: Sequence[tuple[str, str]], max_count: int = 3) -> str:
    """Return the first rejected files with their reasons, for a message."""
    shown = "; ".join(f"{name} {why}" for name, why in rejected[:max_count])
    return shown + (f"; and {len(rejected) - max_count} more" if len(rejected) > max_count else "")


def left_out(rejected: Sequence[tuple[str, str]]) -> str:
    """Return what a run says of files that it goes on without."""
    return f"{len(rejected)} {'image is' if len(rejected) == 1 else 'images are'} left out: {listed(rejected)}."


def _inspected(
    content: bytes,
    fault: str | None,
    key: bytes,
    name: str,
    thumbnail: Thumbnail,
    windows: dict[bytes, np.ndarray] | None,
) -> Inspection:
    if fault is not None:
        return Inspection(key, fault)
    picture = thumbnail(content)
    if picture is None:
        return Inspection(key, reason(content, thumbnail.max_pixels))
    pixels, (height, width), orientation = picture
    peak, notes = _header(content, name, height, width)
    if orientation > 1:
        notes.append(("orientation", f"is stored turned (EXIF orientation {orientation}), and stood upright"))
    contrast = float((pixels @ _MEAN).std())
    if contrast < CONSTANT:
        notes.append(("near-constant", f"is of nearly one colour (standard deviation {contrast:.1f})"))
    if windows is not None and crops.detailed(pixels):
        windows[key] = crops.windows(pixels, width / height)
    hashed = np.packbits(duplicates.perceptual_hash(pixels)).tobytes()
    return Inspection(key, None, hashed, height, width, peak, contrast, tuple(notes))


def _header(content: bytes, name: str, height: int, width: int) -> tuple[int, list[tuple[str, str]]]:
    """Return peak and notes: what the decoder and Pillow can tell without decoding the picture."""
    from PIL import Image

    notes = []
    actual = formats.image_format(content[: formats.HEAD])
    expected = _EXTENSIONS.get(os.path.splitext(name)[1].lower())
    if expected and actual != expected:
        notes.append(("misnamed", f"is a {actual} file with the extension of a {expected} file"))
    if min(width, height) < TINY:
        notes.append(("tiny", f"is {width} x {height} px"))
    if width * height > _HUGE:
        notes.append(("huge", f"is {width} x {height} px"))
    peak = 0
    try:
        with Image.open(io.BytesIO(content)) as image:
            frames = int(getattr(image, "n_frames", 1)) if image.format in ("GIF", "PNG", "WEBP") else 1
            mode = image.mode
            deep = "16" in mode or mode == "I" or (actual == "PNG" and content[24:25] == b"\x10")
            transparent = "A" in mode or "transparency" in image.info
            if actual == "PNG" and content[24:26] == _GREY_OF_16_BITS and width * height <= _HUGE:
                peak = int(np.asarray(image).max())
    except Exception:  # Pillow meets anything here; whether the image is used is decided by decoding it.
        return peak, notes
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
    return peak, notes


def _remembered(key: bytes, row: np.void) -> Inspection:
    return Inspection(
        key,
        None,
        row["hash"].tobytes(),
        int(row["height"]),
        int(row["width"]),
        int(row["peak"]),
        float(row["contrast"]),
    )


def _rows(inspections: Sequence[Inspection]) -> np.ndarray:
    rows = np.zeros(len(inspections), decodable.ROW)
    for place, seen in enumerate(inspections):
        keys = np.frombuffer(seen.digest, "u1"), np.frombuffer(seen.hash, "u1")
        rows[place] = (*keys, seen.height, seen.width, seen.peak, seen.contrast)
    return rows
