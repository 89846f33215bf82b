"""Activations on disk: computed once, found again by what they were computed from.

A set of activations lives in a folder named after a digest of its key: weights, boundary, size, precision, view. In
it, each finished pass leaves a shard: `digests.npy` says which images, `0.npy`, `1.npy`, ... hold their tensors, one
row an image. Shards are written beside and renamed when whole, so that two runs can write at once and one that dies
leaves its finished shards; they are read row by row, never mapped, so that memory does not grow with the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from keras_transfer.data.inspection import known
from keras_transfer.support.paths import cache_folder

_FEWEST_ROWS = 1024  # A shard holds at least so many rows, and a pass makes at most _MOST_SHARDS of them.
_MOST_SHARDS = 64
_ABANDONED_SECONDS = 86_400
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass
class Shard:
    """An open shard: its files stay readable even when another run deletes them."""

    files: list[IO[bytes]]
    offsets: list[int]
    shapes: list[tuple[int, ...]]
    dtypes: list[np.dtype]
    digests: np.ndarray

    def read_row(self, tensor: int, row: int, into: np.ndarray) -> None:
        """Read one image's activation into bytes, uint8, of its size; several threads may read at once."""
        stream, position, left = self.files[tensor], self.offsets[tensor] + row * into.nbytes, memoryview(into)
        while len(left):
            count = _read_at(stream, left, position)
            if not count:
                raise OSError(f"{stream.name} has shrunk; clear the stored activations (cache --clear) and run again.")
            left, position = left[count:], position + count


if hasattr(os, "preadv"):

    def _read_at(stream: IO[bytes], buffer: memoryview, position: int) -> int:
        return os.preadv(stream.fileno(), [buffer], position)

else:  # Windows has only the file's one position, which pipelines that read at once have to share.
    _position = threading.Lock()

    def _read_at(stream: IO[bytes], buffer: memoryview, position: int) -> int:
        with _position:
            stream.seek(position)
            return stream.readinto(buffer)  # type: ignore[attr-defined]


class ActivationSet:
    """The stored activations of one key.

    Args:
        key: What they are computed from, JSON values only.
    """

    def __init__(self, key: dict[str, Any]) -> None:
        self.key = key
        name = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
        self.folder = cache_folder() / "activations" / name
        self._shards: list[Shard] = []
        self._where: dict[bytes, tuple[int, int]] = {}
        for shard in sorted(self.folder.glob("shard-*")):
            self._open(shard)

    def missing(self, digests: Sequence[bytes]) -> list[int]:
        """Return the positions whose image has no stored activation; of equal images, the first."""
        seen: set[bytes] = set()
        found = []
        for position, digest in enumerate(digests):
            if digest not in self._where and digest not in seen:
                seen.add(digest)
                found.append(position)
        return found

    def write(self, digests: Sequence[bytes], batches: Iterable[list[np.ndarray]]) -> None:
        """Store activations, given in batches in the order of `digests`."""
        if not digests:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        key_file = self.folder / "key.json"
        if not key_file.exists():
            key_file.write_text(json.dumps(self.key, indent=2), "utf-8")
        rows = max(_FEWEST_ROWS, -(-len(digests) // _MOST_SHARDS))
        done = 0
        for part in _regroup(batches, rows):
            self._write_shard(digests[done : done + rows], part)
            done += rows

    def read(self, digests: Sequence[bytes], tensors: Sequence[int]) -> list[np.ndarray]:
        """Return, for each tensor asked for, the activations `[B, ...]` of the images."""
        specs = self.specs()
        found = [np.empty((len(digests), *specs[tensor][0]), specs[tensor][1]) for tensor in tensors]
        for tensor, array in zip(tensors, found, strict=True):
            rows = array.reshape(len(digests), int(np.prod(specs[tensor][0]))).view(np.uint8)
            for position, digest in enumerate(digests):
                shard, row = self._where[digest]
                self._shards[shard].read_row(tensor, row, rows[position])
        return found

    def specs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        """Return shape and dtype of each stored tensor."""
        return list(zip(self._shards[0].shapes, self._shards[0].dtypes, strict=True))

    def _write_shard(self, digests: Sequence[bytes], batches: Iterable[list[np.ndarray]]) -> None:
        beside = Path(tempfile.mkdtemp(dir=self.folder, prefix=".writing-"))
        try:
            np.save(beside / "digests.npy", np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1))
            streams: list[IO[bytes]] = []
            for batch in batches:
                if not streams:
                    streams = [(beside / f"{number}.npy").open("wb") for number in range(len(batch))]
                    for stream, array in zip(streams, batch, strict=True):
                        _write_header(stream, (len(digests), *array.shape[1:]), array.dtype)
                for stream, array in zip(streams, batch, strict=True):
                    stream.write(np.ascontiguousarray(array).tobytes())
            for stream in streams:
                stream.close()
            final = self.folder / f"shard-{time.time_ns()}-{beside.name.rpartition('-')[2]}"
            beside.rename(final)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        self._open(final)

    def _open(self, folder: Path) -> None:
        try:
            digests = np.load(folder / "digests.npy")
            paths = sorted(folder.glob("[0-9]*.npy"), key=lambda path: int(path.stem))
            shard = Shard([path.open("rb", buffering=0) for path in paths], [], [], [], digests)
            for stream in shard.files:
                shape, dtype = _read_header(stream)
                shard.offsets.append(stream.tell())
                shard.shapes.append(shape[1:])
                shard.dtypes.append(dtype)
            (folder / "used").touch()
        except OSError:
            return  # Another run has just cleared it.
        number = len(self._shards)
        self._shards.append(shard)
        for row, digest in enumerate(digests):
            self._where[digest.tobytes()] = (number, row)


def room(needed: int, limit: float) -> str | None:
    """Make room for `needed` bytes under `limit` GB, the least recently used shards going first.

    Returns:
        None, or why there is no room.
    """
    root = cache_folder() / "activations"
    root.mkdir(parents=True, exist_ok=True)
    if needed > limit * 1e9:
        return f"--cache-limit is {limit:g} GB"
    shards = sorted(root.glob("*/shard-*"), key=_last_used)
    total = sum(map(_size, shards))
    while shards and total + needed > limit * 1e9:
        oldest = shards.pop(0)
        total -= _size(oldest)
        shutil.rmtree(oldest, ignore_errors=True)
    for beside in root.glob("*/.writing-*"):
        if time.time() - beside.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(beside, ignore_errors=True)
    free = shutil.disk_usage(root).free
    return f"{root} has {free / 1e9:.1f} GB free" if needed * 1.05 > free else None


def contents() -> list[dict[str, Any]]:
    """Return one record a stored set: its key, images, bytes, and when it was last used (seconds since 1970)."""
    records = []
    for folder in sorted((cache_folder() / "activations").glob("*")):
        shards = list(folder.glob("shard-*"))
        if shards and (folder / "key.json").is_file():
            images = sum(len(np.load(shard / "digests.npy", mmap_mode="r")) for shard in shards)
            records.append(
                {
                    "key": json.loads((folder / "key.json").read_text("utf-8")),
                    "images": images,
                    "bytes": sum(map(_size, shards)),
                    "last_used": max(map(_last_used, shards)),
                }
            )
    return records


def clear() -> int:
    """Delete all stored activations, and what is known of images; return the bytes freed."""
    root = cache_folder() / "activations"
    freed = sum(map(_size, root.glob("*/shard-*")))
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(known.folder(), ignore_errors=True)
    return freed


def _regroup(batches: Iterable[list[np.ndarray]], rows: int) -> Iterator[Iterator[list[np.ndarray]]]:
    """Cut a stream of batches into consecutive streams of `rows` rows each."""
    stream = iter(batches)
    rest: list[list[np.ndarray]] = []

    def part() -> Iterator[list[np.ndarray]]:
        left = rows
        while left:
            batch = rest.pop() if rest else next(stream, None)
            if batch is None:
                return
            if len(batch[0]) > left:
                rest.append([array[left:] for array in batch])
                batch = [array[:left] for array in batch]
            left -= len(batch[0])
            yield batch

    while True:
        if not rest:
            first = next(stream, None)
            if first is None:
                return
            rest.append(first)
        yield part()


def _write_header(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype) -> None:
    # NumPy's format has no bfloat16; its bits are stored as the only unsigned type used here, uint16.
    stored = np.dtype("uint16") if dtype == _BFLOAT16 else dtype
    description = {"descr": np.lib.format.dtype_to_descr(stored), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return shape, _BFLOAT16 if dtype == np.dtype("uint16") else dtype


def _last_used(shard: Path) -> float:
    try:
        return (shard / "used").stat().st_mtime
    except OSError:
        return 0.0


def _size(shard: Path) -> int:
    return sum(path.stat().st_size for path in shard.glob("*.npy"))
