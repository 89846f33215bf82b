"""Files of kinds that are not read as they are, and what to do with them."""

from __future__ import annotations

# By the end of the name.
_ADVICE = {
    (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz"): "unpack it (tar -xf), and give the folder",
    (".zip", ".rar", ".7z"): "unpack it, and give the folder",
    (".json", ".jsonl"): "export a CSV file, or write one: path,label",
    (".xls", ".xlsx", ".ods"): "save its sheet as a CSV file (UTF-8), and give that",
    (".parquet", ".arrow", ".feather"): "write its images as files, with a folder for each class",
    (
        ".npy",
        ".mat",
        ".h5",
        ".hdf5",
        ".pkl",
        ".pickle",
    ): "write it by np.savez('data.npz', x=images, y=labels)",
}


def advice(name: str) -> str | None:
    """Return what to do with a file, in words that follow a colon; None if nothing is known of its kind."""
    return next((what for ends, what in _ADVICE.items() if name.lower().endswith(ends)), None)
