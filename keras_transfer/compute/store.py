"""Activations on disk: computed once, found again by what they were computed from.

A set of activations lives in a folder named after a digest of its key: weights, boundary, size, precision, view. In
it, each finished pass leaves shards, which are written in a staging folder and renamed when whole, so that two runs can
write at once and one that dies leaves its finished shards.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.compute import shards
from keras_transfer.compute.shards import Damaged, Shard
from keras_transfer.data.inspection import decodable
from keras_transfer.support import files, leftovers
from keras_transfer.support.paths import readable_cache_folders, writable_cache_folder

_MIN_IMAGES = 1024  # Of a shard, unless a pass has fewer.
_MAX_SHARDS = 64  # That a pass makes.
_FORMAT = 2  # Of the shards; it is part of each set's key.


class ActivationSet:
    """The stored activations of one key.

    Args:
        key: What they are computed from, JSON values only.

    Attributes:
        name: Of their folder.
        damaged: What was wrong with shards that were deleted, in words; their images are missing.
    """

    def __init__(self, key: dict[str, Any]) -> None:
        self.key = key
        text = json.dumps({**key, "format": _FORMAT}, sort_keys=True)
        self.name = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self.damaged: list[str] = []
        self._where: dict[bytes, tuple[Shard, int]] = {}
        self._shards: list[Shard] = []
        for folder in [shard for root in _roots() for shard in _shards(root / self.name)]:
            with suppress(FileNotFoundError):  # Another run has just cleared it.
                try:
                    self._add(Shard(folder))
                except Damaged as error:
                    self._drop(folder, error)

    @property
    def folder(self) -> Path:
        """Where shards are written."""
        return _writable_root() / self.name

    def missing(self, digests: Sequence[bytes]) -> list[int]:
        """Return the positions whose image has no stored activation; of equal images, the first.

        What is not missing can be read from now on, whatever is deleted meanwhile. Shards that are damaged are deleted.
        """
        claimed: set[Shard] = set()
        while needed := self._needed(digests) - claimed:
            with ThreadPoolExecutor() as pool:
                for shard, error in zip(needed, pool.map(_fault, needed), strict=True):
                    if error is not None:
                        self._forget(shard, error)
            claimed |= needed
        first = {digest: position for position, digest in reversed(list(enumerate(digests)))}
        return sorted(position for digest, position in first.items() if digest not in self._where)

    def unverified_bytes(self, digests: Sequence[bytes]) -> int:
        """Return how many bytes `missing` would read to compare them with their checksums."""
        return sum(shard.bytes for shard in self._needed(digests) if not shard.opened)

    def write(self, digests: Sequence[bytes], batches: Iterable[list[np.ndarray]]) -> None:
        """Store activations, given in batches in the order of `digests`."""
        if not digests:
            return
        rows = max(_MIN_IMAGES, -(-len(digests) // _MAX_SHARDS))
        done = 0
        for part in split(batches, itertools.repeat(rows)):
            self._add(shards.write(self.folder, self.key, digests[done : done + rows], part))
            done += rows

    def read(self, digests: Sequence[bytes], tensors: Sequence[int]) -> list[np.ndarray]:
        """Return, for each tensor asked for, the activations `[B, ...]` of images that are not missing.

        Raises:
            UserError: they were deleted by other means than this program's, or changed, since they were asked for.
        """
        specs = self.specs()
        arrays = [np.empty((len(digests), *specs[tensor][0]), specs[tensor][1]) for tensor in tensors]
        for tensor, array in zip(tensors, arrays, strict=True):
            rows = array.reshape(len(digests), int(np.prod(specs[tensor][0]))).view(np.uint8)
            for position, digest in enumerate(digests):
                shard, row = self._where[digest]
                shard.read_row(tensor, row, rows[position])
        return arrays

    def specs(self) -> list[tuple[tuple[int, ...], np.dtype]]:
        """Return shape and dtype of each stored tensor."""
        return list(zip(self._shards[0].shapes, self._shards[0].dtypes, strict=True))

    def _needed(self, digests: Sequence[bytes]) -> set[Shard]:
        return {self._where[digest][0] for digest in digests if digest in self._where}

    def _add(self, shard: Shard) -> None:
        self._shards.append(shard)
        for row, digest in enumerate(shard.digests):
            self._where[digest.tobytes()] = (shard, row)

    def _forget(self, shard: Shard, error: Exception) -> None:
        """Take out a shard that cannot be read; another may hold some of its images too."""
        rest = [kept for kept in self._shards if kept is not shard]
        self._shards, self._where = [], {}
        for kept in rest:
            self._add(kept)
        if isinstance(error, Damaged):
            self._drop(shard.folder, error)

    def _drop(self, folder: Path, error: Damaged) -> None:
        self.damaged.append(f"{folder}: {error}")
        with suppress(OSError):
            files.delete_folder(folder)


def _fault(shard: Shard) -> Exception | None:
    try:
        shard.claim()
    except (FileNotFoundError, Damaged) as error:
        return error
    return None


def _roots() -> list[Path]:
    return [folder / "activations" for folder in readable_cache_folders()]


def _writable_root() -> Path:
    return writable_cache_folder() / "activations"


def _sets() -> list[Path]:
    return [folder for root in _roots() for folder in files.children(root)]


def _shards(folder: Path) -> list[Path]:
    return [path for path in files.children(folder) if path.name.startswith("shard-")]


def size_text(count: int) -> str:
    """Return so many bytes in GB, or in MB where there are few."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def shortage(needed: int, limit: float) -> str | None:
    """Return why there is no room for `needed` bytes under `limit` GB, even once other shards are deleted; or None."""
    root = _writable_root()
    if needed > limit * 1e9:
        return f"--cache-limit is {limit:g} GB"
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    deleted = max(0, files.folder_size(root) + needed - limit * 1e9)
    return f"{root} has {size_text(free)} free" if needed * 1.05 > free + deleted else None


def make_room(needed: int, limit: float) -> None:
    """Make room for `needed` bytes under `limit` GB, if there can be, the least recently used shards going first."""
    if shortage(needed, limit) is not None:
        return
    leftovers.delete_staging()
    stored = [shard for folder in files.children(_writable_root()) for shard in _shards(folder)]
    stored.sort(key=shards.last_used)
    total = sum(map(files.folder_size, stored))
    for shard in stored:
        if total + needed <= limit * 1e9:
            break
        total -= _delete(shard)


def contents() -> list[dict[str, Any]]:
    """Return one record a stored set, the last used first: its path, key, images, bytes, and when that was (seconds
    since 1970).
    """
    records = []
    for folder in _sets():
        stored = _shards(folder)
        manifests = [manifest for shard in stored if (manifest := _manifest(shard)) is not None]
        if stored:
            records.append(
                {
                    "path": str(folder),
                    "key": manifests[0]["key"] if manifests else {},
                    "images": sum(manifest["images"] for manifest in manifests),
                    "bytes": sum(map(files.folder_size, stored)),
                    "last_used": max(map(shards.last_used, stored)),
                }
            )
    return sorted(records, key=lambda record: record["last_used"], reverse=True)


def clear() -> int:
    """Delete all stored activations but those that are locked, what is known of images, and what ended runs left.

    Returns:
        The bytes freed.
    """
    freed = leftovers.delete_leftovers()
    for folder in _sets():
        freed += sum(map(_delete, _shards(folder)))
        with suppress(OSError):  # Another run writes there.
            (folder / "key.json").unlink(missing_ok=True)  # As earlier releases wrote.
            folder.rmdir()
    shutil.rmtree(decodable.folder(), ignore_errors=True)
    return freed


def _delete(shard: Path) -> int:
    """Delete a shard, unless a run has locked it or its set, and return the bytes freed."""
    size = files.folder_size(shard)
    with files.unused(shard.parent) as unused, suppress(OSError):  # Another may just have deleted it.
        return size if unused and files.delete_folder(shard) else 0
    return 0


def _manifest(shard: Path) -> dict[str, Any] | None:
    try:
        return shards.manifest(shard)
    except (FileNotFoundError, Damaged):
        return None


def split(batches: Iterable[list[np.ndarray]], rows: Iterable[int]) -> Iterator[Iterator[list[np.ndarray]]]:
    """Cut a stream of batches into consecutive streams of so many rows each, until either ends."""
    stream = iter(batches)
    rest: list[list[np.ndarray]] = []

    def part(left: int) -> Iterator[list[np.ndarray]]:
        while left:
            batch = rest.pop() if rest else next(stream, None)
            if batch is None:
                return
            if len(batch[0]) > left:
                rest.append([array[left:] for array in batch])
                batch = [array[:left] for array in batch]
            left -= len(batch[0])
            yield batch

    for count in rows:
        if not rest:
            first = next(stream, None)
            if first is None:
                return
            rest.append(first)
        yield part(count)
