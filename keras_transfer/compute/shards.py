"""A shard: the activations of some images in NumPy files, with checksums, in a folder that appears whole.

`digests.npy` says which images, `0.npy`, `1.npy`, ... hold their tensors, one row an image, and `shard.json` says what
they were computed from, and shape and checksum of each file. Rows are read by their positions, never mapped, so that
memory does not grow with the data.

The checksum is zlib's CRC-32: it tells every damage of a disk or of a copy that was cut from what was written, at more
than a gigabyte a second, while other threads compute. Nobody forges activations in a user's own cache folder, against
which a cryptographic digest would take as long again.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from keras_transfer.compute import open_files
from keras_transfer.compute.open_files import OpenFile
from keras_transfer.support.errors import UserError
from keras_transfer.support.files import Lock, Stamp, staging_folder, stamp_of

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_DIGESTS, _MANIFEST, _USED = "digests.npy", "shard.json", "used"
_PART = 2**22  # Bytes that are read at once where a whole file is.


class Damaged(Exception):
    """A shard is not what was written; the message says in what."""


class Shard:
    """A stored shard; its files are opened when they are read.

    Args:
        folder: Of the shard.

    Attributes:
        digests: uint8 `[N, 16]`, of the images in its rows.
        shapes: Of each tensor, without the row.
        dtypes: Of each tensor.
        bytes: Of all files.
        opened: Those of its files that are open, by number.
        lock: Keeps the shard from being deleted, once a file of it was closed.

    Raises:
        FileNotFoundError: it is no longer there.
        Damaged: as far as that can be told without reading the tensors.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: dict[int, OpenFile] = {}
        self.lock: Lock | None = None
        record = manifest(folder)
        self._files: dict[str, Any] = record["files"]
        self.bytes = sum(file["bytes"] for file in self._files.values())
        with _reading(folder / _DIGESTS) as stream:
            content = stream.read()
        if zlib.crc32(content) != self._files[_DIGESTS]["crc32"]:
            raise Damaged(f"{_DIGESTS} differs from its checksum")
        self.digests: np.ndarray = np.load(io.BytesIO(content))
        tensors = [self._files[f"{number}.npy"] for number in range(len(self._files) - 1)]
        self.shapes = [tuple(tensor["shape"]) for tensor in tensors]
        self.dtypes = [_BFLOAT16 if tensor["dtype"] == "bfloat16" else np.dtype(tensor["dtype"]) for tensor in tensors]
        self._starts = [
            tensor["bytes"] - record["images"] * int(np.prod(shape)) * dtype.itemsize
            for tensor, shape, dtype in zip(tensors, self.shapes, self.dtypes, strict=True)
        ]

    def claim(self) -> None:
        """Compare the tensors with their checksums, unless this process has done so or has written them, and open them:
        from then on they can be read, whoever deletes them.

        Raises:
            FileNotFoundError: the shard is no longer there.
            Damaged: its bytes are not those that were written.
        """
        for number in set(range(len(self.shapes))) - set(self.opened):
            with _reading(self._path(number)) as stream:
                self._verify(number, stream)
            open_files.opened(self, number)
        with suppress(OSError):  # Where nothing can be written, nothing is deleted either.
            (self.folder / _USED).touch()

    def open(self, number: int) -> OpenFile:
        """Open the file of a tensor; raise as `claim` does."""
        with _reading(self._path(number)) as stream:
            self._verify(number, stream)
            return open_files.retried(lambda: OpenFile(os.dup(stream.fileno())))

    def read_row(self, number: int, row: int, into: np.ndarray) -> None:
        """Read one image's activation; several threads may read at once.

        Args:
            number: Of the tensor.
            row: Of the image.
            into: uint8, of the size of a row.

        Raises:
            UserError: the shard was deleted or changed meanwhile.
        """
        try:
            file = open_files.opened(self, number)
        except (FileNotFoundError, Damaged) as error:
            raise self._changed() from error
        if not file.read_into(memoryview(into), self._starts[number] + row * into.nbytes):
            raise self._changed()

    def _changed(self) -> UserError:
        return UserError(f"{self.folder} was deleted or changed while it was in use. Run again: it is computed anew.")

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.npy"

    def _verify(self, number: int, stream: IO[bytes]) -> None:
        path, stamp = self._path(number), stamp_of(stream.fileno())
        if _verified.get(path) == stamp:
            return
        record, size, crc32 = self._files[path.name], 0, 0
        while part := stream.read(_PART):
            size, crc32 = size + len(part), zlib.crc32(part, crc32)
        if size != record["bytes"]:
            raise Damaged(f"{path.name} has {size:,} bytes of {record['bytes']:,}")
        if crc32 != record["crc32"]:
            raise Damaged(f"{path.name} differs from its checksum")
        _verified[path] = stamp


def write(parent: Path, key: dict[str, Any], digests: Sequence[bytes], batches: Iterable[list[np.ndarray]]) -> Shard:
    """Write a shard and return it, claimed.

    Args:
        parent: Holds the shards of a set; it is made if it is not there.
        key: What the activations are computed from, JSON values only.
        digests: Of the images.
        batches: Their tensors, `[B, ...]`, in the order of `digests`.
    """
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
    with staging_folder(parent) as staging:
        with ExitStack() as stack:
            writers = [stack.enter_context(_Writer(staging / _DIGESTS, table.shape, table.dtype))]
            writers[0].write(table)
            for batch in batches:
                for number, array in enumerate(batch):
                    if number + 1 == len(writers):
                        shape = (len(digests), *array.shape[1:])
                        writers.append(stack.enter_context(_Writer(staging / f"{number}.npy", shape, array.dtype)))
                    writers[number + 1].write(np.ascontiguousarray(array))
        written = {writer.rows for writer in writers}
        if written != {len(digests)}:
            raise ValueError(f"{len(digests)} images, but activations of {written}.")
        record = {"key": key, "images": len(digests), "files": {writer.name: writer.record() for writer in writers}}
        text = json.dumps({**record, "crc32": _crc32_of(record)})
        open_files.retried(lambda: (staging / _MANIFEST).write_text(text, "utf-8"))
        (staging / _USED).touch()
        folder = parent / f"shard-{time.time_ns()}-{secrets.token_hex(4)}"
        staging.rename(folder)
        # Within the block, for that keeps the folder locked.
        for writer in writers:
            with (folder / writer.name).open("rb") as stream:
                _verified[folder / writer.name] = stamp_of(stream.fileno())
        shard = Shard(folder)
        shard.claim()
    return shard


def manifest(folder: Path) -> dict[str, Any]:
    """Return what a shard says of itself: `key`, number of `images`, and `files`: shape, dtype, bytes, CRC-32 of each.

    Raises:
        FileNotFoundError: there is no such shard.
        Damaged: it cannot be read.
    """
    with _reading(folder / _MANIFEST) as stream:
        content = stream.read()
    try:
        record = json.loads(content)
        if record.pop("crc32") == _crc32_of(record):
            return record
    except (ValueError, KeyError, AttributeError, TypeError):
        record = None
    raise Damaged(f"{_MANIFEST} is damaged")


def last_used(folder: Path) -> float:
    """Return when a shard was last used, seconds since 1970."""
    try:
        return (folder / _USED).stat().st_mtime
    except OSError:
        return 0.0


_verified: dict[Path, Stamp] = {}  # Files whose bytes are those that were written, as this process knows.


class _Writer:
    """Writes an array to a file in NumPy's format, in parts, and sums it up.

    Args:
        path: Of the file.
        shape: Of the array.
        dtype: Of the array. NumPy's format has no bfloat16; its bits are stored as uint16.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.name, self._shape, self._dtype = path.name, shape, dtype
        self.rows = self._bytes = self._crc32 = 0
        self._stream = open_files.retried(lambda: path.open("wb"))
        stored = np.dtype("uint16") if dtype == _BFLOAT16 else dtype
        header = {"descr": np.lib.format.dtype_to_descr(stored), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self, header)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def write(self, part: np.ndarray | bytes) -> None:
        """Write rows, or the header."""
        content = part
        if isinstance(part, np.ndarray):
            content, self.rows = part.tobytes(), self.rows + len(part)
        self._stream.write(content)
        self._crc32 = zlib.crc32(content, self._crc32)
        self._bytes += len(content)

    def record(self) -> dict[str, Any]:
        """Return what the manifest says of the file."""
        return {
            "shape": list(self._shape[1:]),
            "dtype": self._dtype.name,
            "bytes": self._bytes,
            "crc32": self._crc32,
        }


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file of a shard; what cannot be read while its folder is there is damage."""
    try:
        with open_files.retried(lambda: path.open("rb", buffering=0)) as stream:
            yield stream
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise Damaged(f"{path.name} {reason}") from error


def _crc32_of(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())
