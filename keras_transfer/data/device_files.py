"""What devices and programs leave behind among a user's own folders and files."""

from __future__ import annotations

# Folders of thumbnails, waste baskets and metadata, in lower case; those that begin with a dot are hidden anyway.
_DEVICE_FOLDERS = {
    "@eadir",  # Synology
    "@__thumb",  # QNAP
    "@recycle",
    "@recently-snapshot",
    "@tmp",
    "@sharebin",
    "@sharesnap",
    "#recycle",
    "#snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "network trash folder",
    "temporary items",
    "lost+found",
    "_vti_cnf",
    "__macosx",
    "__pycache__",
}
_DEVICE_FILES = {"thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini"}
# Those of a photo, next to it: a device's streams, and what darktable, Lightroom and iPhones note of edits.
_DEVICE_ENDINGS = ("@SynoEAStream", "@SynoResource", ":Zone.Identifier", ":com.dropbox.attrs", ".xmp", ".AAE")


def is_device_folder(name: str) -> bool:
    """Return whether a folder is a device's or a program's, not the user's."""
    return name.startswith(".") or name.lower() in _DEVICE_FOLDERS


def is_device_file(name: str) -> bool:
    """Return whether a file is a device's or a program's, not the user's."""
    return name.startswith(".") or name.lower() in _DEVICE_FILES or _ending(name) is not None


def kind_of_device_file(name: str) -> str:
    """Return what the user should hear of such a file: its name, or the ending that all of its kind have."""
    return _ending(name) or name


def _ending(name: str) -> str | None:
    return next((ending for ending in _DEVICE_ENDINGS if name.lower().endswith(ending.lower())), None)
