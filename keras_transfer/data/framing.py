"""The framing of TFRecord files, read by TensorFlow itself, which checks both checksums of each record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_transfer.support import logs

_FRAME = 16  # Bytes around a record: its length, and checksums of length and data.


class DamagedRecord(OSError):
    """A record whose checksum does not match, or that is cut off.

    Attributes:
        offset: The byte at which its frame begins.
    """

    def __init__(self, shard: str | Path, offset: int) -> None:
        super().__init__(f"{shard}: the record at byte {offset:,} is cut off or damaged (its checksum differs)")
        self.offset = offset


def record_at(shard: str | Path, offset: int) -> bytes:
    """Return the record whose frame begins at a byte of a TFRecord file.

    Raises:
        DamagedRecord: it is damaged, or there is none.
        OSError: the file cannot be read.
    """
    return _read(_reader(shard), shard, offset)


def records(shard: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each record of a TFRecord file begins, and its bytes; raise as `record_at` does."""
    size, offset = shard.stat().st_size, 0
    reader = _reader(shard)
    while offset < size:
        record = _read(reader, shard, offset)
        yield offset, record
        offset += len(record) + _FRAME


def _reader(shard: str | Path) -> Any:
    logs.import_tensorflow()
    import tensorflow as tf

    # TensorFlow 2.18 to 2.21 has no public reader that begins at any record, and no public CRC-32C: `tf.data` reads a
    # file from its start. `tests/data/test_framing.py` says when this can go.
    from tensorflow.python.lib.io.tf_record import tf_record_random_reader

    try:
        return tf_record_random_reader(str(shard))
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def _read(reader: Any, shard: str | Path, offset: int) -> bytes:
    import tensorflow as tf

    try:
        return reader.read(offset)[0]
    except (tf.errors.OpError, IndexError) as error:
        raise DamagedRecord(shard, offset) from error
