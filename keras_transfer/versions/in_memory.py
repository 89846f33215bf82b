"""Images that a program holds in memory, as files that the served graph decodes."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.support.errors import UsageError

ACCEPTED = "a path, the bytes of an image file, a PIL image, or an array [H, W, 3] of pixels 0..255, or a list of these"
_ROUNDING = 0.5  # Beyond 0..255; what was resized in float32 may be 255.00003.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_WITH_OPACITY = {"PA": "RGBA", "La": "LA", "RGBa": "RGBA"}  # Modes that PNG has not, by those that say the same.


def listed(images: Any) -> list[Any]:
    """Return images as a list; a path, bytes, picture or array `[H, W, 3]` alone is a list of one image.

    Raises:
        TypeError: it is neither an image nor a list of images.
    """
    if hasattr(images, "__array__") and not _is_picture(images):
        array = np.asarray(images)
        if array.ndim == 4 or (array.ndim == 1 and array.dtype.kind in "OSU"):
            return list(array)
    if is_image(images):
        return [images]
    if isinstance(images, Sequence) or (hasattr(images, "__iter__") and not hasattr(images, "keys")):
        return list(images)
    raise TypeError(f"predict takes {ACCEPTED}. Received: {type(images).__name__}.")


def is_image(image: Any) -> bool:
    """Say whether this is one image, as far as its type tells."""
    return isinstance(image, (str, os.PathLike, bytes, bytearray, memoryview)) or (
        hasattr(image, "read") or _is_picture(image) or hasattr(image, "__array__")
    )


def file_bytes(image: Any, name: str) -> bytes | None:
    """Return an image as the bytes of a file; None for a path, which is read where it is needed.

    Args:
        image: Encoded bytes are taken as they are, an open binary file is read, and so is the file of a JPEG that PIL
            opened and has not decoded; other pictures and arrays are written as PNG, without loss.
        name: Of the image, for messages.

    Raises:
        TypeError: it is no image.
        UsageError: it is an array of another shape or range.
    """
    if isinstance(image, (str, os.PathLike)):
        return None
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if hasattr(image, "read") and not _is_picture(image):
        content = image.read()
        if isinstance(content, bytes):
            return content
    elif _is_picture(image):
        return _jpeg_file(image) or _png(_with_png_mode(_upright(image), image.format, name))
    elif hasattr(image, "__array__"):
        from PIL import Image

        return _png(Image.fromarray(_pixels(np.asarray(image), name)))
    raise TypeError(f"{name} is of type {type(image).__name__}; predict takes {ACCEPTED}.")


def name_of(image: Any, position: int) -> str:
    """Return what to call an image: its path, or its place in the list."""
    return str(Path(image)) if isinstance(image, os.PathLike) else image if isinstance(image, str) else f"[{position}]"


def why_not_pixels(pixels: np.ndarray) -> str | None:
    """Return why numbers are not pixels in 0..255, or None if they are; a black image is."""
    if not np.isfinite(pixels).all():
        return "pixels must be 0..255, but some are NaN or infinite"
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    if low < -_ROUNDING or high > 255 + _ROUNDING or (pixels.dtype != np.uint8 and 0 < high <= 1):
        hint = "; multiply pixels that were scaled to 0..1 or -1..1 back" if low >= -1 and high <= 1 else ""
        return f"pixels must be 0..255, but these are {low:.4g} to {high:.4g}{hint}"
    return None


def _pixels(array: np.ndarray, name: str) -> np.ndarray:
    """Return uint8 `[H, W, 3]`."""
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UsageError(f"{name} must be an array [H, W, 3]. Received: {list(array.shape)}.")
    if array.dtype.kind not in "uif":
        raise TypeError(f"{name} is an array of {array.dtype}; predict takes numbers 0..255.")
    why = why_not_pixels(array)
    if why:
        raise UsageError(f"{name}: {why}.")
    return array if array.dtype == np.uint8 else np.rint(array).clip(0, 255).astype("uint8")


def _is_picture(image: Any) -> bool:
    return hasattr(image, "convert") and hasattr(image, "getexif")


def _jpeg_file(picture: Any) -> bytes:
    """Return the file of a JPEG as `Image.open` gives it, which may be decoded at a smaller scale than PIL would; no
    bytes where the pixels, or how they are to be decoded, are the caller's already.
    """
    file = getattr(picture, "fp", None)
    if file is None or picture.format not in ("JPEG", "MPO") or not picture.tile or picture.decoderconfig:
        return b""
    position = file.tell()
    file.seek(0)
    content = bytes(file.read())
    file.seek(position)
    return content


def _upright(picture: Any) -> Any:
    """Return a PIL image as its file is decoded: turned as its EXIF block says, its first frame."""
    from PIL import ImageOps

    if getattr(picture, "n_frames", 1) > 1:
        picture.seek(0)
    # Of a PNG, the decoder knows no EXIF block.
    return picture if picture.format == "PNG" else ImageOps.exif_transpose(picture)


def _with_png_mode(picture: Any, format: str | None, name: str) -> Any:
    """Return a PIL image of a mode that PNG has: 16 bits stay 16, and what is transparent stays so.

    Raises:
        UsageError: its mode does not say which number is white.
    """
    if picture.mode in _PNG_MODES:
        return picture
    # Of these files, what Pillow keeps in 32 bits has 16.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and format in ("PNG", "PPM")):
        return picture.convert("I").convert("I;16")
    if picture.mode in ("I", "F"):
        raise UsageError(
            f"{name} is a PIL image of mode {picture.mode!r}, which does not say which number is white: convert it to "
            "'L', of 0..255, or 'I;16', of 0..65535."
        )
    return picture.convert(_WITH_OPACITY.get(picture.mode, "RGB"))


def _png(picture: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
