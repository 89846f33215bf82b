import numpy as np


def digests(count, start=0):
    return [number.to_bytes(16, "big") for number in range(start, start + count)]


def batches(count, dtype="float32", size=7):
    rows = np.arange(count, dtype="float32")
    return [
        [np.tile(rows[start : start + size, None], (1, 3)).astype(dtype), rows[start : start + size]]
        for start in range(0, count, size)
    ]
