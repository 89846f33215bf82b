"""How much a request may ask for, read from its JSON and the headers of its files before memory or time is spent."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from keras_transfer.data.decoding.formats import HEAD, image_format
from keras_transfer.serving.rest import BadRequest, Request

MAX_PIXELS = 200_000_000  # Of all files of a request together, width times height.
_TOO_MANY = 2**32  # Pixels, more than any of these formats that is decoded has.
_MAX_READS = 5000  # Of a header, one to four a segment; scanners and cameras write a few dozen segments.
# Not `Image.open`, which warns of large pictures and refuses larger ones, both by settings of the whole process.
_READERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile, "PNG": PngImageFile, "GIF": GifImageFile, "BMP": BmpImageFile, "WebP": WebPImageFile,
}  # fmt: skip


class _LongHeader(Exception):
    """A header of so many segments that to read it takes long."""


class _Header(io.BytesIO):
    """A file of which only so many parts are read."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise _LongHeader
        return super().read(size)


def pixels(call: Request) -> int:
    """Return how many pixels the files of a call announce; 0 for a call that brings pixels itself."""
    return sum(announced_pixels(content) for content in call.inputs if isinstance(content, bytes))


def check_pixels(announced: int, max_pixels: int) -> None:
    """Refuse a call whose files are too large together.

    Args:
        announced: Of all its files.
        max_pixels: Of one file; a single one of this size is always taken.

    Raises:
        BadRequest: saying what to do.
    """
    limit = max(MAX_PIXELS, max_pixels)
    if announced > limit:
        raise BadRequest(f"The files have {announced:,} pixels together, more than {limit:,}. Send fewer at a time")


def announced_pixels(content: bytes) -> int:
    """Return width times height, as the header of an image file has it; 0 where it has none that Pillow reads."""
    reader = _READERS.get(image_format(content[:HEAD]) or "")
    if reader is None:
        return 0
    try:
        with reader(_Header(content)) as image:
            return image.width * image.height
    except (DecompressionBombError, _LongHeader):
        return _TOO_MANY
    except Exception:  # Pillow meets anything here; the graph has a limit of its own.
        return 0
