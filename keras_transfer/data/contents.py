"""Where the bytes of an image come from: a file, a member of an archive, a record, a row of an array.

Every source names its images by strings, and one object, shared by all of them, turns a name into the bytes of an
encoded image. So one pipeline serves all sources, and nothing is copied.
"""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

Result = TypeVar("Result")

_LARGEST_MEMBER = 2**28  # Bytes of an image in an archive when unpacked; what announces more is a bomb.
_AT_ONCE = 1024  # Reads that are under way or done and not yet taken.


class Contents(Protocol):
    """Turns the name of an image into the bytes of its encoded file."""

    def read(self, name: str) -> bytes:
        """Return the bytes; raise OSError where there are none."""


@dataclass(frozen=True)
class Files:
    """Names are paths of image files."""

    def read(self, name: str) -> bytes:
        """Return the bytes of the file."""
        return Path(name).read_bytes()


@dataclass(frozen=True)
class Records:
    """Names are `SHARD@OFFSET`, the byte at which a record of a TFRecord file begins; records are
    `tf.train.Example` messages.

    Attributes:
        key: The feature that holds the encoded image.
    """

    key: str

    def read(self, name: str) -> bytes:
        """Return the encoded image of the record."""
        shard, _, offset = name.rpartition("@")
        with open(shard, "rb") as stream:
            stream.seek(int(offset))
            # https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
            (length,) = struct.unpack("<Q", stream.read(8))
            stream.seek(4, 1)
            return image_in(stream.read(length), self.key)


@dataclass(frozen=True)
class ArrayRecords:
    """Names are `SHARD@NUMBER` of an ArrayRecord file, as tensorflow-datasets writes on request."""

    key: str

    def read(self, name: str) -> bytes:
        """Return the encoded image of the record."""
        shard, _, number = name.rpartition("@")
        return image_in(_array_records(shard).read([int(number)])[0], self.key)


@dataclass(frozen=True)
class Arrays:
    """Names are `ARRAY[ROW]`; pixels are encoded, without loss, when they are read.

    Attributes:
        arrays: uint8 `[N, H, W, 3]` or `[N, H, W]` by name.
    """

    arrays: Mapping[str, np.ndarray]

    def read(self, name: str) -> bytes:
        """Return the row as a PNG file."""
        from PIL import Image

        array, _, row = name.rstrip("]").rpartition("[")
        stream = io.BytesIO()
        Image.fromarray(self.arrays[array][int(row)]).save(stream, "PNG", compress_level=1)
        return stream.getvalue()


@dataclass(frozen=True)
class Zipped:
    """Names are `ARCHIVE/MEMBER`.

    Attributes:
        archive: Path of the `.zip` file.
    """

    archive: str

    def read(self, name: str) -> bytes:
        """Return the bytes of the member; raise OSError too if it is damaged, encrypted, or larger than an image."""
        opened = _zip_file(self.archive)
        try:
            member = opened.getinfo(name.removeprefix(f"{self.archive}/"))
            if member.file_size > _LARGEST_MEMBER:
                raise OSError(f"{member.file_size:,} bytes when unpacked")
            return opened.read(member)
        # zipfile raises RuntimeError for an encrypted member, and a kind of it for a compression that it does not know.
        except (zipfile.BadZipFile, zlib.error, RuntimeError, KeyError) as error:
            raise OSError(str(error)) from error


def each(read: Callable[[str], Result], names: Sequence[str]) -> Iterator[Result]:
    """Yield what `read` makes of each name, in order, several at a time; a million names take no more memory."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        for start in range(0, len(names), _AT_ONCE):
            yield from pool.map(read, names[start : start + _AT_ONCE])


def image_in(record: bytes, key: str) -> bytes:
    """Return the bytes feature `key` of a serialised `tf.train.Example`."""
    from tensorflow.train import Example

    return Example.FromString(record).features.feature[key].bytes_list.value[0]


@functools.lru_cache(maxsize=4)
def _zip_file(archive: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)  # May be read by several threads at once.


@functools.lru_cache(maxsize=64)
def _array_records(shard: str) -> Any:
    from array_record.python.array_record_module import ArrayRecordReader

    return ArrayRecordReader(shard)
