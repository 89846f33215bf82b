"""The image formats that can be read, in training and in the served graph alike."""

from __future__ import annotations

# First bytes, where they stand, and name, in the order that `keras_transfer.data.decoding.decode` relies on.
FORMATS = (
    (b"\xff\xd8\xff", 0, "JPEG"),
    (b"\x89PNG\r\n\x1a\n", 0, "PNG"),
    (b"GIF8", 0, "GIF"),
    (b"BM", 0, "BMP"),
    (b"WEBP", 8, "WebP"),
)
HEAD = 12  # Bytes that tell these formats.

# What other files are, so that a message can name them: first bytes, where they stand, name.
_OTHERS = (
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"II+\x00", 0, "TIFF"),
    (b"MM\x00+", 0, "TIFF"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftypavis", 4, "AVIF"),
    (b"ftyphe", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIC"),
    (b"ftypmsf1", 4, "HEIC"),
    (b"\x00\x00\x01\x00", 0, "ICO"),
    (b"\x00\x00\x00\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"8BPS", 0, "Photoshop"),
    (b"%PDF", 0, "PDF"),
    (b"<svg", 0, "SVG"),
)
# What files are that are called images and are none: first bytes in lower case, and what to say.
_NO_IMAGES = (
    (b"<!doctype", "is a web page, not an image: download the image again"),
    (b"<html", "is a web page, not an image: download the image again"),
    (b"<?xml", "is XML, not an image; of a drawing (SVG), make a PNG file (`rsvg-convert` does)"),
    (b"pk\x03\x04", "is an archive, not an image: unpack it"),
    (b"rar!", "is an archive, not an image: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "is an archive, not an image: unpack it"),
    (b"par1", "is a Parquet file, not an image: write the images in it as files"),
    (b"version http", "is a pointer of Git LFS, not an image: `git lfs pull` fetches the image"),
)

EMPTY = "is empty"
DAMAGED = "cannot be decoded (damaged or truncated)"
UNKNOWN = "is not a JPEG, PNG, GIF, BMP or WebP image"
CONVERT = "convert it to PNG or JPEG (`check DATA --convert FOLDER` does)"
# What helps with formats that Pillow does not open either.
_ADVICE = {
    "HEIC": "save it as JPEG (`heif-convert` does, and the program or telephone that it comes from)",
    "PDF": "make PNG files of its pages (`pdftoppm -png` does)",
    "SVG": "make a PNG file of it (`rsvg-convert` does)",
}
WEBP_RELEASE = "2.21"  # Of TensorFlow, the first that decodes WebP.
DAMAGED_WEBP = f"cannot be decoded (damaged or truncated, or WebP in a TensorFlow older than {WEBP_RELEASE})"


def image_format(head: bytes) -> str | None:
    """Return the format that the first bytes of a file announce, or None if it is not one that can be read."""
    return _named(head, FORMATS)


def fault(head: bytes) -> str | None:
    """Return why a file that begins with these bytes, `HEAD` or more, cannot be an image that is read, or None."""
    if not head:
        return EMPTY
    if image_format(head):
        return None
    other = _named(head, _OTHERS)
    if other:
        return f"is in the format {other}, which TensorFlow Serving cannot decode; {_ADVICE.get(other, CONVERT)}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((what for start, what in _NO_IMAGES if text.startswith(start)), UNKNOWN)


def lacks_scan(content: bytes) -> bool:
    """Return whether a file is a JPEG that ends before its pixels begin."""
    return image_format(content[:HEAD]) == "JPEG" and b"\xff\xda" not in content


def _named(head: bytes, formats: tuple[tuple[bytes, int, str], ...]) -> str | None:
    return next((name for magic, at, name in formats if head.startswith(magic, at)), None)
