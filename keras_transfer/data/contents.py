"""Where the bytes of an image come from: a file, a member of an archive, a record, a row of an array.

Every source names its images by strings, and one object, shared by all of them, turns a name into the bytes of an
encoded image. So one pipeline serves all sources, and nothing is copied.
"""

from __future__ import annotations

import functools
import io
import os
import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar

import numpy as np

from keras_transfer.data import framing
from keras_transfer.data.device_files import is_device_folder
from keras_transfer.support.files import Stamp, stamp_of

Result = TypeVar("Result")

_MAX_FILE_BYTES = 2**30  # Of an image; several are read at once.
_MAX_MEMBER_BYTES = 2**28  # Of an image in an archive when unpacked; what announces more is a bomb.
_UTF8_FLAG = 0x800  # https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.4.4 and 4.6.9
_UNICODE_PATH = 0x7075
_WINDOWS = 0  # What packed it, 4.4.2: there, no name holds a backslash.
_WORKERS = max(8, os.cpu_count() or 1)
_PENDING = 1024  # Reads that are under way or done and not yet taken.


class Contents(Protocol):
    """Turns the name of an image into the bytes of its encoded file."""

    def read(self, name: str) -> bytes:
        """Return the bytes; raise OSError where there are none."""


class FileContents(Contents, Protocol):
    """Contents that lie as files in folders, on a disk or in an archive."""

    def is_file(self, name: str) -> bool:
        """Return whether there is a file of that name."""

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the folders below one, in any depth, sorted within each; those that devices leave are none."""


@dataclass(frozen=True)
class Files:
    """Names are paths of image files."""

    def read(self, name: str) -> bytes:
        """Return the bytes of the file; of a pipe or a device there would be no end, of a film no memory."""
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("no regular file")
        if status.st_size > _MAX_FILE_BYTES:
            raise OSError(f"{status.st_size:,} bytes are too many for an image")
        return Path(name).read_bytes()

    def is_file(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        return os.path.isfile(name)

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the folders below one."""
        for parent, names, _ in os.walk(folder):
            names[:] = sorted(name for name in names if not is_device_folder(name))
            yield from (os.path.join(parent, name) for name in names)


@dataclass(frozen=True)
class Records:
    """Names are `SHARD@OFFSET`, the byte at which a record of a TFRecord file begins; records are
    `tf.train.Example` messages.

    Attributes:
        key: The feature that holds the encoded image.
    """

    key: str

    def read(self, name: str) -> bytes:
        """Return the encoded image of the record; raise OSError too if the record is damaged."""
        shard, _, offset = name.rpartition("@")
        return image_in(framing.record_at(shard, int(offset)), self.key)


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
    """Names are `ARRAY[INDEX]`; pixels are encoded, without loss, when they are read.

    Attributes:
        arrays: uint8 `[N, H, W, 3]` or `[N, H, W]` by name.
    """

    arrays: Mapping[str, np.ndarray]

    def read(self, name: str) -> bytes:
        """Return the row as a PNG file."""
        from PIL import Image

        array, _, index = name.rstrip("]").rpartition("[")
        stream = io.BytesIO()
        Image.fromarray(self.arrays[array][int(index)]).save(stream, "PNG", compress_level=1)
        return stream.getvalue()


@dataclass(frozen=True)
class Zipped:
    """Names are `ARCHIVE/MEMBER`.

    Attributes:
        archive: Path of the `.zip` file.
    """

    archive: str

    def members(self) -> dict[str, zipfile.ZipInfo]:
        """Return the members by their paths, with `/` between folders; of two of one path the later counts.

        Raises:
            UnicodeDecodeError: a path is neither in UTF-8 nor comes with its encoding.
        """
        return _zip_file(self.archive)[1]

    def read(self, name: str) -> bytes:
        """Return the bytes of the member; raise OSError too if it is damaged, encrypted, or larger than an image."""
        opened, _ = _zip_file(self.archive)
        member = self._member(name)
        if member is None:
            raise OSError("no such member")
        if member.file_size > _MAX_MEMBER_BYTES:
            raise OSError(f"{member.file_size:,} bytes when unpacked")
        try:
            return opened.read(member)
        except Exception as error:  # Each compression fails in its own ways: BadZipFile, zlib.error, LZMAError, ...
            raise OSError(str(error) or type(error).__name__) from error

    def is_file(self, name: str) -> bool:
        """Return whether there is a member of that name."""
        return self._member(name) is not None

    def folders(self, folder: str) -> Iterator[str]:
        """Yield the folders below one."""
        parents = {parent for member in self.members() for parent in PurePosixPath(member).parents}
        for parent in sorted(map(str, parents - {PurePosixPath(".")})):
            name = os.path.join(self.archive, parent)
            if name.startswith(os.path.join(folder, "")) and not any(
                map(is_device_folder, PurePosixPath(parent).parts)
            ):
                yield name

    def _member(self, name: str) -> zipfile.ZipInfo | None:
        path, members = name[len(self.archive) + 1 :].replace(os.sep, "/"), self.members()
        return members.get(path) or members.get(posixpath.normpath(path))


def map_in_order(read: Callable[[str], Result], names: Sequence[str]) -> Iterator[Result]:
    """Yield what `read` makes of each name, in order, several at a time; a million names take no more memory."""
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for start in range(0, len(names), _PENDING):
            yield from pool.map(read, names[start : start + _PENDING])


def image_in(record: bytes, key: str) -> bytes:
    """Return the bytes feature `key` of a serialised `tf.train.Example`; raise OSError if it is not there."""
    from tensorflow.train import Example

    held = Example.FromString(record).features.feature[key].bytes_list.value
    if not held:
        raise OSError(f"the record holds no {key}")
    return held[0]


def _zip_file(archive: str) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    return _opened_zip(archive, stamp_of(archive))


@functools.lru_cache(maxsize=4)
def _opened_zip(archive: str, _: Stamp) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    opened = zipfile.ZipFile(archive)  # May be read by several threads at once.
    members = [(_member_name(member), member) for member in opened.infolist()]
    # The .NET of long ago wrote `\\` between folders.
    flat = not any("/" in name for name, _ in members)
    return opened, {
        name.replace("\\", "/") if flat or member.create_system == _WINDOWS else name: member
        for name, member in members
    }


def _member_name(member: zipfile.ZipInfo) -> str:
    """Return the path of a member. Without the flag for UTF-8, `zipfile` reads the bytes of any encoding as cp437."""
    if member.flag_bits & _UTF8_FLAG or member.orig_filename.isascii():
        return member.orig_filename
    stored = member.orig_filename.encode("cp437")
    return _extra_name(member.extra, stored) or stored.decode("utf-8")


def _extra_name(extra: bytes, stored: bytes) -> str | None:
    """Return the path in a member's Info-ZIP Unicode Path field, if that belongs to the stored path."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        data, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and len(data) > 5 and struct.unpack("<L", data[1:5])[0] == zlib.crc32(stored):
            return data[5:].decode("utf-8")
    return None


def _array_records(shard: str) -> Any:
    return _opened_array_records(shard, stamp_of(shard))


@functools.lru_cache(maxsize=64)
def _opened_array_records(shard: str, _: Stamp) -> Any:
    from array_record.python.array_record_module import ArrayRecordReader

    return ArrayRecordReader(shard)
