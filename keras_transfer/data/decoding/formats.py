"""The image formats that can be read, in training and in the served graph alike."""

from __future__ import annotations

# First bytes and name, in the order that `keras_transfer.data.decoding.decode` relies on.
FORMATS = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"))
READABLE = ", ".join(name for _, name in FORMATS)

# What other files are, so that a message can name them: first bytes, where they stand, name.
_OTHERS = (
    (b"II*\x00", 0, "TIFF"),
    (b"MM\x00*", 0, "TIFF"),
    (b"II+\x00", 0, "TIFF"),
    (b"WEBP", 8, "WebP"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftypavis", 4, "AVIF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIC"),
    (b"\x00\x00\x01\x00", 0, "ICO"),
    (b"\x00\x00\x00\x0cjP  ", 0, "JPEG 2000"),
    (b"\xff\x4f\xff\x51", 0, "JPEG 2000"),
    (b"8BPS", 0, "Photoshop"),
    (b"%PDF", 0, "PDF"),
    (b"<svg", 0, "SVG"),
)

DAMAGED = "cannot be decoded: it is damaged, cut off, or of a rare kind"


def image_format(head: bytes) -> str | None:
    """Return the format that the first bytes of a file announce, or None if it is not one that can be read."""
    return next((name for magic, name in FORMATS if head.startswith(magic)), None)


def fault(head: bytes) -> str | None:
    """Return why a file that begins with these 16 bytes cannot be an image that this program reads, or None."""
    if not head:
        return "is empty"
    if image_format(head):
        return None
    other = next((name for magic, at, name in _OTHERS if head[at : at + len(magic)] == magic), None)
    if other:
        return (
            f"is in the format {other}, which TensorFlow Serving cannot decode; convert it to PNG or JPEG "
            "(`check DATA --convert FOLDER` does)"
        )
    return f"is no image of a kind that can be read ({READABLE})"
