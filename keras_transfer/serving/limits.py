"""How much a request may ask for, read from its JSON and the headers of its files before memory or time is spent."""

from __future__ import annotations

import re
import struct

from keras_transfer.data.decoding.formats import HEAD, image_format
from keras_transfer.serving.rest import BadRequest, Request

MAX_PIXELS = 200_000_000  # Of all files of a request together, width times height.
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_MAX_SEGMENTS = 1000  # Of a JPEG file before its size; scanners and cameras write a few dozen.


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
    """Return width times height, as the header of an image file has it; 0 where it has none, and nothing decodes."""
    name = image_format(content[:HEAD])
    try:
        if name == "JPEG":
            return _jpeg_pixels(content)
        if name == "PNG":
            width, height = struct.unpack_from(">II", content, 16)
        elif name == "GIF":
            width, height = struct.unpack_from("<HH", content, 6)
        elif name == "BMP":
            small = struct.unpack_from("<I", content, 14) == (12,)
            width, height = struct.unpack_from("<HH" if small else "<ii", content, 18)
        elif name == "WebP":
            return _webp_pixels(content)
        else:
            return 0
    except struct.error:
        return 0
    return abs(width * height)


def _webp_pixels(content: bytes) -> int:
    """Return the pixels of the picture or canvas: https://developers.google.com/speed/webp/docs/riff_container."""
    if content[12:16] == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", content, 24)
        return int((high_width << 16 | low_width) + 1) * int((high_height << 16 | low_height) + 1)
    if content[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return int(((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1))
    width, height = struct.unpack_from("<HH", content, 26)
    return int((width & 0x3FFF) * (height & 0x3FFF))


def _jpeg_pixels(content: bytes) -> int:
    """Return the pixels of the first frame: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1.1.3."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(content, at)
        if match is None:
            return 0
        marker, at = content[match.end() - 1], match.end()
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 3)
            return int(width * height)
        if not (marker == 0x01 or 0xD0 <= marker <= 0xD8):  # Those stand alone.
            at += struct.unpack_from(">H", content, at)[0]
    return 0xFFFF * 0xFFFF
