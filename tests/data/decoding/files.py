"""Small image files of kinds that no library writes, byte by byte."""

import struct
import zlib


def gif(canvas, *frames, palette=((255, 255, 255), (200, 30, 30), (20, 160, 40), (30, 40, 200)), background=0):
    """Return a GIF file of frames made by `gif_frame`."""
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80 | 1, background, 0)
    return head + b"".join(map(bytes, palette)) + b"".join(frames) + b"\x3b"


def gif_frame(left, top, width, height, colour, transparent=None, block=255):
    """Return a frame of one colour, an index, uncompressed: no code is longer than three bits."""
    control = b"" if transparent is None else b"\x21\xf9\x04\x01\0\0" + bytes([transparent, 0])
    descriptor = b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0)
    codes = []
    for start in range(0, width * height, 2):
        codes += [4, *[colour] * min(2, width * height - start)]
    value = sum(code << (3 * k) for k, code in enumerate([*codes, 5]))
    data = value.to_bytes((3 * len(codes) + 10) // 8, "little")
    blocks = b"".join(bytes([len(part)]) + part for part in (data[k : k + block] for k in range(0, len(data), block)))
    return control + descriptor + b"\x02" + blocks + b"\0"


def png_chunk(kind, content):
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, before=b""):
    """Return a white PNG file of one bit a pixel, with further chunks before its picture."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\xff" * ((width + 7) // 8)) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + head + before + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def segment(marker, content):
    """Return a segment of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def exif(order="<", kind=3, value=6, before=()):
    """Return an EXIF segment with an orientation of type BYTE (1), SHORT (3) or LONG (4)."""
    entries = [*before, (0x0112, kind, 1, value)]
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, form, count, number in entries:
        packed = struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[form], number)
        body += struct.pack(order + "HHI", tag, form, count) + packed
    return segment(0xE1, b"Exif\0\0" + body + bytes(4))
